"""Taking an import back, part by part: associations, then records. What others have changed since stays and is told."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine import associations, records
from engine.associations import Pair
from engine.batches import Mode
from engine.imports.commands import tell
from engine.imports.running import Turn, release
from storage import import_marks, imports
from storage import records as stored
from storage.changes import EventKind
from storage.database import Transaction
from storage.records import RecordRow

# Records, or pairs, that one transaction takes back.
PAGE = 1_000
# Records that are told by name because they stay.
KEPT_TOLD = 100

History = Sequence[tuple[dict[str, Any], bool]]


async def step(turn: Turn) -> bool:
    """Take a part back; whether there may be more. In one transaction with forgetting that it is to be done."""
    async with turn.transaction() as tx:
        row = await turn.hold(tx, "UNDOING")
        undone = dict(row.undone or {})
        pairs = await import_marks.next_pairs(tx, turn.number, PAGE)
        if pairs:
            await _pairs(tx, turn.number, pairs, undone)
            await import_marks.drop_pairs(tx, turn.number, pairs[-1])
        else:
            ids = await import_marks.next_records(tx, turn.number, PAGE)
            if ids:
                await _records(tx, turn.number, ids, undone)
                await import_marks.drop_records(tx, turn.number, ids[-1])
            else:
                row.status, row.ended_at = "UNDONE", tx.now
        row.undone = undone
        await imports.write(tx, row)
        tell(tx, row, EventKind.IMPORT_UNDONE if row.status == "UNDONE" else EventKind.IMPORT_PROGRESS)
    if row.status == "UNDONE":
        await release(turn)
        return False
    return True


def _count(undone: dict[str, Any], what: str, n: int) -> None:
    if n:
        undone[what] = undone.get(what, 0) + n


async def _pairs(
    tx: Transaction, number: int, pairs: Sequence[tuple[int, int]], undone: dict[str, Any]
) -> None:
    """Take away the associations and labels that the import put between records, and that still stand."""
    ends = await stored.rows(tx, [end for pair in pairs for end in pair])
    known = {row.id: row for row in ends if row is not None}
    places = [
        (low, known[high].object_type_id, high) for low, high in pairs if low in known and high in known
    ]
    added = await import_marks.added_types(tx, number, places) if places else {}
    whole, labels = list[Pair](), list[Pair]()
    for (low, high), type_ids in added.items():
        types = [tx.catalogue.association_types[type_id] for type_id in type_ids]
        if any(one.unlabelled for one in types):
            whole.append(Pair(low, high))
        else:
            labels.append(Pair(low, high, tuple(one.name for one in types if one.name is not None)))
    held = await _held_by_others(tx, number, whole, known)
    for outcome in await associations.dissociate(
        tx, [pair for pair in whole if (pair.from_id, pair.to_id) not in held], Mode.PER_ITEM
    ):
        _count(undone, "associations" if outcome.value is not None else "kept", 1)
    _count(undone, "kept", len(held))
    for outcome in await associations.remove_labels(tx, labels, Mode.PER_ITEM):
        _count(undone, "labels" if outcome.value is not None else "kept", 1)


async def _held_by_others(
    tx: Transaction, number: int, pairs: Sequence[Pair], known: Mapping[int, RecordRow]
) -> set[tuple[int, int]]:
    """Pairs to which somebody else has added a label since: their association stays, with that label."""
    places = [(one.from_id, known[one.to_id].object_type_id, one.to_id) for one in pairs]
    theirs = await import_marks.others_types(tx, number, places) if places else {}
    held: set[tuple[int, int]] = set()
    for key, type_ids in theirs.items():
        if any(not tx.catalogue.association_types[type_id].unlabelled for type_id in type_ids):
            held.add(key)
    return held


async def _records(tx: Transaction, number: int, ids: Sequence[int], undone: dict[str, Any]) -> None:
    """Archive what the import made, put back what it changed; what others have changed since stays."""
    locked = await stored.lock(tx, ids)
    histories = await import_marks.histories(tx, number, ids)
    archive, back = list[int](), list[tuple[int, dict[str, Any]]]()
    kept: list[int] = []
    for record_id in ids:
        row, history = locked.get(record_id), histories.get(record_id, [])
        if row is None or row.archived_at is not None or not any(ours for _, ours in history):
            continue
        if history[0][1]:
            # It was made by the import.
            (archive if all(ours for _, ours in history) else kept).append(record_id)
            continue
        changes, stay = _back(history, row.properties)
        if changes:
            back.append((record_id, changes))
        if stay:
            kept.append(record_id)
    outcomes = await records.archive(tx, archive, Mode.PER_ITEM) if archive else []
    _count(undone, "archived", sum(outcome.value is not None for outcome in outcomes))
    updated = await records.update(tx, back, Mode.PER_ITEM) if back else []
    _count(undone, "restored", sum(outcome.value is not None for outcome in updated))
    kept += [record_id for (record_id, _), one in zip(back, updated, strict=True) if one.value is None]
    _count(undone, "kept", len(kept))
    undone["records"] = (undone.get("records", []) + kept)[:KEPT_TOLD]


def _back(history: History, held: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """{name: value before the import} of what still holds the imported value, and the names of what does not."""
    before: dict[str, Any] = {}
    ours: dict[str, Any] = {}
    current: dict[str, Any] = {}
    for changed, imported in history:
        for name, value in changed.items():
            if imported:
                before.setdefault(name, current.get(name))
                ours[name] = value
            current[name] = value
    changes = {
        name: before[name]
        for name, value in ours.items()
        if held.get(name) == value and before[name] != value
    }
    return changes, [name for name, value in ours.items() if held.get(name) != value]
