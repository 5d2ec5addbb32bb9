"""What archiving, restoring and merging do to associations: hidden, re-admitted where they fit, moved."""

import pytest

from engine import associations, records
from engine.batches import Mode
from engine.problems import Problem
from storage.database import Database
from tests.graph import Graph, graph, laws, problem
from tests.statements import counted


@pytest.fixture
async def crm(db: Database) -> Graph:
    return await graph(db)


async def archive(crm: Graph, *ids: int) -> None:
    async with crm.writing() as tx:
        await records.archive(tx, ids, Mode.ATOMIC)


async def restore(crm: Graph, *ids: int) -> list[Problem]:
    async with crm.writing() as tx:
        outcomes = await records.restore(tx, ids, Mode.ATOMIC)
    return [told for one in outcomes if one.value is not None for told in one.value.refused]


async def merge(crm: Graph, survivor: int, merged: int) -> list[Problem]:
    async with crm.writing() as tx:
        return list((await records.merge(tx, survivor, merged)).refused)


async def test_an_archived_record_does_not_count_and_counts_again_when_it_is_back(crm: Graph) -> None:
    ann, bob = await crm.records("contacts", 2)
    deal = await crm.record("deals")
    await crm.associate((ann, deal), (bob, deal), (ann, bob))
    await archive(crm, ann, bob)
    assert await crm.count(deal, "contacts") == 0
    await laws(crm)
    assert await restore(crm, bob, ann) == []
    assert await crm.count(deal, "contacts") == 2
    assert await crm.count(ann, "contacts") == 1
    await laws(crm)


async def test_an_archived_record_makes_room_and_may_find_its_place_taken(crm: Graph) -> None:
    await crm.label("deals", "contacts", "Buyer", max_count=1)
    await crm.label("deals", "contacts", "Friend")
    ann, bob = await crm.records("contacts", 2)
    deal = await crm.record("deals")
    await crm.associate((deal, ann, "buyer", "friend"))
    await archive(crm, ann)
    await crm.associate((deal, bob, "buyer"))
    [refused] = await restore(crm, ann)
    assert refused.code == "LABEL_REMOVED"
    assert refused.details["cause"] == "LABEL_LIMIT_REACHED"
    assert f"rec_{bob}" in refused.message
    assert await crm.labels_of(ann, deal) == {"friend"}
    await laws(crm)


async def test_an_association_that_does_not_fit_goes_with_all_its_labels(crm: Graph) -> None:
    await crm.label("deals", "contacts", "Buyer")
    ann, bob, cleo = await crm.records("contacts", 3)
    deal = await crm.record("deals")
    await crm.associate((deal, ann, "buyer"), (deal, bob, "buyer"))
    await archive(crm, ann, bob, deal)
    await crm.limit("deals", "contacts", None, max_count=1)
    [refused] = await restore(crm, deal, bob, ann)
    assert refused.code == "ASSOCIATION_REMOVED"
    assert await crm.count(deal, "contacts") == 1
    [outcome] = await crm.do(associations.associate, (cleo, deal))
    assert problem(outcome) == "ASSOCIATION_LIMIT_REACHED"
    await laws(crm)


async def test_a_restored_company_is_not_primary_where_another_one_is_by_now(crm: Graph) -> None:
    ann = await crm.record("contacts")
    first, second = await crm.records("companies", 2)
    await crm.associate((ann, first))
    await archive(crm, first)
    await crm.associate((ann, second))
    assert await crm.labels_of(ann, second) == {"primary"}
    [refused] = await restore(crm, first)
    assert refused.code == "LABEL_REMOVED"
    assert await crm.labels_of(ann, first) == set()
    await laws(crm)


async def test_merging_moves_what_fits_and_reports_the_rest(crm: Graph) -> None:
    await crm.label("contacts", "deals", "Buyer", max_count=1)
    await crm.label("contacts", "contacts", "Manager", inverse_label="Employee")
    ann, anna, bob, hidden = await crm.records("contacts", 4)
    one, two = await crm.records("deals", 2)
    acme, globex = await crm.records("companies", 2)
    await crm.associate((ann, one, "buyer"), (anna, two, "buyer"), (anna, one), (ann, anna))
    await crm.associate((ann, acme), (anna, globex), (bob, anna, "manager"), (anna, hidden, "employee"))
    await archive(crm, hidden)
    refused = await merge(crm, ann, anna)
    assert sorted(told.details["label"] for told in refused) == ["Buyer", "Primary"]
    assert await crm.labels_of(ann, one) == {"buyer"}
    assert await crm.labels_of(ann, two) == set()
    assert (await crm.labels_of(ann, acme), await crm.labels_of(ann, globex)) == ({"primary"}, set())
    assert await crm.labels_of(ann, bob) == {"employee"}
    assert await crm.labels_of(ann, hidden) == {"employee"}
    await laws(crm)
    assert await restore(crm, hidden) == []
    assert await crm.count(ann, "contacts") == 2
    await laws(crm)
    # The merged id is the survivor from now on, for new associations too.
    cleo = await crm.record("contacts")
    [outcome] = await crm.do(associations.associate, (cleo, anna))
    assert outcome.value is not None
    assert outcome.value.to_id == ann
    [itself] = await crm.do(associations.associate, (ann, anna))
    assert problem(itself) == "SELF_ASSOCIATION"


async def test_a_company_that_is_merged_stays_primary_where_it_was(crm: Graph) -> None:
    ann, bob = await crm.records("contacts", 2)
    acme, acme_inc, globex = await crm.records("companies", 3)
    await crm.associate((ann, acme_inc), (bob, acme_inc), (bob, acme), (bob, globex))
    assert await merge(crm, acme, acme_inc) == []
    assert await crm.labels_of(ann, acme) == {"primary"}
    assert await crm.labels_of(bob, acme) == {"primary"}
    await laws(crm)


async def test_a_hub_is_merged_in_rounds(crm: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.associations.lifecycle.CHUNK", 40)
    await crm.limit("companies", "contacts", None, max_count=150)
    contacts = await crm.records("contacts", 160)
    hub, other = await crm.records("companies", 2)
    await crm.associate(*[(hub, one) for one in contacts[:100]])
    await crm.associate(*[(other, one) for one in contacts[80:]])
    with counted() as seen:
        refused = await merge(crm, other, hub)
    assert len(refused) == 160 - 150
    assert await crm.count(other, "contacts") == 150
    assert len(seen) < 100 / 40 * 20
    await laws(crm)


async def test_a_hub_comes_back_page_by_page(crm: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.associations.lifecycle.CHUNK", 30)
    await crm.label("contacts", "companies", "Works at", inverse_label="Staff", max_count=1)
    contacts = await crm.records("contacts", 100)
    hub, other = await crm.records("companies", 2)
    await crm.associate(*[(hub, one, "staff") for one in contacts])
    await archive(crm, hub)
    await crm.associate(*[(other, one, "staff") for one in contacts[20:70]])
    refused = await restore(crm, hub)
    # The label and the primary of fifty contacts are taken.
    assert [told.code for told in refused] == ["LABEL_REMOVED"] * 100
    assert await crm.count(hub, "contacts", "staff") == 50
    assert await crm.count(hub, "contacts") == 100
    await laws(crm)
