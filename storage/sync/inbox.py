"""Conflicts as people look at them and decide them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(slots=True)
class InboxRow:
    """A field of a link about which a person is asked, with what it is a field of.

    `held`: {"ours", "theirs", "agreed"}, values in our terms; `winner`: OURS or THEIRS, once somebody has chosen.
    """

    id: int
    sync_id: int
    link_id: int
    mapping_id: int
    held: dict[str, Any]
    at: datetime
    winner: str | None
    property_id: int
    field: str
    record_id: int | None
    external_id: str | None
    # How the link stands.
    state: str


_INBOX = """c.id, c.sync_id, c.link_id, c.mapping_id, c.held, c.at, c.winner, m.property_id, m.field, l.record_id,
           l.external_id, l.state"""
_JOINS = """sync_conflict AS c
      JOIN sync_mapping AS m ON m.account_id = $1 AND m.id = c.mapping_id
      JOIN sync_link AS l ON l.account_id = $1 AND l.id = c.link_id"""

# For each sync the end of a range of its index; and of all of it. What a conflict is about is looked up afterwards.
PAGE = Statement(
    "sync_inbox.page",
    f"""
    WITH page AS MATERIALIZED (
        SELECT o.id
          FROM unnest($2::bigint[]) AS s(id)
         CROSS JOIN LATERAL (
               SELECT k.id FROM sync_conflict AS k
                WHERE k.account_id = $1 AND k.sync_id = s.id AND k.id < $3
                ORDER BY k.id DESC LIMIT $4
               ) AS o
         ORDER BY o.id DESC LIMIT $4
    )
    SELECT {_INBOX} FROM {_JOINS}
     WHERE c.account_id = $1 AND c.id = ANY(ARRAY(SELECT p.id FROM page AS p))
     ORDER BY c.id DESC
    """,
)

OF_LINKS = Statement(
    "sync_inbox.of_links",
    f"SELECT {_INBOX} FROM {_JOINS} WHERE c.account_id = $1 AND c.link_id = ANY($2::bigint[]) ORDER BY c.id",
)

BY_IDS = Statement(
    "sync_inbox.by_ids",
    f"SELECT {_INBOX} FROM {_JOINS} WHERE c.account_id = $1 AND c.id = ANY($2::bigint[]) ORDER BY c.id",
)

DECIDE = Statement(
    "sync_inbox.decide",
    """
    UPDATE sync_conflict AS c SET winner = g.winner, held = g.held
      FROM unnest($2::bigint[], $3::text[], $4::jsonb[]) AS g(id, winner, held)
     WHERE c.account_id = $1 AND c.id = g.id
    """,
)


async def page(reader: Queryable, sync_ids: Sequence[int], *, before: int, limit: int) -> list[InboxRow]:
    """Up to `limit` conflicts of these syncs with ids below `before`, newest first."""
    return [InboxRow(*row) for row in await reader.fetch(PAGE, sorted(set(sync_ids)), before, limit)]


async def of_links(reader: Queryable, link_ids: Sequence[int]) -> list[list[InboxRow]]:
    """The conflicts of each of these links, in the order asked."""
    found: dict[int, list[InboxRow]] = {link_id: [] for link_id in link_ids}
    for row in await reader.fetch(OF_LINKS, list(found)):
        found[row["link_id"]].append(InboxRow(*row))
    return [found[link_id] for link_id in link_ids]


async def by_ids(reader: Queryable, ids: Sequence[int]) -> dict[int, InboxRow]:
    """These conflicts, as far as they are open."""
    return {row["id"]: InboxRow(*row) for row in await reader.fetch(BY_IDS, sorted(set(ids)))}


async def decide(tx: Transaction, decided: Mapping[int, tuple[str, dict[str, Any]]]) -> None:
    """A person has chosen: {conflict: (winning side, what both held as they chose)}."""
    if decided:
        winners, held = [one[0] for one in decided.values()], [one[1] for one in decided.values()]
        await tx.execute(DECIDE, list(decided), winners, held)
