"""What followers of the log want to hear: kinds, a subject, a record, an object type, and a filter on the record.

Equal interests are one value: whoever hands events over looks at them once for all who share it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from engine import filters
from engine.filters.matching import Asked
from engine.problems import Problem, Refused
from storage.catalogue import Catalogue
from storage.changes import EventKind, LoggedEvent, LogPage
from storage.database import Database
from storage.filters.tree import Filter

# An association is logged once, from one of its ends; it concerns both.
OF_PAIRS = frozenset(
    {
        EventKind.ASSOCIATION_ADDED,
        EventKind.ASSOCIATION_REMOVED,
        EventKind.LABEL_ADDED,
        EventKind.LABEL_REMOVED,
    }
)

# Told of an enrollment; a mail or a call that no enrollment asked for concerns nobody who follows those.
OF_OUTBOX = frozenset({EventKind.OUTBOX_DELIVERED, EventKind.OUTBOX_FAILED})


@dataclass(frozen=True, slots=True)
class Interest:
    """These kinds of events; where given, only of this subject, record, or object type.

    `where` is a filter's definition as JSON, asked of the record that an event is told of, as it is when it is told.
    """

    kinds: frozenset[EventKind]
    subject_id: int | None = None
    record_id: int | None = None
    object_type_id: int | None = None
    where: bytes | None = None

    def views(self, event: LoggedEvent) -> Iterator[LoggedEvent]:
        """The event as it may be told: as it was logged, and from its other end; none where it does not matter."""
        if event.kind not in self.kinds or self.subject_id not in (None, event.subject_id):
            return
        if event.kind in OF_OUTBOX and None in (
            event.record_id,
            event.subject_id,
            event.payload.get("enrollment"),
        ):
            return
        if self._suits(event):
            yield event
        if event.kind in OF_PAIRS:
            turned = _turned(event)
            if self._suits(turned):
                yield turned

    def _suits(self, event: LoggedEvent) -> bool:
        return self.record_id in (None, event.record_id) and self.object_type_id in (
            None,
            event.object_type_id,
        )


def _turned(event: LoggedEvent) -> LoggedEvent:
    told = event.payload
    payload = told | {
        "to_id": event.record_id,
        "to_object_type_id": event.object_type_id,
        "type_id": told["inverse_type_id"],
        "inverse_type_id": told["type_id"],
    }
    return replace(event, record_id=told["to_id"], object_type_id=told["to_object_type_id"], payload=payload)


async def choose(
    db: Database,
    account_id: int,
    interests: Iterable[Interest],
    page: LogPage,
    now: datetime,
) -> dict[Interest, list[LoggedEvent] | Problem | Refused]:
    """What of a page's events each interest is to hear, in order; or what is wrong with its filter by now.

    All filters together are asked once, of the records as they are now, or have just been read with the page.
    """
    wanted = list(dict.fromkeys(interests))
    views = [[list(one.views(event)) for event in page.events] for one in wanted]
    met: list[dict[int, bool] | Problem | Refused | None] = [None] * len(wanted)
    asked: dict[int, Asked] = {}
    for n, one in enumerate(wanted):
        if one.where is None or not any(views[n]):
            continue
        try:
            bound = _bound(one, await db.catalogue(account_id, page.version))
        except (Problem, Refused) as problem:
            met[n] = problem
            continue
        ids = _records(views[n])
        if bound.own is not None and ids <= page.records.keys():
            rows = [page.records[record_id] for record_id in ids]
            met[n] = {row.id: row.object_type_id == one.object_type_id and bound.own(row) for row in rows}
        else:
            asked[n] = bound.filter, ids, one.object_type_id or 0
    if asked:
        catalogue = await db.catalogue(account_id, page.version)
        async with db.read(account_id) as reader:
            answers = await filters.matches_many(reader, catalogue, list(asked.values()), now=now)
        for n, answer in zip(asked, answers, strict=True):
            met[n] = answer
    return {one: _told(several, found) for one, several, found in zip(wanted, views, met, strict=True)}


@dataclass(frozen=True, slots=True)
class _Bound:
    """An interest's filter, bound to definitions. `own` asks it of a record that is at hand, where that is enough."""

    catalogue: Catalogue
    filter: Filter
    own: filters.Own | None


# Filters that were bound, by account and interest: definitions seldom change. Each keeps those alive.
_bounds: dict[tuple[int, Interest], _Bound] = {}
BOUNDS_KEPT = 256


def _bound(interest: Interest, catalogue: Catalogue) -> _Bound:
    key = catalogue.account_id, interest
    known = _bounds.get(key)
    if known is not None and known.catalogue is catalogue:
        return known
    of = catalogue.object_types[interest.object_type_id or 0]
    bound = filters.bind(orjson.loads(interest.where or b""), of, catalogue)
    if len(_bounds) >= BOUNDS_KEPT:
        _bounds.clear()
    made = _bounds[key] = _Bound(catalogue, bound, filters.of_own(bound))
    return made


def _records(views: Iterable[list[LoggedEvent]]) -> set[int]:
    return {view.record_id for several in views for view in several if view.record_id is not None}


def _told(
    views: Iterable[list[LoggedEvent]], met: dict[int, bool] | Problem | Refused | None
) -> list[LoggedEvent] | Problem | Refused:
    """The first view of each event whose record meets the filter."""
    if isinstance(met, Problem | Refused):
        return met
    if met is None:
        return [several[0] for several in views if several]
    suiting = ([view for view in several if met.get(view.record_id or 0)] for several in views)
    return [several[0] for several in suiting if several]
