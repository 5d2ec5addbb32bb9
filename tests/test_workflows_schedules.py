"""Schedules, dates and filters that the clock turns: each occasion once, on the clocks of the account."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import accounts, properties
from engine.workflows import occasions, passing
from engine.workflows.bound import Scheduled
from engine.workflows.definition import load_as
from engine.workflows.definition.triggers import Schedule
from storage.database import Database
from tests.flows import Flows, equals, flows, met, waits
from tests.graph import T0

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


def scheduled(**given: Any) -> Scheduled:
    schedule = load_as(Schedule, given)
    return Scheduled(schedule=schedule, at=time.fromisoformat(schedule.at))


DAILY = {"every": "DAY", "at": "09:00"}


async def dates(crm: Flows) -> None:
    async with crm.writing(defining=True) as tx:
        for name, kind in (("renewal", "DATE"), ("meeting_at", "DATETIME")):
            await properties.create(tx, "contacts", name=name, label=name, type=kind)


# --- schedules ----------------------------------------------------------------------------------------------


async def test_a_schedule_enrolls_all_that_meet_its_filter_once_an_occasion(crm: Flows) -> None:
    await crm.create("contacts", *[{"city": "Rome"}] * 3)
    ann = await crm.one("contacts", city="Boston")
    trigger = {"schedule": {**DAILY, "where": equals("city", "Boston")}}
    flow = await crm.flow("contacts", [trigger], reenrollmentTriggers=[trigger])
    once = await crm.flow("contacts", [trigger], name="once")
    await crm.work()
    assert await crm.standing(flow) == []
    crm.now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    await crm.work()
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "COMPLETED")]
    bob = await crm.one("contacts", city="Boston")
    await crm.work()
    assert await crm.who(flow) == [ann]
    crm.now = datetime(2026, 3, 3, 9, 5, tzinfo=UTC)
    await crm.work()
    assert sorted(await crm.standing(flow)) == [
        (ann, 1, "COMPLETED"),
        (ann, 2, "COMPLETED"),
        (bob, 1, "COMPLETED"),
    ]
    # The first time only, unless the schedule stands among the re-enrollment triggers.
    assert await crm.standing(once) == [(ann, 1, "COMPLETED"), (bob, 1, "COMPLETED")]


async def test_what_was_missed_while_nobody_worked_runs_once_for_the_last_time(crm: Flows) -> None:
    ann = await crm.one("contacts")
    trigger = {"schedule": DAILY}
    flow = await crm.flow("contacts", [trigger], reenrollmentTriggers=[trigger])
    crm.now = datetime(2026, 3, 20, 12, tzinfo=UTC)
    await crm.work()
    [row] = await crm.enrolled(flow)
    assert (row.record_id, row.occasion) == (ann, "SCHEDULE 2026-03-20T09:00:00.000Z")
    assert row.reason["at"] == "2026-03-20T09:00:00+00:00"


async def test_a_pass_goes_on_over_crashes_in_parts_and_nobody_is_enrolled_twice(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "RECORDS_A_BATCH", 4)
    made = await crm.create("contacts", *[{}] * 18)
    flow = await crm.flow("contacts", [{"schedule": DAILY}])
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    honest, calls = passing._part, [0]

    async def failing(*args: Any) -> None:
        await honest(*args)
        calls[0] += 1
        if calls[0] % 2:
            raise ZeroDivisionError

    monkeypatch.setattr(passing, "_part", failing)
    for _ in range(30):
        try:
            if not await passing.run_once(crm.db, crm.account, now=now):
                break
        except ZeroDivisionError:
            continue
    assert calls[0] == 10
    assert await crm.who(flow) == made


async def test_a_schedule_that_is_off_or_changed_comes_no_more(crm: Flows) -> None:
    await crm.one("contacts")
    off = await crm.flow("contacts", [{"schedule": DAILY}], name="off")
    changed = await crm.flow("contacts", [{"schedule": DAILY}], name="changed")
    await crm.switch(off, False)
    await crm.republish(changed, triggers=[{"schedule": {"every": "MONTH", "day": 31, "at": "10:00"}}])
    crm.now = datetime(2026, 3, 30, 12, tzinfo=UTC)
    await crm.work()
    assert (await crm.who(off), await crm.who(changed)) == ([], [])
    crm.now = datetime(2026, 3, 31, 10, tzinfo=UTC)
    await crm.work()
    assert len(await crm.who(changed)) == 1


async def test_schedules_follow_the_account_to_another_time_zone(crm: Flows) -> None:
    await crm.one("contacts")
    flow = await crm.flow("contacts", [{"schedule": DAILY}])
    async with crm.writing(defining=True) as tx:
        await accounts.change_settings(tx, {"time_zone": "America/New_York"})
    crm.now = datetime(2026, 3, 1, 13, 59, tzinfo=UTC)
    await crm.work()
    assert await crm.who(flow) == []
    crm.now = datetime(2026, 3, 1, 14, tzinfo=UTC)
    await crm.work()
    assert len(await crm.who(flow)) == 1


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        # 02:30 is skipped on 29 March: the moment at which the clocks skip it.
        (scheduled(every="DAY", at="02:30"), "2026-03-28T12:00+01:00", "2026-03-29T03:00+02:00"),
        # It comes twice on 25 October: the first time counts, and no second one.
        (scheduled(every="DAY", at="02:30"), "2026-10-24T12:00+02:00", "2026-10-25T02:30+02:00"),
        (scheduled(every="DAY", at="02:30"), "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"),
        (scheduled(every="WEEK", weekdays=["MONDAY"]), "2026-03-02T09:00+01:00", "2026-03-09T09:00+01:00"),
        (scheduled(every="MONTH", day=31), "2026-01-31T09:00+01:00", "2026-02-28T09:00+01:00"),
        (scheduled(every="MONTH", day=31), "2026-02-28T09:00+01:00", "2026-03-31T09:00+02:00"),
        (scheduled(every="YEAR", day=29, month=2), "2026-03-01T09:00+01:00", "2027-02-28T09:00+01:00"),
        (scheduled(every="YEAR", day=29, month=2), "2027-03-01T09:00+01:00", "2028-02-29T09:00+01:00"),
        (scheduled(every="YEAR", day=24, month=12), "2026-12-24T08:00+01:00", "2026-12-24T09:00+01:00"),
    ],
)
def test_when_a_schedule_comes(schedule: Scheduled, after: str, expected: str) -> None:
    found = occasions.following(schedule, datetime.fromisoformat(after), BERLIN)
    assert found == datetime.fromisoformat(expected)


schedules = st.one_of(
    st.builds(lambda at: scheduled(every="DAY", at=at), st.sampled_from(["00:00", "02:30", "23:59"])),
    st.builds(
        lambda days: scheduled(every="WEEK", weekdays=sorted(days)),
        st.sets(st.sampled_from(["MONDAY", "SUNDAY", "FRIDAY"]), min_size=1),
    ),
    st.builds(lambda day: scheduled(every="MONTH", day=day), st.integers(1, 31)),
    st.builds(
        lambda day, month: scheduled(every="YEAR", day=day, month=month),
        st.integers(1, 31),
        st.integers(1, 12),
    ),
)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])
moments = st.integers(0, 15 * 366 * 86_400).map(lambda n: T0 + timedelta(seconds=n))


@given(schedules, zones.map(ZoneInfo), moments)
def test_times_of_a_schedule_follow_each_other_and_each_is_its_own_next(
    schedule: Scheduled, zone: ZoneInfo, after: datetime
) -> None:
    first = occasions.following(schedule, after, zone)
    second = occasions.following(schedule, first, zone)
    assert after < first < second
    # Nothing lies between: whoever asks later, but before it comes, is told the same.
    between = after + (first - after) / 2
    assert occasions.following(schedule, between, zone) == first
    assert occasions.latest(schedule, first, second, zone) == second
    assert occasions.latest(schedule, first, second - timedelta(seconds=1), zone) == first
    assert date.fromordinal(1) <= first.astimezone(zone).date()


# --- dates --------------------------------------------------------------------------------------------------


async def test_a_date_that_comes_enrolls_once_and_one_that_is_changed_is_a_new_occasion(crm: Flows) -> None:
    await dates(crm)
    trigger = {"dateReached": {"property": "renewal", "offset": {"value": -2, "unit": "DAY"}, "at": "08:00"}}
    past, ann, bob = await crm.create(
        "contacts", {"renewal": "2026-03-02"}, {"renewal": "2026-03-10"}, {"renewal": "2026-04-10"}
    )
    flow = await crm.flow("contacts", [trigger], reenrollmentTriggers=[trigger])
    await crm.work()
    crm.now = datetime(2026, 3, 8, 7, 59, tzinfo=UTC)
    await crm.work()
    assert await crm.who(flow) == []
    crm.now = datetime(2026, 3, 8, 8, tzinfo=UTC)
    await crm.work()
    await crm.set(ann, lastname="Lee")
    await crm.work()
    [row] = await crm.enrolled(flow)
    assert (row.record_id, row.reason["kind"], row.reason["property"]) == (ann, "DATE", "renewal")
    # Past already when it is set: nothing comes.
    await crm.set(past, renewal="2026-03-09")
    await crm.set(ann, renewal="2026-03-20")
    await crm.set(bob, renewal=None)
    await crm.work()
    crm.now = datetime(2026, 5, 1, tzinfo=UTC)
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "COMPLETED"), (ann, 2, "COMPLETED")]


async def test_a_date_that_is_changed_while_the_record_is_active_comes_when_it_is_no_more(crm: Flows) -> None:
    await dates(crm)
    trigger = {"dateReached": {"property": "meeting_at"}}
    flow = await crm.flow("contacts", [trigger], waits(2), reenrollmentTriggers=[trigger])
    ann = await crm.one("contacts", meeting_at="2026-03-05T10:00:00.000Z")
    await crm.work()
    crm.now = datetime(2026, 3, 5, 10, tzinfo=UTC)
    await crm.work()
    await crm.set(ann, meeting_at="2026-03-15T10:00:00.000Z")
    await crm.work()
    for day in (8, 15):
        crm.now = datetime(2026, 3, day, 10, tzinfo=UTC)
        await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "COMPLETED"), (ann, 2, "ACTIVE")]


async def test_a_schedule_that_was_broken_comes_again_when_it_is_mended(crm: Flows) -> None:
    await dates(crm)
    await crm.one("contacts", renewal="2026-03-02")
    where = {"property": {"name": "renewal", "operator": "KNOWN"}}
    flow = await crm.flow("contacts", [{"schedule": {**DAILY, "where": where}}])
    async with crm.writing(defining=True) as tx:
        await properties.archive(tx, "contacts", "renewal")
    for day in (2, 3):
        crm.now = datetime(2026, 3, day, 9, tzinfo=UTC)
        await crm.work()
        assert await crm.who(flow) == []
    await crm.republish(flow, triggers=[{"schedule": DAILY}])
    crm.now = datetime(2026, 3, 4, 9, tzinfo=UTC)
    await crm.work()
    assert len(await crm.who(flow)) == 1


async def test_the_same_date_set_again_enrolls_nobody_again(crm: Flows) -> None:
    await dates(crm)
    trigger = {"dateReached": {"property": "meeting_at", "where": equals("city", "Boston")}}
    flow = await crm.flow("contacts", [trigger], reenrollmentTriggers=[trigger])
    at = "2026-03-05T10:00:00.000Z"
    ann, _bob = await crm.create("contacts", {"meeting_at": at, "city": "Boston"}, {"meeting_at": at})
    await crm.work()
    crm.now = datetime(2026, 3, 5, 10, tzinfo=UTC)
    await crm.work()
    await crm.set(ann, meeting_at=None)
    await crm.work()
    await crm.set(ann, meeting_at=at)
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "COMPLETED")]


async def test_a_date_that_comes_before_anybody_works_is_not_lost_to_a_change_that_comes_later(
    crm: Flows,
) -> None:
    await dates(crm)
    flow = await crm.flow("contacts", [{"dateReached": {"property": "meeting_at"}}])
    ann = await crm.one("contacts", meeting_at="2026-03-05T10:00:00.000Z")
    await crm.work()
    crm.now = datetime(2026, 3, 6, tzinfo=UTC)
    # The change is evaluated when the date has come, and the clock was not looked at yet.
    await crm.set(ann, lastname="Lee")
    await crm.work()
    assert await crm.who(flow) == [ann]


async def test_what_is_off_when_a_date_comes_does_not_make_up_for_it(crm: Flows) -> None:
    await dates(crm)
    flow = await crm.flow("contacts", [{"dateReached": {"property": "meeting_at"}}])
    await crm.one("contacts", meeting_at="2026-03-05T10:00:00.000Z")
    await crm.work()
    await crm.switch(flow, False)
    crm.now = datetime(2026, 3, 6, tzinfo=UTC)
    await crm.work()
    await crm.switch(flow, True)
    await crm.work()
    crm.now = datetime(2026, 3, 7, tzinfo=UTC)
    await crm.work()
    assert await crm.who(flow) == []


# --- filters that the clock turns ---------------------------------------------------------------------------


async def test_a_filter_that_comes_to_hold_by_the_clock_enrolls(crm: Flows) -> None:
    await dates(crm)
    soon = {"property": {"name": "renewal", "operator": "LESS_THAN_FROM_NOW", "value": 3, "unit": "DAY"}}
    before = await crm.one("contacts", renewal="2026-03-10")
    flow = await crm.flow("contacts", [met(soon)])
    after = await crm.one("contacts", renewal="2026-03-20")
    await crm.work()
    assert await crm.who(flow) == []
    crm.now = T0 + timedelta(days=8)
    await crm.work()
    assert await crm.who(flow) == [before]
    crm.now = T0 + timedelta(days=18)
    await crm.work()
    assert await crm.who(flow) == [before, after]


async def test_a_goal_that_is_met_by_the_clock_ends(crm: Flows) -> None:
    await dates(crm)
    over = {"property": {"name": "renewal", "operator": "BEFORE", "value": "2026-03-01"}}
    past = {"property": {"name": "renewal", "operator": "MORE_THAN_AGO", "value": 1, "unit": "DAY"}}
    flow = await crm.flow("contacts", [{"manual": {}}], waits(90), goal={"or": [over, past]})
    ann = await crm.one("contacts", renewal="2026-03-05")
    await crm.enroll(flow, ann)
    await crm.work()
    assert [row[2] for row in await crm.standing(flow)] == ["ACTIVE"]
    crm.now = T0 + timedelta(days=10)
    await crm.work()
    assert [row[2] for row in await crm.standing(flow)] == ["GOAL_MET"]


async def test_the_clock_asks_nobody_of_whom_nothing_is_expected(crm: Flows) -> None:
    await dates(crm)
    flow = await crm.flow("contacts", [{"dateReached": {"property": "meeting_at"}}])
    await crm.one("contacts", meeting_at="2026-03-05T10:00:00.000Z")
    await crm.work()
    crm.now = datetime(2026, 3, 6, tzinfo=UTC)
    await crm.work()
    rows = await crm.read("SELECT 1 FROM match_state AS s WHERE s.account_id = $1")
    assert rows == []
    assert len(await crm.who(flow)) == 1
