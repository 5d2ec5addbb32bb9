"""Where a workflow's definition names labels, and the same definition with other names in those places.

Definitions and the filters in them have one habit: whatever names labels says beside them, under "to", to which
object type they lead, and a "where" beside them is about the records there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from engine.problems import PathPart
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow

# Under these stand internal names of labels: one, or a list of them.
NAMES = ("label", "labels", "newLabel")
# What stands under these is data, whatever it looks like.
DATA = ("value", "values")

Path: TypeAlias = tuple[PathPart, ...]
# The name that is to stand where a label was named.
_Rename: TypeAlias = Callable[[Path, AssociationTypeRow], str | None]


@dataclass(frozen=True, slots=True)
class Mention:
    """A place in a definition that names a label, with the type in the direction that is meant."""

    path: Path
    type: AssociationTypeRow


def mentions(
    definition: Mapping[str, Any], object_type: ObjectTypeRow, catalogue: Catalogue
) -> Iterator[Mention]:
    """All places in a definition for records of `object_type` that name labels which there are."""
    found: list[Mention] = []

    def note(path: Path, row: AssociationTypeRow) -> str | None:
        found.append(Mention(path, row))
        return row.name

    _walk(definition, object_type, catalogue, (), note)
    yield from found


def exchanged(
    definition: Mapping[str, Any],
    object_type: ObjectTypeRow,
    catalogue: Catalogue,
    exchange: Mapping[int, int],
) -> dict[str, Any]:
    """The definition with every label named by the one that takes its place ({old type: new type})."""

    def rename(_: Path, row: AssociationTypeRow) -> str | None:
        return catalogue.association_types[exchange.get(row.id, row.id)].name

    changed: dict[str, Any] = _walk(definition, object_type, catalogue, (), rename)
    return changed


def _walk(value: Any, near: ObjectTypeRow, catalogue: Catalogue, path: Path, rename: _Rename) -> Any:
    """`value`, which is about records of `near`, with its labels renamed."""
    if isinstance(value, list | tuple):
        return [_walk(part, near, catalogue, (*path, n), rename) for n, part in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    to = value.get("to")
    far = catalogue.by_name.get(to) if isinstance(to, str) else None
    answer: dict[str, Any] = {}
    for key, part in value.items():
        below = (*path, key)
        if far is not None and key in NAMES:
            answer[key] = _renamed(part, near, far, catalogue, below, rename)
        elif key in DATA:
            answer[key] = part
        else:
            about = far if far is not None and key == "where" else near
            answer[key] = _walk(part, about, catalogue, below, rename)
    return answer


def _renamed(
    names: Any, near: ObjectTypeRow, far: ObjectTypeRow, catalogue: Catalogue, path: Path, rename: _Rename
) -> Any:
    if isinstance(names, list | tuple):
        renamed = [_renamed(name, near, far, catalogue, (*path, n), rename) for n, name in enumerate(names)]
        # Where both were named, one is left.
        return renamed if renamed == list(names) else list(dict.fromkeys(renamed))
    row = catalogue.label(near.id, far.id, names) if isinstance(names, str) else None
    return names if row is None else rename(path, row)
