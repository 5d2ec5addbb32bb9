"""The examples of the manual, as they are told there: associations, labels and values that workflows see to."""

from typing import Any

import pytest

from storage.database import Database
from tests.filtering import leaf
from tests.flows import Flows, apply_label, equals, flows, set_property
from tests.graph import laws
from tests.workflow_actions import (
    changes,
    copy,
    create_associations,
    define,
    lines,
    remove_labels,
    run,
    update_labels,
)


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


async def test_contact_and_company_are_associated_because_their_values_match_city_boston_location_boston(
    crm: Flows,
) -> None:
    await define(crm, "companies", "location")
    boston, paris, nowhere = await crm.create("companies", {"location": "Boston"}, {"location": "Paris"}, {})
    ann, bob, eve = await crm.create("contacts", {"city": "Boston"}, {"city": "London"}, {})
    first, second, third = await run(
        crm, "contacts", create_associations("companies", "city", "location"), on=[ann, bob, eve]
    )
    assert await crm.labels_of(ann, boston) == {"primary"}
    assert await changes(crm, first) == [
        {"record": ann, "associated": boston, "association": "ADDED"},
        {"record": ann, "associated": boston, "label": "primary"},
    ]
    for other in (paris, nowhere):
        assert await crm.labels_of(ann, other) is None
    for one in (second, third):
        # A city that nobody has, and no city: nothing equals nothing.
        assert [line.outcome for line in await lines(crm, one)] == ["UNCHANGED"]
    assert await crm.labels_of(eve, nowhere) is None
    assert {row.status for row in (first, second, third)} == {"COMPLETED"}
    await laws(crm)


async def decision_makers(crm: Flows) -> None:
    await crm.label(
        "companies", "contacts", "Decision maker", name="decision_maker", inverse_name="decides_at"
    )


async def test_decision_maker_is_applied_only_if_the_contacts_job_title_is_manager(crm: Flows) -> None:
    await decision_makers(crm)
    acme = await crm.one("companies")
    ann, bob = await crm.create("contacts", {"jobtitle": "Manager"}, {"jobtitle": "Clerk"})
    await crm.associate((acme, ann), (acme, bob))
    action = apply_label("contacts", "decision_maker", where=equals("jobtitle", "Manager"))
    [done] = await run(crm, "companies", action, on=[acme])
    assert "decision_maker" in (await crm.labels_of(acme, ann) or set())
    assert "decides_at" in (await crm.labels_of(ann, acme) or set())
    assert "decision_maker" not in (await crm.labels_of(acme, bob) or set())
    assert await changes(crm, done) == [{"record": acme, "associated": ann, "label": "decision_maker"}]


async def test_decision_maker_is_applied_only_if_the_enrolled_company_has_more_than_five_employees(
    crm: Flows,
) -> None:
    await decision_makers(crm)
    big, small, unknown = await crm.create(
        "companies", {"numberofemployees": 6}, {"numberofemployees": 5}, {}
    )
    ann = await crm.one("contacts")
    await crm.associate((big, ann), (small, ann), (unknown, ann))
    more = leaf("numberofemployees", "GREATER_THAN", 5)
    action = apply_label("contacts", "decision_maker", ownWhere=more)
    await run(crm, "companies", action, on=[big, small, unknown])
    labelled = [one for one in (big, small, unknown) if "decision_maker" in (await labels(crm, one, ann))]
    assert labelled == [big]


async def test_decision_maker_is_applied_only_if_both_countries_match(crm: Flows) -> None:
    await decision_makers(crm)
    [acme, stateless] = await crm.create("companies", {"country": "France"}, {})
    ann, bob, eve = await crm.create("contacts", {"country": "France"}, {"country": "Spain"}, {})
    await crm.associate(*[(company, one) for company in (acme, stateless) for one in (ann, bob, eve)])
    match = {"own": "country", "other": "country"}
    await run(crm, "companies", apply_label("contacts", "decision_maker", match=match), on=[acme, stateless])
    assert [one for one in (ann, bob, eve) if "decision_maker" in await labels(crm, acme, one)] == [ann]
    assert not [one for one in (ann, bob, eve) if "decision_maker" in await labels(crm, stateless, one)]


async def test_decision_maker_is_applied_only_if_the_countries_do_not_match(crm: Flows) -> None:
    await decision_makers(crm)
    acme = await crm.one("companies", country="France")
    ann, bob, eve = await crm.create("contacts", {"country": "France"}, {"country": "Spain"}, {})
    await crm.associate((acme, ann), (acme, bob), (acme, eve))
    match = {"own": "country", "other": "country", "negated": True}
    await run(crm, "companies", apply_label("contacts", "decision_maker", match=match), on=[acme])
    assert [one for one in (ann, bob, eve) if "decision_maker" in await labels(crm, acme, one)] == [bob]


async def labels(crm: Flows, one: int, other: int) -> set[str]:
    return await crm.labels_of(one, other) or set()


async def contact_persons(crm: Flows, **words: Any) -> tuple[int, int, int]:
    """A company, its primary contact, and one without a label."""
    await crm.label(
        "companies", "contacts", "Primary contact", name="primary_contact", inverse_name="contact_of", **words
    )
    acme = await crm.one("companies")
    ann, bob = await crm.create("contacts", {}, {})
    await crm.associate((acme, ann, "primary_contact"), (acme, bob), first_primary=False)
    return acme, ann, bob


async def test_primary_contact_is_replaced_by_decision_maker(crm: Flows) -> None:
    await decision_makers(crm)
    acme, ann, bob = await contact_persons(crm)
    action = update_labels("contacts", "primary_contact", "decision_maker", replace=True)
    [done] = await run(crm, "companies", action, on=[acme])
    assert await crm.labels_of(acme, ann) == {"decision_maker"}
    assert await crm.labels_of(ann, acme) == {"decides_at"}
    assert await crm.labels_of(acme, bob) == set()
    assert await changes(crm, done) == [
        {"record": acme, "associated": ann, "label": "primary_contact", "removed": True},
        {"record": acme, "associated": ann, "label": "decision_maker"},
    ]
    await laws(crm)


async def test_decision_maker_is_added_to_primary_contact(crm: Flows) -> None:
    await decision_makers(crm)
    acme, ann, bob = await contact_persons(crm)
    [done] = await run(
        crm, "companies", update_labels("contacts", "primary_contact", "decision_maker"), on=[acme]
    )
    assert await crm.labels_of(acme, ann) == {"decision_maker", "primary_contact"}
    assert await crm.labels_of(ann, acme) == {"decides_at", "contact_of"}
    assert await crm.labels_of(acme, bob) == set()
    assert await changes(crm, done) == [{"record": acme, "associated": ann, "label": "decision_maker"}]


async def test_a_label_is_removed_from_both_sides(crm: Flows) -> None:
    acme, ann, bob = await contact_persons(crm)
    [done] = await run(crm, "companies", remove_labels("contacts", "primary_contact"), on=[acme])
    assert await crm.labels_of(acme, ann) == set()
    assert await crm.labels_of(ann, acme) == set()
    assert await changes(crm, done) == [
        {"record": acme, "associated": ann, "label": "primary_contact", "removed": True}
    ]
    assert await crm.labels_of(acme, bob) == set()
    await laws(crm)


async def test_a_label_is_removed_from_the_other_side_too_when_the_contact_is_enrolled(crm: Flows) -> None:
    acme, ann, _ = await contact_persons(crm)
    await run(crm, "contacts", remove_labels("companies", "contact_of"), on=[ann])
    assert (await crm.labels_of(acme, ann), await crm.labels_of(ann, acme)) == (set(), set())


async def test_a_label_is_removed_with_the_association(crm: Flows) -> None:
    acme, ann, bob = await contact_persons(crm)
    action = remove_labels("contacts", "primary_contact", withAssociation=True)
    [done] = await run(crm, "companies", action, on=[acme])
    assert (await crm.labels_of(acme, ann), await crm.labels_of(ann, acme)) == (None, None)
    assert await crm.labels_of(acme, bob) == set()
    assert await changes(crm, done) == [
        {"record": acme, "associated": ann, "association": "REMOVED", "labels": ["primary_contact"]}
    ]
    await laws(crm)


async def test_every_association_with_a_type_is_removed_or_those_without_a_label(crm: Flows) -> None:
    acme, ann, bob = await contact_persons(crm)
    await run(crm, "companies", remove_labels("contacts", withAssociation=True), on=[acme])
    assert (await labels(crm, acme, ann), await crm.labels_of(acme, bob)) == ({"primary_contact"}, None)
    await crm.associate((acme, bob), first_primary=False)
    every = {"removeLabels": {"to": "contacts", "withAssociation": True}}
    await run(crm, "companies", every, on=[acme])
    assert (await crm.labels_of(acme, ann), await crm.labels_of(acme, bob)) == (None, None)
    await laws(crm)


async def test_a_deal_moved_to_another_stage_moves_its_associated_deals(crm: Flows) -> None:
    await crm.label(
        "deals",
        "deals",
        "Follow-up deal",
        inverse_label="Follows",
        name="follow_up",
        inverse_name="follows",
    )
    parent, child, other = await crm.create("deals", {"name": "A"}, {"name": "B"}, {"name": "C"})
    await crm.associate((parent, child, "follow_up"), (parent, other))
    stage = (await crm.db.catalogue(crm.account)).by_name["deals"].properties["stage"]
    won = stage.options[-1]["value"]
    flow = await crm.make(
        "deals",
        equals("stage", won),
        set_property("stage", won, of={"to": "deals", "labels": ["follow_up"]}),
    )
    await crm.set(parent, stage=won)
    await crm.work()
    assert await crm.value(child, "stage") == won
    assert await crm.value(other, "stage") is None
    # And the one that was moved is enrolled itself: what workflows change counts like anything else.
    assert await crm.who(flow) == [parent, child]
    assert (await changes(crm, (await crm.enrolled(flow))[0]))[0] == {
        "record": child,
        "property": "stage",
        "old": None,
        "new": won,
    }


async def test_a_value_is_copied_from_the_most_recently_updated_associated_company(crm: Flows) -> None:
    acme, best = await crm.create("companies", {"city": "Boston"}, {"city": "Paris"})
    ann, eve = await crm.create("contacts", {}, {})
    await crm.associate((ann, best), (ann, acme))
    await crm.set(acme, city="London")
    first, second = await run(
        crm, "contacts", copy("city", "country", source={"to": "companies"}), on=[ann, eve]
    )
    assert await crm.value(ann, "country") == "London"
    assert await changes(crm, first) == [{"record": ann, "property": "country", "old": None, "new": "London"}]
    # Without a company there is nothing to copy.
    assert [line.outcome for line in await lines(crm, second)] == ["UNCHANGED"]


async def test_a_value_is_copied_from_the_associated_company_with_a_label(crm: Flows) -> None:
    await crm.label("contacts", "companies", "Billed by", name="billed_by", inverse_name="bills")
    acme, best = await crm.create("companies", {"city": "Boston"}, {"city": "Paris"})
    ann = await crm.one("contacts")
    await crm.associate((ann, acme, "billed_by"), (ann, best))
    await crm.set(best, country="France")
    source = {"to": "companies", "labels": ["billed_by"]}
    await run(crm, "contacts", copy("city", "city", source=source), on=[ann])
    assert await crm.value(ann, "city") == "Boston"


async def test_a_value_is_copied_to_all_associated_contacts(crm: Flows) -> None:
    acme = await crm.one("companies", city="Boston")
    ann, bob, stranger = await crm.create("contacts", {}, {"city": "Boston"}, {})
    await crm.associate((acme, ann), (acme, bob))
    [done] = await run(crm, "companies", copy("city", "city", target={"to": "contacts"}), on=[acme])
    assert [await crm.value(one, "city") for one in (ann, bob, stranger)] == ["Boston", "Boston", None]
    assert await changes(crm, done) == [{"record": ann, "property": "city", "old": None, "new": "Boston"}]
