"""Actions that make records and tasks, move members of segments, and enroll in other workflows."""

from datetime import timedelta
from typing import Any

import pytest

from engine import ids, properties, records
from engine.batches import Mode
from engine.problems import Refused
from engine.segments import commands as segment_commands
from engine.workflows import commands, rules
from storage import workflows
from storage.changes import EventKind
from storage.database import Database
from storage.enrollments import EnrollmentRow
from tests.flows import Flows, equals, flows, set_property

DONE = set_property("jobtitle", "done")
WAIT = {"delay": {"duration": {"value": 1, "unit": "DAY"}}}


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


async def told(crm: Flows, action: dict[str, Any], object_type: str = "contacts") -> list[tuple[Any, ...]]:
    """What is wrong with a workflow of this action: (code, path within it)."""
    with pytest.raises(Refused) as refused:
        await crm.make(object_type, equals("city", "Boston"), action)
    return [(one.code, one.path[3:]) for one in refused.value.problems]


async def only(crm: Flows, flow: int) -> EnrollmentRow:
    """The one enrollment of a workflow."""
    [found] = await crm.enrolled(flow)
    return found


async def associated_with(crm: Flows, record_id: int, to: str) -> list[int]:
    """The records of a type that are associated with one."""
    catalogue = await crm.db.catalogue(crm.account)
    sql = """
        SELECT DISTINCT a.to_id FROM association AS a
         WHERE a.account_id = $1 AND a.from_id = $2 AND a.to_object_type_id = $3 ORDER BY 1
    """
    return [row[0] for row in await crm.read(sql, record_id, catalogue.by_name[to].id)]


# --- records ------------------------------------------------------------------------------------------------


def create(to: str, *assignments: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The action."""
    return {"createRecord": {"to": to, "properties": list(assignments), **more}}


async def test_a_record_is_made_and_associated_with_a_label_once(crm: Flows) -> None:
    await crm.label("contacts", "deals", "Buyer of", name="buyer_of", inverse_name="bought_by")
    action = create(
        "deals",
        {"property": "name", "template": "Deal with {{ firstname }}"},
        {"property": "description", "copyOf": "city"},
        {"property": "amount", "value": 100},
        {"property": "closedate", "stepTime": True},
        label="buyer_of",
    )
    flow = await crm.make("contacts", equals("city", "Boston"), action)
    ann = await crm.one("contacts", city="Boston", firstname="Ann")
    await crm.work()
    await crm.work()
    [deal] = await associated_with(crm, ann, "deals")
    assert await crm.labels_of(ann, deal) == {"buyer_of"}
    assert (await crm.value(deal, "name"), await crm.value(deal, "description")) == (
        "Deal with Ann",
        "Boston",
    )
    assert (await crm.value(deal, "amount"), (await crm.value(deal, "closedate"))[:10]) == (100, "2026-03-01")
    [line] = await crm.history((await only(crm, flow)).id)
    assert line.changes == [
        {"created": deal, "object_type": "deals"},
        {"record": ann, "associated": deal, "association": "ADDED", "labels": ["buyer_of"]},
    ]
    made = await crm.read("SELECT r.id FROM record AS r WHERE r.account_id = $1 AND r.id <> $2", ann)
    assert [row[0] for row in made] == [deal]


async def test_what_cannot_be_associated_is_not_made_either_and_others_are(crm: Flows) -> None:
    await crm.limit("contacts", "deals", None, max_count=1)
    flow = await crm.make(
        "contacts", equals("city", "Boston"), create("deals", {"property": "name", "value": "x"})
    )
    full, free = await crm.create("contacts", {}, {})
    old = await crm.one("deals", name="old")
    await crm.associate((full, old))
    await crm.set(full, city="Boston")
    await crm.set(free, city="Boston")
    await crm.work()
    assert await associated_with(crm, full, "deals") == [old]
    assert len(await associated_with(crm, free, "deals")) == 1
    rows = {row.record_id: row for row in await crm.enrolled(flow)}
    assert (rows[full].status, rows[free].status) == ("FAILED", "COMPLETED")
    catalogue = await crm.db.catalogue(crm.account)
    sql = "SELECT count(*) FROM record AS r WHERE r.account_id = $1 AND r.object_type_id = $2"
    assert (await crm.read(sql, catalogue.by_name["deals"].id))[0][0] == 2
    created = [event.record_id for event in await crm.events(EventKind.RECORD_CREATED)]
    assert len(created) == len(set(created)) == 4


async def test_a_record_that_a_workflow_made_does_not_enroll_in_it(crm: Flows) -> None:
    action = create("contacts", {"property": "city", "copyOf": "city"}, associate=False)
    flow = await crm.make("contacts", equals("city", "Boston"), action)
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    assert await crm.who(flow) == [ann]
    assert await associated_with(crm, ann, "contacts") == []


async def test_a_task_about_the_record(crm: Flows) -> None:
    action = {
        "createTask": {
            "title": "Call {{ firstname | default('them') }}",
            "notes": "In {{ city }}",
            "due": {"value": 2, "unit": "DAY"},
            "properties": [{"property": "priority", "value": "high"}],
        }
    }
    await crm.make("contacts", equals("city", "Boston"), action)
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    [task] = await associated_with(crm, ann, "tasks")
    assert await crm.value(task, "subject") == "Call them"
    assert (await crm.value(task, "body"), await crm.value(task, "priority")) == ("In Boston", "high")
    assert (await crm.value(task, "due_at"))[:10] == "2026-03-03"


async def test_what_cannot_be_made_is_refused_at_its_place(crm: Flows) -> None:
    async with crm.writing(defining=True) as tx:
        made: tuple[tuple[str, dict[str, Any]], ...] = (
            ("code", {"unique": True}),
            ("kind", {"required": True}),
        )
        for called, words in made:
            await properties.create(tx, "tickets", name=called, label=called, type="STRING", **words)
    name = {"property": "name", "value": "x"}
    kind = {"property": "kind", "value": "x"}
    for action, code, path in (
        (create("planets"), "UNKNOWN_OBJECT_TYPE", ("to",)),
        (create("deals", name, label="x"), "NO_LABEL", ("label",)),
        (create("deals", name, name), "ASSIGNED_TWICE", ("properties", 1, "property")),
        (create("deals", {"property": "nam", "value": "x"}), "NOT_FOUND", ("properties", 0, "property")),
        (create("deals", {"property": "name"}), "ASSIGNMENT_UNCLEAR", ("properties", 0)),
        (
            create("deals", {"property": "name", "value": "x", "copyOf": "city"}),
            "ASSIGNMENT_UNCLEAR",
            ("properties", 0),
        ),
        (create("deals", {"property": "name", "copyOf": "cty"}), "NOT_FOUND", ("properties", 0, "copyOf")),
        (
            create("deals", {"property": "amount", "copyOf": "city"}),
            "TYPES_INCOMPATIBLE",
            ("properties", 0, "copyOf"),
        ),
        (
            create("deals", {"property": "name", "stepTime": True}),
            "STEP_TIME_NEEDS_DATE",
            ("properties", 0, "stepTime"),
        ),
        (
            create("deals", {"property": "amount", "value": "much"}),
            "INVALID_VALUE",
            ("properties", 0, "value"),
        ),
        (
            create("deals", {"property": "name", "template": "{{ frstname }}"}),
            "UNKNOWN_PROPERTY",
            ("properties", 0, "template"),
        ),
        (create("tickets"), "REQUIRED_NOT_ASSIGNED", ("properties",)),
        (
            create("tickets", kind, {"property": "code", "value": "x"}),
            "UNIQUE_PROPERTY",
            ("properties", 1, "property"),
        ),
        ({"createTask": {"title": "{{"}}, "MALFORMED_TEMPLATE", ("title",)),
        (
            {"createTask": {"title": "x", "due": {"value": -1, "unit": "DAY"}}},
            "DURATION_NOT_AHEAD",
            ("due", "value"),
        ),
    ):
        assert await told(crm, action) == [(code, path)], action


# --- segments -----------------------------------------------------------------------------------------------


async def segment(crm: Flows, object_type: str = "contacts", kind: str = "STATIC", where: Any = None) -> str:
    """A new segment's id."""
    async with crm.writing(defining=True) as tx:
        made = await segment_commands.create(tx, f"{object_type} {kind}", object_type, kind, where)
    return ids.encode("segment", made.id)


async def members(crm: Flows, ident: str) -> list[int]:
    """Who is in a segment."""
    sql = """
        SELECT m.record_id FROM segment_member AS m WHERE m.account_id = $1 AND m.segment_id = $2 ORDER BY 1
    """
    return [row[0] for row in await crm.read(sql, ids.decode("segment", ident))]


async def test_the_enrolled_record_and_associated_ones_come_to_static_segments_and_leave_them(
    crm: Flows,
) -> None:
    people, firms = await segment(crm), await segment(crm, "companies")
    label = {"to": "companies", "labels": ["owner"]}
    await crm.label("contacts", "companies", "Owner of", name="owner", inverse_name="owned_by")
    flow = await crm.make(
        "contacts",
        equals("city", "Boston"),
        {"addToSegment": {"segment": people}},
        {"addToSegment": {"segment": firms, "of": label}},
        WAIT,
        {"removeFromSegment": {"segment": people}},
    )
    ann, bob = await crm.create("contacts", {}, {})
    mine, other = await crm.create("companies", {}, {})
    await crm.associate((ann, mine, "owner"), (ann, other), (bob, mine, "owner"))
    await crm.set(ann, city="Boston")
    await crm.set(bob, city="Boston")
    await crm.work()
    assert (await members(crm, people), await members(crm, firms)) == ([ann, bob], [mine])
    first, second = await crm.enrolled(flow)
    lines = [line.changes for row in (first, second) for line in await crm.history(row.id)]
    number = ids.decode("segment", firms)
    # The one that came twice came once.
    assert [line for line in lines if line and line[0].get("segment") == number] == [
        [{"record": mine, "segment": number, "change": "JOINED"}]
    ]
    await crm.work(crm.now + timedelta(days=1))
    assert (await members(crm, people), await members(crm, firms)) == ([], [mine])


async def test_what_is_no_static_segment_of_the_type_is_refused(crm: Flows) -> None:
    active = await segment(crm, kind="ACTIVE", where=equals("city", "Boston"))
    firms = await segment(crm, "companies")
    for given, code in (
        ({"segment": "seg_1"}, "UNKNOWN_SEGMENT"),
        ({"segment": "x"}, "MALFORMED_ID"),
        ({"segment": firms}, "SEGMENT_OF_ANOTHER_TYPE"),
        ({"segment": active}, "SEGMENT_NOT_BY_HAND"),
    ):
        assert await told(crm, {"addToSegment": given}) == [(code, ("segment",))]
    assert await told(crm, {"removeFromSegment": {"segment": firms, "of": {"to": "x"}}}) == [
        ("UNKNOWN_OBJECT_TYPE", ("of", "to"))
    ]


# --- other workflows ----------------------------------------------------------------------------------------


def enroll(flow: int, **more: Any) -> dict[str, Any]:
    """The action."""
    return {"enrollIn": {"workflow": ids.encode("workflow", flow), **more}}


def unenroll(flow: int | None = None, **more: Any) -> dict[str, Any]:
    """The action."""
    return {"unenroll": {**({} if flow is None else {"workflow": ids.encode("workflow", flow)}), **more}}


NOBODY = equals("jobtitle", "nobody")


async def test_a_deal_moved_on_moves_its_contacts_on(crm: Flows) -> None:
    greet = await crm.make("contacts", NOBODY, DONE, name="greet")
    flow = await crm.make("deals", equals("name", "won"), enroll(greet, of={"to": "contacts"}), name="won")
    deal = await crm.one("deals")
    people = await crm.create("contacts", {}, {}, {})
    await crm.associate((deal, people[0]), (deal, people[1]))
    await crm.set(deal, name="won")
    await crm.work()
    assert await crm.who(greet) == people[:2]
    assert [await crm.value(one, "jobtitle") for one in people] == ["done", "done", None]
    [line] = await crm.history((await only(crm, flow)).id)
    rows = await crm.enrolled(greet)
    assert line.changes == [
        {"record": row.record_id, "workflow": greet, "enrollment": row.id, "change": "ENROLLED"}
        for row in rows
    ]
    assert {row.depth for row in rows} == {1}


async def test_circles_of_workflows_are_stopped_and_say_so(crm: Flows) -> None:
    first = await crm.make("contacts", equals("city", "Boston"), DONE, name="first")
    second = await crm.make("contacts", NOBODY, enroll(first), name="second")
    async with crm.writing(defining=True) as tx:
        [row] = [row for row in await workflows.by_ids(tx, [first]) if row is not None]
        await commands.update(tx, first, row.draft_version, definition={"actions": [enroll(second)]})
        await commands.publish(tx, first, None)
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    found = await crm.enrolled(first) + await crm.enrolled(second)
    assert {row.record_id for row in found} == {ann}
    assert len(found) <= rules.DEEPEST + 2
    assert "LOOP_GUARD" in {(row.error or {}).get("code") for row in found}
    assert not any(row.status == "ACTIVE" for row in found)


async def test_a_workflow_takes_records_out_of_another_one_and_out_of_itself(crm: Flows) -> None:
    long = await crm.make("contacts", equals("city", "Boston"), WAIT, DONE, name="long")
    branch = {"branch": {"branches": [{"where": equals("lastname", "x"), "actions": [unenroll()]}]}}
    flow = await crm.make("contacts", equals("firstname", "x"), unenroll(long), branch, DONE, name="short")
    ann, bob = await crm.create("contacts", {"city": "Boston"}, {"city": "Boston", "lastname": "x"})
    await crm.work()
    for one in (ann, bob):
        await crm.set(one, firstname="x")
    await crm.work()
    assert {row.status for row in await crm.enrolled(long)} == {"UNENROLLED"}
    statuses = {row.record_id: row.status for row in await crm.enrolled(flow)}
    assert statuses == {ann: "COMPLETED", bob: "UNENROLLED"}
    assert (await crm.value(ann, "jobtitle"), await crm.value(bob, "jobtitle")) == ("done", None)
    # Each leaving is told once.
    left = [(event.subject_id, event.record_id) for event in await crm.events(EventKind.UNENROLLED)]
    assert sorted(left) == sorted([(long, ann), (long, bob), (flow, bob)])


async def test_who_is_taken_out_by_one_before_it_in_the_batch_does_nothing_more(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), unenroll(of={"to": "contacts"}), DONE)
    people = await crm.create("contacts", {}, {}, {})
    await crm.associate((people[0], people[1]), (people[1], people[2]))
    async with crm.writing() as tx:
        await records.update(tx, [(one, {"city": "Boston"}) for one in people], Mode.ATOMIC)
    await crm.work()
    # The first takes out the second, which is associated with the third and no longer takes it out.
    statuses = {row.record_id: row.status for row in await crm.enrolled(flow)}
    assert [statuses[one] for one in people] == ["COMPLETED", "UNENROLLED", "COMPLETED"]
    assert [event.record_id for event in await crm.events(EventKind.UNENROLLED)] == [people[1]]


async def test_a_workflow_whose_enrolling_ends_this_one_ends_it(crm: Flows) -> None:
    other = await crm.make(
        "contacts", NOBODY, set_property("lastname", "x"), name="other", unenrollFromAll=True
    )
    flow = await crm.make("contacts", equals("city", "Boston"), enroll(other), DONE, name="this")
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    ended = await only(crm, flow)
    assert (ended.status, ended.steps, (ended.error or {})["code"]) == ("UNENROLLED", 1, "ENROLLED_ELSEWHERE")
    assert (await crm.value(ann, "lastname"), await crm.value(ann, "jobtitle")) == ("x", None)
    assert len(await crm.events(EventKind.UNENROLLED)) == 1


async def test_what_cannot_be_enrolled_in_is_refused_or_fails_with_its_reason(crm: Flows) -> None:
    firms = await crm.make("companies", equals("name", "x"), name="firms")
    off = await crm.make("contacts", NOBODY, on=False, name="off")
    for action, code in (
        ({"enrollIn": {"workflow": "wfl_1"}}, "UNKNOWN_WORKFLOW"),
        ({"enrollIn": {"workflow": "x"}}, "UNKNOWN_WORKFLOW"),
        (enroll(firms), "WORKFLOW_OF_ANOTHER_TYPE"),
        (unenroll(firms), "WORKFLOW_OF_ANOTHER_TYPE"),
        (unenroll(of={"to": "companies"}), "WORKFLOW_OF_ANOTHER_TYPE"),
    ):
        assert await told(crm, action) == [(code, ("workflow",))]
    flow = await crm.make("contacts", equals("city", "Boston"), enroll(off), name="flow")
    await crm.one("contacts", city="Boston")
    await crm.work()
    failed = await only(crm, flow)
    assert (failed.status, (failed.error or {})["code"]) == ("FAILED", "WORKFLOW_OFF")
