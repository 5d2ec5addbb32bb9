"""Writing records: typed, whole, told; a batch costs a fixed number of statements."""

import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from engine import records
from engine.batches import Mode
from engine.problems import Refused
from storage.changes import ChangeKind, EventKind
from storage.database import Actor, Database
from tests.crm import T0, codes, crm, made, problem_of
from tests.statements import counted

# What a client may send where an object is meant.
NO_OBJECT: Any = "Ann"


async def test_a_record_keeps_what_it_was_given_in_stored_form(db: Database) -> None:
    it = await crm(db)
    (ann,) = made(
        await it.create(
            {
                "email": "ann@example.com",
                "score": 3.0,
                "city": "",
                "notes": None,
                "last_contacted_at": "2026-01-01T01:00:00+01:00",
                "interests": ["pricing", "product"],
            }
        )
    )
    assert ann.properties == {
        "email": "ann@example.com",
        "score": 3,
        "last_contacted_at": "2026-01-01T00:00:00.000Z",
        "interests": ["product", "pricing"],
    }
    assert (ann.created_at, ann.updated_at, ann.created_source, ann.version) == (T0, T0, "API", 1)
    assert await it.rows(ann.id) == [ann]


async def test_records_are_read_in_the_order_asked(db: Database) -> None:
    it = await crm(db)
    one, two = [row.id for row in made(await it.create({"city": "Rome"}, {"city": "Oslo"}))]
    found = await it.rows(two, 1, one, two)
    assert [row and row.properties["city"] for row in found] == ["Oslo", None, "Rome", "Oslo"]


async def test_every_fault_of_an_input_is_told_with_its_place(db: Database) -> None:
    it = await crm(db)
    await it.define(name="tax_number", required=True)
    outcomes = await it.create(
        {"nickname": "x", "score": "many", "tax_number": "1"},
        {"city": "Rome"},
        {"tax_number": "2"},
        NO_OBJECT,
    )
    assert [[(p.code, p.path) for p in outcome.problems] for outcome in outcomes] == [
        [
            ("UNKNOWN_PROPERTY", ("properties", "nickname")),
            ("INVALID_VALUE", ("properties", "score")),
        ],
        [("REQUIRED_PROPERTY", ("properties", "tax_number"))],
        [],
        [("MALFORMED_PROPERTIES", ("properties",)), ("REQUIRED_PROPERTY", ("properties", "tax_number"))],
    ]


async def test_a_required_property_cannot_be_cleared(db: Database) -> None:
    it = await crm(db)
    await it.define(name="tax_number", required=True)
    ann = await it.contact(tax_number="1")
    for empty in (None, "", " ", "\t\n", "\u00a0\u3000"):
        assert codes(await it.update((ann, {"tax_number": empty}))) == ["REQUIRED_PROPERTY"]
        assert codes(await it.create({"tax_number": empty})) == ["REQUIRED_PROPERTY"]
    assert (await it.row(ann)).properties == {"tax_number": "1"}


async def test_blanks_are_a_text_where_none_is_required(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact(firstname=" ", email="ann@acme.example")
    assert (await it.row(ann)).properties == {"firstname": " ", "email": "ann@acme.example"}


async def test_read_only_and_calculated_properties_are_the_systems(db: Database) -> None:
    it = await crm(db)
    await it.define(name="external_id", required=True)
    await it.tamper("UPDATE property SET read_only = true WHERE name = 'external_id'")
    ann = await it.contact(city="Rome")
    assert codes(await it.update((ann, {"external_id": "7"}))) == ["PROPERTY_READ_ONLY"]
    assert codes(await it.create({"external_id": "7"})) == ["PROPERTY_READ_ONLY"]
    it.actor = Actor("SYSTEM")
    made(await it.update((ann, {"external_id": "7"})))
    assert (await it.row(ann)).properties == {"city": "Rome", "external_id": "7"}


async def test_records_of_an_object_type_that_is_not_active_are_refused(db: Database) -> None:
    it = await crm(db)
    with pytest.raises(Exception, match="activate it first"):
        await it.create({}, kind="appointments")


async def test_names_that_no_property_can_have_are_told_without_harm(db: Database) -> None:
    it = await crm(db)
    (outcome,) = await it.create({"a\0\ud800" + "x" * 500: 1})
    told = problem_of(outcome)
    assert told.code == "UNKNOWN_PROPERTY"
    assert "\0" not in told.message
    assert len(told.message) < 200


async def test_a_bad_input_among_a_thousand_leaves_the_others_alone(db: Database) -> None:
    it = await crm(db)
    inputs: list[dict[str, Any]] = [{"email": f"p{n}@example.com"} for n in range(1_000)]
    inputs[500] = {"email": "p500@example.com", "score": "many"}
    outcomes = await it.create(*inputs)
    assert [n for n, outcome in enumerate(outcomes) if outcome.problem] == [500]
    assert [outcome.value.properties["email"] for outcome in outcomes if outcome.value] == [
        given["email"] for n, given in enumerate(inputs) if n != 500
    ]
    assert len(await it.unique_values()) == 999
    # What the bad one wanted is free.
    made(await it.create({"email": "p500@example.com"}))


async def test_an_atomic_batch_with_a_bad_input_does_nothing(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact(email="ann@example.com", city="Rome")
    with pytest.raises(Refused) as caught:
        await it.create({"email": "bob@example.com"}, {"score": "x"}, {"nick": "x"}, mode=Mode.ATOMIC)
    assert [(p.code, p.path) for p in caught.value.problems] == [
        ("INVALID_VALUE", (1, "properties", "score")),
        ("UNKNOWN_PROPERTY", (2, "properties", "nick")),
    ]
    with pytest.raises(Refused):
        await it.update((ann, {"city": "Oslo"}), (1, {"city": "Oslo"}), mode=Mode.ATOMIC)
    with pytest.raises(Refused):
        await it.upsert({"email": "ann@example.com", "city": "Oslo"}, {"city": "Oslo"}, mode=Mode.ATOMIC)
    assert (await it.row(ann)).properties["city"] == "Rome"
    assert await it.unique_values() == {"ann@example.com": ann}
    assert len(await it.events()) == 1


async def test_what_equals_the_present_changes_nothing(db: Database) -> None:
    it = await crm(db)
    (ann,) = made(
        await it.create({"email": "ann@example.com", "score": 1, "interests": ["product", "events"]})
    )
    it.now = T0 + timedelta(hours=1)
    same = {
        "email": "ann@example.com",
        "score": 1.0,
        "interests": ["events", "product"],
        "city": "",
        "notes": None,
    }
    assert made(await it.update((ann.id, same))) == [ann]
    (again,) = made(await it.upsert(same))
    assert (again.row, again.created) == (ann, False)
    assert await it.row(ann.id) == ann
    assert len(await it.history(ann.id)) == 1
    assert len(await it.events()) == 1
    assert len(await it.queue()) == 1


async def test_a_change_is_told_with_old_and_new(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact(city="Rome", score=1)
    it.now, it.actor = T0 + timedelta(hours=1), Actor("WORKFLOW", "wfl_9", depth=2)
    (row,) = made(await it.update((ann, {"city": "Oslo", "score": None, "jobtitle": "Boss"})))
    assert row == await it.row(ann)
    assert (row.updated_at, row.updated_source, row.created_source) == (it.now, "WORKFLOW", "API")
    created, updated = await it.events()
    assert created.payload == {"changed": {"city": [None, "Rome"], "score": [None, 1]}}
    assert (updated.kind, updated.record_id, updated.source_id) == (EventKind.RECORD_UPDATED, ann, "wfl_9")
    assert updated.payload == {
        "changed": {"city": ["Rome", "Oslo"], "score": [1, None], "jobtitle": [None, "Boss"]}
    }
    _, queued = await it.queue()
    assert (queued.kind, queued.depth) == (ChangeKind.UPDATED, 2)
    assert queued.before == {"city": "Rome", "score": 1, "jobtitle": None}
    assert set(queued.properties) == {"city", "score", "jobtitle"}
    newest, oldest = await it.history(ann)
    assert (newest.changed, newest.source, newest.source_id) == (
        {"city": "Oslo", "score": None, "jobtitle": "Boss"},
        "WORKFLOW",
        "wfl_9",
    )
    assert (oldest.changed, oldest.user_id) == ({"city": "Rome", "score": 1}, 7)
    assert [change.version for change in await it.history(ann, "jobtitle")] == [2]


async def test_inputs_about_one_record_come_one_after_the_other(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact(city="Rome")
    rows = made(
        await it.update(
            (ann, {"city": "Oslo", "jobtitle": "Boss"}),
            (ann, {"city": "Rome"}),
            (ann, {"jobtitle": None, "score": 5}),
        )
    )
    assert [row.properties for row in rows] == [{"city": "Rome", "score": 5}] * 3
    newest, _ = await it.history(ann)
    assert newest.changed == {"score": 5}


async def test_an_option_that_was_archived_may_stay_but_not_come_back(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact(leadstatus="new", email="ann@example.com")
    await it.tamper(
        """UPDATE property SET options = '[{"value": "new", "label": "New", "archived": true}]'
            WHERE name = 'leadstatus'"""
    )
    made(await it.update((ann, {"leadstatus": "new", "city": "Rome"})))
    made(await it.upsert({"leadstatus": "new", "email": "ann@example.com", "city": "Oslo"}))
    assert codes(await it.create({"leadstatus": "new"})) == ["INVALID_VALUE"]


async def test_an_upsert_needs_a_unique_property_and_a_key(db: Database) -> None:
    it = await crm(db)
    for by, message in (("city", "not"), ("nickname", "no property")):
        with pytest.raises(Exception, match=message):
            await it.upsert({"city": "Rome"}, by=by)
    outcomes = await it.upsert({"city": "Rome"}, {"email": 5}, NO_OBJECT, {"email": "ann@example.com"})
    assert codes(outcomes) == ["UNIQUE_KEY_MISSING", "INVALID_VALUE", "MALFORMED_PROPERTIES"]
    assert outcomes[3].value is not None


async def test_an_upsert_creates_once_and_then_updates_in_any_case(db: Database) -> None:
    it = await crm(db)
    first, second, third = made(
        await it.upsert(
            {"email": "ann@example.com", "city": "Rome"},
            {"email": "bob@example.com"},
            {"email": "ANN@example.com", "city": "Oslo", "score": 1},
        )
    )
    assert [one.created for one in (first, second, third)] == [True, True, False]
    assert first.row == third.row
    assert first.row.properties == {"email": "ANN@example.com", "city": "Oslo", "score": 1}
    (again,) = made(await it.upsert({"email": "Ann@Example.com", "score": 2}))
    assert (again.row.id, again.created) == (first.row.id, False)
    assert await it.unique_values() == {"ann@example.com": first.row.id, "bob@example.com": second.row.id}


async def test_an_input_that_fails_lets_the_next_one_with_its_key_create(db: Database) -> None:
    it = await crm(db)
    bad, good = await it.upsert({"email": "ann@example.com", "score": "x"}, {"email": "ann@example.com"})
    assert codes(bad) == ["INVALID_VALUE"]
    assert good.value is not None
    assert good.value.created


async def test_searchable_values_follow_the_records(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact(city="Rome", score=1, address="not searchable")
    bob = await it.contact(city="Bern")
    made(
        await it.update(
            (ann, {"city": "Oslo", "score": None, "marketing_contact": True}), (bob, {"score": 2.5})
        )
    )
    sql = """
        SELECT v.record_id, p.name, v.text_value, v.number_value::float8
          FROM property_value AS v JOIN property AS p ON p.account_id = $1 AND p.id = v.property_id
         WHERE v.account_id = $1 ORDER BY v.record_id, p.name
    """
    assert await it.table(sql) == [
        (ann, "city", "Oslo", None),
        (ann, "marketing_contact", "true", None),
        (bob, "city", "Bern", None),
        (bob, "score", None, 2.5),
    ]


def contacts(n: int, at: str) -> list[dict[str, Any]]:
    return [{"email": f"{k}@{at}.example.com", "city": at, "score": k} for k in range(n)]


async def test_a_batch_of_three_hundred_runs_as_many_statements_as_one_of_three(db: Database) -> None:
    it = await crm(db)

    async def cost(command: Callable[[], Awaitable[Any]]) -> int:
        with counted() as seen:
            await command()
        return len(seen)

    figures = []
    # Beyond some fifty, new records go in by COPY.
    for n in (3, 30, 60, 300):
        await it.create(*contacts(n, f"old{n}"))
        ids = [row.id for row in made(await it.create(*contacts(n, f"new{n}")))]
        taken, clash = contacts(n, f"old{n}"), [{**one, "jobtitle": "x"} for one in contacts(n, f"old{n}")]
        renamed = [(one, {"city": "Rome", "email": f"{one}@x"}) for one in ids]
        commands: list[Callable[[], Awaitable[Any]]] = [
            partial(it.create, *contacts(n, f"more{n}")),
            partial(it.create, *taken),
            partial(it.update, *renamed),
            partial(it.update, *zip(ids, taken, strict=True)),
            partial(it.upsert, *contacts(n, f"again{n}")),
            partial(it.upsert, *clash),
            partial(it.archive, *ids),
            partial(it.restore, *ids),
        ]
        figures.append([await cost(command) for command in commands])
    assert figures[0] == figures[1]
    assert figures[2] == figures[3]
    assert all(many <= few for few, many in zip(figures[0], figures[2], strict=True))
    assert max(figures[0]) < 20


async def test_history_replayed_equals_the_state_after_any_batches(db: Database) -> None:
    it = await crm(db)
    chance = random.Random(11)
    ids = [row.id for row in made(await it.create(*({} for _ in range(5))))]
    texts = ["Rome", "Oslo", "", None]
    for hour in range(30):
        it.now = T0 + timedelta(hours=hour)
        given = [
            (
                chance.choice(ids),
                {
                    name: chance.choice(texts)
                    for name in chance.sample(["city", "state", "zip", "country"], 2)
                },
            )
            for _ in range(chance.randint(1, 6))
        ]
        made(await it.update(*given))
    for record_id in ids:
        state: dict[str, Any] = {}
        told = list(reversed(await it.history(record_id)))
        for change in told:
            assert all(state.get(name) != new for name, new in change.changed.items())
            state = {name: new for name, new in (state | change.changed).items() if new is not None}
        row = await it.row(record_id)
        assert state == row.properties
        assert [change.version for change in told] == list(range(1, row.version + 1))
        assert row.updated_at == told[-1].at


async def test_a_history_is_read_in_pages(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact(city="0")
    for n in range(1, 6):
        await it.update((ann, {"city": str(n)} if n % 2 else {"state": str(n)}))
    async with db.read(it.account) as reader:
        page = await records.history(reader, ann, "city", first=2)
        assert ([change.changed["city"] for change in page.changes], page.has_next) == (["5", "3"], True)
        rest = await records.history(reader, ann, "city", first=2, after=page.changes[-1].version)
        assert ([change.changed["city"] for change in rest.changes], rest.has_next) == (["1", "0"], False)
