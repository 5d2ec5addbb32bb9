"""What rows of an import have met, made and added: noted with the batch that does it, read when it is taken back."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement

# A key stands once; whoever comes later in the file is told of the first.
ADD_KEYS = Statement(
    "import_marks.add_keys",
    """
    INSERT INTO import_key (account_id, import_id, digest, row)
    SELECT $1, $2, n.digest, n.row FROM unnest($3::bytea[], $4::bigint[]) AS n(digest, row)
    ON CONFLICT (account_id, import_id, digest) DO NOTHING
    """,
)

KEYS = Statement(
    "import_marks.keys",
    """
    SELECT k.digest, k.row FROM import_key AS k
     WHERE k.account_id = $1 AND k.import_id = $2 AND k.digest = ANY($3::bytea[])
    """,
)

CLEAR_KEYS = Statement(
    "import_marks.clear_keys",
    """
    DELETE FROM import_key AS k
     WHERE k.account_id = $1 AND k.import_id = $2
       AND k.digest = ANY(ARRAY(SELECT g.digest FROM import_key AS g
                                 WHERE g.account_id = $1 AND g.import_id = $2 ORDER BY g.digest LIMIT $3))
    """,
)

TOUCHED = Statement(
    "import_marks.touched",
    """
    SELECT r.record_id, r.row, r.given FROM import_record AS r
     WHERE r.account_id = $1 AND r.import_id = $2 AND r.record_id = ANY($3::bigint[])
    """,
)

# Several rows may be about one record: the first one's number stays, what they gave is gathered.
TOUCH = Statement(
    "import_marks.touch",
    """
    INSERT INTO import_record AS r (account_id, import_id, record_id, row, given)
    SELECT $1, $2, n.record_id, n.row, CASE WHEN n.given IS NULL THEN NULL ELSE string_to_array(n.given, ',') END
      FROM unnest($3::bigint[], $4::bigint[], $5::text[]) AS n(record_id, row, given)
    ON CONFLICT (account_id, import_id, record_id) DO UPDATE
       SET given = excluded.given WHERE excluded.given IS DISTINCT FROM r.given
    """,
)

PAIR = Statement(
    "import_marks.pair",
    """
    INSERT INTO import_pair (account_id, import_id, from_id, to_id)
    SELECT $1, $2, n.from_id, n.to_id FROM unnest($3::bigint[], $4::bigint[]) AS n(from_id, to_id)
    ON CONFLICT DO NOTHING
    """,
)

# The next of what is to be taken back; it is gone with the transaction that takes it back.
NEXT_PAIRS = Statement(
    "import_marks.next_pairs",
    """
    SELECT p.from_id, p.to_id FROM import_pair AS p
     WHERE p.account_id = $1 AND p.import_id = $2 ORDER BY p.from_id, p.to_id LIMIT $3
    """,
)
DROP_PAIRS = Statement(
    "import_marks.drop_pairs",
    """
    DELETE FROM import_pair AS p
     WHERE p.account_id = $1 AND p.import_id = $2 AND (p.from_id, p.to_id) <= ($3, $4)
    """,
)
NEXT_RECORDS = Statement(
    "import_marks.next_records",
    """
    SELECT r.record_id FROM import_record AS r
     WHERE r.account_id = $1 AND r.import_id = $2 ORDER BY r.record_id LIMIT $3
    """,
)
DROP_RECORDS = Statement(
    "import_marks.drop_records",
    """
    DELETE FROM import_record AS r
     WHERE r.account_id = $1 AND r.import_id = $2 AND r.record_id <= $3
    """,
)

# Which types, standing at the first record of each pair, this import has put there. A probe of the key for each.
ADDED_TYPES = Statement(
    "import_marks.added_types",
    """
    SELECT p.from_id, p.to_id, a.type_id
      FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS p(from_id, to_object_type_id, to_id)
     CROSS JOIN LATERAL (
           SELECT a.type_id FROM association AS a
            WHERE a.account_id = $1 AND a.from_id = p.from_id AND a.to_object_type_id = p.to_object_type_id
              AND a.to_id = p.to_id AND a.source = 'IMPORT' AND a.source_id = $5
           OFFSET 0) AS a
    """,
)

# The types that others have put there.
OTHERS_TYPES = Statement(
    "import_marks.others_types",
    """
    SELECT p.from_id, p.to_id, a.type_id
      FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS p(from_id, to_object_type_id, to_id)
     CROSS JOIN LATERAL (
           SELECT a.type_id FROM association AS a
            WHERE a.account_id = $1 AND a.from_id = p.from_id AND a.to_object_type_id = p.to_object_type_id
              AND a.to_id = p.to_id AND (a.source, a.source_id) IS DISTINCT FROM ('IMPORT', $5)
           OFFSET 0) AS a
    """,
)

# All that ever happened to the properties of some records, in its order: a range of the key for each.
HISTORIES = Statement(
    "import_marks.histories",
    """
    SELECT h.record_id, h.version, h.changed, h.source = 'IMPORT' AND h.source_id = $3 AS ours
      FROM property_history AS h
     WHERE h.account_id = $1 AND h.record_id = ANY($2::bigint[])
     ORDER BY h.record_id, h.version
    """,
)


@dataclass(frozen=True, slots=True)
class Touched:
    """A record that rows of an import were about: the first of them, and the properties that they gave."""

    row: int
    given: tuple[str, ...] | None


async def add_keys(tx: Transaction, number: int, keys: Mapping[bytes, int]) -> None:
    """Note keys with the first rows that they stand in."""
    await tx.execute(ADD_KEYS, number, list(keys), list(keys.values()))


async def keys(reader: Queryable, number: int, digests: Collection[bytes]) -> dict[bytes, int]:
    """The rows in which keys stood first; those that have not been met are missing."""
    return {row[0]: row[1] for row in await reader.fetch(KEYS, number, list(digests))}


async def clear_keys(tx: Transaction, number: int, limit: int) -> int:
    """Forget up to `limit` keys; how many there were."""
    return await tx.execute(CLEAR_KEYS, number, limit)


async def touched(reader: Queryable, number: int, ids: Iterable[int]) -> dict[int, Touched]:
    """Those of the records that rows of the import have been about."""
    rows = await reader.fetch(TOUCHED, number, list(ids))
    return {row[0]: Touched(row[1], None if row[2] is None else tuple(row[2])) for row in rows}


async def touch(tx: Transaction, number: int, found: Mapping[int, Touched]) -> None:
    """Note what rows have been about."""
    await tx.execute(
        TOUCH,
        number,
        list(found),
        [one.row for one in found.values()],
        [None if one.given is None else ",".join(one.given) for one in found.values()],
    )


async def touch_new(tx: Transaction, number: int, found: Sequence[tuple[int, int]]) -> None:
    """The same for records that have just been made: (record, row)."""
    await tx.copy(
        "import_record", ("import_id", "record_id", "row"), [(number, record, row) for record, row in found]
    )


async def touch_made(tx: Transaction, number: int, found: Sequence[tuple[int, int]]) -> None:
    """The same for thousands at once."""
    lines = [f"{tx.account_id}\t{number}\t{record}\t{row}" for record, row in found]
    await tx.copy_lines("import_record", "import_id, record_id, row", lines)


async def pair(tx: Transaction, number: int, pairs: Sequence[tuple[int, int]]) -> None:
    """Note pairs of records to which rows added something; a pair may come again."""
    # As the key has them: pages are met one after the other, by all writers in one order.
    ends = sorted(pairs)
    await tx.execute(PAIR, number, [low for low, _ in ends], [high for _, high in ends])


async def next_pairs(reader: Queryable, number: int, limit: int) -> list[tuple[int, int]]:
    """The next pairs that are to be taken back."""
    return [(row[0], row[1]) for row in await reader.fetch(NEXT_PAIRS, number, limit)]


async def drop_pairs(tx: Transaction, number: int, last: tuple[int, int]) -> None:
    """Pairs up to this one have been taken back."""
    await tx.execute(DROP_PAIRS, number, *last)


async def next_records(reader: Queryable, number: int, limit: int) -> list[int]:
    """The next records that are to be taken back."""
    return [row[0] for row in await reader.fetch(NEXT_RECORDS, number, limit)]


async def drop_records(tx: Transaction, number: int, last: int) -> None:
    """Records up to this one have been taken back."""
    await tx.execute(DROP_RECORDS, number, last)


async def added_types(
    reader: Queryable, number: int, pairs: Sequence[tuple[int, int, int]]
) -> dict[tuple[int, int], set[int]]:
    """The types that an import put between (from, to's object type, to), and that still stand; they stand at `from`."""
    return await _types(reader, ADDED_TYPES, number, pairs)


async def others_types(
    reader: Queryable, number: int, pairs: Sequence[tuple[int, int, int]]
) -> dict[tuple[int, int], set[int]]:
    """The same of those that others have put there."""
    return await _types(reader, OTHERS_TYPES, number, pairs)


async def _types(
    reader: Queryable, statement: Statement, number: int, pairs: Sequence[tuple[int, int, int]]
) -> dict[tuple[int, int], set[int]]:
    found: dict[tuple[int, int], set[int]] = {}
    froms, object_types, tos = zip(*pairs, strict=True)
    for row in await reader.fetch(statement, froms, object_types, tos, str(number)):
        found.setdefault((row[0], row[1]), set()).add(row[2])
    return found


async def histories(
    reader: Queryable, number: int, ids: Sequence[int]
) -> dict[int, list[tuple[dict[str, Any], bool]]]:
    """What happened to the properties of records, in order: (changed, whether the import did it)."""
    found: dict[int, list[tuple[dict[str, Any], bool]]] = {}
    for row in await reader.fetch(HISTORIES, list(ids), str(number)):
        found.setdefault(row["record_id"], []).append((row["changed"], row["ours"]))
    return found
