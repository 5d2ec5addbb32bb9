"""Another app in memory, and a runner's turn with it: the least that a sync needs."""

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from engine.sync.connectors.protocol import (
    Capabilities,
    ConnectorError,
    Create,
    Delete,
    Delivery,
    Gone,
    Hint,
    Item,
    Op,
    Outcome,
    Page,
    Phase,
    Rejected,
    RemoteField,
    RemoteObject,
    Update,
    Written,
)
from engine.sync.matching import matchers
from engine.sync.rules import Direction, Mapping, Policy, Rules
from engine.sync.turns import LEASE, Turn
from storage.sync import leases
from tests.crm import T0
from tests.sync_stage import Stage

PEOPLE = RemoteObject(
    "people",
    "People",
    (
        RemoteField("email", "E-mail", unique=True, default_property="email"),
        RemoteField("first", "First name", default_property="firstname"),
        RemoteField("city", "City", default_property="city", max_length=20),
    ),
    default_object_type="contacts",
    found_by=frozenset({"email"}),
)
CAN = Capabilities(conditional=True, page=3, batch=10)


@dataclass
class Elsewhere:
    """People by id. `reads` and `writes` tell what was asked of it."""

    people: dict[str, Item] = field(default_factory=dict)
    reads: int = 0
    writes: list[Op] = field(default_factory=list)
    # What it answers instead of writing.
    refusal: ConnectorError | None = None
    broken: ConnectorError | None = None

    def put(self, external_id: str, **fields: Any) -> None:
        """Somebody over there creates or changes a person."""
        known = self.people.get(external_id, Item(external_id))
        version = str(int(known.version or 0) + 1)
        self.people[external_id] = replace(known, fields={**known.fields, **fields}, version=version)

    async def check(self) -> str:
        return "elsewhere"

    async def describe(self) -> Sequence[RemoteObject]:
        return [PEOPLE]

    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        self.reads += 1
        if self.broken is not None:
            raise self.broken
        names = sorted(self.people)
        begin = int(cursor or 0)
        some = tuple(self.people[name] for name in names[begin : begin + limit])
        return Page(some, str(begin + len(some)), begin + limit < len(names), len(names))

    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        return [self.people.get(one, Item(one, deleted=True)) for one in external_ids]

    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        return [
            tuple(item for item in self.people.values() if item.fields.get(field_) == value)
            for value in values
        ]

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        self.writes += ops
        return [self.refusal or self._write(op) for op in ops]

    def _write(self, op: Op) -> Outcome:
        match op:
            case Create():
                external_id = f"new-{len(self.people) + 1}"
                self.put(external_id, **op.fields)
            case Update():
                if op.external_id not in self.people:
                    return Gone("It is gone.")
                external_id = op.external_id
                self.put(external_id, **op.fields)
            case Delete():
                del self.people[op.external_id]
                return Written(op.external_id)
        made = self.people[external_id]
        return Written(external_id, made.version, made.fields)

    async def created(self, object_: RemoteObject, key: str) -> Item | None:
        return None

    async def hint(self, delivery: Delivery) -> Sequence[Hint]:
        if delivery.headers.get("x-token") != "genuine":
            raise Rejected("It is not genuine.")
        return [Hint(**one) for one in __import__("orjson").loads(delivery.body)]

    async def watch(self, objects: Sequence[str]) -> AsyncIterator[Hint]:
        return
        yield


async def rules_of(it: Stage, direction: Direction = Direction.BOTH, **other: Any) -> Rules:
    """The stage's sync, bound: e-mail address, first name and city."""
    of = (await it.db.catalogue(it.account)).by_name["contacts"]
    fields = {one.name: one for one in PEOPLE.fields}
    pairs = (("email", "email"), ("firstname", "first"), ("city", "city"))
    mappings = tuple(
        Mapping(it.mapping + n, of.properties[ours], fields[theirs], Direction.BOTH, Policy.OURS)
        for n, (ours, theirs) in enumerate(pairs)
    )
    given: dict[str, Any] = {
        "remote": PEOPLE,
        "capabilities": CAN,
        "direction": direction,
        "policy": Policy.OURS,
        "mappings": mappings,
        "matchers": matchers(of, PEOPLE, mappings),
    }
    return Rules(it.sync, of, **given | other)


async def turn(it: Stage, there: Elsewhere, rules: Rules | None = None, now: datetime = T0) -> Turn:
    """A runner's turn with the sync."""
    token = secrets.token_hex(4)
    async with it.db.single(it.account) as single:
        assert await leases.take(single, it.sync, token, now, now + LEASE)
        revision = await single.fetchval(
            "SELECT s.revision FROM sync AS s WHERE s.account_id = $1 AND s.id = $2", it.sync
        )
    return Turn(it.db, it.account, it.sync, token, revision, rules or await rules_of(it), there)
