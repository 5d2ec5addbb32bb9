"""Filters on what occurred to records: what they mean, when their answers change, whom they listen to."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine import accounts, events, filters, ids, records
from engine.batches import Mode
from engine.events import EventInput, types
from engine.events.types import EventProperty
from engine.filters import Reference
from engine.filters.explaining import explain
from engine.problems import Refused
from storage.database import Database
from tests.filtering import World, associated, leaf, world
from tests.graph import T0
from tests.segments import Segments

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
VIEW = "page_viewed"


def event(type_: str = VIEW, **words: Any) -> dict[str, Any]:
    """An event leaf."""
    return {"event": {"type": type_, **words}}


async def occur(found: World, *told: tuple[str, timedelta, dict[str, Any]], type_: str = VIEW) -> None:
    """Let page views occur to somebody, so long ago."""
    inputs = [EventInput(type_, found.ids[who], held, found.now - ago) for who, ago, held in told]
    async with found.db.transaction(found.account, now=found.now, actor=found.actor) as tx:
        await events.record(tx, inputs, Mode.ATOMIC)


@pytest.fixture
async def story(db: Database) -> World:
    """ann saw the prices three times, last a day ago; bob the front page, ten days ago; cat nothing."""
    found = await world(db)
    found.now = NOW
    await found.make(ann={}, bob={}, cat={})
    await occur(
        found,
        ("ann", timedelta(days=30), {"url": "/pricing", "seconds": 5}),
        ("ann", timedelta(days=8), {"url": "/pricing", "seconds": 50}),
        ("ann", timedelta(days=1), {"url": "/pricing/pro"}),
        ("bob", timedelta(days=10), {"url": "/"}),
    )
    return found


async def test_what_occurred_and_what_did_not(story: World) -> None:
    assert await story.met(event()) == {"ann", "bob"}
    assert await story.met(event(negated=True)) == {"cat"}
    assert await story.met({"not": event()}) == {"cat"}
    assert await story.met(event("form_submitted")) == set()
    prices = leaf("url", "STARTS_WITH", "/pricing")
    assert await story.met(event(where=prices)) == {"ann"}
    assert await story.met(event(where={"not": prices})) == {"bob"}
    long = leaf("seconds", "GREATER_THAN", 10)
    assert await story.met(event(where={"and": [prices, long]})) == {"ann"}
    assert await story.met(event(where=leaf("seconds", "NOT_EQUALS", 5, includeEmpty=False))) == {"ann"}
    assert await story.met(event(where=leaf("url", "EQUALS", other="title"))) == set()


async def test_one_and_the_same_event_meets_all_conditions(story: World) -> None:
    long_pro = {"and": [leaf("url", "EQUALS", "/pricing/pro"), leaf("seconds", "GREATER_THAN", 10)]}
    assert await story.met(event(where=long_pro)) == set()
    assert await story.met({"and": [event(where=part) for part in long_pro["and"]]}) == {"ann"}


async def test_how_often(story: World) -> None:
    for operator, count, who in (
        ("EQUALS", 3, {"ann"}),
        ("EQUALS", 0, {"cat"}),
        ("GREATER_THAN", 1, {"ann"}),
        ("GREATER_THAN_OR_EQUAL", 1, {"ann", "bob"}),
        ("LESS_THAN", 3, {"bob", "cat"}),
        ("LESS_THAN_OR_EQUAL", 0, {"cat"}),
        ("NOT_EQUALS", 1, {"ann", "cat"}),
    ):
        assert await story.met(event(operator=operator, count=count)) == who, (operator, count)
    # So many times is at least so many.
    assert await story.met(event(count=2)) == {"ann"}


async def test_when(story: World) -> None:
    week = {"value": 1, "unit": "WEEK"}
    assert await story.met(event(within=week)) == {"ann"}
    assert await story.met(event(within=week, negated=True)) == {"bob", "cat"}
    # By time and by number at once.
    assert await story.met(event(within={"value": 9, "unit": "DAY"}, count=2)) == {"ann"}
    assert await story.met(event(within=week, count=2)) == set()
    assert await story.met(event(after="2026-02-28", before="2026-03-01")) == set()
    assert await story.met(event(after="2026-02-27", before="2026-03-02")) == {"bob"}
    assert await story.met(event(before="2026-02-28T12:00:00Z")) == {"ann"}
    assert await story.met(event(before="2026-02-28T12:00:00.001Z")) == {"ann", "bob"}
    assert await story.met(event(after="2026-03-09T12:00:00Z", negated=True)) == {"ann", "bob", "cat"}
    # After a day is after its end, by the clocks of the account.
    assert await story.met(event(after="2026-03-09")) == set()
    assert await story.met(event(after="2026-03-08")) == {"ann"}


async def test_a_record_that_is_asked_of_itself_and_as_somebody_elses_colleague(story: World) -> None:
    """Whose own values decide is not read for itself; as a neighbour it is, and there no event is looked into."""
    await story.join(("ann", "bob", "colleague"))
    await story.make(dan={"text": "x"})
    await story.join(("dan", "ann", "colleague"))
    prices = event(where=leaf("url", "CONTAINS", "pricing"))
    beside = associated("contacts", event())
    assert await story.met({"and": [prices, leaf("text", "EQUALS", "x"), beside]}) == set()
    assert await story.met({"or": [prices, {"and": [leaf("text", "EQUALS", "x"), beside]}]}) == {"ann", "dan"}


async def test_of_those_one_is_associated_with(story: World) -> None:
    await story.make("companies", acme={}, bolt={})
    await story.join(("ann", "acme", "billing"), ("bob", "bolt"))
    prices = event(where=leaf("url", "CONTAINS", "pricing"))
    assert await story.met(associated("contacts", prices), "companies") == {"acme"}
    assert await story.met(associated("contacts", prices, quantifier="NONE"), "companies") == {"bolt"}
    catalogue = await story.catalogue()
    companies, contacts = catalogue.by_name["companies"], catalogue.by_name["contacts"]
    bound = await story.bind(associated("contacts", prices), "companies")
    back = catalogue.unlabelled(contacts.id, companies.id).id
    view = catalogue.event_type(VIEW)
    assert view is not None
    assert Reference("EVENT", view.id, (back,)) in filters.references(bound, companies.id, catalogue)


async def test_an_answer_stands_until_enough_events_have_left_the_window(story: World) -> None:
    contacts = (await story.catalogue()).by_name["contacts"].id

    async def until(definition: Any, name: str) -> datetime | None:
        bound = await story.bind(definition)
        async with story.db.snapshot(story.account) as reader:
            (told,) = await filters.foreseen(
                reader, await story.catalogue(), [(bound, [story.ids[name]], contacts)], now=story.now
            )
        return told[story.ids[name]].until

    month = {"value": 40, "unit": "DAY"}
    day = timedelta(days=1)
    # The last of three.
    assert await until(event(within=month), "ann") == NOW + 39 * day
    assert await until(event(within=month, negated=True), "ann") == NOW + 39 * day
    # The first of three, and the second.
    assert await until(event(within=month, count=3), "ann") == NOW + 10 * day
    assert await until(event(within=month, operator="EQUALS", count=1), "ann") == NOW + 32 * day
    # What none can leave changes by what occurs alone.
    assert await until(event(within=month), "cat") is None
    assert await until(event(within=month, count=4), "ann") is None
    assert await until(event(after="2026-01-01"), "ann") is None
    assert filters.moving(await story.bind(event(within=month)))
    assert not filters.moving(await story.bind(event(after="2026-01-01")))


REFUSED: list[tuple[Any, str, tuple[Any, ...]]] = [
    (event("nothing"), "UNKNOWN_EVENT_TYPE", ("event", "type")),
    ({"event": {}}, "MALFORMED_LEAF", ("event", "type")),
    ({"event": {"type": VIEW, "colour": 1}}, "MALFORMED_LEAF", ("event",)),
    (event("visited"), "EVENT_OF_ANOTHER_TYPE", ("event", "type")),
    (event(negated=1), "MALFORMED_LEAF", ("event", "negated")),
    # "Did not occur" takes a window of time alone.
    (event(negated=True, where=leaf("url", "KNOWN")), "MALFORMED_LEAF", ("event", "where")),
    (event(negated=True, count=1), "MALFORMED_LEAF", ("event", "count")),
    (event(negated=True, operator="EQUALS"), "MALFORMED_LEAF", ("event", "operator")),
    (event(operator="EQUALS"), "MALFORMED_LEAF", ("event", "count")),
    (event(operator="CONTAINS", count=1), "UNKNOWN_OPERATOR", ("event", "operator")),
    (event(count=-1), "MALFORMED_LEAF", ("event", "count")),
    (event(count=1.5), "MALFORMED_LEAF", ("event", "count")),
    (event(within={"value": 0, "unit": "DAY"}), "MALFORMED_LEAF", ("event", "within", "value")),
    (event(within={"value": 1, "unit": "AGE"}), "UNKNOWN_UNIT", ("event", "within", "unit")),
    (event(within={"value": 1}), "MALFORMED_LEAF", ("event", "within", "unit")),
    (event(within=3), "MALFORMED_LEAF", ("event", "within")),
    (event(after="soon"), "INVALID_VALUE", ("event", "after")),
    (event(after="2026-02-02", before="2026-02-02"), "RANGE_REVERSED", ("event", "before")),
    (event(includeEmpty=True), "MALFORMED_LEAF", ("event",)),
    (
        event(where=leaf("colour", "KNOWN")),
        "UNKNOWN_EVENT_PROPERTY",
        ("event", "where", "property", "name"),
    ),
    (
        event(where={"and": [leaf("url", "EQUALS", other="colour")]}),
        "UNKNOWN_EVENT_PROPERTY",
        ("event", "where", "and", 0, "property", "other"),
    ),
    (
        event(where=leaf("url", "HAS_EVER_BEEN", "/")),
        "OPERATOR_DOES_NOT_FIT",
        ("event", "where", "property", "operator"),
    ),
    (event(where=leaf("seconds", "EQUALS", "1")), "INVALID_VALUE", ("event", "where", "property", "value")),
    (event(where=event()), "MALFORMED_LEAF", ("event", "where", "event")),
    (
        event(where={"not": associated("companies")}),
        "MALFORMED_LEAF",
        ("event", "where", "not", "associated"),
    ),
]


async def test_what_is_wrong_is_told_by_code_and_path(story: World) -> None:
    async with story.db.transaction(story.account, now=story.now, actor=story.actor, defining=True) as tx:
        await types.create(tx, name="visited", label="Visited", object_type="companies")
    for definition, code, path in REFUSED:
        with pytest.raises(Refused) as refused:
            await story.bind(definition)
        assert [(one.code, one.path) for one in refused.value.problems] == [(code, path)], definition


async def test_a_definition_breaks_with_its_event_type_and_says_so(story: World) -> None:
    async with story.db.transaction(story.account, now=story.now, actor=story.actor, defining=True) as tx:
        wanted = [EventProperty("amount", "NUMBER"), EventProperty("shop", "STRING")]
        await types.create(tx, name="bought", label="Bought", properties=wanted)
    definition = {"or": [event("bought", where=leaf("shop", "KNOWN")), leaf("text", "KNOWN")]}

    async def broken() -> list[tuple[str, tuple[Any, ...]]]:
        catalogue = await story.catalogue()
        found = filters.problems(definition, catalogue.by_name["contacts"], catalogue)
        return [(problem.code, problem.path) for problem in found]

    assert await broken() == []
    assert filters.leaves(definition) == 3
    async with story.db.transaction(story.account, now=story.now, actor=story.actor, defining=True) as tx:
        await types.update(tx, "bought", properties=wanted[:1])
    assert await broken() == [("UNKNOWN_EVENT_PROPERTY", ("or", 0, "event", "where", "property", "name"))]
    async with story.db.transaction(story.account, now=story.now, actor=story.actor, defining=True) as tx:
        await types.archive(tx, "bought")
    assert await broken() == [("UNKNOWN_EVENT_TYPE", ("or", 0, "event", "type"))]


async def test_an_explanation_shows_what_occurred(story: World) -> None:
    catalogue = await story.catalogue()
    contacts = catalogue.by_name["contacts"]
    definition = filters.explicit(
        event(where=leaf("url", "STARTS_WITH", "/pricing"), within={"value": 9, "unit": "DAY"}), contacts
    )
    bound = await story.bind(definition)
    async with story.db.snapshot(story.account) as reader:
        told = await explain(
            reader, catalogue, definition, bound, story.ids["ann"], contacts.id, now=story.now
        )
    assert told is not None
    assert (told["kind"], told["holds"], told["actual"]["count"]) == ("event", True, 2)
    assert told["expected"]["where"]["property"]["name"] == "url"
    assert told["window"] == {"from": "2026-03-01T12:00:00.000Z"}
    newest, _, outside = told["actual"]["events"]
    assert newest["occurredAt"] == "2026-03-09T12:00:00.000Z"
    assert (newest["counts"], newest["properties"]) == (True, {"url": "/pricing/pro"})
    assert outside["counts"] is False
    assert ids.decode("event", newest["event"])


async def test_active_segments_follow_events_near_and_far_and_the_clock(db: Database) -> None:
    crm = Segments(db, await accounts.create(db, "demo", now=T0))
    ann, bob = await crm.create("contacts", {}, {})
    acme = await crm.one("companies")
    await crm.associate((acme, bob))
    week = {"value": 7, "unit": "DAY"}
    recent = await crm.segment("contacts", event(within=week))
    quiet = await crm.segment("contacts", event(within=week, negated=True))
    twice = await crm.segment("companies", associated("contacts", event(count=2)))
    await crm.settle()
    assert (await crm.members(recent), await crm.members(quiet)) == (set(), {ann, bob})

    async def view(*who: int) -> None:
        async with crm.writing() as tx:
            await events.record(tx, [EventInput(VIEW, one, {}) for one in who], Mode.ATOMIC)
        await crm.settle()

    await view(ann, bob)
    assert (await crm.members(recent), await crm.members(quiet)) == ({ann, bob}, set())
    assert await crm.members(twice) == set()
    await view(bob)
    assert await crm.members(twice) == {acme}
    later = crm.now + timedelta(days=8)
    await crm.settle(later)
    assert (await crm.members(recent), await crm.members(quiet)) == (set(), {ann, bob})
    await crm.expect_at_rest(now=later)


async def test_what_a_survivor_gains_by_a_merge_lets_it_join(db: Database) -> None:
    crm = Segments(db, await accounts.create(db, "demo", now=T0))
    ann, anne = await crm.create("contacts", {}, {})
    seen = await crm.segment("contacts", event())
    async with crm.writing() as tx:
        await events.record(tx, [EventInput(VIEW, anne, {})], Mode.ATOMIC)
    await crm.settle()
    assert await crm.members(seen) == {anne}
    async with crm.writing() as tx:
        await records.merge(tx, ann, anne)
    await crm.settle()
    assert await crm.members(seen) == {ann}
    await crm.expect_at_rest()
