"""Another Relata, open."""

from collections.abc import AsyncIterator, Sequence

from engine.sync.categories import Category
from engine.sync.connectors.protocol import (
    Delivery,
    Hint,
    Item,
    Op,
    Outcome,
    Page,
    Phase,
    Rejected,
    RemoteObject,
)
from engine.sync.connectors.relata import reading, writing
from engine.sync.connectors.relata.asking import Asking
from engine.sync.connectors.relata.describing import describe

WATCH = "subscription { changes { recordId objectType other { id objectType } } }"


class RelataConnector:
    """See `Connector`. Associations are read in the roles that an object is given with: fewer cost less."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def check(self) -> str:
        """The account's name."""
        name: str = (await self._asking.ask("query { account { name } }"))["account"]["name"]
        return name

    async def describe(self) -> Sequence[RemoteObject]:
        """Its active object types."""
        return await describe(self._asking)

    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        """Some records. Raises CursorLost."""
        return await reading.page(self._asking, object_, phase, cursor, limit)

    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        """These records, in the order asked; those that were put or merged away come as `deleted`."""
        return await reading.got(self._asking, object_, external_ids)

    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        """For each value the records that have it, in the order asked."""
        if field_ not in object_.found_by:
            raise Rejected(f'Records are not found by "{field_}".', Category.PROPERTY_NOT_FOUND, field_)
        found: dict[str, list[Item]] = {}
        for item in await reading.having(self._asking, object_, field_, list(dict.fromkeys(values))):
            found.setdefault(str(item.fields[field_]), []).append(item)
        return [tuple(found.get(value, ())) for value in values]

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        """Do each op, or say why not, in the order asked."""
        return await writing.write(self._asking, object_, ops) if ops else []

    async def created(self, object_: RemoteObject, key: str) -> Item | None:
        """Not told: a creation that is repeated with its key answers with what it made the first time."""
        return None

    async def hint(self, delivery: Delivery) -> Sequence[Hint]:
        """It tells by its stream alone."""
        raise Rejected("Relata tells of changes by its stream, not by calls.", Category.VALIDATION_REJECTED)

    async def watch(self, objects: Sequence[str]) -> AsyncIterator[Hint]:
        """Records as they change; first of all that anything may have, before the stream began."""
        async for told in self._asking.listen(WATCH):
            if told is None:
                yield Hint()
                continue
            if told["objectType"] in objects:
                yield Hint(told["objectType"], told["recordId"])
            if (other := told["other"]) is not None and other["objectType"] in objects:
                yield Hint(other["objectType"], other["id"])
