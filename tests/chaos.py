"""What workers may die of: failpoints at every boundary of a transaction, and within."""

import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from storage import changes, database, session
from storage.database import Database, Transaction


class Crash(BaseException):
    """The process dies here; nobody is left to look into why."""


@dataclass(slots=True)
class Doom:
    """One task's fate: how often it dies in a while, and of what. Drawn from a seed.

    In the middle of a transaction, after its last statement, after the commit and before anybody knows of it; or its
    connection is cut by the server in the middle.
    """

    chance: random.Random
    rate: float
    # The server, to cut connections with.
    url: str
    what: str = ""
    left: int = 0
    died: int = 0

    def draw(self) -> None:
        """The fate of the work that begins."""
        doomed = self.chance.random() < self.rate
        self.what = self.chance.choice(["MIDDLE", "MIDDLE", "CUT", "LAST", "ACKNOWLEDGED"]) if doomed else ""
        self.left = (
            self.chance.randrange(1, 20) if self.what in ("MIDDLE", "CUT") else self.chance.randrange(2)
        )

    def now(self, *what: str) -> bool:
        """Whether it is time."""
        if self.what not in what:
            return False
        self.left -= 1
        if self.left > 0:
            return False
        self.what, self.died = "", self.died + 1
        return True


_doom: ContextVar[Doom | None] = ContextVar("doom", default=None)


@contextlib.contextmanager
def doomed(doom: Doom) -> Iterator[None]:
    """The work in the block may die."""
    doom.draw()
    token = _doom.set(doom)
    try:
        yield
    finally:
        _doom.reset(token)


def failpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever is doomed die, at every boundary of a transaction and within."""
    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        monkeypatch.setattr(session._Session, name, _dying(getattr(session._Session, name)))
    append, transaction = changes.append, Database.transaction

    async def last(tx: Transaction) -> None:
        await append(tx)
        if (doom := _doom.get()) is not None and doom.now("LAST"):
            raise Crash

    @contextlib.asynccontextmanager
    async def acknowledged(self: Database, account_id: int, **words: Any) -> AsyncIterator[Transaction]:
        async with transaction(self, account_id, **words) as tx:
            yield tx
        if (doom := _doom.get()) is not None and doom.now("ACKNOWLEDGED"):
            raise Crash

    monkeypatch.setattr(database, "append", last)
    monkeypatch.setattr(Database, "transaction", acknowledged)


def _dying(honest: Any) -> Any:
    async def dying(self: Any, sql: str, *args: Any) -> Any:
        doom = _doom.get()
        if doom is not None and doom.what in ("MIDDLE", "CUT"):
            what = doom.what
            if doom.now(what):
                if what == "MIDDLE":
                    raise Crash
                await _cut(doom.url, self._connection.get_server_pid())
        return await honest(self, sql, *args)

    return dying


async def _cut(url: str, pid: int) -> None:
    connection: Any = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT pg_terminate_backend($1)", pid)
    finally:
        await connection.close()
