"""Unique values: a row a value, whose primary key lets one record hold it, whoever comes at the same time.

The order that keeps writers from waiting for each other in a circle: records first, in id order; then new values
are claimed, sorted; last, values that a locked record holds are moved or released.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from storage.database import Queryable, Transaction
from storage.statements import Statement

# Property id and canonical text.
Key: TypeAlias = tuple[int, str]

# Inserted in the order of the arrays. A value that a running transaction has just taken, or is giving up, makes
# this one wait for its end; one that is taken stays where it is.
CLAIM = Statement(
    "unique_values.claim",
    """
    INSERT INTO unique_value AS u (account_id, property_id, value, record_id)
    SELECT $1, c.property_id, c.value, c.record_id
      FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS c(property_id, value, record_id)
    ON CONFLICT (account_id, property_id, value) DO NOTHING
    RETURNING u.property_id, u.value
    """,
)

# What a record held that was merged away leads to the survivor. Gives more than was asked where several
# properties are asked at once.
HOLDERS = Statement(
    "unique_values.holders",
    """
    SELECT u.property_id, u.value, u.record_id, r.id, r.archived_at IS NOT NULL
      FROM unique_value AS u
      JOIN record AS h ON h.account_id = $1 AND h.id = u.record_id
      JOIN record AS r ON r.account_id = $1 AND r.id = coalesce(h.merged_into_id, h.id)
     WHERE u.account_id = $1 AND u.property_id = ANY($2::bigint[]) AND u.value = ANY($3::text[])
    """,
)

FIND = Statement(
    "unique_values.find",
    """
    SELECT u.value, u.record_id FROM unique_value AS u
     WHERE u.account_id = $1 AND u.property_id = $2 AND u.value = ANY($3::text[])
    """,
)

# Moved and released only by whoever has the holder locked. $4 is {"property value": record}: a look-up instead of
# a join, whose plan would hang on estimates.
MOVE = Statement(
    "unique_values.move",
    """
    UPDATE unique_value AS u SET record_id = ($4::jsonb ->> (u.property_id || ' ' || u.value))::bigint
     WHERE u.account_id = $1 AND u.property_id = ANY($2::bigint[]) AND u.value = ANY($3::text[])
       AND $4::jsonb ? (u.property_id || ' ' || u.value)
    """,
)

RELEASE = Statement(
    "unique_values.release",
    """
    DELETE FROM unique_value AS u
     WHERE u.account_id = $1 AND u.property_id = ANY($2::bigint[]) AND u.value = ANY($3::text[])
       AND $4::jsonb ? (u.property_id || ' ' || u.value)
    """,
)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a value: the record that its row names, and the one that this leads to (the same, or its survivor)."""

    row_id: int
    record_id: int
    archived: bool


async def claim(tx: Transaction, wanted: Mapping[Key, int]) -> dict[Key, Holder]:
    """Take free values for the records that want them; the holders of those that were taken already.

    Waits for transactions that are just taking or releasing one of them.
    """
    missing, holders = sorted(wanted), dict[Key, Holder]()
    while missing:
        taken = await tx.fetch(CLAIM, *_columns(missing), [wanted[key] for key in missing])
        if len(taken) == len(missing):
            break
        free = {(row[0], row[1]) for row in taken}
        lost = [key for key in missing if key not in free]
        holders |= await _holders(tx, lost)
        # Neither taken by us nor held: released between the two statements.
        missing = [key for key in lost if key not in holders]
    return holders


async def _holders(reader: Queryable, keys: Sequence[Key]) -> dict[Key, Holder]:
    asked = set(keys)
    return {
        (row[0], row[1]): Holder(*row[2:])
        for row in await reader.fetch(HOLDERS, *_ranges(keys))
        if (row[0], row[1]) in asked
    }


async def find(reader: Queryable, property_id: int, values: Sequence[str]) -> dict[str, int]:
    """The ids of the records that hold these values (canonical texts) of one property.

    Such a record may have been merged away since; `records.resolve` and `records.lock_survivors` follow.
    """
    return {row[0]: row[1] for row in await reader.fetch(FIND, property_id, list(values))}


async def move(tx: Transaction, moves: Mapping[Key, int]) -> None:
    """Give values that we hold, or that locked records hold, to other records."""
    if moves:
        await tx.execute(MOVE, *_ranges(moves), {_name(key): record_id for key, record_id in moves.items()})


async def release(tx: Transaction, keys: Collection[Key]) -> None:
    """Give up values that we hold, or that locked records hold."""
    if keys:
        await tx.execute(RELEASE, *_ranges(keys), {_name(key): None for key in keys})


def _columns(keys: Sequence[Key]) -> tuple[list[int], list[str]]:
    return [property_id for property_id, _ in keys], [value for _, value in keys]


def _ranges(keys: Collection[Key]) -> tuple[list[int], list[str]]:
    """The properties and the values that occur in `keys`, each once."""
    return sorted({property_id for property_id, _ in keys}), sorted({value for _, value in keys})


def _name(key: Key) -> str:
    return f"{key[0]} {key[1]}"
