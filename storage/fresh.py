"""New records by COPY: all that a record is made of, in the tables' own words, with what is told of its making.

The same rows as `records.insert`, `unique_values.claim`, `property_values`, `property_keys` and `property_parts` write,
for many records at once that are known to be new. Values are put into words once, however many records hold them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from storage import property_keys, property_parts, property_values
from storage.catalogue import ObjectTypeRow, PropertyRow
from storage.database import Transaction
from storage.notes import ChangeKind, RecordChanges, RecordsCreated
from storage.property_values import TEXT_KEPT
from storage.unique_values import Key

_NULL = "\\N"


class Taken(Exception):
    """Somebody else has taken one of the unique values meanwhile; the transaction is lost."""


# Made by the million, and never changed: freezing costs more than making them.
@dataclass(slots=True)
class Part:
    """A value of a property, in the words of each table that it goes to."""

    name: str
    value: Any
    # `"name": value` in the record, and the value in what is told of it.
    held: str
    told: orjson.Fragment
    # The ends of rows of property_value; the beginnings of rows of property_key, with their hashes.
    values: tuple[str, ...]
    keys: tuple[str, ...]
    # The end of a row of property_part.
    parts: str | None
    # Where it is unique: under which it is taken, and the beginning of that row.
    key: Key | None
    unique: str | None
    # Whether it goes anywhere but into the record itself.
    indexed: bool


def part(prop: PropertyRow, value: Any, canonical: str | None) -> Part:
    """A stored value put into words; `canonical` is the text under which a unique one is taken."""
    name, told = orjson.dumps(prop.name).decode(), orjson.dumps(value).decode()
    values: tuple[str, ...] = ()
    if prop.writes_values and isinstance(value, str):
        # Most values are texts.
        values = (f"{prop.id}\t0\t{_escaped(value[:TEXT_KEPT])}\t{_NULL}",)
    elif prop.writes_values:
        values = _tails(prop, value)
    keys = (
        tuple(f"{prop.id}\t{one}" for one in sorted(property_keys.hashes(value))) if prop.writes_keys else ()
    )
    parts = _parts(prop, value)
    return Part(
        prop.name,
        value,
        _escaped(f"{name}:{told}"),
        orjson.Fragment(told),
        values,
        keys,
        parts,
        None if canonical is None else (prop.id, canonical),
        None if canonical is None else f"{prop.id}\t{_escaped(canonical)}",
        bool(values or keys or parts) or canonical is not None,
    )


async def insert(tx: Transaction, object_type_id: int, rows: Sequence[tuple[int, Sequence[Part]]]) -> None:
    """Create records of one object type: (id, its values), with history, unique values, indexes, and the change log.

    Raises `Taken` where a unique value has been taken since it was looked for.
    """
    account = tx.account_id
    made, now, by = _ends(tx)
    records, history, unique = list[str](), list[str](), list[str]()
    values, keys, pieces, told = list[str](), list[str](), list[str](), list[dict[str, Any]]()
    alike: dict[tuple[str, ...], list[int]] = {}
    for record_id, parts in rows:
        held = ",".join([one.held for one in parts])
        records.append(f"{account}\t{record_id}\t{object_type_id}\t{{{held}}}\t{made}")
        history.append(f"{account}\t{record_id}\t1\t{now}\t{{{held}}}\t{by}")
        told.append({one.name: one.told for one in parts})
        for one in parts:
            if one.indexed:
                values += [f"{account}\t{record_id}\t{tail}" for tail in one.values]
                keys += [f"{account}\t{head}\t{record_id}" for head in one.keys]
                if one.parts is not None:
                    pieces.append(f"{account}\t{record_id}\t{one.parts}")
                if one.unique is not None:
                    unique.append(f"{account}\t{one.unique}\t{record_id}")
        names = tuple(told[-1])
        group = alike.get(names)
        if group is None:
            alike[names] = [record_id]
        else:
            group.append(record_id)
    # In one order for all writers.
    unique.sort()
    try:
        await tx.copy_lines("unique_value", "property_id, value, record_id", unique)
    except asyncpg.UniqueViolationError as error:
        raise Taken from error
    await _copy(tx, records, history, values, keys, pieces)
    for names, ids in alike.items():
        tx.changed(RecordChanges(ChangeKind.CREATED, object_type_id, names, ids))
    tx.happened(RecordsCreated(object_type_id, [record_id for record_id, _ in rows], told))


async def write(
    tx: Transaction, object_type: ObjectTypeRow, rows: Sequence[tuple[int, Mapping[str, Any]]]
) -> None:
    """The same rows for records whose unique values are taken already: (id, properties). Nobody is told."""
    account, of = tx.account_id, object_type.id
    made, now, by = _ends(tx)
    forms = {name: _form(prop) for name, prop in object_type.properties.items()}
    records, history = list[str](), list[str]()
    values, keys, pieces = list[str](), list[str](), list[str]()
    for record_id, properties in rows:
        held = orjson.dumps(properties).decode()
        # What COPY reads otherwise than it stands, JSON writes with a backslash.
        if marked := "\\" in held:
            held = held.replace("\\", "\\\\")
        start = f"{account}\t{record_id}\t"
        records.append(f"{start}{of}\t{held}\t{made}")
        history.append(f"{start}1\t{now}\t{held}\t{by}")
        for name, value in properties.items():
            head, prop, as_values, as_keys, as_parts = forms[name]
            if as_values:
                kind = value.__class__
                if kind is str:
                    # Most values are texts.
                    text = value[:TEXT_KEPT]
                    values.append(f"{start}{head}0\t{_escaped(text) if marked else text}\t{_NULL}")
                elif kind is int:
                    values.append(f"{start}{head}0\t{_NULL}\t{value}")
                else:
                    values += [f"{start}{tail}" for tail in _tails(prop, value)]
            if as_keys:
                hashes = property_keys.hashes(value) if prop.multiple else (property_keys.value_hash(value),)
                keys += [f"{account}\t{head}{one}\t{record_id}" for one in hashes]
            if as_parts and (kept := _parts(prop, value)) is not None:
                pieces.append(f"{start}{kept}")
    await _copy(tx, records, history, values, keys, pieces)


def _form(prop: PropertyRow) -> tuple[str, PropertyRow, bool, bool, bool]:
    """What rows of a property's values, keys and parts say of it, and whether there are such rows."""
    return f"{prop.id}\t", prop, prop.writes_values, prop.writes_keys, prop.writes_parts


def _parts(prop: PropertyRow, value: Any) -> str | None:
    """The end of a row of property_part; None where there is no such row."""
    kept = property_parts.kept(prop, value)
    return None if kept is None else f"{prop.id}\t{kept}"


def _tails(prop: PropertyRow, value: Any) -> tuple[str, ...]:
    """A value as ends of rows of property_value."""
    return tuple(
        f"{row[1]}\t{row[2]}\t{_NULL if row[3] is None else _escaped(row[3])}\t"
        f"{_NULL if row[4] is None else row[4]}"
        for row in property_values.rows_of(0, prop, value)
    )


def _ends(tx: Transaction) -> tuple[str, str, str]:
    """Of all rows of a transaction alike: the ends of records, the time, the ends of lines of history."""
    actor, now = tx.actor, tx.now.isoformat()
    source = _escaped(actor.source)
    by = f"{source}\t{_or_null(actor.source_id)}\t{_NULL if actor.user_id is None else actor.user_id}"
    return f"{now}\t{now}\t{source}\t{source}\t1", now, by


async def _copy(
    tx: Transaction,
    records: Sequence[str],
    history: Sequence[str],
    values: Sequence[str],
    keys: list[str],
    pieces: Sequence[str],
) -> None:
    await tx.copy_lines(
        "record",
        "id, object_type_id, properties, created_at, updated_at, created_source, updated_source, version",
        records,
    )
    columns = "record_id, version, at, changed, source, source_id, user_id"
    await tx.copy_lines("property_history", columns, history)
    columns = "record_id, property_id, position, text_value, number_value"
    await tx.copy_lines("property_value", columns, values)
    # In one order for all writers.
    keys.sort()
    await tx.copy_lines("property_key", "property_id, value_hash, record_id", keys)
    await tx.copy_lines("property_part", "record_id, property_id, parts", pieces)


def _or_null(text: str | None) -> str:
    return _NULL if text is None else _escaped(text)


def _escaped(text: str) -> str:
    """Text as COPY takes it."""
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if text.isprintable():
        return text
    return text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
