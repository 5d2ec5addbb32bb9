"""Who uses a label, another label in its place, and its deletion: all of it or nothing."""

from typing import Any

import pytest

from engine import associations, label_removal, labels, records
from engine.batches import Mode
from engine.labels import Label
from engine.problems import Problem, Refused
from engine.segments import commands as segments
from engine.segments import fill
from engine.uses import UseKind, uses
from engine.workflows import commands
from storage import workflows
from storage.changes import EventKind
from storage.database import Database
from tests.flows import Flows, flows
from tests.graph import as_of, graph, laws, standing

REFS = "SELECT t.kind, t.ref_id, t.path FROM trigger_ref AS t WHERE t.account_id = $1 AND t.workflow_id = $2"


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


async def replace(crm: Flows, old: Label, new: Label, *, back: bool = False, delete: bool = False) -> Any:
    """Let one label take another's place; `back`: told from the old one's other end."""
    async with crm.writing(defining=True) as tx:
        old_id = old.back.id if back else old.there.id
        return await label_removal.take_place(tx, old_id, new.there.id, deleting=delete)


async def delete(crm: Flows, label: Label) -> None:
    async with crm.writing(defining=True) as tx:
        await label_removal.delete(tx, label.there.id)


async def used(crm: Flows, label: Label) -> list[Any]:
    catalogue = await crm.db.catalogue(crm.account)
    async with crm.db.read(crm.account) as reader:
        return (await uses(reader, catalogue, [label]))[label.there.pair_id]


def having(*names: str, quantifier: str = "ANY") -> dict[str, Any]:
    return {"associated": {"to": "deals", "quantifier": quantifier, "labels": list(names)}}


async def test_a_label_that_nobody_uses_is_deleted_with_both_directions_and_its_name_is_free(
    crm: Flows,
) -> None:
    label = await crm.label("contacts", "deals", "Buyer", inverse_label="Bought by")
    kept = await crm.label("contacts", "deals", "Payer")
    ann, deal = await crm.record("contacts"), await crm.record("deals")
    await crm.associate((ann, deal, "buyer", "payer"))
    await crm.do(associations.remove_labels, (ann, deal, "buyer"))
    await delete(crm, label)
    catalogue = await crm.db.catalogue(crm.account)
    names = {row.name for row in catalogue.association_types.values()}
    assert "payer" in names
    assert not {"buyer", "bought_by"} & names
    assert catalogue.association_types[kept.there.id] == kept.there
    assert await crm.labels_of(ann, deal) == {"payer"}
    await crm.label("contacts", "deals", "Buyer", inverse_label="Bought by")
    await laws(crm)


async def test_a_label_in_use_is_not_deleted_and_every_use_is_told(crm: Flows) -> None:
    label = await crm.label("contacts", "deals", "Buyer", inverse_label="Bought by")
    ann, deal, gone = *await crm.records("contacts", 1), *await crm.records("deals", 2)
    await crm.associate((ann, deal, "buyer"), (gone, ann, "bought_by"))
    await crm.archive(gone)
    flow = await crm.make("contacts", having("buyer"), {"applyLabel": {"to": "deals", "label": "buyer"}})
    nested = {"associated": {"to": "contacts", "where": having("buyer")}}
    draft = {
        "triggers": [{"filterMet": {"where": {"not": nested}}}],
        "actions": [{"setProperty": {"property": "name", "value": "buyer"}}],
    }
    async with crm.writing(defining=True) as tx:
        second = await commands.create(tx, "Second", "companies", draft)
    assert [use.count for use in await used(crm, label)] == [2, 1, 1, 1, 1, 1]
    with pytest.raises(label_removal.LabelInUse) as told:
        await delete(crm, label)
    found = told.value.details["uses"]
    assert found[0] == {"kind": "ASSOCIATIONS", "count": 2}
    where = ["triggers", 0, "filterMet", "where"]
    assert [(use["id"], use["revision"], use["kind"], use["path"]) for use in found[1:]] == [
        (f"wfl_{flow}", None, "WORKFLOW_TRIGGER", [*where, "associated", "labels", 0]),
        (f"wfl_{flow}", None, "WORKFLOW_ACTION", ["actions", 0, "applyLabel", "label"]),
        (f"wfl_{flow}", 1, "WORKFLOW_TRIGGER", [*where, "associated", "labels", 0]),
        (f"wfl_{flow}", 1, "WORKFLOW_ACTION", ["actions", 0, "applyLabel", "label"]),
        (
            f"wfl_{second.id}",
            None,
            "WORKFLOW_TRIGGER",
            [*where, "not", "associated", "where", "associated", "labels", 0],
        ),
    ]
    assert "2 associations" in told.value.message
    assert (await crm.db.catalogue(crm.account)).association_types[label.there.id] == label.there


async def test_system_labels_are_neither_deleted_nor_replaced(crm: Flows) -> None:
    label = await crm.label("contacts", "companies", "Billing")
    catalogue = await crm.db.catalogue(crm.account)
    for row in labels.listing(catalogue, "contacts", "companies"):
        if row.category == "SYSTEM":
            system = labels.both(catalogue, row.id)
            for asked in (delete(crm, system), replace(crm, system, label), replace(crm, label, system)):
                with pytest.raises(labels.SystemLabelFixed):
                    await asked


async def test_another_label_takes_the_place_in_both_directions_archived_records_included(crm: Flows) -> None:
    old = await crm.label("contacts", "contacts", "Boss", inverse_label="Report")
    new = await crm.label("contacts", "contacts", "Manager", inverse_label="Employee")
    ann, bob, cid, dan = await crm.records("contacts", 4)
    await crm.associate((ann, bob, "boss"), (cid, bob, "boss", "manager"), (dan, ann, "boss"), (dan, cid))
    await crm.archive(dan)
    before, stood = crm.now, await standing(crm)
    replaced = await replace(crm, old, new)
    assert [(use.kind, use.count) for use in replaced.moved] == [(UseKind.ASSOCIATIONS, 3)]
    assert await crm.labels_of(ann, bob) == {"manager"}
    assert await crm.labels_of(bob, cid) == {"employee"}
    assert await crm.labels_of(dan, ann) == {"manager"}
    assert await crm.labels_of(dan, cid) == set()
    assert await crm.count(bob, "contacts", "employee") == 2
    assert await crm.count(bob, "contacts", "report") == 0
    # Dan is archived and does not count with Ann.
    assert await crm.count(ann, "contacts", "employee") == 0
    await laws(crm)
    assert await as_of(crm, before) == stood
    assert await as_of(crm, crm.now) == await standing(crm)
    assert await used(crm, old) == []
    rows = await crm.read(
        "SELECT r.id FROM record AS r WHERE r.account_id = $1 AND r.last_association_change_at = $2", crm.now
    )
    assert {row[0] for row in rows} == {ann, bob, cid, dan}


async def test_everybody_is_told_what_moved(crm: Flows) -> None:
    old = await crm.label("contacts", "deals", "Buyer", inverse_label="Bought by")
    new = await crm.label("deals", "contacts", "Purchaser", inverse_label="Purchases")
    ann, bob, deal = *await crm.records("contacts", 2), *await crm.records("deals", 1)
    await crm.associate((ann, deal, "buyer"), (bob, deal, "buyer", "purchases"))
    last = await crm.read("SELECT max(e.seq) FROM event_log AS e WHERE e.account_id = $1")
    # Told from the other end, it is the same label: between two object types there is no choice.
    await replace(crm, old, new, delete=True)
    events = [event for event in await crm.events(*EventKind) if event.seq > last[0][0]]
    assert [(event.kind, event.record_id, event.payload.get("to_id")) for event in events] == [
        (EventKind.LABEL_REMOVED, ann, deal),
        (EventKind.LABEL_REMOVED, bob, deal),
        (EventKind.LABEL_ADDED, ann, deal),
        (EventKind.LABEL_REPLACED, None, None),
        (EventKind.LABEL_DELETED, None, None),
    ]
    assert {event.source_id for event in events} == {"7"}
    async with crm.db.read(crm.account) as reader:
        told = await labels.history(reader, new.there)
        gone = await labels.history(reader, old.there)
    assert (told[-1].kind, told[-1].changed["replaces"]) == ("REPLACED", [None, "buyer"])
    assert [line.kind for line in gone] == ["CREATED", "REPLACED", "DELETED"]
    assert gone[1].changed == {"replacedBy": [None, "purchases"], "associations": [None, 2]}
    assert await crm.labels_of(ann, deal) == {"purchases"}
    await laws(crm)


async def test_a_symmetric_label_takes_the_place_of_a_pair_but_not_the_other_way_round(crm: Flows) -> None:
    pair = await crm.label("contacts", "contacts", "Manager", inverse_label="Employee")
    both = await crm.label("contacts", "contacts", "Colleague")
    other = await crm.label("contacts", "contacts", "Friend")
    ann, bob, cid = await crm.records("contacts", 3)
    # Each is the other's manager: two labels that become one.
    await crm.associate((ann, bob, "manager", "employee"), (bob, cid, "manager", "colleague"))
    with pytest.raises(Problem, match="reads the same"):
        await replace(crm, both, pair)
    with pytest.raises(Problem, match="own place"):
        await replace(crm, pair, Label(pair.back, pair.there))
    await replace(crm, pair, both, back=True)
    for one, two in ((ann, bob), (bob, cid)):
        assert await crm.labels_of(one, two) == {"colleague"}
    assert await crm.count(bob, "contacts", "colleague") == 2
    await replace(crm, both, other)
    assert await crm.labels_of(cid, bob) == {"friend"}
    await laws(crm)


async def test_only_labels_of_one_object_pair_replace_each_other(crm: Flows) -> None:
    old = await crm.label("contacts", "deals", "Buyer")
    new = await crm.label("contacts", "companies", "Buyer")
    with pytest.raises(Problem, match="one object pair"):
        await replace(crm, old, new)


async def test_what_would_not_fit_is_listed_and_nothing_is_done(crm: Flows) -> None:
    old = await crm.label("deals", "contacts", "Buyer")
    new = await crm.label("deals", "contacts", "Purchaser", max_count=2)
    deals, people = await crm.records("deals", 3), await crm.records("contacts", 4)
    await crm.associate(
        # Over the limit with the one it has; at the limit since one holds both; over it, but one is archived.
        *[(deals[0], one, "buyer") for one in people[:2]],
        (deals[0], people[2], "purchaser"),
        (deals[1], people[0], "buyer", "purchaser"),
        (deals[1], people[1], "buyer"),
        *[(deals[2], one, "buyer") for one in people[1:]],
    )
    await crm.archive(people[3])
    flow = await crm.make("deals", {"associated": {"to": "contacts", "labels": ["buyer"]}})
    stood = await standing(crm)
    with pytest.raises(Refused) as told:
        await replace(crm, old, new, delete=True)
    [problem] = told.value.problems
    assert (problem.code, problem.details["record"]) == ("LIMIT_WOULD_BE_PASSED", f"rec_{deals[0]}")
    assert problem.message.endswith('would have 3 Contacts under the label "Purchaser"; the limit is 2.')
    assert await standing(crm) == stood
    async with crm.db.read(crm.account) as reader:
        [row] = await workflows.by_ids(reader, [flow])
    assert row is not None
    assert (row.published_revision, row.draft_version) == (1, 1)
    # Limits are not retroactive: who gains nothing may have too many.
    await crm.do(associations.remove_labels, (deals[0], people[0], "buyer"), (deals[0], people[1], "buyer"))
    await crm.limit("deals", "contacts", "purchaser", max_count=1)
    await crm.do(associations.remove_labels, (deals[1], people[1], "buyer"))
    await crm.do(associations.dissociate, (deals[2], people[2]))
    await replace(crm, old, new)
    await laws(crm)


async def test_an_exclusivity_group_is_respected(crm: Flows) -> None:
    old = await crm.label("contacts", "companies", "Manages")
    await crm.label("contacts", "companies", "Left", exclusivity_group="employment")
    new = await crm.label("contacts", "companies", "Runs", exclusivity_group="employment")
    ann, bob, acme = *await crm.records("contacts", 2), *await crm.records("companies", 1)
    await crm.associate((ann, acme, "manages", "left"), (bob, acme, "manages"))
    with pytest.raises(Refused) as told:
        await replace(crm, old, new)
    [problem] = told.value.problems
    assert (problem.code, problem.details["held"]) == ("LABELS_WOULD_EXCLUDE", "Left")
    assert (problem.details["record"], problem.details["other"]) == (f"rec_{ann}", f"rec_{acme}")
    await crm.do(associations.remove_labels, (ann, acme, "left"))
    await replace(crm, old, new)
    assert await crm.labels_of(ann, acme) == {"runs", "primary"}


async def test_nobody_comes_to_hold_both_halves_of_a_label_that_excludes_itself(crm: Flows) -> None:
    old = await crm.label("contacts", "contacts", "Manager", inverse_label="Employee")
    new = await crm.label("contacts", "contacts", "Mentor", inverse_label="Pupil", exclusivity_group="stance")
    ann, bob = await crm.records("contacts", 2)
    await crm.associate((ann, bob, "manager", "employee"))
    with pytest.raises(Refused) as told:
        await replace(crm, old, new)
    assert {problem.code for problem in told.value.problems} == {"LABELS_WOULD_EXCLUDE"}
    assert {problem.details["held"] for problem in told.value.problems} == {"Employee"}
    await crm.do(associations.remove_labels, (ann, bob, "employee"))
    await replace(crm, old, new)
    assert await crm.labels_of(ann, bob) == {"mentor"}
    await laws(crm)


async def test_workflows_go_on_with_the_new_label(crm: Flows) -> None:
    old = await crm.label("contacts", "deals", "Buyer", inverse_label="Bought by")
    new = await crm.label("contacts", "deals", "Purchaser", inverse_label="Purchased by")
    where = {"associated": {"to": "contacts", "labels": ["bought_by", "purchased_by"]}}
    flow = await crm.make(
        "contacts",
        having("buyer"),
        {"setProperty": {"property": "jobtitle", "value": "buyer"}},
        {"applyLabel": {"to": "deals", "label": "buyer", "where": where}},
    )
    ann, bob, deal = *await crm.records("contacts", 2), *await crm.records("deals", 1)
    await crm.associate((ann, deal, "buyer"))
    # Evaluated and under way, but nothing is carried out yet; Bob's change still waits to be evaluated.
    await crm.evaluate()
    await crm.associate((bob, deal, "buyer"))
    replaced = await replace(crm, old, new, delete=True)
    assert sum(use.kind is UseKind.WORKFLOW_TRIGGER for use in replaced.moved) == 2
    await crm.work()
    found = await crm.enrolled(flow)
    assert [(row.record_id, row.status, row.revision) for row in found] == [
        (ann, "COMPLETED", 2),
        (bob, "COMPLETED", 2),
    ]
    refs = await crm.read(REFS, flow)
    async with crm.db.read(crm.account) as reader:
        [row] = await workflows.by_ids(reader, [flow])
        [revision] = await workflows.revisions(reader, [(flow, 2)])
    assert row is not None
    assert revision is not None
    assert row.draft == revision.definition
    text = str(revision.definition)
    assert "'buyer'" in text  # a value that only looks like the label
    assert "bought_by" not in text
    assert revision.definition["actions"][1]["applyLabel"]["where"]["associated"]["labels"] == [
        "purchased_by"
    ]
    # What leads to the workflow is what publishing it again writes.
    async with crm.writing(defining=True) as tx:
        await commands.publish(tx, flow, None)
    again = await crm.read(REFS, flow)
    assert sorted(map(str, refs)) == sorted(map(str, again))


async def test_enrollments_under_way_on_older_revisions_go_on_with_the_new_label(crm: Flows) -> None:
    old, new = await crm.label("contacts", "deals", "Buyer"), await crm.label("contacts", "deals", "Payer")
    flow = await crm.make("contacts", having(), {"applyLabel": {"to": "deals", "label": "buyer"}})
    ann, deal = await crm.record("contacts"), await crm.record("deals")
    await crm.associate((ann, deal))
    await crm.evaluate()
    async with crm.writing(defining=True) as tx:
        actions = [{"setProperty": {"property": "jobtitle", "value": "x"}}]
        row = await commands.update(tx, flow, 1, definition={"actions": actions})
        await commands.publish(tx, flow, row.draft_version)
    await replace(crm, old, new, delete=True)
    await crm.work()
    assert await crm.labels_of(ann, deal) == {"payer"}
    # The published definition is still the last revision, and a later one can follow it.
    async with crm.writing(defining=True) as tx:
        row = await commands.publish(tx, flow, None)
    async with crm.db.read(crm.account) as reader:
        [before, last] = await workflows.revisions(reader, [(flow, 4), (flow, row.published_revision or 0)])
    assert row.published_revision == 5
    assert before is not None
    assert last is not None
    assert before.definition == last.definition
    assert "setProperty" in str(before.definition)


async def test_segments_go_on_with_the_new_label_and_find_whom_it_brings(crm: Flows) -> None:
    old, new = await crm.label("contacts", "deals", "Buyer"), await crm.label("contacts", "deals", "Payer")
    async with crm.writing(defining=True) as tx:
        made = await segments.create(tx, "Buyers", "contacts", segments.ACTIVE, having("buyer"))
    ann, bob, deal = *await crm.records("contacts", 2), await crm.record("deals")
    await crm.associate((ann, deal, "buyer"), (bob, deal, "payer"))
    await settled(crm)
    assert await members(crm, made.id) == [ann]
    with pytest.raises(label_removal.LabelInUse) as told:
        await delete(crm, old)
    use = told.value.details["uses"][1]
    assert (use["kind"], use["id"], use["path"]) == (
        "SEGMENT",
        f"seg_{made.id}",
        ["associated", "labels", 0],
    )
    await replace(crm, old, new, delete=True)
    await settled(crm)
    assert await members(crm, made.id) == [ann, bob]
    await crm.do(associations.remove_labels, (ann, deal, "payer"))
    await settled(crm)
    assert await members(crm, made.id) == [bob]


async def settled(crm: Flows) -> None:
    """Evaluate and fill until nothing is left to do."""
    while True:
        await crm.evaluate()
        if not await fill.run_all(crm.db, now=crm.tick()):
            return


async def members(crm: Flows, segment: int) -> list[int]:
    """Who is in a segment."""
    rows = await crm.read(
        "SELECT m.record_id FROM segment_member AS m WHERE m.account_id = $1 AND m.segment_id = $2", segment
    )
    return sorted(row[0] for row in rows)


async def test_many_associations_move_in_parts_of_one_transaction(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts that end in the middle of a hub, and of a pair."""
    monkeypatch.setattr("engine.uses.associations.PART", 7)
    old = await crm.label("contacts", "contacts", "Boss", inverse_label="Report")
    new = await crm.label("contacts", "contacts", "Peer")
    people = await crm.records("contacts", 12)
    pairs = [(a, b, "boss") for a in people for b in people if a != b]
    await crm.associate(*pairs)
    async with crm.writing() as tx:
        await records.archive(tx, people[:3], Mode.ATOMIC)
    replaced = await replace(crm, old, new, delete=True)
    assert [use.count for use in replaced.moved] == [len(pairs)]
    await laws(crm)
    assert await crm.count(people[5], "contacts", "peer") == 8
    added = [event for event in await crm.events(EventKind.LABEL_ADDED) if event.payload["label"] == "peer"]
    assert len(added) == len(pairs) // 2
    seqs = [event.seq for event in await crm.events(*EventKind)]
    assert seqs == list(range(1, len(seqs) + 1))


async def test_nothing_of_another_account_is_touched(crm: Flows) -> None:
    other = await graph(crm.db, "other")
    for one in (crm, other):
        await one.label("contacts", "deals", "Buyer")
        await one.label("contacts", "deals", "Payer")
        ann, deal = await one.record("contacts"), await one.record("deals")
        await one.associate((ann, deal, "buyer"))
    stood = await standing(other)
    catalogue = await crm.db.catalogue(crm.account)
    rows = {
        row.name: labels.both(catalogue, row.id) for row in labels.listing(catalogue, "contacts", "deals")
    }
    await replace(crm, rows["buyer"], rows["payer"], delete=True)
    assert await standing(other) == stood
    await laws(other)
