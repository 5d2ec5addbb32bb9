"""What a decided batch does: the facts that came and went, those that are alike together."""

from collections.abc import Collection, Mapping

from engine.associations.kinds import Kind
from storage import facts as stored
from storage.database import Transaction
from storage.facts import Facts

# (lower record, higher record, type at the lower) → (that type, told from the higher, comes or goes)
Entries = Mapping[tuple[int, int, int], tuple[Kind, bool, bool]]


async def write(tx: Transaction, entries: Entries, hidden: Collection[int] = ()) -> None:
    """Write entries in one statement, a change for each end and an event for each among it.

    All records must be held. Those in `hidden` are archived and do not count as neighbours.
    """
    if not entries:
        return
    alike: dict[tuple[int, bool, bool], Facts] = {}
    for (low, high, type_id), (kind, flipped, added) in entries.items():
        facts = alike.get((type_id, flipped, added))
        if facts is None:
            facts = alike[type_id, flipped, added] = facts_of(kind, flipped=flipped, added=added)
        facts.from_ids.append(high if flipped else low)
        facts.to_ids.append(low if flipped else high)
    await stored.write(tx, list(alike.values()), hidden)


def facts_of(kind: Kind, *, flipped: bool = False, added: bool = True) -> Facts:
    """Facts under `kind`, told from the other end where `flipped`; none yet."""
    near, far = kind.from_object_type_id, kind.to_object_type_id
    if flipped:
        return Facts(far, near, kind.inverse_id, kind.id, added, kind.inverse_name)
    return Facts(near, far, kind.id, kind.inverse_id, added, kind.name)
