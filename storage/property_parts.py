"""Hashes of the parts of texts, three letters each: what contains a text, or ends with it, is found by them.

Kept for properties that are told to have them, in a table of their own with an inverted index (GIN) of arrays. Who has
all parts of what is looked for may hold it; the record itself is asked as well. The parts at both ends have a mark, so
that ends are found by less, and by two letters. A text of more than `KEPT` letters has one part, which is looked for
whatever is asked.

Account and property are mixed into each hash: lists of records that the index keeps are of one property alone, however
many accounts there are, although it cannot begin with them. Letters are hashed as they are, capitals and all scripts
included: pg_trgm has small letters only, and in a database of the C locale those of ASCII.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any
from zlib import crc32

from storage.catalogue import PropertyRow
from storage.database import Transaction
from storage.filters.tree import Place
from storage.statements import Statement

LETTERS = 3
# No text holds it.
MARK = "\0"
KEPT = 1_000
# As many parts of what is looked for narrow it down enough; each costs a descent of the index.
LOOKED_UP = 50
# PostgreSQL's integers have a sign.
HALF = 2**31
# So many letters of a property are hashed once: 40 of them take 5 µs in place of 8. Some 2 MB a property.
REMEMBERED = 20_000

# By the primary key, a row for each record and property: no join, as for the values of searchable properties.
DELETE = Statement(
    "property_parts.delete",
    """
    DELETE FROM property_part AS v
     WHERE v.account_id = $1 AND v.record_id = ANY($2::bigint[])
       AND $3::jsonb -> v.record_id::text ? v.property_id::text
    """,
)

# Arrays as text: they are of different lengths. What a fill has written already is written again, as it is now.
PUT = Statement(
    "property_parts.put",
    """
    INSERT INTO property_part AS v (account_id, record_id, property_id, parts)
    SELECT $1, n.record_id, n.property_id, n.parts::int[]
      FROM unnest($2::bigint[], $3::bigint[], $4::text[]) AS n(record_id, property_id, parts)
        ON CONFLICT (account_id, record_id, property_id) DO UPDATE SET parts = excluded.parts
    """,
)

# A keyset page of records as they are now, held still until the chunk is written: who changes one afterwards writes
# its parts anew.
PAGE = Statement(
    "property_parts.page",
    """
    SELECT r.id, CASE jsonb_typeof(r.properties -> $5::text) WHEN 'string' THEN r.properties ->> $5::text END AS value
      FROM record AS r
     WHERE r.account_id = $1 AND r.object_type_id = $2 AND r.id > $3
     ORDER BY r.id LIMIT $4
       FOR SHARE
    """,
)

# Record by record of the type, since no index begins with the property. A page at a time, and its rows by the primary
# key, whatever the planner believes.
CLEAR = Statement(
    "property_parts.clear",
    """
    WITH page AS MATERIALIZED (
        SELECT r.id FROM record AS r
         WHERE r.account_id = $1 AND r.object_type_id = $2 AND r.id > $3
         ORDER BY r.id LIMIT $4
    ), gone AS (
        DELETE FROM property_part AS v
         WHERE v.account_id = $1 AND v.property_id = $5 AND v.record_id = ANY(ARRAY(SELECT page.id FROM page))
    )
    SELECT max(page.id) AS last, count(*) AS n FROM page
    """,
)


def seed(account_id: int, property_id: int) -> int:
    """What is mixed into the hashes of a property's parts."""
    return crc32(f"{account_id}/{property_id}".encode())


def parts_of(text: str, seed: int) -> Collection[int]:
    """The parts of a value, as they are kept."""
    return list(map(int, _parts_of(text, seed)))


def narrows(place: Place, text: str) -> bool:
    """Whether looking for the parts of `text` leaves anybody out."""
    return len(text) >= (LETTERS if place is Place.ANYWHERE else LETTERS - 1)


def looked_up(place: Place, texts: Sequence[str], seed: int) -> list[str]:
    """Arrays of parts: whoever has all of any of them may have one of the texts at a place."""
    found = []
    for text in texts:
        marked = f"{MARK * (place is Place.START)}{text}{MARK * (place is Place.END)}"
        found.append(_array(sorted(_hashed(marked, seed))[:LOOKED_UP]))
    # Of long texts only this is known.
    return [*found, _array(_long(seed))]


def kept(prop: PropertyRow, value: Any) -> str | None:
    """What is kept of a value, as text; None where nothing is."""
    return _array(_parts_of(value, prop.parts_seed)) if prop.writes_parts and isinstance(value, str) else None


class _Hashes(dict[str, str]):
    """The hashes of letters, in the words of SQL: values are made of few different ones, over and over."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __missing__(self, letters: str) -> str:
        found = str(crc32(letters.encode(), self._seed) - HALF)
        if len(self) < REMEMBERED:
            self[letters] = found
        return found


# By property; those that are written most.
_hashes = lru_cache(maxsize=16)(_Hashes)


def _parts_of(text: str, seed: int) -> Collection[str]:
    return _long(seed) if len(text) > KEPT else _hashed(f"{MARK}{text}{MARK}", seed)


def _long(seed: int) -> list[str]:
    return [str(seed - HALF)]


def _hashed(text: str, seed: int) -> set[str]:
    known = _hashes(seed)
    return {known[text[n : n + LETTERS]] for n in range(len(text) - LETTERS + 1)}


def _array(parts: Collection[str]) -> str:
    return f"{{{','.join(parts)}}}"


async def replace(
    tx: Transaction, changes: Sequence[tuple[int, PropertyRow, Any]], *, fresh: bool = False
) -> None:
    """Write what records now hold: (record id, property, new value or None where it was cleared).

    Properties whose parts are not kept are passed over. `fresh` says that the records are new. Two statements at most,
    however many changes.
    """
    changes = [change for change in changes if change[1].writes_parts]
    gone: dict[str, list[str]] = {}
    rows: list[tuple[int, int, str]] = []
    for record_id, prop, value in changes:
        parts = kept(prop, value)
        if parts is not None:
            rows.append((record_id, prop.id, parts))
        elif not fresh:
            gone.setdefault(str(record_id), []).append(str(prop.id))
    if gone:
        await tx.execute(DELETE, [int(record_id) for record_id in gone], gone)
    await _put(tx, rows)


async def fill(tx: Transaction, prop: PropertyRow, after: int, limit: int) -> tuple[int, int]:
    """Write the parts of the next `limit` records of the property's object type: (the last one's id, their number)."""
    page = await tx.fetch(PAGE, prop.object_type_id, after, limit, prop.name)
    pairs = ((row[0], kept(prop, row[1])) for row in page)
    await _put(tx, [(record_id, prop.id, parts) for record_id, parts in pairs if parts is not None])
    return (page[-1][0] if page else after), len(page)


async def clear(tx: Transaction, prop: PropertyRow, after: int, limit: int) -> tuple[int, int]:
    """Forget the parts of the next `limit` records of the property's object type: as `fill`."""
    row = await tx.fetchrow(CLEAR, prop.object_type_id, after, limit, prop.id)
    assert row is not None  # an aggregate without groups has one row
    return row["last"] or after, int(row["n"])


async def _put(tx: Transaction, rows: Sequence[tuple[int, int, str]]) -> None:
    if rows:
        await tx.execute(PUT, *map(list, zip(*rows, strict=True)))
