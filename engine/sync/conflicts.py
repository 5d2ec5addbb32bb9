"""The conflict inbox: fields that both sides changed, and what a person has decided about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.batches import Outcome
from engine.problems import Problem
from engine.sync.rules import Side
from storage.database import Queryable, Transaction

NEWEST = 2**63 - 1


class ConflictSettled(Problem):
    """This conflict is not open any more."""


@dataclass(frozen=True, slots=True)
class OpenConflict:
    """A field about which a person is asked; values in our terms. `resolved`: decided, and not carried out yet."""

    id: int
    sync_id: int
    link_id: int
    mapping_id: int
    ours: Any
    theirs: Any
    agreed: Any
    at: datetime
    resolved: Side | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a person has decided: a side's value wins, or (`winner` None) both get `value`."""

    conflict_id: int
    winner: Side | None
    value: Any = None


async def inbox(
    reader: Queryable, sync_ids: Sequence[int], *, before: int = NEWEST, first: int = 50
) -> list[OpenConflict]:
    """Up to `first` conflicts of these syncs with ids below `before`, newest first."""
    raise NotImplementedError


async def of_links(reader: Queryable, link_ids: Sequence[int]) -> list[list[OpenConflict]]:
    """The conflicts of each of these links, in the order asked."""
    raise NotImplementedError


async def resolve(tx: Transaction, resolutions: Sequence[Resolution]) -> list[Outcome[OpenConflict]]:
    """Decide conflicts, in the order asked; the runner carries it out.

    Where either side has changed by then, nothing of it is: the conflict stands anew, with the present values.
    Problems: `NotFound`, `ConflictSettled`, and those of a value that the property does not take.
    """
    raise NotImplementedError
