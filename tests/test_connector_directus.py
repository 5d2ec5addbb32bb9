"""The connector to Directus, held to the laws and to what is Directus's own, against a real one that npm fetches."""

import asyncio
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from engine.sync.categories import Category
from engine.sync.connectors.directus import APP
from engine.sync.connectors.protocol import (
    Create,
    Disconnected,
    Exists,
    FieldType,
    Links,
    Phase,
    Rejected,
    RemoteField,
    RemoteRole,
    Update,
    Value,
)
from engine.sync.definition import RolePart
from storage.database import Database
from tests.conftest import Server, command, outside_any_loop
from tests.connector_laws import ConnectorLaws, Partner, at_work, changes, done, full
from tests.crm import made
from tests.directus import Directus, serving
from tests.gate import Gate, free_port
from tests.sync_real import real


@pytest.fixture(scope="module")
def directus(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directus]:
    name = f"directus_{uuid.uuid4().hex}"
    outside_any_loop(command(server, f'CREATE DATABASE "{name}" TEMPLATE template0'))
    folder: Path = tmp_path_factory.mktemp("directus")
    try:
        with serving(folder, server.named(name)) as running:
            yield running
    finally:
        outside_any_loop(command(server, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(scope="module")
def gate(directus: Directus) -> Iterator[Gate]:
    passing = Gate(directus.port)
    yield passing
    passing.close()


class DirectusPartner(Partner):
    """Contacts, edited by somebody else."""

    app = APP
    object_name = "contacts"
    text = "notes"
    tells_created = True

    def __init__(self, directus: Directus, gate: Gate) -> None:
        self.directus, self.gate = directus, gate

    def settings(self) -> Mapping[str, str]:
        return self.directus.settings(self.gate.port)

    def wrong_credentials(self) -> Mapping[str, str]:
        return {**self.settings(), "token": "another-token"}

    def unreachable(self) -> Mapping[str, str]:
        return self.directus.settings(free_port())

    def new(self, number: int) -> dict[str, Value]:
        return {
            "email": f"person{number}@example.com",
            "first_name": "Person",
            "last_name": f"No. {number}",
            "notes": f"Met {number} times",
        }

    def refused(self) -> Mapping[str, Value]:
        return {**self.new(99), "last_name": "x" * 101}

    def values_of(self, field: RemoteField) -> Sequence[Value]:
        if field.name == "age":
            return [0, 1, -17, 1_234_567]
        return ["other@example.com"] if field.name == "email" else super().values_of(field)

    async def insert(self, fields: Mapping[str, Value]) -> str:
        return self.directus.insert(self.object_name, fields)

    async def change(self, external_id: str, fields: Mapping[str, Value]) -> None:
        self.directus.change(self.object_name, external_id, fields)

    async def remove(self, external_id: str) -> None:
        self.directus.remove(self.object_name, external_id)

    async def settle(self) -> None:
        await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self.gate.shut()

    async def start(self) -> None:
        self.gate.open()

    async def other(self, role: RemoteRole) -> str:
        if role.to == "companies":
            return self.directus.insert("companies", {"name": "Other"})
        return self.directus.insert("contacts", {"email": f"{uuid.uuid4().hex}@example.com"})

    async def associate(self, external_id: str, role: RemoteRole, others: Sequence[str]) -> None:
        ends: Value = next(iter(others), None)
        if role.many:
            ends = [{"contacts_id": other} for other in others]
        self.directus.change(self.object_name, external_id, {role.name: ends})


class DealsPartner(DirectusPartner):
    """Deals: keys that the database counts, and a list of many to many."""

    object_name = "deals"
    text = "title"
    tells_created = False

    def new(self, number: int) -> dict[str, Value]:
        return {"title": f"Deal {number}", "amount": number + 0.5}

    def refused(self) -> Mapping[str, Value]:
        return {"title": "Too large", "amount": 10**12}

    def values_of(self, field: RemoteField) -> Sequence[Value]:
        return [0, 1, -17, 2.5] if field.name == "amount" else Partner.values_of(self, field)[:-1]


@pytest.fixture
def partner(directus: Directus, gate: Gate) -> DirectusPartner:
    directus.empty()
    return DirectusPartner(directus, gate)


class TestDirectus(ConnectorLaws):
    """The laws, with contacts."""


class TestDeals(ConnectorLaws):
    """The laws, with deals."""

    @pytest.fixture
    def partner(self, directus: Directus, gate: Gate) -> DirectusPartner:
        directus.empty()
        return DealsPartner(directus, gate)


async def test_collections_say_what_items_are_like(partner: DirectusPartner) -> None:
    async with APP.open(partner.settings(), partner.surroundings) as connector:
        objects = {each.name: each for each in await connector.describe()}
    assert set(objects) == {"companies", "contacts", "deals"}
    fields = {field.name: field for field in objects["contacts"].fields}
    assert {name: (field.type, field.multiple) for name, field in fields.items()} == {
        "date_created": (FieldType.DATETIME, False),
        "date_updated": (FieldType.DATETIME, False),
        "email": (FieldType.STRING, False),
        "first_name": (FieldType.STRING, False),
        "last_name": (FieldType.STRING, False),
        "age": (FieldType.NUMBER, False),
        "score": (FieldType.NUMBER, False),
        "vip": (FieldType.BOOLEAN, False),
        "born": (FieldType.DATE, False),
        "met": (FieldType.DATETIME, False),
        "called": (FieldType.DATETIME, False),
        "tier": (FieldType.CHOICE, False),
        "topics": (FieldType.CHOICE, True),
        "channels": (FieldType.CHOICE, True),
        "notes": (FieldType.STRING, False),
    }
    assert fields["email"].required
    assert fields["email"].unique
    assert fields["last_name"].max_length == 100
    assert {name for name, field in fields.items() if field.read_only} == {"date_created", "date_updated"}
    assert fields["tier"].options == (("gold", "Gold"), ("silver", "Silver"))
    roles = {name: [(role.name, role.to, role.many) for role in each.roles] for name, each in objects.items()}
    assert roles == {
        "companies": [],
        "contacts": [("company", "companies", False)],
        "deals": [("contacts", "contacts", True)],
    }


async def test_deletions_are_told_where_the_activity_may_be_read(partner: DirectusPartner) -> None:
    first, second = [await partner.insert(partner.new(n)) for n in range(2)]
    async with at_work(partner) as (connector, kind):
        _, cursor = await full(connector, kind, 10)
        await partner.remove(first)
        told, cursor = await changes(connector, kind, cursor, limit=1)
        assert told[first].deleted
        assert not told[second].deleted


@pytest.mark.parametrize(
    ("values", "failure", "category"),
    [
        ({"last_name": "No mail"}, Rejected, Category.REQUIRED_FIELD_MISSING),
        ({"email": "taken@example.com"}, Exists, Category.UNIQUE_VALUE_CONFLICT),
        ({"email": "a@b.example", "last_name": "x" * 101}, Rejected, Category.VALUE_TOO_LONG),
        ({"email": "a@b.example", "age": 2.5}, Rejected, Category.INVALID_VALUE),
    ],
)
async def test_what_is_refused_is_told_apart(
    partner: DirectusPartner, values: Mapping[str, Value], failure: type[Exception], category: Category
) -> None:
    await partner.insert({"email": "taken@example.com"})
    async with at_work(partner) as (connector, kind):
        (outcome,) = await connector.write(kind, [Create("key", values)])
    assert isinstance(outcome, failure)
    assert isinstance(outcome, Rejected | Exists)
    assert outcome.category is category
    assert "insert into" not in outcome.message


async def test_an_end_that_is_not_there_is_refused_alone(partner: DirectusPartner) -> None:
    nobody = (str(uuid.uuid4()),)
    links = Links(added={"company": nobody}, all={"company": nobody})
    async with at_work(partner) as (connector, kind):
        ops = [Create("one", partner.new(1), links), Create("two", partner.new(2))]
        refused, made = await connector.write(kind, ops)
    assert isinstance(refused, Rejected)
    assert refused.category is Category.RECORD_NOT_FOUND
    assert partner.directus.items("contacts").keys() == {made.external_id for made in done([made])}


async def test_times_keep_whatever_zone_the_server_is_in(partner: DirectusPartner) -> None:
    """The server of these tests stands in New York."""
    moment = "2024-07-01T23:30:00.000Z"
    async with at_work(partner) as (connector, kind):
        (made,) = done(
            await connector.write(kind, [Create("key", {**partner.new(1), "met": moment, "called": moment})])
        )
        (item,) = await connector.get(kind, [made.external_id])
    assert (item.fields["met"], item.fields["called"]) == (moment, moment)
    assert partner.directus.items("contacts")[made.external_id]["met"] == moment


async def test_a_full_read_misses_nothing_when_items_before_it_go(partner: DirectusPartner) -> None:
    """Pages by position shift when items are deleted or come in between."""
    ids = sorted([await partner.insert(partner.new(n)) for n in range(30)])
    async with at_work(partner) as (connector, kind):
        met: set[str] = set()
        cursor, more, turn = None, True, 0
        gone: set[str] = set()
        while more:
            page = await connector.read(kind, Phase.FULL, cursor, 4)
            met |= {item.external_id for item in page.items}
            cursor, more, turn = page.cursor, page.more, turn + 1
            if turn == 2:
                gone = set(ids[:5])
                for id_ in gone:
                    await partner.remove(id_)
            if turn == 4:
                for n in range(100, 110):
                    await partner.insert(partner.new(n))
            assert turn < 100
    assert set(ids) - gone <= met


async def test_a_list_keeps_what_is_not_named(partner: DirectusPartner) -> None:
    one, two, three = [await partner.insert(partner.new(n)) for n in range(3)]
    deal = partner.directus.insert(
        "deals", {"title": "A", "contacts": [{"contacts_id": one}, {"contacts_id": two}]}
    )
    async with APP.open(partner.settings(), partner.surroundings) as connector:
        kind = next(each for each in await connector.describe() if each.name == "deals")
        links = Links({"contacts": (three,)}, {"contacts": (one,)}, {"contacts": (two, three)})
        before = {row["contacts_id"]: row["id"] for row in partner.directus.items("deals")[deal]["contacts"]}
        done(await connector.write(kind, [Update(deal, {}, links=links)]))
        (item,) = await connector.get(kind, [deal])
    assert set(item.associations["contacts"]) == {two, three}
    after = {row["contacts_id"]: row["id"] for row in partner.directus.items("deals")[deal]["contacts"]}
    assert after[two] == before[two]


async def test_a_collection_that_nobody_sees_waits_for_a_person(partner: DirectusPartner) -> None:
    settings = {**partner.settings(), "collections": "contacts"}
    async with (
        APP.open(partner.settings(), partner.surroundings) as all_,
        APP.open(settings, partner.surroundings) as few,
    ):
        deals = next(each for each in await all_.describe() if each.name == "deals")
        assert [each.name for each in await few.describe()] == ["contacts"]
        with pytest.raises(Disconnected) as told:
            await few.read(deals, Phase.FULL, None, 10)
    assert told.value.category is Category.MISSING_PERMISSION


async def test_companies_contacts_and_deals_in_both_directions(
    partner: DirectusPartner, db: Database
) -> None:
    """The runner's own way: what both sides have is matched, the rest goes over, relations with it; then edits do."""
    there = partner.directus
    acme = there.insert("companies", {"name": "Acme", "domain": "acme.example"})
    ann = there.insert("contacts", {"email": "ann@acme.example", "first_name": "Ann", "company": acme})
    deal = there.insert("deals", {"title": "Ten anvils", "amount": 99.5, "contacts": [{"contacts_id": ann}]})
    async with APP.open(partner.settings(), partner.surroundings) as connector:
        it = await real(db, APP, connector)
        [here] = made(await it.crm.create({"name": "Acme Inc.", "domain": "acme.example"}, kind="companies"))
        bob = await it.crm.contact(email="bob@acme.example", firstname="Bob")
        await it.relate(bob, here.id, "primary")

        await it.add("companies", "companies", {"name": "name", "domain": "domain"})
        people = {"email": "email", "firstname": "first_name", "lastname": "last_name"}
        await it.add("contacts", "contacts", people, roles=[RolePart("company", "companies", "primary")])
        deals = {"name": "title", "amount": "amount"}
        await it.add("deals", "deals", deals, roles=[RolePart("contacts", "contacts")])
        await it.rest()
        await it.later()
        await it.later()

        assert await it.ours("name", "domain", kind="companies") == [("Acme", "acme.example")]
        assert await it.ours("email", "firstname") == [
            ("ann@acme.example", "Ann"),
            ("bob@acme.example", "Bob"),
        ]
        assert await it.ours("name", "amount", kind="deals") == [("Ten anvils", 99.5)]
        of = {row.properties["email"]: row.id for row in await it.records("contacts")}
        [ours] = [row.id for row in await it.records("deals")]
        assert await it.ends("contacts", "primary") == {(id_, here.id) for id_ in of.values()}
        assert await it.ends("deals") & {(ours, id_) for id_ in of.values()} == {
            (ours, of["ann@acme.example"])
        }
        held = {one["email"]: one for one in there.items("contacts").values()}
        assert held["bob@acme.example"]["company"]["id"] == acme

        # Edits on both sides, of other fields of the same contact, and a relation each way.
        there.change("contacts", ann, {"first_name": "Anna"})
        await it.crm.update((of["ann@acme.example"], {"lastname": "Lee"}))
        await it.relate(ours, of["bob@acme.example"])
        there.change("contacts", held["bob@acme.example"]["id"], {"company": None})
        for _ in range(3):
            await it.later()
        assert await it.ours("firstname", "lastname") == [("Anna", "Lee"), ("Bob", None)]
        now = there.items("contacts")[ann]
        assert (now["first_name"], now["last_name"]) == ("Anna", "Lee")
        ends = {row["contacts_id"] for row in there.items("deals")[deal]["contacts"]}
        assert ends == {ann, held["bob@acme.example"]["id"]}
        assert await it.ends("contacts", "primary") == {(of["ann@acme.example"], here.id)}

        # Then there is silence.
        it.outside.written.clear()
        for _ in range(3):
            await it.later(100_000)
        assert it.outside.written == []
