"""A plan: which columns of a file fill what. A JSON document, checked against header and definitions (see `binding`).

{"timeZone": "Europe/Berlin", "file": {"encoding", "delimiter", "sheet"},
 "parts": [{"name", "objectType", "mode", "key": COLUMN, "columns": [{"column", "property", "format"}]}],
 "associations": [{"from": END, "to": END, "labels": [NAME], "labelsColumn": COLUMN}]}
where END is {"part": NAME} or {"objectType", "property", "column"}.
"""

import enum
from dataclasses import dataclass
from typing import Any

from engine.imports.formats import Parse, Typed
from engine.problems import Problem
from engine.values import InvalidValue
from storage.catalogue import ObjectTypeRow, PropertyRow

# Instead of a property: the ids under which the API knows records.
RECORD_ID = "id"
# Bounds of one plan.
PARTS, LINKS = 10, 20


class Doing(enum.StrEnum):
    """What rows do with the records that they name."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    UPSERT = "UPSERT"


@dataclass(frozen=True, slots=True)
class Place:
    """A column of the file: where its cells stand in a row, and what the header calls it."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class Column(Place):
    """A column, the property that it fills, and how its cells are read."""

    property: PropertyRow
    parse: Parse
    # What texts in it are to look like, where a format is stated.
    expected: str | None = None

    def told(self, problem: Problem, cell: str) -> Problem:
        """A problem with a cell, asking for what the column's format reads.

        Not where the cell was read by it and is wrong all the same, as a number beyond all bounds; nor of what a
        spreadsheet keeps as a number or a date.
        """
        if self.expected is None or not isinstance(problem, InvalidValue) or isinstance(cell, Typed):
            return problem
        if not isinstance(self.parse(cell), str):
            return problem
        return InvalidValue(path=problem.path, **{**problem.details, "expected": self.expected})


@dataclass(frozen=True, slots=True)
class Key(Place):
    """The column that tells records apart: by a unique property, or by their ids (None)."""

    property: PropertyRow | None
    parse: Parse | None = None

    def called(self) -> str:
        """What tells records apart, as plans name it."""
        return RECORD_ID if self.property is None else self.property.name


@dataclass(frozen=True, slots=True)
class Part:
    """The columns of one object type. Without a key each row makes a record."""

    name: str
    object_type: ObjectTypeRow
    doing: Doing
    key: Key | None
    columns: tuple[Column, ...]

    @property
    def unique(self) -> PropertyRow | None:
        """The property by which records are told apart; None: by their ids, or not at all."""
        return None if self.key is None else self.key.property

    @property
    def by_ids(self) -> bool:
        """Whether the records are told apart by their ids."""
        return self.key is not None and self.key.property is None


@dataclass(frozen=True, slots=True)
class End:
    """One end of associations: the record of a part of the row, or one that is there, by its key."""

    object_type: ObjectTypeRow
    part: str | None
    key: Key | None


@dataclass(frozen=True, slots=True)
class Link:
    """Associations between two ends; labels stand at the first, are fixed, or come from a column."""

    near: End
    far: End
    labels: tuple[str, ...]
    labels_column: Place | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked plan. `document` is what it was made of, `version` that of the definitions."""

    parts: tuple[Part, ...]
    links: tuple[Link, ...]
    document: dict[str, Any]
    header: tuple[str, ...]
    version: int

    @property
    def kind(self) -> str:
        """What is imported, in a word."""
        if not self.links:
            return "RECORDS"
        return "RECORDS_AND_ASSOCIATIONS" if self.parts else "ASSOCIATIONS"

    @property
    def repeats(self) -> bool:
        """Whether several rows may be about one record: each row names several."""
        return len(self.parts) > 1 or (bool(self.parts) and bool(self.links))
