"""Every kind of trigger: what it waits for enrolls, exactly then, and nothing else does."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine import associations, events, imports, records
from engine.associations import Pair
from engine.batches import Mode
from engine.evaluation import run as evaluate
from engine.events import EventInput, types
from engine.problems import Refused
from engine.segments import commands as segment_commands
from engine.workflows import commands
from storage.changes import ChangeKind
from storage.database import Actor, Database
from tests.flows import Flows, associated, equals, flows, met, set_property, waits


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


async def test_a_record_that_is_made_enrolls(crm: Flows) -> None:
    flow = await crm.flow("contacts", [{"recordCreated": {"where": equals("city", "Boston")}}])
    ann, bob = await crm.create("contacts", {"city": "Boston"}, {"city": "Paris"})
    await crm.work()
    # That it comes to be like that later is no making.
    await crm.set(bob, city="Boston")
    await crm.archive(bob)
    async with crm.writing() as tx:
        await records.restore(tx, [bob], Mode.ATOMIC)
    await crm.work()
    assert await crm.who(flow) == [ann]


async def test_a_change_to_a_value_counts_though_the_value_has_changed_since(crm: Flows) -> None:
    to = {"propertyChanged": {"property": "city", "values": ["Boston", None]}}
    flow = await crm.flow("contacts", [to])
    ann, bob, cid = await crm.create("contacts", {"city": "Rome"}, {"city": "Rome"}, {"city": "Rome"})
    dan = await crm.one("contacts", city="Boston")
    await crm.set(ann, city="Boston")
    await crm.set(ann, city="Paris")
    await crm.set(bob, city="Paris")
    await crm.set(cid, city="")
    await crm.work()
    # Made with the value: it changed from none to it.
    assert await crm.who(flow) == sorted([ann, cid, dan])


async def test_a_change_of_another_property_is_no_occurrence(crm: Flows) -> None:
    any_change = {"propertyChanged": {"property": "city", "where": equals("lastname", "Lee")}}
    flow = await crm.flow("contacts", [any_change])
    ann, bob = await crm.create("contacts", {"lastname": "Lee"}, {"lastname": "Lee"})
    await crm.set(ann, firstname="Ann")
    await crm.work()
    assert await crm.who(flow) == []
    await crm.set(ann, city="Rome")
    await crm.set(bob, city="Rome", lastname="Low")
    await crm.work()
    assert await crm.who(flow) == [ann]


async def test_writers_tell_what_became_only_where_somebody_waits_for_it(crm: Flows) -> None:
    async def told() -> list[Any]:
        rows = await crm.read("SELECT q.before FROM change_queue AS q WHERE q.account_id = $1 ORDER BY q.id")
        return [row[0] for row in rows]

    ann = await crm.one("contacts", city="Rome")
    await crm.evaluate()
    await crm.set(ann, city="Paris")
    assert await told() == [{"city": "Rome"}]
    await crm.flow("contacts", [{"propertyChanged": {"property": "city", "values": ["Boston"]}}])
    await crm.set(ann, city="Boston", lastname="Lee")
    assert (await told())[1:] == [{"city": "Paris", "lastname": None, "": {"city": "Boston"}}]


async def test_a_label_that_is_added_or_removed_enrolls_by_what_the_other_record_is(crm: Flows) -> None:
    await crm.label("contacts", "companies", "Customer of", name="customer", inverse_name="supplier")
    there = {"to": "companies", "labels": ["customer"], "where": equals("city", "Boston")}
    added = await crm.flow("contacts", [{"associationChanged": there}], name="added")
    removed = await crm.flow(
        "contacts", [{"associationChanged": {**there, "change": "REMOVED"}}], name="removed"
    )
    plain = await crm.flow("contacts", [{"associationChanged": {"to": "companies"}}], name="plain")
    [ann, bob], [acme, blue] = (
        await crm.create("contacts", {}, {}),
        await crm.create("companies", {"city": "Boston"}, {"city": "Paris"}),
    )
    await crm.associate((ann, acme), (bob, blue, "customer"))
    await crm.work()
    assert (await crm.who(added), await crm.who(plain)) == ([], sorted([ann, bob]))
    async with crm.writing() as tx:
        await associations.add_labels(tx, [Pair(ann, acme, ("customer",))], Mode.ATOMIC)
    await crm.work()
    assert await crm.who(added) == [ann]
    async with crm.writing() as tx:
        await associations.remove_labels(tx, [Pair(ann, acme, ("customer",))], Mode.ATOMIC)
        await associations.dissociate(tx, [Pair(bob, blue)], Mode.ATOMIC)
    await crm.work()
    assert await crm.who(removed) == [ann]


async def test_an_archived_neighbour_is_no_removal(crm: Flows) -> None:
    flow = await crm.flow("contacts", [{"associationChanged": {"to": "companies", "change": "REMOVED"}}])
    ann, acme = await crm.one("contacts"), await crm.one("companies")
    await crm.associate((ann, acme))
    await crm.archive(acme)
    await crm.work()
    assert await crm.who(flow) == []


async def test_joining_and_leaving_a_segment_enrolls(crm: Flows) -> None:
    async with crm.writing(defining=True) as tx:
        segment = await segment_commands.create(
            tx, "Bostonians", "contacts", "ACTIVE", equals("city", "Boston")
        )
    await crm.work()
    name = f"seg_{segment.id}"
    joined = await crm.flow("contacts", [{"segmentChanged": {"segment": name}}], name="joined")
    left = await crm.flow("contacts", [{"segmentChanged": {"segment": name, "change": "LEFT"}}], name="left")
    ann, bob = await crm.create("contacts", {"city": "Boston"}, {"city": "Paris"})
    await crm.work()
    assert (await crm.who(joined), await crm.who(left)) == ([ann], [])
    await crm.set(ann, city="Rome")
    await crm.work()
    assert (await crm.who(joined), await crm.who(left)) == ([ann], [ann])
    assert bob not in await crm.who(joined)


async def event_type(crm: Flows, name: str) -> None:
    async with crm.writing(defining=True) as tx:
        await types.create(
            tx,
            name=name,
            label=name.title(),
            object_type="contacts",
            properties=[types.EventProperty("amount", "NUMBER")],
        )


async def occur(crm: Flows, name: str, *given: tuple[int, dict[str, Any]]) -> None:
    async with crm.writing() as tx:
        await events.record(tx, [EventInput(name, record, held) for record, held in given], Mode.ATOMIC)


async def test_an_event_enrolls_by_its_own_properties(crm: Flows) -> None:
    await event_type(crm, "purchase")
    big = {"property": {"name": "amount", "operator": "GREATER_THAN", "value": 100}}
    flow = await crm.flow(
        "contacts",
        [{"eventOccurred": {"type": "purchase", "where": big, "ownWhere": equals("city", "Boston")}}],
    )
    ann, bob, cid = await crm.create("contacts", {"city": "Boston"}, {"city": "Boston"}, {"city": "Rome"})
    await occur(crm, "purchase", (ann, {"amount": 20}), (ann, {"amount": 500}), (bob, {"amount": 20}))
    await occur(crm, "purchase", (cid, {"amount": 500}))
    await crm.work()
    [row] = await crm.enrolled(flow)
    assert row.record_id == ann
    [why] = (await crm.tree(row.id))["triggers"]
    assert why["kind"] == "eventOccurred"
    assert why["where"]["actual"] == "Boston"
    assert why["occurred"]["event"] == why["event"]


async def test_nobody_enters_by_itself_where_only_calls_enroll(crm: Flows) -> None:
    flow = await crm.flow("contacts", [{"manual": {}}])
    ann = await crm.one("contacts", city="Boston")
    await crm.set(ann, city="Rome")
    await crm.work()
    assert await crm.who(flow) == []
    [enrollment] = await crm.enroll(flow, ann)
    [row] = await crm.enrolled(flow)
    assert (row.id, row.reason["kind"], row.reason["trigger"]) == (enrollment, "MANUAL", None)


async def test_an_import_s_end_enrolls_what_it_made_or_changed_once(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.workflows import passing
    from storage import passes

    monkeypatch.setattr(passing, "RECORDS_A_BATCH", 3)
    flow = await crm.flow("contacts", [{"importFinished": {"where": equals("city", "Boston")}}])
    others = await crm.create("contacts", *[{"city": "Boston"}] * 4)
    actor = Actor("IMPORT", "77")
    async with crm.db.transaction(crm.account, now=crm.tick(), actor=actor) as tx:
        given = [{"city": "Boston" if n % 2 else "Rome"} for n in range(8)]
        made = await records.create(tx, tx.catalogue.by_name["contacts"], given, Mode.ATOMIC)
        await records.update(tx, [(others[0], {"lastname": "Lee"})], Mode.ATOMIC)
    await crm.work()
    assert await crm.who(flow) == []
    for _ in range(2):
        async with crm.db.transaction(crm.account, now=crm.tick(), actor=actor) as tx:
            await passes.import_finished(tx, 77)
        await crm.work()
    touched = [one.value.id for one in made if one.value is not None][1::2]
    assert await crm.who(flow) == sorted([others[0], *touched])


async def test_a_file_that_is_imported_enrolls_its_rows_when_it_is_done(crm: Flows, tmp_path: Path) -> None:
    flow = await crm.flow("contacts", [{"importFinished": {}}])
    await crm.one("contacts", email="old@x.example")
    path = tmp_path / "people.csv"
    path.write_text("email,city\nann@x.example,Boston\nold@x.example,Rome\n")
    report = await imports.records(
        crm.db, crm.account, path, object_type="contacts", key="email", clock=crm.tick
    )
    await crm.work()
    rows = await crm.enrolled(flow)
    assert [(row.reason["kind"], row.reason["sourceId"]) for row in rows] == [
        ("IMPORT", str(report.import_id))
    ] * 2


async def test_what_was_told_before_the_workflow_was_turned_on_enrolls_nobody(crm: Flows) -> None:
    flow = await crm.flow("contacts", [{"recordCreated": {}}], on=False)
    await crm.one("contacts")
    await crm.switch(flow, True)
    later = await crm.one("contacts")
    await crm.work()
    assert await crm.who(flow) == [later]


async def test_what_a_workflow_makes_does_not_enter_the_same_workflow(crm: Flows) -> None:
    flow = await crm.flow("contacts", [{"recordCreated": {}}], name="any")
    other = await crm.flow("contacts", [met(equals("city", "Boston"))], name="other")
    actor = Actor("WORKFLOW", str(flow), depth=1)
    async with crm.db.transaction(crm.account, now=crm.tick(), actor=actor) as tx:
        [made] = await records.create(tx, tx.catalogue.by_name["contacts"], [{"city": "Boston"}], Mode.ATOMIC)
    assert made.value is not None
    await crm.work()
    assert await crm.who(flow) == []
    assert await crm.who(other) == [made.value.id]
    # Somebody may still want it there.
    assert isinstance((await crm.enroll(flow, made.value.id))[0], int)


async def test_an_event_that_is_waited_for_brings_the_enrollment_back_once(crm: Flows) -> None:
    delay = {
        "delay": {
            "untilEvent": {
                "event": {"propertyChanged": {"property": "city", "values": ["Boston"]}},
                "timeout": {"value": 3, "unit": "DAY"},
                "timedOut": [set_property("lastname", "late")],
            }
        }
    }
    flow = await crm.flow("contacts", [{"manual": {}}], delay, set_property("jobtitle", "came"))
    ann, bob = await crm.create("contacts", {}, {})
    await crm.enroll(flow, ann, bob)
    await crm.work()
    await crm.switch(flow, False)
    await crm.set(ann, city="Rome")
    await crm.work()
    assert [row.arrived for row in await crm.enrolled(flow)] == [None, None]
    # Delays go on while the workflow is off, and on the revision that they began with.
    await crm.set(ann, city="Boston")
    await crm.set(ann, city="Boston", lastname="Lee")
    await crm.evaluate()
    arrived = {row.record_id: row.arrived for row in await crm.enrolled(flow)}
    assert arrived[bob] is None
    assert (arrived[ann] or {})["property"] == "city"
    await crm.switch(flow, True)
    await crm.work()
    assert (await crm.value(ann, "jobtitle"), await crm.value(bob, "jobtitle")) == ("came", None)
    crm.now += timedelta(days=4)
    await crm.work()
    assert (await crm.value(bob, "lastname"), await crm.value(bob, "jobtitle")) == ("late", "came")


async def test_a_segment_that_is_waited_for_is_heard_though_nothing_else_names_it(crm: Flows) -> None:
    async with crm.writing(defining=True) as tx:
        segment = await segment_commands.create(
            tx, "Bostonians", "contacts", "ACTIVE", equals("city", "Boston")
        )
    waited = {"segmentChanged": {"segment": f"seg_{segment.id}"}}
    delay = {"delay": {"untilEvent": {"event": waited, "timeout": {"value": 3, "unit": "DAY"}}}}
    flow = await crm.flow("contacts", [{"manual": {}}], delay)
    ann = await crm.one("contacts")
    await crm.enroll(flow, ann)
    await crm.work()
    await crm.set(ann, city="Boston")
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "COMPLETED")]


@pytest.mark.parametrize(
    ("trigger", "path"),
    [
        ({"propertyChanged": {"property": "nothing"}}, ("propertyChanged", "property")),
        ({"propertyChanged": {"property": "city", "values": []}}, ("propertyChanged", "values")),
        (
            {"propertyChanged": {"property": "lastname", "values": [{}]}},
            ("propertyChanged", "values", 0),
        ),
        ({"propertyChanged": {"property": "city", "where": equals("x", "y")}}, None),
        ({"associationChanged": {"to": "planets"}}, ("associationChanged", "to")),
        ({"associationChanged": {"to": "companies", "labels": ["x"]}}, ("associationChanged", "labels", 0)),
        ({"segmentChanged": {"segment": "seg_99"}}, ("segmentChanged", "segment")),
        ({"eventOccurred": {"type": "nothing"}}, ("eventOccurred", "type")),
        ({"webhookReceived": {"webhook": "whk_99"}}, ("webhookReceived", "webhook")),
        ({"schedule": {"every": "HOUR"}}, ("schedule", "every")),
        ({"schedule": {"every": "DAY", "at": "25:00"}}, ("schedule", "at")),
        ({"schedule": {"every": "WEEK"}}, ("schedule", "weekdays")),
        ({"schedule": {"every": "MONTH", "day": 32}}, ("schedule", "day")),
        ({"schedule": {"every": "YEAR", "day": 3}}, ("schedule", "month")),
        ({"schedule": {"every": "DAY", "day": 3}}, ("schedule", "day")),
        ({"dateReached": {"property": "city"}}, ("dateReached", "property")),
        ({"importFinished": {"import": "rec_1"}}, ("importFinished", "import")),
    ],
)
async def test_a_trigger_that_names_what_is_not_there_or_does_not_fit_is_refused_at_its_path(
    crm: Flows, trigger: dict[str, Any], path: tuple[Any, ...] | None
) -> None:
    for key in ("triggers", "reenrollmentTriggers"):
        definition = {"triggers": [{"manual": {}}], key: [trigger]}
        with pytest.raises(Refused) as caught:
            async with crm.writing(defining=True) as tx:
                await commands.create(tx, "x", "contacts", definition)
        problems = caught.value.problems
        assert problems[0].path[:2] == (key, 0)
        assert path is None or problems[0].path[2:] == path


async def test_a_segment_of_another_type_is_refused(crm: Flows) -> None:
    async with crm.writing(defining=True) as tx:
        segment = await segment_commands.create(tx, "All", "companies", "STATIC", None)
    with pytest.raises(Refused) as caught:
        await crm.flow("contacts", [{"segmentChanged": {"segment": f"seg_{segment.id}"}}])
    assert caught.value.problems[0].code == "SEGMENT_OF_ANOTHER_TYPE"


async def test_the_tree_of_an_enrollment_holds_what_was_seen_then(crm: Flows) -> None:
    where = {"and": [equals("city", "Boston"), associated("companies", equals("name", "Acme"))]}
    flow = await crm.make("contacts", where, waits())
    ann, acme = await crm.one("contacts", city="Boston"), await crm.one("companies", name="Acme")
    await crm.associate((ann, acme))
    await crm.work()
    await crm.set(acme, name="Other")
    await crm.work()
    [row] = await crm.enrolled(flow)
    [why] = (await crm.tree(row.id))["triggers"]
    assert why["where"]["holds"]
    [city, company] = why["where"]["parts"]
    assert city["actual"] == "Boston"
    assert company["lookedAt"][0]["record"] == f"rec_{acme}"
    assert company["lookedAt"][0]["where"]["actual"] == "Acme"


async def test_a_change_is_an_occurrence_for_each_workflow_once_though_two_evaluators_look(
    crm: Flows,
) -> None:
    import asyncio

    flow = await crm.flow("contacts", [{"recordCreated": {}}])
    made = await crm.create("contacts", *[{}] * 30)

    async def evaluating() -> None:
        while await evaluate.run_once(crm.db, crm.account, now=crm.tick()):
            pass

    await asyncio.gather(*(evaluating() for _ in range(3)))
    assert await crm.who(flow) == made
    assert ChangeKind.CREATED in {row.reason["kind"] for row in await crm.enrolled(flow)}
