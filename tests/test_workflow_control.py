"""What decides where and when an enrollment goes on: branches, delays, windows, turning off and on again."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine import accounts
from engine.problems import Refused
from engine.workflows import steps
from engine.workflows.actions import targets
from storage.changes import EventKind
from storage.database import Database
from storage.enrollments import EnrollmentRow
from tests.flows import Flows, associated, equals, flows, set_property
from tests.graph import T0


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


@pytest.fixture
async def berlin(db: Database) -> Flows:
    """An account whose clocks are those of Berlin."""
    return Flows(db, await accounts.create(db, "Berlin", now=T0, settings={"time_zone": "Europe/Berlin"}))


async def told(crm: Flows, *actions: dict[str, Any], object_type: str = "contacts") -> list[tuple[Any, ...]]:
    """What is wrong with a workflow of these actions: (code, path within the first action)."""
    with pytest.raises(Refused) as refused:
        await crm.make(object_type, equals("city", "Boston"), *actions)
    return [(one.code, one.path[3:]) for one in refused.value.problems]


async def lines(crm: Flows, flow: int, record_id: int) -> list[tuple[str, str]]:
    """The history of a record's last enrollment: (action, outcome)."""
    return [(one.action, one.outcome) for one in await crm.history((await standing(crm, flow, record_id)).id)]


async def standing(crm: Flows, flow: int, record_id: int) -> EnrollmentRow:
    """A record's last enrollment."""
    return [row for row in await crm.enrolled(flow) if row.record_id == record_id][-1]


def wait(**what: Any) -> dict[str, Any]:
    """The action: a delay."""
    return {"delay": what}


def after(value: int, unit: str) -> dict[str, Any]:
    """The action: a delay of so many units."""
    return wait(duration={"value": value, "unit": unit})


DONE = set_property("jobtitle", "done")
DONE_TOO = set_property("description", "done")


# --- branches -----------------------------------------------------------------------------------------------


async def test_the_first_way_whose_filter_holds_is_gone_and_all_lead_to_what_follows(crm: Flows) -> None:
    branch = {
        "branch": {
            "branches": [
                {"where": equals("city", "Paris"), "actions": [set_property("jobtitle", "French")]},
                {
                    "name": "Europe",
                    "where": equals("city", "Paris", "Rome"),
                    "actions": [set_property("jobtitle", "European"), set_property("lastname", "E")],
                },
            ],
            "otherwise": [set_property("jobtitle", "elsewhere")],
        }
    }
    flow = await crm.make("contacts", equals("firstname", "x"), branch, set_property("state", "behind"))
    cities = {
        city: await crm.one("contacts", firstname="x", **({"city": city} if city else {}))
        for city in ("Paris", "Rome", "Boston", "")
    }
    await crm.work()
    titles = {city: await crm.value(record_id, "jobtitle") for city, record_id in cities.items()}
    assert titles == {"Paris": "French", "Rome": "European", "Boston": "elsewhere", "": "elsewhere"}
    for record_id in cities.values():
        assert await crm.value(record_id, "state") == "behind"
        assert (await standing(crm, flow, record_id)).status == "COMPLETED"
    # What was seen is told.
    chosen = {}
    for city, record_id in cities.items():
        [first, *_] = await crm.history((await standing(crm, flow, record_id)).id)
        [chosen[city]] = first.changes
    assert chosen["Rome"] == {"branch": "Europe", "way": 1, "seen": {"city": "Rome"}}
    assert (chosen["Paris"]["branch"], chosen[""]["branch"]) == (0, "otherwise")


async def test_a_branch_looks_at_what_is_associated(crm: Flows) -> None:
    branch = {
        "branch": {
            "branches": [{"where": associated("companies", equals("city", "Rome")), "actions": [DONE]}]
        }
    }
    await crm.make("contacts", equals("firstname", "x"), branch)
    ann, bob, rome = *await crm.create("contacts", {}, {}), await crm.one("companies", city="Rome")
    await crm.associate((ann, rome))
    await crm.set(ann, firstname="x")
    await crm.set(bob, firstname="x")
    await crm.work()
    assert (await crm.value(ann, "jobtitle"), await crm.value(bob, "jobtitle")) == ("done", None)


async def test_a_value_leads_its_way_also_one_of_several_choices_and_none_at_all(crm: Flows) -> None:
    def way(title: str, *values: Any) -> dict[str, Any]:
        return {"name": title, "values": list(values), "actions": [set_property("jobtitle", title)]}

    cases = [way("first", "Paris", "Rome"), way("none", None)]
    branch = {"valueBranch": {"property": "city", "cases": cases, "otherwise": [DONE]}}
    flow = await crm.make("contacts", equals("firstname", "x"), branch)
    seen = {}
    for city in ("Rome", None, "Boston"):
        ann = await crm.one("contacts", firstname="x", **({} if city is None else {"city": city}))
        await crm.work()
        seen[city] = await crm.value(ann, "jobtitle")
        [line, _] = await crm.history((await standing(crm, flow, ann)).id)
        assert line.changes[0]["seen"] == {"property": "city", "value": city}
    assert seen == {"Rome": "first", None: "none", "Boston": "done"}

    terms = [
        {"values": ["price"], "actions": [set_property("title", "price")]},
        {"values": ["contract", "cancel"], "actions": [set_property("title", "contract")]},
    ]
    await crm.make(
        "calls", equals("body", "x"), {"valueBranch": {"property": "tracked_terms", "cases": terms}}
    )
    catalogue = await crm.db.catalogue(crm.account)
    options = [one["value"] for one in catalogue.by_name["calls"].properties["tracked_terms"].options]
    assert {"price", "contract", "cancel"} <= set(options)
    both, other = await crm.create(
        "calls",
        {"body": "x", "tracked_terms": ["cancel", "price"]},
        {"body": "x", "tracked_terms": ["cancel"]},
    )
    await crm.work()
    assert (await crm.value(both, "title"), await crm.value(other, "title")) == ("price", "contract")


async def test_a_value_of_a_chosen_associated_record_leads_the_way(crm: Flows) -> None:
    await crm.label("contacts", "companies", "Owner of", name="owner", inverse_name="owned_by")
    branch = {
        "valueBranch": {
            "property": "city",
            "of": {"to": "companies", "labels": ["owner"], "pick": "OLDEST"},
            "cases": [{"values": ["Rome"], "actions": [DONE]}],
        }
    }
    flow = await crm.make("contacts", equals("firstname", "x"), branch)
    ann, bob = await crm.create("contacts", {}, {})
    rome, paris = await crm.create("companies", {"city": "Rome"}, {"city": "Paris"})
    await crm.associate((ann, paris, "owner"), (ann, rome, "owner"), (bob, rome))
    await crm.set(ann, firstname="x")
    await crm.set(bob, firstname="x")
    await crm.work()
    assert (await crm.value(ann, "jobtitle"), await crm.value(bob, "jobtitle")) == ("done", None)
    [line] = await crm.history((await standing(crm, flow, bob)).id)
    assert line.changes == [
        {"branch": "otherwise", "way": 1, "seen": {"property": "city", "value": None, "record": None}}
    ]


async def test_what_a_branch_cannot_be_is_refused_at_its_place(crm: Flows) -> None:
    way = {"where": equals("city", "Paris")}
    assert await told(crm, {"branch": {"branches": []}}) == [("NO_BRANCHES", ("branches",))]
    assert await told(crm, {"branch": {"branches": [way] * 21}}) == [("TOO_MANY_BRANCHES", ("branches",))]
    assert await told(crm, {"branch": {"branches": [way, {"where": equals("ctiy", "x")}]}}) == [
        ("UNKNOWN_PROPERTY", ("branches", 1, "where", "property", "name"))
    ]

    def by(name: str, *cases: list[Any], **more: Any) -> dict[str, Any]:
        return {"valueBranch": {"property": name, "cases": [{"values": list(one)} for one in cases], **more}}

    many = [str(n) for n in range(251)]
    of = {"to": "companies", "labels": ["boss"]}
    for action, expected in (
        (by("city"), ("NO_BRANCHES", ("cases",))),
        (by("city", many), ("TOO_MANY_BRANCH_VALUES", ("cases",))),
        (by("ctiy", ["x"]), ("NOT_FOUND", ("property",))),
        (by("city", ["x"], ["y", "x"]), ("VALUE_TWICE", ("cases", 1, "values", 1))),
        (by("city", [None], [""]), ("VALUE_TWICE", ("cases", 1, "values", 0))),
        (by("city", ["x"], [7]), ("INVALID_VALUE", ("cases", 1, "values", 0))),
        (by("city", ["x"], of={"to": "planets"}), ("UNKNOWN_OBJECT_TYPE", ("of", "to"))),
        (by("city", ["x"], of=of), ("NO_LABEL", ("of", "labels", 0))),
    ):
        assert await told(crm, action) == [expected]


async def test_goto_goes_round_until_there_is_nothing_left_to_do_and_end_ends(crm: Flows) -> None:
    branch = {
        "branch": {
            "branches": [{"where": equals("jobtitle", "done"), "actions": [{"end": {}}]}],
            "otherwise": [after(1, "DAY"), {"goTo": {"action": "look"}}],
            "id": "look",
        }
    }
    flow = await crm.make("contacts", equals("city", "Boston"), branch)
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    for _ in range(3):
        await crm.work(crm.now + timedelta(days=1))
        crm.now += timedelta(days=1)
        assert (await standing(crm, flow, ann)).status == "ACTIVE"
    await crm.set(ann, jobtitle="done")
    await crm.work(crm.now + timedelta(days=1, seconds=1))
    assert (await standing(crm, flow, ann)).status == "COMPLETED"


async def test_a_circle_that_runs_away_is_stopped_and_says_so(crm: Flows) -> None:
    flow = await crm.make(
        "contacts",
        equals("city", "Boston"),
        {"setProperty": {"property": "jobtitle", "value": "x", "id": "again"}},
        after(1, "MINUTE"),
        {"goTo": {"action": "again"}},
        guards={"steps": 10},
    )
    ann = await crm.one("contacts", city="Boston")
    for _ in range(10):
        await crm.work(crm.now + timedelta(minutes=1))
        crm.now += timedelta(minutes=1)
    enrollment = await standing(crm, flow, ann)
    assert (enrollment.status, (enrollment.error or {})["code"]) == ("FAILED", "LOOP_GUARD")
    assert enrollment.steps == 10
    [event] = await crm.events(EventKind.ENROLLMENT_FAILED)
    assert event.payload["error"]["code"] == "LOOP_GUARD"


async def test_parts_of_a_large_action_are_not_taken_for_a_loop(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "PAIRS_A_BATCH", 2)
    everybody = set_property("lastname", "x", of={"to": "contacts"})
    flow = await crm.make(
        "companies",
        equals("city", "Boston"),
        everybody,
        set_property("name", "x"),
        DONE_TOO,
        guards={"steps": 4},
    )
    acme = await crm.one("companies")
    people = await crm.create("contacts", *[{}] * 11)
    await crm.associate(*((acme, one) for one in people))
    await crm.set(acme, city="Boston")
    await crm.work()
    enrollment = await standing(crm, flow, acme)
    assert (enrollment.status, enrollment.error, enrollment.steps) == ("COMPLETED", None, 8)
    assert {await crm.value(one, "lastname") for one in people} == {"x"}


# --- delays -------------------------------------------------------------------------------------------------


async def test_a_delay_wakes_on_time_and_not_before(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), after(3, "HOUR"), DONE)
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    came = await standing(crm, flow, ann)
    assert (came.waiting, came.steps, came.due_at) == ("DELAY", 0, crm.now + timedelta(hours=3))
    assert came.due_at is not None
    await crm.work(came.due_at - timedelta(milliseconds=1))
    assert await crm.value(ann, "jobtitle") is None
    await crm.work(came.due_at)
    assert await crm.value(ann, "jobtitle") == "done"
    assert await lines(crm, flow, ann) == [("a1", "DONE"), ("a2", "DONE")]


async def test_clocks_that_jump_harm_nothing(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), after(3, "HOUR"), DONE, after(1, "DAY"), DONE)
    ann = await crm.one("contacts", city="Boston")
    start = crm.tick()
    for jump in (0, -48, 0, 2, -1, 3, -500, 1, 26, 27, 27, -1, 400):
        await crm.work(start + timedelta(hours=jump))
    assert (await standing(crm, flow, ann)).status == "COMPLETED"
    # Each step once, in order, whatever the clock said.
    found = await crm.history((await standing(crm, flow, ann)).id)
    assert [one.action for one in found] == ["a1", "a2", "a3", "a4"]
    assert [one.n for one in found] == [0, 1, 2, 3]


async def test_a_day_is_a_calendar_day_in_the_account_s_zone(berlin: Flows) -> None:
    flow = await berlin.make("contacts", equals("city", "Boston"), after(1, "DAY"), DONE)
    ann = await berlin.one("contacts", city="Boston")
    # Noon, the day before the clocks are set forward: the next noon comes after 23 hours.
    noon = datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    await berlin.work(noon)
    assert (await standing(berlin, flow, ann)).due_at == noon + timedelta(hours=23)
    await berlin.work(noon + timedelta(hours=23))
    assert await berlin.value(ann, "jobtitle") == "done"


async def test_until_a_moment_and_not_at_all_where_it_has_passed(berlin: Flows) -> None:
    until = datetime(2026, 4, 1, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    for n, given in enumerate(("2026-04-01T00:00:00+02:00", "2026-04-01", "2026-03-31T22:00:00Z")):
        flow = await berlin.make("contacts", equals("city", str(n)), wait(until=given), DONE, name=str(n))
        early, late = await berlin.create("contacts", {"city": str(n)}, {})
        await berlin.work(T0)
        assert (await standing(berlin, flow, early)).due_at == until
        await berlin.set(late, city=str(n))
        await berlin.work(until + timedelta(days=1))
        assert await lines(berlin, flow, late) == [("a1", "DONE"), ("a2", "DONE")]


async def test_until_a_date_in_a_property_with_an_offset_empty_or_past_at_once(berlin: Flows) -> None:
    until = {"property": "closedate", "offset": {"value": -3, "unit": "DAY"}, "at": "08:30"}
    catalogue = await berlin.db.catalogue(berlin.account)
    assert catalogue.by_name["deals"].properties["closedate"].type in ("DATE", "DATETIME")
    kind = catalogue.by_name["deals"].properties["closedate"].type
    value = "2026-04-01" if kind == "DATE" else "2026-04-01T06:30:00Z"
    flow = await berlin.make(
        "deals", equals("name", "x"), wait(untilProperty=until), set_property("description", "done")
    )
    dated, empty, past = await berlin.create(
        "deals",
        {"name": "x", "closedate": value},
        {"name": "x"},
        {"name": "x", "closedate": value.replace("2026", "2020")},
    )
    await berlin.work(T0)
    assert [await berlin.value(one, "description") for one in (dated, empty, past)] == [None, "done", "done"]
    # The 29th, when the clocks are set: eight thirty is eight thirty.
    at = datetime(2026, 3, 29, 8, 30, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    assert (await standing(berlin, flow, dated)).due_at == at
    [line, _] = await berlin.history((await standing(berlin, flow, empty)).id)
    assert line.changes == [{"waited_for": {"until": None}}]


async def test_until_a_time_of_day_on_a_weekday(berlin: Flows) -> None:
    until = {"at": "09:00", "weekdays": ["MONDAY", "THURSDAY"]}
    flow = await berlin.make("contacts", equals("city", "Boston"), wait(untilTime=until), DONE)
    zone = ZoneInfo("Europe/Berlin")
    ann = await berlin.one("contacts", city="Boston")
    # Thursday at nine sharp: the next one is Monday.
    await berlin.work(datetime(2026, 3, 5, 9, tzinfo=zone).astimezone(UTC))
    assert (await standing(berlin, flow, ann)).due_at == datetime(2026, 3, 9, 9, tzinfo=zone)


async def test_until_an_event_or_through_the_way_of_those_for_whom_it_did_not_come(crm: Flows) -> None:
    until = {
        "event": {"propertyChanged": {"property": "city", "values": ["Rome"]}},
        "timeout": {"value": 7, "unit": "DAY"},
        "timedOut": [set_property("lastname", "late")],
    }
    flow = await crm.make("contacts", equals("firstname", "x"), wait(untilEvent=until), DONE)
    quick, wrong, never = await crm.create("contacts", *[{"firstname": "x"}] * 3)
    await crm.work()
    came = crm.now
    assert {row.waiting for row in await crm.enrolled(flow)} == {"EVENT"}
    assert {row.due_at for row in await crm.enrolled(flow)} == {came + timedelta(days=7)}
    await crm.set(wrong, city="Paris")
    await crm.set(quick, city="Rome")
    await crm.work()
    assert [await crm.value(one, "jobtitle") for one in (quick, wrong, never)] == ["done", None, None]
    assert await lines(crm, flow, quick) == [("a1", "DONE"), ("a3", "DONE")]
    [line, _] = await crm.history((await standing(crm, flow, quick)).id)
    assert line.changes[0]["waited_for"]["event"]["record"] == quick
    await crm.work(came + timedelta(days=7))
    for one in (wrong, never):
        assert await lines(crm, flow, one) == [("a1", "DONE"), ("a2", "DONE"), ("a3", "DONE")]
        assert (await crm.value(one, "lastname"), await crm.value(one, "jobtitle")) == ("late", "done")
    assert await crm.value(quick, "lastname") is None
    # What comes too late is nothing to those who have gone on.
    await crm.set(never, city="Rome")
    await crm.work(came + timedelta(days=8))
    assert len(await lines(crm, flow, never)) == 3


async def test_what_happened_before_the_wait_began_is_not_waited_for(crm: Flows) -> None:
    until = {
        "event": {"propertyChanged": {"property": "city"}},
        "timeout": {"value": 1, "unit": "DAY"},
    }
    flow = await crm.make(
        "contacts", equals("firstname", "x"), after(1, "HOUR"), wait(untilEvent=until), DONE
    )
    ann = await crm.one("contacts", firstname="x")
    await crm.work()
    await crm.set(ann, city="Rome")
    await crm.work(crm.now + timedelta(hours=1))
    assert (await standing(crm, flow, ann)).waiting == "EVENT"
    crm.now += timedelta(hours=2)
    await crm.set(ann, city="Paris")
    await crm.work()
    assert (await standing(crm, flow, ann)).status == "COMPLETED"


async def test_what_a_delay_cannot_be_is_refused_at_its_place(crm: Flows) -> None:
    day = {"value": 1, "unit": "DAY"}
    changed = {"propertyChanged": {"property": "city"}}
    for action, code, path in (
        (wait(), "DELAY_UNCLEAR", ()),
        (wait(duration=day, until="2026-01-01"), "DELAY_UNCLEAR", ()),
        (wait(duration={"value": 0, "unit": "DAY"}), "DURATION_NOT_AHEAD", ("duration", "value")),
        (wait(duration={"value": 101, "unit": "YEAR"}), "DURATION_TOO_LONG", ("duration", "value")),
        (wait(until="soon"), "MALFORMED_MOMENT", ("until",)),
        (wait(until="2026-02-30"), "MALFORMED_MOMENT", ("until",)),
        (wait(untilTime={"at": "9"}), "MALFORMED_TIME_OF_DAY", ("untilTime", "at")),
        (wait(untilProperty={"property": "cty"}), "NOT_FOUND", ("untilProperty", "property")),
        (wait(untilProperty={"property": "city"}), "NO_DATE_PROPERTY", ("untilProperty", "property")),
        (wait(untilEvent={"event": {}, "timeout": day}), "EVENT_UNCLEAR", ("untilEvent", "event")),
        (
            wait(untilEvent={"event": changed, "timeout": {"value": 0, "unit": "DAY"}}),
            "DURATION_NOT_AHEAD",
            ("untilEvent", "timeout", "value"),
        ),
        (
            wait(untilEvent={"event": {"propertyChanged": {"property": "ctiy"}}, "timeout": day}),
            "NOT_FOUND",
            ("untilEvent", "event", "propertyChanged", "property"),
        ),
    ):
        assert await told(crm, action) == [(code, path)], action


# --- windows, off and on ------------------------------------------------------------------------------------

OFFICE = {"windows": [{"from": "09:00", "to": "17:00", "weekdays": ["MONDAY", "TUESDAY"]}]}


async def test_actions_wait_for_their_hours_and_delays_and_branches_do_not(berlin: Flows) -> None:
    zone = ZoneInfo("Europe/Berlin")
    branch = {"branch": {"branches": [{"where": equals("city", "Boston"), "actions": [DONE]}]}}
    flow = await berlin.make("contacts", equals("city", "Boston"), after(1, "HOUR"), branch, timing=OFFICE)
    ann = await berlin.one("contacts", city="Boston")
    # Friday evening: an hour later the branch is decided, and the action waits for Monday.
    friday = datetime(2026, 3, 6, 20, tzinfo=zone).astimezone(UTC)
    await berlin.work(friday)
    await berlin.work(friday + timedelta(hours=1))
    monday = datetime(2026, 3, 9, 9, tzinfo=zone)
    assert await lines(berlin, flow, ann) == [("a1", "DONE"), ("a2", "DONE")]
    assert (await standing(berlin, flow, ann)).due_at == monday
    await berlin.work(monday - timedelta(seconds=1))
    assert await berlin.value(ann, "jobtitle") is None
    await berlin.work(monday.astimezone(UTC))
    assert await berlin.value(ann, "jobtitle") == "done"
    assert (await standing(berlin, flow, ann)).status == "COMPLETED"


async def test_a_timing_that_never_opens_is_refused(crm: Flows) -> None:
    always = {"blocked": [{"from": "2026-01-01", "to": "2027-01-01", "yearly": True}]}
    with pytest.raises(Refused) as refused:
        await crm.make("contacts", equals("city", "Boston"), DONE, timing=always)
    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("NEVER_OPEN", ("timing", "blocked"))


async def test_turned_off_due_actions_are_skipped_delays_go_on_and_turned_on_again_they_continue(
    crm: Flows,
) -> None:
    branch = {"branch": {"branches": [{"where": equals("city", "Boston"), "actions": [DONE]}]}}
    flow = await crm.make(
        "contacts",
        equals("city", "Boston"),
        set_property("lastname", "first"),
        after(1, "DAY"),
        branch,
        after(1, "DAY"),
        set_property("state", "last"),
    )
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    start = crm.now
    await crm.switch(flow, False)
    await crm.work(start + timedelta(days=1))
    assert await lines(crm, flow, ann) == [("a1", "DONE"), ("a2", "DONE"), ("a3", "DONE"), ("a4", "SKIPPED")]
    assert await crm.value(ann, "jobtitle") is None
    [event] = await crm.events(EventKind.STEP_SKIPPED)
    assert event.record_id == ann
    crm.now = start + timedelta(days=1, hours=1)
    await crm.switch(flow, True)
    await crm.work(start + timedelta(days=2))
    assert await crm.value(ann, "state") == "last"
    assert (await standing(crm, flow, ann)).status == "COMPLETED"


# --- batches ------------------------------------------------------------------------------------------------


async def test_who_waits_is_found_when_it_is_due_and_costs_nothing_before(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), after(1, "DAY"), DONE)
    await crm.create("contacts", *[{"city": "Boston"}] * 30)
    await crm.work()
    assert await steps.due_accounts(crm.db, now=crm.now + timedelta(hours=1)) == []
    assert await steps.due_accounts(crm.db, now=crm.now + timedelta(days=1)) == [crm.account]
    assert await steps.run_once(crm.db, crm.account, now=crm.now + timedelta(hours=1)) == 0
    # All of them in one batch a step.
    assert await steps.run_once(crm.db, crm.account, now=crm.now + timedelta(days=1)) == 30
    assert {row.next_step for row in await crm.enrolled(flow)} == {1}
