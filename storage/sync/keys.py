"""What items without a record can be matched by, so that records that come later find them without asking the app."""

from collections.abc import Collection, Mapping, Sequence

from storage.database import Queryable, Transaction
from storage.statements import Statement

PUT = Statement(
    "sync_keys.put",
    """
    INSERT INTO sync_key (account_id, sync_id, value, link_id)
    SELECT $1, $2, n.value, n.link_id FROM unnest($3::text[], $4::bigint[]) AS n(value, link_id)
        ON CONFLICT DO NOTHING
    """,
)

# A range of the primary key for each, whatever the planner believes of the table; a name that thousands share is
# ambiguous after the first few.
FIND = Statement(
    "sync_keys.find",
    """
    SELECT g.value, k.link_id
      FROM unnest($3::text[]) AS g(value)
     CROSS JOIN LATERAL (
           SELECT k.link_id FROM sync_key AS k
            WHERE k.account_id = $1 AND k.sync_id = $2 AND k.value >= g.value AND k.value <= g.value
            ORDER BY k.value, k.link_id LIMIT $4
           ) AS k
    """,
)

REMOVE = Statement(
    "sync_keys.remove",
    "DELETE FROM sync_key AS k WHERE k.account_id = $1 AND k.sync_id = $2 AND k.link_id = ANY($3::bigint[])",
)

# More candidates than that are not told.
TOLD = 10


async def put(tx: Transaction, sync_id: int, keys: Mapping[int, Sequence[str]]) -> None:
    """Let links be found by these keys: {link: keys}."""
    pairs = [(value, link_id) for link_id, values in keys.items() for value in values]
    if pairs:
        await tx.execute(PUT, sync_id, [value for value, _ in pairs], [link_id for _, link_id in pairs])


async def find(reader: Queryable, sync_id: int, values: Sequence[str]) -> dict[str, list[int]]:
    """Links by key: some of them, where there are many."""
    found: dict[str, list[int]] = {}
    if values:
        for row in await reader.fetch(FIND, sync_id, sorted(set(values)), TOLD):
            found.setdefault(row[0], []).append(row[1])
    return found


async def remove(tx: Transaction, sync_id: int, link_ids: Collection[int]) -> None:
    """Let links no longer be found by any keys."""
    if link_ids:
        await tx.execute(REMOVE, sync_id, list(link_ids))
