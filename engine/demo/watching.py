"""What a dashboard of the demo has to show besides its workflows: segments, and a workflow that meets a limit."""

from collections.abc import Sequence
from typing import Any

from engine.batches import Mode
from engine.demo.flows import leaf, turn_on
from engine.segments import commands, hand
from storage.database import Transaction

BUDGETS = "Champions of large contracts hold the budget"
BOARD, MEMBERS = "Advisory board", 12


def budgets() -> dict[str, Any]:
    """A deal has one budget holder at most: where there is another one, the enrollment ends with that error."""
    large = {"property": {"name": "amount", "operator": "GREATER_THAN", "value": 25_000}}
    return {
        "triggers": [{"filterMet": {"where": {"and": [leaf("stage", "contract_sent"), large]}}}],
        "actions": [{"updateLabels": {"to": "contacts", "label": "champion", "newLabel": "budget_holder"}}],
    }


def active() -> list[tuple[str, str, dict[str, Any]]]:
    """Active segments: name, object type and filter."""
    decides = {"to": "companies", "labels": ["decision_maker"]}
    closed = {"property": {"name": "stage", "operator": "NONE_OF", "values": ["closed_won", "closed_lost"]}}
    large = {"property": {"name": "amount", "operator": "GREATER_THAN", "value": 20_000}}
    undecided = {"to": "contacts", "labels": ["decision_maker"], "quantifier": "NONE"}
    unanswered = leaf("status", "new", "waiting_on_us")
    return [
        ("Decision makers", "contacts", {"associated": decides}),
        ("Opportunities", "contacts", leaf("lifecyclestage", "opportunity")),
        ("Software companies", "companies", leaf("industry", "software")),
        ("Companies without a decision maker", "companies", {"associated": undecided}),
        ("Large open deals", "deals", {"and": [closed, large]}),
        ("Urgent and unanswered", "tickets", {"and": [leaf("priority", "urgent"), unanswered]}),
    ]


async def define(tx: Transaction, contacts: Sequence[int]) -> None:
    """Make the segments, the last one by hand, and turn the workflow on."""
    for name, object_type, where in active():
        await commands.create(tx, name, object_type, "ACTIVE", where)
    board = await commands.create(tx, BOARD, "contacts", "STATIC", None)
    # Spread over the companies, so that they do not all work at one.
    chosen = contacts[:: max(1, len(contacts) // MEMBERS)][:MEMBERS]
    await hand.add(tx, board.id, chosen, Mode.ATOMIC)
    await turn_on(tx, BUDGETS, "deals", budgets(), existing=True)
