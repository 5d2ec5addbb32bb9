"""Tables as kinds of items: what each column, foreign key and join table becomes, and what can be done with it."""

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from engine.sync.connectors.protocol import Capabilities, FieldType, RemoteField, RemoteObject, RemoteRole
from engine.sync.connectors.sql.likeness import default_object_type, default_property
from engine.sync.connectors.sql.tables import Bound, Choices, Column, Join, Reference
from engine.sync.connectors.sql.values import kind

_KEYS = (sa.Integer, sa.String, sa.Uuid)
_UUID_LENGTH = 36


def bind(
    metadata: sa.MetaData,
    dialect: str,
    choices: Choices,
    base: Capabilities,
    unique: Mapping[str, Collection[str]],
) -> dict[str, Bound]:
    """Every table that can be synced, by name: those with a primary key of numbers, texts or UUIDs.

    `unique`: {table: columns} of which reflection alone does not tell that no two rows hold the same value.
    """
    tables = {table.name: table for table in metadata.tables.values() if _usable(table)}
    joins = {name: ends for name, table in tables.items() if (ends := _joined(table, tables)) is not None}
    kept = {name: table for name, table in tables.items() if name not in joins}
    joins = {name: ends for name, ends in joins.items() if all(end.to in kept for end in ends)}
    kept |= {name: table for name, table in tables.items() if name not in joins}
    return {
        name: _bound(table, kept, joins, dialect, choices, base, unique.get(name, ()))
        for name, table in sorted(kept.items())
    }


def _usable(table: sa.Table) -> bool:
    keys = tuple(table.primary_key.columns)
    return bool(keys) and all(isinstance(column.type, _KEYS) for column in keys)


def _references(table: sa.Table, tables: dict[str, sa.Table]) -> dict[str, str]:
    """{column: table} of the foreign keys of one column that lead to a table's primary key."""
    found = {}
    for constraint in table.foreign_key_constraints:
        if len(constraint.elements) != 1:
            continue
        element = constraint.elements[0]
        target = element.column.table
        if tables.get(target.name) is target and tuple(target.primary_key.columns) == (element.column,):
            found[str(element.parent.name)] = str(target.name)
    return found


def _joined(table: sa.Table, tables: dict[str, sa.Table]) -> tuple[Join, Join] | None:
    """Both directions of a join table: its primary key is two references, and nothing else is needed in it."""
    keys = tuple(table.primary_key.columns)
    ends = _references(table, tables)
    if len(keys) != 2 or any(key.name not in ends for key in keys):
        return None
    if any(_needed(column) for column in table.columns if column not in keys):
        return None
    first, second = keys
    own = ends[first.name] == ends[second.name]
    return (
        Join(
            f"{table.name}.{second.name}" if own else f"{table.name}", table, first, second, ends[second.name]
        ),
        Join(
            f"{table.name}.{first.name}" if own else f"{table.name}", table, second, first, ends[first.name]
        ),
    )


def _needed(column: sa.Column[Any]) -> bool:
    """Whether a row cannot be made without a value for it."""
    return not (column.nullable or _given(column))


def _given(column: sa.Column[Any]) -> bool:
    """Whether the database fills it in."""
    return (
        column.server_default is not None
        or column.computed is not None
        or column.identity is not None
        or column is column.table.autoincrement_column
    )


def _bound(
    table: sa.Table,
    tables: dict[str, sa.Table],
    joins: dict[str, tuple[Join, Join]],
    dialect: str,
    choices: Choices,
    base: Capabilities,
    more: Collection[str],
) -> Bound:
    keys = tuple(table.primary_key.columns)
    unique = _unique(table) | set(more)
    updated_at = _moment(table, choices.updated_at)
    deleted_at = _deleted(table, choices.deleted_at)
    key = table.columns.get(choices.key) if choices.key else None
    if key is not None and (not isinstance(key.type, sa.String) or key.name not in unique):
        key = None
    chooses = len(keys) == 1 and not _given(keys[0]) and _choosable(keys[0])
    ends = {name: to for name, to in _references(table, tables).items() if name not in {k.name for k in keys}}
    own = {column.name for column in (deleted_at, key) if column is not None}
    columns = tuple(
        Column(str(column.name), column, found)
        for column in table.columns
        if column.name not in ends and column.name not in own and (found := kind(column.type, dialect))
    )
    references = tuple(
        Reference(str(name), table.columns[name], str(to), _needed(table.columns[name]))
        for name, to in ends.items()
    )
    joined = tuple(
        join for pair in joins.values() for join in pair if len(keys) == 1 and join.own.references(keys[0])
    )
    told = {column.name for column in columns} | set(ends)
    fields = tuple(_field(each, table, unique, chooses, updated_at) for each in columns)
    object_ = RemoteObject(
        str(table.name),
        _title(table.name),
        fields,
        _roles(references, joined),
        default_object_type(table.name),
        frozenset(each.name for each in columns if each.kind.type is FieldType.STRING and each.kind.write),
        # What must have a value, and can get none from us.
        creatable=not any(_needed(column) for column in table.columns if column.name not in told | own),
        capabilities=_capabilities(base, updated_at, deleted_at, key is not None or chooses),
    )
    return Bound(object_, table, keys, columns, references, joined, updated_at, deleted_at, key, chooses)


def _capabilities(base: Capabilities, updated_at: Any, deleted_at: Any, keyed: bool) -> Capabilities:
    changes = updated_at is not None
    return Capabilities(
        changes=changes,
        tombstones=changes and deleted_at is not None,
        idempotent_create=keyed,
        conditional=True,
        page=base.page,
        batch=base.batch,
        pace=base.pace,
        overlap=base.overlap,
    )


def _field(
    each: Column, table: sa.Table, unique: set[str], chooses: bool, updated_at: sa.Column[Any] | None
) -> RemoteField:
    column = each.column
    generated = column.computed is not None or column is column.table.autoincrement_column
    if column.identity is not None:
        generated = True
    return RemoteField(
        each.name,
        _title(each.name),
        each.kind.type,
        required=_needed(column) and not (chooses and column.primary_key),
        # A UUID of ours is as good as any; a text may mean something.
        read_only=each.kind.write is None
        or generated
        or column is updated_at
        or (chooses and column.primary_key and isinstance(column.type, sa.Uuid)),
        multiple=each.kind.multiple,
        unique=each.name in unique,
        options=tuple((option, option) for option in each.kind.options),
        max_length=each.kind.max_length,
        default_property=default_property(table.name, each.name),
        lossy=each.kind.lossy,
    )


def _roles(references: tuple[Reference, ...], joins: tuple[Join, ...]) -> tuple[RemoteRole, ...]:
    """The only reference to a table stands for the main one of several."""
    to = [each.to for each in references]
    return tuple(
        RemoteRole(
            each.role,
            _title(each.role.removesuffix("_id")),
            each.to,
            many=False,
            primary=to.count(each.to) == 1,
        )
        for each in references
    ) + tuple(RemoteRole(each.role, _title(each.role), each.to) for each in joins)


def _unique(table: sa.Table) -> set[str]:
    """Columns of which no two rows hold the same value."""
    keys = tuple(table.primary_key.columns)
    found = {keys[0].name} if len(keys) == 1 else set()
    for constraint in table.constraints:
        if isinstance(constraint, sa.UniqueConstraint) and len(constraint.columns) == 1:
            found |= {column.name for column in constraint.columns}
    for index in table.indexes:
        partial = any(option.get("where") is not None for option in index.dialect_options.values())
        if index.unique and not partial and len(index.expressions) == 1 and len(index.columns) == 1:
            found |= {column.name for column in index.columns}
    return found


def _choosable(column: sa.Column[Any]) -> bool:
    if isinstance(column.type, sa.Uuid):
        return True
    if not isinstance(column.type, sa.String) or isinstance(column.type, sa.Enum):
        return False
    return column.type.length is None or column.type.length >= _UUID_LENGTH


def _moment(table: sa.Table, name: str | None) -> sa.Column[Any] | None:
    column = table.columns.get(name) if name else None
    return column if column is not None and isinstance(column.type, sa.DateTime) else None


def _deleted(table: sa.Table, name: str | None) -> sa.Column[Any] | None:
    """A moment that is empty while the row is there; a required one means something else."""
    column = _moment(table, name)
    return column if column is not None and column.nullable else None


def _title(name: str) -> str:
    words = name.replace("_", " ").replace(".", " ").strip()
    return words[:1].upper() + words[1:]
