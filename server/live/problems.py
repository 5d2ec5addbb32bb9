"""Why a stream is cut off, told with the cursor behind which to go on."""

from typing import Any

from engine.problems import Problem, Refused
from schema.errors import outside


class SlowConsumer(Problem):
    """You read more slowly than events come, so the stream ends here. Nothing is lost: go on behind "cursor"."""


class GoingAway(Problem):
    """The server is stopping. Connect again, to it or to another one, and go on behind "cursor"."""


class AccessChanged(Problem):
    """What this key may do has changed, so the stream ends here. Subscribe again; go on behind "cursor"."""


def cut(problem: Problem | Refused, cursor: str | None) -> list[dict[str, Any]]:
    """The `errors` that end a stream. `extensions.cursor`: everything up to it was told."""
    entries = outside(problem)
    if cursor is not None:
        for entry in entries:
            entry["extensions"]["cursor"] = cursor
    return entries
