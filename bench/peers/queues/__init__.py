"""The same steps as jobs of pgqueuer and as workflows of DBOS, on tables of the same shape in the same PostgreSQL."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench.graph import Graph

HERE = Path(__file__).parent
# Fetched on demand into an environment of their own: none of them is a dependency of the product.
PACKAGES = ("pgqueuer==1.6.0", "dbos==3.4.0", "asyncpg", "psycopg[binary]", "uvloop")
# Jobs that are fetched at once; its documents advise more than the default of ten where jobs are short.
BATCH = 100

ENROLL = """
INSERT INTO peers.enrollment (account_id, id, workflow_id, revision, record_id, epoch, status, next_step, steps, depth,
                              due_at, attempts, reason, enrolled_at)
SELECT $1, n.id, $2, 1, n.record_id, 1, 'ACTIVE', 0, 0, 0, $3, 0, '{"trigger": 0, "type": "filterMet"}', $3
  FROM unnest($4::bigint[], $5::bigint[]) AS n(id, record_id)
"""
UNDONE = "SELECT EXISTS (SELECT FROM peers.enrollment AS e WHERE e.account_id = $1 AND e.status = 'ACTIVE')"


def _fetched(home: Path) -> Path:
    """Their Python."""
    python = home / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


@dataclass(slots=True)
class Peers:
    """Who does the same by jobs: `python` is theirs, `url` everybody's."""

    python: Path
    url: str
    graph: Graph
    taken: int = 0
    rounds: int = 0

    @classmethod
    async def prepare(cls, folder: Path, url: str, graph: Graph) -> "Peers":
        """Fetch them where they are not there yet, and make their tables."""
        python = await asyncio.to_thread(_fetched, folder / "peers")
        contacts, companies = (graph.catalogue.by_name[name] for name in ("contacts", "companies"))
        connection = await asyncpg.connect(url)
        await connection.execute((HERE / "tables.sql").read_text())
        await connection.execute(
            "CREATE TABLE peers.names AS SELECT $1::bigint AS property_id, $2::bigint AS contacts,"
            " $3::bigint AS companies, $4::bigint AS unlabelled",
            contacts.properties["jobtitle"].id,
            contacts.id,
            companies.id,
            graph.label("contacts", "companies", None).id,
        )
        await connection.close()
        peers = cls(python.absolute(), url, graph)
        for peer in ("pgqueuer", "dbos"):
            await asyncio.to_thread(peers._run, peer, "install")
        return peers

    def _command(self, peer: str, *arguments: str) -> list[str]:
        return [str(self.python), str(HERE / f"{peer}_worker.py"), self.url, *arguments]

    def _run(self, peer: str, *arguments: str, given: str = "") -> None:
        subprocess.run(self._command(peer, *arguments), input=given, text=True, check=True)

    @contextlib.contextmanager
    def working(self, peer: str) -> Iterator[int]:
        """One worker process; its process id."""
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        process = subprocess.Popen(
            self._command(peer, "work", str(BATCH)),
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()

    async def put(self, peer: str, records: Sequence[int]) -> None:
        """Enroll records by writing the rows, and put the jobs of all of them into the queue: none of it is timed."""
        self.rounds += 1
        ids = list(range(self.taken + 1, self.taken + len(records) + 1))
        self.taken += len(records)
        account = self.graph.account_id
        connection = await asyncpg.connect(self.url)
        moment = await connection.fetchval("SELECT now()")
        await connection.execute(ENROLL, account, self.rounds, moment, ids, list(records))
        await connection.close()
        labels = [10_000_000 + 2 * self.rounds, 10_000_001 + 2 * self.rounds]
        given = json.dumps({"account": account, "enrollments": ids, "labels": labels})
        await asyncio.to_thread(self._run, peer, "put", given=given)

    async def rest(self) -> None:
        """Until all enrollments have come to their end."""
        connection = await asyncpg.connect(self.url)
        until = time.monotonic() + 600
        while await connection.fetchval(UNDONE, self.graph.account_id):
            assert time.monotonic() < until, "enrollments do not end"
            await asyncio.sleep(0.02)
        await connection.close()
