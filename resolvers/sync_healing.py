"""Use cases of records that are not in sync: decided, retried, brought back; and deletions that wait for a person."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from engine import ids
from engine.batches import Outcome, check_size
from engine.problems import at
from engine.sync import conflicts, resync, retrying
from engine.sync.categories import Category
from engine.sync.conflicts import OpenConflict, Resolution
from engine.sync.rules import Side
from resolvers.context import Context
from resolvers.writing import write
from storage.database import Transaction

# So many transactions does one request make, at most: a sync may have a million failures.
ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Swept:
    """How many were taken up, how many could not be, and where to go on (an id as clients see it; None: nowhere)."""

    count: int
    refused: int = 0
    next: str | None = None


async def resolve(
    context: Context, idents: Sequence[str], winner: Side | None, value: Any
) -> list[Outcome[OpenConflict]]:
    """Decide conflicts alike; see `engine.sync.conflicts.resolve`."""
    with at("conflictIds"):
        check_size(idents, context.batch_limit)
    numbers = [ids.decode_at("conflict", one, "conflictIds", n) for n, one in enumerate(idents)]
    given = [Resolution(number, winner, value) for number in numbers]
    return await write(context, lambda tx: conflicts.resolve(tx, given))


async def retry(context: Context, idents: Sequence[str]) -> Swept:
    """Try these again; see `engine.sync.retrying.retry`."""
    numbers = _links(context, idents)
    return Swept(await write(context, lambda tx: retrying.retry(tx, numbers)))


async def retry_all(
    context: Context, sync: str, categories: Sequence[Category] | None, after: str | None
) -> Swept:
    """Try a sync's failures again; see `engine.sync.retrying.retry_failed`."""
    number = ids.decode_at("sync", sync, "sync", "id")

    async def some(tx: Transaction, behind: int) -> tuple[int, int, int | None]:
        with at("sync"):
            found = await retrying.retry_failed(tx, number, categories, after=behind)
        return found.count, 0, found.last

    return await _sweep(context, some, after)


async def resync_some(context: Context, idents: Sequence[str]) -> list[Outcome[int]]:
    """Bring these back; see `engine.sync.resync.resync`."""
    numbers = _links(context, idents)
    return await write(context, lambda tx: resync.resync(tx, numbers))


async def resync_all(context: Context, sync: str, side: Side, after: str | None) -> Swept:
    """Bring back what was deleted on one side; see `engine.sync.resync.resync_all`."""
    number = ids.decode_at("sync", sync, "sync", "id")

    async def some(tx: Transaction, behind: int) -> tuple[int, int, int | None]:
        with at("sync"):
            found = await resync.resync_all(tx, number, side, after=behind)
        return found.count, found.refused, found.last

    return await _sweep(context, some, after)


async def settle_deletes(context: Context, sync: str, confirm: bool) -> int:
    """Decide about deletions that the brake holds; see `engine.sync.resync.settle_deletes`."""
    number = ids.decode_at("sync", sync, "id")
    return await write(context, lambda tx: resync.settle_deletes(tx, number, confirm=confirm))


def _links(context: Context, idents: Sequence[str]) -> list[int]:
    with at("records"):
        check_size(idents, context.batch_limit)
    return [ids.decode_at("link", one, "records", n) for n, one in enumerate(idents)]


async def _sweep(
    context: Context,
    some: Callable[..., Awaitable[tuple[int, int, int | None]]],
    after: str | None,
) -> Swept:
    """Do it lot by lot, each in a transaction of its own."""
    behind = 0 if after is None else ids.decode_at("link", after, "sync", "after")
    count = refused = 0
    for _ in range(ROUNDS):
        done, not_done, last = await write(context, partial(some, behind=behind))
        count, refused = count + done, refused + not_done
        if last is None:
            return Swept(count, refused)
        behind = last
    return Swept(count, refused, ids.encode("link", behind))
