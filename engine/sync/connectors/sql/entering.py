"""What an op says, as a row: values by column, or why it cannot be one. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from engine.sync.categories import Category
from engine.sync.connectors.protocol import Create, Links, Rejected, RemoteField, Update
from engine.sync.connectors.sql.tables import Bound, Column
from engine.sync.connectors.sql.values import Unfit


@dataclass(frozen=True, slots=True)
class Names:
    """A table's columns and fields by name, and the names of its key."""

    columns: Mapping[str, Column]
    fields: Mapping[str, RemoteField]
    keys: frozenset[str]


def names_of(bound: Bound) -> Names:
    """They, looked up once for many ops."""
    return Names(
        {each.name: each for each in bound.columns},
        {each.name: each for each in bound.object.fields},
        frozenset(key.name for key in bound.keys),
    )


def values_of(bound: Bound, known: Names, op: Create | Update) -> dict[str, Any]:
    """What is to be written, by column. Raises Rejected."""
    columns, fields, keys = known.columns, known.fields, known.keys
    found: dict[str, Any] = {}
    for name, value in op.fields.items():
        if name not in columns:
            raise Rejected(f'There is no column "{name}".', Category.PROPERTY_NOT_FOUND, name)
        if fields[name].read_only or (name in keys and isinstance(op, Update)):
            raise Rejected(f'"{name}" cannot be changed.', Category.PROPERTY_READ_ONLY, name)
        write = columns[name].kind.write
        assert write is not None
        try:
            found[name] = None if value is None else write(value)
        except Unfit as error:
            raise error.rejected(name) from None
        if value is None and fields[name].required:
            raise Rejected(f'"{name}" needs a value.', Category.REQUIRED_FIELD_MISSING, name)
    found |= _ends(bound, op.links)
    if isinstance(op, Create):
        for reference in bound.references:
            if reference.required and found.get(reference.role) is None:
                raise Rejected(
                    f'"{reference.role}" needs an associated row of {reference.to}.',
                    Category.REQUIRED_FIELD_MISSING,
                    reference.role,
                )
        if bound.key is not None:
            found[bound.key.name] = op.key
        if bound.chooses and found.get(bound.keys[0].name) is None:
            found[bound.keys[0].name] = bound.chosen(op.key)
    return found


def _ends(bound: Bound, links: Links) -> dict[str, Any]:
    """References by column. What is only added stands in place of what was there."""
    found: dict[str, Any] = {}
    for reference in bound.references:
        role = reference.role
        if not (role in links.all or links.added.get(role) or links.removed.get(role)):
            continue
        ends = links.all[role] if role in links.all else links.added.get(role, ())
        if len(ends) > 1:
            raise Rejected(f'"{role}" leads to one row alone.', Category.VALIDATION_REJECTED, role)
        if not ends and reference.required:
            raise Rejected(
                f'"{role}" cannot be without an associated row.', Category.REQUIRED_FIELD_MISSING, role
            )
        found[role] = end(reference.column, ends[0]) if ends else None
    for join in bound.joins:
        # Refused before anything of the row is written.
        for each in (*links.added.get(join.role, ()), *links.removed.get(join.role, ())):
            end(join.other, each)
    return found


def end(column: sa.Column[Any], external_id: str) -> Any:
    """What stands in a column that leads to this item. Raises Rejected."""
    if not isinstance(column.type, sa.Integer):
        return external_id
    try:
        return int(external_id)
    except ValueError:
        raise Rejected(f"There is no row {external_id}.", Category.RECORD_NOT_FOUND, column.name) from None
