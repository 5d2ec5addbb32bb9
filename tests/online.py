"""Indexes of properties that are made and given up while others write."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine import indexing, properties
from storage.catalogue import PropertyRow
from storage.filters.tree import Index, PropertyLeaf
from tests.crm import Crm
from tests.filtering import World


async def prop(of: Crm, name: str) -> PropertyRow:
    """A property of contacts as it is."""
    return (await of.db.catalogue(of.account)).by_name["contacts"].properties[name]


async def flag(of: Crm, name: str, kind: str = "contacts", **wanted: Any) -> PropertyRow:
    """Say whether a property is `searchable`, or found by its parts (`parts_searchable`)."""
    async with of.db.transaction(of.account, now=of.now, actor=of.actor, defining=True) as tx:
        return await properties.update(tx, kind, name, **wanted)


async def reach(of: Crm, name: str, **wanted: str) -> None:
    """Let the change of an index go on until it is in a state: `index_state` or `parts_state`."""
    for _ in range(1_000):
        row = await prop(of, name)
        if all(getattr(row, field) == state for field, state in wanted.items()):
            return
        of.now += indexing.GRACE
        await indexing.run_once(of.db, of.account, now=of.now)
    pytest.fail(f"{name} never gets to {wanted}")


async def read_by(of: World, where: Any) -> Index | None:
    """By which index contacts are looked for that meet a condition on one property."""
    bound = await of.bind(where)
    assert isinstance(bound, PropertyLeaf)
    return bound.index


@asynccontextmanager
async def meanwhile(write: Callable[[], Awaitable[None]]) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Run `write` again and again. What is given waits until it was run three times more."""
    over, wrote = asyncio.Event(), 0

    async def again() -> None:
        nonlocal wrote
        while not over.is_set():
            await write()
            wrote += 1

    async def thrice() -> None:
        before = wrote
        while wrote < before + 3:
            assert not writer.done(), writer.result()
            await asyncio.sleep(0.005)

    writer = asyncio.create_task(again())
    try:
        yield thrice
    finally:
        over.set()
        await writer
