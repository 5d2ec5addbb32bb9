"""What senders do with the outbox: they claim under a lease, and who holds it finishes; then the enrollment goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.changes import Event, EventKind
from storage.database import Database, Transaction
from storage.places import places_of
from storage.statements import Statement
from storage.walks import everyone


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a sender has now: nobody else touches it before the lease ends. `attempts` counts this one."""

    account_id: int
    id: int
    key: str
    kind: str
    host: str
    request: dict[str, Any]
    enrollment_id: int | None
    record_id: int | None
    attempts: int
    token: str
    recalled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Finished:
    """How an attempt went: PENDING with the time of the next one, or an end without."""

    claimed: Claimed
    status: str
    next_attempt_at: datetime | None
    outcome: dict[str, Any]


# One probe an account, however much is waiting for its time.
DUE_ACCOUNTS = Statement(
    "outbox_sending.due_accounts",
    """
    SELECT a.id AS account_id
      FROM unnest($1::bigint[]) AS a(id)
     WHERE EXISTS (SELECT FROM outbox AS o
                    WHERE o.account_id = ANY($1) AND o.account_id = a.id AND o.next_attempt_at <= $2)
    """,
    spanning="finds the accounts with something to send; each is then worked off in transactions of its own",
)

# The hosts for which anything is open, one step along the index each; then, for each host, as many as it has places
# left ($4 says which have fewer than $3, perhaps none), and of these the longest due. So what one host has piled up
# is never read for the sake of another. An attempt is counted when it begins: what kills its sender is not taken up
# for ever. What others hold is skipped; what is locked beyond $5 is free again with the commit. It is found by its
# primary key: a join's plan would hang on estimates.
CLAIM = Statement(
    "outbox_sending.claim",
    """
    WITH RECURSIVE host(name) AS (
        (SELECT o.host FROM outbox AS o
          WHERE o.account_id = $1 AND o.next_attempt_at IS NOT NULL ORDER BY o.host LIMIT 1)
        UNION ALL
        SELECT (SELECT o.host FROM outbox AS o
                 WHERE o.account_id = $1 AND o.next_attempt_at IS NOT NULL AND o.host > h.name
                 ORDER BY o.host LIMIT 1)
          FROM host AS h WHERE h.name IS NOT NULL
    ), due AS (
        SELECT d.id
          FROM host AS h
         CROSS JOIN LATERAL (
               SELECT o.id, o.next_attempt_at FROM outbox AS o
                WHERE o.account_id = $1 AND o.host = h.name AND o.next_attempt_at <= $2
                ORDER BY o.next_attempt_at, o.id
                LIMIT coalesce(($4::jsonb ->> h.name)::int, $3::int)
                  FOR UPDATE SKIP LOCKED
               ) AS d
         ORDER BY d.next_attempt_at, d.id LIMIT $5
    )
    UPDATE outbox AS o
       SET status = 'SENDING', attempts = o.attempts + 1, next_attempt_at = $6, lease_token = $7
     WHERE o.account_id = $1 AND o.id = ANY(ARRAY(SELECT d.id FROM due AS d))
    RETURNING o.id, o.key, o.kind, o.host, o.request, o.enrollment_id, o.record_id, o.attempts, o.recalled, o.created_at
    """,
)

# Always before the rows of the outbox, as whoever cancels has it. Two senders that finish the last rows of a step
# at the same time meet here: the second one sees what the first has written.
LOCK_ENROLLMENTS = Statement(
    "outbox_sending.lock_enrollments",
    """
    SELECT e.id, e.steps, e.status = 'ACTIVE' AND e.due_at IS NULL AS waits
      FROM (SELECT DISTINCT g.id FROM unnest($2::bigint[]) AS g(id) ORDER BY g.id) AS g
           CROSS JOIN LATERAL (SELECT e.id, e.steps, e.status, e.due_at FROM enrollment AS e
                                WHERE e.account_id = $1 AND e.id = g.id
                                  FOR NO KEY UPDATE) AS e
    """,
)

# Guarded by the token: whoever has lost the lease changes nothing. A probe of the primary key for each, whatever the
# planner believes of the table, with the new values in one document.
FINISH = Statement(
    "outbox_sending.finish",
    f"""
    UPDATE outbox AS o
       SET (status, next_attempt_at, finished_at, outcome, lease_token) = (
           SELECT m.status, CASE WHEN m.status = 'PENDING' THEN (m.new ->> 2)::timestamptz END,
                  CASE WHEN m.status <> 'PENDING' THEN $4::timestamptz END, m.new -> 3, NULL
             FROM (SELECT n.new, CASE WHEN n.new ->> 1 = 'PENDING' AND o.recalled THEN 'CANCELLED'
                                      ELSE n.new ->> 1 END AS status
                     FROM (SELECT $3::jsonb -> o.id::text AS new) AS n) AS m)
      FROM {places_of("outbox")}
     WHERE o.account_id = $1 AND o.ctid = p.place
       AND o.status = 'SENDING' AND o.lease_token = ($3::jsonb -> o.id::text ->> 0)
    RETURNING o.id, o.key, o.kind, o.status, o.enrollment_id, o.step, o.workflow_id, o.record_id, o.outcome
    """,
)

# Those that are held lie where they are found, so a probe each does. A subquery with a LIMIT is no join that could be
# turned round.
CALL = Statement(
    "outbox_sending.call",
    f"""
    UPDATE enrollment AS e SET due_at = $3
      FROM {places_of("enrollment")}
     WHERE e.account_id = $1 AND e.ctid = p.place
       AND (SELECT o.id FROM outbox AS o
             WHERE o.account_id = $1 AND o.enrollment_id = e.id AND o.step = e.steps
               AND o.next_attempt_at IS NOT NULL
             LIMIT 1) IS NULL
    """,
)


async def due_accounts(db: Database, now: datetime) -> list[int]:
    """The accounts that have anything to send."""
    return [row["account_id"] for row in await db.spanning(DUE_ACCOUNTS, await everyone(db), now)]


async def any_due(db: Database, account_id: int, now: datetime) -> bool:
    """Whether an account has anything to send."""
    return bool(await db.spanning(DUE_ACCOUNTS, [account_id], now))


async def claim(
    tx: Transaction,
    limit: int,
    *,
    token: str,
    until: datetime,
    a_host: int,
    places: Mapping[str, int] | None = None,
) -> list[Claimed]:
    """Take up to `limit` that are due, longest due first, under a lease that ends at `until`.

    At most `a_host` for one host, or as many as `places` says of it. What a lost sender had is taken again when its
    lease has ended.
    """
    rows = await tx.fetch(CLAIM, tx.now, a_host, dict(places or {}), limit, until, token)
    return [Claimed(account_id=tx.account_id, token=token, **row) for row in rows]


async def finish(tx: Transaction, outcomes: Sequence[Finished]) -> list[int]:
    """Write how attempts went; the ids of those whose lease still held, whose outcome therefore counts.

    An enrollment whose step has nothing open any more is due; watchers are told of what came to an end.
    """
    if not outcomes:
        return []
    waiting = await _waiting(tx, outcomes)
    new = {
        str(one.claimed.id): (one.claimed.token, one.status, one.next_attempt_at, one.outcome)
        for one in outcomes
    }
    written = await tx.fetch(FINISH, [one.claimed.id for one in outcomes], new, tx.now)
    ended = [row for row in written if row["status"] != "PENDING"]
    for row in ended:
        _tell(tx, row)
    # What was retried long after its step is nothing that an enrollment waits for.
    if called := sorted(
        {row["enrollment_id"] for row in ended if waiting.get(row["enrollment_id"], -1) == row["step"]}
    ):
        await tx.execute(CALL, called, tx.now)
    return [row["id"] for row in written]


async def _waiting(tx: Transaction, outcomes: Sequence[Finished]) -> dict[int, int]:
    """The enrollments of these, held, that wait for the outside: {enrollment: number of its next line of history}.

    Whoever waits so has no due time.
    """
    asked = {one.claimed.enrollment_id for one in outcomes if one.claimed.enrollment_id is not None}
    if not asked:
        return {}
    rows = await tx.fetch(LOCK_ENROLLMENTS, sorted(asked))
    return {row["id"]: row["steps"] for row in rows if row["waits"]}


def _tell(tx: Transaction, row: Any) -> None:
    if row["status"] == "CANCELLED":
        return
    kind = EventKind.OUTBOX_DELIVERED if row["status"] == "DELIVERED" else EventKind.OUTBOX_FAILED
    details = {
        "outbox": row["id"],
        "kind": row["kind"],
        "status": row["status"],
        "enrollment": row["enrollment_id"],
        "step": row["step"],
    }
    if error := (row["outcome"] or {}).get("error"):
        details["error"] = error
    tx.happened(Event(kind, None, row["record_id"], row["workflow_id"], details))
