"""Pages of items, by key.

Directus compares integer keys, so that those pages go on behind the last key; others it only sorts, so that those pages
go by position, and begin at the items that the page before ended with: wherever these are by now, nothing between is
missed.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from engine.sync.connectors.answers import Answer
from engine.sync.connectors.directus.shapes import INTEGER, Shape
from engine.sync.connectors.protocol import CursorLost, Phase

# A row is dated before it is committed, and the clock that we go by tells whole seconds.
OVERLAP = timedelta(seconds=5)
# So many items a page must meet again, of which one may be gone.
ANCHORS = 3

Row = dict[str, Any]
Ask = Callable[[Mapping[str, Any]], Awaitable[tuple[list[Row], Answer]]]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a pass. `since`: what was dated before is known; `begun`: the same for the next pass.

    `position` and `last`: how many items this pass has met, and the keys of the last of them.
    """

    since: str | None = None
    begun: str | None = None
    position: int = 0
    last: tuple[str | int, ...] = ()
    # Deletions are read last, by their own numbers.
    gone: int | None = None

    def cursor(self) -> str:
        """The place as a text."""
        return orjson.dumps(
            {
                "since": self.since,
                "begun": self.begun,
                "at": self.position,
                "last": list(self.last),
                "gone": self.gone,
            }
        ).decode()


def place(phase: Phase, cursor: str | None) -> Place:
    """A cursor as a place; after the end of a pass everything begins anew. Raises CursorLost."""
    if cursor is None:
        return Place()
    try:
        told = orjson.loads(cursor)
        since, begun, position, last, gone = (told[name] for name in ("since", "begun", "at", "last", "gone"))
        for text in (since, begun):
            if text is not None:
                datetime.fromisoformat(text)
        found = Place(since, begun, int(position), tuple(last), None if gone is None else int(gone))
    except (ValueError, TypeError, KeyError):
        raise CursorLost("The cursor is none of this app.") from None
    return Place() if phase is Phase.FULL and found.begun is None else found


def moment(answer: Answer) -> str | None:
    """A time before which everything that this answer does not show was there, by the server's clock."""
    try:
        date = parsedate_to_datetime(answer.headers.get("Date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (date.astimezone(UTC) - OVERLAP).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def rows(
    shape: Shape, here: Place, condition: Mapping[str, Any] | None, limit: int, ask: Ask
) -> tuple[list[Row], Place, bool, Answer]:
    """The next rows, at most `limit`, where they end, and whether there are more."""
    if shape.key_type == INTEGER:
        parts = [condition] if condition else []
        parts += [{shape.key: {"_gt": here.last[-1]}}] if here.last else []
        found, answer = await ask({"filter": {"_and": parts}, "sort": [shape.key], "limit": limit + 1})
        return found[:limit], _behind(shape, here, here.position, found[:limit]), len(found) > limit, answer
    start, size = max(here.position - ANCHORS, 0), limit + ANCHORS + 1
    while True:
        query = {"filter": condition or {}, "sort": [shape.key], "offset": start, "limit": size}
        found, answer = await ask(query)
        met = [n for n, row in enumerate(found) if row[shape.key] in here.last]
        if not met and start > 0:
            # Items before were deleted: go back until one is met, at worst to the beginning.
            start = max(start - limit, 0)
            continue
        first = met[-1] + 1 if met else 0
        some = found[first : first + limit]
        more = len(found) == size or len(found) > first + limit
        if not some and more:
            # As many came in before: further on.
            start += size - ANCHORS
            continue
        return some, _behind(shape, here, start + first, some), more, answer


def _behind(shape: Shape, here: Place, start: int, found: list[Row]) -> Place:
    keys = (*here.last, *(row[shape.key] for row in found))
    return Place(here.since, here.begun, start + len(found), keys[-ANCHORS:], here.gone)
