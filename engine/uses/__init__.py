"""What uses a label. Every part of the product that names labels answers two questions: where, and with which instead.

A label that anybody uses is not deleted; one that takes another's place takes it everywhere. Whoever begins to
name labels joins `USERS`. What names segments, workflows, properties and types of events is told by `of`.
"""

from collections.abc import Sequence

from engine.labels import Label
from engine.named import Named, NamedUse, of
from engine.uses import associations, reports, segments, syncs, workflows
from engine.uses.kinds import Exchange, LabelUser, Use, UseKind, exchange
from storage.catalogue import Catalogue
from storage.database import Queryable, Transaction

__all__ = [
    "USERS",
    "Exchange",
    "LabelUser",
    "Named",
    "NamedUse",
    "Use",
    "UseKind",
    "exchange",
    "of",
    "replace",
    "uses",
]

# In the order in which uses are told. Associations are moved first, since it is there that one may not fit.
USERS: tuple[LabelUser, ...] = (associations, segments, workflows, syncs, reports)


async def uses(reader: Queryable, catalogue: Catalogue, labels: Sequence[Label]) -> dict[int, list[Use]]:
    """Every use of each label, by its pair's id; a few statements, however many labels."""
    found: dict[int, list[Use]] = {label.there.pair_id: [] for label in labels}
    for user in USERS:
        for use in await user.uses(reader, catalogue, labels):
            found[use.pair_id].append(use)
    return found


async def replace(tx: Transaction, asked: Exchange) -> list[Use]:
    """Let one label take another's place with all who use it; what was moved. Raises `Refused`.

    The transaction must hold the account's definitions alone.
    """
    return [use for user in USERS for use in await user.replace(tx, asked)]
