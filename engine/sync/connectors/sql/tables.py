"""Tables with what their columns are to us, and rows as items. All names come by reflection."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson
import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from engine.sync.connectors.protocol import Item, RemoteObject
from engine.sync.connectors.sql.values import Kind, instant

# The item that a creation makes, where the key of the table is ours to choose.
_OURS = uuid.UUID("6f1b0f0e-6f7a-5b39-9a53-8c1f3fd6a8f1")


# What join tables hold: {role: {own id: other ids}}.
Joined: TypeAlias = dict[str, dict[str, tuple[str, ...]]]


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
        return [raw(column).label(f"c{place}") for place, column in enumerate(wanted)]

    def items(self, rows: Iterable[Sequence[Any]], joined: Joined | None = None) -> list[Item]:
        """Rows of `selected` as items."""
        names = tuple(each.name for each in self.columns)
        changed, deleted = self._moments
        return [
            Item(
                external_id,
                dict(zip(names, values, strict=True)),
                _version(values, associations),
                None if changed is None or row[changed] is None else instant(str(row[changed])),
                associations,
                deleted is not None and bool(row[deleted]),
            )
            for row, external_id, values, associations in self._read(rows, joined)
        ]

    def versions(self, rows: Iterable[Sequence[Any]], joined: Joined | None = None) -> dict[str, str]:
        """{id: version} of rows of `selected`, but for those that are marked as deleted."""
        _, deleted = self._moments
        return {
            external_id: _version(values, associations)
            for row, external_id, values, associations in self._read(rows, joined)
            if deleted is None or not row[deleted]
        }

    @property
    def _moments(self) -> tuple[int | None, int | None]:
        """Where updated at and deleted at stand in a row of `selected`."""
        ends = len(self.keys) + len(self.columns) + len(self.references)
        changed = ends if self.updated_at is not None else None
        return changed, None if self.deleted_at is None else ends + (changed is not None)

    def _read(
        self, rows: Iterable[Sequence[Any]], joined: Joined | None
    ) -> Iterator[tuple[Sequence[Any], str, list[Any], dict[str, tuple[str, ...]]]]:
        """(row, id, its fields' values, the ends of its roles)."""
        keys, fields = len(self.keys), len(self.columns)
        ends = keys + fields + len(self.references)
        reads = tuple(
            (place, each.kind.read) for place, each in enumerate(self.columns) if each.kind.read is not None
        )
        roles = tuple(each.role for each in self.references)
        for row in rows:
            external_id = id_of(row[:keys])
            values = list(row[keys : keys + fields])
            for place, read in reads:
                if values[place] is not None:
                    values[place] = read(values[place])
            associations: dict[str, tuple[str, ...]] = {}
            for role, end in zip(roles, row[keys + fields : ends], strict=True):
                associations[role] = () if end is None else (str(end),)
            for join in self.joins:
                associations[join.role] = (joined or {}).get(join.role, {}).get(external_id, ())
            yield row, external_id, values, associations

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


def raw(element: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The same as the driver gives it."""
    return sa.type_coerce(element, sa.types.NullType())


def id_of(key: Sequence[Any]) -> str:
    """The id of the item with this primary key; see `Bound.key_of` for the way back."""
    return str(key[0]) if len(key) == 1 else orjson.dumps([str(part) for part in key]).decode()


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
