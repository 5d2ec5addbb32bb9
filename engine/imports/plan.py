"""A plan: which columns of a file fill what. A JSON document, checked against header and definitions (see `binding`).

{"timeZone": "Europe/Berlin", "file": {"encoding", "delimiter", "sheet"},
 "parts": [{"name", "objectType", "mode", "key": COLUMN, "columns": [{"column", "property", "format"}]}],
 "associations": [{"from": END, "to": END, "labels": [NAME], "labelsColumn": COLUMN}]}
where END is {"part": NAME} or {"objectType", "property", "column"}.
"""

import enum
from dataclasses import dataclass
from typing import Any

from engine.imports.formats import Parse
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
class Column:
    """A column, the property that it fills, and how its cells are read."""

    index: int
    name: str
    property: PropertyRow
    parse: Parse


@dataclass(frozen=True, slots=True)
class Key:
    """The column that tells records apart: by a unique property, or by their ids (None)."""

    index: int
    name: str
    property: PropertyRow | None
    parse: Parse | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """The columns of one object type. Without a key each row makes a record."""

    name: str
    object_type: ObjectTypeRow
    doing: Doing
    key: Key | None
    columns: tuple[Column, ...]


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
    labels_column: tuple[int, str] | None


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
