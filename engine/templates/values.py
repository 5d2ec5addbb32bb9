"""The values that templates need, for many records in two statements."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from engine.templates.reading import Reference
from engine.templates.words import Choice, Moment
from storage import records
from storage.catalogue import Catalogue, ObjectTypeRow, PropertyRow
from storage.database import Transaction
from storage.latest import latest
from storage.records import RecordRow

# What is not known is missing.
Values: TypeAlias = Mapping[Reference, Any]


async def values_for(
    tx: Transaction, references: Iterable[Reference], record_ids: Sequence[int]
) -> dict[int, Values]:
    """For each record what the references name, of the record and of those associated with it.

    Of several associated records (under the label, if one is named) it is the one that was updated last. What a
    reference names and is not there (any more) has no value. A record that is not there has no values.
    """
    wanted = sorted(set(references), key=str)
    rows = {row.id: row for row in await records.rows(tx, list(dict.fromkeys(record_ids))) if row is not None}
    beside = await _beside(tx, wanted, rows.values())
    found: dict[int, Values] = {record_id: {} for record_id in record_ids}
    for row in rows.values():
        values: dict[Reference, Any] = {}
        for reference in wanted:
            told = row if reference.to is None else beside.get((row.id, reference.to, reference.label))
            value = None if told is None else _value(tx.catalogue, told, reference.property)
            if value is not None:
                values[reference] = value
        found[row.id] = values
    return found


async def _beside(
    tx: Transaction, wanted: Sequence[Reference], rows: Iterable[RecordRow]
) -> dict[tuple[int, str, str | None], RecordRow]:
    """The associated records by (record, object type, label)."""
    places: dict[tuple[int, str, str | None], tuple[int, int, int]] = {}
    asked = sorted({(one.to, one.label) for one in wanted if one.to is not None}, key=str)
    for row in rows:
        for name, label in asked:
            of = tx.catalogue.by_name.get(name)
            type_id = None if of is None else _type(tx.catalogue, row.object_type_id, of, label)
            if of is not None and type_id is not None:
                places[row.id, name, label] = (row.id, of.id, type_id)
    if not places:
        return {}
    found = await latest(tx, list(places.values()))
    return {place: row for place, row in zip(places, found, strict=True) if row is not None}


def _type(catalogue: Catalogue, object_type_id: int, to: ObjectTypeRow, label: str | None) -> int | None:
    if label is None:
        return catalogue.unlabelled(object_type_id, to.id).id
    found = catalogue.label(object_type_id, to.id, label)
    return None if found is None else found.id


def _value(catalogue: Catalogue, row: RecordRow, name: str) -> Any:
    prop = catalogue.object_types[row.object_type_id].live(name)
    return None if prop is None else _readable(prop, row.properties.get(name), catalogue.time_zone)


def _readable(prop: PropertyRow, value: Any, zone: str) -> Any:
    """A value with what is needed to word it."""
    if value is None:
        return None
    if prop.type == "DATETIME":
        return Moment(value, zone)
    if prop.type == "ENUMERATION":
        labels = {option["value"]: option.get("label") for option in prop.options}
        if isinstance(value, list):
            return [Choice(one, labels.get(one) or one) for one in value]
        return Choice(value, labels.get(value) or value)
    return value
