"""Filters that look at the clock: what they mean in time zones, and when their answers change."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from engine import filters
from engine.filters.facts import fetch, needs
from engine.filters.predicates import predicate
from storage.database import Database
from storage.filters import facts
from storage.filters.times import FIRST, LAST, Edge, Form, Shift, Start, Unit, day, moment, passing
from tests.filtering import World, associated, leaf, world
from tests.filtering_past import (
    TURNS,
    ZONES,
    clocks,
    event_leaves,
    live,
    moving_leaves,
    named,
    near,
    past_leaves,
    times,
)

BERLIN, NEW_YORK, APIA = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Pacific/Apia")
KATHMANDU, ST_JOHNS = ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/St_Johns")


def utc(text: str) -> datetime:
    """A moment of UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- edges --------------------------------------------------------------------------------------------------

EDGES: list[tuple[Edge, str, str]] = [
    # An hour is an hour, also when clocks change.
    (Shift(Unit.HOUR, -2, BERLIN), "2026-03-29T02:00", "2026-03-29T00:00"),
    (Shift(Unit.MINUTE, 90, NEW_YORK), "2026-11-01T05:30", "2026-11-01T07:00"),
    # A day is the same time on another day: 23 or 25 hours.
    (Shift(Unit.DAY, -1, BERLIN), "2026-03-29T10:00", "2026-03-28T11:00"),
    (Shift(Unit.DAY, 1, BERLIN), "2026-10-24T10:00", "2026-10-25T11:00"),
    # The 29th at half past two is skipped in Berlin: what is meant is the moment at which it is.
    (Shift(Unit.DAY, 1, BERLIN), "2026-03-28T01:30", "2026-03-29T01:00"),
    # Half past two comes twice; the first one is meant.
    (Shift(Unit.DAY, 1, BERLIN), "2026-10-24T00:30", "2026-10-25T00:30"),
    # And who asks in the second half past two has seen three o'clock already.
    (Shift(Unit.DAY, -1, BERLIN), "2026-10-25T01:30", "2026-10-24T01:00"),
    # Apia had no 30th of December 2011.
    (Start(Unit.DAY, 0, APIA), "2011-12-30T09:59:59", "2011-12-29T10:00"),
    (Start(Unit.DAY, 0, APIA), "2011-12-30T10:00", "2011-12-30T10:00"),
    (Start(Unit.DAY, -1, APIA), "2011-12-30T12:00", "2011-12-30T10:00"),
    (Start(Unit.DAY, -2, APIA), "2011-12-30T12:00", "2011-12-29T10:00"),
    # Five hours and three quarters ahead.
    (Start(Unit.DAY, 0, KATHMANDU), "2026-01-31T18:14:59", "2026-01-30T18:15"),
    (Start(Unit.DAY, 0, KATHMANDU), "2026-01-31T18:15", "2026-01-31T18:15"),
    # Clocks went back from one past midnight to one past eleven: the new day had begun.
    (Start(Unit.DAY, 0, ST_JOHNS), "2008-11-02T02:45", "2008-11-02T02:30"),
    # A month later there is no 31st: the month's end, so that the edge never goes back.
    (Shift(Unit.MONTH, 1, BERLIN), "2026-01-31T10:00", "2026-02-28T23:00"),
    (Shift(Unit.MONTH, 1, BERLIN), "2026-01-28T10:00", "2026-02-28T10:00"),
    (Shift(Unit.MONTH, -1, BERLIN), "2026-03-31T10:00", "2026-02-28T23:00"),
    (Shift(Unit.YEAR, -1, BERLIN), "2024-02-29T10:00", "2023-02-28T23:00"),
    (Shift(Unit.YEAR, 4, BERLIN), "2024-02-29T10:00", "2028-02-29T10:00"),
    (Shift(Unit.QUARTER, -1, BERLIN), "2026-05-31T10:00", "2026-02-28T23:00"),
    # The calendar's own.
    (Start(Unit.WEEK, 0, BERLIN), "2026-03-01T22:59", "2026-02-22T23:00"),
    (Start(Unit.WEEK, 0, BERLIN), "2026-03-01T23:00", "2026-03-01T23:00"),
    (Start(Unit.MONTH, -1, NEW_YORK), "2026-03-31T12:00", "2026-02-01T05:00"),
    (Start(Unit.QUARTER, 1, NEW_YORK), "2026-11-30T12:00", "2027-01-01T05:00"),
    (Start(Unit.YEAR, 0, NEW_YORK), "2026-01-01T04:59:59.999", "2025-01-01T05:00"),
    # Milliseconds are what there is.
    (Shift(Unit.MINUTE, 0, BERLIN), "2026-01-01T00:00:00.123999", "2026-01-01T00:00:00.123"),
]


@pytest.mark.parametrize(("edge", "now", "expected"), EDGES)
def test_edges_among_moments(edge: Edge, now: str, expected: str) -> None:
    assert moment(edge, utc(now)) == utc(expected)


@pytest.mark.parametrize(
    ("edge", "now", "expected"),
    [
        (Shift(Unit.DAY, 0, APIA), "2026-01-01T10:59", "2026-01-01"),
        (Shift(Unit.DAY, 0, APIA), "2026-01-01T11:00", "2026-01-02"),
        (Shift(Unit.MONTH, -1, BERLIN), "2026-03-31T10:00", "2026-02-28"),
        (Shift(Unit.YEAR, -1, BERLIN), "2024-02-29T10:00", "2023-02-28"),
        (Shift(Unit.DAY, 1, BERLIN), "2024-02-28T10:00", "2024-02-29"),
        (Start(Unit.WEEK, 1, BERLIN), "2026-12-31T10:00", "2027-01-04"),
        (Start(Unit.QUARTER, 0, BERLIN), "2026-06-30T21:59", "2026-04-01"),
        (Start(Unit.QUARTER, 0, BERLIN), "2026-06-30T22:00", "2026-07-01"),
    ],
)
def test_edges_among_days(edge: Edge, now: str, expected: str) -> None:
    assert day(edge, utc(now)).isoformat() == expected


def test_beyond_the_years_that_there_are_edges_stop() -> None:
    assert moment(Shift(Unit.YEAR, 9_000, BERLIN), utc("2026-01-01T00:00")) == LAST
    assert moment(Shift(Unit.YEAR, -9_000, BERLIN), utc("2026-01-01T00:00")) == FIRST
    assert day(Shift(Unit.DAY, 4_000_000, BERLIN), utc("2026-01-01T00:00")).year == 9999


ANY_EDGE: Any = st.one_of(
    st.builds(Shift, st.sampled_from(Unit), st.integers(-40, 40), st.sampled_from(ZONES)),
    st.builds(Start, st.sampled_from([*Unit][2:]), st.integers(-3, 3), st.sampled_from(ZONES)),
)


@settings(max_examples=300, deadline=None, database=None)
@given(ANY_EDGE, clocks(), st.timedeltas(timedelta(0), timedelta(days=40)))
def test_edges_never_go_back(edge: Edge, now: datetime, later: timedelta) -> None:
    assert moment(edge, now) <= moment(edge, now + later)
    assert day(edge, now) <= day(edge, now + later)


@settings(max_examples=300, deadline=None, database=None)
@given(ANY_EDGE, clocks(), clocks(), st.booleans(), st.booleans())
def test_when_an_edge_passes_a_value_is_told_to_the_millisecond(
    edge: Edge, now: datetime, value: datetime, beyond: bool, days: bool
) -> None:
    form, place, target = (Form.DAY, day, value.date()) if days else (Form.TEXT, moment, value)

    def passed(at: datetime) -> bool:
        there: Any = place(edge, at)
        return bool(there > target if beyond else there >= target)

    found = passing(edge, form, target, beyond=beyond, now=now)
    if found is None:
        assert passed(now)
    else:
        assert found > now
        assert passed(found)
        assert not passed(found - timedelta(milliseconds=1))


# --- meaning ------------------------------------------------------------------------------------------------


@pytest.fixture
async def diary(db: Database) -> World:
    """One contact for each day about the 31st of March 2026, seen at noon in Berlin; and one without any."""
    found = await world(db)
    people = {}
    for month, numbers in ((2, (26, 27, 28)), (3, (1, 23, 28, 29, 30, 31)), (4, (1, 2, 6, 30)), (5, (1,))):
        for number in numbers:
            noon = datetime(2026, month, number, 12, tzinfo=BERLIN)
            people[f"{month:02}-{number:02}"] = {"born": noon.date().isoformat(), "seen": noon.isoformat()}
    await found.make(**people, never={})
    found.now = utc("2026-03-31T10:00")
    return found


async def days(found: World, name: str, operator: str, *values: Any, **words: Any) -> set[str]:
    """The days that meet a leaf on a date, in Berlin."""
    return await found.met(leaf(name, operator, *values, **words), time_zone=BERLIN)


async def test_dates_so_many_units_ago_and_from_now(diary: World) -> None:
    assert await days(diary, "born", "LESS_THAN_AGO", 1, unit="DAY") == {"03-31"}
    assert await days(diary, "born", "LESS_THAN_AGO", 2, unit="DAY") == {"03-30", "03-31"}
    assert await days(diary, "born", "MORE_THAN_AGO", 1, unit="MONTH") == {"02-26", "02-27"}
    assert await days(diary, "born", "MORE_THAN_AGO", 0, unit="DAY") == {
        "02-26", "02-27", "02-28", "03-01", "03-23", "03-28", "03-29", "03-30",
    }  # fmt: skip
    assert await days(diary, "born", "LESS_THAN_FROM_NOW", 2, unit="DAY") == {"03-31", "04-01"}
    assert await days(diary, "born", "MORE_THAN_FROM_NOW", 1, unit="WEEK") == {"04-30", "05-01"}
    # The 31st of April is its 30th.
    assert await days(diary, "born", "MORE_THAN_FROM_NOW", 1, unit="MONTH") == {"05-01"}


@pytest.mark.parametrize("now", [utc("2026-03-29T09:00"), utc("2024-02-29T12:00"), utc("2026-10-31T23:30")])
async def test_exactly_so_long_is_neither_less_nor_more(db: Database, now: datetime) -> None:
    found = await world(db)
    found.now = now
    steps = {"born": timedelta(days=1), "seen": timedelta(milliseconds=1)}
    cases = [(unit, sign, name) for unit in Unit for sign in (-1, 1) for name in steps]
    cases = [case for case in cases if case[2] == "seen" or case[0] not in (Unit.MINUTE, Unit.HOUR)]
    for unit, sign, name in cases:
        edge = Shift(unit, sign * 3, BERLIN)
        at: Any = day(edge, now) if name == "born" else moment(edge, now)
        before, exactly, after = (f"{unit} {sign} {name} {step}" for step in ("before", "exactly", "after"))
        await found.make(
            **{before: {name: (at - steps[name]).isoformat()}},
            **{exactly: {name: at.isoformat()}, after: {name: (at + steps[name]).isoformat()}},
        )
        way = "AGO" if sign < 0 else "FROM_NOW"
        less = await found.met(leaf(name, f"LESS_THAN_{way}", 3, unit=unit.value), time_zone=BERLIN)
        more = await found.met(leaf(name, f"MORE_THAN_{way}", 3, unit=unit.value), time_zone=BERLIN)
        nearer, farther = (after, before) if sign < 0 else (before, after)
        assert nearer in less
        assert farther in more
        assert {exactly, farther}.isdisjoint(less)
        assert {exactly, nearer}.isdisjoint(more)


async def test_dates_in_this_last_and_next_units(diary: World) -> None:
    assert await days(diary, "born", "IN_THIS", unit="DAY") == {"03-31"}
    assert await days(diary, "born", "IN_LAST", unit="DAY") == {"03-30"}
    assert await days(diary, "born", "IN_NEXT", unit="DAY") == {"04-01"}
    assert await days(diary, "born", "IN_THIS", unit="WEEK") == {"03-30", "03-31", "04-01", "04-02"}
    assert await days(diary, "born", "IN_LAST", unit="WEEK") == {"03-23", "03-28", "03-29"}
    assert await days(diary, "born", "IN_NEXT", unit="WEEK") == {"04-06"}
    assert await days(diary, "born", "IN_LAST", unit="MONTH") == {"02-26", "02-27", "02-28"}
    assert await days(diary, "born", "IN_NEXT", unit="QUARTER") == {
        "04-01",
        "04-02",
        "04-06",
        "04-30",
        "05-01",
    }
    assert await days(diary, "born", "IN_NEXT", unit="YEAR") == set()
    assert await days(diary, "born", "IN_NEXT", unit="YEAR", includeEmpty=True) == {"never"}


async def test_moments_go_by_the_clocks_of_the_time_zone(diary: World) -> None:
    """It is noon in Berlin; two days ago clocks were set forward."""
    assert await days(diary, "seen", "LESS_THAN_AGO", 24, unit="HOUR") == {"03-31"}
    assert await days(diary, "seen", "LESS_THAN_AGO", 1441, unit="MINUTE") == {"03-30", "03-31"}
    assert await days(diary, "seen", "LESS_THAN_AGO", 3, unit="DAY") == {"03-29", "03-30", "03-31"}
    # 72 hours ago it was eleven, three days ago noon.
    assert await days(diary, "seen", "LESS_THAN_AGO", 72, unit="HOUR") == {"03-28", "03-29", "03-30", "03-31"}
    assert await days(diary, "seen", "IN_THIS", unit="DAY") == {"03-31"}
    assert await days(diary, "seen", "LESS_THAN_FROM_NOW", 25, unit="HOUR") == {"03-31", "04-01"}
    assert await days(diary, "seen", "MORE_THAN_FROM_NOW", 1, unit="MONTH") == {"05-01"}
    # In Apia it is already the evening of the same day; in New York it is early morning.
    diary.now = utc("2026-03-31T12:00")
    today = leaf("seen", "IN_THIS", unit="DAY")
    assert await diary.met(today, time_zone=APIA) == {"04-01"}
    assert await diary.met(today, time_zone=NEW_YORK) == {"03-31"}


def spans(left: str, seen: str) -> dict[str, Any]:
    """Two moments."""
    return {"left": left, "seen": seen}


async def test_another_date_with_a_span_added(db: Database) -> None:
    found = await world(db)
    await found.make(
        leap={"born": "2024-02-29", "died": "2025-02-28", **spans("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z")},
        end={"born": "2026-01-31", "died": "2026-02-28", **spans("2026-01-31T12:00:00Z", "2026-02-28T12:00:00.001Z")},
        old={"born": "0001-01-01", "died": "9999-12-31"},
        half={"died": "2026-01-01", "left": "2026-01-31T12:00:00Z"},
    )  # fmt: skip

    async def asked(one: str, operator: str, other: str, offset: int, unit: str, **words: Any) -> set[str]:
        return await found.met(leaf(one, operator, other=other, offset=offset, unit=unit, **words))

    assert await asked("died", "ON", "born", 1, "YEAR") == {"leap"}
    assert await asked("died", "ON", "born", 1, "MONTH") == {"end"}
    assert await asked("died", "AFTER", "born", 4, "WEEK") == {"leap", "old"}
    assert await asked("died", "ON", "born", 4, "WEEK") == {"end"}
    assert await asked("born", "BEFORE", "died", -1_000, "YEAR") == {"old"}
    assert await asked("died", "BEFORE", "born", 1_000, "YEAR") == {"leap", "end"}
    assert await asked("died", "AFTER", "born", -1_000, "YEAR") == {"leap", "end", "old"}
    assert await asked("died", "AFTER", "born", 0, "DAY", includeEmpty=True) == {"leap", "end", "old", "half"}
    assert await asked("seen", "AFTER", "left", 23, "HOUR") == {"leap", "end"}
    assert await asked("seen", "AFTER", "left", 1, "DAY") == {"end"}
    assert await asked("seen", "BEFORE", "left", 1_441, "MINUTE") == {"leap"}
    assert await asked("seen", "AFTER", "left", 1, "MONTH") == {"end"}
    # What is no day has no day after it.
    await found.misshape("leap", {"born": "2026-02-30", "died": "soon"})
    await found.misshape("end", {"born": "2026-01-31", "died": "20260228"})
    assert await asked("died", "AFTER", "born", -1, "YEAR") == {"old"}
    assert await asked("died", "AFTER", "born", -1, "YEAR", includeEmpty=True) == {
        "leap",
        "end",
        "old",
        "half",
    }


async def test_the_records_own_moments(db: Database) -> None:
    found = await world(db)
    found.now = utc("2026-03-01T12:00")
    await found.make(old={}, late={})
    await found.make("companies", acme={})
    found.now = utc("2026-03-02T12:00")
    await found.update((found.ids["late"], {"text": "x"}))
    await found.join(("old", "acme"))

    async def asked(name: str, operator: str, value: Any = None, **words: Any) -> set[str]:
        return await found.met({"field": {"name": name, "operator": operator, "value": value, **words}})

    assert await asked("CREATED_AT", "ON", "2026-03-01") == {"old", "late"}
    assert await asked("CREATED_AT", "LESS_THAN_AGO", 24, unit="HOUR") == set()
    assert await asked("CREATED_AT", "LESS_THAN_AGO", 1_441, unit="MINUTE") == {"old", "late"}
    assert await asked("UPDATED_AT", "LESS_THAN_AGO", 1, unit="DAY") == {"late"}
    assert await asked("UPDATED_AT", "BEFORE", "2026-03-02") == {"old"}
    assert await asked("LAST_ASSOCIATION_CHANGE_AT", "KNOWN") == {"old"}
    assert await asked("LAST_ASSOCIATION_CHANGE_AT", "IN_LAST", unit="DAY", includeEmpty=True) == {"late"}
    made = {"field": {"name": "CREATED_AT", "operator": "KNOWN"}}
    assert await found.met(associated("contacts", made), "companies") == {"acme"}


# --- when answers change ------------------------------------------------------------------------------------


async def test_no_answer_changes_before_it_is_said_to(db: Database) -> None:
    """A record is looked at only when it is due; whenever anybody looks, that was enough."""
    chance = random.Random(5)
    found = await world(db)
    names = [f"c{n}" for n in range(16)]
    await found.make(**{name: times(chance) for name in names}, odd={"born": "2026-01-01"})
    await found.misshape("odd", {"born": "not a day", "seen": "nor a moment"})
    await found.make("companies", acme={}, bolt={})
    await found.join(*((name, "acme") for name in names[:6]), *((name, "bolt") for name in names[4:9]))
    await live(found, names, chance)
    loop = asyncio.get_running_loop()
    leaves = st.one_of(moving_leaves(), moving_leaves(), past_leaves(), event_leaves())
    plain = st.recursive(
        leaves,
        lambda part: st.one_of(
            st.builds(lambda parts: {"and": parts}, st.lists(part, min_size=1, max_size=2)),
            st.builds(lambda parts: {"or": parts}, st.lists(part, min_size=1, max_size=2)),
            st.builds(lambda one: {"not": one}, part),
            st.builds(lambda one: associated("companies", associated("contacts", one)), part),
        ),
        max_leaves=3,
    )

    async def watch(definition: Any, now: datetime, zone: ZoneInfo) -> None:
        bound = await found.bind(named(found, definition), time_zone=zone)
        ids = [found.ids[name] for name in [*names, "odd"]]
        async with found.db.snapshot(found.account) as reader:
            known, types = await fetch(reader, [(needs(bound), set(ids))])
            contacts = types[ids[0]]
            catalogue = await found.catalogue()
            (told,) = await filters.foreseen(reader, catalogue, [(bound, ids, contacts)], now=now)
            assert {one for one, answer in told.items() if answer.holds} == await facts.met(
                reader, bound, contacts, ids, now=now
            )
        for record_id, answer in told.items():
            assert answer.until == filters.next_change(bound, record_id, known, now)
            assert answer.until is None or answer.until > now
            for at in [near(chance, chance.choice(TURNS)) for _ in range(12)]:
                if at > now and (answer.until is None or at < answer.until):
                    assert predicate(bound, at)(record_id, known) is answer.holds

    @settings(
        max_examples=150,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(plain, clocks(), st.sampled_from(ZONES))
    def agree(definition: Any, now: datetime, zone: ZoneInfo) -> None:
        asyncio.run_coroutine_threadsafe(watch(definition, now, zone), loop).result()

    await asyncio.to_thread(agree)


async def test_an_answer_that_changes_is_said_to_change_then(diary: World) -> None:
    contacts = (await diary.catalogue()).by_name["contacts"].id

    async def until(definition: Any, name: str) -> datetime | None:
        bound = await diary.bind(definition, time_zone=BERLIN)
        async with diary.db.snapshot(diary.account) as reader:
            (told,) = await filters.foreseen(
                reader, await diary.catalogue(), [(bound, [diary.ids[name]], contacts)], now=diary.now
            )
        return told[diary.ids[name]].until

    assert await until(leaf("born", "IN_THIS", unit="DAY"), "03-31") == utc("2026-03-31T22:00")
    assert await until(leaf("born", "IN_THIS", unit="DAY"), "04-01") == utc("2026-03-31T22:00")
    assert await until(leaf("born", "IN_THIS", unit="DAY"), "03-30") is None
    assert await until(leaf("seen", "LESS_THAN_AGO", 2, unit="HOUR"), "03-31") == utc("2026-03-31T12:00")
    assert await until(leaf("seen", "MORE_THAN_FROM_NOW", 1, unit="DAY"), "04-06") == utc("2026-04-05T10:00")
    assert await until(leaf("born", "KNOWN"), "03-31") is None
    assert await until(leaf("born", "IN_THIS", unit="DAY"), "never") is None
    # What fails for good needs no clock.
    both = {"and": [leaf("text", "KNOWN"), leaf("born", "IN_THIS", unit="DAY")]}
    assert await until(both, "03-31") is None
    assert await until({"not": both}, "03-31") is None
    either = {"or": [leaf("text", "KNOWN"), leaf("born", "IN_THIS", unit="DAY")]}
    assert await until(either, "03-31") == utc("2026-03-31T22:00")
