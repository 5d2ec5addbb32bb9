"""How much waits to be worked off, over all accounts: for those who watch an installation."""

from dataclasses import dataclass
from datetime import datetime

from storage.database import Database
from storage.statements import Statement
from storage.walks import everyone

# What is counted is counted up to here: whoever watches wants to know that it is much.
COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Backlog:
    """Since when the oldest of each kind waits; None: nothing waits."""

    changes_since: datetime | None
    # Up to COUNTED.
    changes: int
    steps_since: datetime | None
    outbox_since: datetime | None
    imports_since: datetime | None
    troubles: int


# For each account a probe of each index; the changes are counted over all of them, up to a bound. A change's row may be
# held by an evaluator at this moment: it is waiting all the same.
BACKLOG = Statement(
    "backlog.backlog",
    """
    SELECT min(c.at) AS changes_since,
           (SELECT count(*) FROM (SELECT FROM change_queue AS q WHERE q.account_id = ANY($1) LIMIT $3) AS q) AS changes,
           min(s.due_at) AS steps_since, min(o.next_attempt_at) AS outbox_since, min(i.started_at) AS imports_since,
           (SELECT count(*) FROM change_trouble AS t WHERE t.account_id = ANY($1)) AS troubles
      FROM unnest($1::bigint[]) AS a(id)
      LEFT JOIN LATERAL (
           SELECT q.at FROM change_queue AS q WHERE q.account_id = ANY($1) AND q.account_id = a.id
            ORDER BY q.id LIMIT 1) AS c ON true
      LEFT JOIN LATERAL (
           SELECT e.due_at FROM enrollment AS e
            WHERE e.account_id = ANY($1) AND e.account_id = a.id AND e.status = 'ACTIVE' AND e.due_at <= $2
            ORDER BY e.due_at LIMIT 1) AS s ON true
      LEFT JOIN LATERAL (
           SELECT o.next_attempt_at FROM outbox AS o
            WHERE o.account_id = ANY($1) AND o.account_id = a.id AND o.next_attempt_at <= $2
            ORDER BY o.next_attempt_at LIMIT 1) AS o ON true
      LEFT JOIN LATERAL (
           SELECT i.started_at FROM import AS i
            WHERE i.account_id = ANY($1) AND i.account_id = a.id AND i.status IN ('CHECKING', 'RUNNING', 'UNDOING')
              AND (i.leased_until IS NULL OR i.leased_until <= $2)
            ORDER BY i.id LIMIT 1) AS i ON true
    """,
    spanning="tells whoever watches the installation how much waits; no account's own figures are told",
)


async def backlog(db: Database, now: datetime) -> Backlog:
    """What waits at this moment."""
    [row] = await db.spanning(BACKLOG, await everyone(db), now, COUNTED)
    return Backlog(**row)
