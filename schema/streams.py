"""What all streams of events share: the argument that resumes them, and the reading of their events' details."""

from typing import Annotated, Any

import strawberry

from engine import ids

After = Annotated[
    str | None,
    strawberry.argument(
        description="The cursor of the last event you have: every later one is told, once. Null: from now on."
    ),
]

CURSOR = "Pass it as `after` to go on behind this event."

# What internal numbers in the details of events are numbers of.
NUMBERED = {
    kind: kind
    for kind in (
        "record",
        "enrollment",
        "workflow",
        "segment",
        "event",
        "link",
        "conflict",
        "mapping",
        "plan",
    )
}


def shown(details: dict[str, Any]) -> dict[str, Any]:
    """Details of an event as clients see them: ids for internal numbers."""
    return {name: _shown(name, value) for name, value in details.items()}


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return shown(value)
    if name in NUMBERED and isinstance(value, int) and not isinstance(value, bool):
        return ids.encode(NUMBERED[name], value)
    return value
