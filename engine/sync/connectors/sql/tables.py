"""Tables as kinds of items: what each column, foreign key and join table is to us. All names come by reflection."""

import hashlib
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from engine.sync.connectors.protocol import (
    Capabilities,
    FieldType,
    Item,
    RemoteField,
    RemoteObject,
    RemoteRole,
)
from engine.sync.connectors.sql.likeness import default_object_type, default_property
from engine.sync.connectors.sql.values import Kind, instant, kind

_KEYS = (sa.Integer, sa.String, sa.Uuid)
# The item that a creation makes, where the key of the table is ours to choose.
_OURS = uuid.UUID("6f1b0f0e-6f7a-5b39-9a53-8c1f3fd6a8f1")
_UUID_LENGTH = 36


@dataclass(frozen=True, slots=True)
class Choices:
    """Columns that tell more than a value, by name, where a table has them."""

    updated_at: str | None = None
    deleted_at: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is a field."""

    name: str
    column: sa.Column[Any]
    kind: Kind


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key that is a role: the other item's key stands in a column."""

    role: str
    column: sa.Column[Any]
    to: str
    required: bool


@dataclass(frozen=True, slots=True)
class Join:
    """A join table that is a role: each row associates one item with another."""

    role: str
    table: sa.Table
    own: sa.Column[Any]
    other: sa.Column[Any]
    to: str


@dataclass(frozen=True, slots=True)
class Bound:
    """A table with what its columns are to us."""

    object: RemoteObject
    table: sa.Table
    keys: tuple[sa.Column[Any], ...]
    columns: tuple[Column, ...]
    references: tuple[Reference, ...]
    joins: tuple[Join, ...]
    updated_at: sa.Column[Any] | None
    deleted_at: sa.Column[Any] | None
    # Where a creation's key is kept.
    key: sa.Column[Any] | None
    # Whether the primary key is ours to choose, as a text or a UUID.
    chooses: bool

    @property
    def selected(self) -> list[sa.ColumnElement[Any]]:
        """What a row is read as: keys, fields, references, updated at, deleted at; all as the driver gives them."""
        wanted = [
            *self.keys,
            *(each.column for each in self.columns),
            *(each.column for each in self.references),
            *(each for each in (self.updated_at, self.deleted_at) if each is not None),
        ]
        return [
            sa.type_coerce(column, sa.types.NullType()).label(f"c{place}")
            for place, column in enumerate(wanted)
        ]

    def items(
        self, rows: Iterable[Sequence[Any]], joined: dict[str, dict[str, tuple[str, ...]]] | None = None
    ) -> list[Item]:
        """Rows of `selected` as items; `joined`: {role: {own id: other ids}}."""
        keys, fields = len(self.keys), len(self.columns)
        ends = keys + fields + len(self.references)
        names = tuple(each.name for each in self.columns)
        reads = tuple(
            (place, each.kind.read) for place, each in enumerate(self.columns) if each.kind.read is not None
        )
        roles = tuple(each.role for each in self.references)
        changed = ends if self.updated_at is not None else None
        deleted = None if self.deleted_at is None else ends + (changed is not None)
        found = []
        for row in rows:
            external_id = str(row[0]) if keys == 1 else composite(row[:keys])
            values = list(row[keys : keys + fields])
            for place, read in reads:
                if values[place] is not None:
                    values[place] = read(values[place])
            ended = row[keys + fields : ends]
            associations: dict[str, tuple[str, ...]] = {
                role: () if end is None else (str(end),) for role, end in zip(roles, ended, strict=True)
            }
            for join in self.joins:
                associations[join.role] = (joined or {}).get(join.role, {}).get(external_id, ())
            found.append(
                Item(
                    external_id,
                    dict(zip(names, values, strict=True)),
                    _version(values, associations),
                    None if changed is None or row[changed] is None else instant(str(row[changed])),
                    associations,
                    deleted is not None and bool(row[deleted]),
                )
            )
        return found

    def key_of(self, external_id: str) -> tuple[Any, ...] | None:
        """The values of the primary key behind an id; None where it can be nobody's."""
        if len(self.keys) == 1:
            parts: Any = [external_id]
        else:
            try:
                parts = orjson.loads(external_id)
            except orjson.JSONDecodeError:
                return None
            if not isinstance(parts, list) or len(parts) != len(self.keys):
                return None
        found = tuple(_key(column, str(part)) for column, part in zip(self.keys, parts, strict=True))
        return None if None in found else found

    def chosen(self, key: str) -> Any:
        """The primary key of the item that the creation with this key makes."""
        name = uuid.uuid5(_OURS, f"{self.object.name} {key}")
        return name if isinstance(self.keys[0].type, sa.Uuid) else str(name)


def compared(column: sa.Column[Any]) -> TypeEngine[Any]:
    """The type with which keys are compared: wide enough for every number that somebody may ask for."""
    return sa.BigInteger() if isinstance(column.type, sa.Integer) else column.type


def composite(parts: Iterable[Any]) -> str:
    """The id of an item whose key has several parts."""
    return orjson.dumps([str(part) for part in parts]).decode()


def _version(values: list[Any], associations: dict[str, tuple[str, ...]]) -> str:
    """Changes with anything that is read. A moment of change alone may be too coarse, or not be kept."""
    text = orjson.dumps((values, associations), default=str)
    return hashlib.blake2b(text, digest_size=10).hexdigest()


def _key(column: sa.Column[Any], text: str) -> Any:
    if isinstance(column.type, sa.Integer):
        try:
            found = int(text)
        except ValueError:
            return None
        return found if str(found) == text and -(2**63) <= found < 2**63 else None
    if isinstance(column.type, sa.Uuid):
        try:
            return uuid.UUID(text)
        except ValueError:
            return None
    return None if "\x00" in text else text


# --- describing --------------------------------------------------------------------------------------------------


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
