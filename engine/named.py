"""Who names a thing of the account in a definition: segments, drafts and revisions of workflows, syncs, reports.

Whoever deletes or archives something asks here first. Labels have `engine.uses.uses`, since they are replaced, too.
"""

import enum
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine import ids
from engine.problems import PathPart
from engine.reports import names as of_reports
from engine.workflows.labels import DATA, NAMES
from storage import segment_labels, workflow_labels
from storage.catalogue import Catalogue
from storage.database import Queryable
from storage.reports import saved
from storage.sync import mappings, syncs

Path = tuple[PathPart, ...]


class Named(enum.StrEnum):
    """What definitions name, beside labels."""

    SEGMENT = "segment"
    WORKFLOW = "workflow"
    PROPERTY = "property"
    EVENT_TYPE = "event_type"


@dataclass(frozen=True, slots=True)
class NamedUse:
    """A place in the definition of a segment, a workflow, a sync or a report (`kind`) that names something.

    `revision`: the published definition of a workflow, or one on which enrollments are under way (None: its draft).
    """

    kind: str
    id: int
    name: str
    revision: int | None
    path: Path


@dataclass(frozen=True, slots=True)
class _Definition:
    kind: str
    id: int
    name: str
    revision: int | None
    object_type_id: int
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Text:
    """A text that names something, and the object types of which it may be said."""

    path: Path
    text: str
    about: frozenset[str | None]


async def of(
    reader: Queryable, catalogue: Catalogue, kind: Named, wanted: Collection[int]
) -> dict[int, list[NamedUse]]:
    """Every place that names each of these, segments' first; a few statements, however many are asked for.

    What names itself does not count. Placeholders of properties in the texts of mails are no places.
    """
    words = {one: known for one in wanted if (known := _word(catalogue, kind, one)) is not None}
    found: dict[int, list[NamedUse]] = {one: [] for one in wanted}
    async for definition in _naming(reader, {text for text, _ in words.values()}):
        near = catalogue.object_types[definition.object_type_id].name
        said = _texts(definition.document, near, catalogue, ())
        texts = list(said if definition.kind != "report" else _of_report(definition.document, catalogue))
        for one, (word, about) in words.items():
            if (definition.kind, definition.id) == (kind, one):
                continue
            found[one] += [
                NamedUse(definition.kind, definition.id, definition.name, definition.revision, text.path)
                for text in texts
                if text.text == word and (about is None or about in text.about)
            ]
    if kind is Named.PROPERTY:
        for use in await mappings.uses(reader, found):
            path = ("mappings", use.place, "property")
            found[use.property_id].append(NamedUse("sync", use.sync_id, use.name, None, path))
    return found


def _word(catalogue: Catalogue, kind: Named, one: int) -> tuple[str, str | None] | None:
    """How definitions name a thing, and of which object type they must say it; None where there is none."""
    match kind:
        case Named.SEGMENT | Named.WORKFLOW:
            return ids.encode(kind.value, one), None
        case Named.EVENT_TYPE:
            event_type = catalogue.event_types.get(one)
            return None if event_type is None else (event_type.name, None)
        case Named.PROPERTY:
            for object_type in catalogue.object_types.values():
                for prop in object_type.properties.values():
                    if prop.id == one:
                        return prop.name, object_type.name
            return None


async def _naming(reader: Queryable, names: Collection[str]) -> AsyncIterator[_Definition]:
    if not names:
        return
    for one in await segment_labels.naming(reader, names):
        yield _Definition("segment", one.segment_id, one.name, None, one.object_type_id, one.definition)
    for row in await workflow_labels.naming(reader, names):
        yield _Definition(
            "workflow", row.workflow_id, row.name, row.revision, row.object_type_id, row.definition
        )
    for sync in await syncs.definitions(reader):
        where = {"filterOurs": sync.definition.get("filterOurs")}
        yield _Definition("sync", sync.id, sync.name, None, sync.object_type_id, where)
    for report in await saved.naming(reader, names):
        yield _Definition("report", report.id, report.name, None, report.object_type_id, report.definition)


def _of_report(definition: Mapping[str, Any], catalogue: Catalogue) -> Iterator[_Text]:
    """What a report names: in its filters, and by the properties of its sources."""
    sources = of_reports.sources(definition, catalogue)
    primary = definition["objectType"]
    yield from _texts(definition.get("where"), primary, catalogue, ("where",))
    for n, join in enumerate(definition.get("joins", ())):
        yield from _texts(join.get("where"), join["to"], catalogue, ("joins", n, "where"))
    axes = [
        (("axes", n, "property"), axis.get("property")) for n, axis in enumerate(definition.get("axes", ()))
    ]
    measures = [(("measures", n), measure) for n, measure in enumerate(definition.get("measures", ()))]
    for parts, key in ((axes, "name"), (measures, "property")):
        for path, part in parts:
            source = sources.get(part.get("source") or primary) if part is not None else None
            if part is not None and source is not None and isinstance(part.get(key), str):
                yield _Text((*path, key), part[key], frozenset({source.name}))


def _texts(value: Any, near: str | None, catalogue: Catalogue, path: Path) -> Iterator[_Text]:
    """The texts in a definition for records of `near` that may name something; None: it is about events."""
    if isinstance(value, list | tuple):
        for n, part in enumerate(value):
            yield from _texts(part, near, catalogue, (*path, n))
        return
    if not isinstance(value, Mapping):
        return
    to = value.get("to")
    far = to if isinstance(to, str) and to in catalogue.by_name else None
    # Actions name properties of either end.
    about = frozenset({near, far} if far is not None else {near})
    for key, part in value.items():
        if key in DATA or key in NAMES:
            continue
        below = (*path, key)
        if isinstance(part, str):
            yield _Text(below, part, about)
        elif isinstance(part, list) and all(isinstance(one, str) for one in part):
            yield from (_Text((*below, n), one, about) for n, one in enumerate(part))
        elif key == "where" and far is not None:
            yield from _texts(part, far, catalogue, below)
        elif key == "where" and isinstance(value.get("type"), str):
            yield from _texts(part, None, catalogue, below)
        else:
            yield from _texts(part, near, catalogue, below)
