"""Use cases of association types and labels."""

from collections.abc import Sequence
from typing import Any

from engine import ids, labels
from engine.labels import Label
from engine.object_types import Keep
from engine.problems import NotFound
from resolvers.context import Context
from resolvers.writing import write
from storage.catalogue import AssociationTypeRow, Catalogue
from storage.database import Transaction
from storage.labels import LabelChange


def listing(context: Context, from_type: str, to_type: str) -> Sequence[AssociationTypeRow]:
    """The types of a directed object pair, the unlabelled one first."""
    return labels.listing(context.catalogue, from_type, to_type)


def by_id(catalogue: Catalogue, ident: str) -> AssociationTypeRow:
    """One direction of an association type; raises `NotFound` and `MalformedId`."""
    row = catalogue.association_types.get(ids.decode_at("association type", ident, "id"))
    if row is None:
        raise NotFound(kind="association type", name=ident, path=("id",))
    return row


async def history(context: Context, row: AssociationTypeRow) -> list[LabelChange]:
    """Every change of a label, oldest first."""
    async with context.db.read(context.account_id) as reader:
        return await labels.history(reader, row)


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
