"""An uploaded file: out of the database's pieces onto this machine's disk, and read from there."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from engine.imports import files
from engine.imports.files import Reading, Table
from engine.imports.problems import FileUnreadable
from engine.imports.windows import SIGN, Sign, patiently
from storage import import_work
from storage.database import Database
from storage.imports import ImportRow

# So many pieces are enough to see what a text file holds.
BEGINNING = 8


@contextlib.asynccontextmanager
async def spooled(
    db: Database,
    account_id: int,
    row: ImportRow,
    *,
    whole: bool = True,
    sign: Sign | None = None,
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
    """An uploaded file, open on this machine's disk."""

    def __init__(self, table: Table, stack: contextlib.AsyncExitStack) -> None:
        self.table = table
        self._stack = stack

    @classmethod
    async def open(cls, db: Database, account_id: int, row: ImportRow, sign: Sign) -> Self:
        """The file of `row`. Raises what opening a file raises."""
        async with contextlib.AsyncExitStack() as stack:
            path = await stack.enter_async_context(spooled(db, account_id, row, sign=sign))
            table = await patiently(
                lambda: stack.enter_context(files.opened(path, Reading.of(row.mapping))), sign
            )
            return cls(table, stack.pop_all())

    async def close(self) -> None:
        """Remove it from disk."""
        await self._stack.aclose()
