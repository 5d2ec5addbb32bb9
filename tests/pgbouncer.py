"""A PgBouncer of one's own before a database, where one is installed."""

import asyncio
import contextlib
import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
import pytest

from server.postgres.identity import choose_identity
from tests.processes import PATIENCE, fastest_place

# The first one that carries prepared statements.
CARRYING = (1, 21)


@functools.cache
def version() -> tuple[int, ...]:
    """Of the one that is installed; (): none is."""
    program = shutil.which("pgbouncer")
    if program is None:
        return ()
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"PgBouncer (\d+)\.(\d+)", told)
    assert found is not None, told
    return tuple(map(int, found.groups()))


def needed(least: tuple[int, ...] = (1,)) -> pytest.MarkDecorator:
    """Skips a test where there is none that can do it."""
    words = f"needs PgBouncer {'.'.join(map(str, least))} or newer; here: {version() or 'none'}"
    return pytest.mark.skipif(version() < least, reason=words)


@contextlib.asynccontextmanager
async def pgbouncer(url: str, mode: str, **options: object) -> AsyncIterator[str]:
    """The address of the database at `url` behind a PgBouncer with these options, which ends with the block."""
    place = Path(tempfile.mkdtemp(prefix="relata-b-", dir=fastest_place()))
    parts = urlsplit(url)
    host = parse_qs(parts.query).get("host", [parts.hostname or "127.0.0.1"])[0]
    to = {"host": host, "port": parts.port or 5432, "user": parts.username, "password": parts.password}
    said = " ".join(f"{name}='{unquote(str(value))}'" for name, value in to.items() if value is not None)
    chosen = {
        "listen_port": 6432,
        "unix_socket_dir": place,
        "auth_type": "any",
        "pool_mode": mode,
        "max_client_conn": 200,
        # Few, so that they are shared.
        "default_pool_size": 4,
        **options,
    }
    lines = [f"{name} = {value}" for name, value in chosen.items()]
    ini = place / "ini"
    ini.write_text("\n".join(["[databases]", f"* = {said}", "[pgbouncer]", *lines, ""]))
    # It refuses to be root, as PostgreSQL does.
    identity = choose_identity(place / "none")
    for each in (place, ini):
        identity.take(each)
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 (beginning it takes no time; asyncio's way enters no namespace)
            ["pgbouncer", str(ini)], stdout=log, stderr=log, preexec_fn=identity.entering()
        )
    behind = f"postgresql://{parts.username}@{parts.path}?host={place}&port=6432"
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                assert process.poll() is None, (place / "log").read_text()
                with contextlib.suppress(OSError, asyncpg.PostgresError):
                    connection = await asyncpg.connect(behind, statement_cache_size=0)
                    await connection.close()
                    break
                await asyncio.sleep(0.02)
        yield behind
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(place, ignore_errors=True)
