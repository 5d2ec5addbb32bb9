"""Batches that race, and the order in which they were committed: what one after the other would have given.

Every batch also associates a pair of records of its own. Its event stands in the log where the batch was committed, and
whoever changed the same records waited for it: so the log's order is the order that explains every outcome.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import associations
from engine.associations import Pair
from engine.batches import Mode
from storage.changes import last, read
from storage.faults import Fault, fault
from tests.graph import Graph

COMMANDS = {
    "associate": associations.associate,
    "add": associations.add_labels,
    "set": associations.set_labels,
    "remove": associations.remove_labels,
    "dissociate": associations.dissociate,
}


@dataclass(slots=True)
class Batch:
    """What is asked of some pairs (from, to, label …), and which of them were refused."""

    command: str
    pairs: Sequence[tuple[Any, ...]]
    refused: set[int] = field(default_factory=set)


async def race(crm: Graph, batches: Sequence[Batch], chance: random.Random) -> list[Batch]:
    """Run all batches at once, each on a connection of its own; in the order in which they were committed."""
    # Two of its own for each batch: a record that all change would make them wait for each other.
    marks = await crm.records("tickets", len(batches) * 2)
    async with crm.db.read(crm.account) as reader:
        before = await last(reader)
    pauses = [chance.random() / 200 for _ in batches]

    async def run(batch: Batch, mark: int, other: int, pause: float) -> None:
        await asyncio.sleep(pause)
        while True:
            try:
                async with crm.writing() as tx:
                    await associations.associate(tx, [Pair(mark, other)], Mode.ATOMIC)
                    asked = [Pair(pair[0], pair[1], tuple(pair[2:])) for pair in batch.pairs]
                    outcomes = await COMMANDS[batch.command](tx, asked, Mode.PER_ITEM)
                break
            except Exception as error:
                if fault(error) is not Fault.COLLIDED:
                    raise
        batch.refused = {n for n, outcome in enumerate(outcomes) if outcome.problem is not None}

    await asyncio.gather(*map(run, batches, marks[::2], marks[1::2], pauses))
    async with crm.db.read(crm.account) as reader:
        events = await read(reader, before, 1_000_000)
    by_mark = dict(zip(marks[::2], batches, strict=True))
    ends = (end for event in events for end in (event.record_id, event.payload.get("to_id")))
    order = list(dict.fromkeys(end for end in ends if end in by_mark))
    assert len(order) == len(batches)
    return [by_mark[mark] for mark in order]
