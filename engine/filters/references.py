"""What a filter looks at, and how a change there leads back to the records that the filter is about."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, assert_never

from storage.catalogue import Catalogue
from storage.filters.tree import (
    And,
    AssociatedLeaf,
    Authorship,
    Beside,
    ComparedWith,
    EventLeaf,
    Filter,
    HistoryLeaf,
    Not,
    Or,
    Property,
    PropertyLeaf,
    Reach,
    SegmentLeaf,
    SourceLeaf,
    UpdatedLeaf,
    WorkflowLeaf,
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A property, an association type standing at the record that has it, a segment or a workflow that it is in, or
    an event type of which something occurs to it.

    CHANGED and CONNECTED name an object type of which any property, or any association, may matter.
    `path` holds the association types that lead from that record back to the filter's own, step by step.
    """

    kind: Literal["PROPERTY", "ASSOCIATION", "SEGMENT", "WORKFLOW", "CHANGED", "CONNECTED", "EVENT"]
    id: int
    path: tuple[int, ...]


def references(filter_: Filter, object_type_id: int, catalogue: Catalogue) -> set[Reference]:
    """All that `filter_`, which is about records of `object_type_id`, looks at.

    Whoever follows a path reaches every record whose answer can change; it may reach others. A leaf on unlabelled
    associations names every label of its pair, since one that comes or goes decides.
    """
    return set(_references(filter_, (), catalogue))


def _references(filter_: Filter, path: tuple[int, ...], catalogue: Catalogue) -> Iterator[Reference]:
    match filter_:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _references(part, path, catalogue)
        case Not(part):
            yield from _references(part, path, catalogue)
        case PropertyLeaf(prop, test):
            yield from _of_property(prop, path)
            if isinstance(test, ComparedWith):
                yield from _of_property(test.other, path)
        case AssociatedLeaf(reach, where=where):
            for type_id in _types(reach, catalogue):
                yield Reference("ASSOCIATION", type_id, path)
            if where is not None:
                yield from _references(where, (back(reach, catalogue), *path), catalogue)
        case HistoryLeaf() | UpdatedLeaf() | SourceLeaf() | SegmentLeaf() | WorkflowLeaf():
            yield from _of_beside(filter_, path)
        case EventLeaf(type_id):
            yield Reference("EVENT", type_id, path)
        case _:
            assert_never(filter_)


def _of_beside(leaf: Beside, path: tuple[int, ...]) -> Iterator[Reference]:
    match leaf:
        case HistoryLeaf(prop) | UpdatedLeaf(prop):
            yield Reference("PROPERTY", prop.id, path)
        case SourceLeaf(object_type_id, authorship):
            # Who made a record is known when it is new, and stays.
            if authorship is not Authorship.CREATED:
                yield Reference("CHANGED", object_type_id, path)
        case SegmentLeaf(segment_id):
            yield Reference("SEGMENT", segment_id, path)
        case WorkflowLeaf(workflow_id):
            yield Reference("WORKFLOW", workflow_id, path)
        case _:
            assert_never(leaf)


def _of_property(prop: Property, path: tuple[int, ...]) -> Iterator[Reference]:
    match prop.column:
        case None:
            yield Reference("PROPERTY", prop.id, path)
        case "updated_at":
            yield Reference("CHANGED", prop.object_type_id, path)
        case "last_association_change_at":
            yield Reference("CONNECTED", prop.object_type_id, path)
        case _:
            pass  # When a record was made does not change.


def _types(reach: Reach, catalogue: Catalogue) -> tuple[int, ...]:
    if not reach.only:
        return reach.type_ids
    pair = catalogue.between(reach.from_object_type_id, reach.to_object_type_id)
    return tuple(row.id for row in pair)


def back(reach: Reach, catalogue: Catalogue) -> int:
    """One type that leads back: where there are several labels, the unlabelled type, which stands beside each."""
    if len(reach.inverse_type_ids) == 1:
        return reach.inverse_type_ids[0]
    return catalogue.unlabelled(reach.to_object_type_id, reach.from_object_type_id).id
