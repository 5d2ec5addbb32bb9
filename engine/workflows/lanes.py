"""A few batches of an account under way at a time: PostgreSQL works on one while the others are thought of."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeAlias

from storage.enrollments import DueGroup

# What is due at a moment.
ListDue: TypeAlias = Callable[[datetime], Awaitable[Sequence[DueGroup]]]
# Take a step with enrollments of a group; how many were taken, none where others hold them all.
Take: TypeAlias = Callable[[DueGroup, Sequence[int], datetime], Awaitable[int]]
# Asked when all that was listed is under way: the time, to list anew; None to come to an end.
Again: TypeAlias = Callable[[], datetime | None]


def not_again() -> None:
    """What is listed at first is all."""


class Lanes:
    """Lanes that take batches of what is due, and list it anew as they run out of it.

    Of one listing there is a batch of each group, of those that nobody else holds: other workflows' turn comes before
    the second one. Fewer groups than lanes have more than one each.
    """

    def __init__(self, lanes: int, batch: int, list_due: ListDue, take: Take, again: Again) -> None:
        self._lanes, self._size = lanes, batch
        self._list_due, self._take, self._again = list_due, take, again
        self._waiting: Iterator[tuple[DueGroup, Sequence[int]]] = iter(())
        # How many batches of each group of the last listing may still begin.
        self._left: dict[int, int] = {}
        # Enrollments that are under way, or that others hold: the next listing shall not find them again.
        self._held: set[int] = set()
        self._running = 0
        self._news = asyncio.Condition()

    async def run(self, now: datetime) -> int:
        """How many steps were taken, beginning with what is due at `now`. Raises what a batch has raised."""
        await self._list(now)
        lanes = await asyncio.gather(*(self._lane(now) for _ in range(self._lanes)), return_exceptions=True)
        for one in lanes:
            if isinstance(one, BaseException):
                raise one
        return sum(one for one in lanes if isinstance(one, int))

    async def _lane(self, now: datetime) -> int:
        taken = 0
        while (found := await self._next(now)) is not None:
            group, ids, now = found
            try:
                moved = await self._take(group, ids, now)
            except BaseException:
                # The others finish what they are at.
                self._again, self._waiting = not_again, iter(())
                raise
            finally:
                await self._done()
            if moved:
                self._held.difference_update(ids)
            else:
                self._left[id(group)] = self._left.get(id(group), 0) + 1
            taken += moved
        return taken

    async def _next(self, now: datetime) -> tuple[DueGroup, Sequence[int], datetime] | None:
        """A batch to begin, and the time; None at the end."""
        async with self._news:
            while True:
                for group, ids in self._waiting:
                    if self._left[id(group)] > 0:
                        self._left[id(group)] -= 1
                        self._held.update(ids)
                        self._running += 1
                        return group, ids, now
                later = self._again()
                if later is None:
                    return None
                now = later
                if not await self._list(now):
                    if not self._running:
                        return None
                    # What is under way leads to what is due next.
                    await self._news.wait()

    async def _done(self) -> None:
        async with self._news:
            self._running -= 1
            self._news.notify_all()

    async def _list(self, now: datetime) -> bool:
        """List what is due and not under way; whether there is anything."""
        # A few of a kind can wait until a batch ends: there are more of them then.
        least = self._size // 4 if self._running else 1
        found = await self._list_due(now)
        groups = [(group, [one for one in group.ids if one not in self._held]) for group in found]
        groups = [(group, ids) for group, ids in groups if len(ids) >= least]
        self._left = {id(group): max(1, self._lanes // len(groups)) for group, _ in groups}
        self._waiting = iter(_batches(groups, self._size))
        return bool(groups)


def _batches(
    groups: Iterable[tuple[DueGroup, Sequence[int]]], size: int
) -> list[tuple[DueGroup, Sequence[int]]]:
    """The first batch of each group, then the second ones, and so on."""
    found = [
        (start, n, group, ids[start : start + size])
        for n, (group, ids) in enumerate(groups)
        for start in range(0, len(ids), size)
    ]
    found.sort(key=lambda one: one[:2])
    return [(group, ids) for _, _, group, ids in found]
