"""What was deleted on one side comes back there; and deletions that the brake has held are confirmed or refused."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.batches import Outcome
from engine.problems import Problem
from engine.sync.rules import Side
from storage.database import Transaction

BATCH = 500


class LinkNotDeleted(Problem):
    """The record was not deleted on either side: there is nothing to resync."""


class ResyncAgainstDirection(Problem):
    """It was deleted on the side {side}, on which this sync writes nothing."""


class NoDeletesHeld(Problem):
    """No deletions of this sync wait for a decision."""


@dataclass(frozen=True, slots=True)
class Resynced:
    """How many come back, how many cannot, and the last one that was looked at; None: there are no more."""

    count: int
    refused: int
    last: int | None


async def resync(tx: Transaction, link_ids: Sequence[int]) -> list[Outcome[int]]:
    """Bring back what was deleted of each of these links, on the side where it is missing; the link's id.

    Ours: the archived record is restored, or made anew where it was merged away. Theirs: it is created under a new key
    by the runner. In the order asked. Problems: `NotFound`, `LinkNotDeleted`, `ResyncAgainstDirection`, and those of
    restoring and creating records.
    """
    raise NotImplementedError


async def resync_all(tx: Transaction, sync_id: int, side: Side, *, after: int = 0) -> Resynced:
    """Bring back on `side` up to `BATCH` of what was deleted there, behind the link `after`."""
    raise NotImplementedError


async def settle_deletes(tx: Transaction, sync_id: int, *, confirm: bool) -> int:
    """Let deletions that the brake holds be carried out, or keep their other halves; how many there are.

    What is kept shows as RECORD_DELETED. Raises `NotFound` and `NoDeletesHeld`.
    """
    raise NotImplementedError
