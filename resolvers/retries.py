"""Use cases of failed enrollments: they are taken up again."""

from engine import ids
from engine.workflows import retrying
from engine.workflows.retrying import Retried
from resolvers.context import Context
from resolvers.writing import write
from storage.database import Transaction
from storage.enrollments import EnrollmentRow


async def step(context: Context, ident: str, number: int | None) -> EnrollmentRow:
    """Try a step again; see `engine.workflows.retrying.retry`."""
    enrollment_id = ids.decode_at("enrollment", ident, "enrollmentId")
    return await write(context, lambda tx: retrying.retry(tx, enrollment_id, number))


async def failed(context: Context, ident: str, action: str | None, after: str | None) -> Retried:
    """Take up again a workflow's failed enrollments; see `engine.workflows.retrying.retry_failed`."""
    workflow_id = ids.decode_at("workflow", ident, "workflowId")
    behind = 0 if after is None else ids.decode_at("enrollment", after, "after")

    async def work(tx: Transaction) -> Retried:
        return await retrying.retry_failed(tx, workflow_id, action, behind)

    return await write(context, work)
