"""Definitions that a file needs: which property each column is, and, on demand, an object type made for the file."""

import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine import naming, object_types, properties
from engine.imports.files import Row
from engine.imports.problems import ColumnMissing, KeyNotUnique, ReadOnlyColumn, UnknownColumn
from engine.problems import Problem, Refused
from engine.values import tidy
from storage.catalogue import ObjectTypeRow, PropertyRow
from storage.database import Transaction

# How many rows are looked at to tell what a column holds.
SAMPLE = 2_000
# Texts that are longer, or hold line breaks, are prose.
PROSE = 200
# Whole numbers and decimals as programs write them. A code such as 007 is no number.
NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,10})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file and the property that it fills."""

    name: str
    property: PropertyRow


@dataclass(frozen=True, slots=True)
class Guess:
    """What a column seems to hold."""

    type: str
    field: str
    searchable: bool


def match(
    object_type: ObjectTypeRow, header: Sequence[str], key: str, mapping: Mapping[str, str]
) -> tuple[list[Column], Column]:
    """The columns in order, and the one of the key. `mapping` names the property of columns that are called otherwise.

    A column is called like its property: by the internal name or by the label, whatever its case. Raises `Refused`
    with every column that fills nothing, and `ColumnMissing`, `KeyNotUnique`.
    """
    columns, problems = [], list[Problem]()
    for index, name in enumerate(header):
        prop = _property(object_type, mapping.get(name, name))
        if prop is None:
            problems.append(
                UnknownColumn(path=("header", index), column=tidy(name), object_type=object_type.name)
            )
        elif prop.read_only or prop.calculated:
            problems.append(
                ReadOnlyColumn(path=("header", index), column=tidy(name), object_type=object_type.name)
            )
        else:
            columns.append(Column(name, prop))
    if problems:
        raise Refused(problems)
    key_property = _property(object_type, mapping.get(key, key))
    found = next((column for column in columns if column.property == key_property), None)
    if found is None:
        raise ColumnMissing(column=tidy(key), columns=[tidy(name) for name in header])
    if not found.property.is_unique:
        raise KeyNotUnique(property=found.property.name, object_type=object_type.name)
    return columns, found


async def define(
    tx: Transaction,
    name: str,
    header: Sequence[str],
    key: str,
    sample: Sequence[Row],
    mapping: Mapping[str, str],
) -> ObjectTypeRow:
    """Make the custom object type `name`, unless it is there, and a property for each column that it has not got.

    The key is unique text; other columns are what the sample shows: numbers or text. The caller opened the
    transaction with `defining`.
    """
    await tx.redefine()
    object_type = tx.catalogue.by_name.get(name)
    new = object_type is None
    if object_type is None:
        words = name.replace("_", " ").capitalize()
        object_type = await object_types.create(tx, name=name, singular=singular(words), plural=words)
    for index, column in enumerate(header):
        wanted = mapping.get(column, column)
        if _property(object_type, wanted) is not None:
            continue
        guess = guessed([row.cells[index] for row in sample if row.problem is None])
        is_key = column == key
        made = await properties.create(
            tx,
            name,
            name=internal(wanted),
            label=column,
            type="STRING" if is_key else guess.type,
            field=None if is_key else guess.field,
            group="imported",
            unique=is_key,
            searchable=is_key or guess.searchable,
        )
        object_type = tx.catalogue.object_types[made.object_type_id]
        if new and is_key:
            # Its records are called by what tells them apart, until somebody chooses otherwise.
            object_type = await object_types.update(tx, name, primary_display_property=made.name)
    return object_type


def guessed(cells: Sequence[str]) -> Guess:
    """What these cells of one column hold. Searchable is what people filter by: numbers, and texts that repeat."""
    held = [cell.strip() for cell in cells if cell.strip()]
    if held and all(NUMBER.fullmatch(cell) for cell in held):
        return Guess("NUMBER", "NUMBER", True)
    if any(len(cell) > PROSE or "\n" in cell for cell in held):
        return Guess("STRING", "MULTI_LINE_TEXT", False)
    return Guess("STRING", "SINGLE_LINE_TEXT", bool(held) and len(set(held)) * 2 <= len(held))


def internal(text: str) -> str:
    """An internal name for something that people call `text`; raises `MalformedName` where nothing is left of it."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain)
    name = "_".join(itertools.dropwhile(str.isdigit, words))[: naming.LONGEST_NAME].strip("_")
    return naming.internal_name(name.lstrip("0123456789_") or tidy(text))


def singular(plural: str) -> str:
    """A guess at the singular of an English plural; people can change it."""
    for ending, one in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if plural.endswith(ending) and len(plural) > len(ending) + 1:
            return plural.removesuffix(ending) + one
    return plural


def _property(object_type: ObjectTypeRow, name: str) -> PropertyRow | None:
    exact = object_type.live(name)
    if exact is not None:
        return exact
    called = [
        prop
        for prop in object_type.properties.values()
        if prop.archived_at is None and prop.label.casefold() == name.casefold()
    ]
    return called[0] if len(called) == 1 else None
