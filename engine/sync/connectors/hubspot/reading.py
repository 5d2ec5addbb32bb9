"""Reading: all items from the list, changes by search, deletions from the list of what is archived.

Search lags behind, and pages of it shift while things change. So it is asked for ids alone, always from the last
moment seen (and, where more items share a moment than a page holds, from the last id of that moment); what the items
hold is read by their ids; and each look begins a while before the last one did.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from engine.sync.connectors.hubspot import roles
from engine.sync.connectors.hubspot.calls import Answer, Calls
from engine.sync.connectors.hubspot.values import decoded, iso, milliseconds, parsed
from engine.sync.connectors.protocol import CursorLost, Item, Page, Phase, RemoteObject

MOST = 100
# Longer lists of properties do not fit into an address.
ADDRESS = 3_000
MERGED = "hs_merged_object_ids"
# A look through the deletions is not begun anew sooner than this, in milliseconds, for each further page it had.
DELETIONS_PAGE = 6_000
MARK = "1:"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a read goes on. Moments are milliseconds since 1970, by HubSpot's clock."""

    phase: str
    # FULL: the list's own cursor. CHANGES: that of the archived ones, while they are read.
    after: str | None = None
    # FULL: when the pass began. CHANGES: from which moment on things are searched…
    since: int = 0
    # …and, while all of that one moment are, after which id.
    id: int | None = None
    # When this look began; None: it has not.
    begun: int | None = None
    # When the last complete look through the archived ones began, and how many pages it had.
    archived: int = 0
    pages: int = 0
    # Whether that is what is read now; pages of it so far.
    deletions: bool = False
    met: int = 0
    # Ids that went up in others, and are yet to be told.
    merged: tuple[str, ...] = ()

    def text(self) -> str:
        """As a cursor."""
        return MARK + json.dumps(asdict(self), separators=(",", ":"))


def place(phase: Phase, cursor: str | None) -> Place:
    """Where a cursor leads. Raises CursorLost for one that is none of ours, or of the other phase."""
    if cursor is None:
        return Place(phase.value)
    try:
        if not cursor.startswith(MARK):
            raise ValueError
        told = json.loads(cursor.removeprefix(MARK))
        found = Place(**{**told, "merged": tuple(map(str, told["merged"]))})
        numbers = (found.since, found.archived, found.pages, found.met, found.id or 0, found.begun or 0)
        if found.phase != phase.value or not all(isinstance(each, int) for each in numbers):
            raise ValueError
    except (ValueError, TypeError, KeyError):
        raise CursorLost("this cursor is not one of HubSpot's connector") from None
    return found


class Reader:
    """Reads for one connection. `overlap`: how far back each look begins; `deletions`: how seldom they are read."""

    def __init__(self, calls: Calls, overlap: timedelta, deletions: timedelta) -> None:
        self._calls = calls
        self._overlap = overlap // timedelta(milliseconds=1)
        self._deletions = deletions // timedelta(milliseconds=1)
        # Where a person looks at items: https://…/record/; None as long as nobody knows.
        self.address: str | None = None
        self.type_ids: dict[str, str] = {}

    async def full(self, object_: RemoteObject, cursor: str | None, limit: int) -> Page:
        """A page of all items."""
        at = place(Phase.FULL, cursor)
        names = wanted(object_)
        short = len("properties=".join(names)) <= ADDRESS
        page = {
            "limit": min(limit, MOST),
            "archived": False,
            "after": at.after,
            "properties": names if short else None,
        }
        answer = await self._calls.ask("objects", "get_page", object_.name, more=page)
        since = at.since or _now(answer)
        found = answer.data.results
        if short:
            items = await self.items(object_, found)
        else:
            items = [
                item for item in await self.get(object_, [each.id for each in found]) if not item.deleted
            ]
        after = _after(answer)
        if after is not None:
            return Page(tuple(items), replace(at, after=after, since=since).text(), more=True)
        begin = Place(Phase.CHANGES.value, since=max(0, since - self._overlap), archived=since)
        return Page(tuple(items), begin.text(), more=False)

    async def changes(self, object_: RemoteObject, cursor: str | None, limit: int) -> Page:
        """A page of what has changed."""
        at = place(Phase.CHANGES, cursor)
        limit = min(limit, MOST)
        if at.merged:
            told, rest = at.merged[:limit], at.merged[limit:]
            items = tuple(Item(id_, deleted=True) for id_ in told)
            # Unless this was the last of a look, which would begin anew.
            return Page(items, replace(at, merged=rest).text(), more=bool(rest) or at.begun is not None)
        return await (self._archived if at.deletions else self._searched)(object_, at, limit)

    async def _searched(self, object_: RemoteObject, at: Place, limit: int) -> Page:
        modified = "lastmodifieddate" if object_.name == "contacts" else "hs_lastmodifieddate"
        answer = await self._calls.ask("search", "do_search", object_.name, _search(modified, at, limit))
        found = answer.data.results
        items = await self.get(object_, [each.id for each in found])
        gone = {
            old
            for each in found
            for old in ((each.properties or {}).get(MERGED) or "").split(";")
            if old and old != each.id
        }
        at = replace(at, begun=at.begun or _now(answer), merged=tuple(sorted(gone)))
        at, more = self._next(at, found, modified, limit)
        return Page(tuple(items), at.text(), more=more or bool(at.merged))

    def _next(self, at: Place, found: Sequence[Any], modified: str, limit: int) -> tuple[Place, bool]:
        """Where the search goes on after these, and whether it does."""
        if len(found) >= limit:
            last = found[-1]
            moment = milliseconds(parsed((last.properties or {}).get(modified) or "") or last.updated_at)
            if at.id is not None:
                return replace(at, id=int(last.id)), True
            if moment <= at.since:
                # More share this moment than fit into a page.
                return replace(at, since=moment, id=0), True
            return replace(at, since=moment), True
        if at.id is not None:
            return replace(at, since=at.since + 1, id=None), True
        begun = at.begun or 0
        if begun - at.archived >= max(self._deletions, (at.pages - 1) * DELETIONS_PAGE):
            return replace(at, deletions=True, after=None, met=0), True
        return self._done(at), False

    async def _archived(self, object_: RemoteObject, at: Place, limit: int) -> Page:
        page = {"limit": limit, "archived": True, "after": at.after}
        answer = await self._calls.ask("objects", "get_page", object_.name, more=page)
        since = at.archived - self._overlap
        items = tuple(
            Item(each.id, deleted=True, modified_at=each.archived_at)
            for each in answer.data.results
            if each.archived_at is None or milliseconds(each.archived_at) >= since
        )
        after = _after(answer)
        at = replace(at, after=after, met=at.met + 1)
        if after is not None:
            return Page(items, at.text(), more=True)
        return Page(items, self._done(replace(at, archived=at.begun or 0, pages=at.met)).text(), more=False)

    def _done(self, at: Place) -> Place:
        """Where the next look begins."""
        since = max(0, (at.begun or 0) - self._overlap)
        return Place(at.phase, since=since, archived=at.archived, pages=at.pages, merged=at.merged)

    async def get(self, object_: RemoteObject, ids: Sequence[str]) -> list[Item]:
        """These items now, in the order asked. What went up in another item is deleted."""
        asked = [id_ for id_ in dict.fromkeys(ids) if id_.isascii() and id_.isdecimal() and len(id_) < 20]
        if ids and not asked:
            # Nobody's ids; whether the connection works is to be seen all the same.
            asked = ["0"]
        batches = [asked[start : start + MOST] for start in range(0, len(asked), MOST)]
        answers = await asyncio.gather(
            *(self.batch(object_, [{"id": id_} for id_ in batch]) for batch in batches)
        )
        items = await self.items(object_, [each for found in answers for each in found])
        by_id = {item.external_id: item for item in items}
        return [by_id.get(id_) or Item(id_, deleted=True) for id_ in ids]

    async def batch(
        self, object_: RemoteObject, inputs: Sequence[Any], told: Iterable[str] = (), by: str | None = None
    ) -> list[Any]:
        """What a batch read finds, in no order; what it does not find is left out."""
        body: dict[str, Any] = {
            "inputs": list(inputs),
            "properties": [*wanted(object_), *told],
            "propertiesWithHistory": [],
        }
        if by is not None:
            body["idProperty"] = by
        return list((await self._calls.ask("batch", "read", object_.name, body)).data.results)

    async def items(self, object_: RemoteObject, found: Sequence[Any]) -> list[Item]:
        """What the client's models tell, with their associations."""
        if not found:
            return []
        linked = (
            await roles.associations(self._calls, object_, [each.id for each in found])
            if object_.roles
            else {}
        )
        return [self._item(object_, each, linked.get(each.id, {})) for each in found]

    def _item(self, object_: RemoteObject, told: Any, linked: dict[str, tuple[str, ...]]) -> Item:
        type_id = self.type_ids.get(object_.name)
        return Item(
            told.id,
            decoded(object_, told.properties or {}),
            version(object_, told.updated_at, linked),
            told.updated_at,
            linked,
            url=f"{self.address}{type_id}/{told.id}" if self.address and type_id else None,
        )


def version(object_: RemoteObject, updated_at: Any, linked: dict[str, tuple[str, ...]] | None) -> str | None:
    """When it was changed, and what it is associated with, of which its time of change may say nothing.

    None where the associations would have to be known, and are not.
    """
    if not object_.roles:
        return iso(updated_at)
    if linked is None:
        return None
    text = json.dumps(sorted(linked.items())).encode()
    return f"{iso(updated_at)} {hashlib.blake2b(text, digest_size=8).hexdigest()}"


def wanted(object_: RemoteObject) -> list[str]:
    """The properties to ask for; asked for none, HubSpot answers with a few of its own choice."""
    return [field.name for field in object_.fields]


def _search(modified: str, at: Place, limit: int) -> dict[str, Any]:
    """One page of a search. It never goes beyond its first page, and so never to the end of its window of 10,000."""
    if at.id is None:
        filters = [{"propertyName": modified, "operator": "GTE", "value": str(at.since)}]
        by = modified
    else:
        filters = [
            {"propertyName": modified, "operator": "EQ", "value": str(at.since)},
            {"propertyName": "hs_object_id", "operator": "GT", "value": str(at.id)},
        ]
        by = "hs_object_id"
    return {
        "filterGroups": [{"filters": filters}],
        "sorts": [{"propertyName": by, "direction": "ASCENDING"}],
        "properties": [modified, MERGED],
        "limit": limit,
    }


def _after(answer: Answer) -> str | None:
    paging = answer.data.paging
    return str(paging.next.after) if paging and paging.next else None


def _now(answer: Answer) -> int:
    """HubSpot's clock, to the second, rounded down. Without it, from the beginning."""
    return milliseconds(answer.at) if answer.at else 0
