"""Why a record is not enrolled: every reason, what was seen, and that the proposed change enrolls it."""

import pytest

from engine import accounts, properties
from engine.problems import NotFound
from engine.workflows.why_not import WhyNot, why_not
from storage.database import Database
from tests.flows import Flows, associated, equals, flows, met, set_property, waits
from tests.graph import T0
from tests.statements import counted
from tests.workflow_actions import define

BOSTON = equals("city", "Boston")
ACTION = set_property("jobtitle", "seen")


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


async def ask(crm: Flows, workflow: int, record: int) -> WhyNot:
    async with crm.db.snapshot(crm.account) as reader:
        catalogue = await crm.db.catalogue(crm.account)
        return await why_not(reader, catalogue, workflow, record, now=crm.now)


def kinds(found: WhyNot) -> list[str] | None:
    return None if found.needed is None else [one.kind for one in found.needed]


async def test_a_trigger_that_is_not_met_says_what_is_missing(crm: Flows) -> None:
    flow = await crm.make("contacts", {"and": [BOSTON, equals("lifecyclestage", "lead")]}, ACTION)
    ann = await crm.one("contacts", city="Paris", lifecyclestage="lead")
    await crm.work()
    found = await ask(crm, flow, ann)
    assert found.reason == "TRIGGER_NOT_MET"
    [needed] = found.needed or ()
    path = ("triggers", 0, "filterMet", "where", "and", 0, "property")
    assert (needed.kind, needed.record_id, needed.path, needed.actual) == ("SET", ann, path, "Paris")
    [condition] = found.conditions
    assert condition.tree is not None
    assert [part["holds"] for part in condition.tree["parts"]] == [False, True]
    await crm.set(ann, city="Boston")
    await crm.work()
    assert await crm.who(flow) == [ann]


async def test_of_several_triggers_the_nearest_one_is_proposed_and_of_neighbours_those_that_are_there(
    crm: Flows,
) -> None:
    near = associated("companies", {"and": [BOSTON, equals("industry", "energy")]})
    flow = await crm.flow(
        "contacts",
        [met({"and": [equals("firstname", "A"), equals("lastname", "B"), BOSTON]}), met(near)],
        ACTION,
    )
    ann = await crm.one("contacts")
    acme = await crm.one("companies", city="Boston", industry="software")
    await crm.associate((ann, acme))
    await crm.work()
    found = await ask(crm, flow, ann)
    [needed] = found.needed or ()
    assert (needed.kind, needed.record_id, needed.actual) == ("SET", acme, "software")
    await crm.set(acme, industry="energy")
    await crm.work()
    assert await crm.who(flow) == [ann]


async def test_every_reason(crm: Flows) -> None:
    ann = await crm.one("contacts", city="Boston")
    flow = await crm.make(
        "contacts", BOSTON, ACTION, waits(), on=False, suppressWhen=equals("firstname", "No")
    )
    found = await ask(crm, flow, ann)
    assert (found.reason, kinds(found)) == ("WORKFLOW_OFF", ["TURN_ON"])

    await crm.switch(flow, True)
    await crm.work()
    found = await ask(crm, flow, ann)
    assert (found.reason, kinds(found)) == ("MET_BEFORE_TURNED_ON", ["TOUCH"])

    bob = await crm.one("contacts", city="Boston", firstname="No")
    assert (await ask(crm, flow, bob)).reason == "SUPPRESSED"
    await crm.work()
    found = await ask(crm, flow, bob)
    assert found.reason == "SUPPRESSED"
    assert [(one.path, one.holds) for one in found.needed or ()] == [(("suppressWhen", "property"), False)]

    cora = await crm.one("contacts", city="Boston")
    found = await ask(crm, flow, cora)
    assert (found.reason, kinds(found)) == ("NOT_EXAMINED_YET", [])
    await crm.work()
    found = await ask(crm, flow, cora)
    assert (found.reason, kinds(found)) == ("ACTIVE_NOW", ["LEAVE", "CALL"])

    acme = await crm.one("companies", city="Boston")
    found = await ask(crm, flow, acme)
    assert (found.reason, kinds(found)) == ("WRONG_OBJECT_TYPE", None)

    dora = await crm.one("contacts", city="Boston")
    await crm.archive(dora)
    await crm.work()
    found = await ask(crm, flow, dora)
    assert (found.reason, kinds(found)) == ("RECORD_ARCHIVED", ["RESTORE"])


async def test_once_is_enough_and_anew_only_for_what_is_new(crm: Flows) -> None:
    once = await crm.make("contacts", BOSTON, ACTION, name="once")
    again = await crm.make(
        "contacts", BOSTON, ACTION, name="again", reenrollmentTriggers=[met(equals("lifecyclestage", "lead"))]
    )
    goal = await crm.make("contacts", BOSTON, ACTION, name="goal", goal=equals("city", "Boston"))
    ann = await crm.one("contacts", city="Boston", lifecyclestage="lead")
    await crm.work()
    found = await ask(crm, once, ann)
    assert (found.reason, kinds(found)) == ("ALREADY_ENROLLED", ["CALL"])
    found = await ask(crm, again, ann)
    assert (found.reason, kinds(found)) == ("NO_REENROLLMENT_TRIGGER", ["RENEW"])
    found = await ask(crm, goal, ann)
    assert found.reason == "GOAL_MET"
    # What lets it in is what takes it out.
    await crm.set(ann, lifecyclestage="customer")
    await crm.work()
    found = await ask(crm, again, ann)
    assert [(one.kind, one.path[0]) for one in found.needed or ()] == [("SET", "reenrollmentTriggers")]


async def test_a_record_that_the_workflow_made_is_kept_out_by_the_loop_guard(crm: Flows) -> None:
    made = {"createRecord": {"to": "contacts", "properties": [{"property": "city", "value": "Boston"}]}}
    flow = await crm.make("contacts", BOSTON, made)
    await crm.one("contacts", city="Boston")
    await crm.work()
    [one] = await crm.enrolled(flow)
    [line] = await crm.history(one.id)
    found = await ask(crm, flow, line.changes[0]["created"])
    assert (found.reason, kinds(found)) == ("LOOP_GUARD", ["CALL"])


async def test_what_must_happen_is_told_of_triggers_that_wait_for_it(crm: Flows) -> None:
    changed = {"propertyChanged": {"property": "jobtitle", "values": ["CEO"], "where": BOSTON}}
    flow = await crm.flow("contacts", [changed], set_property("lastname", "Boss"))
    ann = await crm.one("contacts", city="Paris", jobtitle="CEO")
    await crm.work()
    found = await ask(crm, flow, ann)
    assert (found.reason, kinds(found)) == ("TRIGGER_NOT_MET", ["OCCUR", "SET"])


async def test_a_workflow_that_names_what_is_gone_says_so(crm: Flows) -> None:
    await define(crm, "contacts", "mood")
    flow = await crm.make("contacts", equals("mood", "good"), ACTION)
    ann = await crm.one("contacts", mood="bad")
    async with crm.writing(defining=True) as tx:
        await properties.archive(tx, "contacts", "mood")
    found = await ask(crm, flow, ann)
    assert (found.reason, kinds(found)) == ("BROKEN", ["REPAIR"])
    assert [one.code for one in found.problems] == ["UNKNOWN_PROPERTY"]


async def test_statements_do_not_grow_with_what_is_asked(crm: Flows) -> None:
    ann = await crm.one("contacts")
    few = await crm.make("contacts", BOSTON, ACTION)
    more = await crm.flow("contacts", [met(equals("city", f"{n}")) for n in range(30)], ACTION)

    async def statements(flow: int) -> int:
        await ask(crm, flow, ann)
        with counted() as said:
            await ask(crm, flow, ann)
        return len(said)

    assert await statements(more) == await statements(few) <= 12


async def test_what_is_not_there_is_not_found(crm: Flows, db: Database) -> None:
    flow = await crm.make("contacts", BOSTON, ACTION)
    ann = await crm.one("contacts")
    other = Flows(db, await accounts.create(db, "other", now=T0))
    theirs = await other.make("contacts", BOSTON, ACTION)
    for account, workflow, record in ((other, flow, ann), (other, theirs, ann), (crm, flow, 1)):
        with pytest.raises(NotFound):
            await ask(account, workflow, record)


async def test_a_hub_is_answered_without_a_tree(crm: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = await crm.make("contacts", associated("companies", BOSTON), ACTION)
    ann, bob = await crm.one("contacts"), await crm.one("contacts")
    for city in ("Paris", "Boston"):
        acme = await crm.one("companies", city=city)
        await crm.associate((ann, acme))
    await crm.work()
    monkeypatch.setattr("engine.filters.facts.FACTS_HELD", 1)
    found = await ask(crm, flow, ann)
    assert (found.reason, kinds(found)) == ("ALREADY_ENROLLED", ["CALL"])
    [condition] = found.conditions
    assert (condition.tree, condition.holds, condition.way) == (None, True, None)
    assert (await ask(crm, flow, bob)).reason == "TRIGGER_NOT_MET"
