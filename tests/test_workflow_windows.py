"""Windows and moments: pure functions on the clocks of time zones, held to their laws."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.problems import Problem
from engine.workflows import moments, windows
from engine.workflows.definition.document import load_as
from engine.workflows.definition.parts import Duration, Span, Weekday
from engine.workflows.definition.values import BlockedDates, ExecutionWindow, Timing

BERLIN = "Europe/Berlin"
# Clocks that jump by an hour, by half an hour, at midnight, over a whole day, and never.
ZONES = (BERLIN, "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia", "UTC")

zones = st.sampled_from(ZONES)
times = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.integers(0, 59))
weekdays = st.lists(st.sampled_from(list(Weekday)), unique=True, max_size=7).map(tuple)
moments_ = st.integers(0, 20 * 365 * 86_400).map(
    lambda n: datetime(2011, 1, 1, tzinfo=UTC) + timedelta(seconds=n)
)
shown = st.builds(ExecutionWindow, times, st.one_of(times, st.just("24:00")), weekdays)
days = st.dates(date(2011, 1, 1), date(2031, 1, 1)).map(date.isoformat)
blocked = st.builds(BlockedDates, days, st.none() | days, st.booleans())
timings = st.builds(
    Timing,
    st.lists(shown, max_size=3).map(tuple),
    st.lists(blocked, max_size=3).map(tuple),
    st.none() | zones,
).filter(lambda timing: not list(windows.problems(timing)))
durations = st.builds(Duration, st.integers(1, 50), st.sampled_from(list(Span)))


def berlin(text: str) -> datetime:
    """A time on the clocks of Berlin; +1 behind it: the second time that they show it."""
    again = text.endswith("+1")
    wall = datetime.fromisoformat(text.removesuffix("+1"))
    return wall.replace(tzinfo=ZoneInfo(BERLIN), fold=int(again)).astimezone(UTC)


def is_open(timing: Timing, at: datetime, zone: ZoneInfo) -> bool:
    """The definition, said simply, for clocks that are not set on that day or the one before."""
    local = at.astimezone(zone)
    for one in timing.blocked:
        first = date.fromisoformat(one.from_)
        last = date.fromisoformat(one.to) if one.to else first
        if not one.yearly:
            if first <= local.date() <= last:
                return False
        elif (last - first).days >= 365:
            return False
        else:
            here, ends = (local.month, local.day), ((first.month, first.day), (last.month, last.day))
            inside = ends[0] <= here <= ends[1] if ends[0] <= ends[1] else here >= ends[0] or here <= ends[1]
            if inside:
                return False
    if not timing.windows:
        return True
    clock = local.strftime("%H:%M")
    today = list(Weekday)[local.weekday()]
    yesterday = list(Weekday)[local.weekday() - 1]
    for one_ in timing.windows:
        on = one_.weekdays or tuple(Weekday)
        if one_.from_ < one_.to:
            if today in on and one_.from_ <= clock < one_.to:
                return True
        elif (today in on and clock >= one_.from_) or (yesterday in on and clock < one_.to):
            return True
    return False


def steady(at: datetime, zone: ZoneInfo) -> bool:
    """Whether the clocks are not set around here."""
    offsets = {(at + timedelta(hours=n)).astimezone(zone).utcoffset() for n in range(-49, 50, 6)}
    return len(offsets) == 1


@given(timings, moments_, zones)
def test_the_next_opening_is_open_and_opens_at_once_where_it_is_open(
    timing: Timing, at: datetime, zone: str
) -> None:
    local = ZoneInfo(timing.time_zone or zone)
    found = windows.next_open(timing, at, zone)
    assert found >= at
    # Asking again at that moment changes nothing: an action that waited for it is carried out.
    assert windows.next_open(timing, found, zone) == found
    if steady(at, local):
        assert (found == at) is is_open(timing, at, local)
    if steady(found, local):
        assert is_open(timing, found, local)
        if found > at:
            assert not is_open(timing, found - timedelta(minutes=1), local) or found - at < timedelta(
                minutes=1
            )


@given(timings, moments_, zones, st.integers(0, 10_000))
def test_waiting_longer_never_opens_earlier(timing: Timing, at: datetime, zone: str, minutes: int) -> None:
    later = at + timedelta(minutes=minutes)
    first, second = windows.next_open(timing, at, zone), windows.next_open(timing, later, zone)
    assert first <= second
    # Nothing opens in between.
    assert second == first or first < later


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        # Friday evening to Monday morning.
        ("2026-03-06 17:00", "2026-03-09 09:00"),
        ("2026-03-06 16:59", "2026-03-06 16:59"),
        # The Monday after the clocks were set forward: nine is nine.
        ("2026-03-28 12:00", "2026-03-30 09:00"),
        # A holiday, and New Year's days over the year's end.
        ("2026-04-30 18:00", "2026-05-04 09:00"),
        ("2026-12-23 18:00", "2027-01-04 09:00"),
    ],
)
def test_office_hours(at: str, opens: str) -> None:
    timing = Timing(
        (ExecutionWindow("09:00", "17:00", tuple(Weekday)[:5]),),
        (BlockedDates("2026-05-01"), BlockedDates("2020-12-24", "2021-01-01", yearly=True)),
        BERLIN,
    )
    assert windows.next_open(timing, berlin(at), "UTC") == berlin(opens)


def test_a_night_s_window_goes_over_midnight_and_a_blocked_day_cuts_it_there() -> None:
    timing = Timing(
        (ExecutionWindow("22:00", "06:00", (Weekday.SATURDAY,)),), (BlockedDates("2026-03-15"),), BERLIN
    )
    # The night from Saturday to Sunday, 8 March.
    assert windows.next_open(timing, berlin("2026-03-08 03:00"), "UTC") == berlin("2026-03-08 03:00")
    assert windows.next_open(timing, berlin("2026-03-08 06:00"), "UTC") == berlin("2026-03-14 22:00")
    assert windows.next_open(timing, berlin("2026-03-15 00:00"), "UTC") == berlin("2026-03-21 22:00")
    # Two o'clock comes twice on 25 October, and the window stays open; on 29 March it does not come.
    for hour in ("2026-10-25 02:30", "2026-10-25 02:30+1", "2026-03-29 03:00"):
        assert windows.next_open(timing, berlin(hour), "UTC") == berlin(hour)


def test_a_window_that_the_clocks_skip_is_open_the_day_after() -> None:
    timing = Timing((ExecutionWindow("02:10", "02:40"),), (), BERLIN)
    assert windows.next_open(timing, berlin("2026-03-29 00:00"), "UTC") == berlin("2026-03-30 02:10")


def test_without_windows_it_is_always_open_and_blocked_far_ahead_is_far_ahead() -> None:
    at = berlin("2026-01-01 00:00")
    assert windows.next_open(None, at, "UTC") == at
    assert windows.next_open(Timing(), at, "UTC") == at
    rare = Timing((ExecutionWindow("00:00", "24:00", (Weekday.MONDAY,)),), leap_days_only(), BERLIN)
    assert not list(windows.problems(rare))
    assert windows.next_open(rare, at, "UTC") == berlin("2044-02-29 00:00")


def leap_days_only() -> tuple[BlockedDates, ...]:
    return (BlockedDates("2026-03-01", "2027-02-28", yearly=True),)


@pytest.mark.parametrize(
    ("timing", "code", "path"),
    [
        ({"windows": [{"from": "9:00", "to": "17:00"}]}, "MALFORMED_TIME_OF_DAY", ("windows", 0, "from")),
        ({"windows": [{"from": "09:00", "to": "25:00"}]}, "MALFORMED_TIME_OF_DAY", ("windows", 0, "to")),
        ({"windows": [{"from": "24:00", "to": "01:00"}]}, "MALFORMED_TIME_OF_DAY", ("windows", 0, "from")),
        ({"windows": [{"from": "09:00", "to": "09:00"}]}, "EMPTY_WINDOW", ("windows", 0, "to")),
        ({"windows": [{"from": "09:00", "to": "10:00"}] * 101}, "TOO_MANY_WINDOWS", ("windows",)),
        ({"blocked": [{"from": "2026-02-30"}]}, "MALFORMED_DAY", ("blocked", 0, "from")),
        ({"blocked": [{"from": "2026-02-03", "to": "soon"}]}, "MALFORMED_DAY", ("blocked", 0, "to")),
        (
            {"blocked": [{"from": "2026-02-03", "to": "2026-02-01"}]},
            "BLOCKED_DATES_REVERSED",
            ("blocked", 0, "to"),
        ),
        (
            {"blocked": [{"from": "2026-01-01", "to": "9999-12-31"}]},
            "BLOCKED_FOR_TOO_LONG",
            ("blocked", 0, "to"),
        ),
        (
            {
                "blocked": [
                    {"from": "2026-01-01", "to": "2026-06-30", "yearly": True},
                    {"from": "2026-07-01", "to": "2026-12-31", "yearly": True},
                ]
            },
            "NEVER_OPEN",
            ("blocked",),
        ),
        ({"timeZone": "Europe/Atlantis"}, "UNKNOWN_TIME_ZONE", ("timeZone",)),
        ({"timeZone": "../etc"}, "UNKNOWN_TIME_ZONE", ("timeZone",)),
        ({"timeZone": ""}, "UNKNOWN_TIME_ZONE", ("timeZone",)),
    ],
)
def test_what_is_wrong_with_a_timing_is_told_at_its_path(
    timing: dict[str, Any], code: str, path: tuple[Any, ...]
) -> None:
    [problem] = windows.problems(load_as(Timing, timing))
    assert (problem.code, problem.path) == (code, path)


# --- moments ------------------------------------------------------------------------------------------------


@given(moments_, durations, zones)
def test_a_duration_leads_ahead_and_a_longer_one_further(at: datetime, duration: Duration, zone: str) -> None:
    there = moments.later(at, duration, ZoneInfo(zone))
    assert there > at
    assert moments.later(at, Duration(duration.value + 1, duration.unit), ZoneInfo(zone)) >= there


@given(moments_, durations, zones)
def test_days_and_longer_units_keep_the_time_of_day(at: datetime, duration: Duration, zone: str) -> None:
    local = ZoneInfo(zone)
    if duration.unit in (Span.MINUTE, Span.HOUR):
        unit = timedelta(minutes=1) if duration.unit is Span.MINUTE else timedelta(hours=1)
        assert moments.later(at, duration, local) == at + duration.value * unit
        return
    there = moments.later(at, duration, local)
    before, after = at.astimezone(local), there.astimezone(local)
    if steady(there, local):
        assert after.time() == before.time()
    months = {Span.MONTH: 1, Span.YEAR: 12}.get(duration.unit)
    if months is not None and steady(there, local):
        assert (after.year * 12 + after.month) - (before.year * 12 + before.month) == duration.value * months
        assert after.day == before.day or (after + timedelta(days=1)).month != after.month


def test_a_day_is_a_calendar_day_of_23_24_or_25_hours() -> None:
    zone = ZoneInfo(BERLIN)
    day = Duration(1, Span.DAY)
    for start, end in (
        ("2026-03-28 09:00", "2026-03-29 09:00"),
        ("2026-10-24 09:00", "2026-10-25 09:00"),
        # What is skipped is the moment of the skipping, what comes twice the first time.
        ("2026-03-28 02:30", "2026-03-29 03:00"),
        ("2026-10-24 02:30", "2026-10-25 02:30"),
        ("2026-10-25 02:30+1", "2026-10-26 02:30"),
    ):
        assert moments.later(berlin(start), day, zone) == berlin(end)
    assert moments.later(berlin("2026-01-31 09:00"), Duration(1, Span.MONTH), zone) == berlin(
        "2026-02-28 09:00"
    )
    assert moments.later(berlin("2024-02-29 09:00"), Duration(1, Span.YEAR), zone) == berlin(
        "2025-02-28 09:00"
    )
    assert moments.later(berlin("2026-03-31 09:00"), Duration(-1, Span.MONTH), zone) == berlin(
        "2026-02-28 09:00"
    )


@given(moments_, st.times(), weekdays, zones)
def test_the_next_time_is_the_first_one_ahead(
    at: datetime, wanted: time, on: tuple[Weekday, ...], zone: str
) -> None:
    local = ZoneInfo(zone)
    wanted = wanted.replace(second=0, microsecond=0)
    found = moments.next_time(at, wanted, on, local)
    # A week, and a day for a date that a zone has left out.
    assert at < found <= at + timedelta(days=9)
    if steady(found, local):
        there = found.astimezone(local)
        assert there.time() == wanted
        assert not on or list(Weekday)[there.weekday()] in on
    # Nothing is passed over.
    assert moments.next_time(found - timedelta(microseconds=1), wanted, on, local) == found


@given(st.dates(date(2011, 1, 1), date(2031, 1, 1)), st.times(), st.none() | durations, zones)
def test_a_day_s_offset_is_counted_on_the_calendar(
    day: date, wanted: time, offset: Duration | None, zone: str
) -> None:
    local = ZoneInfo(zone)
    wanted = wanted.replace(second=0, microsecond=0)
    found = moments.of_value(day.isoformat(), wanted, offset, local)
    if steady(found, local) and (offset is None or offset.unit not in (Span.MINUTE, Span.HOUR)):
        there = found.astimezone(local)
        assert there.time() == wanted
        assert there.date() == (day if offset is None else moments.later_day(day, offset))


def test_a_property_s_moment_with_its_offset() -> None:
    zone = ZoneInfo(BERLIN)
    nine = time(9)
    three_before, hours = Duration(-3, Span.DAY), Duration(36, Span.HOUR)
    assert moments.of_value("2026-04-01", nine, three_before, zone) == berlin("2026-03-29 09:00")
    assert moments.of_value("2026-03-28", nine, hours, zone) == berlin("2026-03-29 22:00")
    stored = "2026-04-01T07:30:00.000Z"
    assert moments.of_value(stored, nine, None, zone) == berlin("2026-04-01 09:30")
    assert moments.of_value(stored, nine, three_before, zone) == berlin("2026-03-29 09:30")
    assert moments.of_value("9999-12-31", nine, Duration(100, Span.YEAR), zone).year == 9999


@pytest.mark.parametrize(
    ("value", "unit", "code"),
    [
        (0, Span.DAY, "DURATION_NOT_AHEAD"),
        (-1, Span.MINUTE, "DURATION_NOT_AHEAD"),
        (101, Span.YEAR, "DURATION_TOO_LONG"),
        (10**12, Span.MINUTE, "DURATION_TOO_LONG"),
    ],
)
def test_nobody_waits_for_what_has_passed_or_for_more_than_a_lifetime(
    value: int, unit: Span, code: str
) -> None:
    with pytest.raises(Problem) as told:
        moments.check_duration(Duration(value, unit))
    assert (told.value.code, told.value.path) == (code, ("value",))
