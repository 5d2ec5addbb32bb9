"""What a use of a label is, what it is to take another's place, and what everybody who uses labels can do."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.labels import Label, SystemLabelFixed
from engine.problems import PathPart, Problem
from storage.catalogue import Catalogue
from storage.database import Queryable, Transaction


class UseKind(enum.StrEnum):
    """What uses a label."""

    ASSOCIATIONS = "ASSOCIATIONS"
    SEGMENT = "SEGMENT"
    WORKFLOW_TRIGGER = "WORKFLOW_TRIGGER"
    WORKFLOW_ACTION = "WORKFLOW_ACTION"
    SYNC = "SYNC"
    REPORT = "REPORT"


_SUBJECTS = {UseKind.SEGMENT: "segment", UseKind.SYNC: "sync", UseKind.REPORT: "report"}


@dataclass(frozen=True, slots=True)
class Use:
    """A use of the label `pair_id`: a number of associations, or a place in a definition.

    `subject_id` is the segment's, workflow's, sync's or report's, `path` the place in its definition, `revision` the
    published definition of a workflow that names the label (None: its draft).
    """

    pair_id: int
    kind: UseKind
    count: int = 1
    subject_id: int | None = None
    name: str | None = None
    revision: int | None = None
    path: tuple[PathPart, ...] = ()

    @property
    def subject(self) -> str | None:
        """What kind of thing it is that names the label; None for associations."""
        if self.subject_id is None:
            return None
        return _SUBJECTS.get(self.kind, "workflow")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A label, told from one direction, and the one that takes its place; `types` are both directions' {old: new}."""

    old: Label
    new: Label
    types: Mapping[int, int]


class LabelUser(Protocol):
    """A part of the product that names labels."""

    async def uses(self, reader: Queryable, catalogue: Catalogue, labels: Sequence[Label]) -> list[Use]:
        """Every use of these labels."""
        ...

    async def replace(self, tx: Transaction, asked: Exchange) -> list[Use]:
        """Use one label instead of another; what was moved. Raises `Refused` with whatever does not fit."""
        ...


class SameLabel(Problem):
    """A label cannot take its own place."""


class OtherObjectPair(Problem):
    """The label "{label}" is between {from_type} and {to_type}: only labels of one object pair replace each other."""


class DirectionUnclear(Problem):
    """ "{old}" reads the same at both records and "{new}" does not: nobody knows at which of the two it belongs."""


def exchange(catalogue: Catalogue, old: Label, new: Label) -> Exchange:
    """Both directions of a label with those that take their place.

    Between two object types `new` may be told from either end; between records of one object type its direction
    says at which record it stands. Raises `SystemLabelFixed`, `SameLabel`, `OtherObjectPair`, `DirectionUnclear`.
    """
    for label, place in ((old, "from"), (new, "to")):
        if label.there.category == "SYSTEM":
            raise SystemLabelFixed(name=label.there.name or "unlabelled", path=(place,))
    if old.there.pair_id == new.there.pair_id:
        raise SameLabel(path=("to",))
    if _ends(new) != _ends(old) and _ends(new) == _ends(old)[::-1]:
        new = Label(new.back, new.there)
    if _ends(new) != _ends(old):
        near, far = (catalogue.object_types[ident].name for ident in _ends(new))
        raise OtherObjectPair(label=new.there.label, from_type=near, to_type=far, path=("to",))
    if old.there.symmetric and not new.there.symmetric:
        raise DirectionUnclear(old=old.there.label, new=new.there.label, path=("to",))
    return Exchange(old, new, {old.there.id: new.there.id, old.back.id: new.back.id})


def _ends(label: Label) -> tuple[int, int]:
    return label.there.from_object_type_id, label.there.to_object_type_id
