"""Use cases of enrolling and taking out by hand."""

from collections.abc import Sequence

from engine import ids
from engine.batches import Outcome
from engine.problems import MalformedId, Problem
from engine.workflows import commands
from resolvers import batches
from resolvers.batches import Batch, Item
from resolvers.context import Context
from storage.database import Transaction


async def enroll(context: Context, workflow: str, batch: Batch[str]) -> list[Item[int]]:
    """Enroll records; the values are the enrollments. See `engine.workflows.by_hand.enroll`."""
    number = ids.decode_at("workflow", workflow, "workflowId")

    async def work(tx: Transaction, records: list[str]) -> list[Outcome[int]]:
        return await commands.enroll(tx, number, _numbers(records), batch.mode)

    return await batches.run(context, batch, work, _fault)


async def unenroll(context: Context, workflow: str, batch: Batch[str]) -> list[Item[bool]]:
    """Take records out; the values say who was in. See `engine.workflows.by_hand.unenroll`."""
    number = ids.decode_at("workflow", workflow, "workflowId")

    async def work(tx: Transaction, records: list[str]) -> list[Outcome[bool]]:
        return await commands.unenroll(tx, number, _numbers(records))

    return await batches.run(context, batch, work, _fault)


def _numbers(records: Sequence[str]) -> list[int]:
    return [ids.decode("record", one) for one in records]


def _fault(record: str) -> Problem | None:
    try:
        ids.decode("record", record)
    except MalformedId as problem:
        return problem
    return None
