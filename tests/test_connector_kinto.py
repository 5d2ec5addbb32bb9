"""The connector to Kinto, held to the laws, and to what is Kinto's own, against a real server."""

from collections.abc import Iterator, Mapping, Sequence

import pytest

from engine.sync.categories import Category
from engine.sync.connectors.kinto import APP, reading
from engine.sync.connectors.protocol import (
    Create,
    Disconnected,
    FieldType,
    Links,
    Phase,
    Rejected,
    RemoteField,
    RemoteObject,
    RemoteRole,
    Update,
    Value,
    Written,
)
from tests.connector_laws import ConnectorLaws, Partner, at_work, changes, done, full
from tests.gate import Gate, free_port
from tests.kinto import COMPANIES, CONTACTS, Kinto, serving


@pytest.fixture(scope="module")
def kinto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kinto]:
    with serving(tmp_path_factory.mktemp("kinto")) as server:
        yield server


@pytest.fixture(scope="module")
def gate(kinto: Kinto) -> Iterator[Gate]:
    passing = Gate(kinto.port)
    yield passing
    passing.close()


class KintoPartner(Partner):
    """Contacts of a bucket, edited by somebody else."""

    app = APP
    object_name = "contacts"
    text = "lastname"
    tells_created = True

    def __init__(self, kinto: Kinto, gate: Gate) -> None:
        self.kinto, self.gate = kinto, gate

    def settings(self) -> Mapping[str, str]:
        return self.kinto.settings(self.gate.port)

    def wrong_credentials(self) -> Mapping[str, str]:
        return {**self.settings(), "password": "another secret"}

    def unreachable(self) -> Mapping[str, str]:
        return self.kinto.settings(free_port())

    def new(self, number: int) -> dict[str, Value]:
        return {
            "email": f"person{number}@example.com",
            "firstname": "Person",
            "lastname": f"No. {number}",
            "code": f"c{number}",
        }

    def refused(self) -> Mapping[str, Value]:
        return {"email": "wrong@example.com", "tier": "platinum"}

    def values_of(self, field: RemoteField) -> Sequence[Value]:
        return ["other@example.com"] if field.name == "email" else super().values_of(field)

    async def insert(self, fields: Mapping[str, Value]) -> str:
        return self.kinto.insert("contacts", fields)

    async def change(self, external_id: str, fields: Mapping[str, Value]) -> None:
        self.kinto.change("contacts", external_id, fields)

    async def remove(self, external_id: str) -> None:
        self.kinto.remove("contacts", external_id)

    async def stop(self) -> None:
        self.gate.shut()

    async def start(self) -> None:
        self.gate.open()

    async def other(self, role: RemoteRole) -> str:
        return self.kinto.insert(role.to, {"name": "Other", "email": "other@example.com"})

    async def associate(self, external_id: str, role: RemoteRole, others: Sequence[str]) -> None:
        ends: Value = list(others) if role.many else next(iter(others), None)
        self.kinto.change("contacts", external_id, {role.name: ends})


@pytest.fixture
def partner(kinto: Kinto, gate: Gate) -> KintoPartner:
    kinto.empty(contacts=CONTACTS, companies=COMPANIES)
    return KintoPartner(kinto, gate)


class TestKinto(ConnectorLaws):
    """The laws."""


async def test_a_schema_says_what_records_are_like(partner: KintoPartner) -> None:
    async with at_work(partner) as (_, kind):
        fields = {field.name: field for field in kind.fields}
    assert {name: field.type for name, field in fields.items()} == {
        "email": FieldType.STRING,
        "firstname": FieldType.STRING,
        "lastname": FieldType.STRING,
        "code": FieldType.STRING,
        "age": FieldType.NUMBER,
        "vip": FieldType.BOOLEAN,
        "born": FieldType.DATE,
        "met": FieldType.DATETIME,
        "tier": FieldType.CHOICE,
        "topics": FieldType.CHOICE,
    }
    assert fields["email"].required
    assert fields["email"].title == "E-mail"
    assert fields["code"].max_length == 8
    assert [value for value, _ in fields["tier"].options] == ["gold", "silver"]
    assert fields["topics"].multiple
    assert [(role.name, role.to, role.many, role.primary) for role in kind.roles] == [
        ("company", "companies", False, True),
        ("partners", "contacts", True, False),
    ]


async def test_without_a_schema_records_and_settings_say_it(kinto: Kinto) -> None:
    kinto.empty(people=None, teams=None)
    kinto.insert("people", {"name": "Ann", "age": 3, "born": "2020-01-31", "mixed": "text", "team": "t1"})
    kinto.insert("people", {"vip": True, "tags": ["a"], "mixed": 5, "inner": {"not": "a value"}, "age": None})
    told = {"fields": "people.nick, people.met: datetime\nteams.name", "relations": "people.team -> teams"}
    async with APP.open({**kinto.settings(), **told}, KintoPartner.surroundings) as connector:
        people, teams = await connector.describe()
    assert {field.name: (field.type, field.multiple) for field in people.fields} == {
        "age": (FieldType.NUMBER, False),
        "born": (FieldType.DATE, False),
        "met": (FieldType.DATETIME, False),
        "mixed": (FieldType.STRING, False),
        "name": (FieldType.STRING, False),
        "nick": (FieldType.STRING, False),
        "tags": (FieldType.CHOICE, True),
        "vip": (FieldType.BOOLEAN, False),
    }
    assert [field.name for field in people.fields if field.read_only] == ["mixed"]
    assert [(role.name, role.to) for role in people.roles] == [("team", "teams")]
    assert [field.name for field in teams.fields] == ["name"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"fields": "contacts.age: fruit"},
        {"relations": "contacts.company"},
        {"bucket": "a/b"},
        {"url": "nowhere"},
    ],
)
async def test_settings_that_cannot_be_right_are_refused(kinto: Kinto, wrong: Mapping[str, str]) -> None:
    with pytest.raises(Rejected):
        async with APP.open({**kinto.settings(), **wrong}, KintoPartner.surroundings):
            pytest.fail("opened")


@pytest.mark.parametrize(
    ("values", "category", "field"),
    [
        ({"lastname": "No mail"}, Category.REQUIRED_FIELD_MISSING, "email"),
        ({"email": "a@b.example", "tier": "platinum"}, Category.OPTION_NOT_FOUND, "tier"),
        ({"email": "a@b.example", "code": "far too long"}, Category.VALUE_TOO_LONG, "code"),
        ({"email": "a@b.example", "age": "old"}, Category.TYPE_MISMATCH, "age"),
    ],
)
async def test_what_a_schema_refuses_is_told_by_field(
    partner: KintoPartner, values: Mapping[str, Value], category: Category, field: str
) -> None:
    async with at_work(partner) as (connector, kind):
        (outcome,) = await connector.write(kind, [Create("key", values)])
    assert isinstance(outcome, Rejected)
    assert (outcome.category, outcome.field) == (category, field)


async def test_texts_are_found_in_any_case_where_the_server_can(partner: KintoPartner) -> None:
    ann = await partner.insert({"email": "Ann+crm@Example.com"})
    async with at_work(partner) as (connector, kind):
        assert [
            [item.external_id for item in some]
            for some in await connector.find(kind, "email", ["ann+crm@example.com"])
        ] == [[ann]]


async def test_a_bucket_that_is_not_there_waits_for_a_person(kinto: Kinto) -> None:
    kinto.empty()
    async with APP.open({**kinto.settings(), "bucket": "another"}, KintoPartner.surroundings) as connector:
        with pytest.raises(Disconnected) as told:
            await connector.check()
    assert told.value.category is Category.MISSING_PERMISSION


async def test_a_collection_that_is_gone_is_nobody_elses_trouble(partner: KintoPartner) -> None:
    gone = RemoteObject("gone", "Gone", ())
    async with at_work(partner) as (connector, _):
        with pytest.raises(Rejected):
            await connector.read(gone, Phase.FULL, None, 10)
        (outcome,) = await connector.write(gone, [Create("key", {})])
        assert isinstance(outcome, Rejected)


async def test_a_change_is_told_once_it_is_settled_no_more(
    partner: KintoPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stamped lately is told again for a while: some servers commit later than they stamp."""
    # However slow the machine is, nothing is settled before the test is over.
    monkeypatch.setattr(reading, "_BACK", 3_600_000)
    first = await partner.insert(partner.new(1))
    async with at_work(partner) as (connector, kind):
        _, cursor = await full(connector, kind, 10)
        told, cursor = await changes(connector, kind, cursor)
        assert set(told) == {first}
        second = await partner.insert(partner.new(2))
        told, cursor = await changes(connector, kind, cursor)
        assert set(told) == {first, second}


async def test_updates_that_empty_and_others_go_together(partner: KintoPartner) -> None:
    """A batch cannot take a field away: such updates go alone, and come back in their place."""
    ids = [await partner.insert({**partner.new(n), "age": n}) for n in range(6)]
    async with at_work(partner) as (connector, kind):
        ops = [Update(id_, {"age": None} if n % 2 else {"age": 10 * n}) for n, id_ in enumerate(ids)]
        assert [each.external_id for each in done(await connector.write(kind, ops))] == ids
    held = partner.kinto.records("contacts")
    assert [held[id_].get("age") for id_ in ids] == [0, None, 20, None, 40, None]
    assert all("age" not in held[id_] for id_ in ids[1::2])


async def test_a_server_that_asks_for_a_pause_gets_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("slow"), backoff=30, batch_max_requests=3) as slow:
        slow.empty(contacts=CONTACTS)
        async with APP.open(slow.settings(), KintoPartner.surroundings) as connector:
            await connector.read(RemoteObject("contacts", "Contacts", ()), Phase.CHANGES, None, 10)
            with pytest.raises(Disconnected) as told:
                await connector.check()
    assert told.value.category is Category.RATE_LIMITED
    assert told.value.after is not None
    assert 0 < told.value.after.total_seconds() <= 30


async def test_batches_are_as_large_as_the_server_takes(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("small"), batch_max_requests=3) as small:
        small.empty(contacts=CONTACTS, companies=COMPANIES)
        async with APP.open(small.settings(), KintoPartner.surroundings) as connector:
            (_, contacts) = await connector.describe()
            company = small.insert("companies", {"name": "One"})
            links = Links(added={"company": (company,)}, all={"company": (company,)})
            creates = [Create(f"key {n}", {"email": f"{n}@example.com"}, links) for n in range(8)]
            assert all(isinstance(each, Written) for each in await connector.write(contacts, creates))
            assert [item.associations["company"] for item in (await full(connector, contacts, 100))[0]] == [
                (company,)
            ] * 8
