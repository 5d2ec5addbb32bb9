"""What is to be examined without a change: all records of a new filter, and those for which the clock decides."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from storage.database import Queryable, Transaction
from storage.places import places
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class FillRow:
    """How far the first examining of all records under a segment's filter has got."""

    segment_id: int
    after_id: int
    started_at: datetime


BEGIN_FILL = Statement(
    "match_states.begin_fill",
    """
    INSERT INTO segment_fill (account_id, segment_id, after_id, started_at) VALUES ($1, $2, 0, $3)
    ON CONFLICT (account_id, segment_id) DO UPDATE SET after_id = 0, started_at = $3
    """,
)

# Fills of one object type that have got equally far, so that one look at its records does for all of them. Whoever
# works on fills holds their rows until the part and the new place are committed.
CLAIM_FILLS = Statement(
    "match_states.claim_fills",
    """
    WITH first AS MATERIALIZED (
        SELECT s.object_type_id, f.after_id
          FROM segment_fill AS f JOIN segment AS s ON s.account_id = $1 AND s.id = f.segment_id
         WHERE f.account_id = $1 AND f.segment_id <> ALL($2::bigint[])
         ORDER BY f.segment_id LIMIT 1
           FOR UPDATE OF f SKIP LOCKED
    )
    SELECT f.segment_id, f.after_id, f.started_at
      FROM segment_fill AS f JOIN segment AS s ON s.account_id = $1 AND s.id = f.segment_id
     WHERE f.account_id = $1 AND f.segment_id <> ALL($2::bigint[])
       AND s.object_type_id = (SELECT first.object_type_id FROM first)
       AND f.after_id = (SELECT first.after_id FROM first)
     ORDER BY f.segment_id LIMIT $3
       FOR UPDATE OF f SKIP LOCKED
    """,
)

MOVE_FILL = Statement(
    "match_states.move_fill",
    "UPDATE segment_fill AS f SET after_id = $3 WHERE f.account_id = $1 AND f.segment_id = ANY($2::bigint[])",
)

END_FILL = Statement(
    "match_states.end_fill",
    "DELETE FROM segment_fill AS f WHERE f.account_id = $1 AND f.segment_id = ANY($2::bigint[])",
)

# The head of one range of an index, however much waits for its time. Nothing is locked: whoever examines a pair
# holds its segment first, and finds what another one has left of it.
DUE = Statement(
    "match_states.due",
    """
    SELECT s.listener_id, s.record_id, s.next_check_at FROM match_state AS s
     WHERE s.account_id = $1 AND s.next_check_at <= $2
     ORDER BY s.next_check_at, s.listener_id, s.record_id LIMIT $3
    """,
)

SET = Statement(
    "match_states.set",
    """
    INSERT INTO match_state (account_id, listener_id, record_id, next_check_at)
    SELECT $1, n.listener_id, n.record_id, n.next_check_at
      FROM unnest($2::bigint[], $3::bigint[], $4::timestamptz[]) AS n(listener_id, record_id, next_check_at)
    ON CONFLICT (account_id, listener_id, record_id) DO UPDATE SET next_check_at = excluded.next_check_at
    """,
)

_PLACES = places(
    """ARRAY(SELECT (SELECT g.ctid FROM match_state AS g
                     WHERE g.account_id = $1 AND g.listener_id = n.listener_id AND g.record_id = n.record_id)
              FROM unnest($2::bigint[], $3::bigint[]) AS n(listener_id, record_id))"""
)
CLEAR = Statement(
    "match_states.clear",
    f"""
    DELETE FROM match_state AS s
     USING {_PLACES}
     WHERE s.account_id = $1 AND s.ctid = p.place
    """,
)

NOTED = Statement(
    "match_states.noted",
    """
    SELECT k.n, s.next_check_at
      FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY AS k(listener_id, record_id, n)
     CROSS JOIN LATERAL (
           SELECT s.next_check_at FROM match_state AS s
            WHERE s.account_id = $1 AND s.listener_id = k.listener_id AND s.record_id = k.record_id
            LIMIT 1
           ) AS s
    """,
)

FORGET = Statement(
    "match_states.forget", "DELETE FROM match_state AS s WHERE s.account_id = $1 AND s.listener_id = $2"
)


async def begin_fill(tx: Transaction, segment_id: int) -> None:
    """Let all records be examined, from the first."""
    await tx.execute(BEGIN_FILL, segment_id, tx.now)


async def claim_fills(tx: Transaction, without: Collection[int], limit: int) -> list[FillRow]:
    """Up to `limit` fills of one object type that nobody else works on and that have got equally far.

    Held until the commit; none of the segments `without`.
    """
    return [FillRow(**row) for row in await tx.fetch(CLAIM_FILLS, list(without), limit)]


async def move_fill(tx: Transaction, segment_ids: Collection[int], after_id: int) -> None:
    """Records up to `after_id` are done."""
    await tx.execute(MOVE_FILL, list(segment_ids), after_id)


async def end_fill(tx: Transaction, segment_ids: Collection[int]) -> None:
    """All records are done, or need not be."""
    await tx.execute(END_FILL, list(segment_ids))


async def due(reader: Queryable, now: datetime, limit: int) -> list[tuple[int, int, datetime]]:
    """Up to `limit` (listener, record, when) whose time has come, the longest overdue first."""
    rows = await reader.fetch(DUE, now, limit)
    return [(row["listener_id"], row["record_id"], row["next_check_at"]) for row in rows]


async def noted(reader: Queryable, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], datetime]:
    """When each (listener, record) is to be examined, where it is."""
    rows = await reader.fetch(NOTED, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return {pairs[row["n"] - 1]: row["next_check_at"] for row in rows}


async def note(tx: Transaction, found: Mapping[tuple[int, int], datetime | None]) -> None:
    """When to examine each (listener, record) again; None: not before something changes.

    The transaction holds the segments and workflows that are listeners.
    """
    later = sorted((pair, at) for pair, at in found.items() if at is not None)
    never = sorted(pair for pair, at in found.items() if at is None)
    if later:
        await tx.execute(
            SET, [pair[0] for pair, _ in later], [pair[1] for pair, _ in later], [at for _, at in later]
        )
    if never:
        await tx.execute(CLEAR, [pair[0] for pair in never], [pair[1] for pair in never])


async def forget(tx: Transaction, listener_id: int) -> None:
    """Look at the clock no longer for a listener."""
    await tx.execute(FORGET, listener_id)
