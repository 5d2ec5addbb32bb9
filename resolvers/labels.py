"""Use cases of association types and labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import ids, label_limits, label_removal, labels, uses
from engine.label_removal import Replaced
from engine.labels import Label
from engine.object_types import Keep
from engine.problems import NotFound, Problem
from engine.uses import Use
from resolvers import listings, loaders
from resolvers.context import Context
from resolvers.listings import MalformedCursor
from resolvers.writing import write
from storage import labels as stored
from storage.catalogue import AssociationTypeRow, Catalogue
from storage.database import Queryable, Transaction
from storage.label_usage import Excess
from storage.labels import LabelChange


@dataclass(frozen=True, slots=True)
class Violations:
    """A page of records that an intended limit would find beyond it, and what the page was asked for."""

    rows: Sequence[Excess]
    has_next: bool
    has_previous: bool
    row: AssociationTypeRow
    limit: int


def listing(context: Context, from_type: str, to_type: str) -> Sequence[AssociationTypeRow]:
    """The types of a directed object pair, the unlabelled one first."""
    return labels.listing(context.catalogue, from_type, to_type)


def by_id(catalogue: Catalogue, ident: str, place: str = "id") -> AssociationTypeRow:
    """One direction of an association type, named at `place` of the input; raises `NotFound` and `MalformedId`."""
    row = catalogue.association_types.get(ids.decode_at("association type", ident, place))
    if row is None:
        raise NotFound(kind="association type", name=ident, path=(place,))
    return row


async def history(context: Context, row: AssociationTypeRow) -> list[LabelChange]:
    """Every change of a label, oldest first."""

    async def read(reader: Queryable, pairs: Sequence[int]) -> list[list[LabelChange]]:
        return await stored.histories(reader, pairs)

    return await loaders.loader(context, "label history", read).load(row.pair_id)


async def history_of(context: Context, ident: str) -> list[LabelChange]:
    """Every change of a label by the id of one direction, also of one that was deleted; raises `NotFound`."""
    number = ids.decode_at("association type", ident, "id")
    row = context.catalogue.association_types.get(number)
    async with context.db.read(context.account_id) as reader:
        if row is not None:
            return await labels.history(reader, row)
        (gone,) = await stored.deleted(reader, [number])
        if gone is None:
            raise NotFound(kind="association type", name=ident, path=("id",))
        return (await stored.histories(reader, [gone.pair_id]))[0]


async def usage(context: Context, row: AssociationTypeRow) -> list[Use]:
    """Every use of a label; of all labels of a request at once."""

    async def read(reader: Queryable, type_ids: Sequence[int]) -> list[list[Use]]:
        asked = [labels.both(context.catalogue, type_id) for type_id in type_ids]
        found = await uses.uses(reader, context.catalogue, asked)
        return [found[label.there.pair_id] for label in asked]

    return await loaders.loader(context, "label usage", read).load(row.id)


async def violations(
    context: Context, ident: str, limit: int, first: int | None, after: str | None
) -> Violations:
    """A page of the records that have more than an intended limit already."""
    row = label_limits.intended(context.catalogue, by_id(context.catalogue, ident).id, limit)
    size = listings.page_size(first)
    place = 0
    if after is not None:
        try:
            place = ids.decode("record", after)
        except Problem:
            raise MalformedCursor(path=("after",), argument="after") from None
    async with context.db.read(context.account_id) as reader:
        rows = await label_limits.violations(reader, row, limit, after=place, size=size + 1)
    return Violations(rows[:size], len(rows) > size, after is not None, row, limit)


async def violations_total(context: Context, page: Violations) -> int:
    """How many records have more than an intended limit already."""
    async with context.db.read(context.account_id) as reader:
        return await label_limits.total(reader, page.row, page.limit)


async def create(context: Context, from_type: str, to_type: str, **definition: Any) -> Label:
    """A label and its inverse; `definition` as `engine.labels.create` takes it."""
    return await write(context, lambda tx: labels.create(tx, from_type, to_type, **definition), defining=True)


async def update(context: Context, ident: str, **changes: str | int | Keep | None) -> Label:
    """Change texts and limits; `changes` as `engine.labels.update` takes them."""

    async def work(tx: Transaction) -> Label:
        return await labels.update(tx, by_id(tx.catalogue, ident).id, **changes)  # type: ignore[arg-type]

    return await write(context, work, defining=True)


async def set_limits(context: Context, ident: str, **limits: int | Keep | None) -> Label:
    """Set the limits of both directions of a label, or of an object pair."""

    async def work(tx: Transaction) -> Label:
        return await labels.set_limits(tx, by_id(tx.catalogue, ident).id, **limits)

    return await write(context, work, defining=True)


async def delete(context: Context, ident: str) -> Label:
    """Delete a label; see `engine.label_removal.delete`."""

    async def work(tx: Transaction) -> Label:
        return await label_removal.delete(tx, by_id(tx.catalogue, ident).id)

    return await write(context, work, defining=True)


async def replace(context: Context, old: str, new: str, *, deleting: bool) -> Replaced:
    """Let one label take another's place; see `engine.label_removal.take_place`."""

    async def work(tx: Transaction) -> Replaced:
        first = by_id(tx.catalogue, old, "from").id
        return await label_removal.take_place(tx, first, by_id(tx.catalogue, new, "to").id, deleting=deleting)

    return await write(context, work, defining=True)
