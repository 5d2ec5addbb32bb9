"""What each operator means. Every expectation is written by hand; both folds must give it."""

from datetime import timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from storage.database import Database
from tests.filtering import World, associated, leaf, world


@pytest.fixture
async def people(db: Database) -> World:
    """Contacts with every kind of value; Nil has none."""
    found = await world(db)
    text = {"ann": "Ann", "small": "ann", "wide": "Änn", "loose": "A\u0308nn", "num": "12", "pct": "100%"}
    await found.make(
        nil={},
        **{name: {"text": value, "found": value} for name, value in text.items()},
    )
    return found


ALL = {"nil", "ann", "small", "wide", "loose", "num", "pct"}


@pytest.mark.parametrize("name", ["text", "found"])
async def test_texts_compare_byte_by_byte(people: World, name: str) -> None:
    assert await people.met(leaf(name, "EQUALS", "Ann")) == {"ann"}
    assert await people.met(leaf(name, "ANY_OF", "Ann", "12", "nobody")) == {"ann", "num"}
    assert await people.met(leaf(name, "ANY_OF", "ANN")) == set()
    assert await people.met(leaf(name, "CONTAINS", "nn")) == {"ann", "small", "wide", "loose"}
    assert await people.met(leaf(name, "CONTAINS", "A")) == {"ann", "loose"}
    assert await people.met(leaf(name, "CONTAINS", "\u0308")) == {"loose"}
    assert await people.met(leaf(name, "STARTS_WITH", "A")) == {"ann", "loose"}
    assert await people.met(leaf(name, "STARTS_WITH", "1", "Ä")) == {"num", "pct", "wide"}
    assert await people.met(leaf(name, "ENDS_WITH", "n", "2")) == {"ann", "small", "wide", "loose", "num"}


async def test_signs_of_patterns_stand_for_themselves(people: World) -> None:
    assert await people.met(leaf("text", "CONTAINS", "%")) == {"pct"}
    assert await people.met(leaf("text", "CONTAINS", "_")) == set()
    assert await people.met(leaf("text", "ENDS_WITH", "\\")) == set()


async def test_who_has_no_value_fails_negative_operators_too_unless_told_otherwise(people: World) -> None:
    for operator, expected in (
        ("NOT_EQUALS", ALL - {"ann", "nil"}),
        ("NONE_OF", ALL - {"ann", "nil"}),
        ("NOT_CONTAINS", ALL - {"ann", "nil"}),
    ):
        assert await people.met(leaf("text", operator, "Ann", includeEmpty=False)) == expected
        assert await people.met(leaf("text", operator, "Ann", includeEmpty=True)) == expected | {"nil"}
    assert await people.met(leaf("text", "EQUALS", "Ann", includeEmpty=True)) == {"ann", "nil"}


async def test_the_default_for_no_value_follows_the_object_type_of_the_definition(people: World) -> None:
    await people.make("companies", acme={"name": "Acme"}, blank={"city": "Rome"})
    assert "nil" in await people.met(leaf("text", "NOT_EQUALS", "Ann"))
    assert await people.met(leaf("name", "NOT_EQUALS", "Other"), "companies") == {"acme"}
    await people.join(("ann", "blank"))
    # The definition is of contacts, though the leaf is about companies.
    assert await people.met(associated("companies", leaf("name", "NOT_EQUALS", "Acme"))) == {"ann"}


async def test_not_negates_what_is_true_or_false(people: World) -> None:
    assert await people.met({"not": leaf("text", "EQUALS", "Ann")}) == ALL - {"ann"}
    assert await people.met({"not": leaf("text", "NOT_EQUALS", "Ann", includeEmpty=False)}) == {"ann", "nil"}
    assert await people.met({"not": {"not": leaf("text", "KNOWN")}}) == ALL - {"nil"}


async def test_known_and_unknown_of_every_type(db: Database) -> None:
    found = await world(db)
    full = {
        "text": "x", "found": "x", "mobile": "+49 30 1", "grade": 0, "points": 0, "active": False, "born": "2026-01-31",
        "died": "2026-01-31", "seen": "2026-01-31T00:00:00Z", "left": "2026-01-31T00:00:00Z", "color": "red",
        "tags": ["a"], "extra": False,
    }  # fmt: skip
    await found.make(full=full, nil={})
    for name in full:
        assert await found.met(leaf(name, "KNOWN")) == {"full"}, name
        assert await found.met(leaf(name, "UNKNOWN")) == {"nil"}, name


@pytest.mark.parametrize("name", ["grade", "points"])
async def test_numbers_compare_as_numbers(db: Database, name: str) -> None:
    found = await world(db)
    values = {
        "minus": -1,
        "zero": 0,
        "one": 1,
        "same": 1.0,
        "half": 1.5,
        "nine": 9,
        "ten": 10,
        "tiny": 1e-300,
    }
    await found.make(nil={}, **{who: {name: value} for who, value in values.items()})
    ask = found.met
    assert await ask(leaf(name, "EQUALS", 1)) == {"one", "same"}
    assert await ask(leaf(name, "EQUALS", 1.0)) == {"one", "same"}
    assert await ask(leaf(name, "ANY_OF", 9, 1.5)) == {"nine", "half"}
    assert await ask(leaf(name, "NONE_OF", 9, 1.5, includeEmpty=False)) == values.keys() - {"nine", "half"}
    assert await ask(leaf(name, "NOT_EQUALS", 1)) == values.keys() - {"one", "same"} | {"nil"}
    assert await ask(leaf(name, "LESS_THAN", 0)) == {"minus"}
    assert await ask(leaf(name, "LESS_THAN_OR_EQUAL", 0)) == {"minus", "zero"}
    assert await ask(leaf(name, "GREATER_THAN", 9)) == {"ten"}
    assert await ask(leaf(name, "GREATER_THAN_OR_EQUAL", 9)) == {"nine", "ten"}
    assert await ask(leaf(name, "GREATER_THAN", 0)) == values.keys() - {"minus", "zero"}
    assert await ask(leaf(name, "BETWEEN", 0, 1)) == {"zero", "tiny", "one", "same"}


async def test_booleans(db: Database) -> None:
    found = await world(db)
    await found.make(nil={}, yes={"active": True}, no={"active": False})
    assert await found.met(leaf("active", "EQUALS", True)) == {"yes"}
    assert await found.met(leaf("active", "EQUALS", False)) == {"no"}
    assert await found.met(leaf("active", "NOT_EQUALS", True, includeEmpty=False)) == {"no"}
    assert await found.met(leaf("active", "NOT_EQUALS", True)) == {"no", "nil"}


async def test_single_and_multiple_choices(db: Database) -> None:
    found = await world(db)
    await found.make(
        nil={},
        red={"color": "red", "tags": ["a"]},
        green={"color": "green", "tags": ["b", "a"]},
        blue={"color": "blue", "tags": ["a", "b", "c"]},
        odd={"tags": ["a,b"]},
    )
    ask = found.met
    assert await ask(leaf("color", "ANY_OF", "red", "green")) == {"red", "green"}
    assert await ask(leaf("color", "NONE_OF", "red", includeEmpty=False)) == {"green", "blue"}
    assert await ask(leaf("color", "EXACTLY", "red")) == {"red"}
    assert await ask(leaf("color", "CONTAINS_ALL", "red")) == {"red"}
    assert await ask(leaf("tags", "ANY_OF", "b", "c")) == {"green", "blue"}
    assert await ask(leaf("tags", "NONE_OF", "b", "c", includeEmpty=False)) == {"red", "odd"}
    assert await ask(leaf("tags", "NONE_OF", "b", "c")) == {"red", "odd", "nil"}
    assert await ask(leaf("tags", "CONTAINS_ALL", "b", "a")) == {"green", "blue"}
    assert await ask(leaf("tags", "EXACTLY", "a", "b")) == {"green"}
    assert await ask(leaf("tags", "EXACTLY", "b", "a", "b")) == {"green"}
    assert await ask(leaf("tags", "EXACTLY", "a,b")) == {"odd"}


@pytest.mark.parametrize("name", ["born", "died"])
async def test_dates(db: Database, name: str) -> None:
    found = await world(db)
    days = {"first": "2026-01-30", "middle": "2026-01-31", "last": "2026-02-01"}
    await found.make(nil={}, **{who: {name: day} for who, day in days.items()})
    assert await found.met(leaf(name, "BEFORE", "2026-01-31")) == {"first"}
    assert await found.met(leaf(name, "AFTER", "2026-01-31")) == {"last"}
    assert await found.met(leaf(name, "ON", "2026-01-31")) == {"middle"}
    assert await found.met(leaf(name, "BETWEEN", "2026-01-31", "2026-02-01")) == {"middle", "last"}
    assert await found.met({"not": leaf(name, "ON", "2026-01-31")}) == {"nil", "first", "last"}


async def test_moments_and_the_days_of_a_time_zone(db: Database) -> None:
    found = await world(db)
    moments = {
        "eve": "2026-01-30T23:59:59.999Z",
        "start": "2026-01-31T00:00:00Z",
        "noon": "2026-01-31T13:00:00+01:00",
        "end": "2026-01-31T23:59:59.999Z",
        "next": "2026-02-01T00:00:00Z",
    }
    await found.make(nil={}, **{who: {"seen": moment} for who, moment in moments.items()})
    ask = found.met
    assert await ask(leaf("seen", "ON", "2026-01-31")) == {"start", "noon", "end"}
    assert await ask(leaf("seen", "BEFORE", "2026-01-31")) == {"eve"}
    assert await ask(leaf("seen", "AFTER", "2026-01-31")) == {"next"}
    assert await ask(leaf("seen", "AFTER", "2026-01-31T12:00:00Z")) == {"end", "next"}
    assert await ask(leaf("seen", "BEFORE", "2026-01-31T12:00:00.001Z")) == {"eve", "start", "noon"}
    assert await ask(leaf("seen", "BETWEEN", "2026-01-31", "2026-02-01")) == {"start", "noon", "end", "next"}
    assert await ask(leaf("seen", "BETWEEN", "2026-01-31T12:00:00Z", "2026-01-31")) == {"noon", "end"}
    berlin = ZoneInfo("Europe/Berlin")
    assert await ask(leaf("seen", "ON", "2026-01-31"), time_zone=berlin) == {"eve", "start", "noon"}
    assert await ask(leaf("seen", "AFTER", "2026-01-31"), time_zone=berlin) == {"end", "next"}


async def test_a_day_is_as_long_as_daylight_saving_makes_it(db: Database) -> None:
    found = await world(db)
    moments = {
        "before": "2026-03-28T22:59:59.999Z",
        "first": "2026-03-28T23:00:00Z",
        "last": "2026-03-29T21:59:59.999Z",
        "after": "2026-03-29T22:00:00Z",
    }
    await found.make(**{who: {"seen": moment} for who, moment in moments.items()})
    berlin = ZoneInfo("Europe/Berlin")
    assert await found.met(leaf("seen", "ON", "2026-03-29"), time_zone=berlin) == {"first", "last"}


async def test_the_first_and_the_last_day_of_the_calendar_have_no_neighbours(db: Database) -> None:
    found = await world(db)
    await found.make(first={"seen": "0001-01-01T00:00:00Z"}, last={"seen": "9999-12-31T23:59:59.999Z"})
    for zone in (timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))):
        assert await found.met(leaf("seen", "AFTER", "9999-12-31"), time_zone=zone) == set()
        assert await found.met(leaf("seen", "BEFORE", "0001-01-01"), time_zone=zone) <= {"first"}


async def test_a_property_compares_with_another(db: Database) -> None:
    found = await world(db)
    await found.make(
        nil={},
        half={"text": "a", "grade": 1, "born": "2026-01-01"},
        same={
            "text": "a",
            "found": "a",
            "grade": 1,
            "points": 1.0,
            "born": "2026-01-01",
            "died": "2026-01-01",
        },
        less={
            "text": "a",
            "found": "b",
            "grade": 9,
            "points": 10,
            "born": "2026-01-01",
            "died": "2026-01-02",
        },
    )
    ask = found.met
    assert await ask(leaf("text", "EQUALS", other="found")) == {"same"}
    assert await ask(leaf("text", "NOT_EQUALS", other="found", includeEmpty=False)) == {"less"}
    assert await ask(leaf("text", "NOT_EQUALS", other="found")) == {"less", "nil", "half"}
    assert await ask(leaf("grade", "LESS_THAN", other="points")) == {"less"}
    assert await ask(leaf("grade", "EQUALS", other="points")) == {"same"}
    assert await ask(leaf("born", "BEFORE", other="died")) == {"less"}
    assert await ask(leaf("born", "AFTER", other="died")) == set()
    assert await ask(leaf("born", "ON", other="died")) == {"same"}


async def test_and_or_of_leaves(people: World) -> None:
    ann, nn = leaf("text", "STARTS_WITH", "A"), leaf("text", "CONTAINS", "nn")
    assert await people.met({"and": [ann, nn, {"not": leaf("text", "EQUALS", "Ann")}]}) == {"loose"}
    assert await people.met({"or": [leaf("text", "EQUALS", "12"), leaf("text", "UNKNOWN")]}) == {"num", "nil"}


async def test_archived_records_meet_nothing(people: World) -> None:
    await people.archive(people.ids["ann"])
    assert await people.met(leaf("text", "KNOWN")) == ALL - {"ann", "nil"}
    assert await people.met({"not": leaf("text", "EQUALS", "nobody")}) == ALL - {"ann"}


async def test_a_text_is_looked_for_in_another_one_of_the_record(db: Database) -> None:
    found = await world(db)
    await found.make(
        inside={"text": "Anna Acme", "found": "na A"},
        start={"text": "Anna Acme", "found": "Anna"},
        end={"text": "Anna Acme", "found": "Acme"},
        none={"text": "Anna", "found": "Anna Acme"},
        odd={"text": "100% a_b", "found": "%"},
        half={"text": "Anna"},
    )

    async def ask(operator: str, **words: Any) -> set[str]:
        return await found.met(leaf("text", operator, other="found", **words))

    assert await ask("CONTAINS") == {"inside", "start", "end", "odd"}
    assert await ask("STARTS_WITH") == {"start"}
    assert await ask("ENDS_WITH") == {"end"}
    assert await ask("NOT_CONTAINS", includeEmpty=False) == {"none"}
    assert await ask("NOT_CONTAINS") == {"none", "half"}


async def test_a_day_and_a_moment_compare_by_the_clocks_of_the_time_zone(db: Database) -> None:
    found = await world(db)
    await found.make(
        # Late in the evening of the 31st in London, the 1st in Berlin.
        late={"born": "2026-02-01", "seen": "2026-01-31T23:30:00Z", "left": "2026-02-01T22:59:59Z"},
        # The clocks of Berlin are two hours ahead in summer.
        summer={"born": "2026-07-02", "seen": "2026-07-01T22:00:00Z", "left": "2026-07-02T22:00:00Z"},
        half={"born": "2026-07-02"},
    )

    async def ask(definition: Any, zone: str) -> set[str]:
        return await found.met(definition, time_zone=ZoneInfo(zone))

    on = leaf("born", "ON", other="seen")
    assert await ask(on, "Europe/Berlin") == {"late", "summer"}
    assert await ask(on, "UTC") == set()
    assert await ask(leaf("seen", "BEFORE", other="born"), "UTC") == {"late", "summer"}
    assert await ask(leaf("born", "AFTER", other="seen"), "Europe/Berlin") == set()
    assert await ask(leaf("born", "ON", other="seen", offset=1, unit="DAY"), "UTC") == {"late", "summer"}
    assert await ask(leaf("seen", "ON", other="left"), "Europe/Berlin") == {"late"}
    assert await ask(leaf("seen", "ON", other="left"), "UTC") == set()
    assert await ask(leaf("left", "ON", other="seen", offset=1, unit="DAY"), "Europe/Berlin") == {"summer"}
