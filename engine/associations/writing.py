"""What a decided batch does: rows and counters, and what evaluators and watchers are told."""

from collections.abc import Collection, Mapping

from engine.associations.kinds import Kind
from storage import associations
from storage.associations import Fact, Held, Shape
from storage.changes import Change, ChangeKind, Event, EventKind
from storage.database import Transaction

# (lower record, higher record, type at the lower) → (that type, told from the higher, comes or goes)
Facts = Mapping[tuple[int, int, int], tuple[Kind, bool, bool]]

# By record: the types that came or went, and beside each the other end.
Ends = dict[int, tuple[list[int], list[int]]]


async def write(
    tx: Transaction, facts: Facts, records: Mapping[int, Held], hidden: Collection[int] = ()
) -> None:
    """Write facts in one statement, queue a change for each end, log an event for each fact.

    All records must be held. Those in `hidden` are archived and do not count as neighbours.
    """
    if not facts:
        return
    rows: list[Fact] = []
    shapes: dict[tuple[int, bool, bool], Shape] = {}
    came: Ends = {}
    went: Ends = {}
    for (low, high, _), (kind, flipped, added) in facts.items():
        shape = shapes.get((kind.id, flipped, added))
        if shape is None:
            shape = shapes[kind.id, flipped, added] = _shape(kind, flipped, added)
        from_id, to_id = (high, low) if flipped else (low, high)
        rows.append((from_id, to_id, shape))
        ends = came if added else went
        for end, other, type_id in ((low, high, kind.id), (high, low, kind.inverse_id)):
            known = ends.get(end)
            if known is None:
                ends[end] = ([type_id], [other])
            else:
                known[0].append(type_id)
                known[1].append(other)
        tx.happened(_event(from_id, to_id, shape, kind.inverse_name if flipped else kind.name))
    await associations.write(tx, rows, came.keys() | went.keys(), hidden)
    for kind_of_change, ends in ((ChangeKind.ASSOCIATED, came), (ChangeKind.DISSOCIATED, went)):
        for end, (types, others) in ends.items():
            tx.changed(
                Change(
                    end,
                    records[end].object_type_id,
                    kind_of_change,
                    type_ids=tuple(types),
                    other_ids=tuple(others),
                )
            )


def _shape(kind: Kind, flipped: bool, added: bool) -> Shape:
    """The shape of facts under `kind`, told from the other end where `flipped`."""
    if flipped:
        return Shape(kind.to_object_type_id, kind.from_object_type_id, kind.inverse_id, kind.id, added)
    return Shape(kind.from_object_type_id, kind.to_object_type_id, kind.id, kind.inverse_id, added)


def _event(from_id: int, to_id: int, shape: Shape, label: str | None) -> Event:
    if label is None:
        kind = EventKind.ASSOCIATION_ADDED if shape.added else EventKind.ASSOCIATION_REMOVED
    else:
        kind = EventKind.LABEL_ADDED if shape.added else EventKind.LABEL_REMOVED
    return Event(
        kind,
        shape.from_object_type_id,
        from_id,
        payload={
            "to_id": to_id,
            "to_object_type_id": shape.to_object_type_id,
            "type_id": shape.type_id,
            "inverse_type_id": shape.inverse_id,
            "label": label,
        },
    )
