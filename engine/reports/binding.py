"""What the parts of a report's definition share while they are bound: its sources and their properties."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine import filters
from engine.problems import Problem, Refused
from engine.records.problems import UnknownProperty
from engine.reports import problems as told
from engine.reports.reading import Path, Reading
from engine.values import tidy
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow, PropertyRow
from storage.filters.tree import Filter, Property

# What of the record itself may be an axis: its column, and what people call it.
MOMENTS = {"createdAt": ("created_at", "Created"), "updatedAt": ("updated_at", "Updated")}


@dataclass(frozen=True, slots=True)
class Source:
    """A source of a report, under the name by which its parts speak of it."""

    name: str
    object_type: ObjectTypeRow
    # Labels by which it may be joined; none of the primary one.
    labels: tuple[AssociationTypeRow, ...] = ()


@dataclass(slots=True)
class Binding(Reading):
    """A definition that is being bound, and what is wrong with it."""

    catalogue: Catalogue = field(kw_only=True)
    primary: ObjectTypeRow = field(kw_only=True)
    # By place; None: its join is wrong, which is told where it stands.
    sources: list[Source | None] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def source(self, asked: Mapping[str, Any], path: Path, key: str = "source") -> int | None:
        """The place of a source, the first where none is named; None where that is told to be wrong."""
        name = asked.get(key)
        if name is None:
            return 0
        if isinstance(name, str) and name in self.names:
            place = self.names.index(name)
            return None if self.sources[place] is None else place
        self.wrong(told.UnknownSource(source=tidy(str(name)), known=self.names), *path, key)
        return None

    def at(self, place: int) -> Source:
        """The source at a place that `source` has told."""
        found = self.sources[place]
        assert found is not None  # only such places are told
        return found

    def property(
        self, source: int, asked: Mapping[str, Any], key: str, path: Path
    ) -> tuple[Property, PropertyRow | None] | None:
        """A property of a source as filters know it, and its row; the record's own moments have none."""
        of, name = self.at(source).object_type, asked.get(key)
        if not isinstance(name, str):
            self.malformed("the name of a property", name, *path, key)
            return None
        row = of.live(name)
        if row is not None:
            return Property(row.id, row.object_type_id, row.name, row.type, row.multiple), row
        if name in MOMENTS:
            return Property(0, of.id, name, "DATETIME", column=MOMENTS[name][0]), None
        self.wrong(UnknownProperty(property=tidy(name), object_type=of.name), *path, key)
        return None

    def filter(self, definition: Any, of: ObjectTypeRow, path: Path) -> Filter | None:
        """A filter of one source; what it leaves out follows the primary object type."""
        if definition is None:
            return None
        try:
            filters.bind(definition, of, self.catalogue)
            return filters.bind(filters.explicit(definition, self.primary), of, self.catalogue)
        except Refused as refused:
            self.problems += [problem.at(*path) for problem in refused.problems]
        except Problem as problem:
            self.wrong(problem, *path)
        return None
