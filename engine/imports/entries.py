"""What rows say of the records that they name, read by a plan, and what is wrong with it as far as looking tells.

A row with anything wrong that can be seen before writing is left out whole.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import values
from engine.ids import decode
from engine.imports.files import Row
from engine.imports.plan import Doing, Key, Part, Plan
from engine.imports.problems import KeyMissing, UnknownKey
from engine.imports.tally import Tally
from engine.problems import MalformedId, Problem


@dataclass(slots=True)
class Entry:
    """A row as it concerns one part: what it gives, and by which key."""

    row: Row
    given: dict[str, Any]
    # The canonical text of a unique value; the number of a record; None: a new one.
    key: str | int | None = None


def read(
    plan: Plan, rows: Sequence[Row], labels: Callable[[Row, Tally], None], tally: Tally
) -> tuple[list[Row], dict[str, list[Entry]]]:
    """The rows in which nothing is wrong, and what they say to each part, by its name; what is wrong is told.

    `labels` looks at the labels of a row, for rows of records that are to be associated.
    """
    entries: dict[str, list[Entry]] = {part.name: [] for part in plan.parts}
    checks = {
        part.name: {column.property.name: values.checker(column.property) for column in part.columns}
        for part in plan.parts
    }
    repeats = plan.repeats
    sound = []
    for row in rows:
        if row.problem is not None:
            tally.wrong(row.number, row.problem, row.column, row.value)
            continue
        found, before = list[tuple[str, Entry]](), len(tally.errors)
        for part in plan.parts:
            entry = _entry(plan, part, row, tally)
            if entry is not None:
                found.append((part.name, entry))
                if repeats:
                    _check(part, entry, checks[part.name], tally)
        if plan.links and plan.parts:
            labels(row, tally)
        if len(tally.errors) == before:
            sound.append(row)
            for name, entry in found:
                entries[name].append(entry)
    return sound, entries


def tell(part: Part, entry: Entry, problem: Problem, tally: Tally) -> None:
    """A row has this problem with one of its records; with the cell that it is about, where it is about one."""
    # The path of a problem with a value ends with the property's name.
    name = problem.path[-1] if problem.path else None
    column = next((column for column in part.columns if column.property.name == name), None)
    if column is None:
        tally.wrong(entry.row.number, problem)
    else:
        tally.wrong_in(entry.row, column, column.told(problem, entry.row.cells[column.index]))


def tell_unknown(part: Part, entry: Entry, tally: Tally) -> None:
    """A row names a record that is not there."""
    assert part.key is not None  # only what is looked up can be unknown
    cell = entry.row.cells[part.key.index]
    problem = UnknownKey(
        object_type=part.object_type.name, property=part.key.called(), value=values.tidy(cell.strip())
    )
    tally.wrong_in(entry.row, part.key, problem)


def _entry(plan: Plan, part: Part, row: Row, tally: Tally) -> Entry | None:
    """What a row gives to a part; None where it says nothing of it, or has no key."""
    cells = row.cells
    given = {
        column.property.name: value
        for column in part.columns
        if (value := column.parse(cells[column.index])) is not None
    }
    key = part.key
    if key is None:
        if given:
            return Entry(row, given)
        if not plan.repeats:
            tally.wrong(row.number, KeyMissing(column=values.tidy(part.columns[0].name)))
        return None
    if key.property is None:
        return _by_id(plan, part, key, Entry(row, given), tally)
    value = given.get(key.property.name)
    if value is None:
        if given or not plan.repeats:
            _keyless(row, key, tally)
        return None
    if isinstance(value, str) and not values.storable(value):
        # No record has it, and the database cannot be asked for it.
        try:
            values.normalize(key.property, value)
        except Problem as problem:
            tally.wrong_in(row, key, problem)
        return None
    return Entry(row, given, values.canonical(key.property, value))


def _by_id(plan: Plan, part: Part, key: Key, entry: Entry, tally: Tally) -> Entry | None:
    """The entry with the id in its row, if the row needs one."""
    row = entry.row
    cell = row.cells[key.index]
    if not cell.strip():
        if part.doing is Doing.UPSERT and entry.given:
            return entry
        if entry.given or not plan.repeats:
            _keyless(row, key, tally)
        return None
    try:
        entry.key = decode("record", cell.strip())
    except MalformedId as problem:
        tally.wrong_in(row, key, problem)
        return None
    return entry


def _keyless(row: Row, key: Key, tally: Tally) -> None:
    tally.wrong_in(row, key, KeyMissing(column=values.tidy(key.name)))


def _check(part: Part, entry: Entry, checks: Mapping[str, values.Check], tally: Tally) -> None:
    """Rows of several records are checked before any of them is written."""
    for name, value in entry.given.items():
        try:
            checks[name](value)
        except Problem as problem:
            tell(part, entry, problem, tally)
