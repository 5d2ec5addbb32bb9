"""Where reading goes on: cursors, pages and filters of lists."""

from dataclasses import dataclass
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs, urlencode, urlsplit

import orjson

from engine.sync.connectors.answers import Answer
from engine.sync.connectors.protocol import CursorLost, Phase

# What was committed so much later than it was stamped is told all the same.
OVERLAP = timedelta(seconds=3)
_BACK = int(OVERLAP.total_seconds() * 1000)
# What a loose comparison takes literally, on all backends: the rest matches anything.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@ ")
_ENOUGH = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a list. `since`: everything up to this time is known; None: nothing is yet.

    `token`: the next page of a pass that began at `start` and has met the time `top`.
    """

    phase: Phase
    since: int | None = None
    # All that was stamped up to `since` is there by now.
    settled: bool = False
    start: int | None = None
    top: int = 0
    token: str | None = None

    def query(self) -> dict[str, str]:
        """What is asked for."""
        query = {}
        if self.phase is Phase.CHANGES and self.begin() is not None:
            query["_since"] = f'"{self.begin()}"'
        if self.token is not None:
            query["_token"] = self.token
        return query

    def begin(self) -> int | None:
        """Where the pass began."""
        if self.start is not None or self.since is None:
            return self.start
        return self.since if self.settled else max(self.since - _BACK, 0)


def place(phase: Phase, cursor: str | None) -> Place:
    """A cursor as a place. Raises CursorLost."""
    if cursor is None:
        return Place(phase)
    try:
        told = orjson.loads(cursor)
        found = Place(
            phase,
            _number(told["since"]),
            told.get("settled") is True,
            _number(told.get("start")),
            _number(told.get("top")) or 0,
            told.get("token"),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise lost() from None
    if found.since is None or not isinstance(found.token, str | None):
        raise lost()
    return found


def after(here: Place, answer: Answer) -> tuple[str, bool]:
    """The cursor that follows a page, and whether there is more now."""
    reached = _number(answer.headers.get("ETag", "").strip('W/"')) or 0
    since = reached if here.since is None else here.since
    if here.phase is Phase.CHANGES and reached < since:
        # The collection is another one by now, or it was set back.
        raise lost()
    top = max([here.top, *(int(record["last_modified"]) for record in answer.document()["data"])])
    following = token(answer)
    if following is not None:
        told = {
            "since": since,
            "settled": here.settled,
            "start": here.begin(),
            "top": top,
            "token": following,
        }
        return orjson.dumps(told).decode(), True
    if here.phase is Phase.CHANGES:
        since = max(since, top)
    return orjson.dumps({"since": since, "settled": _settled(since, answer)}).decode(), False


def token(answer: Answer) -> str | None:
    """What leads to the next page. The rest of that address is as the server sees itself: we know better."""
    following = answer.headers.get("Next-Page")
    return parse_qs(urlsplit(following).query).get("_token", [None])[0] if following else None


def like(field: str, value: str) -> str:
    """A filter that finds a text in any case, and perhaps some others."""
    pattern = "".join(each if each in _PLAIN else "*" for each in value.strip())
    if len(pattern.replace("*", "")) < _ENOUGH:
        return equal(field, value)
    return urlencode({f"has_{field}": "true", f"like_{field}": f'"{pattern}"'})


def equal(field: str, value: str) -> str:
    """A filter that finds exactly a text."""
    return urlencode({f"eq_{field}": orjson.dumps(value.strip()).decode()})


def lost() -> CursorLost:
    """Nobody knows this cursor."""
    return CursorLost("The cursor is none of this collection, or the collection has forgotten it.")


def _settled(since: int, answer: Answer) -> bool:
    """Whether nothing can be stamped up to `since` any more, by the server's own clock."""
    try:
        date = parsedate_to_datetime(answer.headers.get("Date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return False
    known = date if date.tzinfo else date.replace(tzinfo=UTC)
    return known.timestamp() * 1000 > since + _BACK


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int | str) and value != "" else None
