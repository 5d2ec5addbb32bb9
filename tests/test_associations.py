"""Stories of associations and labels: both directions in step, one primary, limits that say who fills them."""

import pytest

from engine import associations, records
from engine.batches import Mode
from engine.problems import Refused
from storage import changes
from storage.changes import ChangeKind, EventKind
from storage.database import Database
from tests.graph import Graph, graph, laws, problem
from tests.statements import counted


@pytest.fixture
async def crm(db: Database) -> Graph:
    return await graph(db)


async def test_a_paired_label_reads_differently_from_each_side(crm: Graph) -> None:
    await crm.label("contacts", "contacts", "Manager", inverse_label="Employee")
    ann, bob = await crm.records("contacts", 2)
    [outcome] = await crm.associate((ann, bob, "manager"))
    assert outcome.value is not None
    assert (outcome.value.from_id, outcome.value.to_id) == (ann, bob)
    assert await crm.labels_of(ann, bob) == {"manager"}
    assert await crm.labels_of(bob, ann) == {"employee"}
    await crm.do(associations.remove_labels, (bob, ann, "employee"))
    assert await crm.labels_of(ann, bob) == set()
    await laws(crm)


async def test_manager_at_one_company_and_former_employee_at_another(crm: Graph) -> None:
    await crm.label("contacts", "companies", "Manager")
    await crm.label("contacts", "companies", "Former employee")
    ann = await crm.record("contacts")
    acme, globex = await crm.records("companies", 2)
    await crm.associate((ann, acme, "manager"), (globex, ann, "former_employee"))
    assert await crm.labels_of(ann, acme) == {"manager", "primary"}
    assert await crm.labels_of(ann, globex) == {"former_employee"}
    await laws(crm)


async def test_a_pair_can_hold_both_halves_of_a_label_and_a_symmetric_one_is_the_same_both_ways(
    crm: Graph,
) -> None:
    await crm.label("contacts", "contacts", "Guide", inverse_label="Follower")
    await crm.label("contacts", "contacts", "Colleague")
    ann, bob = await crm.records("contacts", 2)
    await crm.associate((ann, bob, "guide", "colleague"), (bob, ann, "guide", "colleague"))
    assert await crm.labels_of(ann, bob) == {"guide", "follower", "colleague"}
    assert await crm.labels_of(bob, ann) == {"guide", "follower", "colleague"}
    assert await crm.count(ann, "contacts", "colleague") == 1
    await laws(crm)


async def test_the_first_company_becomes_primary_and_only_the_first(crm: Graph) -> None:
    ann, bob = await crm.records("contacts", 2)
    first, second = await crm.records("companies", 2)
    await crm.associate((ann, first), (ann, second), (second, bob))
    assert await crm.labels_of(ann, first) == {"primary"}
    assert await crm.labels_of(ann, second) == set()
    assert await crm.labels_of(bob, second) == {"primary"}
    cleo = await crm.record("contacts")
    await crm.associate((cleo, first), first_primary=False)
    assert await crm.labels_of(cleo, first) == set()
    await crm.associate((cleo, second))
    assert await crm.labels_of(cleo, second) == set()
    await laws(crm)


async def test_naming_primary_moves_it_and_removing_it_promotes_nobody(crm: Graph) -> None:
    deal = await crm.record("deals")
    first, second, third = await crm.records("companies", 3)
    await crm.associate((deal, first), (deal, second))
    await crm.do(associations.set_labels, (second, deal, "primary"))
    assert await crm.labels_of(deal, first) == set()
    assert await crm.labels_of(deal, second) == {"primary"}
    await crm.do(associations.add_labels, (deal, third, "primary"), (deal, first, "primary"))
    assert await crm.labels_of(deal, first) == {"primary"}
    assert await crm.labels_of(deal, third) == set()
    await crm.do(associations.dissociate, (deal, first))
    assert [await crm.labels_of(deal, one) for one in (first, second, third)] == [None, set(), set()]
    await laws(crm)


async def test_setting_labels_replaces_those_that_people_defined(crm: Graph) -> None:
    for label in ("Billing", "Owner", "Partner"):
        await crm.label("contacts", "companies", label)
    ann, acme = await crm.record("contacts"), await crm.record("companies")
    await crm.associate((ann, acme, "billing", "owner"))
    [outcome] = await crm.do(associations.set_labels, (acme, ann, "partner", "owner"))
    assert outcome.value is not None
    assert (len(outcome.value.added), len(outcome.value.removed)) == (1, 1)
    assert await crm.labels_of(ann, acme) == {"partner", "owner", "primary"}
    await crm.do(associations.set_labels, (ann, acme))
    assert await crm.labels_of(ann, acme) == {"primary"}
    await laws(crm)


async def test_dissociating_removes_all_labels_and_leaves_a_zero(crm: Graph) -> None:
    await crm.label("contacts", "companies", "Billing")
    ann, acme = await crm.record("contacts"), await crm.record("companies")
    assert await crm.count(ann, "companies") is None
    await crm.associate((ann, acme, "billing"))
    assert await crm.count(acme, "contacts", "billing") == 1
    await crm.do(associations.dissociate, (acme, ann))
    assert await crm.labels_of(ann, acme) is None
    assert await crm.count(ann, "companies") == 0
    await laws(crm)


async def test_a_label_can_take_the_association_with_it_where_it_stood(crm: Graph) -> None:
    await crm.label("contacts", "companies", "Billing")
    ann, bob = await crm.records("contacts", 2)
    acme = await crm.record("companies")
    await crm.associate((ann, acme, "billing"), (bob, acme))
    pairs = [(ann, acme, "billing"), (bob, acme, "billing")]
    await crm.do(associations.remove_labels, *pairs, with_association=True)
    assert await crm.labels_of(ann, acme) is None
    assert await crm.labels_of(bob, acme) is not None


async def test_a_full_limit_is_refused_in_the_order_asked_and_names_who_fills_it(crm: Graph) -> None:
    await crm.label("deals", "contacts", "Decision maker", max_count=2, inverse_max_count=1)
    deal, other = await crm.records("deals", 2)
    ann, bob, cleo = await crm.records("contacts", 3)
    outcomes = await crm.do(
        associations.add_labels,
        (deal, ann, "decision_maker"),
        (bob, deal, "decision_maker"),
        (deal, cleo, "decision_maker"),
        (deal, ann, "decision_maker"),
        (other, ann, "decision_maker"),
    )
    assert [problem(one) for one in outcomes] == [
        None,
        None,
        "LABEL_LIMIT_REACHED",
        None,
        "LABEL_LIMIT_REACHED",
    ]
    first, second = outcomes[2].problem, outcomes[4].problem
    assert first is not None
    assert second is not None
    assert first.details["records"] == [f"rec_{ann}", f"rec_{bob}"]
    assert (first.details["count"], first.details["limit"]) == (2, 2)
    assert first.details["record"] == f"rec_{deal}"
    assert second.details["record"] == f"rec_{ann}"
    assert second.details["object_type"] == "deals"
    # Numbers and nouns agree, and these are the account's own.
    assert 'already has 2 Contacts under the label "Decision maker"; the limit is 2' in first.message
    assert (
        f'"rec_{ann}" already has 1 Deal under the label "Decision maker"; the limit is 1' in second.message
    )
    # The item was refused as a whole: the association did not come without its label.
    assert await crm.labels_of(deal, cleo) is None
    await laws(crm)


async def test_an_atomic_batch_leaves_nothing_where_one_item_is_refused(crm: Graph) -> None:
    await crm.limit("deals", "contacts", None, max_count=1)
    deal = await crm.record("deals")
    ann, bob = await crm.records("contacts", 2)
    with pytest.raises(Refused) as refused:
        await crm.associate((deal, ann), (bob, deal))
    [only] = refused.value.problems
    assert (only.code, only.path[0]) == ("ASSOCIATION_LIMIT_REACHED", 1)
    assert only.message == (f'The record "rec_{deal}" already has 1 Contact; the limit is 1: rec_{ann}.')
    assert await crm.labels_of(deal, ann) is None
    await crm.associate((deal, ann))
    await crm.limit("deals", "contacts", None, max_count=None)
    await crm.associate((deal, bob))
    await crm.limit("deals", "contacts", None, max_count=1)
    # Not retroactive: what is there stays, and labels may still come to it.
    await crm.label("deals", "contacts", "Buyer")
    await crm.associate((deal, bob, "buyer"))
    assert await crm.count(deal, "contacts") == 2
    await laws(crm)


async def test_a_symmetric_label_has_one_limit_for_both_ends(crm: Graph) -> None:
    await crm.label("contacts", "contacts", "Partner", max_count=1)
    ann, bob, cleo = await crm.records("contacts", 3)
    await crm.associate((ann, bob, "partner"))
    for pair in ((cleo, bob, "partner"), (bob, cleo, "partner"), (ann, cleo, "partner")):
        [outcome] = await crm.do(associations.add_labels, pair)
        assert problem(outcome) == "LABEL_LIMIT_REACHED"
    await laws(crm)


async def test_labels_of_one_exclusivity_group_do_not_stand_together(crm: Graph) -> None:
    for label in ("Partner", "Sibling"):
        await crm.label("contacts", "contacts", label, exclusivity_group="family")
    ann, bob = await crm.records("contacts", 2)
    await crm.associate((ann, bob, "partner"))
    [refused] = await crm.do(associations.add_labels, (bob, ann, "sibling"))
    assert problem(refused) == "LABELS_EXCLUSIVE"
    [both] = await crm.do(associations.set_labels, (bob, ann, "sibling", "partner"))
    assert problem(both) == "LABELS_EXCLUSIVE"
    await crm.do(associations.set_labels, (bob, ann, "sibling"))
    assert await crm.labels_of(ann, bob) == {"sibling"}
    await laws(crm)


async def test_bad_items_are_told_one_by_one_and_the_good_ones_stand(crm: Graph) -> None:
    ann, gone = await crm.records("contacts", 2)
    deal = await crm.record("deals")
    async with crm.writing() as tx:
        await records.archive(tx, [gone], Mode.ATOMIC)
    outcomes = await crm.do(
        associations.associate,
        (ann, deal),
        (ann, deal, "nobody"),
        (ann, 10**15),
        (gone, deal),
        (ann, ann),
        (deal, ann, "primary"),
    )
    assert [problem(one) for one in outcomes] == [
        None,
        "UNKNOWN_LABEL",
        "NOT_FOUND",
        "RECORD_ARCHIVED",
        "SELF_ASSOCIATION",
        "UNKNOWN_LABEL",
    ]
    paths = [one.problem.path for one in outcomes if one.problem is not None]
    assert paths == [("labels", 0), ("toId",), ("fromId",), ("toId",), ("labels", 0)]
    assert await crm.labels_of(deal, ann) == set()
    [missing] = await crm.do(associations.add_labels, (ann, deal))
    [unwanted] = await crm.do(associations.dissociate, (ann, deal, "x"))
    assert (problem(missing), problem(unwanted)) == ("LABELS_MISSING", "LABELS_NOT_WANTED")


async def test_nothing_of_another_account_can_be_associated(crm: Graph, db: Database) -> None:
    ann = await crm.record("contacts")
    elsewhere = await graph(db, "other")
    stranger = (await elsewhere.records("contacts", 5))[-1]
    [outcome] = await crm.do(associations.associate, (ann, stranger))
    assert problem(outcome) == "NOT_FOUND"


async def test_what_changes_nothing_writes_nothing(crm: Graph) -> None:
    await crm.label("contacts", "companies", "Billing")
    ann, acme = await crm.record("contacts"), await crm.record("companies")
    await crm.associate((ann, acme, "billing"))
    then = crm.now
    async with crm.writing() as tx:
        pair = [associations.Pair(acme, ann, ("billing",))]
        for command in (associations.associate, associations.add_labels, associations.set_labels):
            [outcome] = await command(tx, pair, Mode.PER_ITEM)
            assert outcome.value is not None
            assert (outcome.value.added, outcome.value.removed) == ((), ())
        assert (tx.changes, tx.events) == ([], [])
        row = (await records.update(tx, [(ann, {})], Mode.ATOMIC))[0].value
        assert row is not None
        assert row.last_association_change_at == then
    await laws(crm)


async def test_a_change_is_told_once_at_each_end_and_an_event_once_for_each_type(crm: Graph) -> None:
    await crm.label("contacts", "deals", "Buyer", inverse_label="Bought by")
    ann, bob = await crm.records("contacts", 2)
    deal = await crm.record("deals")
    async with crm.db.read(crm.account) as reader:
        before = await changes.last(reader)
    async with crm.writing() as tx:
        await changes.claim(tx, 100)
    await crm.associate((deal, ann, "bought_by"), (bob, deal))
    async with crm.writing() as tx:
        told = {change.record_id: change for change in await changes.claim(tx, 100)}
        events = await changes.read(tx, before, 100)
    assert {change.kind for change in told.values()} == {ChangeKind.ASSOCIATED}
    assert sorted(told[deal].other_ids) == [ann, ann, bob]
    assert told[ann].other_ids == (deal, deal)
    assert [(e.kind, e.record_id, e.payload["to_id"], e.payload["label"]) for e in events] == [
        (EventKind.ASSOCIATION_ADDED, deal, ann, None),
        (EventKind.LABEL_ADDED, deal, ann, "bought_by"),
        (EventKind.ASSOCIATION_ADDED, bob, deal, None),
    ]
    await crm.do(associations.dissociate, (ann, deal))
    async with crm.writing() as tx:
        kinds = {(change.record_id, change.kind) for change in await changes.claim(tx, 100)}
        events = await changes.read(tx, events[-1].seq, 100)
    assert kinds == {(ann, ChangeKind.DISSOCIATED), (deal, ChangeKind.DISSOCIATED)}
    assert [(e.kind, e.payload["label"]) for e in events] == [
        (EventKind.ASSOCIATION_REMOVED, None),
        (EventKind.LABEL_REMOVED, "buyer"),
    ]


async def test_the_number_of_statements_does_not_grow_with_the_batch(crm: Graph) -> None:
    await crm.label("contacts", "companies", "Billing", max_count=3)
    contacts = await crm.records("contacts", 100)
    acme, globex = await crm.records("companies", 2)
    with counted() as seen:
        sizes = []
        for some in (contacts[:3], contacts[3:]):
            seen.clear()
            pairs = [(one, acme, "billing", "primary") for one in some]
            await crm.associate(*pairs, *[(globex, one) for one in some])
            await crm.do(associations.set_labels, *[(one, globex, "primary") for one in some])
            await crm.do(associations.dissociate, *[(one, acme) for one in some])
            sizes.append(len(seen))
    assert sizes[0] == sizes[1] < 40
    await laws(crm)
