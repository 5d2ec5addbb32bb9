"""The examples of the manual, word by word, as people meet them: mails, copied values, and webhooks that enroll."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from storage.database import Database
from tests.outside import mailing
from tests.stories import BY_HAND, Story, leaf, met, telling

DELIVERIES = """query ($id: ID!) { webhookEvent(id: $id) { deliveries { nodes {
    outcome payload error record { id } event { properties } } } } }"""


@pytest.fixture
async def story(db: Database) -> AsyncIterator[Story]:
    async with telling(db) as found:
        yield found


async def test_associated_contacts_get_a_mail_by_their_labels(story: Story) -> None:
    await story.label("companies", "contacts", "Decision maker", "Decides at")
    await story.label("companies", "contacts", "Billing contact", "Billing contact of")
    ann, bob, eve, mute, left = await story.create(
        "contacts",
        {"email": "ann@acme.example", "firstname": "Ann"},
        {"email": "bob@acme.example"},
        {"email": "eve@acme.example"},
        {},
        {"email": "left@acme.example", "unsubscribed": True},
    )
    [acme] = await story.create("companies", {"name": "Acme"})
    label = "decision_maker"
    await story.associate((acme, ann, label), (acme, eve, "billing_contact"), (acme, bob))
    await story.associate((acme, mute, label), (acme, left, label))
    mail = {
        "subject": "{{ name }} is a customer",
        "text": "Welcome, {{ name }}.",
        "html": "<b>{{ name }}</b>",
    }
    whom = {"to": "contacts", "labels": [label, "billing_contact"]}
    flow = await story.workflow(
        "companies",
        met(leaf("lifecyclestage", "ANY_OF", "customer")),
        {"sendEmail": {**mail, "toAssociated": whom}},
        {"setProperty": {"property": "description", "value": "welcomed"}},
    )
    await story.update(acme, lifecyclestage="customer")
    await story.work()
    # It waits until the mails have gone.
    assert await story.value("companies", acme, "description") is None
    async with mailing() as box:
        await story.send(box)
    assert {mail["To"]: mail["Subject"] for mail in box.mails} == {
        "ann@acme.example": "Acme is a customer",
        "eve@acme.example": "Acme is a customer",
    }
    await story.work()
    assert await story.value("companies", acme, "description") == "welcomed"
    [one] = await story.enrollments(flow)
    told = {change["record"]: change for change in one["steps"][0]["changes"]}
    assert set(told) == {ann, eve, mute, left}
    assert told[left]["notSent"] == "UNSUBSCRIBED"
    assert "notSent" in told[mute]
    assert [told[one].get("notSent") for one in (ann, eve)] == [None, None]


async def test_all_associated_contacts_get_a_mail_or_the_enrolled_one_alone(story: Story) -> None:
    ann, bob = await story.create("contacts", {"email": "ann@acme.example"}, {"email": "bob@acme.example"})
    [acme] = await story.create("companies", {"name": "Acme"})
    await story.associate((acme, ann), (acme, bob))
    mail = {"subject": "Hello", "text": "From {{ companies.name | default('us') }}"}
    everybody = {"sendEmail": {"subject": "Hello", "text": "All of you", "toAssociated": {"to": "contacts"}}}
    firms = await story.workflow("companies", BY_HAND, everybody)
    people = await story.workflow("contacts", BY_HAND, {"sendEmail": mail})
    await story.enroll(firms, acme)
    await story.enroll(people, bob)
    await story.work()
    async with mailing() as box:
        await story.send(box)
    sent = sorted((str(mail["To"]), mail.get_content().strip()) for mail in box.mails)
    assert sent == [
        ("ann@acme.example", "All of you"),
        ("bob@acme.example", "All of you"),
        ("bob@acme.example", "From Acme"),
    ]


async def test_a_value_is_copied_from_the_most_recently_updated_associated_company(story: Story) -> None:
    acme, best = await story.create("companies", {"city": "Boston"}, {"city": "Paris"})
    ann, eve = await story.create("contacts", {}, {})
    await story.associate((ann, acme), (ann, best))
    await story.update(acme, name="Acme again")
    copy = {
        "property": "city",
        "into": "city",
        "source": {"to": "companies", "pick": "MOST_RECENTLY_UPDATED"},
    }
    flow = await story.workflow("contacts", BY_HAND, {"copyProperty": copy})
    await story.enroll(flow, ann, eve)
    await story.work()
    assert await story.value("contacts", ann, "city") == "Boston"
    # Without a company there is nothing to copy.
    assert await story.value("contacts", eve, "city") is None
    assert await story.changes(flow) == [{"record": ann, "property": "city", "old": None, "new": "Boston"}]


async def test_a_value_is_copied_from_the_associated_company_with_a_label(story: Story) -> None:
    await story.label("contacts", "companies", "Billed by", "Bills")
    acme, best = await story.create("companies", {"city": "Boston"}, {"city": "Paris"})
    [ann] = await story.create("contacts", {})
    await story.associate((ann, acme, "billed_by"), (ann, best))
    await story.update(best, name="Best again")
    copy = {"property": "city", "into": "city", "source": {"to": "companies", "labels": ["billed_by"]}}
    flow = await story.workflow("contacts", BY_HAND, {"copyProperty": copy})
    await story.enroll(flow, ann)
    await story.work()
    assert await story.value("contacts", ann, "city") == "Boston"


async def test_a_value_is_copied_from_a_deal_to_all_its_contacts_with_a_label(story: Story) -> None:
    await story.label("deals", "contacts", "Champion", "Champion of")
    [deal] = await story.create("deals", {"name": "Big one"})
    ann, bob = await story.create("contacts", {}, {})
    await story.associate((deal, ann, "champion"), (deal, bob))
    copy = {"property": "name", "into": "jobtitle", "target": {"to": "contacts", "labels": ["champion"]}}
    flow = await story.workflow("deals", BY_HAND, {"copyProperty": copy})
    await story.enroll(flow, deal)
    await story.work()
    assert [await story.value("contacts", one, "jobtitle") for one in (ann, bob)] == ["Big one", None]


async def webhook(story: Story) -> dict[str, Any]:
    """The address to which invoices are posted when they are paid."""
    made = await story.done(
        "createWebhookEvent",
        "webhookEvent { id url }",
        name="invoice_paid",
        label="Invoice paid",
        objectType="contacts",
        match={"path": "customer.number", "property": "customer_number"},
        mapping=[{"path": "invoice.total", "property": {"name": "total", "type": "NUMBER"}}],
    )
    found: dict[str, Any] = made["webhookEvent"]
    return found


async def post(story: Story, hook: dict[str, Any], customer: str, total: float) -> httpx.Response:
    """What the other system does: it has no key, it knows the address."""
    body = {"customer": {"number": customer}, "invoice": {"total": total}}
    return await story.client.http.post(hook["url"], json=body)


async def test_a_webhook_enrolls_by_a_unique_property(story: Story) -> None:
    await story.define("contacts", "customer_number", unique=True)
    hook = await webhook(story)
    large = {"webhook": hook["id"], "where": leaf("total", "GREATER_THAN", 1000)}
    flow = await story.workflow(
        "contacts",
        [{"webhookReceived": large}],
        {"setProperty": {"property": "lifecyclestage", "value": "customer"}},
        settings={"reenrollmentTriggers": [{"webhookReceived": large}]},
    )
    ann, bob = await story.create("contacts", {"customer_number": "C-1"}, {"customer_number": "C-2"})
    answers = [await post(story, hook, *one) for one in (("C-1", 1200), ("C-2", 999))]
    assert [(one.status_code, one.json()["outcome"]) for one in answers] == [(200, "TRIGGERED")] * 2
    await story.work()
    assert await story.who(flow) == {ann}
    assert await story.value("contacts", ann, "lifecyclestage") == "customer"
    assert await story.value("contacts", bob, "lifecyclestage") is None
    [one] = await story.enrollments(flow)
    assert (one["status"], one["reason"]["kind"]) == ("COMPLETED", "OCCURRED")
    # The next large invoice enrolls her again.
    await post(story, hook, "C-1", 2000)
    await story.work()
    assert [one["record"]["id"] for one in await story.enrollments(flow)] == [ann, ann]


async def test_a_webhook_that_matches_nothing_is_kept_and_enrolls_nobody(story: Story) -> None:
    await story.define("contacts", "customer_number", unique=True)
    hook = await webhook(story)
    flow = await story.workflow(
        "contacts",
        [{"webhookReceived": {"webhook": hook["id"]}}],
        {"setProperty": {"property": "lifecyclestage", "value": "customer"}},
    )
    [ann] = await story.create("contacts", {"customer_number": "C-1"})
    answer = await post(story, hook, "C-9", 1200)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "UNMATCHED")
    await story.work()
    assert await story.enrollments(flow) == []
    assert await story.value("contacts", ann, "lifecyclestage") is None
    found = await story.client.get(DELIVERIES, id=hook["id"])
    [kept] = found["webhookEvent"]["deliveries"]["nodes"]
    assert (kept["outcome"], kept["record"], kept["event"]) == ("UNMATCHED", None, None)
    assert kept["payload"]["customer"] == {"number": "C-9"}
    assert kept["error"]["code"] == "RECORD_UNMATCHED"
    # Not even a record that would have matched, and is made later.
    await story.create("contacts", {"customer_number": "C-9"})
    await story.work()
    assert await story.enrollments(flow) == []
