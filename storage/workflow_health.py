"""How workflows fare: what enters, waits and fails; each answer from the head of a range, whatever is piled up."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable
from storage.statements import Statement

# Beyond so many nobody counts.
COUNTED = 10_000
# Failures are looked for among so many of the newest enrollments.
LOOKED = 5_000
# So many kinds of failures are told, the most frequent first.
KINDS = 50


@dataclass(frozen=True, slots=True)
class StandingRow:
    """Numbers up to `COUNTED`; moments null where there is nothing of it.

    `outside`: enrollments that wait for mails and calls; `due`: those whose time has come, the first at `due_since`;
    `aside`: evaluations put aside after an error; `queued_since`: the time of the oldest change of the account that is
    not evaluated yet.
    """

    last_enrolled_at: datetime | None
    outside: int
    due: int
    due_since: datetime | None
    aside: int
    aside_error: str | None
    queued_since: datetime | None


@dataclass(frozen=True, slots=True)
class FailureRow:
    """Failures of one action for one reason: how many, and the newest. `action` null: stopped by a guard at entry."""

    action: str | None
    code: str | None
    count: int
    last_at: datetime
    error: dict[str, Any] | None
    enrollment_id: int


# Who waits for the outside has no due time: that is a range of the same index as what is due.
STANDING = Statement(
    "workflow_health.standing",
    """
    SELECT (SELECT e.enrolled_at FROM enrollment AS e
             WHERE e.account_id = $1 AND e.workflow_id = $2 ORDER BY e.id DESC LIMIT 1) AS last_enrolled_at,
           (SELECT count(*) FROM (
                SELECT FROM enrollment AS e
                 WHERE e.account_id = $1 AND e.workflow_id = $2 AND e.status = 'ACTIVE' AND e.due_at IS NULL
                 LIMIT $4) AS w) AS outside,
           (SELECT count(*) FROM (
                SELECT FROM enrollment AS e
                 WHERE e.account_id = $1 AND e.workflow_id = $2 AND e.status = 'ACTIVE' AND e.due_at <= $3
                 LIMIT $4) AS d) AS due,
           (SELECT e.due_at FROM enrollment AS e
             WHERE e.account_id = $1 AND e.workflow_id = $2 AND e.status = 'ACTIVE' AND e.due_at <= $3
             ORDER BY e.due_at LIMIT 1) AS due_since,
           t.aside, t.aside_error,
           (SELECT q.at FROM change_queue AS q
             WHERE q.account_id = $1 ORDER BY q.id LIMIT 1) AS queued_since
      FROM (SELECT count(*) AS aside, max(h.error) AS aside_error
              FROM (SELECT c.work, c.error FROM change_trouble AS c
                     WHERE c.account_id = $1 ORDER BY c.id LIMIT $4) AS h
             WHERE (h.work ->> 'listener_id')::bigint = $2::bigint
                OR h.work -> 'listener_ids' @> to_jsonb($2::bigint)) AS t
    """,
)

FAILURES = Statement(
    "workflow_health.failures",
    """
    WITH recent AS (
        SELECT e.id, e.enrolled_at, e.status, e.steps, e.error FROM enrollment AS e
         WHERE e.account_id = $1 AND e.workflow_id = $2 ORDER BY e.id DESC LIMIT $4
    ), failed AS (
        SELECT s.action, s.error, s.at, r.id
          FROM recent AS r
         CROSS JOIN LATERAL (
               SELECT s.action, s.error, s.at FROM enrollment_step AS s
                WHERE s.account_id = $1 AND s.enrollment_id = r.id AND s.outcome = 'FAILED' AND s.at >= $3
               OFFSET 0) AS s
        UNION ALL
        SELECT NULL, r.error, r.enrolled_at, r.id
          FROM recent AS r WHERE r.status = 'FAILED' AND r.steps = 0 AND r.enrolled_at >= $3
    )
    SELECT f.action, f.error ->> 'code' AS code, count(*) AS count, max(f.at) AS last_at,
           (array_agg(f.error ORDER BY f.at DESC, f.id DESC))[1] AS error,
           (array_agg(f.id ORDER BY f.at DESC, f.id DESC))[1] AS enrollment_id
      FROM failed AS f
     GROUP BY f.action, f.error ->> 'code'
     ORDER BY count(*) DESC, max(f.at) DESC LIMIT $5
    """,
)


async def standing(reader: Queryable, workflow_id: int, now: datetime) -> StandingRow:
    """What has entered a workflow, and what waits."""
    row = await reader.fetchrow(STANDING, workflow_id, now, COUNTED)
    assert row is not None  # it is an aggregate
    return StandingRow(**row)


async def failures(reader: Queryable, workflow_id: int, since: datetime) -> list[FailureRow]:
    """What has failed since then among the newest enrollments, the most frequent first."""
    rows = await reader.fetch(FAILURES, workflow_id, since, LOOKED, KINDS)
    return [FailureRow(**row) for row in rows]
