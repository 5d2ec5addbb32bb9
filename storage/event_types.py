"""Event types: those that every account has, by code, and those of its own, which are rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from storage.property_rows import PropertyRow
from storage.statements import Statement

if TYPE_CHECKING:
    from storage.database import Transaction

# The first release that knew events by code: when the types of every account were made, as far as anybody asks.
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EventTypeRow:
    """A kind of event. `properties` are what an event of it can hold, archived ones included, in display order.

    They are properties as records have them, but for ids (0): events are found by record, type and time.
    `object_type_id` None: it can occur to any record. `webhook_id`: only this webhook records it.
    """

    id: int
    name: str
    label: str
    object_type_id: int | None
    properties: dict[str, PropertyRow]
    built_in: bool = False
    archived_at: datetime | None = None
    webhook_id: int | None = None
    description: str | None = None
    created_at: datetime = SINCE
    created_by: int | None = None

    def live(self, name: str) -> PropertyRow | None:
        """The property `name`, unless there is none or it is archived."""
        found = self.properties.get(name)
        return found if found is not None and found.archived_at is None else None


# Field hints of values, by type.
_FIELDS = {
    "STRING": "SINGLE_LINE_TEXT",
    "PHONE": "PHONE",
    "NUMBER": "NUMBER",
    "BOOLEAN": "CHECKBOX",
    "DATE": "DATE",
    "DATETIME": "DATETIME",
    "ENUMERATION": "SELECT",
    "JSON": "JSON",
}


def property_row(
    name: str,
    label: str,
    type: str,
    *,
    multiple: bool = False,
    options: tuple[dict[str, Any], ...] = (),
    created_at: datetime = SINCE,
    archived_at: datetime | None = None,
) -> PropertyRow:
    """A property of events."""
    return PropertyRow(
        0, 0, name, label, "event", None, type, "CHECKBOXES" if multiple else _FIELDS[type], multiple,
        False, False, False, False, False, options, created_at, archived_at,
    )  # fmt: skip


def from_json(found: Mapping[str, Any]) -> EventTypeRow:
    """A row of the table as the catalogue reads it."""
    created_at = datetime.fromisoformat(found["created_at"])
    archived_at = found["archived_at"]
    properties = [
        property_row(
            one["name"],
            one["label"],
            one["type"],
            multiple=one["multiple"],
            options=tuple(one["options"]),
            created_at=created_at,
            # When it was put away is not kept: only that it was.
            archived_at=created_at if one.get("archived") else None,
        )
        for one in found["properties"]
    ]
    return EventTypeRow(
        found["id"],
        found["name"],
        found["label"],
        found["object_type_id"],
        {prop.name: prop for prop in properties},
        False,
        None if archived_at is None else datetime.fromisoformat(archived_at),
        found["webhook_id"],
        found["description"],
        created_at,
        found["created_by"],
    )


def to_json(row: EventTypeRow) -> list[dict[str, Any]]:
    """The properties as the table keeps them."""
    return [
        {
            "name": prop.name,
            "label": prop.label,
            "type": prop.type,
            "multiple": prop.multiple,
            "options": list(prop.options),
            **({"archived": True} if prop.archived_at is not None else {}),
        }
        for prop in row.properties.values()
    ]


INSERT = Statement(
    "event_types.insert",
    """
    INSERT INTO event_type (account_id, id, name, label, description, object_type_id, properties, webhook_id,
                            created_at, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    """,
)

# Name and object type never change.
UPDATE = Statement(
    "event_types.update",
    """
    UPDATE event_type AS e SET label = $3, description = $4, properties = $5, archived_at = $6
     WHERE e.account_id = $1 AND e.id = $2
    """,
)


async def insert(tx: "Transaction", row: EventTypeRow) -> None:
    """Write a new event type."""
    await tx.execute(
        INSERT,
        row.id,
        row.name,
        row.label,
        row.description,
        row.object_type_id,
        to_json(row),
        row.webhook_id,
        row.created_at,
        row.created_by,
    )


async def update(tx: "Transaction", row: EventTypeRow) -> None:
    """Write what may change of an event type."""
    await tx.execute(UPDATE, row.id, row.label, row.description, to_json(row), row.archived_at)


# --- those that every account has ---------------------------------------------------------------------------

_PAGE = (("url", "URL", "STRING"), ("title", "Title", "STRING"), ("referrer", "Referrer", "STRING"))
_CAMPAIGN = (("campaign", "Campaign", "STRING"), ("utm_source", "UTM source", "STRING"))
_MAIL = (
    ("email_id", "Email", "STRING"),
    ("subject", "Subject", "STRING"),
    ("recipient", "Recipient", "STRING"),
    ("campaign", "Campaign", "STRING"),
)
_CALL_TO_ACTION = (
    ("cta_id", "Call to action", "STRING"),
    ("cta_name", "Name", "STRING"),
    ("page_url", "Page URL", "STRING"),
)

# What makes an e-mail address useless, or a subscriber none; `engine.events.mail` asks for these.
BOUNCES = {"HARD": "For good", "SOFT": "For now"}
SUBSCRIPTIONS = {"SUBSCRIBED": "Subscribed", "UNSUBSCRIBED": "Unsubscribed"}

# Ids stand in rows of events and in what listens: none is ever given to another type.
_BUILT_IN: tuple[tuple[int, str, str, tuple[tuple[Any, ...], ...]], ...] = (
    (
        -1,
        "form_submitted",
        "Form submitted",
        (
            ("form_id", "Form", "STRING"),
            ("form_name", "Form name", "STRING"),
            ("page_url", "Page URL", "STRING"),
            ("fields", "Fields", "JSON"),
        ),
    ),
    (-2, "page_viewed", "Page viewed", (*_PAGE, *_CAMPAIGN, ("seconds", "Seconds on the page", "NUMBER"))),
    (-3, "email_sent", "Email sent", _MAIL),
    (-4, "email_opened", "Email opened", (*_MAIL, ("device", "Device", "STRING"))),
    (-5, "email_clicked", "Email link clicked", (*_MAIL, ("url", "URL", "STRING"))),
    (-6, "email_replied", "Email replied to", (*_MAIL, ("text", "Text", "STRING"))),
    (
        -7,
        "email_bounced",
        "Email bounced",
        (*_MAIL, ("kind", "Kind", "ENUMERATION", BOUNCES), ("reason", "Reason", "STRING")),
    ),
    (
        -8,
        "email_subscription_changed",
        "Email subscription changed",
        (
            ("status", "Status", "ENUMERATION", SUBSCRIPTIONS),
            ("subscription", "Subscription", "STRING"),
            ("reason", "Reason", "STRING"),
        ),
    ),
    (
        -9,
        "privacy_consent_changed",
        "Privacy consent changed",
        (
            (
                "status",
                "Status",
                "ENUMERATION",
                {"GRANTED": "Granted", "WITHDRAWN": "Withdrawn", "EXPIRED": "Expired"},
            ),
            ("purpose", "Purpose", "STRING"),
            ("legal_basis", "Legal basis", "STRING"),
            ("text", "Text", "STRING"),
        ),
    ),
    (
        -10,
        "ad_interaction",
        "Ad interaction",
        (
            (
                "interaction",
                "Interaction",
                "ENUMERATION",
                {"VIEWED": "Viewed", "CLICKED": "Clicked", "LEAD": "Lead form submitted"},
            ),
            ("network", "Network", "STRING"),
            ("ad_id", "Ad", "STRING"),
            ("ad_name", "Ad name", "STRING"),
            *_CAMPAIGN,
            ("cost", "Cost", "NUMBER"),
        ),
    ),
    (-11, "call_to_action_viewed", "Call to action viewed", _CALL_TO_ACTION),
    (-12, "call_to_action_clicked", "Call to action clicked", _CALL_TO_ACTION),
    (
        -13,
        "chat_started",
        "Chat started",
        (
            ("channel", "Channel", "STRING"),
            ("chat_id", "Chat", "STRING"),
            ("agent", "Agent", "STRING"),
            ("page_url", "Page URL", "STRING"),
        ),
    ),
    (-14, "email_delivered", "Email delivered", _MAIL),
)


def _built_in() -> Iterator[EventTypeRow]:
    for number, name, label, told in _BUILT_IN:
        properties = [
            property_row(
                each,
                words,
                type_,
                options=tuple({"value": value, "label": text} for value, text in options[0].items())
                if options
                else (),
            )
            for each, words, type_, *options in told
        ]
        yield EventTypeRow(number, name, label, None, {prop.name: prop for prop in properties}, built_in=True)


# They are there in every account, older ones included, without rows.
BUILT_IN: dict[int, EventTypeRow] = {row.id: row for row in _built_in()}
BUILT_IN_NAMES: dict[str, EventTypeRow] = {row.name: row for row in BUILT_IN.values()}
