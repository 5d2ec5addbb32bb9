"""Reports of the demo, each of which says something about who is associated with whom, and how."""

from typing import Any

from engine.reports import commands
from engine.reports.commands import Chart
from storage.database import Transaction

# Who has none of these is at a company as everybody is, and of no interest here.
ROLES = ("decision_maker", "billing_contact", "former_employer")


def reports() -> list[tuple[str, Chart, dict[str, Any]]]:
    """Name, drawing and definition."""
    won = {"property": {"name": "stage", "operator": "ANY_OF", "values": ["closed_won", "closed_lost"]}}
    return [
        (
            "Contacts by their role, and where they came from",
            Chart.BAR,
            {
                "objectType": "contacts",
                "joins": [{"to": "companies", "labels": list(ROLES), "required": True}],
                "axes": [
                    {"label": {"source": "companies"}},
                    {"property": {"name": "original_source", "top": {"n": 5}}},
                ],
                "order": {"measure": 0, "descending": True},
            },
        ),
        (
            "Who looks for listings, for how long, and where they came from",
            Chart.BAR,
            {
                "objectType": "contacts",
                "joins": [{"to": "listings", "required": True}],
                "axes": [
                    {"label": {"source": "listings"}},
                    {"property": {"name": "original_source", "top": {"n": 5}}},
                ],
            },
        ),
        (
            "Won and lost, month by month",
            Chart.LINE,
            {
                "objectType": "deals",
                "where": won,
                "axes": [
                    {"property": {"name": "closedate", "bucket": "MONTH"}},
                    {"property": {"name": "stage"}},
                ],
                "measures": [{"function": "SUM", "property": "amount"}, {"function": "COUNT"}],
            },
        ),
        (
            "Groups by the revenue of their companies",
            Chart.TABLE,
            {
                "objectType": "companies",
                "joins": [{"to": "companies", "as": "children", "labels": ["child"], "required": True}],
                "axes": [{"property": {"name": "name", "top": {"n": 10, "measure": 1, "others": False}}}],
                "measures": [
                    {"function": "COUNT", "source": "children", "name": "Child companies"},
                    {
                        "function": "SUM",
                        "source": "children",
                        "property": "annualrevenue",
                        "name": "Their yearly revenue",
                    },
                    {"function": "SUM", "property": "annualrevenue", "name": "The parent's own"},
                ],
                "order": {"measure": 1, "descending": True},
            },
        ),
    ]


async def define(tx: Transaction) -> None:
    """Save them."""
    for name, chart, definition in reports():
        await commands.create(tx, name, definition, chart)
