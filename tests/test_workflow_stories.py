"""The examples of the manual, word by word, as people meet them: associations, labels, and who enrolls by them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from storage.database import Database
from tests.stories import BY_HAND, Story, leaf, met, telling


@pytest.fixture
async def story(db: Database) -> AsyncIterator[Story]:
    async with telling(db) as found:
        yield found


def decides(**refined: Any) -> dict[str, Any]:
    """The action: who is associated with the enrolled company becomes its decision maker."""
    return {"applyLabel": {"to": "contacts", "label": "decision_maker", **refined}}


async def test_a_contact_and_a_company_are_associated_because_city_and_location_are_boston(
    story: Story,
) -> None:
    await story.define("companies", "location")
    boston, paris, nowhere = await story.create(
        "companies", {"location": "Boston"}, {"location": "Paris"}, {}
    )
    match = {"own": "city", "other": "location"}
    flow = await story.workflow(
        "contacts", met(leaf("city", "KNOWN")), {"createAssociations": {"to": "companies", "match": match}}
    )
    ann, bob, eve = await story.create("contacts", {"city": "Boston"}, {"city": "London"}, {})
    await story.work()
    assert set(await story.labels("contacts", ann, "companies")) == {boston}
    assert set(await story.labels("companies", boston, "contacts")) == {ann}
    for other in (paris, nowhere):
        assert await story.labels("companies", other, "contacts") == {}
    # Who has no city is not enrolled; who has another one finds nobody.
    assert await story.who(flow) == {ann, bob}
    assert await story.labels("contacts", eve, "companies") == {}
    first, second = await story.enrollments(flow)
    assert [one["outcome"] for one in first["steps"] + second["steps"]] == ["DONE", "UNCHANGED"]
    assert first["steps"][0]["changes"][0] == {"record": ann, "associated": boston, "association": "ADDED"}
    assert first["reason"]["kind"] == "CREATED"


async def test_they_are_associated_with_a_label_if_one_is_chosen(story: Story) -> None:
    await story.define("companies", "location")
    await story.label("contacts", "companies", "Local office", "Local customer")
    [boston] = await story.create("companies", {"location": "Boston"})
    match = {"own": "city", "other": "location"}
    action = {"createAssociations": {"to": "companies", "match": match, "label": "local_office"}}
    await story.workflow("contacts", met(leaf("city", "ANY_OF", "Boston")), action)
    [ann] = await story.create("contacts", {"city": "Boston"})
    await story.work()
    assert "Local office" in (await story.labels("contacts", ann, "companies"))[boston]
    assert (await story.labels("companies", boston, "contacts"))[ann] >= {"Local customer"}


async def test_decision_maker_is_applied_only_if_the_contacts_job_title_is_manager(story: Story) -> None:
    await story.label("companies", "contacts", "Decision maker", "Decides at")
    [acme] = await story.create("companies", {"name": "Acme"})
    ann, bob, eve = await story.create("contacts", {"jobtitle": "Manager"}, {"jobtitle": "Clerk"}, {})
    await story.associate((acme, ann), (acme, bob), (acme, eve))
    action = decides(where=leaf("jobtitle", "EQUALS", "Manager"))
    flow = await story.workflow("companies", met(leaf("industry", "ANY_OF", "software")), action)
    await story.update(acme, industry="software")
    await story.work()
    assert await story.labels("companies", acme, "contacts") == {
        ann: {"Decision maker"},
        bob: set(),
        eve: set(),
    }
    assert await story.labels("contacts", ann, "companies") == {acme: {"Decides at"}}
    assert await story.labels("contacts", bob, "companies") == {acme: set()}
    assert await story.changes(flow) == [{"record": acme, "associated": ann, "label": "decision_maker"}]


async def test_decision_maker_is_applied_only_if_the_enrolled_company_has_more_than_five_employees(
    story: Story,
) -> None:
    await story.label("companies", "contacts", "Decision maker", "Decides at")
    big, small, unknown = await story.create(
        "companies", {"numberofemployees": 6}, {"numberofemployees": 5}, {}
    )
    [ann] = await story.create("contacts", {})
    await story.associate((big, ann), (small, ann), (unknown, ann))
    action = decides(ownWhere=leaf("numberofemployees", "GREATER_THAN", 5))
    flow = await story.workflow("companies", BY_HAND, action)
    await story.enroll(flow, big, small, unknown)
    await story.work()
    assert await story.labels("contacts", ann, "companies") == {
        big: {"Decides at"},
        small: set(),
        unknown: set(),
    }
    assert await story.labels("companies", big, "contacts") == {ann: {"Decision maker"}}
    assert await story.changes(flow) == [{"record": big, "associated": ann, "label": "decision_maker"}]


async def test_decision_maker_is_applied_only_if_both_countries_match(story: Story) -> None:
    await story.label("companies", "contacts", "Decision maker", "Decides at")
    acme, stateless = await story.create("companies", {"country": "France"}, {})
    ann, bob, eve = await story.create("contacts", {"country": "France"}, {"country": "Spain"}, {})
    await story.associate(*((firm, one) for firm in (acme, stateless) for one in (ann, bob, eve)))
    flow = await story.workflow("companies", BY_HAND, decides(match={"own": "country", "other": "country"}))
    await story.enroll(flow, acme, stateless)
    await story.work()
    assert await story.labels("companies", acme, "contacts") == {
        ann: {"Decision maker"},
        bob: set(),
        eve: set(),
    }
    # A country that nobody knows is not the same as another one.
    assert await story.labels("companies", stateless, "contacts") == {ann: set(), bob: set(), eve: set()}
    assert await story.labels("contacts", ann, "companies") == {acme: {"Decides at"}, stateless: set()}


async def test_decision_maker_is_applied_to_all_associated_contacts(story: Story) -> None:
    await story.label("companies", "contacts", "Decision maker", "Decides at")
    [acme] = await story.create("companies", {})
    ann, bob, eve = await story.create("contacts", {}, {}, {})
    await story.associate((acme, ann), (acme, bob))
    flow = await story.workflow("companies", BY_HAND, decides())
    await story.enroll(flow, acme)
    await story.work()
    assert await story.labels("companies", acme, "contacts") == {
        ann: {"Decision maker"},
        bob: {"Decision maker"},
    }
    assert await story.labels("contacts", eve, "companies") == {}


async def contact_persons(story: Story) -> tuple[str, str, str]:
    """A company, its primary contact, and a contact without a label."""
    await story.label("companies", "contacts", "Primary contact", "Primary contact of")
    await story.label("companies", "contacts", "Decision maker", "Decides at")
    [acme] = await story.create("companies", {"name": "Acme"})
    ann, bob = await story.create("contacts", {}, {})
    await story.associate((acme, ann, "primary_contact"), (acme, bob))
    return acme, ann, bob


async def carry_out(story: Story, action: dict[str, Any], kind: str, record: str) -> list[dict[str, Any]]:
    """Carry an action out for a record; what it changed."""
    flow = await story.workflow(kind, BY_HAND, action)
    await story.enroll(flow, record)
    await story.work()
    return await story.changes(flow)


async def test_primary_contact_is_replaced_by_decision_maker(story: Story) -> None:
    acme, ann, bob = await contact_persons(story)
    labels = {"label": "primary_contact", "newLabel": "decision_maker", "replace": True}
    changes = await carry_out(story, {"updateLabels": {"to": "contacts", **labels}}, "companies", acme)
    assert await story.labels("companies", acme, "contacts") == {ann: {"Decision maker"}, bob: set()}
    assert await story.labels("contacts", ann, "companies") == {acme: {"Decides at"}}
    assert changes == [
        {"record": acme, "associated": ann, "label": "primary_contact", "removed": True},
        {"record": acme, "associated": ann, "label": "decision_maker"},
    ]


async def test_decision_maker_is_added_to_primary_contact(story: Story) -> None:
    acme, ann, bob = await contact_persons(story)
    labels = {"label": "primary_contact", "newLabel": "decision_maker"}
    changes = await carry_out(story, {"updateLabels": {"to": "contacts", **labels}}, "companies", acme)
    both = {"Primary contact", "Decision maker"}
    assert await story.labels("companies", acme, "contacts") == {ann: both, bob: set()}
    assert await story.labels("contacts", ann, "companies") == {acme: {"Primary contact of", "Decides at"}}
    assert changes == [{"record": acme, "associated": ann, "label": "decision_maker"}]


async def test_a_label_is_removed_from_both_sides_and_the_association_stays(story: Story) -> None:
    acme, ann, bob = await contact_persons(story)
    action = {"removeLabels": {"to": "contacts", "labels": ["primary_contact"]}}
    changes = await carry_out(story, action, "companies", acme)
    assert await story.labels("companies", acme, "contacts") == {ann: set(), bob: set()}
    assert await story.labels("contacts", ann, "companies") == {acme: set()}
    assert changes == [{"record": acme, "associated": ann, "label": "primary_contact", "removed": True}]


async def test_a_label_is_removed_from_both_sides_from_the_contacts_end_too(story: Story) -> None:
    acme, ann, bob = await contact_persons(story)
    action = {"removeLabels": {"to": "companies", "labels": ["primary_contact_of"]}}
    await carry_out(story, action, "contacts", ann)
    assert await story.labels("companies", acme, "contacts") == {ann: set(), bob: set()}
    assert await story.labels("contacts", ann, "companies") == {acme: set()}


async def test_a_label_is_removed_together_with_the_association(story: Story) -> None:
    acme, ann, bob = await contact_persons(story)
    action = {"removeLabels": {"to": "contacts", "labels": ["primary_contact"], "withAssociation": True}}
    changes = await carry_out(story, action, "companies", acme)
    assert await story.labels("companies", acme, "contacts") == {bob: set()}
    assert await story.labels("contacts", ann, "companies") == {}
    [gone] = changes
    assert gone == {
        "record": acme,
        "associated": ann,
        "association": "REMOVED",
        "labels": ["primary_contact"],
    }


async def test_contacts_are_enrolled_because_an_associated_company_with_a_label_is_an_opportunity(
    story: Story,
) -> None:
    await story.label("contacts", "companies", "Decides at", "Decision maker")
    acme, best = await story.create("companies", {"name": "Acme"}, {"name": "Best"})
    ann, bob, eve = await story.create("contacts", {}, {}, {})
    await story.associate((ann, acme, "decides_at"), (bob, acme), (eve, best, "decides_at"))
    where = leaf("lifecyclestage", "ANY_OF", "opportunity")
    flow = await story.workflow(
        "contacts",
        met({"associated": {"to": "companies", "labels": ["decides_at"], "where": where}}),
        {"setProperty": {"property": "leadstatus", "value": "open_deal"}},
    )
    await story.update(acme, lifecyclestage="opportunity")
    await story.update(best, lifecyclestage="customer")
    await story.work()
    assert await story.who(flow) == {ann}
    [one] = await story.enrollments(flow)
    # It was the company that changed, and it is told.
    assert (one["reason"]["kind"], one["reason"]["recordId"], one["status"]) == ("UPDATED", acme, "COMPLETED")
    values = [await story.value("contacts", one, "leadstatus") for one in (ann, bob, eve)]
    assert values == ["open_deal", None, None]
    # The label is as much of a reason as the stage.
    await story.associate((bob, acme, "decides_at"))
    await story.work()
    assert await story.who(flow) == {ann, bob}


async def test_a_deal_moved_to_another_stage_moves_its_associated_deals(story: Story) -> None:
    await story.label("deals", "deals", "Follow-up deal", "Follows")
    parent, child, stranger = await story.create("deals", {"name": "A"}, {"name": "B"}, {"name": "C"})
    await story.associate((parent, child, "follow_up_deal"))
    stage = {"property": "stage", "value": "closed_won", "of": {"to": "deals", "labels": ["follow_up_deal"]}}
    flow = await story.workflow(
        "deals",
        [{"propertyChanged": {"property": "stage", "values": ["closed_won"]}}],
        {"setProperty": stage},
    )
    await story.update(parent, stage="presentation_scheduled")
    await story.work()
    assert await story.who(flow) == set()
    await story.update(parent, stage="closed_won")
    await story.work()
    stages = [await story.value("deals", one, "stage") for one in (parent, child, stranger)]
    assert stages == ["closed_won", "closed_won", None]
    # What workflows change counts like anything else: the deal that was moved is enrolled, too.
    first, second = await story.enrollments(flow)
    assert (first["record"]["id"], second["record"]["id"]) == (parent, child)
    assert (second["reason"]["source"], second["status"]) == ("WORKFLOW", "COMPLETED")
    moved = {"record": child, "property": "stage", "old": None, "new": "closed_won"}
    assert first["steps"][0]["changes"] == [moved]
