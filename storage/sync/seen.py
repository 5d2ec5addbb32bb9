"""Which items a pass over all of them has met."""

from collections.abc import Sequence

from storage.database import Transaction
from storage.places import places
from storage.statements import Statement

PUT = Statement(
    "sync_seen.put",
    """
    INSERT INTO sync_seen (account_id, sync_id, pass_number, external_id)
    SELECT $1, $2, $3, n.external_id FROM unnest($4::text[]) AS n(external_id)
        ON CONFLICT DO NOTHING
    """,
)

# A part of the passes that are over, in the order of the key.
_FIRST = places(
    """ARRAY(SELECT g.ctid FROM sync_seen AS g
              WHERE g.account_id = $1 AND g.sync_id = $2 AND g.pass_number <= $3
              ORDER BY g.pass_number, g.external_id LIMIT $4)"""
)
CLEAR = Statement(
    "sync_seen.clear",
    f"""
    DELETE FROM sync_seen AS s
     USING {_FIRST}
     WHERE s.account_id = $1 AND s.ctid = p.place
    """,
)


async def put(tx: Transaction, sync_id: int, pass_number: int, external_ids: Sequence[str]) -> None:
    """The pass has met these."""
    await tx.execute(PUT, sync_id, pass_number, sorted(set(external_ids)))


async def clear(tx: Transaction, sync_id: int, pass_number: int, limit: int) -> int:
    """Forget some of what this pass and earlier ones have met; how many."""
    return await tx.execute(CLEAR, sync_id, pass_number, limit)
