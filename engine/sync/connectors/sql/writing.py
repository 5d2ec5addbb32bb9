"""Ops on a table in one transaction: rows held and compared first, then written many at once, then read again.

Where a statement for many fails, each of them is done for itself behind a savepoint, so that one poor row spoils no
other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from engine.sync.connectors.protocol import (
    ConnectorError,
    Create,
    Delete,
    Exists,
    Gone,
    Item,
    Links,
    Op,
    Outcome,
    Retry,
    Stale,
    Update,
    Written,
)
from engine.sync.connectors.sql import many
from engine.sync.connectors.sql.entering import end, names_of, values_of
from engine.sync.connectors.sql.faults import fault
from engine.sync.connectors.sql.reading import having, having_keys, held, is_one_of, some
from engine.sync.connectors.sql.tables import Bound, Join, compared, composite


@dataclass(slots=True)
class _Task:
    """One op on its way. `values`: what is to be written, by column. `id`: of the row, once it is known."""

    op: Op
    values: dict[str, Any] = field(default_factory=dict)
    id: str | None = None
    outcome: Outcome | None = None
    # What stands in the columns of the primary key, where that was asked for.
    key: tuple[Any, ...] | None = None
    # It stood there before: nothing is to be written.
    found: bool = False


def write(connection: sa.Connection, bound: Bound, ops: Sequence[Op]) -> list[Outcome]:
    """Do each op, or say why not, in the order asked. The caller commits."""
    tasks = [_Task(op) for op in ops]
    _prepare(connection, bound, tasks)
    _in_groups(connection, bound, _of(tasks, Delete), _delete)
    _in_groups(connection, bound, _of(tasks, Update), _update)
    _in_groups(connection, bound, _of(tasks, Create), _create)
    for task in [task for task in tasks if task.outcome is None and bound.joins]:
        _alone(connection, bound, task, _associate)
    keys = [task.key or bound.key_of(task.id) for task in tasks if task.id is not None]
    now = having_keys(connection, bound, list({key: None for key in keys if key is not None}))
    return [task.outcome or _written(task, now) for task in tasks]


def _of(tasks: Iterable[_Task], kind: type[Op]) -> list[_Task]:
    return [task for task in tasks if isinstance(task.op, kind) and task.outcome is None and not task.found]


def _written(task: _Task, now: dict[str, Item]) -> Outcome:
    assert task.id is not None
    item = now.get(task.id)
    if item is None or isinstance(task.op, Delete):
        return Written(task.id)
    return Written(task.id, item.version, item.fields, item.modified_at)


# --- before anything is written ----------------------------------------------------------------------------------


def _prepare(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task]) -> None:
    """Hold the rows, and see which ops cannot be done."""
    for task in tasks:
        if not isinstance(task.op, Create):
            task.key = bound.key_of(task.op.external_id)
    versions = held(connection, bound, list({task.key: None for task in tasks if task.key is not None}))
    seen: set[str] = set()
    names = names_of(bound)
    for task in tasks:
        op = task.op
        if not isinstance(op, Create):
            version = versions.get(op.external_id)
            if version is None:
                task.outcome = Gone(f"There is no row {op.external_id} in {bound.object.name}.")
                continue
            if op.version is not None and op.version != version:
                task.outcome = Stale(f"Row {op.external_id} of {bound.object.name} has changed.")
                continue
            if op.external_id in seen:
                task.outcome = Retry(f"Row {op.external_id} is written by this batch already.")
                continue
            seen.add(op.external_id)
            task.id = op.external_id
        if not isinstance(op, Delete):
            try:
                task.values = values_of(bound, names, op)
            except ConnectorError as error:
                task.outcome = error
    _find_created(connection, bound, _of(tasks, Create))


def _find_created(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task]) -> None:
    """Creations that were done before, told by the keys that we chose then."""
    if not tasks:
        return
    if bound.key is not None:
        keys = {task.values[bound.key.name]: task for task in tasks}
        asked = sa.select(bound.key, *bound.keys).where(bound.key.in_(list(keys)))
        rows = connection.execute(asked).all()
        ids = {row[0]: str(row[1]) if len(bound.keys) == 1 else composite(row[1:]) for row in rows}
        found = {key: ids[key] for key in keys if key in ids}
    elif bound.chooses:
        own = bound.keys[0].name
        chosen = {
            task.op.key: str(bound.chosen(task.op.key)) for task in tasks if isinstance(task.op, Create)
        }
        ours = {key: id_ for key, id_ in chosen.items() if any(str(t.values[own]) == id_ for t in tasks)}
        there = some(connection, bound, list(ours.values()))
        found = {key: id_ for key, id_ in ours.items() if id_ in there}
    else:
        return
    for task in tasks:
        assert isinstance(task.op, Create)
        if (external_id := found.get(task.op.key)) is not None:
            task.id, task.found = external_id, True


# --- writing -----------------------------------------------------------------------------------------------------

_Step = Callable[[sa.Connection, Bound, Sequence[_Task]], None]


def _in_groups(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task], step: _Step) -> None:
    """Those that write the same columns at once; one by one where that fails."""
    groups: dict[tuple[str, ...], list[_Task]] = {}
    for task in tasks:
        groups.setdefault(tuple(sorted(task.values)), []).append(task)
    for group in groups.values():
        if len(group) > 1:
            try:
                with connection.begin_nested():
                    step(connection, bound, group)
                continue
            except exc.DBAPIError as error:
                if fault(error).lost or isinstance(fault(error).error, Retry):
                    raise
            except exc.StatementError:
                pass
        for task in group:
            _alone(connection, bound, task, step)


def _alone(connection: sa.Connection, bound: Bound, task: _Task, step: _Step) -> None:
    try:
        with connection.begin_nested():
            step(connection, bound, [task])
    except exc.SQLAlchemyError as error:
        found = fault(error)
        if found.lost or isinstance(found.error, Retry):
            raise
        task.outcome = found.error
        if isinstance(found.error, Exists):
            task.outcome = _who(connection, bound, task, found.error)


def _create(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task]) -> None:
    rows = [task.values for task in tasks]
    names = [key.name for key in bound.keys]
    stamp = _stamp(bound, connection)
    insert = sa.insert(bound.table).values(stamp)
    given = all(name in tasks[0].values for name in names)
    counted = len(names) == 1 and bound.table.autoincrement_column is bound.keys[0]
    types = {name: bound.table.columns[name].type for name in tasks[0].values}
    source = many.rows(connection, types, rows) if given or counted else None
    if source is not None:
        # In their order, in which the keys are counted, too.
        read = sa.select(*(source.c[name] for name in types), *stamp.values()).order_by(source.c[many.PLACE])
        insert = sa.insert(bound.table).from_select([*types, *stamp], read)
    if given:
        connection.execute(insert, rows if source is None else None)
        ids = [row[names[0]] if len(names) == 1 else composite([row[name] for name in names]) for row in rows]
    elif source is not None:
        ids = sorted(connection.scalars(insert.returning(*bound.keys)))
        if len(ids) != len(tasks):
            raise exc.StatementError("Not every row was made.", None, None, ValueError(len(ids)))
    elif connection.dialect.insert_executemany_returning_sort_by_parameter_order:
        asked = insert.returning(*bound.keys, sort_by_parameter_order=True)
        made = connection.execute(asked, rows).all()
        ids = [row[0] if len(row) == 1 else composite(row) for row in made]
    else:
        ids = []
        for row in rows:
            key = connection.execute(insert, row).inserted_primary_key
            assert key is not None
            ids.append(key[0] if len(key) == 1 else composite(key))
    for task, id_ in zip(tasks, ids, strict=True):
        task.id = str(id_)


def _update(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task]) -> None:
    names, stamp = list(tasks[0].values), _stamp(bound, connection)
    if not names and not (stamp and _touches(tasks)):
        return
    values = {
        name: sa.bindparam(f"v{place}", type_=bound.table.columns[name].type)
        for place, name in enumerate(names)
    }
    if _update_at_once(connection, bound, tasks, stamp):
        return
    asked = sa.update(bound.table).where(*_own(bound)).values({**values, **stamp})
    rows = [
        {**{f"v{place}": task.values[name] for place, name in enumerate(names)}, **_keys(bound, task)}
        for task in tasks
    ]
    connection.execute(asked, rows if len(rows) > 1 else rows[0])


def _update_at_once(
    connection: sa.Connection, bound: Bound, tasks: Sequence[_Task], stamp: Mapping[str, Any]
) -> bool:
    """Write all in one statement, where the database takes them so; whether it does."""
    if len(bound.keys) != 1:
        return False
    (key,) = bound.keys
    names = list(tasks[0].values)
    types = {"k0": compared(key)} | {
        f"v{place}": bound.table.columns[name].type for place, name in enumerate(names)
    }
    given = [
        {**_keys(bound, task), **{f"v{place}": task.values[name] for place, name in enumerate(names)}}
        for task in tasks
    ]
    source = many.rows(connection, types, given)
    if source is None:
        return False
    values = {name: source.c[f"v{place}"] for place, name in enumerate(names)}
    # The keys once more, as a list: few of many rows are found by an index then.
    own = is_one_of(connection, key, [one["k0"] for one in given])
    connection.execute(sa.update(bound.table).where(key == source.c.k0, own).values({**values, **stamp}))
    return True


def _touches(tasks: Sequence[_Task]) -> bool:
    """Whether anything of the rows themselves changes, or of their join tables."""
    return any(
        isinstance(task.op, Update) and (task.op.links.added or task.op.links.removed or task.op.links.all)
        for task in tasks
    )


def _delete(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task]) -> None:
    rows = [_keys(bound, task) for task in tasks]
    if bound.deleted_at is not None:
        marked = {bound.deleted_at.name: _now(connection, bound.deleted_at), **_stamp(bound, connection)}
        connection.execute(sa.update(bound.table).where(*_own(bound)).values(marked), rows)
        return
    for join in bound.joins:
        own = [row["k0"] for row in rows]
        connection.execute(sa.delete(join.table).where(is_one_of(connection, join.own, own)))
    connection.execute(sa.delete(bound.table).where(*_own(bound)), rows)


def _own(bound: Bound) -> list[sa.ColumnElement[bool]]:
    return [key == sa.bindparam(f"k{place}", type_=compared(key)) for place, key in enumerate(bound.keys)]


def _keys(bound: Bound, task: _Task) -> dict[str, Any]:
    key = task.key or bound.key_of(task.id or "")
    assert key is not None
    return {f"k{place}": part for place, part in enumerate(key)}


def _stamp(bound: Bound, connection: sa.Connection) -> dict[str, Any]:
    """The moment of the change, for all who look at it."""
    column = bound.updated_at
    return {} if column is None or column.computed is not None else {column.name: _now(connection, column)}


def _now(connection: sa.Connection, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """The database's clock, as the column keeps moments; without a zone: in UTC, as the session has it."""
    match connection.dialect.name:
        case "sqlite":
            return sa.func.strftime("%Y-%m-%d %H:%M:%f", "now")
        case "postgresql":
            # Not the transaction's beginning: who comes later has a later moment.
            return sa.cast(sa.func.clock_timestamp(), column.type)
    return sa.func.utc_timestamp(6)


# --- join tables -------------------------------------------------------------------------------------------------


def _associate(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task]) -> None:
    """Make the rows of join tables as the op says."""
    (task,) = tasks
    if isinstance(task.op, Delete) or task.found:
        return
    key = bound.key_of(task.id or "")
    assert key is not None
    for join in bound.joins:
        _join(connection, join, key[0], task.op.links)


def _join(connection: sa.Connection, join: Join, own: Any, links: Links) -> None:
    added, removed = links.added.get(join.role, ()), links.removed.get(join.role, ())
    if not added and not removed:
        return
    here = join.own == sa.bindparam(None, own, type_=compared(join.own))
    if gone := [end(join.other, each) for each in removed]:
        connection.execute(sa.delete(join.table).where(here, is_one_of(connection, join.other, gone)))
    if wanted := [end(join.other, each) for each in added]:
        asked = sa.select(join.other).where(here, is_one_of(connection, join.other, wanted))
        there = {str(other) for other in connection.scalars(asked)}
        rows = [
            {join.own.name: own, join.other.name: each}
            for each in dict.fromkeys(wanted)
            if str(each) not in there
        ]
        if rows:
            connection.execute(sa.insert(join.table), rows)


# --- whose value it is -------------------------------------------------------------------------------------------


def _who(connection: sa.Connection, bound: Bound, task: _Task, error: Exists) -> Exists:
    """The row that has a unique value already: looked up, since constraints' messages name it differently."""
    for remote in bound.object.fields:
        value = task.values.get(remote.name)
        if remote.unique and value is not None:
            column = bound.table.columns[remote.name]
            others = [
                item
                for item in having(connection, bound, column, [value], loosely=False)
                if item.external_id != task.id
            ]
            if others:
                message = f'Another row has this value of "{remote.name}" already.'
                return Exists(message, error.category, others[0].external_id)
    return error
