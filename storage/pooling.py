"""What may stand between us and PostgreSQL: a pooler, which lends its connections in turns.

We pool by ourselves. Who has many programs at one server may want a pooler all the same (PgBouncer, mostly), in its
transaction mode: each transaction then runs wherever there is room. No statement of ours leaves anything in a session,
so that suits them, but for three things:

- Listening, and the lock of migrations, are of a session. They need PostgreSQL itself: an address of their own.
- Prepared statements are of a session, too. Planned anew, each would take several times as long: the pooler must carry
  them from one to the next. PgBouncer does from 1.21 on.
- What a session is told at its beginning: poolers pass on what they know, and refuse the rest. Then it is left out, and
  an operator says it to the role.
"""

import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from storage.pool import closed

# Who answers. Behind a pooler, it is not whom the driver was introduced to.
_SERVER = "SELECT pg_backend_pid()"
# Under which names this session knows what was prepared in it.
_PREPARED = "SELECT s.name FROM pg_prepared_statements AS s"
# What sessions are otherwise told, and would cost much: each statement that joins would be compiled.
_COMPILES = "SELECT s.setting = 'on' FROM pg_settings AS s WHERE s.name = 'jit'"

# How often two connections are compared.
_LOOKS = 4


class InTurns(Exception):
    """The address leads to a pooler that lends its connections in turns."""


class Unprepared(Exception):
    """The address leads to a pooler that does not carry prepared statements."""


async def in_turns(connection: Any, url: str) -> bool:
    """Whether transactions at `url`, to which `connection` leads, share sessions. One question, where nobody pools."""
    if await connection.fetchval(_SERVER) == connection.get_server_pid():
        return False
    # A pooler in session mode lends each a server until it leaves. In turns, both get the one that was used last, or
    # another one each time, where they are taken in a circle or others want them, too.
    async with opened(url) as other:
        seen: tuple[set[int], set[int]] = set(), set()
        for _ in range(_LOOKS):
            for each, servers in zip((connection, other), seen, strict=True):
                servers.add(await each.fetchval(_SERVER))
    return bool(seen[0] & seen[1]) or max(map(len, seen)) > 1


async def check(url: str) -> bool:
    """See that what we prepare at `url` is there when we need it; whether PostgreSQL compiles statements there.

    Raises `Unprepared`.
    """
    async with opened(url) as connection:
        if await in_turns(connection, url):
            name = f"relata_{uuid.uuid4().hex}"
            try:
                statement = await connection.prepare(_PREPARED, name=name)
                names = {row["name"] for row in await statement.fetch()}
            except asyncpg.InvalidSQLStatementNameError as error:
                raise Unprepared from error
            # Who carries statements gives them names of his own, so that those of two of us are not one.
            if name in names:
                raise Unprepared
        return bool(await connection.fetchval(_COMPILES))


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Any]:
    """A connection that prepares nothing by itself: of use whatever stands between."""
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        yield connection
    finally:
        await closed(connection)
