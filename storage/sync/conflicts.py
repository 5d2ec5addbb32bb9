"""Fields that both sides changed and on which a person is asked; and what was decided, until it is carried out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement
from storage.sync.links import IN_SYNC, LinkRow


@dataclass(slots=True)
class ConflictRow:
    """A field of a link. `held`: {"ours", "theirs", "agreed"}; `winner`: OURS or THEIRS, once a person has chosen."""

    id: int
    sync_id: int
    link_id: int
    mapping_id: int
    held: dict[str, Any]
    at: datetime
    winner: str | None = None


COLUMNS = "c.id, c.sync_id, c.link_id, c.mapping_id, c.held, c.at, c.winner"

OF_LINKS = Statement(
    "sync_conflicts.of_links",
    f"""
    SELECT {COLUMNS} FROM sync_conflict AS c
     WHERE c.account_id = $1 AND c.link_id = ANY($2::bigint[])
     ORDER BY c.id
    """,
)

# A field's conflict keeps its id and its age while it lasts; what both hold is kept up. Who has chosen has chosen
# between what they saw: where a side has moved since, they are asked again.
PUT = Statement(
    "sync_conflicts.put",
    """
    INSERT INTO sync_conflict AS c (account_id, id, sync_id, link_id, mapping_id, held, at)
    SELECT $1, n.id, $2, n.link_id, n.mapping_id, n.held, $3
      FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::jsonb[]) AS n(id, link_id, mapping_id, held)
     ORDER BY n.link_id, n.mapping_id
        ON CONFLICT (account_id, link_id, mapping_id)
        DO UPDATE SET held = excluded.held, winner = NULL
    """,
)

REMOVE = Statement(
    "sync_conflicts.remove",
    "DELETE FROM sync_conflict AS c WHERE c.account_id = $1 AND c.id = ANY($2::bigint[])",
)

CHOOSE = Statement(
    "sync_conflicts.choose",
    """
    UPDATE sync_conflict AS c SET winner = ($3::jsonb ->> c.id::text)
     WHERE c.account_id = $1 AND c.id = ANY($2::bigint[])
    """,
)


async def of_links(reader: Queryable, rows: Iterable[LinkRow]) -> dict[int, list[ConflictRow]]:
    """{link: its conflicts}; links without any are left out."""
    # What is in sync, or was never merged, has none. All else may: what fails besides, too, or waits to be tried again.
    link_ids = [link.id for link in rows if link.state != IN_SYNC and link.base_ours is not None]
    found: dict[int, list[ConflictRow]] = {}
    if link_ids:
        for row in await reader.fetch(OF_LINKS, link_ids):
            found.setdefault(row["link_id"], []).append(ConflictRow(*row))
    return found


async def put(tx: Transaction, sync_id: int, rows: Sequence[tuple[int, int, dict[str, Any]]]) -> None:
    """Ask about these: (link, mapping, what both hold)."""
    if rows:
        ids = list(await tx.new_ids(len(rows)))
        await tx.execute(PUT, sync_id, tx.now, ids, *map(list, zip(*rows, strict=True)))


async def remove(tx: Transaction, ids: Sequence[int]) -> None:
    """These are settled."""
    if ids:
        await tx.execute(REMOVE, list(ids))


async def choose(tx: Transaction, winners: dict[int, str]) -> None:
    """A person has chosen: {conflict: winning side}. It is carried out when the item is looked at: make it dirty."""
    if winners:
        await tx.execute(CHOOSE, list(winners), {str(number): side for number, side in winners.items()})
