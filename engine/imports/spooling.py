"""An uploaded file: out of the database's pieces onto this machine's disk, and batch by batch from there."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from engine.imports import files
from engine.imports.files import Reading, Row, Table
from engine.imports.problems import FileUnreadable
from engine.imports.running import Batch
from storage import import_work
from storage.database import Database
from storage.imports import ImportRow

T = TypeVar("T")

# So many pieces are enough to see what a text file holds.
BEGINNING = 8
# How often it is said that something which takes long goes on, in seconds.
SIGN = 5.0


@contextlib.asynccontextmanager
async def spooled(
    db: Database,
    account_id: int,
    row: ImportRow,
    *,
    whole: bool = True,
    sign: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[Path]:
    """A file on disk with what was uploaded; of a text file only its beginning, unless `whole`.

    `sign` is called now and then. Raises `FileUnreadable` where a piece is missing.
    """
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="relata-import-") as place:
        path = Path(place) / "file"
        said = loop.time()
        with path.open("wb") as file:
            for n in range(row.chunks):
                if not whole and n == BEGINNING and not _zip(path):
                    break
                async with db.read(account_id) as reader:
                    data = await import_work.chunk(reader, row.id, n)
                if data is None:
                    raise FileUnreadable(reason="a piece of it is missing; send it again")
                await asyncio.to_thread(file.write, data)
                file.flush()
                if sign is not None and loop.time() - said > SIGN:
                    await sign()
                    said = loop.time()
        yield path


def _zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == files.ZIP


class Spool:
    """An uploaded file that is being read, batch by batch, beside the event loop."""

    def __init__(self, table: Table, rows: Iterator[list[Row]], stack: contextlib.AsyncExitStack) -> None:
        self.table = table
        self._rows = rows
        self._stack = stack

    @classmethod
    async def open(
        cls,
        db: Database,
        account_id: int,
        row: ImportRow,
        size: int,
        sign: Callable[[], Awaitable[None]],
    ) -> Self:
        """The file of `row` from its position on. Raises what opening a file raises."""
        async with contextlib.AsyncExitStack() as stack:
            path = await stack.enter_async_context(spooled(db, account_id, row, sign=sign))
            table = await _patiently(
                lambda: stack.enter_context(files.opened(path, Reading.of(row.mapping))), sign
            )
            return cls(table, table.batches(size, row.position), stack.pop_all())

    async def next(self, sign: Callable[[], Awaitable[None]]) -> Batch | None:
        """The next rows; None at the end."""
        rows = await _patiently(lambda: next(self._rows, None), sign)
        return None if rows is None else Batch(rows, self.table.share)

    async def close(self) -> None:
        """Remove it from disk."""
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


async def _patiently(work: Callable[[], T], sign: Callable[[], Awaitable[None]]) -> T:
    """Work in a thread, with a sign of life now and then."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    while True:
        done, _ = await asyncio.wait({task}, timeout=SIGN)
        if done:
            return task.result()
        await sign()
