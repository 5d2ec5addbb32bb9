"""One label in another's place: every association of the account under it, in bounded parts of one transaction.

The transaction must hold the account's definitions alone: then nobody else associates, archives, merges or
evaluates until it commits, and nothing here needs a lock of its own.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from storage.database import Queryable, Transaction
from storage.places import places
from storage.statements import Statement

# A range of one, in the order of ids: of an account that they do not know, PostgreSQL 16 and 17 take any index that has
# the id in it for as good as the key, and go through all of the account in it; but only the key has that order.
_ENDS = places(
    """ARRAY(SELECT (SELECT g.ctid FROM record AS g
                     WHERE g.account_id = $1 AND g.id BETWEEN e.from_id AND e.from_id ORDER BY g.id LIMIT 1)
              FROM (SELECT DISTINCT d.from_id FROM part AS d) AS e)"""
)

# The next part of what is to move, along the primary key, and all that moving means: history of what goes, the new
# rows where they do not stand already, their counters (archived neighbours do not count), the moment at the near
# ends. Both directions are moved as they come, each in its turn. Up to version 16, PostgreSQL takes a list for reason
# to read all that there is and sort it: so the index is asked for a range of types, made together with their inverses,
# and the list is no more than a test of what it finds.
MOVE = Statement(
    "label_exchange.move",
    f"""
    WITH part AS MATERIALIZED (
        SELECT a.ctid AS place, a.from_id, a.to_object_type_id, a.to_id, a.type_id,
               EXISTS (SELECT FROM association AS b
                        WHERE b.account_id = $1 AND b.from_id = a.from_id
                          AND b.to_object_type_id = a.to_object_type_id AND b.to_id = a.to_id
                          AND b.type_id = ($3::jsonb ->> a.type_id::text)::bigint) AS already
          FROM association AS a
         WHERE a.account_id = $1 AND (a.type_id = ANY($2::bigint[])) IS TRUE
           AND a.type_id >= (SELECT min(t.id) FROM unnest($2::bigint[]) AS t(id))
           AND a.type_id <= (SELECT max(t.id) FROM unnest($2::bigint[]) AS t(id))
           AND (a.from_id, a.to_object_type_id, a.to_id, a.type_id) > ($4, $5, $6, $7)
         ORDER BY a.from_id, a.to_object_type_id, a.to_id, a.type_id
         LIMIT $8
    ), gone AS (
        DELETE FROM association AS a
         USING {places("ARRAY(SELECT o.place FROM part AS o)")}
         WHERE a.account_id = $1 AND a.ctid = p.place
        RETURNING a.from_id, a.to_object_type_id, a.to_id, a.type_id, a.created_at, a.source, a.source_id,
                  a.user_id
    ), told AS (
        INSERT INTO association_history (account_id, from_id, to_object_type_id, to_id, type_id, id, created_at,
                                         source, source_id, user_id, removed_at, removed_source,
                                         removed_source_id, removed_user_id)
        SELECT $1, g.from_id, g.to_object_type_id, g.to_id, g.type_id, $9, g.created_at, g.source, g.source_id,
               g.user_id, greatest($10, g.created_at), $11, $12, $13
          FROM gone AS g
    ), come AS (
        INSERT INTO association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source,
                                 source_id, user_id)
        SELECT $1, g.from_id, g.to_object_type_id, g.to_id, ($3::jsonb ->> g.type_id::text)::bigint, $10, $11,
               $12, $13
          FROM gone AS g
         ORDER BY g.from_id, g.to_object_type_id, g.to_id, g.type_id
        ON CONFLICT DO NOTHING
        RETURNING from_id, to_id, type_id
    ), counted AS (
        INSERT INTO association_count AS c (account_id, record_id, type_id, n)
        SELECT $1, e.from_id, e.type_id, count(*) FILTER (WHERE o.archived_at IS NULL)
          FROM come AS e
               CROSS JOIN LATERAL (SELECT r.archived_at FROM record AS r
                                    WHERE r.account_id = $1 AND r.id BETWEEN e.to_id AND e.to_id
                                    ORDER BY r.id LIMIT 1) AS o
         GROUP BY e.from_id, e.type_id
         ORDER BY e.from_id, e.type_id
        ON CONFLICT (account_id, record_id, type_id) DO UPDATE SET n = c.n + excluded.n
    ), touched AS (
        UPDATE record AS r SET last_association_change_at = $10
          FROM {_ENDS}
         WHERE r.account_id = $1 AND r.ctid = p.place
    )
    SELECT p.from_id, p.to_object_type_id, p.to_id, p.type_id, p.already
      FROM part AS p
     ORDER BY p.from_id, p.to_object_type_id, p.to_id, p.type_id
    """,
)

# Nothing stands under the old types any more, wherever it was counted.
CLEAR_COUNTS = Statement(
    "label_exchange.clear_counts",
    """
    UPDATE association_count AS c SET n = 0
     WHERE c.account_id = $1 AND c.type_id = ANY($2::bigint[]) AND c.n <> 0
    """,
)

# Who would pass the limit $4 of the type $3 if all under $2 (it among them) were under it: each neighbour counts
# once. Whoever gains nothing keeps what it has, as limits are not retroactive; archived records are checked when
# they are restored.
OVER_LIMIT = Statement(
    "label_exchange.over_limit",
    """
    SELECT e.from_id, e.n, count(*) OVER () AS total
      FROM (SELECT p.from_id, count(*) AS n
              FROM (SELECT a.from_id, a.to_id, bool_or(a.type_id = $3) AS already
                      FROM association AS a
                     WHERE a.account_id = $1 AND a.type_id = ANY($2::bigint[])
                     GROUP BY a.from_id, a.to_id) AS p
                   JOIN record AS o ON o.account_id = $1 AND o.id = p.to_id AND o.archived_at IS NULL
                   JOIN record AS r ON r.account_id = $1 AND r.id = p.from_id AND r.archived_at IS NULL
             GROUP BY p.from_id
            HAVING count(*) > $4 AND bool_or(NOT p.already)) AS e
     ORDER BY e.from_id
     LIMIT $5
    """,
)

# Pairs under the type $2 that also hold one of $3, which cannot stand beside what is to come. A symmetric type
# stands on both of its rows: $4 says to look at one of them.
EXCLUDED = Statement(
    "label_exchange.excluded",
    """
    SELECT a.from_id, a.to_id, b.type_id, count(*) OVER () AS total
      FROM association AS a
           CROSS JOIN LATERAL (
               SELECT b.type_id FROM association AS b
                WHERE b.account_id = $1 AND b.from_id = a.from_id
                  AND b.to_object_type_id = a.to_object_type_id AND b.to_id = a.to_id
                  AND b.type_id = ANY($3::bigint[])
                LIMIT 1) AS b
           JOIN record AS o ON o.account_id = $1 AND o.id = a.to_id AND o.archived_at IS NULL
           JOIN record AS r ON r.account_id = $1 AND r.id = a.from_id AND r.archived_at IS NULL
     WHERE a.account_id = $1 AND a.type_id = $2 AND (NOT $4::boolean OR a.from_id < a.to_id)
     ORDER BY a.from_id, a.to_id
     LIMIT $5
    """,
)

# What nobody has evaluated yet speaks of the new types from now on, as the workflows do that wait for it.
QUEUED = Statement(
    "label_exchange.queued",
    """
    UPDATE change_queue AS q
       SET type_ids = ARRAY(SELECT coalesce(($3::jsonb ->> u.id::text)::bigint, u.id)
                              FROM unnest(q.type_ids) WITH ORDINALITY AS u(id, n) ORDER BY u.n)
     WHERE q.account_id = $1 AND q.type_ids && $2::bigint[]
    """,
)

WALKS = Statement(
    "label_exchange.walks",
    """
    UPDATE trigger_walk AS w
       SET path = ARRAY(SELECT coalesce(($3::jsonb ->> u.id::text)::bigint, u.id)
                          FROM unnest(w.path) WITH ORDINALITY AS u(id, n) ORDER BY u.n)
     WHERE w.account_id = $1 AND w.path && $2::bigint[]
    """,
)

# The place in an association's primary key.
Place: TypeAlias = tuple[int, int, int, int]
START: Place = (0, 0, 0, 0)


class Moved(NamedTuple):
    """A directed association that was moved; `type_id` is the old type. `already`: it stood under the new one, too."""

    from_id: int
    to_object_type_id: int
    to_id: int
    type_id: int
    already: bool

    @property
    def place(self) -> Place:
        """Where it stood."""
        return self.from_id, self.to_object_type_id, self.to_id, self.type_id


async def move(tx: Transaction, exchange: Mapping[int, int], after: Place, size: int) -> list[Moved]:
    """Move up to `size` directed associations behind `after` from old types to new ones ({old: new}); those moved."""
    [span] = await tx.new_ids(1)
    actor = tx.actor
    rows = await tx.fetch(
        MOVE,
        list(exchange),
        _document(exchange),
        *after,
        size,
        span,
        tx.now,
        actor.source,
        actor.source_id,
        actor.user_id,
    )
    return [Moved(*row) for row in rows]


async def settle(tx: Transaction, exchange: Mapping[int, int]) -> None:
    """What is left to do when all has moved: empty counters, and what waits to be evaluated."""
    await tx.execute(CLEAR_COUNTS, list(exchange))
    await tx.execute(QUEUED, list(exchange), _document(exchange))
    await tx.execute(WALKS, list(exchange), _document(exchange))


async def over_limit(
    reader: Queryable, old: Collection[int], new: int, limit: int, most: int
) -> tuple[list[tuple[int, int]], int]:
    """Up to `most` records that would pass the limit, with what they would have; and how many there are."""
    rows = await reader.fetch(OVER_LIMIT, [*old, new], new, limit, most)
    return [(row[0], row[1]) for row in rows], rows[0][2] if rows else 0


async def excluded(
    reader: Queryable, old: int, beside: Sequence[int], most: int, *, symmetric: bool
) -> tuple[list[tuple[int, int, int]], int]:
    """Up to `most` pairs under `old` with a type among `beside` that they hold; and how many there are."""
    rows = await reader.fetch(EXCLUDED, old, beside, symmetric, most)
    return [(row[0], row[1], row[2]) for row in rows], rows[0][3] if rows else 0


def _document(exchange: Mapping[int, int]) -> dict[str, int]:
    return {str(old): new for old, new in exchange.items()}
