"""Laws of the rules on who enters a workflow and who leaves, for whatever situation."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.workflows.rules import (
    DEEPEST,
    Earlier,
    Enters,
    Leaves,
    Loop,
    Policy,
    Reason,
    Situation,
    StaysOut,
    decide,
)

numbers = st.lists(st.integers(0, 5), unique=True, max_size=3).map(tuple)
earlier = st.builds(
    Earlier, st.integers(1, 9), st.booleans(), st.booleans(), st.integers(0, 40), st.booleans()
)
policies = st.builds(Policy, st.booleans(), st.booleans(), st.booleans(), st.integers(1, 40))
situations = st.builds(
    Situation,
    enabled=st.booleans(),
    usable=st.booleans(),
    living=st.booleans(),
    called=st.booleans(),
    met=numbers,
    before=numbers,
    renewed=numbers,
    filter_holds=st.booleans(),
    suppressed=st.booleans(),
    goal_met=st.booleans(),
    earlier=st.none() | earlier,
    own=st.booleans(),
    depth=st.integers(0, DEEPEST + 2),
)


@given(policies, situations)
def test_who_is_active_never_enters_and_who_is_not_never_leaves(policy: Policy, seen: Situation) -> None:
    verdict = decide(policy, seen)
    active = seen.earlier is not None and seen.earlier.active
    assert not (active and isinstance(verdict, Enters))
    assert active or not isinstance(verdict, Leaves)


@given(policies, situations)
def test_who_enters_is_let_in_by_something_and_kept_out_by_nothing(policy: Policy, seen: Situation) -> None:
    verdict = decide(policy, seen)
    if not isinstance(verdict, Enters):
        return
    assert seen.enabled
    assert seen.usable
    assert seen.living
    assert not seen.suppressed
    assert not seen.goal_met
    assert verdict.epoch == (1 if seen.earlier is None else seen.earlier.epoch + 1)
    if seen.called:
        assert verdict.trigger is None
        return
    assert not seen.own
    if seen.earlier is None:
        assert verdict.trigger in seen.met
    else:
        assert policy.reentry
        assert seen.renewed
        assert (
            verdict.trigger in seen.met if policy.holding else verdict.trigger in (*seen.met, *seen.renewed)
        )


@given(policies, situations)
def test_what_is_off_or_broken_lets_nobody_in_or_out(policy: Policy, seen: Situation) -> None:
    for shut in (replace(seen, enabled=False), replace(seen, usable=False)):
        assert isinstance(decide(policy, shut), StaysOut)


@given(policies, situations)
def test_a_call_needs_no_trigger_and_no_permission_to_enter_again(policy: Policy, seen: Situation) -> None:
    seen = replace(
        seen, called=True, enabled=True, usable=True, living=True, suppressed=False, goal_met=False
    )
    verdict = decide(policy, seen)
    active = seen.earlier is not None and seen.earlier.active
    assert verdict == StaysOut(Reason.ACTIVE_NOW) if active else isinstance(verdict, Enters)
    # Nothing that triggers say makes a difference to it.
    assert decide(Policy(), replace(seen, met=(), renewed=(), before=(), own=False)) == verdict


@given(policies, situations)
def test_without_reenrollment_triggers_the_first_time_is_the_only_one(
    policy: Policy, seen: Situation
) -> None:
    seen = replace(seen, called=False, earlier=Earlier(1, active=False))
    assert not isinstance(decide(replace(policy, reentry=False), seen), Enters)


@given(policies, situations)
def test_a_runaway_is_stopped_visibly_and_then_silently(policy: Policy, seen: Situation) -> None:
    seen = replace(seen, called=False, depth=0)
    verdict = decide(policy, seen)
    if not isinstance(verdict, Enters) or seen.earlier is None:
        return
    limit = policy.reenrollments_per_hour
    assert (verdict.loop is Loop.RATE) is (seen.earlier.recent >= limit)
    again = replace(seen, earlier=replace(seen.earlier, recent=limit, stopped=True))
    assert decide(policy, again) == StaysOut(Reason.LOOP_GUARD)


@given(policies, situations)
def test_who_leaves_has_a_reason_that_holds(policy: Policy, seen: Situation) -> None:
    verdict = decide(policy, seen)
    if not isinstance(verdict, Leaves):
        return
    match verdict.reason:
        case Reason.GOAL_MET:
            assert verdict.status == "GOAL_MET"
            assert seen.goal_met
        case Reason.SUPPRESSED:
            assert seen.suppressed
        case Reason.TRIGGER_NOT_MET:
            assert policy.unenroll_when_not_met
            assert not seen.filter_holds
        case reason:
            assert reason is Reason.RECORD_ARCHIVED
            assert not seen.living


IN, ONCE, NOW = Situation(met=(0,)), Earlier(1, active=False), Earlier(1, active=True)
AGAIN = Policy(reentry=True)


@pytest.mark.parametrize(
    ("policy", "seen", "reason"),
    [
        (Policy(), replace(IN, enabled=False), Reason.WORKFLOW_OFF),
        (Policy(), replace(IN, usable=False), Reason.BROKEN),
        (Policy(), replace(IN, living=False), Reason.RECORD_ARCHIVED),
        (Policy(), Situation(), Reason.TRIGGER_NOT_MET),
        (Policy(), Situation(before=(0,)), Reason.MET_BEFORE_TURNED_ON),
        (Policy(), replace(IN, earlier=ONCE), Reason.ALREADY_ENROLLED),
        (AGAIN, replace(IN, earlier=ONCE), Reason.NO_REENROLLMENT_TRIGGER),
        (AGAIN, Situation(earlier=ONCE, renewed=(1,)), Reason.TRIGGER_NOT_MET),
        (Policy(), replace(IN, suppressed=True), Reason.SUPPRESSED),
        (Policy(), replace(IN, goal_met=True), Reason.GOAL_MET),
        (AGAIN, replace(IN, renewed=(1,), earlier=NOW), Reason.ACTIVE_NOW),
        (Policy(), replace(IN, own=True), Reason.LOOP_GUARD),
    ],
)
def test_each_reason_to_stay_out(policy: Policy, seen: Situation, reason: Reason) -> None:
    assert decide(policy, seen) == StaysOut(reason)


def test_where_all_triggers_are_events_what_renews_decides_alone() -> None:
    seen = Situation(earlier=ONCE, renewed=(1,))
    assert decide(Policy(holding=False, reentry=True), seen) == Enters(1, 2)
