"""Intended limits: whom they would find beyond them."""

from collections.abc import Sequence

from engine import labels
from engine.labels import LARGEST_LIMIT, LimitOutOfRange
from storage import label_usage
from storage.catalogue import AssociationTypeRow, Catalogue
from storage.database import Queryable
from storage.label_usage import Excess


def intended(catalogue: Catalogue, type_id: int, limit: int) -> AssociationTypeRow:
    """The direction that a limit is intended for; raises `NotFound` and `LimitOutOfRange`.

    A limit that other limits do not allow yet can be looked at all the same.
    """
    if not 1 <= limit <= LARGEST_LIMIT:
        raise LimitOutOfRange(limit=limit, allowed="1 or more", path=("maxCount",))
    return labels.both(catalogue, type_id).there


async def violations(
    reader: Queryable, row: AssociationTypeRow, limit: int, *, after: int, size: int
) -> Sequence[Excess]:
    """Up to `size` records behind the id `after` that have more than `limit` already, in id order.

    They keep what they have: limits are not retroactive. Archived records do not count, on either side.
    """
    return await label_usage.violations(reader, row.id, limit, after=after, size=size)


async def total(reader: Queryable, row: AssociationTypeRow, limit: int) -> int:
    """How many records have more than `limit` already."""
    return await label_usage.violations_total(reader, row.id, limit)
