"""Associations: read, written and counted in both directions at once; a hub's neighbours never one by one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from storage import holding
from storage.arrays import lists, numbers
from storage.database import Queryable, Transaction
from storage.holding import Held
from storage.statements import Statement

# A subselect for each pair is a probe of the primary key; a join could become a scan of the table.
HELD = Statement(
    "associations.held",
    """
    SELECT ARRAY(SELECT a.type_id FROM association AS a
                  WHERE a.account_id = $1 AND a.from_id = p.from_id
                    AND a.to_object_type_id = p.to_object_type_id AND a.to_id = p.to_id)
      FROM unnest($2::bigint[], $3::bigint[], $4::bigint[])
           WITH ORDINALITY AS p(from_id, to_object_type_id, to_id, n)
     ORDER BY p.n
    """,
)

# Keys come sorted, and a locking subselect stays a probe for each: so all lock in the same order. A counter
# that does not exist cannot be locked, nor can it come to exist while its record is held.
LOCK_COUNTS = Statement(
    "associations.lock_counts",
    """
    SELECT k.record_id, k.type_id, c.n
      FROM unnest($2::bigint[], $3::bigint[]) AS k(record_id, type_id)
           CROSS JOIN LATERAL (
               SELECT c.n FROM association_count AS c
                WHERE c.account_id = $1 AND c.record_id = k.record_id AND c.type_id = k.type_id
                  FOR NO KEY UPDATE) AS c
    """,
)

# The visible primary company of each record: a range of the primary key for each.
PRIMARIES = Statement(
    "associations.primaries",
    """
    SELECT a.from_id, a.type_id, a.to_id
      FROM unnest($2::bigint[]) AS k(id)
           CROSS JOIN LATERAL (SELECT a.from_id, a.type_id, a.to_id FROM association AS a
                                WHERE a.account_id = $1 AND a.from_id = k.id
                                  AND a.to_object_type_id = ANY($3::bigint[]) AND a.type_id = ANY($4::bigint[])
                               OFFSET 0) AS a
           CROSS JOIN LATERAL (SELECT FROM record AS o
                                WHERE o.account_id = $1 AND o.id BETWEEN a.to_id AND a.to_id
                                  AND o.archived_at IS NULL
                                ORDER BY o.id LIMIT 1) AS o
    """,
)

# Who fills a limit: the first few visible neighbours under a type.
FILLING = Statement(
    "associations.filling",
    """
    SELECT ARRAY(SELECT a.to_id
                   FROM association AS a
                        CROSS JOIN LATERAL (SELECT FROM record AS o
                                             WHERE o.account_id = $1 AND o.id = a.to_id AND o.archived_at IS NULL
                                             LIMIT 1) AS o
                  WHERE a.account_id = $1 AND a.from_id = k.record_id
                    AND a.to_object_type_id = k.to_object_type_id AND a.type_id = k.type_id
                  ORDER BY a.to_id LIMIT $5)
      FROM unnest($2::bigint[], $3::bigint[], $4::bigint[])
           WITH ORDINALITY AS k(record_id, to_object_type_id, type_id, n)
     ORDER BY k.n
    """,
)

# What a batch is decided on, in one look: the types that stand between pairs, and counters. Only what exists comes
# back. Each is a fenced probe of its primary key; a join could become a scan of the table. Arrays come as text: see
# storage.arrays.
LOOK = Statement(
    "associations.look",
    """
    SELECT p.from_id AS record_id, p.to_id, a.type_id, NULL::bigint AS n
      FROM unnest((SELECT $2::text)::bigint[], (SELECT $3::text)::text[], (SELECT $4::text)::text[])
                AS g(to_object_type_id, from_ids, to_ids)
           CROSS JOIN LATERAL unnest(g.from_ids::bigint[], g.to_ids::bigint[]) AS p(from_id, to_id)
           CROSS JOIN LATERAL (
               SELECT a.type_id FROM association AS a
                WHERE a.account_id = $1 AND a.from_id = p.from_id
                  AND a.to_object_type_id = g.to_object_type_id AND a.to_id = p.to_id
               OFFSET 0) AS a
    UNION ALL
    SELECT k.record_id, NULL, g.type_id, c.n
      FROM unnest((SELECT $5::text)::bigint[], (SELECT $6::text)::text[]) AS g(type_id, record_ids)
           CROSS JOIN LATERAL unnest(g.record_ids::bigint[]) AS k(record_id)
           CROSS JOIN LATERAL (
               SELECT c.n FROM association_count AS c
                WHERE c.account_id = $1 AND c.record_id = k.record_id AND c.type_id = g.type_id
               OFFSET 0) AS c
    """,
)

# The neighbours of records ($2), each with the type that leads back, of which a document ($3) tells: joined, types
# would be read whole for each neighbour where planners believe that the account has few of them. Fenced for the same
# reason.
_AROUND = """(SELECT a.to_id, ($3::jsonb ->> a.type_id::text)::bigint AS inverse_id
                FROM unnest($2::bigint[]) AS g(id)
                     CROSS JOIN LATERAL (SELECT a.to_id, a.type_id FROM association AS a
                                          WHERE a.account_id = $1 AND a.from_id = g.id OFFSET 0) AS a
              OFFSET 0) AS a"""

# What archiving hides and restoring shows again: the neighbours' counters, whether they are visible or not.
# Locked first and in order; the update that follows then waits for nobody.
LOCK_AROUND = Statement(
    "associations.lock_around",
    f"""
    SELECT count(*) FROM (
        SELECT c.n
          FROM (SELECT DISTINCT a.to_id, a.inverse_id FROM {_AROUND} ORDER BY a.to_id, a.inverse_id) AS e
               CROSS JOIN LATERAL (
                   SELECT c.n FROM association_count AS c
                    WHERE c.account_id = $1 AND c.record_id = e.to_id AND c.type_id = e.inverse_id
                      FOR NO KEY UPDATE) AS c) AS locked
    """,
)

SHIFT_AROUND = Statement(
    "associations.shift_around",
    f"""
    INSERT INTO association_count AS c (account_id, record_id, type_id, n)
    SELECT $1, a.to_id, a.inverse_id, count(*) * $4::bigint
      FROM {_AROUND}
     GROUP BY a.to_id, a.inverse_id
     ORDER BY a.to_id, a.inverse_id
    ON CONFLICT (account_id, record_id, type_id) DO UPDATE SET n = c.n + excluded.n
    """,
)

# Records with those of their neighbours whose associations may change with them ($3: under these types; null:
# all), in the order in which every writer holds records.
HOLD_AROUND = Statement(
    "associations.hold_around",
    """
    SELECT count(*) FROM (
        SELECT r.id
          FROM (SELECT given.id FROM unnest($2::bigint[]) AS given(id)
                UNION
                SELECT a.to_id
                  FROM unnest($2::bigint[]) AS g(id)
                       CROSS JOIN LATERAL (SELECT a.to_id FROM association AS a
                                            WHERE a.account_id = $1 AND a.from_id = g.id
                                              AND ($3::bigint[] IS NULL OR a.type_id = ANY($3::bigint[]))
                                           OFFSET 0) AS a
                ORDER BY 1) AS e
               CROSS JOIN LATERAL (SELECT r.id FROM record AS r
                                    WHERE r.account_id = $1 AND r.id = e.id
                                      FOR NO KEY UPDATE) AS r) AS held
    """,
)

# A page of the associations of records that come back, under types that may no longer fit, with the
# neighbour's counter. The key's order, so each page begins where the last one ended.
RETURNING = Statement(
    "associations.returning",
    """
    SELECT e.from_id, e.to_object_type_id, e.to_id, e.type_id,
           coalesce((SELECT c.n FROM association_count AS c
                      WHERE c.account_id = $1 AND c.record_id = e.to_id
                        AND c.type_id = ($9::jsonb ->> e.type_id::text)::bigint), 0) AS n
      FROM (SELECT a.from_id, a.to_object_type_id, a.to_id, a.type_id
              FROM association AS a
             WHERE a.account_id = $1 AND a.from_id = ANY($2::bigint[]) AND a.type_id = ANY($3::bigint[])
               AND (a.from_id, a.to_object_type_id, a.to_id, a.type_id) > ($4, $5, $6, $7)
               AND (SELECT o.archived_at IS NULL OR o.id = ANY($2::bigint[]) FROM record AS o
                     WHERE o.account_id = $1 AND o.id = a.to_id)
             ORDER BY a.from_id, a.to_object_type_id, a.to_id, a.type_id
             LIMIT $8) AS e
     ORDER BY e.from_id, e.to_object_type_id, e.to_id, e.type_id
    """,
)

# The next neighbours of a record that is merged away; what was moved is gone, so there is no cursor.
NEIGHBOURS = Statement(
    "associations.neighbours",
    """
    SELECT n.to_id, n.to_object_type_id, n.type_ids, o.archived_at IS NOT NULL AS hidden
      FROM (SELECT a.to_object_type_id, a.to_id, array_agg(a.type_id ORDER BY a.type_id) AS type_ids
              FROM association AS a
             WHERE a.account_id = $1 AND a.from_id = $2
             GROUP BY a.to_object_type_id, a.to_id
             ORDER BY a.to_object_type_id, a.to_id
             LIMIT $3) AS n
           CROSS JOIN LATERAL (SELECT o.archived_at FROM record AS o
                                WHERE o.account_id = $1 AND o.id = n.to_id OFFSET 0) AS o
     ORDER BY n.to_object_type_id, n.to_id
    """,
)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A record with the types under which it is associated."""

    id: int
    object_type_id: int
    type_ids: tuple[int, ...]
    hidden: bool


async def hold(tx: Transaction, ids: Iterable[int]) -> dict[int, Held]:
    """Lock records and their survivors, in id order, until the commit; unknown ones are missing.

    What the transaction holds from its beginning is not asked for again.
    """
    wanted = set(ids)
    if (held := tx.take_held(wanted)) is not None:
        return held
    return holding.found(await tx.fetch(holding.HOLD, holding.argument(wanted)))


async def look(
    reader: Queryable, pairs: Mapping[int, Sequence[tuple[int, int]]], counters: Mapping[int, Iterable[int]]
) -> tuple[dict[tuple[int, int], set[int]], dict[tuple[int, int], int]]:
    """The type ids of each pair (from, to), given by the object type of `to`; and the counters of records by type id.

    Counters come as {(record, type): n}; a missing one never counted anything.
    """
    rows = await reader.fetch(
        LOOK,
        numbers(pairs),
        lists([low for low, _ in group] for group in pairs.values()),
        lists([high for _, high in group] for group in pairs.values()),
        numbers(counters),
        lists(counters.values()),
    )
    held: dict[tuple[int, int], set[int]] = {pair: set() for group in pairs.values() for pair in group}
    counts: dict[tuple[int, int], int] = {}
    for record_id, to_id, type_id, n in rows:
        if n is None:
            held[record_id, to_id].add(type_id)
        else:
            counts[record_id, type_id] = n
    return held, counts


async def held(reader: Queryable, pairs: Sequence[tuple[int, int, int]]) -> list[list[int]]:
    """The type ids of each (from, to's object type, to), in the order asked."""
    if not pairs:
        return []
    froms, object_types, tos = zip(*pairs, strict=True)
    return [row[0] for row in await reader.fetch(HELD, froms, object_types, tos)]


async def lock_counts(tx: Transaction, keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Lock the counters of (record, type) and read them; a missing one never counted anything."""
    ordered = sorted(keys)
    if not ordered:
        return {}
    records, types = zip(*ordered, strict=True)
    return {(row[0], row[1]): row[2] for row in await tx.fetch(LOCK_COUNTS, records, types)}


async def primaries(
    reader: Queryable, ids: Collection[int], to_object_type_ids: Collection[int], type_ids: Collection[int]
) -> dict[tuple[int, int], int]:
    """The visible primary of each record: {(record, type): other record}."""
    rows = await reader.fetch(PRIMARIES, ids, to_object_type_ids, type_ids)
    return {(row[0], row[1]): row[2] for row in rows}


async def filling(reader: Queryable, keys: Sequence[tuple[int, int, int]], most: int) -> list[list[int]]:
    """Up to `most` visible neighbours of each (record, to's object type, type), in the order asked."""
    if not keys:
        return []
    records, object_types, types = zip(*keys, strict=True)
    return [row[0] for row in await reader.fetch(FILLING, records, object_types, types, most)]


async def hide(tx: Transaction, ids: Sequence[int]) -> None:
    """Take archived records out of all their neighbours' counters."""
    await lock_around(tx, ids)
    await tx.execute(SHIFT_AROUND, ids, _back(tx), -1)


async def hold_around(tx: Transaction, ids: Sequence[int], type_ids: Sequence[int] | None) -> None:
    """Hold records with their neighbours under `type_ids`, or with all of them."""
    await tx.fetchval(HOLD_AROUND, ids, type_ids)


async def lock_around(tx: Transaction, ids: Sequence[int]) -> None:
    """Lock the counters of all neighbours."""
    await tx.fetchval(LOCK_AROUND, ids, _back(tx))


async def show(tx: Transaction, ids: Sequence[int]) -> None:
    """Put restored records back into all their neighbours' counters."""
    await tx.execute(SHIFT_AROUND, ids, _back(tx), 1)


def _back(tx: Transaction) -> dict[str, int]:
    """The type that leads back, of each type."""
    return {str(row.id): row.inverse_id for row in tx.catalogue.association_types.values()}


async def returning(
    tx: Transaction,
    ids: Sequence[int],
    type_ids: Sequence[int],
    after: tuple[int, int, int, int],
    limit: int,
) -> list[tuple[int, int, int, int, int]]:
    """A page of (from, to's object type, to, type, the neighbour's count under the inverse)."""
    rows = await tx.fetch(RETURNING, ids, type_ids, *after, limit, _back(tx))
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


async def neighbours(reader: Queryable, record_id: int, limit: int) -> list[Neighbour]:
    """The first neighbours of a record, archived ones included."""
    rows = await reader.fetch(NEIGHBOURS, record_id, limit)
    return [Neighbour(row[0], row[1], tuple(row[2]), row[3]) for row in rows]
