"""Workflows from the outside: what enrolls, what is done, and what people see of it."""

from typing import Any

import pytest

from engine import properties
from engine.evaluation import run as evaluate
from engine.problems import Problem, Refused
from engine.workflows import commands, rules, steps
from engine.workflows.commands import NotPublished, StaleDraft, WorkflowBroken, WorkflowNameTaken
from storage.changes import EventKind
from storage.database import Database
from tests.flows import Flows, apply_label, associated, equals, flows, set_property


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


async def test_a_contact_that_meets_the_criteria_is_enrolled_and_changed(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), set_property("jobtitle", "Bostonian"))
    ann, bob = await crm.create("contacts", {"city": "Boston"}, {"city": "Paris"})
    await crm.work()
    assert await crm.who(flow) == [ann]
    assert await crm.value(ann, "jobtitle") == "Bostonian"
    assert await crm.value(bob, "jobtitle") is None
    [enrollment] = await crm.enrolled(flow)
    assert (enrollment.status, enrollment.reason["kind"]) == ("COMPLETED", "CREATED")
    [step] = await crm.history(enrollment.id)
    assert (step.outcome, step.action) == ("DONE", "a1")
    assert step.changes == [{"record": ann, "property": "jobtitle", "old": None, "new": "Bostonian"}]
    told = await crm.events(EventKind.ENROLLED, EventKind.STEP_DONE, EventKind.ENROLLMENT_COMPLETED)
    assert [event.kind.value for event in told] == ["ENROLLED", "STEP_DONE", "ENROLLMENT_COMPLETED"]
    assert {(event.record_id, event.subject_id) for event in told} == {(ann, flow)}


async def test_the_first_time_only(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"))
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    await crm.set(ann, city="Paris")
    await crm.work()
    await crm.set(ann, city="Boston")
    await crm.work()
    assert await crm.who(flow) == [ann]


async def test_who_met_the_criteria_before_it_was_turned_on_is_enrolled_only_if_asked_for(crm: Flows) -> None:
    early = await crm.one("contacts", city="Boston")
    quiet = await crm.make("contacts", equals("city", "Boston"), name="quiet")
    asked = await crm.make("contacts", equals("city", "Boston"), name="asked", existing=True)
    late = await crm.one("contacts", city="Boston")
    await crm.work()
    assert await crm.who(quiet) == [late]
    assert await crm.who(asked) == [early, late]
    reasons = {row.record_id: row.reason["kind"] for row in await crm.enrolled(asked)}
    assert reasons[early] == "TURNED_ON"


async def test_a_change_made_before_it_was_turned_on_but_evaluated_after_does_not_enroll(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), on=False)
    await crm.one("contacts", city="Boston")
    await crm.switch(flow, True)
    await crm.work()
    assert await crm.who(flow) == []


async def test_turned_off_nobody_enrolls_and_due_actions_are_skipped(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), set_property("jobtitle", "x"))
    ann = await crm.one("contacts", city="Boston")
    await crm.evaluate()
    await crm.switch(flow, False)
    await crm.one("contacts", city="Boston")
    await crm.work()
    assert await crm.who(flow) == [ann]
    assert await crm.value(ann, "jobtitle") is None
    [enrollment] = await crm.enrolled(flow)
    assert enrollment.status == "COMPLETED"
    assert [step.outcome for step in await crm.history(enrollment.id)] == ["SKIPPED"]


async def test_a_company_s_change_enrolls_the_contacts_associated_through_the_label_that_the_filter_names(
    crm: Flows,
) -> None:
    await crm.label("contacts", "companies", "Owner of", name="owner", inverse_name="owned_by")
    where = associated("companies", equals("city", "Boston"), labels=["owner"])
    flow = await crm.make("contacts", where, set_property("jobtitle", "Owner"))
    acme = await crm.one("companies", name="Acme")
    ann, bob, _ = await crm.create("contacts", {}, {}, {})
    await crm.associate((ann, acme, "owner"), (bob, acme))
    await crm.work()
    assert await crm.who(flow) == []
    await crm.set(acme, city="Boston")
    await crm.work()
    assert await crm.who(flow) == [ann]
    [enrollment] = await crm.enrolled(flow)
    assert (enrollment.reason["kind"], enrollment.reason["record"]) == ("UPDATED", acme)


async def test_a_label_that_is_added_enrolls(crm: Flows) -> None:
    await crm.label("contacts", "companies", "Owner of", name="owner", inverse_name="owned_by")
    flow = await crm.make("contacts", associated("companies", labels=["owner"]))
    ann, acme = await crm.one("contacts"), await crm.one("companies")
    await crm.associate((ann, acme))
    await crm.work()
    assert await crm.who(flow) == []
    await crm.associate((ann, acme, "owner"))
    await crm.work()
    assert await crm.who(flow) == [ann]


async def test_a_change_two_associations_away_enrolls(crm: Flows) -> None:
    where = associated("companies", associated("deals", equals("name", "Big")))
    flow = await crm.make("contacts", where)
    ann, acme, deal = await crm.one("contacts"), await crm.one("companies"), await crm.one("deals")
    await crm.associate((ann, acme), (acme, deal))
    await crm.work()
    await crm.set(deal, name="Big")
    await crm.work()
    assert await crm.who(flow) == [ann]


async def test_an_archived_neighbour_is_out_of_a_filter_and_a_restored_one_back_in(crm: Flows) -> None:
    flow = await crm.make("contacts", {"associated": {"to": "companies", "quantifier": "NONE"}})
    acme, ann = await crm.one("companies"), await crm.one("contacts", city="Paris")
    # Both at once: nobody is evaluated in between.
    await crm.associate((ann, acme))
    await crm.work()
    assert await crm.who(flow) == []
    await crm.archive(acme)
    await crm.work()
    assert await crm.who(flow) == [ann]


async def test_a_label_is_applied_to_associated_records_that_meet_a_filter(crm: Flows) -> None:
    await crm.label("contacts", "companies", "Customer of", name="customer", inverse_name="supplier")
    action = apply_label("companies", "customer", where=equals("city", "Boston"))
    await crm.make("contacts", equals("jobtitle", "Buyer"), action)
    ann = await crm.one("contacts")
    near, far, stranger = await crm.create(
        "companies", {"city": "Boston"}, {"city": "Paris"}, {"city": "Boston"}
    )
    await crm.associate((ann, near), (ann, far))
    await crm.set(ann, jobtitle="Buyer")
    await crm.work()
    assert "customer" in (await crm.labels_of(ann, near) or set())
    assert "supplier" in (await crm.labels_of(near, ann) or set())
    assert "customer" not in (await crm.labels_of(ann, far) or set())
    assert await crm.labels_of(ann, stranger) is None


async def test_a_limit_that_is_reached_fails_the_step_with_its_reason(crm: Flows) -> None:
    words = {"name": "customer", "inverse_name": "supplier", "max_count": 1}
    await crm.label("contacts", "companies", "Customer of", **words)
    stops = await crm.make(
        "contacts", equals("city", "A"), apply_label("companies", "customer"), name="stops"
    )
    goes_on = await crm.make(
        "contacts",
        equals("city", "B"),
        apply_label("companies", "customer", onError="CONTINUE"),
        set_property("jobtitle", "done"),
        name="goes on",
    )
    for city, flow, status in (("A", stops, "FAILED"), ("B", goes_on, "COMPLETED")):
        one, other = await crm.create("companies", {}, {})
        ann = await crm.one("contacts")
        await crm.associate((ann, one), (ann, other))
        await crm.set(ann, city=city)
        await crm.work()
        [enrollment] = await crm.enrolled(flow)
        assert enrollment.status == status
        first = (await crm.history(enrollment.id))[0]
        assert (first.outcome, (first.error or {})["code"]) == ("FAILED", "LABEL_LIMIT_REACHED")
    assert await crm.value(ann, "jobtitle") == "done"


async def test_what_one_workflow_changes_enrolls_in_another(crm: Flows) -> None:
    await crm.make("contacts", equals("city", "Boston"), set_property("jobtitle", "Bostonian"), name="first")
    second = await crm.make("contacts", equals("jobtitle", "Bostonian"), name="second")
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    assert await crm.who(second) == [ann]
    [enrollment] = await crm.enrolled(second)
    assert (enrollment.depth, enrollment.reason["source"]) == (1, "WORKFLOW")


async def test_a_chain_that_is_too_long_is_taken_for_a_loop_and_says_so(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "DEEPEST", 2)
    chain = [
        await crm.make("contacts", equals("city", str(n)), set_property("city", str(n + 1)), name=f"nr {n}")
        for n in range(4)
    ]
    ann = await crm.one("contacts", city="0")
    await crm.work()
    assert await crm.value(ann, "city") == "2"
    [stopped] = await crm.enrolled(chain[2])
    assert (stopped.status, (stopped.error or {})["code"]) == ("FAILED", "LOOP_GUARD")
    assert [event.subject_id for event in await crm.events(EventKind.ENROLLMENT_FAILED)] == [chain[2]]
    assert await crm.enrolled(chain[3]) == []


async def test_a_record_that_is_archived_leaves(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), set_property("jobtitle", "x"))
    ann, bob = await crm.create("contacts", {"city": "Boston"}, {"city": "Boston"})
    await crm.evaluate()
    await crm.archive(ann)
    await crm.work()
    status = {row.record_id: row.status for row in await crm.enrolled(flow)}
    assert status == {ann: "UNENROLLED", bob: "COMPLETED"}
    assert await crm.value(ann, "jobtitle") is None


async def test_a_record_archived_between_change_and_evaluation_is_not_enrolled(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"))
    ann = await crm.one("contacts", city="Boston")
    await crm.archive(ann)
    await crm.work()
    assert await crm.enrolled(flow) == []


async def test_running_enrollments_keep_the_revision_that_they_began_with(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), set_property("jobtitle", "old"))
    ann = await crm.one("contacts", city="Boston")
    await crm.evaluate()
    definition = {
        "triggers": [{"filterMet": {"where": equals("city", "Boston", "Paris")}}],
        "actions": [set_property("jobtitle", "new")],
    }
    async with crm.writing(defining=True) as tx:
        await commands.update(tx, flow, 1, definition=definition)
        await commands.publish(tx, flow, 2)
    bob = await crm.one("contacts", city="Paris")
    await crm.work()
    assert (await crm.value(ann, "jobtitle"), await crm.value(bob, "jobtitle")) == ("old", "new")
    assert [row.revision for row in await crm.enrolled(flow)] == [1, 2]


async def test_a_stale_draft_is_refused(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"))
    async with crm.writing(defining=True) as tx:
        assert (await commands.update(tx, flow, 1, name="renamed")).draft_version == 2
    for work in (commands.update, commands.publish):
        async with crm.writing(defining=True) as tx:
            with pytest.raises(StaleDraft):
                await work(tx, flow, 1)


async def test_names_are_unique_and_nothing_runs_unpublished(crm: Flows) -> None:
    await crm.make("contacts", equals("city", "Boston"), name="same")
    definition: dict[str, Any] = {"triggers": [{"filterMet": {"where": equals("city", "x")}}], "actions": []}
    async with crm.writing(defining=True) as tx:
        with pytest.raises(WorkflowNameTaken):
            await commands.create(tx, "same", "contacts", definition)
    async with crm.writing(defining=True) as tx:
        other = await commands.create(tx, "other", "contacts", definition)
        with pytest.raises(NotPublished):
            await commands.set_enabled(tx, other.id, True)


@pytest.mark.parametrize(
    ("definition", "code", "path"),
    [
        ({"triggers": [], "actions": []}, "TRIGGER_MISSING", ("triggers",)),
        (
            {"triggers": [{"filterMet": {"where": equals("nope", "x")}}], "actions": []},
            None,
            ("triggers", 0, "filterMet", "where", "property", "name"),
        ),
        (
            {"triggers": [{"filterMet": {"where": associated("companies", labels=["nope"])}}], "actions": []},
            None,
            ("triggers", 0, "filterMet", "where", "associated", "labels", 0),
        ),
        (
            {
                "triggers": [{"filterMet": {"where": equals("city", "x")}}],
                "actions": [set_property("city", "x"), set_property("nope", 1)],
            },
            "NOT_FOUND",
            ("actions", 1, "setProperty", "property"),
        ),
        (
            {
                "triggers": [{"filterMet": {"where": equals("city", "x")}}],
                "actions": [set_property("city", 17)],
            },
            "INVALID_VALUE",
            ("actions", 0, "setProperty", "value"),
        ),
        (
            {
                "triggers": [{"filterMet": {"where": equals("city", "x")}}],
                "actions": [set_property("email", "a@b.example")],
            },
            "UNIQUE_PROPERTY",
            ("actions", 0, "setProperty", "property"),
        ),
        (
            {
                "triggers": [{"filterMet": {"where": equals("city", "x")}}],
                "actions": [apply_label("companies", "nope")],
            },
            "NO_LABEL",
            ("actions", 0, "applyLabel", "label"),
        ),
        (
            {
                "triggers": [{"filterMet": {"where": equals("city", "x")}}],
                "actions": [apply_label("planets", "nope")],
            },
            "UNKNOWN_OBJECT_TYPE",
            ("actions", 0, "applyLabel", "to"),
        ),
        (
            {
                "triggers": [{"filterMet": {"where": equals("city", "x")}}],
                "actions": [apply_label("companies", "primary", where=equals("nope", "x"))],
            },
            None,
            ("actions", 0, "applyLabel", "where", "property", "name"),
        ),
        (
            {
                "triggers": [{"filterMet": {"where": equals("city", "x")}}],
                "actions": [set_property("city", "x", id="a"), set_property("city", "y", id="a")],
            },
            "DUPLICATE_ACTION_ID",
            ("actions", 1, "setProperty", "id"),
        ),
        (
            {
                "triggers": [{"filterMet": {"where": {"or": [equals("city", str(n)) for n in range(200)]}}}]
                * 2,
                "actions": [],
            },
            "TOO_MANY_FILTERS",
            ("triggers",),
        ),
    ],
)
async def test_a_definition_that_names_what_is_not_there_or_does_not_fit_is_refused_at_its_path(
    crm: Flows, definition: dict[str, Any], code: str | None, path: tuple[Any, ...]
) -> None:
    async with crm.writing(defining=True) as tx:
        with pytest.raises(Refused) as refused:
            await commands.create(tx, "wrong", "contacts", definition)
    [problem] = refused.value.problems
    assert problem.path == path
    assert code in (None, problem.code)


async def test_what_breaks_later_is_told_and_matches_nothing(crm: Flows) -> None:
    async with crm.writing(defining=True) as tx:
        await properties.create(tx, "contacts", name="mood", label="Mood", type="STRING")
    broken = await crm.make("contacts", {"not": equals("mood", "bad")}, name="broken trigger")
    step = await crm.make(
        "contacts", equals("city", "Boston"), set_property("mood", "good"), name="broken step"
    )
    async with crm.writing(defining=True) as tx:
        await properties.archive(tx, "contacts", "mood")
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    assert await crm.enrolled(broken) == []
    [enrollment] = await crm.enrolled(step)
    assert (enrollment.record_id, enrollment.status) == (ann, "FAILED")
    assert (enrollment.error or {})["code"] == "NOT_FOUND"
    await crm.switch(broken, False)
    async with crm.writing(defining=True) as tx:
        with pytest.raises(WorkflowBroken):
            await commands.set_enabled(tx, broken, True)


async def test_a_hub_is_worked_off_in_bounded_parts(crm: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "NEIGHBOURS_A_BATCH", 10)
    monkeypatch.setattr("engine.workflows.actions.targets.PAIRS_A_BATCH", 10)
    monkeypatch.setattr("engine.workflows.backfill.RECORDS_A_BATCH", 10)
    await crm.label("companies", "contacts", "Friend", name="friend")
    contacts = await crm.create("contacts", *[{}] * 57)
    hub, small = await crm.create("companies", {}, {})
    await crm.associate(*[(hub, one) for one in contacts], *[(small, one) for one in contacts[:3]])
    await crm.work()
    far = await crm.make("contacts", associated("companies", equals("city", "Boston")), name="far")
    label = await crm.make(
        "companies", equals("city", "Boston"), apply_label("contacts", "friend"), name="label"
    )
    await crm.set(hub, city="Boston")
    await crm.set(small, city="Boston")
    batches = await evaluate.run_all(crm.db, now=crm.tick())
    assert batches >= 6
    assert await crm.who(far) == sorted(contacts)
    await steps.run_due(crm.db, now=crm.tick())
    for one in contacts:
        assert "friend" in (await crm.labels_of(hub, one) or set())
    parts = {row.record_id: row.steps for row in await crm.enrolled(label)}
    assert parts[hub] > 6
    assert all(row.status == "COMPLETED" for row in await crm.enrolled(label))
    existing = await crm.make(
        "contacts", associated("companies", equals("city", "Boston")), name="existing", existing=True
    )
    await crm.work()
    assert await crm.who(existing) == sorted(contacts)


async def test_every_problem_of_a_definition_is_a_problem_of_ours(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"))
    for wrong in (404, flow + 1):
        async with crm.writing(defining=True) as tx:
            with pytest.raises(Problem):
                await commands.publish(tx, wrong, 1)
