"""Enrollments whose changes were undone."""

from storage.database import Transaction
from storage.statements import Statement

# The caller holds it. Its history has one line more.
NOTE = Statement(
    "undoing.note",
    """
    UPDATE enrollment AS e SET undone_at = $3, steps = e.steps + 1 WHERE e.account_id = $1 AND e.id = $2
    """,
)


async def note(tx: Transaction, enrollment_id: int) -> None:
    """What an enrollment had changed has been undone, and its history says so."""
    await tx.execute(NOTE, enrollment_id, tx.now)
