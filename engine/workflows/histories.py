"""What the changes in a step's line mean: their kinds, and how they are told. Pure."""

import enum
from collections.abc import Mapping
from typing import Any

from engine import ids


class Kind(enum.StrEnum):
    """What a change did."""

    PROPERTY = "PROPERTY"
    LABEL_ADDED = "LABEL_ADDED"
    LABEL_REMOVED = "LABEL_REMOVED"
    ASSOCIATION_ADDED = "ASSOCIATION_ADDED"
    ASSOCIATION_REMOVED = "ASSOCIATION_REMOVED"
    RECORD_CREATED = "RECORD_CREATED"
    SEGMENT_JOINED = "SEGMENT_JOINED"
    SEGMENT_LEFT = "SEGMENT_LEFT"
    ENROLLED = "ENROLLED"
    UNENROLLED = "UNENROLLED"
    KEPT_OUT = "KEPT_OUT"
    MAIL = "MAIL"
    CALL = "CALL"
    NOT_SENT = "NOT_SENT"
    BRANCH = "BRANCH"
    WAITED = "WAITED"
    REVERSED = "REVERSED"
    OTHER = "OTHER"


def kind_of(change: Mapping[str, Any]) -> Kind:
    """The kind of a change as it is kept."""
    match change:
        case {"undone": _}:
            return Kind.REVERSED
        case {"created": _}:
            return Kind.RECORD_CREATED
        case {"branch": _}:
            return Kind.BRANCH
        case {"waited_for": _}:
            return Kind.WAITED
        case {"notSent": _}:
            return Kind.NOT_SENT
        case {"outbox": _, "kind": kind}:
            return Kind.MAIL if kind == "EMAIL" else Kind.CALL
        case {"segment": _, "change": moved}:
            return Kind.SEGMENT_JOINED if moved == "JOINED" else Kind.SEGMENT_LEFT
        case {"workflow": _, "change": moved}:
            return Kind(moved)
        case {"association": moved}:
            return Kind.ASSOCIATION_ADDED if moved == "ADDED" else Kind.ASSOCIATION_REMOVED
        case {"associated": _, "label": _}:
            return Kind.LABEL_REMOVED if change.get("removed") else Kind.LABEL_ADDED
        case {"property": _, "new": _}:
            return Kind.PROPERTY
        case _:
            return Kind.OTHER


# What the internal numbers in a change are numbers of.
NUMBERED = {
    "record": "record",
    "associated": "record",
    "created": "record",
    "segment": "segment",
    "workflow": "workflow",
    "enrollment": "enrollment",
    "event": "event",
}


def encoded(change: Mapping[str, Any]) -> dict[str, Any]:
    """A change with ids in place of numbers."""
    return {name: _told(name, value) for name, value in change.items()}


def _told(name: str, value: Any) -> Any:
    if name in NUMBERED and isinstance(value, int):
        return ids.encode(NUMBERED[name], value)
    # What a branch has looked at, and what a delay has waited for.
    inside = (name == "seen" and "property" in value) or name in ("waited_for", "event", "undone")
    return encoded(value) if inside and isinstance(value, dict) else value
