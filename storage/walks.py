"""Walks along associations in bounded parts: neighbours by page, and what is left of a walk for later."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Database, Queryable, Transaction
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class WalkRow:
    """What is left of a walk: from `record_id`, behind neighbour `after_id`, along `path`."""

    record_id: int
    path: tuple[int, ...]
    after_id: int
    listener_ids: tuple[int, ...]
    cause: dict[str, Any]
    at: datetime
    depth: int
    version: int


# Pages of several records' neighbours at once: for each a range of the primary key, which begins behind
# the last one seen and ends after $6 rows, however many there are.
NEIGHBOURS = Statement(
    "walks.neighbours",
    """
    SELECT s.n, a.to_id
      FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY AS s(from_id, after_id, n)
     CROSS JOIN LATERAL (
           SELECT a.to_id FROM association AS a
            WHERE a.account_id = $1 AND a.from_id = s.from_id AND a.to_object_type_id = $4
              AND a.to_id > s.after_id AND a.type_id = $5
            ORDER BY a.to_id LIMIT $6
           ) AS a
     ORDER BY s.n, a.to_id
    """,
)

INSERT = Statement(
    "walks.insert",
    """
    INSERT INTO trigger_walk (account_id, id, record_id, path, after_id, listener_ids, cause, at, depth,
                              version)
    SELECT $1, w.id, w.record_id, ARRAY(SELECT jsonb_array_elements_text(w.way -> 0)::bigint), w.after_id,
           ARRAY(SELECT jsonb_array_elements_text(w.way -> 1)::bigint), w.cause, w.at, w.depth, w.version
      FROM unnest($2::bigint[], $3::bigint[], $4::jsonb[], $5::bigint[], $6::jsonb[], $7::timestamptz[],
                  $8::int[], $9::bigint[])
           AS w(id, record_id, way, after_id, cause, at, depth, version)
    """,
)

# As with the queue of changes: claiming deletes, and what another evaluator holds is skipped. By an array, each is
# found by a probe, whatever the planner believes of the table.
CLAIM = Statement(
    "walks.claim",
    """
    WITH claimed AS (
        SELECT w.id FROM trigger_walk AS w
         WHERE w.account_id = $1
         ORDER BY w.id LIMIT $2
           FOR UPDATE SKIP LOCKED
    )
    DELETE FROM trigger_walk AS w
     WHERE w.account_id = $1 AND w.id = ANY(ARRAY(SELECT c.id FROM claimed AS c))
    RETURNING w.record_id, w.path, w.after_id, w.listener_ids, w.cause, w.at, w.depth, w.version
    """,
)

# One probe an account and table, however long the queues are. What enrolls waits while its workflow is off.
WAITING = Statement(
    "walks.waiting",
    """
    SELECT a.id AS account_id
      FROM unnest($1::bigint[]) AS a(id)
     WHERE EXISTS (SELECT FROM change_queue AS q WHERE q.account_id = ANY($1) AND q.account_id = a.id)
        OR EXISTS (SELECT FROM trigger_walk AS w WHERE w.account_id = ANY($1) AND w.account_id = a.id)
        OR EXISTS (SELECT FROM workflow_backfill AS b
                     JOIN workflow AS w ON w.account_id = ANY($1) AND w.account_id = b.account_id
                                       AND w.id = b.workflow_id AND w.enabled
                    WHERE b.account_id = ANY($1) AND b.account_id = a.id)
        OR EXISTS (SELECT FROM segment_fill AS f WHERE f.account_id = ANY($1) AND f.account_id = a.id)
        OR EXISTS (SELECT FROM match_state AS s
                    WHERE s.account_id = ANY($1) AND s.account_id = a.id AND s.next_check_at <= $2)
        OR EXISTS (SELECT FROM change_trouble AS t
                    WHERE t.account_id = ANY($1) AND t.account_id = a.id AND t.retry_at <= $2)
    """,
    spanning="finds the accounts that have work; each is then worked off in transactions of its own",
)

EVERYONE = Statement(
    "walks.everyone",
    "SELECT v.account_id FROM catalogue_version AS v ORDER BY v.account_id",
    spanning="a worker serves all accounts",
)


async def neighbours(
    reader: Queryable,
    starts: Sequence[tuple[int, int]],
    *,
    to_object_type_id: int,
    type_id: int,
    limit: int,
) -> list[list[int]]:
    """For each (record, last neighbour seen): up to `limit` next neighbours under a type, rising."""
    rows = await reader.fetch(
        NEIGHBOURS,
        [start[0] for start in starts],
        [start[1] for start in starts],
        to_object_type_id,
        type_id,
        limit,
    )
    found: list[list[int]] = [[] for _ in starts]
    for row in rows:
        found[row["n"] - 1].append(row["to_id"])
    return found


async def keep(tx: Transaction, walks: Sequence[WalkRow]) -> None:
    """Leave walks for a later transaction."""
    if not walks:
        return
    await tx.execute(
        INSERT,
        await tx.new_ids(len(walks)),
        [walk.record_id for walk in walks],
        [(walk.path, walk.listener_ids) for walk in walks],
        [walk.after_id for walk in walks],
        [walk.cause for walk in walks],
        [walk.at for walk in walks],
        [walk.depth for walk in walks],
        [walk.version for walk in walks],
    )


async def claim(tx: Transaction, limit: int) -> list[WalkRow]:
    """Take up to `limit` walks; they are gone if the transaction commits."""
    return [
        WalkRow(
            row["record_id"],
            tuple(row["path"]),
            row["after_id"],
            tuple(row["listener_ids"]),
            row["cause"],
            row["at"],
            row["depth"],
            row["version"],
        )
        for row in await tx.fetch(CLAIM, limit)
    ]


async def waiting(db: Database, now: datetime) -> list[int]:
    """The accounts that have changes, walks, fills or backfills to work off, or something due by the clock."""
    return [row["account_id"] for row in await db.spanning(WAITING, await everyone(db), now)]


async def everyone(db: Database) -> list[int]:
    """All accounts of this installation."""
    return [row["account_id"] for row in await db.spanning(EVERYONE)]
