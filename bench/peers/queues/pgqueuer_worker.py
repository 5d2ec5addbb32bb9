"""The steps as jobs of pgqueuer, one process. Arguments: URL, what to do, jobs that are fetched at once.

`install` makes its tables. `put` reads a line of JSON (account, enrollments, labels), puts three jobs each into the
queue, in bulk, and ends. `work` works on them until it is told to stop. That a job would put the next one there itself,
in the transaction of its effects, is left out, to its advantage: with that it is a third as fast.
"""

import asyncio
import json
import signal
import sys
from typing import Any

import asyncpg  # type: ignore[import-untyped, unused-ignore]
import uvloop  # type: ignore[import-untyped, unused-ignore]
from pgqueuer import PgQueuer  # type: ignore[import-not-found]
from pgqueuer.db import AsyncpgDriver  # type: ignore[import-not-found]
from pgqueuer.models import Job  # type: ignore[import-not-found]
from pgqueuer.queries import Queries  # type: ignore[import-not-found]
from steps import STEPS  # type: ignore[import-not-found]

# All first steps come before all second ones.
PRIORITY = {"branch": 3, "set": 2, "label": 1}
AT_ONCE = 1_000


async def install(url: str) -> None:
    """Its tables, with the vacuuming that it recommends."""
    connection = await asyncpg.connect(url)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    await queries.optimize_autovacuum()
    await connection.close()


async def put(url: str, given: dict[str, Any]) -> None:
    """Three jobs an enrollment, in bulk."""
    connection = await asyncpg.connect(url)
    queries = Queries(AsyncpgDriver(connection))
    for step, priority in PRIORITY.items():
        labels = given["labels"] if step == "label" else ()
        payloads = [json.dumps([given["account"], one, *labels]).encode() for one in given["enrollments"]]
        for at in range(0, len(payloads), AT_ONCE):
            part = payloads[at : at + AT_ONCE]
            await queries.enqueue([step] * len(part), part, [priority] * len(part))
    await connection.close()


async def work(url: str, batch_size: int) -> None:
    """Work until SIGTERM."""
    connection = await asyncpg.connect(url)
    async with asyncpg.create_pool(
        url, min_size=10, max_size=int(__import__("os").environ.get("PS", "20"))
    ) as pool:
        app = PgQueuer.from_asyncpg_connection(connection)

        def register(step: str, statement: str) -> None:
            @app.entrypoint(step)  # type: ignore[untyped-decorator, unused-ignore]
            async def run(job: Job) -> None:
                await pool.execute(statement, *json.loads(job.payload))

        for step, statement in STEPS.items():
            register(step, statement)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, app.shutdown.set)
        await app.run(batch_size=batch_size)


def main() -> None:
    """Do what is asked."""
    url, what = sys.argv[1:3]
    match what:
        case "install":
            asyncio.run(install(url))
        case "put":
            asyncio.run(put(url, json.loads(sys.stdin.read())))
        case _:
            uvloop.run(work(url, int(sys.argv[3])))


if __name__ == "__main__":
    main()
