"""Failures tried again: one, some, those of a category, all; by a person, or because their cause may have gone.

Whoever changes a sync's definition or mends its connection notes the time on the sync (`again_before`): `step` takes up
what has failed before it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine import ids
from engine.problems import NotFound, Problem
from engine.sync.categories import Category
from engine.sync.rules import Side
from storage.database import Actor, Database, Transaction
from storage.sync import dirty, holding, retries
from storage.sync.links import FAILED, PENDING
from storage.sync.retries import Failure

# How many failures one transaction takes up again.
BATCH = 2_000
# What nobody tries again unless it is asked for by name: see resync.
APART = (Category.RECORD_DELETED.value,)


class LinkNotFailed(Problem):
    """The record has not failed in this sync, it is {state}: there is nothing to retry."""


@dataclass(frozen=True, slots=True)
class Retried:
    """How many are tried again, and the last one that was looked at; None: there are no more."""

    count: int
    last: int | None


async def retry(tx: Transaction, link_ids: Sequence[int]) -> int:
    """Try these links again as soon as can be; how many there are. Those that have not failed are left as they are.

    Where it is one alone, raises `NotFound` and `LinkNotFailed`.
    """
    found = await retries.by_ids(tx, link_ids)
    await holding.hold(tx, [one.sync_id for one in found])
    # As they stand now that nobody else changes them.
    found = await retries.by_ids(tx, link_ids)
    able = [one for one in found if one.state in (FAILED, PENDING)]
    if len(link_ids) == 1 and not able:
        if not found:
            raise NotFound(kind="link", name=ids.encode("link", link_ids[0]), path=("records", 0))
        raise LinkNotFailed(state=found[0].state, path=("records", 0))
    await _again(tx, able)
    return len(able)


async def retry_failed(
    tx: Transaction, sync_id: int, categories: Collection[Category] | None = None, *, after: int = 0
) -> Retried:
    """Try again up to `BATCH` failures of a sync behind the link `after`: all, or those of some categories.

    What was deleted on one side is not among them, unless its category is named: see `resync`. Raises `NotFound`.
    """
    if sync_id not in await holding.hold(tx, [sync_id]):
        raise NotFound(kind="sync", name=ids.encode("sync", sync_id), path=("id",))
    named = None if categories is None else sorted(one.value for one in categories)
    found = await retries.failed(
        tx, sync_id, categories=named, without=None if named else APART, after=after, limit=BATCH
    )
    await _again(tx, found)
    return Retried(len(found), found[-1].id if len(found) == BATCH else None)


async def step(db: Database, account_id: int, sync_id: int, *, now: datetime) -> bool:
    """Try again some of what has failed before its cause may have gone; False where there is nothing of it."""
    async with db.read(account_id) as reader:
        if await holding.again_before(reader, sync_id) is None:
            return False
    actor = Actor("SYNC", ids.encode("sync", sync_id))
    async with db.transaction(account_id, now=now, actor=actor) as tx:
        held = (await holding.hold(tx, [sync_id])).get(sync_id)
        if held is None or held.again_before is None:
            return False
        found = await retries.failed(
            tx, sync_id, categories=None, without=APART, before=held.again_before, after=0, limit=BATCH
        )
        await _again(tx, found)
        if len(found) < BATCH:
            await holding.tried_again(tx, sync_id)
    return True


async def _again(tx: Transaction, failures: Sequence[Failure]) -> None:
    """Let links, whose syncs are held, be looked at now."""
    if not failures:
        return
    await retries.retried(tx, [one.id for one in failures])
    await dirty.add_to_many(tx, [(one.sync_id, *_place(one), tx.now, 0) for one in failures])
    tx.news = True


def _place(one: Failure) -> tuple[str, str]:
    """What is looked at: the item, where there is one and the record was to be written; else the record."""
    if one.external_id is not None and (one.record_id is None or one.failed_side != Side.THEIRS):
        return Side.THEIRS.value, one.external_id
    return Side.OURS.value, str(one.record_id)
