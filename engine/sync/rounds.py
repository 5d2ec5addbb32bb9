"""The first reading of everything with the help of a crew: many pages at once, and then where it goes on.

The pages of a round are merged side by side, each in a transaction of its own that shares the sync's row. The round
ends with a transaction that holds it alone, as all others do, and moves the cursor behind the last of them. Whoever
else wants the row alone (people, another runner, the lease's renewal) waits for what is under way, and no longer than
the round: then the runner waits, too, behind them, and begins nothing. A runner that ends before that has its round
repeated: what is known of an item by its version is passed over.

An item that comes again waits for the next round, so that what was told last is merged last. Of two that match one
record, whoever comes second to its lock finds it taken.
"""

import asyncio
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engine.crew import Crew, Hand, HandLost
from engine.sync import inbound, passes
from engine.sync.connectors.protocol import Item, Page
from engine.sync.rules import Rules
from engine.sync.travelling import Plain, plain
from engine.sync.turns import Ahead, Share, Turn
from storage.faults import Fault, fault
from storage.sync import links
from storage.sync.leases import RunRow

# A round ends after so long, or so many pages: so long others may wait, and so much is read again after a crash.
LONG, MANY = timedelta(seconds=2), 64
# So often another transaction may be in the way of a page, or a hand be lost with it. Then the page is left to the end
# of the round, when none of the others is at work any more.
TRIES = 3
# What a page may need of ids for each item is taken at once: a new one has a record, a link and an attempt; of others
# the evaluators are told one by one.
IDS = 4
# So many pages wait for a hand that is free, so that no hand waits for a page.
SPARE = 1


def helps(turn: Turn, row: RunRow) -> bool:
    """Whether several can do it: in the first pass, of items that wait for none of the same sync."""
    return (
        turn.crew is not None
        and row.phase == passes.INITIAL
        and row.cursors.get("why") == passes.FIRST
        and all(one.other_sync_id != turn.sync_id for one in turn.rules.roles)
    )


async def full(turn: Turn, row: RunRow, now: datetime) -> None:
    """One round of reading everything, from where the cursor stands."""
    crew, cursor = turn.crew, row.cursors.get("full")
    assert crew is not None  # it helps
    one = _Round(turn, crew, now, cursor, pickle.dumps(turn.rules))
    page = await one.run()
    if page is None:
        # What is to be done where nothing can be read is known there.
        await passes.full(turn, row, now)
        return
    async with turn.hold(now) as (tx, held):
        if (held.cursors.get("full"), held.cursors.get("stage")) != (cursor, passes.FULL):
            return
        for items in one.left:
            await inbound.take_in(tx, turn.rules, items, certain=False, full=True)
        await passes.are_in(tx, turn, held, page, one.items)


@dataclass(frozen=True, slots=True)
class PageIn:
    """Items of a page, to be merged by a hand, with the runner's own rules (pickled)."""

    share: Share
    rules: bytes
    now: datetime
    items: list[Plain]

    async def __call__(self, hand: Hand) -> datetime | None:
        """Merge them; when it was done, None: others were in the way."""
        known = hand.remembered(self.share, lambda: pickle.loads(self.rules))
        items = [Item(*one) for one in self.items]
        for _ in range(TRIES):
            try:
                await self._take_in(hand, known, items)
            except Exception as error:
                if not isinstance(error, links.Taken) and fault(error) is not Fault.COLLIDED:
                    raise
            else:
                return hand.clock()
        return None

    async def _take_in(self, hand: Hand, rules: Rules, items: Sequence[Item]) -> None:
        async with self.share.hold(hand.db, rules, self.now) as tx:
            await tx.expect_ids(IDS * len(items))
            await inbound.take_in(tx, rules, items, certain=False, full=True)


@dataclass(slots=True)
class _Round:
    """Pages from `cursor` on. `last` is the last one of the round, `items` how many they have."""

    turn: Turn
    crew: Crew
    now: datetime
    cursor: str | None
    rules: bytes
    last: Page | None = None
    items: int = 0
    pages: int = 0
    # Ids of all items of the round.
    met: set[str] = field(default_factory=set)
    under_way: set[asyncio.Task[None]] = field(default_factory=set)
    # Pages that others were in the way of.
    left: list[Sequence[Item]] = field(default_factory=list)
    over: bool = False
    error: BaseException | None = None

    async def run(self) -> Page | None:
        """Read, and let it be merged; None: nothing could be read, and whoever reads next hears why.

        Whatever goes wrong with a page is raised once no other is under way.
        """
        try:
            await self._begin_all()
            while self.under_way:
                await asyncio.wait(self.under_way)
                self._look()
        finally:
            for task in self.under_way:
                task.cancel()
            await asyncio.gather(*self.under_way, return_exceptions=True)
        if self.error is not None:
            raise self.error
        return self.last

    async def _begin_all(self) -> None:
        ahead = self._ahead(self.cursor)
        while not self.over:
            if ahead.reading.done() and len(self.under_way) < self.crew.size + SPARE:
                page = self._begin(ahead)
                if page is None or not page.more:
                    return
                ahead = self._ahead(page.cursor)
                continue
            if self.last is not None and not (self.under_way or ahead.reading.done()):
                # Where it is reading that takes long, what is in is not kept back for it.
                return
            wanted = set[asyncio.Task[Any]](self.under_way)
            if not ahead.reading.done():
                wanted.add(ahead.reading)
            await asyncio.wait(wanted, return_when=asyncio.FIRST_COMPLETED)
            self._look()

    def _ahead(self, cursor: str | None) -> Ahead:
        """The read of what stands behind the cursor, which may have begun already."""
        turn = self.turn
        if turn.ahead is None or turn.ahead.cursor != cursor:
            turn.forget()
            passes.look_ahead(turn, cursor)
        assert turn.ahead is not None  # it has just begun
        return turn.ahead

    def _begin(self, ahead: Ahead) -> Page | None:
        """Let a page that was read be merged; None where it cannot be in this round."""
        if ahead.reading.cancelled() or ahead.reading.exception() is not None:
            return None
        page, items = ahead.reading.result()
        ids = {item.external_id for item in items}
        if not self.met.isdisjoint(ids):
            return None
        self.turn.ahead = None
        if self.last is None and page.total is not None and items:
            self.crew.expect(page.total // len(items), PageIn)
        self.met |= ids
        self.last, self.items, self.pages = page, self.items + len(items), self.pages + 1
        self.over = self.over or self.pages >= MANY
        self.under_way.add(asyncio.ensure_future(self._merge(items)))
        return page

    async def _merge(self, items: Sequence[Item]) -> None:
        """One page, by whoever has a hand free."""
        self.turn.at("page")
        piece = PageIn(self.turn.share, self.rules, self.now, [plain(item) for item in items])
        for _ in range(TRIES):
            try:
                done = await self.crew.do(piece)
            except HandLost:
                # Perhaps it is in: then all of it is known.
                continue
            if done is None:
                break
            self.over = self.over or done >= self.now + LONG
            self.turn.at("page in")
            return
        self.left.append(items)

    def _look(self) -> None:
        """Forget pages that are done; the first thing that went wrong ends the round."""
        done = {task for task in self.under_way if task.done()}
        self.under_way -= done
        for task in done:
            if (error := task.exception()) is not None:
                self.error, self.over = self.error or error, True
