"""What a decided batch does: rows and counters, and what evaluators and watchers are told."""

from collections.abc import Collection, Mapping

from engine.associations.kinds import Kind
from storage import associations
from storage.associations import Facts
from storage.changes import AssociationChanges, AssociationEvents, ChangeKind, EventKind
from storage.database import Transaction

# (lower record, higher record, type at the lower) → (that type, told from the higher, comes or goes)
Entries = Mapping[tuple[int, int, int], tuple[Kind, bool, bool]]


async def write(tx: Transaction, entries: Entries, hidden: Collection[int] = ()) -> None:
    """Write facts in one statement, queue a change for each end, log an event for each fact.

    All records must be held. Those in `hidden` are archived and do not count as neighbours.
    """
    if not entries:
        return
    alike: dict[tuple[int, bool, bool], Facts] = {}
    for (low, high, type_id), (kind, flipped, added) in entries.items():
        facts = alike.get((type_id, flipped, added))
        if facts is None:
            facts = alike[type_id, flipped, added] = _facts(kind, flipped, added)
            _tell(tx, facts, kind.inverse_name if flipped else kind.name)
        facts.from_ids.append(high if flipped else low)
        facts.to_ids.append(low if flipped else high)
    await associations.write(tx, list(alike.values()), hidden)


def _facts(kind: Kind, flipped: bool, added: bool) -> Facts:
    """Facts under `kind`, told from the other end where `flipped`; none yet."""
    if flipped:
        return Facts(kind.to_object_type_id, kind.from_object_type_id, kind.inverse_id, kind.id, added)
    return Facts(kind.from_object_type_id, kind.to_object_type_id, kind.id, kind.inverse_id, added)


def _tell(tx: Transaction, facts: Facts, label: str | None) -> None:
    """Note what is told of facts; of those, too, that are yet to be entered."""
    change = ChangeKind.ASSOCIATED if facts.added else ChangeKind.DISSOCIATED
    near, far = facts.from_object_type_id, facts.to_object_type_id
    tx.changed(AssociationChanges(change, near, facts.type_id, facts.from_ids, facts.to_ids))
    tx.changed(AssociationChanges(change, far, facts.inverse_id, facts.to_ids, facts.from_ids))
    if label is None:
        event = EventKind.ASSOCIATION_ADDED if facts.added else EventKind.ASSOCIATION_REMOVED
    else:
        event = EventKind.LABEL_ADDED if facts.added else EventKind.LABEL_REMOVED
    payload = {
        "to_object_type_id": far,
        "type_id": facts.type_id,
        "inverse_type_id": facts.inverse_id,
        "label": label,
    }
    tx.happened(AssociationEvents(event, near, facts.from_ids, facts.to_ids, payload))
