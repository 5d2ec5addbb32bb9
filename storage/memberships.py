"""Who is in a segment: changed only by whoever holds its tally, with a line of history each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.arrays import flags, numbers
from storage.database import Queryable, Transaction
from storage.places import places
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class Move:
    """A record that joins a segment or leaves it, and why: {"kind", "record", "source", "sourceId"}."""

    segment_id: int
    record_id: int
    joined: bool
    cause: Mapping[str, Any]
    # How many workflow steps led to it.
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A join or leave as the history tells it. `n` rises within the segment in the order of commits."""

    segment_id: int
    n: int
    record_id: int
    joined: bool
    at: datetime
    cause: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Membership:
    """That a record is in a segment, and since when."""

    segment_id: int
    record_id: int
    joined_at: datetime


# In the order of ids, so that two who hold several cannot deadlock.
HOLD = Statement(
    "memberships.hold",
    """
    SELECT t.segment_id, t.lines FROM segment_tally AS t
     WHERE t.account_id = $1 AND t.segment_id = ANY($2::bigint[])
     ORDER BY t.segment_id
       FOR NO KEY UPDATE
    """,
)

# All memberships of the records, along the index of records: a record is in few segments beside those that exist,
# and to look for each record in each segment would be a probe for each pair. A row a segment: thousands of pairs
# are of a few hundred.
OF_RECORDS = Statement(
    "memberships.of_records",
    """
    SELECT m.segment_id, array_agg(m.record_id) AS record_ids FROM segment_member AS m
     WHERE m.account_id = $1 AND m.record_id = ANY((SELECT $2::text)::bigint[])
     GROUP BY m.segment_id
    """,
)

# A part of some segments: records behind $3, up to $4; for each a range of the primary key.
RANGE = Statement(
    "memberships.range",
    """
    SELECT n.id AS segment_id, ARRAY(
               SELECT m.record_id FROM segment_member AS m
                WHERE m.account_id = $1 AND m.segment_id = n.id AND m.record_id > $3 AND m.record_id <= $4
           ) AS record_ids
      FROM unnest($2::bigint[]) AS n(id)
    """,
)

# All of a move's traces in one round trip: members, history, and the tallies, which the transaction holds. Whoever
# leaves is found by a probe of the primary key for each, whatever the planner believes of the table. Many moves have
# one cause: causes come once, and moves name them by number. Arrays come as text: see storage.arrays. $9 is
# {"segment": [members more, lines more]}.
_LEAVING = places(
    """ARRAY(SELECT (SELECT g.ctid FROM segment_member AS g
                     WHERE g.account_id = $1 AND g.segment_id = l.segment_id AND g.record_id = l.record_id)
              FROM moved AS l WHERE NOT l.joined)"""
)
WRITE = Statement(
    "memberships.write",
    f"""
    WITH moved AS MATERIALIZED (
        SELECT n.segment_id, n.n, n.record_id, n.joined, n.cause
          FROM unnest((SELECT $2::text)::bigint[], (SELECT $3::text)::bigint[], (SELECT $4::text)::bigint[],
                      (SELECT $5::text)::boolean[], (SELECT $6::text)::int[])
               AS n(segment_id, n, record_id, joined, cause)
    ), joining AS (
        INSERT INTO segment_member (account_id, segment_id, record_id, joined_at)
        SELECT $1, j.segment_id, j.record_id, $8 FROM moved AS j WHERE j.joined
    ), leaving AS (
        DELETE FROM segment_member AS m
         USING {_LEAVING}
         WHERE m.account_id = $1 AND m.ctid = p.place
    ), telling AS (
        INSERT INTO segment_history (account_id, segment_id, n, record_id, joined, at, cause)
        SELECT $1, h.segment_id, h.n, h.record_id, h.joined, $8, $7::jsonb -> h.cause FROM moved AS h
    )
    UPDATE segment_tally AS t
       SET members = t.members + ($9::jsonb -> t.segment_id::text ->> 0)::bigint,
           lines = t.lines + ($9::jsonb -> t.segment_id::text ->> 1)::bigint
     WHERE t.account_id = $1 AND t.segment_id = ANY($10::bigint[])
    """,
)

# A probe for each: PostgreSQL 16 may take a list for something to be looked for in the whole segment.
JOINED_AT = Statement(
    "memberships.joined_at",
    """
    SELECT m.record_id, m.joined_at
      FROM unnest($3::bigint[]) AS g(id)
           CROSS JOIN LATERAL (SELECT m.record_id, m.joined_at FROM segment_member AS m
                                WHERE m.account_id = $1 AND m.segment_id = $2 AND m.record_id = g.id LIMIT 1) AS m
    """,
)

# A record's segments, in the order of their ids; for each record a range of the index, cut off at $4.
PAGES = Statement(
    "memberships.pages",
    """
    SELECT k.n, m.segment_id, m.record_id, m.joined_at
      FROM unnest($2::bigint[]) WITH ORDINALITY AS k(record_id, n)
     CROSS JOIN LATERAL (
           SELECT m.segment_id, m.record_id, m.joined_at FROM segment_member AS m
            WHERE m.account_id = $1 AND m.record_id = k.record_id AND m.segment_id > $3
            ORDER BY m.segment_id LIMIT $4
           ) AS m
     ORDER BY k.n, m.segment_id
    """,
)

HISTORY = Statement(
    "memberships.history",
    """
    SELECT h.segment_id, h.n, h.record_id, h.joined, h.at, h.cause FROM segment_history AS h
     WHERE h.account_id = $1 AND h.segment_id = $2 AND h.n < $3
     ORDER BY h.n DESC LIMIT $4
    """,
)

# Along the index of records: among the lines of a large segment, those of one record would be looked for long.
HISTORY_OF_RECORD = Statement(
    "memberships.history_of_record",
    """
    SELECT h.segment_id, h.n, h.record_id, h.joined, h.at, h.cause FROM segment_history AS h
     WHERE h.account_id = $1 AND h.record_id = $4 AND h.segment_id = $2 AND h.n < $3
     ORDER BY h.n DESC LIMIT $5
    """,
)

# The last line of each segment that a record was ever in: what it lost by being archived, it gets back.
LAST = Statement(
    "memberships.last",
    """
    SELECT DISTINCT ON (h.record_id, h.segment_id) h.segment_id, h.n, h.record_id, h.joined, h.at, h.cause
      FROM segment_history AS h
     WHERE h.account_id = $1 AND h.record_id = ANY($2::bigint[]) AND h.segment_id = ANY($3::bigint[])
     ORDER BY h.record_id, h.segment_id, h.n DESC
    """,
)


async def hold(tx: Transaction, segment_ids: Collection[int]) -> dict[int, int]:
    """Keep others from changing who is in these segments, until the commit. {segment: lines of its history}.

    What is looked at afterwards is newer than what anybody looked at who held them before.
    """
    rows = await tx.fetch(HOLD, sorted(segment_ids))
    return {row["segment_id"]: row["lines"] for row in rows}


async def among(
    reader: Queryable, segment_ids: Collection[int], record_ids: Collection[int]
) -> set[tuple[int, int]]:
    """Those (segment, record) of all combinations that are memberships."""
    found = await of_records(reader, record_ids)
    return {(one, record_id) for one in segment_ids for record_id in found.get(one, ())}


async def of_records(reader: Queryable, record_ids: Collection[int]) -> dict[int, set[int]]:
    """{segment: those of the records that are in it}."""
    rows = await reader.fetch(OF_RECORDS, numbers(sorted(record_ids)))
    return {row["segment_id"]: set(row["record_ids"]) for row in rows}


async def between(
    reader: Queryable, segment_ids: Collection[int], after: int, last: int
) -> dict[int, set[int]]:
    """{segment: its members behind the id `after`, up to `last`}."""
    rows = await reader.fetch(RANGE, list(segment_ids), after, last)
    return {row["segment_id"]: set(row["record_ids"]) for row in rows}


async def write(tx: Transaction, held: dict[int, int], moves: Sequence[Move]) -> None:
    """Let records join and leave segments that the transaction holds; each move must change something."""
    if not moves:
        return
    more: dict[int, list[int]] = {}
    lines, causes = [], list[Mapping[str, Any]]()
    for move in moves:
        counts = more.setdefault(move.segment_id, [0, 0])
        counts[0] += 1 if move.joined else -1
        counts[1] += 1
        lines.append(held[move.segment_id] + counts[1])
    for segment_id, (_, count) in more.items():
        held[segment_id] += count
    places: dict[int, int] = {}
    for move in moves:
        if places.setdefault(id(move.cause), len(causes)) == len(causes):
            causes.append(move.cause)
    await tx.execute(
        WRITE,
        numbers(move.segment_id for move in moves),
        numbers(lines),
        numbers(move.record_id for move in moves),
        flags(move.joined for move in moves),
        numbers(places[id(move.cause)] for move in moves),
        causes,
        tx.now,
        {str(segment_id): counts for segment_id, counts in more.items()},
        list(more),
    )


async def joined_at(reader: Queryable, segment_id: int, record_ids: Sequence[int]) -> list[datetime | None]:
    """Since when these records are in a segment, in the order asked; None where they are not."""
    rows = await reader.fetch(JOINED_AT, segment_id, list(record_ids))
    found = {row["record_id"]: row["joined_at"] for row in rows}
    return [found.get(record_id) for record_id in record_ids]


async def pages(
    reader: Queryable, record_ids: Sequence[int], after: int, limit: int
) -> list[list[Membership]]:
    """For each record up to `limit` memberships in segments behind the id `after`, in id order."""
    found: list[list[Membership]] = [[] for _ in record_ids]
    for row in await reader.fetch(PAGES, list(record_ids), after, limit):
        found[row["n"] - 1].append(Membership(row["segment_id"], row["record_id"], row["joined_at"]))
    return found


async def history(
    reader: Queryable, segment_id: int, before: int, limit: int, record_id: int | None = None
) -> list[Line]:
    """Up to `limit` joins and leaves before number `before`, newest first; of one record, if it is named."""
    if record_id is None:
        rows = await reader.fetch(HISTORY, segment_id, before, limit)
    else:
        rows = await reader.fetch(HISTORY_OF_RECORD, segment_id, before, record_id, limit)
    return [Line(**row) for row in rows]


async def last_lines(
    reader: Queryable, segment_ids: Collection[int], record_ids: Collection[int]
) -> list[Line]:
    """The newest line of each record in each of these segments."""
    return [Line(**row) for row in await reader.fetch(LAST, list(record_ids), list(segment_ids))]
