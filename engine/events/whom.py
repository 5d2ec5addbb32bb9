"""To whom an event occurred: a record by its id or by a unique value, held; or what is wrong with the name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from engine import values
from engine.events.problems import EventOfAnotherType, NoSuchRecord
from engine.object_types import get
from engine.problems import Problem, at
from engine.records import problems as of_records
from engine.values import InvalidValue
from storage import records, unique_values
from storage.catalogue import Catalogue, EventTypeRow, PropertyRow
from storage.database import Transaction
from storage.records import RecordRow


@dataclass(frozen=True, slots=True)
class ByUnique:
    """A record by a value of a unique property."""

    object_type: str
    property: str
    value: Any


# A record, by its id or by a unique property.
Whom: TypeAlias = int | ByUnique


async def find(tx: Transaction, asked: Sequence[Whom]) -> list[RecordRow | Problem]:
    """The record of each, locked, or why there is none. Merged ones lead to their survivors.

    Records are locked in one order, whatever the order in which they are asked for.
    """
    numbers = await _numbers(tx, asked)
    locked = await records.lock_survivors(tx, [number for number in numbers if isinstance(number, int)])
    found: list[RecordRow | Problem] = []
    for whom, number in zip(asked, numbers, strict=True):
        if isinstance(number, Problem):
            found.append(number)
        else:
            row = None if number is None else locked.get(number)
            found.append(row or _missing(whom))
    return found


def unfit(catalogue: Catalogue, row: RecordRow, type_: EventTypeRow, *, archived: bool) -> Problem | None:
    """Why an event of this type cannot have occurred to the record; `archived`: that it is archived is no reason."""
    if row.archived_at is not None and not archived:
        return of_records.archived(row, "record")
    if type_.object_type_id not in (None, row.object_type_id):
        return EventOfAnotherType(
            event_type=type_.name,
            of=catalogue.object_types[type_.object_type_id].name,
            object_type=catalogue.object_types[row.object_type_id].name,
            path=("record",),
        )
    return None


async def _numbers(tx: Transaction, asked: Sequence[Whom]) -> list[int | Problem | None]:
    """The number of each record, as far as there is one; a problem where the name is none."""
    wanted: dict[int, set[str]] = {}
    keys: list[int | tuple[int, str] | Problem] = []
    for whom in asked:
        if isinstance(whom, int):
            keys.append(whom)
            continue
        try:
            prop, text = _unique_key(tx.catalogue, whom)
        except Problem as problem:
            keys.append(problem.at("record", "by"))
        else:
            wanted.setdefault(prop.id, set()).add(text)
            keys.append((prop.id, text))
    holders = {
        (prop_id, text): number
        for prop_id, texts in wanted.items()
        for text, number in (await unique_values.find(tx, prop_id, sorted(texts))).items()
    }
    return [holders.get(key) if isinstance(key, tuple) else key for key in keys]


def _unique_key(catalogue: Catalogue, whom: ByUnique) -> tuple[PropertyRow, str]:
    """A unique property and the text under which a value of it is taken. Raises problems at paths of `ByUnique`."""
    with at("objectType"):
        object_type = get(catalogue, whom.object_type)
    prop = object_type.live(whom.property)
    if prop is None:
        told = values.tidy(whom.property)
        raise of_records.UnknownProperty(path=("property",), property=told, object_type=object_type.name)
    if not prop.is_unique:
        raise of_records.PropertyNotUnique(
            path=("property",), property=prop.name, object_type=object_type.name
        )
    try:
        stored = values.normalize(prop, whom.value)
    except InvalidValue as problem:
        problem.path = ("value",)
        raise
    if stored is None:
        raise of_records.UniqueKeyMissing(path=("value",), property=prop.name)
    return prop, values.canonical(prop, stored)


def _missing(whom: Whom) -> Problem:
    if isinstance(whom, int):
        return of_records.missing(whom, "record", "id")
    told = {"object_type": values.tidy(whom.object_type), "property": values.tidy(whom.property)}
    return NoSuchRecord(**told, value=values.shown(whom.value), path=("record", "by", "value"))
