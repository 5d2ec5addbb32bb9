"""A small account to try filters on: both folds answer, and must agree, before a story says what is right."""

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import associations, filters, labels
from engine.associations import Pair
from engine.batches import Mode
from engine.properties import Option
from storage.catalogue import Catalogue
from storage.database import Database
from storage.filters import facts
from storage.filters.tree import Filter
from storage.statements import Statement
from tests.crm import Crm, crm, made

# What no command would store: values of another type than the declared one.
MISSHAPE = Statement(
    "tests.misshape", "UPDATE record AS r SET properties = $3 WHERE r.account_id = $1 AND r.id = $2"
)


def options(*values: str) -> list[Option]:
    """Choices of an enumeration."""
    return [Option(value) for value in values]


# On contacts; the searchable ones have a twin without an index.
PROPERTIES: Sequence[dict[str, Any]] = (
    {"name": "text"},
    {"name": "found", "searchable": True},
    {"name": "mobile", "type": "PHONE"},
    {"name": "grade", "type": "NUMBER"},
    {"name": "points", "type": "NUMBER", "searchable": True},
    {"name": "active", "type": "BOOLEAN"},
    {"name": "born", "type": "DATE"},
    {"name": "died", "type": "DATE", "searchable": True},
    {"name": "seen", "type": "DATETIME"},
    {"name": "left", "type": "DATETIME"},
    {"name": "color", "type": "ENUMERATION", "options": options("red", "green", "blue")},
    {"name": "tags", "type": "ENUMERATION", "multiple": True, "options": options("a", "b", "c", "a,b")},
    {"name": "extra", "type": "JSON"},
)


@dataclass(slots=True)
class World(Crm):
    """Records by the names of the story."""

    ids: dict[str, int] = field(default_factory=dict)
    # Ids of segments and workflows, by the names that definitions of tests give them.
    names: dict[str, str] = field(default_factory=dict)

    async def catalogue(self) -> Catalogue:
        """The definitions as they are."""
        return await self.db.catalogue(self.account)

    async def make(self, kind: str = "contacts", /, **people: Mapping[str, Any]) -> None:
        """Records by name, with their properties."""
        rows = made(await self.create(*people.values(), kind=kind))
        self.ids |= {name: row.id for name, row in zip(people, rows, strict=True)}

    async def join(self, *pairs: tuple[str, ...]) -> None:
        """Associate (from, to, label, …)."""
        await self._pairs(associations.associate, [(self.ids[p[0]], self.ids[p[1]], *p[2:]) for p in pairs])

    async def part(self, *pairs: tuple[str, str]) -> None:
        """Take associations away."""
        await self._pairs(associations.dissociate, [(self.ids[p[0]], self.ids[p[1]]) for p in pairs])

    async def _pairs(self, command: Any, pairs: Iterable[Sequence[Any]]) -> None:
        asked = [Pair(pair[0], pair[1], tuple(pair[2:])) for pair in pairs]
        async with self.db.transaction(self.account, now=self.now, actor=self.actor) as tx:
            made(list(await command(tx, asked, Mode.ATOMIC)))

    async def label(self, one: str, other: str, text: str, **words: Any) -> None:
        """A label between two object types."""
        async with self.db.transaction(self.account, now=self.now, actor=self.actor, defining=True) as tx:
            await labels.create(tx, one, other, label=text, **words)

    async def misshape(self, name: str, properties: Mapping[str, Any]) -> None:
        """Put values into a record that no command would."""
        async with self.db.transaction(self.account, now=self.now, actor=self.actor) as tx:
            await tx.execute(MISSHAPE, self.ids[name], dict(properties))

    async def bind(self, definition: Any, kind: str = "contacts", **words: Any) -> Filter:
        """The filter that a definition describes."""
        catalogue = await self.catalogue()
        return filters.bind(definition, catalogue.by_name[kind], catalogue, **words)

    async def met(self, definition: Any, kind: str = "contacts", **words: Any) -> set[str]:
        """The names of all records that meet a definition, as both folds say."""
        bound = await self.bind(definition, kind, **words)
        found = await self.folds(bound, kind, self.ids.values())
        return {name for name, record_id in self.ids.items() if record_id in found}

    async def folds(self, bound: Filter, kind: str, ids: Collection[int]) -> set[int]:
        """The ids of those that meet a filter; fails where SQL and Python do not say the same."""
        object_type_id = (await self.catalogue()).by_name[kind].id
        async with self.db.snapshot(self.account) as reader:
            by_sql = await facts.met(reader, bound, object_type_id, list(ids), now=self.now)
            by_python = await filters.matches(reader, bound, ids, object_type_id, now=self.now)
        assert by_python.keys() == set(ids)
        assert {record_id for record_id, holds in by_python.items() if holds} == by_sql
        return by_sql


async def world(db: Database) -> World:
    """An account with a property of every type and with labels of every kind."""
    base = await crm(db)
    found = World(base.db, base.account)
    for words in PROPERTIES:
        await found.define("contacts", **words)
    await found.label(
        "contacts", "companies", "Billing", name="billing", inverse_label="Pays", inverse_name="pays"
    )
    await found.label("contacts", "companies", "Advisor", name="advisor")
    await found.label(
        "contacts", "contacts", "Manager", name="manager", inverse_label="Report", inverse_name="report"
    )
    await found.label("contacts", "contacts", "Colleague", name="colleague")
    return found


def leaf(name: str, operator: str, *values: Any, **words: Any) -> dict[str, Any]:
    """A property leaf; one value is `value`, several are `values`."""
    given = {} if not values else {"value": values[0]} if len(values) == 1 else {"values": list(values)}
    return {"property": {"name": name, "operator": operator, **given, **words}}


def associated(to: str, where: Any = None, **words: Any) -> dict[str, Any]:
    """An associated leaf."""
    return {"associated": {"to": to, "where": where, **words}}


TEXTS = (
    "Ann", "ann", "Änn", "A\u0308nn", "e\u0301", "é", "😀", "😀x", "\uffff", "ﬁ", "12", "12.0", "1e1", "1", "true",
    "null", "100%", "a_b", "axb", "a\\b", "\\", "%", "_", " ", "a b", "2026-01-01", "ß", "SS", "日本", "x" * 255,
    "x" * 256, "x" * 257, "x" * 300, '"', "'", "\u202e", "z\n",
)  # fmt: skip
NUMBERS = (
    0, 1, 1.0, -1, 1.5, 0.1, 0.30000000000000004, 0.3, 12, 1e-300, 5e-324, -1e-300, 2**53 - 1, -(2**53 - 1),
    1e15, 123456789.125, 1e-7, -0.0, 10, 100,
)  # fmt: skip
DATES = ("2026-01-31", "2026-02-01", "0001-01-01", "9999-12-31", "2024-02-29", "1969-12-31")
MOMENTS = (
    "2026-01-31T00:00:00Z", "2026-01-31T23:59:59.999Z", "2026-02-01T00:30:00+01:00", "2026-02-01T00:00:00Z",
    "2026-01-31T09:30:00.123456Z", "2026-03-29T01:30:00+01:00", "2026-10-25T02:30:00+02:00",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
)  # fmt: skip
TAGS = ("a", "b", "c", "a,b")
COLORS = ("red", "green", "blue")
PHONES = ("+49 30 1234567", "030 1234567", "12", "+1", "1.0 2")

POOLS: dict[str, Sequence[Any]] = {
    "text": TEXTS,
    "found": TEXTS,
    "mobile": [text for text in PHONES if sum(one.isdigit() for one in text) > 1],
    "grade": NUMBERS,
    "points": NUMBERS,
    "active": (True, False),
    "born": DATES,
    "died": DATES,
    "seen": MOMENTS,
    "left": MOMENTS,
    "color": COLORS,
    "tags": TAGS,
}

MISSHAPEN: Sequence[dict[str, Any]] = (
    {
        "text": 12,
        "found": None,
        "grade": "12",
        "points": "x",
        "active": "true",
        "born": 1,
        "seen": [],
        "tags": "a",
    },
    {"text": ["Ann"], "grade": True, "points": [1], "active": 1, "born": {}, "color": ["red"], "tags": []},
    {"text": None, "grade": None, "active": None, "seen": None, "color": 0, "tags": {"a": 1}, "extra": None},
    {
        "text": {"Ann": 1},
        "grade": {},
        "active": [],
        "left": True,
        # No choice that there is: of one, the side table would have to know as well.
        "tags": [1, None, "z", ["b"]],
        "extra": False,
    },
)


def some_values(chance: random.Random) -> dict[str, Any]:
    """Values for a random part of the properties."""
    found: dict[str, Any] = {}
    for name, pool in POOLS.items():
        if chance.random() < 0.35:
            continue
        if name == "tags":
            found[name] = chance.sample(TAGS, chance.randint(1, 3))
        else:
            found[name] = chance.choice(pool)
    if chance.random() < 0.5:
        found["extra"] = chance.choice([{"a": 1}, [], False, 0, "x", {}])
    return found
