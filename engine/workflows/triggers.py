"""From changes to candidates: which workflows may want which records, decided without asking the database.

A candidate is only examined, so naming one too many costs a little time and one too few loses an enrollment.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from engine import filters
from storage.catalogue import Catalogue
from storage.changes import ChangeKind, QueuedChange
from storage.filters.tree import Filter
from storage.walks import WalkRow
from storage.workflows import Listener, Ref

# What `Ref.ref_id` names: a property, an association type standing at the changed record, an object type
# whose record came or went.
PROPERTY, ASSOCIATION, RECORD = "PROPERTY", "ASSOCIATION", "RECORD"

Key: TypeAlias = tuple[str, int]

_ASSOCIATIONS = (ChangeKind.ASSOCIATED, ChangeKind.DISSOCIATED)
_GONE = (ChangeKind.ARCHIVED, ChangeKind.MERGED)


@dataclass(frozen=True, slots=True)
class Cause:
    """The change for which a record is examined. `told` is how the enrollment's reason tells of it."""

    told: Mapping[str, Any]
    at: datetime
    depth: int
    version: int


# (workflow, record) → why it is examined.
Candidates: TypeAlias = dict[tuple[int, int], Cause]


def refs(bound: Iterable[Filter], object_type_id: int, catalogue: Catalogue) -> list[Ref]:
    """What a workflow with these triggers has to hear of, each once, in a fixed order."""
    # A new or restored record of the workflow's own type may meet any filter.
    found = {Ref(RECORD, object_type_id, ())}
    for filter_ in bound:
        for reference in filters.references(filter_, object_type_id, catalogue):
            found.add(Ref(reference.kind, reference.id, reference.path))
            if reference.kind == ASSOCIATION:
                # An archived record is out of every count, and a restored one is back in.
                joins = catalogue.association_types[reference.id]
                found.add(Ref(RECORD, joins.to_object_type_id, (joins.inverse_id, *reference.path)))
    return sorted(found, key=lambda ref: (ref.kind, ref.ref_id, ref.path))


def keys(change: QueuedChange, catalogue: Catalogue) -> Iterator[Key]:
    """What a change is looked up by."""
    if change.kind in _ASSOCIATIONS:
        yield from ((ASSOCIATION, type_id) for type_id in change.type_ids)
    elif change.kind is ChangeKind.UPDATED:
        object_type = catalogue.object_types[change.object_type_id]
        for name in change.properties:
            if (found := object_type.properties.get(name)) is not None:
                yield PROPERTY, found.id
    else:
        yield RECORD, change.object_type_id


def heard(change: QueuedChange, listener: Listener) -> bool:
    """Whether a change whose key the listener named concerns it."""
    if change.version < listener.enabled_version:
        return False
    if change.kind is ChangeKind.CREATED:
        # What it is associated with is told by changes of its own.
        return not listener.ref.path
    if change.kind in _GONE:
        return bool(listener.ref.path)
    return True


def candidates(
    changes: Sequence[QueuedChange], listeners: Iterable[Listener], catalogue: Catalogue
) -> tuple[Candidates, list[WalkRow]]:
    """The records to examine, and the walks that lead to further ones."""
    by_key: dict[Key, list[Listener]] = {}
    for listener in listeners:
        by_key.setdefault((listener.ref.kind, listener.ref.ref_id), []).append(listener)
    near: Candidates = {}
    far: dict[tuple[int, tuple[int, ...]], tuple[set[int], Cause]] = {}
    for change in changes:
        cause = cause_of(change)
        for key in keys(change, catalogue):
            for listener in by_key.get(key, ()):
                if not heard(change, listener):
                    continue
                if not listener.ref.path:
                    offer(near, (listener.workflow_id, change.record_id), cause)
                    continue
                way = (change.record_id, listener.ref.path)
                workflows, first = far.get(way, (set(), cause))
                far[way] = ({*workflows, listener.workflow_id}, _milder(first, cause))
    return near, [
        walk(record_id, path, sorted(workflows), cause)
        for (record_id, path), (workflows, cause) in far.items()
    ]


def offer(found: Candidates, pair: tuple[int, int], cause: Cause) -> None:
    """Note a candidate; of several causes the one nearest to the outside world counts."""
    known = found.get(pair)
    found[pair] = cause if known is None else _milder(known, cause)


def cause_of(change: QueuedChange) -> Cause:
    """The change as the reason of what follows."""
    told = {
        "kind": change.kind.value,
        "record": change.record_id,
        "source": change.source,
        "sourceId": change.source_id,
    }
    return Cause(told, change.at, change.depth, change.version)


def walk(record_id: int, path: tuple[int, ...], workflow_ids: Sequence[int], cause: Cause) -> WalkRow:
    """A walk that has not begun."""
    return WalkRow(
        record_id, path, 0, tuple(workflow_ids), dict(cause.told), cause.at, cause.depth, cause.version
    )


def _milder(one: Cause, other: Cause) -> Cause:
    milder = one if one.depth <= other.depth else other
    # A later version: a workflow that was turned on again since both is told apart from either by it.
    return Cause(milder.told, milder.at, milder.depth, max(one.version, other.version))
