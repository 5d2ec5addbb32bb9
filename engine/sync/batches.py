"""Batches on their way out: while one is written over there, the one before is noted, and the next is decided.

What is asked of the app keeps its order, and no record is in two of them that are under way. As soon as an answer is
lost nothing more is begun: what was decided already is taken back, since first of all it is to be known what was done.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from engine.sync import outbound, outcomes, sending, settling
from engine.sync.book import Book
from engine.sync.connectors.protocol import Disconnected, Unclear
from engine.sync.sending import Send
from engine.sync.turns import Turn
from storage.sync import links

# So many follow one another in a step: then it is the turn of other work.
MOST = 10


async def send(turn: Turn, now: datetime, *, plan: int | None = None) -> bool:
    """Look at records that are due, and write what is to be written; whether there were any.

    Of a plan, what is met over there instead of what the link knows is left alone, and so are ends that are to wait:
    that was never shown.
    Raises what the connector raises; what is decided by then is taken back.
    """
    planned = plan is not None
    looked, batch = await outbound.decided(turn, now, plan=plan)
    before: list[Send] = []
    for n in range(MOST):
        if not batch:
            break
        writing = asyncio.ensure_future(_write(turn, batch))
        try:
            if before:
                await outcomes.note(turn, before, now, planned=planned)
            _, after = await outbound.decided(turn, now, batch, plan=plan) if n + 1 < MOST else (False, [])
        except BaseException as error:
            await _end(writing, error)
            raise
        try:
            await writing
        except Exception:
            await _take_back(turn, after, now)
            raise
        if after and any(_lost(one) for one in batch):
            await _take_back(turn, after, now)
            after = []
        before, batch = batch, after
    if before:
        await outcomes.note(turn, before, now, planned=planned)
    return looked


async def _write(turn: Turn, batch: Sequence[Send]) -> None:
    await sending.meet(turn, batch)
    await sending.write(turn, batch)


def _lost(one: Send) -> bool:
    """Whether it was to be written, and nobody knows whether it was."""
    return not one.met and (one.outcome is None or isinstance(one.outcome, Unclear | Disconnected))


async def _end(writing: asyncio.Task[None], error: BaseException) -> None:
    """Nobody will hear what comes of it. It is cut off only where its runner ends: the connector ends with that."""
    try:
        if isinstance(error, Exception):
            await asyncio.wait([writing])
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def _take_back(turn: Turn, batch: Sequence[Send], now: datetime) -> None:
    """What was decided and not begun is due as it was."""
    if not batch:
        return
    async with turn.hold(now) as (tx, _):
        present = await links.still(tx, [one.link for one in batch], batch[0].writer)
        book = Book(tx, turn.rules)
        for one in batch:
            link = present.get(one.link.id)
            if link is None or link.create_key != one.key:
                continue
            if one.key is not None:
                settling.not_made(turn, book, link)
            else:
                link.planned = None
                book.keep(link)
        await book.write()
