"""Segments: what they are, and the inverted index from changes to the active ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.listeners import Ref
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class SegmentDetails:
    """A segment as people see it. `filling`: its members are still being looked for among all records."""

    id: int
    name: str
    object_type_id: int
    kind: str
    definition: dict[str, Any] | None
    version: int
    created_at: datetime
    updated_at: datetime
    created_by: int | None
    members: int
    filling: bool


# Each segment has a tally from its beginning to its end.
_SEGMENT = """
           s.id, s.name, s.object_type_id, s.kind, s.definition, s.version, s.created_at, s.updated_at, s.created_by,
           (SELECT t.members FROM segment_tally AS t WHERE t.account_id = $1 AND t.segment_id = s.id) AS members,
           EXISTS (SELECT FROM segment_fill AS f WHERE f.account_id = $1 AND f.segment_id = s.id) AS filling
"""

# Whoever comes second with a name finds nothing returned.
INSERT = Statement(
    "segments.insert",
    """
    INSERT INTO segment (account_id, id, name, object_type_id, kind, definition, version, created_at, updated_at,
                         created_by)
    VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7, $8)
    ON CONFLICT (account_id, name) DO NOTHING
    RETURNING id
    """,
)

INSERT_TALLY = Statement(
    "segments.insert_tally",
    "INSERT INTO segment_tally (account_id, segment_id, members, lines) VALUES ($1, $2, 0, 0)",
)

BY_IDS = Statement(
    "segments.by_ids",
    f"SELECT {_SEGMENT} FROM segment AS s WHERE s.account_id = $1 AND s.id = ANY($2::bigint[])",
)

LISTING = Statement(
    "segments.listing",
    f"SELECT {_SEGMENT} FROM segment AS s WHERE s.account_id = $1 AND s.id > $2 ORDER BY s.id LIMIT $3",
)

DEFINITIONS = Statement(
    "segments.definitions",
    "SELECT s.id, s.definition FROM segment AS s WHERE s.account_id = $1 AND s.id = ANY($2::bigint[])",
)

UPDATE = Statement(
    "segments.update",
    """
    UPDATE segment AS s
       SET name = $3, kind = $4, definition = $5, version = s.version + 1, updated_at = $6
     WHERE s.account_id = $1 AND s.id = $2
    """,
)

# A segment goes with all that was kept of it; its joins and leaves stay, since diagnoses look back at them.
DELETE = tuple(
    Statement(
        f"segments.delete_{table}", f"DELETE FROM {table} AS t WHERE t.account_id = $1 AND t.{column} = $2"
    )
    for table, column in (
        ("segment_ref", "segment_id"),
        ("segment_fill", "segment_id"),
        ("match_state", "listener_id"),
        ("segment_member", "segment_id"),
        ("segment_tally", "segment_id"),
        ("segment", "id"),
    )
)

CLEAR_REFS = Statement(
    "segments.clear_refs", "DELETE FROM segment_ref AS f WHERE f.account_id = $1 AND f.segment_id = $2"
)

# Paths are passed as tuples: the driver would take lists for rows of a matrix.
INSERT_REFS = Statement(
    "segments.insert_refs",
    """
    INSERT INTO segment_ref (account_id, kind, ref_id, segment_id, n, path)
    SELECT $1, f.kind, f.ref_id, $2, f.n, f.path
      FROM unnest($3::text[], $4::bigint[], $5::jsonb[]) WITH ORDINALITY AS f(kind, ref_id, path, n)
    """,
)

# Who refers to what of one kind; a range of the primary key.
REFERRING = Statement(
    "segments.referring",
    """
    SELECT DISTINCT f.segment_id, f.ref_id FROM segment_ref AS f
     WHERE f.account_id = $1 AND f.kind = $2 AND ($3::bigint IS NULL OR f.ref_id = $3)
    """,
)


async def insert(
    tx: Transaction,
    segment_id: int,
    name: str,
    object_type_id: int,
    kind: str,
    definition: dict[str, Any] | None,
) -> bool:
    """A new segment without members; False where the name is taken."""
    made = await tx.fetchval(
        INSERT, segment_id, name, object_type_id, kind, definition, tx.now, tx.actor.user_id
    )
    if made is not None:
        await tx.execute(INSERT_TALLY, segment_id)
    return made is not None


async def by_ids(reader: Queryable, ids: Sequence[int]) -> list[SegmentDetails | None]:
    """The segments with these ids, in the order asked; None where there is none."""
    found = {row["id"]: SegmentDetails(**row) for row in await reader.fetch(BY_IDS, list(set(ids)))}
    return [found.get(number) for number in ids]


async def listing(reader: Queryable, after: int, limit: int) -> list[SegmentDetails]:
    """Up to `limit` segments behind the id `after`, in id order."""
    return [SegmentDetails(**row) for row in await reader.fetch(LISTING, after, limit)]


async def definitions(reader: Queryable, ids: Sequence[int]) -> dict[int, dict[str, Any] | None]:
    """The filters of these segments, by name."""
    return {row["id"]: row["definition"] for row in await reader.fetch(DEFINITIONS, list(ids))}


async def update(
    tx: Transaction, segment_id: int, name: str, kind: str, definition: dict[str, Any] | None
) -> None:
    """Write what a segment is; its version goes up by one."""
    await tx.execute(UPDATE, segment_id, name, kind, definition, tx.now)


async def delete(tx: Transaction, segment_id: int) -> None:
    """Forget a segment; its history stays."""
    for statement in DELETE:
        await tx.execute(statement, segment_id)


async def listen(tx: Transaction, segment_id: int, refs: Sequence[Ref]) -> None:
    """Let `refs` alone lead to the segment from now on."""
    await tx.execute(CLEAR_REFS, segment_id)
    if refs:
        await tx.execute(
            INSERT_REFS,
            segment_id,
            [ref.kind for ref in refs],
            [ref.ref_id for ref in refs],
            [tuple(ref.path) for ref in refs],
        )


async def referring(reader: Queryable, kind: str, ref_id: int | None = None) -> list[tuple[int, int]]:
    """(segment, what it refers to) for all references of a kind, or for those to `ref_id`, in order."""
    return sorted((row["segment_id"], row["ref_id"]) for row in await reader.fetch(REFERRING, kind, ref_id))
