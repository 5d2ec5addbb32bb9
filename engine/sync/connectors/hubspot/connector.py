"""One HubSpot account, open."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

from engine.sync.categories import Category
from engine.sync.connectors.hubspot import hooks, writing
from engine.sync.connectors.hubspot.calls import Calls
from engine.sync.connectors.hubspot.kinds import KEY_PROPERTY, STANDARD, described, kinds
from engine.sync.connectors.hubspot.reading import MOST, Reader
from engine.sync.connectors.protocol import (
    Create,
    Delivery,
    Exists,
    Gone,
    Hint,
    Item,
    Op,
    Outcome,
    Page,
    Phase,
    Rejected,
    RemoteObject,
    Written,
)

# Other e-mail addresses of a contact: it is found by them, too.
MORE_EMAILS = "hs_additional_emails"


class HubSpot:
    """The verbs of the protocol."""

    def __init__(
        self, calls: Calls, *, overlap: timedelta, deletions: timedelta, client_secret: str, webhook_url: str
    ) -> None:
        self._calls = calls
        self._reader = Reader(calls, overlap, deletions)
        self._reader.type_ids = {kind.name: kind.type_id for kind in STANDARD}
        self._secret = client_secret
        self._webhook_url = webhook_url
        self._keyed: dict[str, bool] = {}

    async def check(self) -> str:
        """The account's number."""
        portal = (await self._account()).get("portalId")
        return f"HubSpot account {portal}" if portal else "HubSpot"

    async def describe(self) -> Sequence[RemoteObject]:
        """The objects that the token may see. Raises Disconnected where it may see none."""
        await self._account()
        all_ = await kinds(self._calls)
        self._reader.type_ids = {kind.name: kind.type_id for kind in all_}
        return await described(self._calls, all_)

    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        """Some items from `cursor` on."""
        match phase:
            case Phase.FULL:
                return await self._reader.full(object_, cursor, limit)
            case Phase.CHANGES:
                return await self._reader.changes(object_, cursor, limit)

    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        """These items as they are now."""
        return await self._reader.get(object_, external_ids)

    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        """Items by a unique property at once; by another one as far as search knows them by now."""
        unique = any(field.name == field_ and field.unique for field in object_.fields)
        found = await (self._by_unique if unique else self._by_search)(object_, field_, values)
        return [tuple(found.get(_key(value), ())) for value in values]

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        """Do each op. With the property for keys, a creation that was done before is told as done."""
        if not ops:
            return []
        keyed = any(isinstance(op, Create) for op in ops) and await self._has_key(object_)
        outcomes = await writing.write(self._calls, object_, ops, keyed)
        if keyed:
            for n, (op, outcome) in enumerate(zip(ops, outcomes, strict=True)):
                if isinstance(op, Create) and isinstance(outcome, Exists):
                    made = await self.created(object_, op.key)
                    if made is not None:
                        outcomes[n] = Written(made.external_id, made.version, made.fields, made.modified_at)
        return outcomes

    async def created(self, object_: RemoteObject, key: str) -> Item | None:
        """The item with this key, where the object has the property for it."""
        if not await self._has_key(object_):
            return None
        told = await self._reader.batch(object_, [{"id": key}], [KEY_PROPERTY], by=KEY_PROPERTY)
        items = await self._reader.items(object_, told)
        return items[0] if items else None

    async def hint(self, delivery: Delivery) -> Sequence[Hint]:
        """What a webhook says has changed."""
        return hooks.hints(delivery, self._secret, self._webhook_url, self._reader.type_ids)

    async def watch(self, objects: Sequence[str]) -> AsyncIterator[Hint]:
        """HubSpot calls us, and does not let us listen."""
        for _ in ():
            yield Hint()
        raise Rejected("HubSpot has nothing to listen to", Category.VALIDATION_REJECTED)

    async def _account(self) -> dict[str, Any]:
        told = await self._calls.account()
        if told.get("portalId") and told.get("uiDomain"):
            self._reader.address = f"https://{told['uiDomain']}/contacts/{told['portalId']}/record/"
        return told

    async def _has_key(self, object_: RemoteObject) -> bool:
        """Whether the object has the property for keys of creations, with values that must be unique."""
        if object_.name not in self._keyed:
            try:
                told = await self._calls.ask("properties", "get_by_name", object_.name, KEY_PROPERTY)
                self._keyed[object_.name] = bool(told.data.has_unique_value) and told.data.type == "string"
            except Gone:
                self._keyed[object_.name] = False
        return self._keyed[object_.name]

    async def _by_unique(
        self, object_: RemoteObject, field_: str, values: Sequence[str]
    ) -> dict[str, list[Item]]:
        found: dict[str, list[Item]] = defaultdict(list)
        asked = list(dict.fromkeys(_key(value) if field_ == "email" else value for value in values))
        more = [field_] if field_ != "email" else [field_, MORE_EMAILS]
        for start in range(0, len(asked), MOST):
            inputs = [{"id": value} for value in asked[start : start + MOST]]
            told = await self._reader.batch(object_, inputs, more, by=field_)
            for item, each in zip(await self._reader.items(object_, told), told, strict=True):
                held = {
                    each.properties.get(field_) or "",
                    *(each.properties.get(MORE_EMAILS) or "").split(";"),
                }
                for key in {_key(value) for value in held if value}:
                    found[key].append(item)
        return found

    async def _by_search(
        self, object_: RemoteObject, field_: str, values: Sequence[str]
    ) -> dict[str, list[Item]]:
        ids: dict[str, str] = {}
        asked = list(dict.fromkeys(map(_key, values)))
        for start in range(0, len(asked), MOST):
            ids |= await self._search(object_, field_, asked[start : start + MOST])
        found: dict[str, list[Item]] = defaultdict(list)
        for item in await self._reader.get(object_, list(ids)):
            # As it is now, and not as the index has it.
            if not item.deleted and item.fields.get(field_) is not None:
                found[_key(str(item.fields[field_]))].append(item)
        return found

    async def _search(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> dict[str, str]:
        """{id: id} of what has one of these values: by id, for as many pages as there are."""
        found: dict[str, str] = {}
        last = 0
        while True:
            body = {
                "filterGroups": [
                    {
                        "filters": [
                            {"propertyName": field_, "operator": "IN", "values": list(values)},
                            {"propertyName": "hs_object_id", "operator": "GT", "value": str(last)},
                        ]
                    }
                ],
                "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                "properties": [field_],
                "limit": 2 * MOST,
            }
            told = (await self._calls.ask("search", "do_search", object_.name, body)).data.results
            found |= {each.id: each.id for each in told}
            if len(told) < 2 * MOST:
                return found
            last = int(told[-1].id)


def _key(value: str) -> str:
    """Values are alike without regard to case, as search has it."""
    return value.strip().casefold()
