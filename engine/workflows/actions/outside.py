"""Mails and calls of webhooks: put into the outbox with the step, waited for, and told of when all are finished.

Each has a key of its own that names the enrollment, the step and the recipient. So a step that is carried out again
sends nothing twice, and one that is retried sends with the same key what did not arrive.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import outbox
from engine.outbox.requests import EMAIL
from engine.problems import Problem
from engine.workflows.actions.handler import Batch, told
from engine.workflows.actions.tally import gone
from engine.workflows.advance import Done, Failed, Postponed, Result, Waits
from storage import outbox as stored
from storage import records
from storage.enrollments import EnrollmentRow
from storage.outbox import OutboxRow, Outgoing
from storage.records import RecordRow

OUTSIDE = "OUTSIDE"
# How much one transaction puts into the outbox; who comes later in the batch has its turn in the next one.
ROWS_A_BATCH = 2_000


class SendingFailed(Problem):
    """Of {count} sent, {failed} did not arrive: {reason}"""


class SendingCancelled(Problem):
    """It was called back before it was sent."""


@dataclass(slots=True)
class Letter:
    """What one enrollment sends: to whom, and who gets none (told as a line of the history)."""

    rows: list[Outgoing] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    # Why nothing is sent at all.
    error: dict[str, Any] | None = None


def key_of(batch: Batch, one: EnrollmentRow, recipient: int | str) -> str:
    """By what the receiver knows a repetition."""
    return outbox.key(batch.tx.account_id, one.id, one.epoch, one.steps, recipient)


def place_of(one: EnrollmentRow, record_id: int) -> Mapping[str, Any]:
    """Whose a row of the outbox is."""
    return {
        "enrollment_id": one.id,
        "step": one.steps,
        "workflow_id": one.workflow_id,
        "record_id": record_id,
    }


@dataclass(slots=True)
class Sending:
    """One batch on its way: `letters` are added enrollment by enrollment until there are enough."""

    batch: Batch
    letters: dict[int, Letter] = field(default_factory=dict)
    rows: int = 0

    def full(self) -> bool:
        """Whether the rest of the batch has to come again."""
        return self.rows >= ROWS_A_BATCH

    def add(self, one: EnrollmentRow, letter: Letter) -> None:
        """What an enrollment sends."""
        self.letters[one.id] = letter
        self.rows += len(letter.rows)

    def refuse(self, one: EnrollmentRow, problem: Problem) -> None:
        """An enrollment that can send nothing."""
        self.letters[one.id] = Letter(error=told(problem))

    async def put(self) -> None:
        """Ask for all of it to be sent."""
        rows = [row for letter in self.letters.values() for row in letter.rows]
        await stored.put(self.batch.tx, rows)

    def result(self, one: EnrollmentRow, row: RecordRow | None) -> Result:
        """What becomes of an enrollment that came to its action."""
        assert row is not None  # records are never deleted
        if row.archived_at is not None:
            return gone(row)
        letter = self.letters.get(one.id)
        if letter is None:
            return Postponed(self.batch.tx.now)
        if letter.error is not None:
            return Failed(letter.error)
        if not letter.rows:
            return Done(tuple(letter.kept))
        return Waits(None, OUTSIDE, {"kept": letter.kept} if letter.kept else None)


async def back(batch: Batch, standing: Sequence[EnrollmentRow]) -> dict[int, Result]:
    """What came of that which these enrollments have sent; by enrollment."""
    if not standing:
        return {}
    sent = await stored.of_enrollment(batch.tx, [(one.id, one.steps) for one in standing])
    return {one.id: came(rows, one.arrived) for one, rows in zip(standing, sent, strict=True)}


def came(rows: Sequence[OutboxRow], arrived: Mapping[str, Any] | None) -> Result:
    """What a step is that has sent these; `arrived` holds who got none, as `Waits` kept it. Pure."""
    if any(row.finished_at is None for row in rows):
        return Waits(None, OUTSIDE, dict(arrived) if arrived else None)
    kept: Sequence[dict[str, Any]] = (arrived or {}).get("kept", ())
    changes = (*(line(row) for row in rows), *kept)
    # Who has come to want no mail, or can get none, is passed over as if that had been known when it was written.
    failed = [row for row in rows if row.status != "DELIVERED" and withheld(row) is None]
    if not failed:
        return Done(changes)
    first = failed[0]
    error = (first.outcome or {}).get("error") or told(SendingCancelled())
    if len(rows) > 1:
        problem = SendingFailed(count=len(rows), failed=len(failed), reason=error["message"])
        error = {**error, "message": problem.message}
    return Failed(error, changes)


def withheld(row: OutboxRow) -> str | None:
    """Why the sender must not send it any more; None: nothing is known against it."""
    return (row.outcome or {}).get("notSent") if row.status == "CANCELLED" else None


def line(row: OutboxRow) -> dict[str, Any]:
    """A row of the outbox as a line of a history."""
    if reason := withheld(row):
        return not_sent(row.record_id, reason)
    return {"outbox": row.id, "kind": row.kind, "record": row.record_id, "status": row.status}


def not_sent(record_id: int | None, reason: str) -> dict[str, Any]:
    """The line of a history that says who got no mail, and why."""
    return {"kind": EMAIL, "record": record_id, "notSent": reason}


async def carried_out(
    batch: Batch, write: Callable[[Sending, Sequence[EnrollmentRow], Mapping[int, RecordRow]], Any]
) -> list[Result]:
    """A result for each: those that come are written for, those that come back are told what became of it."""
    coming = [one for one in batch.standing if one.waiting != OUTSIDE]
    found = await back(batch, [one for one in batch.standing if one.waiting == OUTSIDE])
    rows = await records.rows(batch.tx, [one.record_id for one in coming])
    there = {row.id: row for row in rows if row is not None and row.archived_at is None}
    sending = Sending(batch)
    await write(sending, [one for one in coming if one.record_id in there], there)
    await sending.put()
    for one, row in zip(coming, rows, strict=True):
        found[one.id] = sending.result(one, row)
    return [found[one.id] for one in batch.standing]
