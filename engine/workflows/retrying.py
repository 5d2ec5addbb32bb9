"""Failures taken up again: a failed enrollment goes on with its failed step, and what did not arrive is sent again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import ids
from engine.evaluation import telling
from engine.evaluation.listening import WORKFLOW
from engine.problems import NotFound, Problem
from storage import records, retries
from storage.changes import ChangeKind, Event, EventKind
from storage.database import Transaction
from storage.enrollments import EnrollmentRow, StepRow
from storage.retries import Resent

# How many enrollments one transaction takes up again.
BATCH = 1_000


class EnrollmentNotFailed(Problem):
    """The enrollment has not failed, it is {status}: there is nothing to retry."""


class StepNotFailed(Problem):
    """Step {step} has not failed: there is nothing to retry."""


class StepPassedOver(Problem):
    """The enrollment went on after step {step}, which sent nothing outside: it cannot be taken up again alone."""


class RetryUndone(Problem):
    """What the enrollment did has been undone: it does not go on."""


class RetryActiveAgain(Problem):
    """The record has been enrolled in the workflow again, and is active there now."""


class RetryRecordGone(Problem):
    """The record was archived or merged away: nothing more is done for it."""


class RetryLoop(Problem):
    """The enrollment was taken for a loop: it would be stopped again."""


async def retry(tx: Transaction, enrollment_id: int, step: int | None = None) -> EnrollmentRow:
    """Take a failed enrollment up again at its failed step; the enrollment as it is then.

    With `step`, the number of an earlier line of its history whose failure was passed over: only what this sent
    outside and did not arrive is sent again. Raises the problems above, and `NotFound`.
    """
    found = await retries.lock(tx, [enrollment_id])
    if not found:
        raise NotFound(
            kind="enrollment", name=ids.encode("enrollment", enrollment_id), path=("enrollmentId",)
        )
    (row,) = found
    if row.workflow_id not in tx.catalogue.workflows:
        raise NotFound(kind="workflow", name=ids.encode("workflow", row.workflow_id), path=("enrollmentId",))
    last = row.steps - 1
    wanted = last if step is None else step
    line = (await retries.lines(tx, [(row.id, wanted)])).get((row.id, wanted))
    if row.status != "FAILED" or wanted != last:
        await _send_again(tx, row, line, step)
    else:
        if problem := _problem(row, line):
            raise problem
        if not await _living(tx, [row]):
            raise RetryRecordGone
        if (await _reopened(tx, [row])) != [row]:
            raise RetryActiveAgain
    (after,) = await retries.lock(tx, [enrollment_id])
    return after


@dataclass(frozen=True, slots=True)
class Retried:
    """How many enrollments go on, and the last one that was looked at; None: there are no more."""

    count: int
    last: int | None


async def retry_failed(
    tx: Transaction, workflow_id: int, action: str | None = None, after: int = 0
) -> Retried:
    """Take up again up to `BATCH` failed enrollments of a workflow behind the id `after`.

    All, or those that failed at `action`. Who cannot go on stays as it is. Raises `NotFound`.
    """
    if workflow_id not in tx.catalogue.workflows:
        raise NotFound(kind="workflow", name=ids.encode("workflow", workflow_id), path=("workflowId",))
    looked = await retries.failed(tx, workflow_id, action, after, BATCH)
    rows = await retries.lock(tx, looked)
    lines = await retries.lines(tx, [(row.id, row.steps - 1) for row in rows])
    able = [
        row
        for row in rows
        if row.status == "FAILED" and _problem(row, lines.get((row.id, row.steps - 1))) is None
    ]
    going = await _reopened(tx, await _living(tx, able))
    return Retried(len(going), looked[-1] if len(looked) == BATCH else None)


async def _living(tx: Transaction, rows: Sequence[EnrollmentRow]) -> list[EnrollmentRow]:
    """Those whose records are there."""
    found = await records.rows(tx, [row.record_id for row in rows])
    return [
        row
        for row, record in zip(rows, found, strict=True)
        if record is not None and record.archived_at is None
    ]


def _problem(row: EnrollmentRow, line: StepRow | None) -> Problem | None:
    """Why a failed enrollment cannot go on with its last step."""
    if row.undone_at is not None:
        return RetryUndone(path=("enrollmentId",))
    if (row.error or {}).get("code") == "LOOP_GUARD":
        return RetryLoop(path=("enrollmentId",))
    if line is None or line.outcome != "FAILED":
        return StepNotFailed(step=row.steps - 1, path=("enrollmentId",))
    return None


async def _send_again(tx: Transaction, row: EnrollmentRow, line: StepRow | None, step: int | None) -> None:
    if step is None:
        raise EnrollmentNotFailed(status=row.status, path=("enrollmentId",))
    if line is None or line.outcome != "FAILED":
        raise StepNotFailed(step=step, path=("step",))
    if row.undone_at is not None:
        raise RetryUndone
    if not await retries.resend(tx, [Resent(row.id, step)]):
        raise StepPassedOver(step=step, path=("step",))
    _tell(tx, row, step)


async def _reopened(tx: Transaction, rows: Sequence[EnrollmentRow]) -> list[EnrollmentRow]:
    """Those of failed enrollments that go on now."""
    if not rows:
        return []
    elsewhere = await retries.elsewhere(tx, rows)
    # Of one record's enrollments in a workflow, the latest.
    latest = {(row.workflow_id, row.record_id): row for row in rows if row.id not in elsewhere}
    going = sorted(latest.values(), key=lambda row: row.id)
    outside = await retries.resend(tx, [Resent(row.id, row.steps - 1, into=row.steps) for row in going])
    if not await retries.reopen(tx, [row.id for row in going], sorted(outside)):
        raise RetryActiveAgain
    moved: dict[int, list[EnrollmentRow]] = {}
    for row in going:
        _tell(tx, row, row.steps - 1, status="ACTIVE")
        moved.setdefault(row.workflow_id, []).append(row)
    await telling.tell(
        tx,
        WORKFLOW,
        {
            workflow_id: [
                (
                    ChangeKind.ENROLLMENT_MOVED,
                    tx.catalogue.workflows[workflow_id],
                    [row.record_id for row in several],
                )
            ]
            for workflow_id, several in moved.items()
            if workflow_id in tx.catalogue.workflows
        },
    )
    return going


def _tell(tx: Transaction, row: EnrollmentRow, step: int, **details: Any) -> None:
    """Tell of a retry; `status`: the enrollment goes on by it."""
    details |= {"enrollment": row.id, "step": step}
    object_type_id = tx.catalogue.workflows.get(row.workflow_id)
    tx.happened(Event(EventKind.STEP_RETRIED, object_type_id, row.record_id, row.workflow_id, details))
