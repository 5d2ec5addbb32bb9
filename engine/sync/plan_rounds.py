"""Applying what comes in, a round at a time: pages of a plan's items, side by side where there is a crew.

Each page is a transaction of its own, in which it is noted what became of its items; the cursor follows behind the
round. What was planned to fail is no page's in the middle: where several match, that is so before the others of the
round have been taken; what is refused for another one's sake, after that one is there.
"""

import asyncio
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from engine.crew import Crew, HandLost
from engine.sync import carrying
from engine.sync.carrying import PlanPage
from engine.sync.categories import Category
from engine.sync.connectors.protocol import Item
from engine.sync.decide import Kind
from engine.sync.rounds import LONG, TRIES
from engine.sync.travelling import plain
from engine.sync.turns import PAGE, Turn
from storage.sync.plan_work import Undone
from storage.sync.plans import PlanRow

# Pages of a round, at most.
MANY = 24


async def carry_out(turn: Turn, plan: PlanRow, items: Sequence[Undone], now: datetime) -> int:
    """Carry out items of a plan that come in, or as many as there is time for; the id up to which all are done."""
    first = [one for one in items if one.category == Category.AMBIGUOUS_MATCH]
    last = [
        one
        for one in items
        if one.ends or (one.kind == Kind.FAIL and one.category != Category.AMBIGUOUS_MATCH)
    ]
    others = [one for one in items if one.kind != Kind.FAIL and not one.ends]
    one = _Round(turn, plan, now, pickle.dumps(turn.rules))
    await one.alone(first)
    done = await one.together(others)
    upto = items[-1].id if done == len(others) else others[done].id - 1
    await one.alone([each for each in last if each.id <= upto])
    return upto


def _pages(items: Sequence[Undone]) -> list[Sequence[Undone]]:
    return [items[at : at + PAGE] for at in range(0, len(items), PAGE)]


@dataclass(slots=True)
class _Round:
    """One round of a plan."""

    turn: Turn
    plan: PlanRow
    now: datetime
    rules: bytes
    under_way: set[asyncio.Task[None]] = field(default_factory=set)
    # Pages that others were in the way of.
    left: list[tuple[list[int], dict[str, Item]]] = field(default_factory=list)
    over: bool = False
    error: BaseException | None = None

    async def alone(self, items: Sequence[Undone]) -> None:
        """Carry items out in their order, a page after the other."""
        for page in _pages(items):
            await self._here([one.id for one in page], await self._present(page))

    async def together(self, items: Sequence[Undone]) -> int:
        """Carry items out, pages at once; how many were begun, from the first on, and all of those are done.

        What goes wrong with a page is raised once no other is under way.
        """
        crew, pages = self._crew(), _pages(items)
        if crew is not None:
            crew.expect(len(pages), PlanPage)
        begun = 0
        try:
            for page in pages:
                if self.over:
                    break
                present = await self._present(page)
                while crew is not None and len(self.under_way) >= crew.size:
                    await self._wait(asyncio.FIRST_COMPLETED)
                if self.error is not None:
                    break
                begun += len(page)
                await self._begin(crew, [one.id for one in page], present)
            while self.under_way:
                await self._wait(asyncio.ALL_COMPLETED)
        finally:
            for task in self.under_way:
                task.cancel()
            await asyncio.gather(*self.under_way, return_exceptions=True)
        if self.error is not None:
            raise self.error
        for ids, present in self.left:
            await self._here(ids, present)
        return begun

    def _crew(self) -> Crew | None:
        """Who helps: nobody where items wait for others of the same sync."""
        turn = self.turn
        inside = any(one.other_sync_id == turn.sync_id for one in turn.rules.roles)
        return None if inside else turn.crew

    async def _present(self, page: Sequence[Undone]) -> dict[str, Item]:
        """The items over there as they are now; those that are gone are left out."""
        turn, present = self.turn, dict[str, Item]()
        wanted = [one.external_id for one in page if one.external_id is not None]
        most = turn.rules.capabilities.page
        for at in range(0, len(wanted), most):
            some = wanted[at : at + most]
            turn.at("get")
            found = await turn.connector.get(turn.rules.remote, some)
            turn.at("got")
            # By the ids that they are planned under.
            present.update(
                (name, one) for name, one in zip(some, found, strict=True) if one.external_id == name
            )
        return {name: one for name, one in present.items() if not one.deleted}

    async def _begin(self, crew: Crew | None, ids: list[int], present: dict[str, Item]) -> None:
        if crew is None:
            await self._here(ids, present)
            # One page is a step: others wait for the sync.
            self.over = True
        else:
            self.under_way.add(asyncio.ensure_future(self._by(crew, ids, present)))

    async def _here(self, ids: list[int], present: dict[str, Item]) -> None:
        async with self.turn.hold(self.now) as (tx, _):
            await carrying.carry_out(tx, self.turn.rules, self.plan.id, ids, present)

    async def _by(self, crew: Crew, ids: list[int], present: dict[str, Item]) -> None:
        """One page, by whoever has a hand free."""
        turn = self.turn
        turn.at("page")
        items = [*map(plain, present.values())]
        piece = PlanPage(turn.share, self.rules, self.now, self.plan.id, ids, items)
        for _ in range(TRIES):
            try:
                done = await crew.do(piece)
            except HandLost:
                # Perhaps it is done: then nothing of it is left.
                continue
            if done is None:
                break
            self.over = self.over or done >= self.now + LONG
            turn.at("page in")
            return
        self.left.append((ids, present))

    async def _wait(self, until: str) -> None:
        """Wait for pages under way; the first thing that goes wrong ends the round."""
        await asyncio.wait(self.under_way, return_when=until)
        done = {task for task in self.under_way if task.done()}
        self.under_way -= done
        for task in done:
            if (error := task.exception()) is not None:
                self.error, self.over = self.error or error, True
