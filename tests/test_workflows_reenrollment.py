"""Who enters again, who is kept out, who leaves: stories, and races of two who look at one record at once."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from engine import records
from engine.batches import Mode
from engine.evaluation import run as evaluate
from engine.problems import NotFound, Refused
from engine.workflows import backfill, commands, enrolling, looking, passing
from engine.workflows.by_hand import unenroll
from engine.workflows.commands import WorkflowUsed
from storage import trigger_states
from storage import workflows as stored
from storage.changes import EventKind
from storage.database import Database, Transaction
from tests.crm import done_or_waiting
from tests.flows import Flows, associated, equals, flows, met, set_property, waits
from tests.statements import counted

# Whoever moves from the one to the other meets it all along, and is looked at nevertheless.
BOSTON = equals("city", "Boston", "Cambridge")


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


# --- again --------------------------------------------------------------------------------------------------


async def test_a_record_enters_again_when_a_trigger_newly_holds(crm: Flows) -> None:
    flow = await crm.flow("contacts", [met(BOSTON)], reenrollmentTriggers=[met(BOSTON)])
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    await crm.set(ann, city="Cambridge")
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "COMPLETED")]
    await crm.set(ann, city="Rome")
    await crm.work()
    await crm.set(ann, city="Boston")
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "COMPLETED"), (ann, 2, "COMPLETED")]
    [_, row] = await crm.enrolled(flow)
    assert (row.reason["trigger"], row.reason["reenrollment"]) == (0, 1)


async def test_the_enrollment_triggers_must_hold_as_well(crm: Flows) -> None:
    flow = await crm.flow("contacts", [met(BOSTON)], reenrollmentTriggers=[met(equals("lastname", "Lee"))])
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    await crm.set(ann, city="Rome")
    await crm.work()
    await crm.set(ann, lastname="Lee")
    await crm.work()
    # It held already when the others came to hold.
    await crm.set(ann, city="Boston")
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "COMPLETED")]
    await crm.set(ann, lastname="Low")
    await crm.work()
    await crm.set(ann, lastname="Lee")
    await crm.work()
    assert [epoch for _, epoch, _ in await crm.standing(flow)] == [1, 2]


async def test_who_is_active_does_not_enter_and_what_newly_held_then_is_no_news_later(crm: Flows) -> None:
    flow = await crm.flow("contacts", [met(BOSTON)], waits(), reenrollmentTriggers=[met(BOSTON)])
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    for city in ("Rome", "Boston"):
        await crm.set(ann, city=city)
        await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "ACTIVE")]
    crm.now += timedelta(days=2)
    await crm.work()
    await crm.set(ann, city="Cambridge")
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "COMPLETED")]


async def test_each_occurrence_of_an_event_enrolls_again_also_activities(crm: Flows) -> None:
    moved = {"propertyChanged": {"property": "subject"}}
    flow = await crm.flow("tasks", [moved], reenrollmentTriggers=[moved])
    task = await crm.one("tasks", subject="Call")
    await crm.work()
    await crm.set(task, subject="Write")
    await crm.work()
    assert [epoch for _, epoch, _ in await crm.standing(flow)] == [1, 2]


async def test_triggers_that_are_published_later_renew_only_what_happens_from_then_on(crm: Flows) -> None:
    flow = await crm.flow("contacts", [met(BOSTON)])
    ann, bob = await crm.create("contacts", {"city": "Boston"}, {"city": "Boston"})
    await crm.work()
    await crm.set(bob, city="Rome")
    await crm.work()
    await crm.republish(flow, reenrollmentTriggers=[met(BOSTON)])
    await crm.work()
    await crm.set(ann, city="Cambridge")
    await crm.set(bob, city="Boston")
    await crm.work()
    assert await crm.standing(flow) == [
        (ann, 1, "COMPLETED"),
        (bob, 1, "COMPLETED"),
        (bob, 2, "COMPLETED"),
    ]


async def test_what_came_to_hold_while_it_was_off_is_nothing_new(crm: Flows) -> None:
    flow = await crm.flow("contacts", [met(BOSTON)], reenrollmentTriggers=[met(BOSTON)])
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    await crm.set(ann, city="Rome")
    await crm.work()
    await crm.switch(flow, False)
    await crm.set(ann, city="Boston")
    await crm.work()
    await crm.switch(flow, True)
    await crm.work()
    await crm.set(ann, city="Cambridge")
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "COMPLETED")]


async def test_a_runaway_is_stopped_once_visibly(crm: Flows) -> None:
    changed = {"propertyChanged": {"property": "city"}}
    flow = await crm.flow(
        "contacts",
        [changed],
        reenrollmentTriggers=[changed],
        guards={"reenrollmentsPerHour": 2},
    )
    ann = await crm.one("contacts", city="a")
    await crm.work()
    for city in "bcdef":
        await crm.set(ann, city=city)
        await crm.work()
    rows = await crm.enrolled(flow)
    assert [row.status for row in rows] == ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED"]
    assert (rows[-1].error or {})["code"] == "LOOP_GUARD"
    crm.now += timedelta(hours=2)
    await crm.set(ann, city="g")
    await crm.work()
    assert (await crm.standing(flow))[-1] == (ann, 5, "COMPLETED")


async def test_an_engine_that_forgets_what_held_is_caught(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_reader: Any, wanted: Any) -> Any:
        # The broken variant: whatever holds counts as new.
        return {pair[:2]: frozenset() for pair in wanted}

    monkeypatch.setattr(trigger_states, "held", nothing)
    with pytest.raises(AssertionError):
        await test_a_record_enters_again_when_a_trigger_newly_holds(crm)


# --- kept out, and taken out --------------------------------------------------------------------------------


async def test_suppression_keeps_out_and_takes_out(crm: Flows) -> None:
    flow = await crm.flow(
        "contacts", [met(BOSTON)], waits(), suppressWhen=associated("companies", equals("name", "Rival"))
    )
    [ann, bob], rival = await crm.create("contacts", {}, {}), await crm.one("companies", name="Rival")
    await crm.associate((ann, rival))
    await crm.set(ann, city="Boston")
    await crm.set(bob, city="Boston")
    await crm.work()
    assert await crm.standing(flow) == [(bob, 1, "ACTIVE")]
    assert await crm.enroll(flow, ann) == ["SUPPRESSED"]
    await crm.associate((bob, rival))
    await crm.work()
    [row] = await crm.enrolled(flow)
    assert (row.status, (row.error or {})["code"], row.due_at) == ("UNENROLLED", "SUPPRESSED", None)
    # What kept it out is gone: a change that concerns the filters, and it meets them.
    await crm.set(rival, name="Friend")
    await crm.work()
    assert await crm.standing(flow) == [(bob, 1, "UNENROLLED"), (ann, 1, "ACTIVE")]


async def test_a_goal_that_is_met_ends_and_keeps_out(crm: Flows) -> None:
    flow = await crm.flow("contacts", [met(BOSTON)], waits(), goal=equals("lastname", "Lee"))
    ann, bob = await crm.create("contacts", {"city": "Boston"}, {"city": "Boston", "lastname": "Lee"})
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "ACTIVE")]
    await crm.set(ann, lastname="Lee")
    await crm.work()
    [row] = await crm.enrolled(flow)
    assert (row.status, row.error, row.ended_at is not None) == ("GOAL_MET", None, True)
    assert await crm.enroll(flow, bob) == ["GOAL_MET"]
    [event] = await crm.events(EventKind.UNENROLLED)
    assert event.payload == {"enrollment": row.id, "status": "GOAL_MET"}


async def test_who_no_longer_meets_the_triggers_leaves_if_the_definition_says_so(crm: Flows) -> None:
    stays = await crm.flow("contacts", [met(BOSTON)], waits(), name="stays")
    leaves = await crm.flow("contacts", [met(BOSTON)], waits(), unenrollWhenNotMet=True, name="leaves")
    ann, bob = await crm.create("contacts", {"city": "Boston"}, {"lastname": "Lee"})
    await crm.enroll(leaves, bob)
    await crm.work()
    await crm.set(ann, city="Rome")
    await crm.set(bob, city="Rome")
    await crm.work()
    assert await crm.standing(stays) == [(ann, 1, "ACTIVE")]
    # Who was called in never met them.
    assert sorted(await crm.standing(leaves)) == [(ann, 1, "UNENROLLED"), (bob, 1, "ACTIVE")]


async def test_who_met_its_goal_while_the_workflow_was_off_leaves_when_it_is_on_again(crm: Flows) -> None:
    flow = await crm.flow("contacts", [met(BOSTON)], waits(9), goal=equals("lastname", "Lee"))
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    await crm.switch(flow, False)
    await crm.set(ann, lastname="Lee")
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "ACTIVE")]
    await crm.switch(flow, True)
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "GOAL_MET")]


async def test_entering_one_workflow_leaves_those_that_it_names_or_all(crm: Flows) -> None:
    one = await crm.flow("contacts", [met(BOSTON)], waits(), name="one")
    two = await crm.flow("contacts", [met(BOSTON)], waits(), name="two")
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    named = await crm.flow(
        "contacts", [met(equals("lastname", "Lee"))], waits(), unenrollFrom=[f"wfl_{one}"], name="named"
    )
    await crm.set(ann, lastname="Lee")
    await crm.work()
    assert [(await crm.standing(flow))[0][2] for flow in (one, two, named)] == [
        "UNENROLLED",
        "ACTIVE",
        "ACTIVE",
    ]
    every = await crm.flow("contacts", [{"manual": {}}], waits(), unenrollFromAll=True, name="every")
    await crm.enroll(every, ann)
    assert [(await crm.standing(flow))[0][2] for flow in (two, named, every)] == [
        "UNENROLLED",
        "UNENROLLED",
        "ACTIVE",
    ]


async def test_who_is_archived_or_merged_away_leaves_before_any_step_is_due(crm: Flows) -> None:
    flow = await crm.flow("contacts", [met(BOSTON)], waits(30))
    ann, bob, cid = await crm.create("contacts", *[{"city": "Boston"}] * 3)
    await crm.work()
    await crm.archive(ann)
    async with crm.writing() as tx:
        await records.merge(tx, cid, bob)
    await crm.switch(flow, False)
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "UNENROLLED"), (bob, 1, "MERGED"), (cid, 1, "ACTIVE")]


# --- by hand ------------------------------------------------------------------------------------------------


async def test_calls_enroll_whoever_is_not_active_and_say_why_not(crm: Flows) -> None:
    flow = await crm.flow("contacts", [met(BOSTON)], waits())
    ann, bob, cid = await crm.create("contacts", {}, {}, {})
    acme = await crm.one("companies")
    await crm.archive(cid)
    [first, *others] = await crm.enroll(flow, ann, ann, cid, acme, 99)
    assert isinstance(first, int)
    # Named twice, it is enrolled once.
    assert others == [first, "RECORD_ARCHIVED", "WORKFLOW_OF_ANOTHER_TYPE", "NOT_FOUND"]
    assert await crm.enroll(flow, ann) == ["ACTIVE_NOW"]
    async with crm.writing() as tx:
        assert [one.value for one in await unenroll(tx, flow, [ann, bob])] == [True, False]
    assert await crm.standing(flow) == [(ann, 1, "UNENROLLED")]
    assert isinstance((await crm.enroll(flow, ann))[0], int)
    assert (await crm.standing(flow))[-1] == (ann, 2, "ACTIVE")
    await crm.switch(flow, False)
    assert await crm.enroll(flow, bob) == ["WORKFLOW_OFF"]
    with pytest.raises(NotFound):
        await crm.enroll(12345, ann)
    with pytest.raises(Refused):
        async with crm.writing() as tx:
            await commands.enroll(tx, flow, [bob], Mode.ATOMIC)


async def test_a_deleted_workflow_is_in_histories_alone(crm: Flows) -> None:
    flow = await crm.flow("contacts", [met(BOSTON)], waits(), name="mine")
    user = await crm.flow("contacts", [met({"inWorkflow": {"workflow": f"wfl_{flow}"}})], name="user")
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    with pytest.raises(WorkflowUsed) as caught:
        async with crm.writing(defining=True) as tx:
            await commands.delete(tx, flow)
    assert "user" in caught.value.message
    for one in (user, flow):
        async with crm.writing(defining=True) as tx:
            await commands.delete(tx, one)
    assert await crm.standing(flow) == [(ann, 1, "UNENROLLED")]
    await crm.set(ann, city="Cambridge")
    await crm.one("contacts", city="Boston")
    await crm.work()
    assert len(await crm.standing(flow)) == 1
    # Its name is free again, and nobody finds it any more.
    await crm.flow("contacts", [met(BOSTON)], name="mine")
    assert flow not in (await crm.db.catalogue(crm.account)).workflows
    with pytest.raises(NotFound):
        await crm.switch(flow, True)


# --- two who look at once -----------------------------------------------------------------------------------


async def overtaken(crm: Flows, monkeypatch: pytest.MonkeyPatch, definition: dict[str, Any]) -> int:
    """While one evaluator is about to enroll Ann, she comes to meet something else, and another one looks at her."""
    flow = await crm.flow("contacts", [met(BOSTON)], waits(), **definition)
    ann = await crm.one("contacts", city="Boston")
    honest, other = enrolling.settle, list[asyncio.Task[bool]]()

    async def late(tx: Transaction, decided: Any) -> Any:
        monkeypatch.setattr(enrolling, "settle", honest)
        await crm.set(ann, lastname="Lee")
        other.append(asyncio.create_task(evaluate.run_once(crm.db, crm.account, now=crm.tick())))
        await done_or_waiting(crm.db, other[0])
        return await honest(tx, decided)

    monkeypatch.setattr(enrolling, "settle", late)
    await evaluate.run_once(crm.db, crm.account, now=crm.tick())
    await other[0]
    await crm.evaluate()
    return flow


LEE = equals("lastname", "Lee")


@pytest.mark.parametrize(
    ("definition", "status"),
    [
        ({"suppressWhen": LEE}, "UNENROLLED"),
        ({"goal": LEE}, "GOAL_MET"),
    ],
)
async def test_who_comes_to_be_kept_out_while_it_enters_leaves(
    crm: Flows, monkeypatch: pytest.MonkeyPatch, definition: dict[str, Any], status: str
) -> None:
    flow = await overtaken(crm, monkeypatch, definition)
    assert [row[2] for row in await crm.standing(flow)] == [status]


async def test_an_engine_in_which_looks_do_not_wait_for_each_other_is_caught(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(_tx: Transaction, _ids: Any) -> None:
        pass  # The broken variant.

    monkeypatch.setattr(stored, "hold", nobody)
    flow = await overtaken(crm, monkeypatch, {"goal": LEE})
    assert [row[2] for row in await crm.standing(flow)] == ["ACTIVE"]


async def test_what_newly_held_is_seen_by_one_of_two_evaluators(crm: Flows) -> None:
    flow = await crm.flow("contacts", [met(BOSTON)], reenrollmentTriggers=[met(BOSTON)])
    made = await crm.create("contacts", *[{"city": "Boston"}] * 20)
    await crm.work()

    async def evaluating() -> None:
        while await evaluate.run_once(crm.db, crm.account, now=crm.tick()):
            pass

    for city in ("Rome", "Boston"):
        for record in made:
            await crm.set(record, city=city)
        await asyncio.gather(*(evaluating() for _ in range(3)))
    await crm.work()
    assert sorted(await crm.standing(flow)) == sorted(
        (one, epoch, "COMPLETED") for one in made for epoch in (1, 2)
    )


# --- what it costs ------------------------------------------------------------------------------------------


async def test_one_pass_for_triggers_suppression_goal_and_reenrollment(crm: Flows) -> None:
    async def statements(workflows: int, contacts: int) -> int:
        for n in range(workflows):
            await crm.flow(
                "contacts",
                [met(equals("city", "Boston", str(n))), {"propertyChanged": {"property": "city"}}],
                set_property("jobtitle", "x"),
                reenrollmentTriggers=[met(equals("lastname", str(n)))],
                suppressWhen=equals("firstname", str(n)),
                goal=associated("companies", equals("name", str(n))),
                name=f"{workflows} {contacts} {n}",
            )
        await crm.create("contacts", *[{"city": "Boston"}] * contacts)
        with counted() as said:
            await evaluate.run_once(crm.db, crm.account, now=crm.tick())
        return len(said)

    await statements(1, 1)
    few = await statements(2, 2)
    assert await statements(12, 200) <= few + 3


async def test_a_workflow_that_does_not_name_what_changed_is_not_even_loaded(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(30):
        await crm.flow("contacts", [{"propertyChanged": {"property": "jobtitle"}}], name=f"flow {n}")
    ann = await crm.one("contacts")
    await crm.work()
    looked = list[int]()
    honest = looking.concerned

    def noting(*args: Any, **options: Any) -> bool:
        looked.append(1)
        return honest(*args, **options)

    monkeypatch.setattr(looking, "concerned", noting)
    await crm.set(ann, city="Boston")
    await crm.work()
    assert looked == []


async def test_a_backfill_regards_what_keeps_out_and_notes_what_holds(crm: Flows) -> None:
    ann, bob = await crm.create("contacts", {"city": "Boston"}, {"city": "Boston", "lastname": "Lee"})
    flow = await crm.flow(
        "contacts", [met(BOSTON)], suppressWhen=LEE, reenrollmentTriggers=[met(BOSTON)], on=False
    )
    await crm.work()
    await crm.switch(flow, True, existing=True)
    await backfill.run_all(crm.db, now=crm.tick())
    await passing.run_all(crm.db, now=crm.tick())
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "COMPLETED")]
    await crm.set(ann, city="Cambridge")
    await crm.work()
    assert len(await crm.standing(flow)) == 1
    assert bob not in await crm.who(flow)
