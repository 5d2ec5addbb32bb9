"""What is to be looked at: records of ours that changed, items that are to be read again; each when it is time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from storage.database import Queryable, Transaction
from storage.statements import Statement
from storage.sync.ends import halves

OURS, THEIRS = "OURS", "THEIRS"


@dataclass(slots=True)
class DirtyRow:
    """A record (its id, as text) or an item (its id) to look at. `attempts` counts those that failed.

    `place` is where the row stands, which is another one as soon as somebody tells of it anew.
    """

    item: str
    token: int
    attempts: int
    place: tuple[int, int]


# In the order of the key, so that two who tell of the same cannot wait for each other in a circle. Another token:
# whoever looks at this moment has not seen what is told now. Earlier wins; what is told anew has not failed yet.
ADD = Statement(
    "sync_dirty.add",
    """
    INSERT INTO sync_dirty AS d (account_id, sync_id, side, item, token, due_at, attempts)
    SELECT $1, n.sync_id, n.side, n.item, $2, n.due_at, n.attempts
      FROM unnest($3::bigint[], $4::text[], $5::text[], $6::timestamptz[], $7::int[])
           AS n(sync_id, side, item, due_at, attempts)
     ORDER BY n.sync_id, n.side, n.item
        ON CONFLICT (account_id, sync_id, side, item)
        DO UPDATE SET token = excluded.token, due_at = least(d.due_at, excluded.due_at),
                      attempts = least(d.attempts, excluded.attempts)
    """,
)

# The head of a range of the index of what is due.
DUE = Statement(
    "sync_dirty.due",
    """
    SELECT d.item, d.token, d.attempts, d.ctid FROM sync_dirty AS d
     WHERE d.account_id = $1 AND d.sync_id = $2 AND d.due_at <= $4 AND d.side = $3
     ORDER BY d.due_at, d.item LIMIT $5
    """,
)

# Of some that may be due: a probe of the key for each.
AMONG = Statement(
    "sync_dirty.among",
    """
    SELECT d.item, d.token, d.attempts, d.ctid
      FROM unnest($5::text[]) AS n(item)
     CROSS JOIN LATERAL (
           SELECT k.item, k.token, k.attempts, k.ctid FROM sync_dirty AS k
            WHERE k.account_id = $1 AND k.sync_id = $2 AND k.side = $3 AND k.item BETWEEN n.item AND n.item
              AND k.due_at <= $4
            ORDER BY k.item LIMIT 1
           ) AS d
    """,
)

# Only where nobody has told of it since: that moves the token, and the row. Named by their places: what a planner
# without statistics makes of their keys reads all that is dirty for each of them.
DONE = Statement(
    "sync_dirty.done",
    """
    DELETE FROM sync_dirty AS d
     WHERE d.account_id = $1 AND d.ctid = ANY($4::tid[]) AND d.sync_id = $2 AND d.side = $3
       AND d.token = ($5::jsonb ->> d.item)::bigint
    """,
)
LATER = Statement(
    "sync_dirty.later",
    """
    UPDATE sync_dirty AS d
       SET due_at = ($5::jsonb -> d.item ->> 1)::timestamptz, attempts = d.attempts + 1
     WHERE d.account_id = $1 AND d.ctid = ANY($4::tid[]) AND d.sync_id = $2 AND d.side = $3
       AND d.token = ($5::jsonb -> d.item ->> 0)::bigint
    """,
)

# What nobody has looked at: it is neither failed nor forgotten.
PUT_OFF = Statement(
    "sync_dirty.put_off",
    """
    UPDATE sync_dirty AS d SET due_at = greatest(d.due_at, $5)
     WHERE d.account_id = $1 AND d.ctid = ANY($4::tid[]) AND d.sync_id = $2 AND d.side = $3
    """,
)

# Most syncs have nobody who waits.
WAITED = Statement(
    "sync_dirty.waited",
    "SELECT EXISTS (SELECT FROM sync_wait AS w WHERE w.account_id = $1 AND w.other_sync_id = $2)",
)

# The other end has come: who waited for it is looked at.
ARRIVED = Statement(
    "sync_dirty.arrived",
    """
    WITH gone AS (
        DELETE FROM sync_wait AS w
         WHERE w.account_id = $1 AND w.other_sync_id = $2 AND w.side = ANY($3::text[]) AND w.item = ANY($4::text[])
        RETURNING w.sync_id, w.link_id
    ), told AS (
        SELECT DISTINCT l.sync_id, CASE WHEN l.external_id IS NULL THEN 'OURS' ELSE 'THEIRS' END AS side,
               coalesce(l.external_id, l.record_id::text) AS item
          FROM sync_link AS l
         WHERE l.account_id = $1 AND l.id = ANY(ARRAY(SELECT g.link_id FROM gone AS g))
    )
    INSERT INTO sync_dirty AS d (account_id, sync_id, side, item, token, due_at, attempts)
    SELECT $1, t.sync_id, t.side, t.item, $5, $6, 0 FROM told AS t
     ORDER BY t.sync_id, t.side, t.item
        ON CONFLICT (account_id, sync_id, side, item)
        DO UPDATE SET token = excluded.token, due_at = least(d.due_at, excluded.due_at), attempts = 0
    """,
)

WAIT = Statement(
    "sync_dirty.wait",
    """
    INSERT INTO sync_wait (account_id, other_sync_id, side, item, sync_id, link_id)
    SELECT $1, n.other_sync_id, n.side, n.item, $2, n.link_id
      FROM unnest($3::bigint[], $4::text[], $5::text[], $6::bigint[]) AS n(other_sync_id, side, item, link_id)
        ON CONFLICT DO NOTHING
    """,
)


# Whoever links something holds its sync's row, alone or with others. A row that can be had at once, and alone, is held
# by nobody: what was linked is to be seen, and who links after us sees who waits. Nobody is waited for here, so nobody
# waits in a circle.
STILL = Statement(
    "sync_dirty.still",
    """
    SELECT s.id FROM sync AS s
     WHERE s.account_id = $1 AND s.id = ANY($2::bigint[])
     ORDER BY s.id FOR NO KEY UPDATE SKIP LOCKED
    """,
)


async def add(
    tx: Transaction, sync_id: int, side: str, items: Iterable[str], due_at: datetime, *, attempts: int = 0
) -> None:
    """Let records (or items) be looked at from `due_at` on."""
    await add_to_many(tx, [(sync_id, side, item, due_at, attempts) for item in items])


async def add_to_many(tx: Transaction, rows: Iterable[tuple[int, str, str, datetime, int]]) -> None:
    """The same for several syncs: (sync, side, item, due, attempts)."""
    # The same twice in one statement is refused.
    given = {row[:3]: row for row in rows}
    if given:
        columns = zip(*given.values(), strict=True)
        await tx.execute(ADD, (await tx.new_ids(1))[0], *map(list, columns))


async def due(reader: Queryable, sync_id: int, side: str, now: datetime, limit: int) -> list[DirtyRow]:
    """What is due, longest first."""
    return [DirtyRow(*row) for row in await reader.fetch(DUE, sync_id, side, now, limit)]


async def among(
    reader: Queryable, sync_id: int, side: str, now: datetime, items: Sequence[str]
) -> list[DirtyRow]:
    """Those of some records (or items) that are due."""
    return (
        [DirtyRow(*row) for row in await reader.fetch(AMONG, sync_id, side, now, list(items))]
        if items
        else []
    )


async def done(tx: Transaction, sync_id: int, side: str, rows: Sequence[DirtyRow]) -> None:
    """These were looked at; who was told of since stays."""
    if rows:
        await tx.execute(
            DONE, sync_id, side, [row.place for row in rows], {row.item: row.token for row in rows}
        )


async def later(tx: Transaction, sync_id: int, side: str, rows: Sequence[tuple[DirtyRow, datetime]]) -> None:
    """These are to be looked at again at their times; who was told of since is due anyway."""
    if rows:
        given = {row.item: [row.token, at] for row, at in rows}
        await tx.execute(LATER, sync_id, side, [row.place for row, _ in rows], given)


async def put_off(
    tx: Transaction, sync_id: int, side: str, rows: Sequence[DirtyRow], until: datetime
) -> None:
    """These are not looked at before then, unless somebody tells of them anew."""
    if rows:
        await tx.execute(PUT_OFF, sync_id, side, [row.place for row in rows], until)


async def wait(tx: Transaction, sync_id: int, ends: Sequence[tuple[int, str, str, int]]) -> set[int]:
    """Let links wait for ends that are not linked yet: (the sync of the end, its side, its id, the link that waits).

    Ends that were linked meanwhile are told of at once. Answers the syncs of which that cannot be known yet, since
    they are at work: it is to be looked again soon.
    """
    if not ends:
        return set()
    await tx.execute(WAIT, sync_id, *map(list, zip(*ends, strict=True)))
    others = sorted({end[0] for end in ends})
    still = {row["id"] for row in await tx.fetch(STILL, others)}
    asked = sorted(
        {(other, int(item), None) if side == OURS else (other, None, item) for other, side, item, _ in ends},
        key=lambda one: (one[0], one[1] or 0, one[2] or ""),
    )
    here: dict[int, tuple[list[int], list[str]]] = {}
    for end in await halves(tx, [one for one in asked if one[0] in still]):
        if end.record_id is not None and end.external_id is not None and end.linked:
            records, items = here.setdefault(end.sync_id, ([], []))
            records.append(end.record_id)
            items.append(end.external_id)
    for other, (records, items) in here.items():
        await arrived(tx, other, records, items)
    return set(others) - still


async def arrived(
    tx: Transaction, sync_id: int, record_ids: Sequence[int], external_ids: Sequence[str]
) -> None:
    """These records and items of a sync are linked now: who waited for one of them is looked at."""
    items = [*map(str, record_ids), *external_ids]
    if items and await tx.fetchval(WAITED, sync_id):
        token = (await tx.new_ids(1))[0]
        await tx.execute(ARRIVED, sync_id, [OURS, THEIRS], items, token, tx.now)
