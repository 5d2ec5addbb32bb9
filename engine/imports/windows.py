"""A file as several hands are to bring it in: read window by window beside the event loop, and cut."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from engine.imports.cutting import Cut, Portion, Size, Way, cut, decided, windows
from engine.imports.files import Row, Table

T = TypeVar("T")

# How often it is said that something which takes long goes on, in seconds.
SIGN = 5.0

Sign = Callable[[], Awaitable[None]]


class Windows:
    """The windows of an open file, one after the other. Reading raises what `files.Table` raises."""

    def __init__(self, table: Table, portions: Iterator[list[Portion]], how: Cut, sign: Sign | None) -> None:
        self.how = how
        self._table = table
        self._portions = portions
        self._sign = sign

    @classmethod
    async def begun(
        cls,
        table: Table,
        found: Way | None,
        size: Size,
        *,
        known: Cut | None = None,
        after: int = 0,
        sign: Sign | None = None,
    ) -> "Windows":
        """Behind row `after`; cut as is `known`, or as its first window suggests. `sign` is called now and then."""
        if known is None and (found is None or size.lanes == 1):
            known = Cut(1, size.batch)
        batches = table.batches(size.batch if known is None else known.rows, after)
        rows = windows(batches, size.lanes if known is None else known.lanes)
        if known is not None:
            return cls(table, _cut(table, rows, known), known, sign)
        sample = await patiently(lambda: next(rows, []), sign)
        how = decided(found, sample, size)
        return cls(table, _cut(table, _again(sample, rows, how), how), how, sign)

    async def next(self) -> list[Portion] | None:
        """The parts of the next window; None at the end."""
        return await patiently(lambda: next(self._portions, None), self._sign)


def _again(sample: list[Row], rows: Iterator[list[Row]], how: Cut) -> Iterator[list[Row]]:
    """The windows from the beginning, as they are to be cut: what was looked at first, and what follows."""
    size = how.rows * how.lanes
    for window in itertools.chain([sample], rows):
        for start in range(0, len(window), size):
            yield window[start : start + size]


def _cut(table: Table, rows: Iterator[list[Row]], how: Cut) -> Iterator[list[Portion]]:
    for window in rows:
        yield cut(window, how, table.share)


async def patiently(work: Callable[[], T], sign: Sign | None) -> T:
    """Work in a thread, with a sign of life now and then."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    while True:
        done, _ = await asyncio.wait({task}, timeout=SIGN)
        if done:
            return task.result()
        if sign is not None:
            await sign()
