"""Laws of what a runner makes of its steps: what it rested for ends once, and it goes when nothing keeps it."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sync import staying
from engine.sync.staying import CLOSEST, IDLE, KEPT, SURE, Stay
from tests.crm import T0

MOMENT = timedelta(microseconds=1)
times = st.none() | st.timedeltas(timedelta(hours=-1), timedelta(hours=1)).map(lambda late: T0 + late)
idles = st.timedeltas(timedelta(0), timedelta(hours=1))


def stays(stay: Stay, steps: list[tuple[datetime | None, bool]]) -> list[Stay]:
    """What is known before and after each of these steps: when the next is due, and whether the app has answered."""
    known, heard = [stay], False
    for at, answers in steps:
        heard = heard or answers
        known.append(staying.stepped(known[-1], at, T0, answered=heard))
    return known


@given(st.booleans(), st.booleans(), st.lists(st.tuples(times, st.booleans()), max_size=2 * SURE))
def test_what_rested_is_over_once(
    paused: bool, rested: bool, steps: list[tuple[datetime | None, bool]]
) -> None:
    known = stays(Stay(paused=paused, rested=rested), steps)
    heard = [n for n, (_, answers) in enumerate(steps) if answers]
    done = [n for n, (at, _) in enumerate(steps) if at is None or at > T0 or n == SURE - 1]
    # The connection with the app's first answer; the sync when all that was due is done, or enough of it.
    assert turns([one.paused for one in known]) == heard[:1] * paused
    assert turns([one.rested for one in known]) == done[:1] * rested
    assert turns([one.settled for one in known]) == done[:1]


def turns(truths: list[bool]) -> list[int]:
    """The steps at which this becomes another."""
    return [n for n, (before, after) in enumerate(pairwise(truths)) if before != after]


def test_an_app_that_answers_but_has_more_to_do_all_the_time_rests_until_that_is_sure() -> None:
    known = stays(Stay(paused=True, rested=True), [(T0, True)] * SURE)
    assert [one.paused for one in known] == [True] + [False] * SURE
    assert [one.rested for one in known] == [True] * SURE + [False]


@given(times, idles, st.booleans(), st.booleans())
def test_a_wait_ends_when_something_is_due(
    at: datetime | None, idle: timedelta, push: bool, crowded: bool
) -> None:
    wait = staying.waits(at, T0, idle=idle, push=push, crowded=crowded)
    if wait is None:
        assert not push
        # It goes for the others alone, or since what is due can be left to whoever finds it.
        assert crowded or at is None or at > T0 + KEPT
        return
    # Never in a circle without a pause, and not for ever: wake-ups may be lost.
    assert CLOSEST <= wait <= KEPT
    if at is not None and at <= T0 + KEPT:
        assert T0 + wait == max(at, T0 + CLOSEST)


def waits(
    due: timedelta | None, idle: timedelta = MOMENT, *, push: bool = False, crowded: bool = False
) -> timedelta | None:
    at = None if due is None else T0 + due
    return staying.waits(at, T0, idle=idle, push=push, crowded=crowded)


@pytest.mark.parametrize(("due", "goes"), [(KEPT, False), (KEPT + MOMENT, True), (None, True)])
def test_a_connector_is_kept_for_what_is_due_soon_and_as_long_as_it_listens(
    due: timedelta | None, goes: bool
) -> None:
    assert waits(due) == (None if goes else KEPT)
    assert waits(due, push=True) == KEPT


def test_a_runner_that_is_idle_makes_place_for_others_unless_it_listens() -> None:
    soon = timedelta(seconds=5)
    assert waits(soon, IDLE, crowded=True) == soon
    assert waits(soon, IDLE + MOMENT, crowded=True) is None
    assert waits(soon, KEPT) == soon
    assert waits(soon, KEPT, push=True, crowded=True) == soon
