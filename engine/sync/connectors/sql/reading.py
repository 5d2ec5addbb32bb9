"""Pages of a table by keyset: all rows by primary key, changes by (updated at, primary key). No offset, no snapshot.

A transaction may commit a row with an earlier moment than rows that were read already. So a look at changes begins a
while (the overlap) before the latest moment that was seen. So that what stands in that while is not read at every
look, its rows are counted first: as many as before, and none later, is nothing new.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from engine.sync.connectors.protocol import CursorLost, Item, Page, Phase
from engine.sync.connectors.sql import many
from engine.sync.connectors.sql.joining import joined
from engine.sync.connectors.sql.tables import Bound, compared, raw
from engine.sync.connectors.sql.values import instant

# How far a moment may be ahead of the database's own clock and still be believed: time zones, and a margin. What is
# further ahead would hide all that comes before it: it is told whenever something is, and marks nothing.
_AHEAD = dt.timedelta(hours=26)


@dataclass(frozen=True, slots=True)
class _Mark:
    """What was seen of a table's moments. `since`: the latest; `count`: how many rows stand from the overlap on."""

    since: str | None
    count: int


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a pass stands. `at`: the last row's moment (of changes) and key; None: at its beginning.

    `mark`: where the look before this one ended. `ahead`: where the next one begins, once this one is done.
    """

    phase: Phase
    at: tuple[str | None, str] | None
    mark: _Mark | None
    ahead: _Mark | None
    total: int | None = None

    def text(self) -> str:
        """As the runner keeps it."""
        marks = [None if mark is None else [mark.since, mark.count] for mark in (self.mark, self.ahead)]
        return orjson.dumps([self.phase.value, self.at, *marks, self.total]).decode()


def _cursor(text: str) -> _Cursor:
    try:
        phase, at, mark, ahead, total = orjson.loads(text)
        found = [None if each is None else _Mark(*each) for each in (mark, ahead)]
        return _Cursor(Phase(phase), None if at is None else (at[0], at[1]), found[0], found[1], total)
    except (ValueError, TypeError, IndexError):
        raise CursorLost("The cursor is none of this connector's.") from None


def page(
    connection: sa.Connection,
    bound: Bound,
    phase: Phase,
    cursor: str | None,
    limit: int,
    overlap: dt.timedelta,
) -> Page:
    """Some rows behind the cursor."""
    stands = None if cursor is None else _cursor(cursor)
    if stands is not None and stands.phase is not phase:
        raise CursorLost("The cursor is one of another phase.")
    if phase is Phase.FULL:
        return _full(connection, bound, stands, limit, overlap)
    if bound.updated_at is None:
        raise CursorLost("The table has no moments of change any more.")
    return _changes(connection, bound, stands, limit, overlap)


def _full(
    connection: sa.Connection, bound: Bound, stands: _Cursor | None, limit: int, overlap: dt.timedelta
) -> Page:
    there = _there(bound)
    if stands is None:
        # Before the pass begins: whatever changes while it goes on is a change behind this mark.
        ahead = None if bound.updated_at is None else _look(connection, bound, overlap)
        total = connection.scalar(sa.select(sa.func.count()).select_from(bound.table).where(*there))
        stands = _Cursor(Phase.FULL, None, None, ahead, total)
    asked = sa.select(*bound.selected).where(*there)
    if stands.at is not None:
        asked = asked.where(_behind(bound.keys, _key(bound, stands.at[1])))
    rows = connection.execute(asked.order_by(*bound.keys).limit(limit + 1)).all()
    items = _items(connection, bound, rows[:limit])
    if more := len(rows) > limit:
        stands = _Cursor(Phase.FULL, (None, items[-1].external_id), None, stands.ahead, stands.total)
    else:
        # Tables without moments are compared as a whole: the next look is another pass.
        stands = _Cursor(Phase.CHANGES, None, stands.ahead, None)
    following = stands.text() if more or bound.updated_at is not None else None
    return Page(tuple(items), following, more, stands.total)


def _changes(
    connection: sa.Connection, bound: Bound, stands: _Cursor | None, limit: int, overlap: dt.timedelta
) -> Page:
    updated_at = bound.updated_at
    assert updated_at is not None
    stands = stands or _Cursor(Phase.CHANGES, None, None, None)
    mark = stands.mark
    if stands.at is None:
        if mark is not None and _seen(connection, bound, mark, overlap) == mark:
            return Page((), _Cursor(Phase.CHANGES, None, mark, None).text(), more=False)
        stands = _Cursor(Phase.CHANGES, None, mark, _look(connection, bound, overlap))
    asked = sa.select(*bound.selected)
    if stands.at is not None:
        moment = _bind(updated_at, stands.at[0])
        keys = (updated_at, *bound.keys)
        asked = asked.where(_behind(keys, (moment, *_key(bound, stands.at[1]))))
    else:
        asked = asked.where(_since(bound, mark, overlap))
    rows = connection.execute(asked.order_by(updated_at, *bound.keys).limit(limit + 1)).all()
    items = _items(connection, bound, rows[:limit])
    if more := len(rows) > limit:
        place = len(bound.selected) - 1 - (bound.deleted_at is not None)
        at = (str(rows[limit - 1][place]), items[-1].external_id)
        stands = _Cursor(Phase.CHANGES, at, mark, stands.ahead)
    else:
        stands = _Cursor(Phase.CHANGES, None, stands.ahead, None)
    return Page(tuple(items), stands.text(), more)


def _look(connection: sa.Connection, bound: Bound, overlap: dt.timedelta) -> _Mark:
    """The latest moment now, and how many rows stand within the overlap before it.

    Counted after the latest was seen and before anything is read: whoever is counted is read.
    """
    # Found at the end of an index, where there is one.
    column = bound.updated_at
    latest = connection.scalar(sa.select(raw(sa.func.max(column))).where(_believed(connection, bound)))
    since = None if latest is None or instant(str(latest)) is None else str(latest)
    return _Mark(since, _seen(connection, bound, _Mark(since, 0), overlap).count)


def _seen(connection: sa.Connection, bound: Bound, mark: _Mark, overlap: dt.timedelta) -> _Mark:
    """How it looks now behind a mark: where nothing has changed, equal to it."""
    moment = sa.case((_believed(connection, bound), bound.updated_at))
    asked = sa.select(sa.func.count(), raw(sa.func.max(moment)))
    count, latest = connection.execute(asked.where(_since(bound, mark, overlap))).one()
    return _Mark(None if latest is None or instant(str(latest)) is None else str(latest), count)


def _believed(connection: sa.Connection, bound: Bound) -> sa.ColumnElement[bool]:
    """Whether a row's moment can be one."""
    assert bound.updated_at is not None
    now = instant(str(connection.scalar(sa.select(raw(sa.func.current_timestamp())))))
    if now is None:
        return bound.updated_at.is_not(None)
    found: sa.ColumnElement[bool] = bound.updated_at <= _bind(
        bound.updated_at, str((now + _AHEAD).replace(tzinfo=None))
    )
    return found


def _since(bound: Bound, mark: _Mark | None, overlap: dt.timedelta) -> sa.ColumnElement[bool]:
    assert bound.updated_at is not None
    moment = None if mark is None or mark.since is None else instant(mark.since)
    if mark is None or mark.since is None or moment is None:
        return bound.updated_at.is_not(None)
    text = str((moment - overlap).replace(tzinfo=None))
    if "T" in mark.since:
        text = text.replace(" ", "T")
    found: sa.ColumnElement[bool] = bound.updated_at >= _bind(bound.updated_at, text)
    return found


def _bind(column: sa.Column[Any], text: str | None) -> Any:
    """A moment as a parameter: as it stands where the database keeps texts, else as a moment."""
    moment = instant(text or "")
    if moment is None or isinstance(column.type, sa.types.NullType):
        return sa.bindparam(None, text, type_=column.type)
    zoned = bool(getattr(column.type, "timezone", False))
    return sa.bindparam(None, moment if zoned else moment.replace(tzinfo=None), type_=column.type)


def _there(bound: Bound) -> list[sa.ColumnElement[bool]]:
    return [] if bound.deleted_at is None else [bound.deleted_at.is_(None)]


def _key(bound: Bound, external_id: str) -> tuple[Any, ...]:
    key = bound.key_of(external_id)
    if key is None:
        raise CursorLost("The primary key is of another type now.")
    return tuple(
        sa.bindparam(None, part, type_=compared(column)) for column, part in zip(bound.keys, key, strict=True)
    )


def _behind(columns: Sequence[sa.Column[Any]], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Whether a row comes behind another in the order of these columns."""
    found: sa.ColumnElement[bool] = columns[-1] > values[-1]
    if len(columns) == 1:
        return found
    # Spelt out, with the first column on its own: not every planner sees a range in a comparison of rows.
    for column, value in reversed(list(zip(columns[:-1], values[:-1], strict=True))):
        found = sa.or_(column > value, sa.and_(column == value, found))
    return sa.and_(columns[0] >= values[0], found)


# --- some rows ---------------------------------------------------------------------------------------------------


def some(connection: sa.Connection, bound: Bound, external_ids: Sequence[str]) -> dict[str, Item]:
    """The rows with these ids, those that were marked as deleted included."""
    keys = [key for key in map(bound.key_of, dict.fromkeys(external_ids)) if key is not None]
    return having_keys(connection, bound, keys)


def having_keys(connection: sa.Connection, bound: Bound, keys: Sequence[tuple[Any, ...]]) -> dict[str, Item]:
    """The same by the values of their primary keys, each once."""
    found: dict[str, Item] = {}
    for lot in many.lots(keys):
        asked = sa.select(*bound.selected).where(_among(connection, bound, lot))
        for item in _items(connection, bound, connection.execute(asked).all()):
            found[item.external_id] = item
    return found


def held(connection: sa.Connection, bound: Bound, keys: Sequence[tuple[Any, ...]]) -> dict[str, str]:
    """The rows with these keys, each once, are held until the transaction's end: {id: version} of those that stand."""
    found: dict[str, str] = {}
    for lot in many.lots(keys):
        asked = sa.select(*bound.selected).where(_among(connection, bound, lot))
        rows = connection.execute(asked.order_by(*bound.keys).with_for_update()).all()
        found |= bound.versions(rows, joined(connection, bound, rows))
    return found


def having(
    connection: sa.Connection, bound: Bound, column: sa.Column[Any], values: Sequence[Any], *, loosely: bool
) -> list[Item]:
    """The rows with one of these values in a column; `loosely`: without regard to case."""
    found: list[Item] = []
    compares: sa.ColumnElement[Any] = sa.func.lower(column) if loosely else column
    for lot in many.lots(values):
        wanted = many.is_one_of(connection, compares, column.type, lot)
        asked = sa.select(*bound.selected).where(wanted, *_there(bound))
        found += _items(connection, bound, connection.execute(asked.order_by(*bound.keys)).all())
    return found


def holder(
    connection: sa.Connection, bound: Bound, values: Mapping[str, Any], *, but: str | None
) -> tuple[str, str] | None:
    """(field, id) of a row other than `but` that has one of these values, by field, where they are to be unique."""
    for remote in bound.object.fields:
        value = values.get(remote.name)
        if remote.unique and value is not None:
            column = bound.table.columns[remote.name]
            for item in having(connection, bound, column, [value], loosely=False):
                if item.external_id != but:
                    return remote.name, item.external_id
    return None


def _among(
    connection: sa.Connection, bound: Bound, keys: Sequence[tuple[Any, ...]]
) -> sa.ColumnElement[bool]:
    """Whether a row's key is one of these."""
    if len(bound.keys) == 1:
        (column,) = bound.keys
        return many.is_one_of_keys(connection, column, [key[0] for key in keys])
    return sa.or_(
        *(sa.and_(*(c == part for c, part in zip(bound.keys, key, strict=True))) for key in keys), sa.false()
    )


def _items(connection: sa.Connection, bound: Bound, rows: Sequence[Any]) -> list[Item]:
    return bound.items(rows, joined(connection, bound, rows))
