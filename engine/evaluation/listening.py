"""From changes to candidates: which listeners are to examine which records, decided without asking the database.

Listeners are workflows and active segments. A candidate is only examined, so naming one too many costs a little
time and one too few loses an enrollment or a member.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from engine import filters
from storage.catalogue import Catalogue
from storage.changes import ChangeKind, QueuedChange
from storage.filters.tree import Filter
from storage.listeners import Listener, Ref
from storage.walks import WalkRow

# What `Ref.ref_id` names: a property, an association type standing at the changed record, an object type
# whose record came or went, a segment that it joined or left, a workflow that enrolled it or came to an end with
# it; an object type of which any property, or any association, of a record changed; an event type of which something
# occurred to it.
PROPERTY, ASSOCIATION, RECORD, SEGMENT = "PROPERTY", "ASSOCIATION", "RECORD", "SEGMENT"
WORKFLOW, CHANGED, CONNECTED, EVENT = "WORKFLOW", "CHANGED", "CONNECTED", "EVENT"
# These are never looked up by a change. VALUE: a property of which a workflow waits to become something, see
# `Catalogue.watched`. IMPORT: an object type of which imports are awaited. AWAITED: a segment that an enrollment waits
# for its record to join or to leave; whoever waits is found by the record.
VALUE, IMPORT, AWAITED = "VALUE", "IMPORT", "AWAITED"

Key: TypeAlias = tuple[str, int]

_ASSOCIATIONS = (ChangeKind.ASSOCIATED, ChangeKind.DISSOCIATED)
_MEMBERSHIPS = (ChangeKind.SEGMENT_JOINED, ChangeKind.SEGMENT_LEFT)
_EVENTS = (ChangeKind.OCCURRED, ChangeKind.EVENTS_MOVED)
_GONE = (ChangeKind.ARCHIVED, ChangeKind.MERGED)


# Made by the thousand, and never changed: freezing costs four times as much as making them.
@dataclass(slots=True)
class Cause:
    """The change for which a record is examined. `told` is how enrollments and members tell of it.

    `changes`: those of the record itself, for who waits for a change rather than for what it leads to. `due`: when
    the clock was to be looked at, where that time has come.
    """

    told: Mapping[str, Any]
    at: datetime
    depth: int
    version: int
    changes: tuple[QueuedChange, ...] = ()
    due: datetime | None = None


# {listener: {record: why it is examined}}
Candidates: TypeAlias = dict[int, dict[int, Cause]]

# Those of the listeners to a key for whom a change can make a difference.
Matters: TypeAlias = Callable[[QueuedChange, Key, Sequence[Listener]], Sequence[Listener]]


def refs(bound: Iterable[Filter], object_type_id: int, catalogue: Catalogue) -> list[Ref]:
    """What a listener with these filters has to hear of, each once, in a fixed order."""
    # A new or restored record of the listener's own type may meet any filter.
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
        yield CONNECTED, change.object_type_id
        yield from ((ASSOCIATION, type_id) for type_id in change.type_ids)
    elif change.kind in _MEMBERSHIPS:
        yield from ((SEGMENT, segment_id) for segment_id in change.type_ids)
    elif change.kind is ChangeKind.ENROLLMENT_MOVED:
        yield from ((WORKFLOW, workflow_id) for workflow_id in change.type_ids)
    elif change.kind in _EVENTS:
        yield from ((EVENT, type_id) for type_id in change.type_ids)
    elif change.kind is ChangeKind.UPDATED:
        yield CHANGED, change.object_type_id
        object_type = catalogue.object_types[change.object_type_id]
        for name in change.properties:
            if (found := object_type.properties.get(name)) is not None:
                yield PROPERTY, found.id
    else:
        yield RECORD, change.object_type_id


def heard(change: QueuedChange, listener: Listener) -> bool:
    """Whether a change whose key the listener named concerns it."""
    if listener.since is None or change.version < listener.since:
        return False
    if change.kind is ChangeKind.CREATED:
        # What it is associated with is told by changes of its own.
        return not listener.ref.path
    if change.kind in _GONE:
        return bool(listener.ref.path) or listener.loses
    return True


def candidates(
    changes: Sequence[QueuedChange],
    listeners: Iterable[Listener],
    catalogue: Catalogue,
    matters: Matters = lambda _change, _key, listeners: listeners,
) -> tuple[Candidates, list[WalkRow]]:
    """The records to examine, and the walks that lead to further ones; what does not matter is passed over."""
    by_key: dict[Key, list[Listener]] = {}
    for listener in listeners:
        by_key.setdefault((listener.ref.kind, listener.ref.ref_id), []).append(listener)
    near: Candidates = {}
    far: dict[tuple[int, tuple[int, ...]], tuple[set[int], Cause]] = {}
    for change in changes:
        # Most changes concern nobody.
        known_keys = [key for key in keys(change, catalogue) if key in by_key]
        if not known_keys:
            continue
        cause = cause_of(change)
        itself = Cause(cause.told, cause.at, cause.depth, cause.version, (change,))
        for key in known_keys:
            for listener in matters(change, key, by_key[key]):
                if not heard(change, listener):
                    continue
                if not listener.ref.path:
                    near_cause = cause if listener.loses else itself
                    offer(near, listener.listener_id, change.record_id, near_cause)
                    continue
                way = (change.record_id, listener.ref.path)
                known = far.get(way)
                if known is None:
                    far[way] = {listener.listener_id}, cause
                else:
                    known[0].add(listener.listener_id)
                    far[way] = known[0], _milder(known[1], cause)
    return near, [
        walk(record_id, path, sorted(interested), cause)
        for (record_id, path), (interested, cause) in far.items()
    ]


def offer(found: Candidates, listener_id: int, record_id: int, cause: Cause) -> None:
    """Note a candidate; of several causes the one nearest to the outside world counts."""
    records = found.setdefault(listener_id, {})
    known = records.get(record_id)
    records[record_id] = cause if known is None else _milder(known, cause)


def cause_of(change: QueuedChange) -> Cause:
    """The change as the reason of what follows."""
    told = {
        "kind": change.kind.value,
        "record": change.record_id,
        "source": change.source,
        "sourceId": change.source_id,
    }
    return Cause(told, change.at, change.depth, change.version)


def walk(record_id: int, path: tuple[int, ...], listener_ids: Sequence[int], cause: Cause) -> WalkRow:
    """A walk that has not begun."""
    return WalkRow(
        record_id, path, 0, tuple(listener_ids), dict(cause.told), cause.at, cause.depth, cause.version
    )


def _milder(one: Cause, other: Cause) -> Cause:
    if one is other:
        return one
    milder = one if one.depth <= other.depth else other
    # A later version: a workflow that was turned on again since both is told apart from either by it.
    return Cause(
        milder.told,
        milder.at,
        milder.depth,
        max(one.version, other.version),
        _both(one.changes, other.changes),
        one.due or other.due,
    )


def _both(one: tuple[QueuedChange, ...], other: tuple[QueuedChange, ...]) -> tuple[QueuedChange, ...]:
    # A change may be heard of under several keys, one after the other.
    return one if not other or one[-1:] == other else (*one, *other)
