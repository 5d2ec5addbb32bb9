"""What a report's definition names: labels, each at its place, and its sources; and the same with other labels."""

from collections.abc import Iterator, Mapping
from typing import Any

from engine.problems import PathPart
from engine.workflows import labels
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow

Path = tuple[PathPart, ...]


def sources(definition: Mapping[str, Any], catalogue: Catalogue) -> dict[str, ObjectTypeRow]:
    """The object types of a definition's sources that there are, by the names of the sources."""
    primary = catalogue.by_name.get(definition["objectType"])
    found = {} if primary is None else {primary.name: primary}
    for join in definition.get("joins", ()):
        far = catalogue.by_name.get(join["to"])
        if far is not None:
            found[join.get("as") or far.name] = far
    return found


def mentions(
    definition: Mapping[str, Any], catalogue: Catalogue
) -> Iterator[tuple[Path, AssociationTypeRow]]:
    """All places in a stored definition that name labels which there are, with the type in the direction meant."""
    known = sources(definition, catalogue)
    primary = known.get(definition["objectType"])
    if primary is not None and definition.get("where") is not None:
        for one in labels.mentions(definition["where"], primary, catalogue):
            yield ("where", *one.path), one.type
    for n, join in enumerate(definition.get("joins", ())):
        near, far = known.get(join.get("from") or definition["objectType"]), catalogue.by_name.get(join["to"])
        if near is None or far is None:
            continue
        for place, name in enumerate(join.get("labels") or ()):
            row = catalogue.label(near.id, far.id, name)
            if row is not None:
                yield ("joins", n, "labels", place), row
        if join.get("where") is not None:
            for one in labels.mentions(join["where"], far, catalogue):
                yield ("joins", n, "where", *one.path), one.type


def exchanged(
    definition: Mapping[str, Any], catalogue: Catalogue, types: Mapping[int, int]
) -> dict[str, Any]:
    """The definition with every label named by the one that takes its place ({old type: new type})."""
    known = sources(definition, catalogue)
    primary = known.get(definition["objectType"])
    changed = dict(definition)
    if primary is not None and definition.get("where") is not None:
        changed["where"] = labels.exchanged(definition["where"], primary, catalogue, types)
    joins = []
    for join in definition.get("joins", ()):
        near, far = known.get(join.get("from") or definition["objectType"]), catalogue.by_name.get(join["to"])
        join = dict(join)
        if near is not None and far is not None and join.get("labels"):
            join["labels"] = list(
                dict.fromkeys(_renamed(name, near, far, catalogue, types) for name in join["labels"])
            )
        if far is not None and join.get("where") is not None:
            join["where"] = labels.exchanged(join["where"], far, catalogue, types)
        joins.append(join)
    return {**changed, "joins": joins} if "joins" in definition else changed


def _renamed(
    name: str, near: ObjectTypeRow, far: ObjectTypeRow, catalogue: Catalogue, types: Mapping[int, int]
) -> str:
    row = catalogue.label(near.id, far.id, name)
    new = None if row is None else catalogue.association_types[types.get(row.id, row.id)].name
    return name if new is None else new
