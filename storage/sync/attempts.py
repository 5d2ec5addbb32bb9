"""What was tried with each link, and what came of it: the newest are kept."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from storage.database import Transaction
from storage.statements import Statement

# So many of a link are kept.
KEPT = 20


@dataclass(slots=True)
class Attempt:
    """What was done with a link, or not: see `storage.tables.sync.SyncAttempt`."""

    link_id: int
    did: str
    side: str | None = None
    category: str | None = None
    message: str | None = None
    changed: dict[str, Any] | None = None


# For each link the range of the index behind the newest ones; in the order of that index, whose it then is.
TRIM = Statement(
    "sync_attempts.trim",
    """
    DELETE FROM sync_attempt AS a
     WHERE a.account_id = $1
       AND a.ctid = ANY(ARRAY(
               SELECT o.place
                 FROM unnest($3::bigint[]) AS n(link_id)
                CROSS JOIN LATERAL (
                      SELECT g.ctid AS place FROM sync_attempt AS g
                       WHERE g.account_id = $1 AND g.sync_id = $2
                         AND g.link_id >= n.link_id AND g.link_id <= n.link_id
                       ORDER BY g.link_id DESC, g.id DESC OFFSET $4
                      ) AS o))
    """,
)


async def add(tx: Transaction, sync_id: int, rows: Sequence[Attempt], fresh: Collection[int] = ()) -> None:
    """Note what was tried. `fresh` are links that have no attempts yet."""
    if not rows:
        return
    ids = await tx.new_ids(len(rows))
    at = tx.now
    await tx.copy(
        "sync_attempt",
        ("id", "sync_id", "link_id", "at", "did", "side", "category", "message", "changed"),
        [
            (number, sync_id, row.link_id, at, row.did, row.side, row.category, row.message, row.changed)
            for number, row in zip(ids, rows, strict=True)
        ],
    )
    known = sorted({row.link_id for row in rows}.difference(fresh))
    if known:
        await tx.execute(TRIM, sync_id, known, KEPT)
