"""How syncs stand, as a stream of states."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

from engine import cursors, ids
from engine.problems import NotFound
from engine.sync import standing
from engine.sync.standing import Standing
from resolvers.context import Context


@dataclass(frozen=True, slots=True)
class Stood:
    """How some syncs stood at one moment; `cursor` is that of the last event before it."""

    cursor: str
    at: datetime
    syncs: dict[int, Standing]


async def stream(context: Context, sync: str | None) -> AsyncGenerator[Stood, None]:
    """How one sync stands, or how all do: now, and whenever it changes; it ends with the sync.

    Raises `MalformedId` and `NotFound`.
    """
    number = None if sync is None else ids.decode_at("sync", sync, "sync")
    last: dict[int, Standing] | None = None
    async with contextlib.aclosing(
        standing.watch(context.db, context.account_id, context.clock or (lambda: context.now))
    ) as states:
        async for state in states:
            found = state.value
            if number is not None:
                if number not in found and last is None:
                    raise NotFound(kind="sync", name=sync, path=("sync",))
                if number not in found:
                    return
                found = {number: found[number]}
            if found != last:
                last = found
                yield Stood(cursors.encode(context.account_id, state.seq), state.at, found)
