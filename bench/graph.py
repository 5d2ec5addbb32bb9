"""A generated graph: 200k contacts, 40k companies, 100k deals; 3 companies a contact, 5 deals a company, labels.

Written by COPY into the product's own tables, as its commands would have written it, less history and events.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine import accounts, labels
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow
from storage.database import Actor, Database, Transaction
from storage.property_keys import value_hash

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACTOR = Actor("BENCH")
FIRST_NAMES = (
    "Ann",
    "Ben",
    "Chloé",
    "Dmitri",
    "Emeka",
    "Fatima",
    "Grace",
    "Hiro",
    "Ines",
    "José",
    "Kim",
    "Lena",
)
LAST_NAMES = (
    "Abe",
    "Brown",
    "Costa",
    "Díaz",
    "Evans",
    "Fischer",
    "Garcia",
    "Huber",
    "Ito",
    "Jones",
    "Kaya",
    "Lee",
)
CITIES = ("Amsterdam", "Berlin", "Boston", "Lagos", "Lima", "London", "Mumbai", "Osaka", "Paris", "Zürich")
INDUSTRIES = ("banking", "construction", "education", "energy", "insurance", "logistics", "media", "software")
STAGES = ("qualified_to_buy", "contract_sent", "closed_won", "closed_lost")
RECORDS = """
SELECT array_agg(r.id ORDER BY r.id) FROM record AS r WHERE r.account_id = $1 AND r.object_type_id = $2
"""
DEALS_A_COMPANY = 5


@dataclass(frozen=True, slots=True)
class Size:
    """How many records of each type."""

    contacts: int = 200_000
    companies: int = 40_000
    deals: int = 100_000
    companies_a_contact: int = 3

    def scaled(self, factor: float) -> "Size":
        """The same proportions, smaller or larger."""
        contacts, companies, deals = (
            max(10, int(n * factor)) for n in (self.contacts, self.companies, self.deals)
        )
        return Size(contacts, companies, deals, self.companies_a_contact)


@dataclass(frozen=True, slots=True)
class Graph:
    """The account that was made, its definitions, and the ids of its records by object type."""

    account_id: int
    catalogue: Catalogue
    ids: dict[str, Sequence[int]]

    def label(self, from_name: str, to_name: str, name: str | None) -> AssociationTypeRow:
        """An association type by names; None: the unlabelled one."""
        near, far = self.catalogue.by_name[from_name], self.catalogue.by_name[to_name]
        found = (
            self.catalogue.label(near.id, far.id, name)
            if name
            else self.catalogue.unlabelled(near.id, far.id)
        )
        assert found is not None
        return found


async def build(db: Database, name: str, size: Size) -> Graph:
    """Make the account `name` with a graph in it; the same one at every call."""
    account_id = await accounts.create(db, name, now=NOW)
    async with db.transaction(account_id, now=NOW, actor=ACTOR, defining=True) as tx:
        await labels.create(tx, "contacts", "companies", label="Decision maker", name="decision_maker")
        await labels.create(tx, "contacts", "companies", label="Billing contact", name="billing_contact")
        await labels.create(tx, "companies", "deals", label="Buyer", name="buyer")
    chance = random.Random(7)
    async with db.transaction(account_id, now=NOW, actor=ACTOR) as tx:
        graph = Graph(
            account_id,
            tx.catalogue,
            {
                "contacts": await tx.new_ids(size.contacts),
                "companies": await tx.new_ids(size.companies),
                "deals": await tx.new_ids(size.deals),
            },
        )
        for object_type, properties in (("contacts", contact), ("companies", _company), ("deals", _deal)):
            rows = [(number, properties(n, chance)) for n, number in enumerate(graph.ids[object_type])]
            await _write_records(tx, tx.catalogue.by_name[object_type], rows)
        await _write_associations(tx, _pairs(graph, chance, size.companies_a_contact))
    for table in (
        "record",
        "association",
        "association_count",
        "property_value",
        "property_key",
        "unique_value",
    ):
        await db.pool.execute(f"VACUUM ANALYZE {table}")
    return graph


async def read(db: Database, account_id: int) -> Graph:
    """The graph that `build` made in this account."""
    catalogue = await db.catalogue(account_id)
    ids: dict[str, Sequence[int]] = {}
    async with db.read(account_id) as reader:
        for name in ("contacts", "companies", "deals"):
            ids[name] = await reader.fetchval(RECORDS, catalogue.by_name[name].id)
    return Graph(account_id, catalogue, ids)


def contact(n: int, chance: random.Random) -> dict[str, Any]:
    """The values of a contact."""
    return {
        "firstname": chance.choice(FIRST_NAMES),
        "lastname": f"{chance.choice(LAST_NAMES)}-{chance.randrange(5_000)}",
        "email": f"person{n}@example.com",
        "city": chance.choice(CITIES),
        "jobtitle": chance.choice(("Engineer", "Manager", "Director", "Assistant")),
        "score": chance.randrange(1_000),
    }


def _company(n: int, chance: random.Random) -> dict[str, Any]:
    return {
        "name": f"Company {n}",
        "domain": f"company{n}.example.com",
        "industry": chance.choice(INDUSTRIES),
        "city": chance.choice(CITIES),
        "annualrevenue": chance.randrange(10_000, 100_000_000),
    }


def _deal(n: int, chance: random.Random) -> dict[str, Any]:
    return {"name": f"Deal {n}", "amount": chance.randrange(100, 1_000_000), "stage": chance.choice(STAGES)}


async def _write_records(
    tx: Transaction, object_type: ObjectTypeRow, rows: list[tuple[int, dict[str, Any]]]
) -> None:
    columns = (
        "id",
        "object_type_id",
        "properties",
        "created_at",
        "updated_at",
        "created_source",
        "updated_source",
    )
    await tx.copy(
        "record",
        columns,
        [(number, object_type.id, values, NOW, NOW, "BENCH", "BENCH") for number, values in rows],
    )
    searchable = [prop for prop in object_type.properties.values() if prop.searchable]
    await tx.copy(
        "property_value",
        ("record_id", "property_id", "position", "text_value", "number_value"),
        [
            (
                number,
                prop.id,
                0,
                *((None, values[prop.name]) if prop.type == "NUMBER" else (values[prop.name], None)),
            )
            for number, values in rows
            for prop in searchable
            if prop.name in values
        ],
    )
    await tx.copy(
        "property_key",
        ("property_id", "value_hash", "record_id"),
        [
            (prop.id, value_hash(values[prop.name]), number)
            for prop in object_type.properties.values()
            if prop.writes_keys
            for number, values in rows
            if prop.name in values
        ],
    )
    unique = [prop for prop in object_type.properties.values() if prop.is_unique]
    await tx.copy(
        "unique_value",
        ("property_id", "value", "record_id"),
        [
            (prop.id, values[prop.name], number)
            for number, values in rows
            for prop in unique
            if prop.name in values
        ],
    )


def _pairs(
    graph: Graph, chance: random.Random, companies_a_contact: int
) -> Iterator[tuple[int, int, AssociationTypeRow]]:
    """(from, to, type) of one direction; the unlabelled type with every pair."""
    contacts, companies, deals = graph.ids["contacts"], graph.ids["companies"], graph.ids["deals"]
    plain = graph.label("contacts", "companies", None)
    primary = graph.label("contacts", "companies", "primary")
    roles = [graph.label("contacts", "companies", name) for name in ("decision_maker", "billing_contact")]
    for contact in contacts:
        for n, company in enumerate(chance.sample(companies, companies_a_contact)):
            yield contact, company, plain
            if n == 0:
                yield contact, company, primary
            if chance.random() < 0.5:
                yield contact, company, chance.choice(roles)
    plain, buyer = graph.label("companies", "deals", None), graph.label("companies", "deals", "buyer")
    for company in companies:
        for deal in chance.sample(deals, DEALS_A_COMPANY):
            yield company, deal, plain
            if chance.random() < 0.5:
                yield company, deal, buyer


async def _write_associations(tx: Transaction, pairs: Iterator[tuple[int, int, AssociationTypeRow]]) -> None:
    columns = ("from_id", "to_object_type_id", "to_id", "type_id", "created_at", "source")
    counts: Counter[tuple[int, int]] = Counter()
    rows: list[tuple[Any, ...]] = []
    for near, far, kind in pairs:
        rows.append((near, kind.to_object_type_id, far, kind.id, NOW, "BENCH"))
        rows.append((far, kind.from_object_type_id, near, kind.inverse_id, NOW, "BENCH"))
        counts[near, kind.id] += 1
        counts[far, kind.inverse_id] += 1
        if len(rows) >= 200_000:
            await tx.copy("association", columns, rows)
            rows.clear()
    await tx.copy("association", columns, rows)
    await tx.copy(
        "association_count", ("record_id", "type_id", "n"), [(*key, n) for key, n in counts.items()]
    )
