"""Enrollments and their steps: entered once, claimed in batches, moved on together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.arrays import numbers, texts
from storage.database import Queryable, Transaction
from storage.statements import Statement


# Rows, lines and moves are made by the thousand, and never changed; freezing them costs four times as much as making
# them.
@dataclass(slots=True)
class EnrollmentRow:
    """A record's walk through one revision of a workflow; see the table for the meaning of each."""

    id: int
    workflow_id: int
    revision: int
    record_id: int
    epoch: int
    status: str
    next_step: int
    steps: int
    depth: int
    resume_after: int | None
    due_at: datetime | None
    attempts: int
    reason: dict[str, Any]
    error: dict[str, Any] | None
    enrolled_at: datetime
    ended_at: datetime | None
    waiting: str | None
    arrived: dict[str, Any] | None
    occasion: str | None
    undone_at: datetime | None


@dataclass(slots=True)
class StepRow:
    """One line of an enrollment's history."""

    enrollment_id: int
    n: int
    action: str
    at: datetime
    outcome: str
    changes: list[Any]
    error: dict[str, Any] | None


@dataclass(slots=True)
class Entry:
    """An enrollment to begin: `status` is ACTIVE, or FAILED with an `error` where a guard stopped it.

    `epoch` counts the record's enrollments in the workflow; `occasion` is one that enrolls it once.
    """

    workflow_id: int
    revision: int
    record_id: int
    depth: int
    reason: dict[str, Any]
    status: str = "ACTIVE"
    error: dict[str, Any] | None = None
    epoch: int = 1
    occasion: str | None = None


@dataclass(slots=True)
class Move:
    """Where an enrollment stands after a step."""

    id: int
    status: str
    next_step: int
    steps: int
    resume_after: int | None
    due_at: datetime | None
    attempts: int
    error: dict[str, Any] | None
    ended_at: datetime | None
    waiting: str | None
    arrived: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class DueGroup:
    """Active enrollments that are due for the same action of the same revision, oldest first."""

    workflow_id: int
    revision: int
    next_step: int
    depth: int
    ids: tuple[int, ...]


# The fields of EnrollmentRow, in its order.
COLUMNS = """
           e.id, e.workflow_id, e.revision, e.record_id, e.epoch, e.status, e.next_step, e.steps, e.depth,
           e.resume_after, e.due_at, e.attempts, e.reason, e.error, e.enrolled_at, e.ended_at,
           e.waiting, e.arrived, e.occasion, e.undone_at
"""

# Each epoch and each occasion once, and one active enrollment at a time, whoever else evaluates the same record now:
# the unique keys decide, and one who comes second waits for the first to commit. Rows come in (workflow, record)
# order, so two cannot deadlock.
ENTER = Statement(
    "enrollments.enter",
    """
    INSERT INTO enrollment (account_id, id, workflow_id, revision, record_id, epoch, status, next_step, steps,
                            depth, due_at, attempts, reason, error, enrolled_at, ended_at, occasion)
    SELECT $1, n.id, n.workflow_id, n.revision, n.record_id, n.epoch, n.status, 0, 0, n.depth,
           CASE WHEN n.status = 'ACTIVE' THEN $2::timestamptz END, 0, n.reason, nullif(n.error, 'null'), $2,
           CASE WHEN n.status = 'ACTIVE' THEN NULL ELSE $2::timestamptz END, n.occasion
      FROM ROWS FROM (unnest((SELECT $3::text)::bigint[], (SELECT $4::text)::bigint[], (SELECT $5::text)::bigint[],
                             (SELECT $6::text)::bigint[], (SELECT $7::text)::int[], (SELECT $8::text)::text[],
                             (SELECT $9::text)::bigint[], $10::text[]),
                      jsonb_array_elements($11), jsonb_array_elements($12))
           AS n(id, workflow_id, revision, record_id, depth, status, epoch, occasion, reason, error)
    ON CONFLICT DO NOTHING
    RETURNING id
    """,
)

# One range of the index of active enrollments, cut off at $3, so a backlog costs no more than its head.
DUE = Statement(
    "enrollments.due",
    """
    SELECT d.workflow_id, d.revision, d.next_step, d.depth, array_agg(d.id ORDER BY d.due_at, d.id) AS ids
      FROM (SELECT e.id, e.workflow_id, e.revision, e.next_step, e.depth, e.due_at
              FROM enrollment AS e
             WHERE e.account_id = $1 AND e.status = 'ACTIVE' AND e.due_at <= $2
             ORDER BY e.due_at, e.id LIMIT $3) AS d
     GROUP BY d.workflow_id, d.revision, d.next_step, d.depth
     ORDER BY min(d.due_at), d.workflow_id, d.revision, d.next_step, d.depth
    """,
)

# Held until the step and the move commit; what another stepper holds is its own to do. The step is asked
# again here: since the batch was listed, someone may have done it.
CLAIM = Statement(
    "enrollments.claim",
    f"""
    SELECT {COLUMNS}
      FROM enrollment AS e
     WHERE e.account_id = $1 AND e.id = ANY($2::bigint[]) AND e.status = 'ACTIVE' AND e.next_step = $3
       AND e.due_at <= $4
     ORDER BY e.id
       FOR UPDATE SKIP LOCKED
    """,
)

# By key, with the new values in one document: no join whose plan hangs on estimates. Ids come as text: of a long list
# that they see, planners up to PostgreSQL 16 think that the whole account is sooner read.
MOVE = Statement(
    "enrollments.move",
    """
    UPDATE enrollment AS e
       SET (status, next_step, steps, resume_after, due_at, attempts, error, ended_at, waiting, arrived) = (
           SELECT m.new ->> 0, (m.new ->> 1)::int, (m.new ->> 2)::int, (m.new ->> 3)::bigint,
                  (m.new ->> 4)::timestamptz, (m.new ->> 5)::int, nullif(m.new -> 6, 'null'),
                  (m.new ->> 7)::timestamptz, m.new ->> 8, nullif(m.new -> 9, 'null')
             FROM (SELECT $3::jsonb -> e.id::text AS new) AS m)
     WHERE e.account_id = $1 AND e.id = ANY((SELECT $2::text)::bigint[])
    """,
)

# The same for those that all go to the same place, as most of a batch do.
MOVE_ALIKE = Statement(
    "enrollments.move_alike",
    """
    UPDATE enrollment AS e
       SET status = $3, next_step = $4, steps = $5, resume_after = $6, due_at = $7, attempts = $8, error = NULL,
           ended_at = $9, waiting = $10, arrived = NULL
     WHERE e.account_id = $1 AND e.id = ANY((SELECT $2::text)::bigint[])
    """,
)
# So many groups of them are moved by themselves; smaller ones go with the others.
GROUPS, SMALLEST_GROUP = 4, 16

# Documents travel as one that holds them all: the driver would take each by itself.
INSERT_STEPS = Statement(
    "enrollments.insert_steps",
    """
    INSERT INTO enrollment_step (account_id, enrollment_id, n, action, at, outcome, changes, error)
    SELECT $1, s.enrollment_id, s.n, s.action, $2::timestamptz, s.outcome, s.changes, nullif(s.error, 'null')
      FROM ROWS FROM (unnest((SELECT $3::text)::bigint[], (SELECT $4::text)::int[], (SELECT $5::text)::text[],
                             (SELECT $6::text)::text[]),
                      jsonb_array_elements($7), jsonb_array_elements($8))
           AS s(enrollment_id, n, action, outcome, changes, error)
    """,
)


async def enter(tx: Transaction, entries: Sequence[Entry]) -> list[tuple[int, Entry]]:
    """Begin enrollments; those that began, with their ids. What began before, or is active, is left as it is."""
    if not entries:
        return []
    ordered = sorted(entries, key=lambda entry: (entry.workflow_id, entry.record_id))
    ids = await tx.new_ids(len(ordered))
    rows = await tx.fetch(
        ENTER,
        tx.now,
        numbers(ids),
        numbers(entry.workflow_id for entry in ordered),
        numbers(entry.revision for entry in ordered),
        numbers(entry.record_id for entry in ordered),
        numbers(entry.depth for entry in ordered),
        texts(entry.status for entry in ordered),
        numbers(entry.epoch for entry in ordered),
        [entry.occasion for entry in ordered],
        [entry.reason for entry in ordered],
        [entry.error for entry in ordered],
    )
    begun = {row["id"] for row in rows}
    return [pair for pair in zip(ids, ordered, strict=True) if pair[0] in begun]


async def due(reader: Queryable, now: datetime, limit: int) -> list[DueGroup]:
    """The `limit` longest due enrollments, by what is to be done with them."""
    return [
        DueGroup(row["workflow_id"], row["revision"], row["next_step"], row["depth"], tuple(row["ids"]))
        for row in await reader.fetch(DUE, now, limit)
    ]


async def claim(tx: Transaction, ids: Sequence[int], next_step: int) -> list[EnrollmentRow]:
    """Those of `ids` that still stand before `next_step` and that nobody holds, held until the commit."""
    return [EnrollmentRow(*row) for row in await tx.fetch(CLAIM, list(ids), next_step, tx.now)]


async def move(tx: Transaction, moves: Sequence[Move]) -> None:
    """Write where enrollments stand now."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    rest: list[Move] = []
    for one in moves:
        if one.error is None and one.arrived is None:
            groups.setdefault(_place(one), []).append(one.id)
        else:
            rest.append(one)
    largest = sorted(groups, key=lambda place: len(groups[place]), reverse=True)[:GROUPS]
    alike = {place: groups[place] for place in largest if len(groups[place]) >= SMALLEST_GROUP}
    for place, ids in alike.items():
        await tx.execute(MOVE_ALIKE, numbers(ids), *place)
    rest += [one for one in moves if one.error is None and one.arrived is None and _place(one) not in alike]
    if rest:
        new = {str(one.id): (*_place(one)[:6], one.error, *_place(one)[6:], one.arrived) for one in rest}
        await tx.execute(MOVE, numbers(one.id for one in rest), new)


def _place(one: Move) -> tuple[Any, ...]:
    return (
        one.status,
        one.next_step,
        one.steps,
        one.resume_after,
        one.due_at,
        one.attempts,
        one.ended_at,
        one.waiting,
    )


async def insert_steps(tx: Transaction, steps: Sequence[StepRow]) -> None:
    """Write lines of history, all of one moment."""
    if steps:
        (at,) = {step.at for step in steps}
        await tx.execute(
            INSERT_STEPS,
            at,
            numbers(step.enrollment_id for step in steps),
            numbers(step.n for step in steps),
            texts(step.action for step in steps),
            texts(step.outcome for step in steps),
            [step.changes for step in steps],
            [step.error for step in steps],
        )
