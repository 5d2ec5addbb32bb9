"""Whose turn a sync is, what it is about to do, and where it goes on: the row that a runner holds while it writes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Database, Queryable, Transaction
from storage.statements import Statement


@dataclass(slots=True)
class RunRow:
    """A sync as its runner needs it: see `storage.tables.sync.Sync`.

    `writer`: by what the transaction that holds it is known in all rows that it writes.
    """

    id: int
    connection_id: int
    object_type_id: int
    direction: str
    phase: str
    enabled: bool
    revision: int
    cursors: dict[str, Any]
    pass_number: int
    next_at: datetime | None
    read_at: datetime | None
    swept_at: datetime | None
    held: dict[str, Any] | None
    progress: dict[str, Any]
    writer: int = 0


_NAMES = tuple(name for name in RunRow.__slots__ if name != "writer")
COLUMNS = ", ".join(f"s.{name}" for name in _NAMES)


@dataclass(slots=True)
class Work:
    """What waits: when the next record and the next item are due; unconfirmed creations, deletions."""

    ours: datetime | None
    theirs: datetime | None
    creating: bool
    deleting: bool
    # Previews that are to be made or carried out; failures that are to be tried again.
    plans: bool
    again: bool


@dataclass(frozen=True, slots=True)
class Due:
    """A sync that may have something to do."""

    account_id: int
    sync_id: int
    connection_id: int
    due_at: datetime


# A row a sync that is on, which is few, and a probe each for the first that is dirty. Leased ones are passed over
# until the lease ends; connections that are broken or pause, until they work. Those that rest do so until a moment;
# those that wait for a person have none.
DUE = Statement(
    "sync_leases.due",
    """
    SELECT s.account_id, s.id AS sync_id, s.connection_id,
           least(s.next_at, (SELECT min(d.due_at) FROM sync_dirty AS d
                              WHERE d.account_id = s.account_id AND d.sync_id = s.id),
                 (SELECT min(p.made_at) FROM sync_plan AS p
                   WHERE p.account_id = s.account_id AND p.sync_id = s.id
                     AND p.state IN ('WANTED', 'MAKING', 'APPLYING'))) AS due_at
      FROM sync AS s
      JOIN connection AS c ON c.account_id = s.account_id AND c.id = s.connection_id
     WHERE ((s.enabled AND s.phase <> 'CONFIGURED'
             AND (s.held IS NULL OR (s.held ->> 'until')::timestamptz <= $1))
            OR EXISTS (SELECT FROM sync_plan AS p
                        WHERE p.account_id = s.account_id AND p.sync_id = s.id
                          AND p.state IN ('WANTED', 'MAKING', 'APPLYING')))
       AND ($2::bigint[] IS NULL OR s.account_id = ANY($2::bigint[]))
       AND (s.leased_until IS NULL OR s.leased_until <= $1 OR s.lease_token = ANY($3::text[]))
       AND c.status = 'READY' AND (c.paused_until IS NULL OR c.paused_until <= $1)
    """,
    spanning="finds the syncs that have work; each is then worked off in transactions of its own",
)

# For whoever comes first; a runner that is alive renews before its lease ends.
TAKE = Statement(
    "sync_leases.take",
    """
    UPDATE sync AS s SET lease_token = $3, leased_until = $5
     WHERE s.account_id = $1 AND s.id = $2
       AND (s.leased_until IS NULL OR s.leased_until <= $4 OR s.lease_token = $3)
    RETURNING s.id
    """,
)

RELEASE = Statement(
    "sync_leases.release",
    """
    UPDATE sync AS s SET lease_token = NULL, leased_until = NULL
     WHERE s.account_id = $1 AND s.id = $2 AND s.lease_token = $3
    """,
)

# The first statement of every transaction of a runner: the row is its own until the commit, and so is the lease.
# Nobody else's face, person or worker changes the sync or its links meanwhile. The time is that of the step, which may
# have begun long ago: a lease that was renewed since does not become shorter.
HOLD = Statement(
    "sync_leases.hold",
    f"""
    UPDATE sync AS s SET leased_until = greatest(s.leased_until, $5)
     WHERE s.account_id = $1 AND s.id = $2 AND s.lease_token = $3 AND s.revision = $4
    RETURNING {COLUMNS}, s.xmin AS writer
    """,
)

# The same for those who help the runner, side by side: whoever holds the row alone waits until all of them are done,
# and they for him. Asked again behind whoever had it: a lease that was lost, or rules that are new, are seen.
SHARE = Statement(
    "sync_leases.share",
    """
    SELECT s.object_type_id FROM sync AS s
     WHERE s.account_id = $1 AND s.id = $2 AND s.lease_token = $3 AND s.revision = $4
       FOR SHARE
    """,
)

LOOK = Statement(
    "sync_leases.look",
    f"""
    SELECT {COLUMNS},
           (SELECT min(d.due_at) FROM sync_dirty AS d
             WHERE d.account_id = $1 AND d.sync_id = $2 AND d.side = 'OURS') AS ours,
           (SELECT min(d.due_at) FROM sync_dirty AS d
             WHERE d.account_id = $1 AND d.sync_id = $2 AND d.side = 'THEIRS') AS theirs,
           EXISTS (SELECT FROM sync_link AS l
                    WHERE l.account_id = $1 AND l.sync_id = $2 AND l.create_key IS NOT NULL) AS creating,
           EXISTS (SELECT FROM sync_link AS l
                    WHERE l.account_id = $1 AND l.sync_id = $2 AND l.deleting) AS deleting,
           EXISTS (SELECT FROM sync_plan AS p
                    WHERE p.account_id = $1 AND p.sync_id = $2
                      AND p.state IN ('WANTED', 'MAKING', 'APPLYING')) AS plans,
           s.again_before IS NOT NULL AS again
      FROM sync AS s
     WHERE s.account_id = $1 AND s.id = $2
    """,
)

WRITE = Statement(
    "sync_leases.write",
    """
    UPDATE sync AS s
       SET phase = $3, cursors = $4, pass_number = $5, next_at = $6, read_at = $7, swept_at = $8, held = $9,
           progress = $10
     WHERE s.account_id = $1 AND s.id = $2
    """,
)

# A pause is the connection's, not of every record; it never becomes shorter by a second failure. How it stood before
# says whether that is news: a category stays until it works again.
PAUSE = Statement(
    "sync_leases.pause",
    """
    UPDATE connection AS c
       SET status = $3, category = $4, message = $5, paused_until = $6, updated_at = $7
      FROM (SELECT o.status, o.category FROM connection AS o
             WHERE o.account_id = $1 AND o.id = $2
               FOR NO KEY UPDATE) AS before
     WHERE c.account_id = $1 AND c.id = $2
       AND (c.status <> $3 OR c.paused_until IS NULL OR c.paused_until < $6 OR c.category <> $4)
    RETURNING before.status <> $3 OR before.category IS DISTINCT FROM $4
    """,
)
RESUME = Statement(
    "sync_leases.resume",
    """
    UPDATE connection AS c SET category = NULL, message = NULL, paused_until = NULL, updated_at = $3
     WHERE c.account_id = $1 AND c.id = $2 AND c.status = 'READY' AND c.category IS NOT NULL
    """,
)


async def due(
    db: Database, now: datetime, accounts: list[int] | None = None, tokens: list[str] | None = None
) -> list[Due]:
    """Syncs that are on, with when each has something to do; leased ones only if the lease is one of `tokens`."""
    rows = await db.spanning(DUE, now, accounts, tokens or [])
    return [Due(*row) for row in rows if row["due_at"] is not None]


async def take(single: Queryable, sync_id: int, token: str, now: datetime, until: datetime) -> bool:
    """Take the sync, or keep it; whether it is ours."""
    return await single.fetchval(TAKE, sync_id, token, now, until) is not None


async def release(single: Queryable, sync_id: int, token: str) -> None:
    """Give the sync back."""
    await single.fetchval(RELEASE, sync_id, token)


async def hold(tx: Transaction, sync_id: int, token: str, revision: int, until: datetime) -> RunRow | None:
    """Hold the sync until the commit; None where it is no longer ours, or no longer what it was."""
    row = await tx.fetchrow(HOLD, sync_id, token, revision, until)
    return None if row is None else RunRow(*row)


async def share(tx: Transaction, sync_id: int, token: str, revision: int) -> int | None:
    """Hold the sync together with others; its object type, None where it is no longer the runner's."""
    object_type_id: int | None = await tx.fetchval(SHARE, sync_id, token, revision)
    return object_type_id


async def look(reader: Queryable, sync_id: int) -> tuple[RunRow, Work] | None:
    """The sync and what waits; None where it is gone."""
    row = await reader.fetchrow(LOOK, sync_id)
    if row is None:
        return None
    n = len(_NAMES)
    return RunRow(*row[:n]), Work(*row[n:])


async def write(tx: Transaction, row: RunRow) -> None:
    """Write where a sync that is held goes on."""
    await tx.execute(
        WRITE,
        row.id,
        row.phase,
        row.cursors,
        row.pass_number,
        row.next_at,
        row.read_at,
        row.swept_at,
        row.held,
        row.progress,
    )


async def pause(
    tx: Transaction, connection_id: int, status: str, category: str, message: str, until: datetime | None
) -> bool:
    """Let a connection rest; whether that is news: it works until now, or something else is the matter."""
    return bool(await tx.fetchval(PAUSE, connection_id, status, category, message, until, tx.now))


async def resume(tx: Transaction, connection_id: int) -> bool:
    """A connection works again; whether it had paused."""
    return await tx.execute(RESUME, connection_id, tx.now) > 0
