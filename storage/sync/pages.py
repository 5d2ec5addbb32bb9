"""Links as people look at them: by id, page by page by status and category, and all that a record is linked with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable
from storage.statements import Statement
from storage.sync.links import COLUMNS, CONFLICT, EXCLUDED, FAILED, IN_SYNC, PENDING, LinkRow

STATES = (PENDING, IN_SYNC, FAILED, EXCLUDED, CONFLICT)


@dataclass(frozen=True, slots=True)
class Narrow:
    """Which links of a list are meant; None: any. `since` (included) and `until` are about when they last changed."""

    states: tuple[str, ...] | None = None
    category: str | None = None
    # Where it was to be written when it failed: OURS or THEIRS.
    side: str | None = None
    record_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None


ALL = Narrow()

BY_IDS = Statement(
    "sync_pages.by_ids",
    f"SELECT {COLUMNS} FROM sync_link AS l WHERE l.account_id = $1 AND l.id = ANY($2::bigint[])",
)

# What has no index of its own is asked of each row on the way along the list's.
_NARROW = """
              AND ($6::text IS NULL OR l.failed_side = $6)
              AND ($7::timestamptz IS NULL OR l.updated_at >= $7)
              AND ($8::timestamptz IS NULL OR l.updated_at < $8)
"""

# For each sync and status a range of the index, newest first, which ends after $5 rows; so does all of it.
BY_STATE = Statement(
    "sync_pages.by_state",
    f"""
    SELECT l.*
      FROM unnest($2::bigint[]) AS s(id)
     CROSS JOIN unnest($3::text[]) AS o(state)
     CROSS JOIN LATERAL (
           SELECT {COLUMNS} FROM sync_link AS l
            WHERE l.account_id = $1 AND l.sync_id = s.id AND l.state = o.state AND l.id < $4
              {_NARROW}
            ORDER BY l.id DESC LIMIT $5
           ) AS l
     ORDER BY l.id DESC LIMIT $5
    """,
)

# The same by category. Of one there are few that have another status than the others of it.
BY_CATEGORY = Statement(
    "sync_pages.by_category",
    f"""
    SELECT l.*
      FROM unnest($2::bigint[]) AS s(id)
     CROSS JOIN LATERAL (
           SELECT {COLUMNS} FROM sync_link AS l
            WHERE l.account_id = $1 AND l.sync_id = s.id AND l.category = $9 AND l.id < $4
              AND l.state = ANY($3::text[])
              {_NARROW}
            ORDER BY l.id DESC LIMIT $5
           ) AS l
     ORDER BY l.id DESC LIMIT $5
    """,
)

# A record has a link in each of its syncs: few.
OF_RECORDS = Statement(
    "sync_pages.of_records",
    f"""
    SELECT {COLUMNS} FROM sync_link AS l
     WHERE l.account_id = $1 AND l.record_id = ANY($2::bigint[])
     ORDER BY l.id
    """,
)


async def by_ids(reader: Queryable, ids: Sequence[int]) -> list[LinkRow | None]:
    """The links with these ids, in the order asked."""
    found = {row["id"]: LinkRow(*row) for row in await reader.fetch(BY_IDS, list(set(ids)))}
    return [found.get(number) for number in ids]


async def page(
    reader: Queryable, sync_ids: Sequence[int], narrow: Narrow, *, before: int, limit: int
) -> list[LinkRow]:
    """Up to `limit` links of these syncs with ids below `before`, newest first."""
    syncs = sorted(set(sync_ids))
    if narrow.record_id is not None:
        (of_one,) = await of_records(reader, [narrow.record_id])
        chosen = [one for one in of_one if one.sync_id in syncs and one.id < before and _meets(one, narrow)]
        return sorted(chosen, key=lambda one: -one.id)[:limit]
    states = STATES if narrow.states is None else tuple(dict.fromkeys(narrow.states))
    rest: list[Any] = [before, limit, narrow.side, narrow.since, narrow.until]
    if narrow.category is None:
        rows = await reader.fetch(BY_STATE, syncs, states, *rest)
    else:
        rows = await reader.fetch(BY_CATEGORY, syncs, states, *rest, narrow.category)
    return [LinkRow(*row) for row in rows]


def _meets(row: LinkRow, narrow: Narrow) -> bool:
    at = row.updated_at
    return (
        (narrow.states is None or row.state in narrow.states)
        and (narrow.category is None or row.category == narrow.category)
        and (narrow.side is None or row.failed_side == narrow.side)
        and (narrow.since is None or (at is not None and at >= narrow.since))
        and (narrow.until is None or (at is not None and at < narrow.until))
    )


async def of_records(reader: Queryable, record_ids: Sequence[int]) -> list[list[LinkRow]]:
    """All links of each of these records, in the order asked; a record's by id."""
    found: dict[int, list[LinkRow]] = {record_id: [] for record_id in record_ids}
    for row in await reader.fetch(OF_RECORDS, list(found)):
        found[row["record_id"]].append(LinkRow(*row))
    return [found[record_id] for record_id in record_ids]
