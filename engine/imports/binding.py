"""Plans as people and programs write them down, read against a header and definitions; every problem at its path."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from engine.imports import formats
from engine.imports.documents import Path, Reader
from engine.imports.files import STATED
from engine.imports.labels import Labels
from engine.imports.plan import LINKS, PARTS, RECORD_ID, Column, Doing, End, Key, Link, Part, Place, Plan
from engine.imports.problems import (
    ColumnMissing,
    KeyNotUnique,
    PropertyMissing,
    PropertyTwice,
    ReadOnlyColumn,
    UnknownPart,
)
from engine.problems import Problem, Refused, UnknownObjectType
from engine.records.problems import ObjectTypeInactive
from engine.values import tidy
from storage.catalogue import Catalogue, ObjectTypeRow, PropertyRow


def bind(document: Any, header: Sequence[str], catalogue: Catalogue) -> Plan:
    """The plan that `document` describes, for a file with this header. Raises `Refused` with all that is wrong."""
    reading = _Reading(header, catalogue)
    plan = reading.plan(document)
    if reading.problems or plan is None:
        raise Refused(reading.problems)
    return plan


class _Reading(Reader):
    """Reads one plan."""

    def __init__(self, header: Sequence[str], catalogue: Catalogue) -> None:
        super().__init__()
        self._header = list(header)
        self._catalogue = catalogue
        self._zone = catalogue.time_zone

    def plan(self, document: Any) -> Plan | None:
        if not self.is_object(document, ("timeZone", "file", "parts", "associations"), ()):
            return None
        self._zone = self._time_zone(document)
        self._file(document.get("file"))
        parts: dict[str, Part] = {}
        for n, given in enumerate(self.items(document, "parts", (), PARTS)):
            part = self._part(given, ("parts", n))
            if part is not None and part.name in parts:
                self.wrong(("parts", n, "name"), f'two parts are called "{tidy(part.name)}": give them names')
            elif part is not None:
                parts[part.name] = part
        links = [
            self._link(given, ("associations", n), parts)
            for n, given in enumerate(self.items(document, "associations", (), LINKS))
        ]
        if not self.problems and not parts and not links:
            self.wrong((), "it has neither parts nor associations")
        made = tuple(link for link in links if link is not None)
        return Plan(tuple(parts.values()), made, dict(document), tuple(self._header), self._catalogue.version)

    def _time_zone(self, document: Mapping[str, Any]) -> str:
        zone = self.text(document, "timeZone", (), needed=False)
        if zone is None:
            return self._catalogue.time_zone
        try:
            ZoneInfo(zone)
        except (ValueError, OSError, LookupError):
            self.wrong(("timeZone",), f'there is no time zone "{tidy(zone)}"')
            return "UTC"
        return zone

    def _file(self, given: Any) -> None:
        """How the file is to be read is for whoever opens it (see `files.Reading`); here only its form."""
        if given is None or not self.is_object(given, STATED, ("file",)):
            return
        for name in given:
            self.text(given, name, ("file",), needed=False)

    def _part(self, given: Any, path: Path) -> Part | None:
        if not self.is_object(given, ("name", "objectType", "mode", "key", "columns"), path):
            return None
        object_type = self._object_type(given, path)
        doing = self._doing(given, path)
        named = self.text(given, "key", path, needed=False)
        columns: list[Column] = []
        key: Key | None = None
        listed = self.items(given, "columns", path, 1_000)
        for n, one in enumerate(listed):
            found = self._column(one, object_type, (*path, "columns", n))
            if isinstance(found, Column):
                self._once(found, columns, object_type, (*path, "columns", n))
                columns.append(found)
                if found.name == named:
                    key = self._key(found, object_type, (*path, "key"))
            elif isinstance(found, Key):
                if found.name == named:
                    key = found
                else:
                    self.wrong((*path, "columns", n, "property"), "only the key may be the id of a record")
        if object_type is None:
            return None
        if not listed:
            self.wrong((*path, "columns"), "no column is named")
        if named is not None and key is None and not self.problems:
            self.problems.append(
                ColumnMissing(
                    path=(*path, "key"), column=tidy(named), columns=[tidy(one.name) for one in columns]
                )
            )
        if named is None and doing is not Doing.CREATE:
            self.wrong((*path, "key"), f"{doing} needs a column that tells records apart")
        if doing is Doing.CREATE and key is not None and key.property is None:
            self.wrong((*path, "key"), "new records have no ids yet")
        name = self.text(given, "name", path, needed=False) or object_type.name
        return Part(name, object_type, doing, key, tuple(columns))

    def _once(
        self,
        found: Column,
        columns: Sequence[Column],
        object_type: ObjectTypeRow | None,
        path: Path,
    ) -> None:
        other = next((one for one in columns if one.property.id == found.property.id), None)
        if other is not None and object_type is not None:
            self.problems.append(
                PropertyTwice(
                    path=path,
                    property=found.property.name,
                    object_type=object_type.name,
                    column=tidy(other.name),
                    other=tidy(found.name),
                )
            )

    def _column(self, given: Any, object_type: ObjectTypeRow | None, path: Path) -> Column | Key | None:
        if not self.is_object(given, ("column", "property", "format"), path):
            return None
        place = self._place(given, "column", path)
        wanted = self.text(given, "property", path)
        stated = self.text(given, "format", path, needed=False)
        if place is None or wanted is None or object_type is None:
            return None
        prop = object_type.live(wanted)
        if prop is None and wanted == RECORD_ID:
            return Key(place.index, place.name, None)
        if prop is None:
            self._missing(object_type, wanted, place, path)
            return None
        if prop.read_only or prop.calculated:
            self.problems.append(
                ReadOnlyColumn(path=path, column=tidy(place.name), object_type=object_type.name)
            )
            return None
        return self._read_by(place, prop, stated, path)

    def _read_by(self, place: Place, prop: PropertyRow, stated: str | None, path: Path) -> Column | None:
        try:
            parse = formats.parser(prop, stated, self._zone)
        except Problem as problem:
            self.problems.append(problem.at(*path, "format"))
            return None
        return Column(place.index, place.name, prop, parse, stated and formats.expected(prop, stated))

    def _key(self, column: Column, object_type: ObjectTypeRow | None, path: Path) -> Key | None:
        if not column.property.is_unique and object_type is not None:
            self.problems.append(
                KeyNotUnique(path=path, property=column.property.name, object_type=object_type.name)
            )
            return None
        return Key(column.index, column.name, column.property, column.parse)

    def _link(self, given: Any, path: Path, parts: Mapping[str, Part]) -> Link | None:
        if not self.is_object(given, ("from", "to", "labels", "labelsColumn"), path):
            return None
        near = self._end(given.get("from"), (*path, "from"), parts)
        far = self._end(given.get("to"), (*path, "to"), parts)
        column = None
        if given.get("labelsColumn") is not None:
            column = self._place(given, "labelsColumn", path)
        fixed = self.items(given, "labels", path, 50)
        if near is None or far is None:
            return None
        if near.part is not None and near.part == far.part:
            self.wrong((*path, "to"), "both ends are the same record")
        known = Labels(self._catalogue, near.object_type.name, far.object_type.name)
        names = [self._label(known, one, (*path, "labels", n)) for n, one in enumerate(fixed)]
        return Link(near, far, tuple(dict.fromkeys(name for name in names if name)), column)

    def _label(self, known: Labels, given: Any, path: Path) -> str | None:
        if not isinstance(given, str):
            self.wrong(path, "a label is named by text")
            return None
        try:
            return known.name(given.strip())
        except Problem as problem:
            self.problems.append(problem.at(*path))
            return None

    def _end(self, given: Any, path: Path, parts: Mapping[str, Part]) -> End | None:
        if isinstance(given, Mapping) and "part" in given:
            self.names(given, ("part",), path)
            name = self.text(given, "part", path)
            part = None if name is None else parts.get(name)
            if part is None:
                told = {"part": tidy(name or ""), "parts": list(parts) or "none"}
                self.problems.append(UnknownPart(path=(*path, "part"), **told))
                return None
            return End(part.object_type, part.name, None)
        if not self.is_object(given, ("objectType", "property", "column"), path):
            return None
        object_type = self._object_type(given, path)
        place = self._place(given, "column", path)
        wanted = self.text(given, "property", path)
        if object_type is None or place is None or wanted is None:
            return None
        prop = object_type.live(wanted)
        if prop is None and wanted == RECORD_ID:
            return End(object_type, None, Key(place.index, place.name, None))
        if prop is None:
            self._missing(object_type, wanted, place, path)
            return None
        column = self._read_by(place, prop, None, path)
        key = None if column is None else self._key(column, object_type, (*path, "property"))
        return None if key is None else End(object_type, None, key)

    def _missing(self, object_type: ObjectTypeRow, wanted: str, place: Place, path: Path) -> None:
        told = {"object_type": object_type.name, "property": tidy(wanted), "column": tidy(place.name)}
        self.problems.append(PropertyMissing(path=(*path, "property"), **told))

    def _object_type(self, given: Mapping[str, Any], path: Path) -> ObjectTypeRow | None:
        name = self.text(given, "objectType", path)
        if name is None:
            return None
        found = self._catalogue.by_name.get(name)
        at = (*path, "objectType")
        if found is None:
            self.problems.append(UnknownObjectType(path=at, kind="object type", name=tidy(name)))
        elif not found.active:
            self.problems.append(ObjectTypeInactive(path=at, object_type=found.name))
        return found

    def _doing(self, given: Mapping[str, Any], path: Path) -> Doing:
        name = self.text(given, "mode", path, needed=False) or Doing.UPSERT.value
        try:
            return Doing(name)
        except ValueError:
            self.wrong((*path, "mode"), f"it is one of {', '.join(Doing)}")
            return Doing.UPSERT

    def _place(self, given: Mapping[str, Any], name: str, path: Path) -> Place | None:
        column = self.text(given, name, path)
        if column is None:
            return None
        if column not in self._header:
            self.problems.append(
                ColumnMissing(
                    path=(*path, name), column=tidy(column), columns=[tidy(one) for one in self._header]
                )
            )
            return None
        return Place(self._header.index(column), column)
