"""The demo's automation: workflows that are on, an event type and a webhook event of its own, and events that occurred.

Between them they show a trigger on a neighbour, an event and a webhook as triggers, re-enrollment, suppression by what
is associated, a goal, branches, a wait with a time-out, labels, values of associated records, and a task.
"""

import random
from collections.abc import Sequence
from typing import Any

import orjson

from engine import events, ids
from engine.batches import Mode
from engine.demo.words import PRODUCTS
from engine.events import EventInput
from engine.events.types import EventProperty
from engine.events.types import create as create_event_type
from engine.properties import Option
from engine.standard.shapes import value
from engine.webhooks import definitions, receiving
from engine.webhooks.definitions import Mapped, Match
from engine.webhooks.receiving import Posted
from engine.workflows import commands
from storage.database import Transaction

DEMO_REQUESTS, PAYMENTS = 60, 3
EVENT, WEBHOOK = "demo_requested", "invoice_paid"

# The one that the README watches.
DECIDERS = "Decision makers at software companies are opportunities"
WON, REQUESTED, PAID = (
    "Won deals make references",
    "Whoever asks for a demo is called",
    "Who pays is a customer",
)


def leaf(name: str, *values: str) -> dict[str, Any]:
    """The filter: a property is one of these."""
    return {"property": {"name": name, "operator": "ANY_OF", "values": list(values)}}


def deciders() -> dict[str, Any]:
    """Enrolls people for what their companies are, under one label alone."""
    software = {"to": "companies", "labels": ["decision_maker"], "where": leaf("industry", "software")}
    return {
        "triggers": [{"filterMet": {"where": {"associated": software}}}],
        "actions": [{"setProperty": {"property": "lifecyclestage", "value": "opportunity"}}],
    }


def won() -> dict[str, Any]:
    """Enrolls deals, changes labels and people; a deal that is won anew enters again."""
    champions = {"to": "contacts", "labels": ["champion"]}
    large = {"property": {"name": "amount", "operator": "GREATER_THAN", "value": 25_000}}
    return {
        "triggers": [{"filterMet": {"where": leaf("stage", "closed_won")}}],
        "reenrollmentTriggers": [{"propertyChanged": {"property": "stage", "values": ["closed_won"]}}],
        "actions": [
            {"updateLabels": {"to": "contacts", "label": "champion", "newLabel": "reference"}},
            {
                "branch": {
                    "branches": [
                        {
                            "name": "Large",
                            "where": large,
                            "actions": [
                                {"createTask": {"title": "Thank the champion of {{ name }}"}},
                                {"incrementProperty": {"property": "score", "by": 20, "of": champions}},
                            ],
                        }
                    ],
                    "otherwise": [{"incrementProperty": {"property": "score", "by": 5, "of": champions}}],
                }
            },
        ],
    }


def requested() -> dict[str, Any]:
    """Enrolls whom an event occurs to, at each occurrence, but for vendors' people; waits for a call."""
    trigger = {"eventOccurred": {"type": EVENT}}
    vendors = {"associated": {"to": "companies", "labels": ["primary"], "where": leaf("type", "vendor")}}
    connected = {"propertyChanged": {"property": "leadstatus", "values": ["connected"]}}
    reminder = {
        "createTask": {"title": "{{ firstname }} still waits for a call", "due": {"value": 1, "unit": "DAY"}}
    }
    wait = {"event": connected, "timeout": {"value": 3, "unit": "DAY"}, "timedOut": [reminder]}
    return {
        "triggers": [trigger],
        "reenrollmentTriggers": [trigger],
        "suppressWhen": vendors,
        "goal": leaf("lifecyclestage", "customer"),
        "actions": [
            {"setProperty": {"property": "leadstatus", "value": "open"}},
            {"incrementProperty": {"property": "score", "by": 10}},
            {"delay": {"untilEvent": wait}},
            {"setProperty": {"property": "lifecyclestage", "value": "sales_qualified_lead"}},
        ],
    }


def paid(webhook_id: int) -> dict[str, Any]:
    """Enrolls whom a webhook names, each time; their companies are told."""
    trigger = {"webhookReceived": {"webhook": ids.encode("webhook", webhook_id)}}
    firm = {"to": "companies", "labels": ["primary"]}
    return {
        "triggers": [trigger],
        "reenrollmentTriggers": [trigger],
        "actions": [
            {"setProperty": {"property": "lifecyclestage", "value": "customer"}},
            {"setProperty": {"property": "type", "value": "customer", "of": firm}},
        ],
    }


async def define(tx: Transaction) -> str:
    """Make all of it, and turn it on; the secret of the webhook's address."""
    offered = [Option(value=value(name), label=name) for name in PRODUCTS]
    asked = [EventProperty("product", "ENUMERATION", options=offered), EventProperty("seats", "NUMBER")]
    await create_event_type(tx, name=EVENT, label="Demo requested", object_type="contacts", properties=asked)
    hook = await definitions.create(
        tx,
        name=WEBHOOK,
        label="Invoice paid",
        object_type="contacts",
        match=Match("customer.email", "email"),
        mapping=[Mapped("invoice.total", EventProperty("total", "NUMBER"))],
    )
    await turn_on(tx, DECIDERS, "contacts", deciders(), existing=True)
    await turn_on(tx, WON, "deals", won(), existing=True)
    await turn_on(tx, REQUESTED, "contacts", requested())
    await turn_on(tx, PAID, "contacts", paid(hook.row.id))
    return hook.row.secret


async def turn_on(
    tx: Transaction, name: str, object_type: str, definition: dict[str, Any], *, existing: bool = False
) -> None:
    """Make a workflow, publish it, and turn it on; `existing`: for those that meet its triggers already, too."""
    made = await commands.create(tx, name, object_type, definition)
    published = await commands.publish(tx, made.id, made.draft_version)
    await commands.set_enabled(tx, published.id, True, enroll_existing=existing)


async def occur(
    tx: Transaction, contacts: Sequence[tuple[int, str]], secret: str, chance: random.Random
) -> None:
    """Let people (id, address) ask for demos and pay; somebody whom nobody knows pays, too."""
    asking = chance.sample(contacts, DEMO_REQUESTS)
    requests = [
        EventInput(EVENT, one, {"product": value(chance.choice(PRODUCTS)), "seats": chance.randrange(3, 200)})
        for one, _ in asking
    ]
    await events.record(tx, requests, Mode.ATOMIC)
    payers = [address for _, address in chance.sample(contacts, PAYMENTS)]
    for address in (*payers, "stranger@nowhere.example"):
        body = {"customer": {"email": address}, "invoice": {"total": chance.randrange(1, 90) * 100}}
        await receiving.receive(tx, secret, Posted(orjson.dumps(body)))
