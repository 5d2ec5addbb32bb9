"""A new association in two statements, each its own transaction: a look that holds nothing, and a write that checks.

Between the two anything may happen. So the write holds what every writer holds, in the same order, and looks again at
all that was decided on, as it stands once it is held. Where something has moved, nothing is written.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg

from storage.database import Actor, Single
from storage.facts import Facts
from storage.faults import Fault, fault
from storage.statements import Statement

# One row for each counter of the two records among the types in $4, one without any where there is none, and no row at
# all where one of the records is unknown or archived.
LOOK = Statement(
    "associations.look_at_one",
    """
    SELECT near.object_type_id, far.object_type_id AS to_object_type_id,
           EXISTS (SELECT 1 FROM association AS a
                    WHERE a.account_id = $1 AND a.from_id = $2 AND a.to_object_type_id = far.object_type_id
                      AND a.to_id = $3) AS associated,
           c.record_id, c.type_id, c.n
      FROM record AS near
           JOIN record AS far ON far.account_id = $1 AND far.id = $3 AND far.archived_at IS NULL
           LEFT JOIN association_count AS c
                ON c.account_id = $1 AND c.record_id IN ($2, $3)
                   AND c.type_id = ANY((SELECT $4::text)::bigint[])
     WHERE near.account_id = $1 AND near.id = $2 AND near.archived_at IS NULL
    """,
)

# How many association types one statement writes; more take the ordinary way.
MOST_TYPES = 3

# What the statement is told once, and for each association type; see `_add`.
_SHARED = 13
_EACH = 8


def _add(types: int) -> Statement:
    """The write for so many association types, each with its inverse.

    Held first are the definitions, if they are those that were decided under, then both records in id order, if they
    still live: `held` has two rows, or nothing is written. A row that was waited for is read again as it now is, but
    everything else is of the statement's beginning. So what others did meanwhile must show where rows are written:
    - The unlabelled type is among the types. Had the pair been associated, its row would be there: a key twice.
    - A counter comes back as it is after one was added to its newest state. Outside the bounds that were decided on,
      the division makes an error of it; both undo everything.
    Counters are written in (record, type) order, as by all; the log's counter is taken last, as in storage.changes.
    Parameters one by one, in VALUES: taking arrays apart costs more than all else here. A record's changes share a row
    of the queue.
    """
    each = [[f"${_SHARED + n * _EACH + i + 1}" for i in range(_EACH)] for n in range(types)]
    edges = ", ".join(
        f"($2::bigint, $5::bigint, $3::bigint, {type_id}::bigint, {least}::bigint, {most}::bigint), "
        f"($3, $4::bigint, $2, {inverse_id}::bigint, {inverse_least}::bigint, {inverse_most}::bigint)"
        for type_id, inverse_id, least, most, inverse_least, inverse_most, _, _ in each
    )
    events = ", ".join(
        f"({n}::bigint, {one[6]}::text, {one[7]}::jsonb)" for n, one in enumerate(each, start=1)
    )
    here, there = (", ".join(f"{one[side]}::bigint" for one in each) for side in (0, 1))
    near, far = (", ".join([f"{end}::bigint"] * types) for end in ("$2", "$3"))
    return Statement(
        f"associations.add_one_of_{types}",
        f"""
        WITH definitions AS MATERIALIZED (
            SELECT v.version FROM catalogue_version AS v WHERE v.account_id = $1 FOR SHARE
        ), held AS MATERIALIZED (
            SELECT r.id FROM record AS r
             WHERE r.account_id = $1 AND r.id IN ($2, $3) AND r.archived_at IS NULL
               AND (SELECT d.version FROM definitions AS d) = $6::bigint
             ORDER BY r.id
               FOR NO KEY UPDATE
        ), edge AS MATERIALIZED (
            SELECT e.from_id, e.to_object_type_id, e.to_id, e.type_id, e.least, e.most
              FROM (VALUES {edges}) AS e(from_id, to_object_type_id, to_id, type_id, least, most)
             WHERE (SELECT count(*) FROM held) = 2
        ), come AS (
            INSERT INTO association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source,
                                     source_id, user_id)
            SELECT $1, e.from_id, e.to_object_type_id, e.to_id, e.type_id, $7, $8, $9, $10
              FROM edge AS e
            RETURNING 1
        ), counted AS (
            INSERT INTO association_count AS c (account_id, record_id, type_id, n)
            SELECT $1, e.from_id, e.type_id, 1 FROM edge AS e ORDER BY e.from_id, e.type_id
            ON CONFLICT (account_id, record_id, type_id) DO UPDATE SET n = c.n + 1
            RETURNING c.record_id, c.type_id, c.n
        ), ends AS (
            UPDATE record AS r SET last_association_change_at = $7
             WHERE r.account_id = $1 AND r.id = ANY(ARRAY(SELECT e.from_id FROM edge AS e))
            RETURNING 1
        ), queued AS (
            INSERT INTO change_queue (account_id, id, object_type_id, kind, properties, before, record_ids,
                                      type_ids, other_ids, at, source, source_id, depth, version)
            SELECT $1, q.id, q.object_type_id, 'ASSOCIATED', '{{}}', '{{}}', q.record_ids, q.type_ids,
                   q.other_ids, $7, $8, $9, $11, $6
              FROM (VALUES ($12::bigint, $4, ARRAY[{near}], ARRAY[{here}], ARRAY[{far}]),
                           ($13::bigint, $5, ARRAY[{far}], ARRAY[{there}], ARRAY[{near}]))
                   AS q(id, object_type_id, record_ids, type_ids, other_ids)
             WHERE (SELECT count(*) FROM held) = 2
            RETURNING 1
        ), taken AS (
            UPDATE account_seq AS s SET seq = s.seq + {types}
             WHERE s.account_id = $1 AND (SELECT count(*) FROM held) = 2
               AND (SELECT count(*) FROM come) >= 0 AND (SELECT count(*) FROM ends) >= 0
               AND (SELECT count(*) FROM queued) >= 0
               AND 1 / (SELECT CASE WHEN count(*) = 0 THEN 1 ELSE 0 END
                          FROM counted AS c
                               JOIN edge AS e ON e.from_id = c.record_id AND e.type_id = c.type_id
                         WHERE c.n < e.least OR c.n > e.most) = 1
            RETURNING s.seq - {types} AS before
        )
        INSERT INTO event_log (account_id, seq, at, kind, object_type_id, record_ids, to_ids, subject_id, payload,
                               source, source_id, user_id)
        SELECT $1, taken.before + f.n, $7, f.kind, $4, ARRAY[$2::bigint], ARRAY[$3::bigint], NULL, f.payload, $8,
               $9, $10
          FROM taken, (VALUES {events}) AS f(n, kind, payload)
        """,
    )


ADD = {types: _add(types) for types in range(1, MOST_TYPES + 1)}


@dataclass(frozen=True, slots=True)
class Seen:
    """Two living records: their object types, whether they are associated, and counters by (record, type)."""

    object_types: tuple[int, int]
    associated: bool
    counts: dict[tuple[int, int], int]


# The least and the most that a counter may be afterwards; None: anything.
Bounds: TypeAlias = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One association type that comes to a pair, with the bounds of its counters at the first and the other record."""

    facts: Facts
    bounds: Bounds
    inverse_bounds: Bounds


@dataclass(frozen=True, slots=True)
class Arrivals:
    """All types that come to a pair: as the statement is told of them, and which counters have bounds.

    `bounds`: 0 at the first record or 1 at the other, type, least, most.
    """

    types: int
    arguments: tuple[Any, ...]
    bounds: tuple[tuple[int, int, int | None, int | None], ...]


def arrivals(each: Iterable[Arrival]) -> Arrivals:
    """Up to `MOST_TYPES` that come together, the unlabelled one among them."""
    arguments: list[Any] = []
    bounds: list[tuple[int, int, int | None, int | None]] = []
    for one in each:
        facts, here, there = one.facts, one.bounds, one.inverse_bounds
        arguments += [facts.type_id, facts.inverse_id, *here, *there, facts.event, facts.payload]
        bounds += [(0, facts.type_id, *here), (1, facts.inverse_id, *there)]
    return Arrivals(
        len(arguments) // _EACH, tuple(arguments), tuple(one for one in bounds if one[2:] != (None, None))
    )


async def look(single: Single, ends: tuple[int, int], counters: str) -> Seen | None:
    """Two records as they stand; None where one of them is unknown or archived.

    `counters` are the association types whose counters are wanted, as `storage.arrays.numbers` writes them.
    """
    rows = await single.fetch(LOOK, *ends, counters)
    if not rows:
        return None
    counts = {(row[3], row[4]): row[5] for row in rows if row[5] is not None}
    object_type_id, to_object_type_id, associated, *_ = rows[0]
    return Seen((object_type_id, to_object_type_id), associated, counts)


async def add(
    single: Single,
    ends: tuple[int, int],
    object_types: tuple[int, int],
    coming: Arrivals,
    *,
    version: int,
    now: datetime,
    actor: Actor,
) -> bool:
    """Associate two records that are not associated.

    Whether it was done: not where the definitions are no longer those of `version`, a record lives no more, the two
    were associated meanwhile, a counter would come to lie outside its bounds, or others waited for this. Then nothing
    was.
    """
    try:
        written = await single.execute(
            ADD[coming.types],
            *ends,
            *object_types,
            version,
            now,
            actor.source,
            actor.source_id,
            actor.user_id,
            actor.depth,
            *await single.new_ids(2),
            *coming.arguments,
        )
    except (asyncpg.UniqueViolationError, asyncpg.DivisionByZeroError):
        return False
    except asyncpg.PostgresError as error:
        # Whoever merges may hold out of order, and wait in a circle with this.
        if fault(error) is Fault.COLLIDED:
            return False
        raise
    return written > 0
