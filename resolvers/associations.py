"""Use cases on associations: pairs of records in batches, each in one transaction."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine import associations, ids
from engine.associations import AssociationResult, Pair
from engine.batches import Mode, Outcome
from engine.problems import Problem
from resolvers.batches import Batch, Item, malformed, run
from resolvers.context import Context
from storage.database import Transaction

Command = Callable[[Transaction, Sequence[Pair], Mode], Awaitable[list[Outcome[AssociationResult]]]]


@dataclass(frozen=True, slots=True)
class Ends:
    """Two records as a client names them; `labels` stand at the `from` record."""

    from_id: str
    to_id: str
    labels: tuple[str, ...] = ()


COMMANDS: dict[str, Command] = {
    "associate": associations.associate,
    "dissociate": associations.dissociate,
    "addLabels": associations.add_labels,
    "removeLabels": associations.remove_labels,
    "setLabels": associations.set_labels,
}


async def carry_out(context: Context, batch: Batch[Ends], **options: bool) -> list[Item[Any]]:
    """The batch's operation on its pairs; `value` is {"from", "to", "types", "added", "removed"}, all numbers."""
    command = COMMANDS[batch.operation]
    if (item := await _at_once(context, batch, **options)) is not None:
        return [item]

    async def work(tx: Transaction, pairs: list[Ends]) -> list[Outcome[AssociationResult]]:
        asked = [
            Pair(ids.decode("record", ends.from_id), ids.decode("record", ends.to_id), ends.labels)
            for ends in pairs
        ]
        return await command(tx, asked, batch.mode, **options)

    # A primary that moves changes a third record, which has to be held with the others and in order: it is looked up
    # first.
    moving = any("primary" in ends.labels for ends in batch.inputs)
    return await run(context, batch, work, _understood, _value, (lambda _: ()) if moving else _held)


async def _at_once(context: Context, batch: Batch[Ends], **options: bool) -> Item[Any] | None:
    """A single new association, in the shortest way; None where nothing was done, and the long way has to be taken."""
    if len(batch.inputs) != 1 or batch.key is not None:
        return None
    [ends] = batch.inputs
    # With labels the two commands ask for the same.
    if not (batch.operation == "associate" or (batch.operation == "addLabels" and ends.labels)):
        return None
    if _understood(ends) is not None:
        return None
    found = await associations.associate_at_once(
        context.db,
        context.catalogue,
        Pair(*_held(ends), ends.labels),
        now=context.now,
        actor=context.principal.actor,
        **options,
    )
    if found is None:
        return None
    context.loaders.clear()
    return Item(_value(found))


def _held(ends: Ends) -> tuple[int, int]:
    return ids.decode("record", ends.from_id), ids.decode("record", ends.to_id)


def _understood(ends: Ends) -> Problem | None:
    return malformed("record", ends.from_id, "fromId") or malformed("record", ends.to_id, "toId")


def _value(found: AssociationResult) -> dict[str, Any]:
    return {
        "from": found.from_id,
        "to": found.to_id,
        "types": list(found.type_ids),
        "added": list(found.added),
        "removed": list(found.removed),
    }
