"""Ops on a table in one transaction: rows held and compared first, then written many at once, then read again.

Where a statement for many fails, each of them is done for itself behind a savepoint, so that one poor row spoils no
other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.sql.dml import Insert

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
from engine.sync.connectors.sql import joining, many
from engine.sync.connectors.sql.entering import names_of, values_of
from engine.sync.connectors.sql.faults import Fault, fault
from engine.sync.connectors.sql.reading import having_keys, held, holder, some
from engine.sync.connectors.sql.tables import Bound, compared, id_of


@dataclass(slots=True)
class _Task:
    """One op on its way. `values`: what is to be written, by column. `id`: of the row, once it is known."""

    op: Op
    values: dict[str, Any] = field(default_factory=dict)
    # What is to be written in join tables.
    links: Links = field(default_factory=Links)
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
    for task in _of(tasks, Create, Update):
        if joining.concerned(bound, task.links):
            _alone(connection, bound, task, _associate)
    return _outcomes(connection, bound, tasks)


def _of(tasks: Sequence[_Task], *kinds: type[Op]) -> list[_Task]:
    """Those of these kinds that are still to be done."""
    return [task for task in tasks if isinstance(task.op, kinds) and task.outcome is None and not task.found]


def _outcomes(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task]) -> list[Outcome]:
    """Why not, or what the rows hold now, those included that stood there before."""
    keys = [
        task.key or bound.key_of(task.id)
        for task in tasks
        if task.id is not None and task.outcome is None and not isinstance(task.op, Delete)
    ]
    now = having_keys(connection, bound, [key for key in dict.fromkeys(keys) if key is not None])
    return [task.outcome or _written(task, now) for task in tasks]


def _written(task: _Task, now: Mapping[str, Item]) -> Outcome:
    assert task.id is not None
    if (item := now.get(task.id)) is None:
        return Written(task.id)
    return Written(task.id, item.version, item.fields, item.modified_at)


# --- before anything is written ----------------------------------------------------------------------------------


def _prepare(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task]) -> None:
    """Hold the rows, and see which ops cannot be done."""
    for task in tasks:
        if not isinstance(task.op, Create):
            task.key = bound.key_of(task.op.external_id)
    keys = dict.fromkeys(task.key for task in tasks)
    versions = held(connection, bound, [key for key in keys if key is not None])
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
            task.links = op.links
            try:
                task.values = values_of(bound, names, op)
            except ConnectorError as error:
                task.outcome = error
    _find_created(connection, bound, _of(tasks, Create))


def _find_created(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task]) -> None:
    """Creations that were done before, told by the keys that we chose then."""
    keys = [task.op.key for task in tasks if isinstance(task.op, Create)]
    found: dict[str, str] = {}
    if keys and bound.key is not None:
        asked = sa.select(bound.key, *bound.keys).where(bound.key.in_(keys))
        found = {key: id_of(own) for key, *own in connection.execute(asked)}
    elif bound.chooses:
        # Unless the primary key is a field that was given.
        given = {str(task.values[bound.keys[0].name]) for task in tasks}
        ours = {key: id_ for key in keys if (id_ := str(bound.chosen(key))) in given}
        there = some(connection, bound, list(ours.values()))
        found = {key: id_ for key, id_ in ours.items() if id_ in there}
    for task, key in zip(tasks, keys, strict=True):
        if (external_id := found.get(key)) is not None:
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
            except exc.StatementError as error:
                if _of_no_row(fault(error)):
                    raise
        for task in group:
            _alone(connection, bound, task, step)


def _alone(connection: sa.Connection, bound: Bound, task: _Task, step: _Step) -> None:
    try:
        with connection.begin_nested():
            step(connection, bound, [task])
    except exc.SQLAlchemyError as error:
        found = fault(error)
        if _of_no_row(found):
            raise
        task.outcome = found.error
        if isinstance(found.error, Exists):
            task.outcome = _named(connection, bound, task, found.error)


def _of_no_row(found: Fault) -> bool:
    """Whether no row is at fault: the connection is gone, or others were in the way."""
    return found.lost or isinstance(found.error, Retry)


def _named(connection: sa.Connection, bound: Bound, task: _Task, error: Exists) -> Exists:
    """The same with the row that is there: looked up, since constraints' messages name it differently."""
    there = holder(connection, bound, task.values, but=task.id)
    if there is None:
        return error
    name, external_id = there
    return Exists(f'Another row has this value of "{name}" already.', error.category, external_id)


def _create(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task]) -> None:
    rows = [task.values for task in tasks]
    names = [key.name for key in bound.keys]
    given = all(name in rows[0] for name in names)
    counted = len(names) == 1 and bound.table.autoincrement_column is bound.keys[0]
    at_once = _insert_at_once(connection, bound, rows) if given or counted else None
    insert = sa.insert(bound.table).values(_stamp(connection, bound))
    keys: Sequence[Sequence[Any]]
    if given:
        if at_once is None:
            connection.execute(insert, rows)
        else:
            connection.execute(at_once)
        keys = [[row[name] for name in names] for row in rows]
    elif at_once is not None:
        keys = sorted(tuple(key) for key in connection.execute(at_once.returning(*bound.keys)))
        if len(keys) != len(tasks):
            raise exc.StatementError("Not every row was made.", None, None, ValueError(f"{len(keys)} were."))
    elif connection.dialect.insert_executemany_returning_sort_by_parameter_order:
        keys = connection.execute(insert.returning(*bound.keys, sort_by_parameter_order=True), rows).all()
    else:
        made = [connection.execute(insert, row).inserted_primary_key for row in rows]
        keys = [key for key in made if key is not None]
    for task, key in zip(tasks, keys, strict=True):
        task.id = id_of(key)


def _insert_at_once(
    connection: sa.Connection, bound: Bound, rows: Sequence[Mapping[str, Any]]
) -> Insert | None:
    """All in one statement, where the database takes them so."""
    types = {name: bound.table.columns[name].type for name in rows[0]}
    source = many.rows(connection, types, rows)
    if source is None:
        return None
    stamp = _stamp(connection, bound)
    # In their order, in which the keys are counted, too.
    read = sa.select(*(source.c[name] for name in types), *stamp.values()).order_by(source.c[many.PLACE])
    return sa.insert(bound.table).from_select([*types, *stamp], read)


def _update(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task]) -> None:
    stamp = _stamp(connection, bound)
    # By names of our own: theirs need not do for parameters.
    columns = {f"v{place}": bound.table.columns[name] for place, name in enumerate(tasks[0].values)}
    if not columns and not (stamp and any(joining.concerned(bound, task.links) for task in tasks)):
        return
    rows = [
        {**_own(bound, task), **{name: task.values[column.name] for name, column in columns.items()}}
        for task in tasks
    ]
    key, update = bound.keys[0], sa.update(bound.table)
    types = {"k0": compared(key), **{name: column.type for name, column in columns.items()}}
    source = many.rows(connection, types, rows) if len(bound.keys) == 1 else None
    values: dict[str, Any]
    if source is not None:
        # The keys once more, as a list: few of many rows are found by an index then.
        listed = many.is_one_of_keys(connection, key, [row["k0"] for row in rows])
        values = {column.name: source.c[name] for name, column in columns.items()}
        connection.execute(update.where(key == source.c.k0, listed).values({**values, **stamp}))
        return
    values = {column.name: sa.bindparam(name, type_=types[name]) for name, column in columns.items()}
    update = update.where(*_is_own(bound)).values({**values, **stamp})
    connection.execute(update, rows if len(rows) > 1 else rows[0])


def _delete(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task]) -> None:
    rows = [_own(bound, task) for task in tasks]
    if bound.deleted_at is not None:
        marked = {bound.deleted_at.name: _now(connection, bound.deleted_at), **_stamp(connection, bound)}
        connection.execute(sa.update(bound.table).where(*_is_own(bound)).values(marked), rows)
        return
    joining.dissociate(connection, bound, [row["k0"] for row in rows])
    connection.execute(sa.delete(bound.table).where(*_is_own(bound)), rows)


def _associate(connection: sa.Connection, bound: Bound, tasks: Sequence[_Task]) -> None:
    for task in tasks:
        joining.associate(connection, bound, _own(bound, task)["k0"], task.links)


def _own(bound: Bound, task: _Task) -> dict[str, Any]:
    """The key of a task's row, as parameters of `_is_own`."""
    key = task.key or bound.key_of(task.id or "")
    assert key is not None
    return {f"k{place}": part for place, part in enumerate(key)}


def _is_own(bound: Bound) -> list[sa.ColumnElement[bool]]:
    return [key == sa.bindparam(f"k{place}", type_=compared(key)) for place, key in enumerate(bound.keys)]


def _stamp(connection: sa.Connection, bound: Bound) -> dict[str, Any]:
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
