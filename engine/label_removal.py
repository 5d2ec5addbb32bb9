"""The end of a label: who uses it, another in its place, and, once nobody uses it any more, its deletion."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import ids, labels
from engine.labels import Label, SystemLabelFixed
from engine.naming import counted
from engine.problems import Problem
from engine.uses import Use, UseKind, exchange, replace, uses
from storage import labels as stored
from storage.changes import Event, EventKind
from storage.database import Transaction

# How many uses a message names; `details` has them all.
NAMED = 5


class LabelInUse(Problem):
    """The label "{label}" is in use, so it cannot be deleted: {named}. Let another label take its place first."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """What became of a label that another one took the place of. `label` is that other one."""

    label: Label
    moved: Sequence[Use]
    deleted: bool


async def delete(tx: Transaction, type_id: int) -> Label:
    """Delete a label, both directions of it; what it was. This cannot be undone.

    Raises `NotFound`, `SystemLabelFixed`, and `LabelInUse` with every use.
    """
    await tx.redefine()
    label = labels.both(tx.catalogue, type_id)
    if label.there.category == "SYSTEM":
        raise SystemLabelFixed(name=label.there.name or "unlabelled", path=("id",))
    found = (await uses(tx, tx.catalogue, [label]))[label.there.pair_id]
    if found:
        raise LabelInUse(
            label=label.there.label, named=_spoken(found), uses=[told(use) for use in found], path=("id",)
        )
    await _delete(tx, label)
    return label


async def take_place(tx: Transaction, old_id: int, new_id: int, *, deleting: bool = False) -> Replaced:
    """Let the label `new_id` take the place of `old_id` in every use, and with `deleting` delete the old one.

    Raises `NotFound`, what `exchange` raises, and `Refused` with what does not fit; then nothing is done.
    """
    await tx.redefine()
    asked = exchange(tx.catalogue, labels.both(tx.catalogue, old_id), labels.both(tx.catalogue, new_id))
    moved = await replace(tx, asked)
    count = sum(use.count for use in moved if use.kind is UseKind.ASSOCIATIONS)
    old, new = asked.old.there, asked.new.there
    for row, field, other in ((old, "replacedBy", new), (new, "replaces", old)):
        changed = {field: [None, other.name], "associations": [None, count]}
        await stored.tell(tx, row.pair_id, row.id, "REPLACED", changed)
    tx.happened(
        Event(
            EventKind.LABEL_REPLACED,
            old.from_object_type_id,
            payload={"types": [[one, other] for one, other in asked.types.items()], "associations": count},
        )
    )
    if deleting:
        # Another version of the definitions: a line of history of its own.
        await tx.redefine()
        await _delete(tx, asked.old)
    return Replaced(labels.both(tx.catalogue, new.id), moved, deleting)


async def _delete(tx: Transaction, label: Label) -> None:
    types = sorted({label.there.id, label.back.id})
    await stored.delete(tx, types)
    last = {**labels.fields(label), "inverseTypeId": label.back.id}
    changed = {field: [value, None] for field, value in last.items() if value is not None}
    await stored.tell(tx, label.there.pair_id, label.there.id, "DELETED", changed)
    tx.happened(Event(EventKind.LABEL_DELETED, label.there.from_object_type_id, payload={"type_ids": types}))
    await tx.reload()


def told(use: Use) -> dict[str, Any]:
    """A use as a problem's details tell it."""
    if use.kind is UseKind.ASSOCIATIONS:
        return {"kind": use.kind.value, "count": use.count}
    assert use.subject is not None  # what is no association has a definition
    assert use.subject_id is not None
    return {
        "kind": use.kind.value,
        "id": ids.encode(use.subject, use.subject_id),
        "name": use.name,
        "revision": use.revision,
        "path": list(use.path),
    }


def _spoken(found: Sequence[Use]) -> str:
    """Uses in words, the first few of them."""
    words = []
    for use in found:
        if use.kind is UseKind.ASSOCIATIONS:
            words.append(counted(use.count, "association", "associations"))
        elif use.kind is UseKind.SEGMENT:
            words.append(f'{".".join(map(str, use.path))} in the segment "{use.name}"')
        elif use.kind in (UseKind.SYNC, UseKind.REPORT):
            words.append(f'{".".join(map(str, use.path))} in the {use.subject} "{use.name}"')
        else:
            of = "the draft" if use.revision is None else f"revision {use.revision}"
            words.append(f'{".".join(map(str, use.path))} in {of} of the workflow "{use.name}"')
    left = len(words) - NAMED
    return ", ".join(words[:NAMED]) + (f" and {left} more" if left > 0 else "")
