"""Use cases of explanations of workflows: why, why not, what would be, what was undone, and how they fare."""

from collections.abc import Sequence
from typing import Any, cast

from aiodataloader import DataLoader

from engine import ids
from engine.workflows import diagnosis, health, undo, why_not
from engine.workflows.diagnosis import Diagnosed
from engine.workflows.health import Health
from engine.workflows.undo import Undone
from engine.workflows.why_not import WhyNot
from resolvers import loaders
from resolvers.context import Context
from resolvers.workflows import place, size
from resolvers.writing import write
from storage import outbox
from storage.enrollments import StepRow
from storage.outbox import OutboxRow
from storage.workflows import WorkflowRow


async def deliveries(context: Context, step: StepRow) -> list[OutboxRow]:
    """What a step has sent, or is about to send."""

    async def read(reader: Any, keys: Sequence[Any]) -> Sequence[list[OutboxRow]]:
        return await outbox.of_enrollment(reader, keys)

    loader: Any = loaders.loader(context, "deliveries", read)
    asked = cast("DataLoader[tuple[int, int], list[OutboxRow]]", loader)
    return await asked.load((step.enrollment_id, step.n))


async def diagnose(context: Context, ident: str) -> Diagnosed:
    """Why an enrollment began; see `engine.workflows.diagnosis`."""
    enrollment_id = ids.decode_at("enrollment", ident, "enrollment")
    async with context.db.read(context.account_id) as reader:
        return await diagnosis.diagnose(reader, enrollment_id)


async def why_not_enrolled(context: Context, workflow: str, record: str) -> WhyNot:
    """Why a record is not enrolled; see `engine.workflows.why_not`."""
    workflow_id = ids.decode_at("workflow", workflow, "workflow")
    record_id = ids.decode_at("record", record, "record")
    async with context.db.snapshot(context.account_id) as reader:
        return await why_not.why_not(reader, context.catalogue, workflow_id, record_id, now=context.now)


async def undo_enrollment(context: Context, ident: str) -> Undone:
    """Undo what an enrollment has changed; see `engine.workflows.undo`."""
    enrollment_id = ids.decode_at("enrollment", ident, "enrollmentId")
    return await write(context, lambda tx: undo.undo(tx, enrollment_id))


async def workflow_health(context: Context, workflow: str, days: int) -> Health:
    """How a workflow fares; see `engine.workflows.health`."""
    workflow_id = ids.decode_at("workflow", workflow, "workflow")
    async with context.db.read(context.account_id) as reader:
        return await health.of(reader, context.catalogue, workflow_id, days=days, now=context.now)


async def broken_workflows(
    context: Context, first: int | None, after: str | None
) -> tuple[list[WorkflowRow], bool]:
    """A page of the workflows that are broken, and whether more follow."""
    limit = size(first)
    number = 0 if after is None else place("workflow", after)
    async with context.db.read(context.account_id) as reader:
        rows = await health.broken(reader, context.catalogue, number, limit + 1)
    return rows[:limit], len(rows) > limit
