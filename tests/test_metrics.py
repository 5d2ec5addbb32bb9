"""`/metrics`: what was asked and how it went, what waits, and that the database is away; of no account by its name."""

import asyncio
import logging
from datetime import datetime, timedelta

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.evaluation import run as evaluate
from server import metrics as figured
from server.app import create_app
from server.metrics import Metrics
from storage.database import Database, connect
from tests.face import T0, clients, opened
from tests.processes import PATIENCE
from tests.served import served, talk

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]
WATCH = "subscription { changes { kind } }"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that answers late is not away."""
    monkeypatch.setattr(figured, "LOOK_SECONDS", PATIENCE)


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> datetime:
        return self.now


async def read(http: httpx.AsyncClient) -> Figures:
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def of(figures: Figures, name: str, **labels: str) -> float | None:
    return figures.get((name, tuple(sorted(labels.items()))))


async def test_requests_are_counted_and_timed_by_door_and_status(db: Database) -> None:
    metrics = Metrics(db, Clock())
    async with opened(db, metrics=metrics) as client:
        for _ in range(3):
            await client.get("{ account { name } }")
        await client.http.post("/graphql", content=b"no JSON", headers={"Content-Type": "application/json"})
        await client.http.get("/hooks/x")
        for made_up in ("/wp-login.php", "/admin", "/x/y"):
            await client.http.get(made_up)
        figures = await read(client.http)
    assert of(figures, "relata_requests_total", door="graphql", status="200") == 3
    assert of(figures, "relata_requests_total", door="graphql", status="401") == 1
    assert of(figures, "relata_requests_total", door="hooks", status="405") == 1
    assert of(figures, "relata_requests_total", door="other", status="404") == 3
    assert of(figures, "relata_request_seconds_count", door="graphql") == 4
    assert of(figures, "relata_request_seconds_bucket", door="graphql", le="+Inf") == 4
    assert of(figures, "relata_database_up") == 1
    assert of(figures, "relata_database_connections", state="busy") == 0
    assert not any("acme" in str(key) for key in figures)


async def test_streams_are_counted_while_they_are_open(db: Database) -> None:
    metrics = Metrics(db, Clock())
    async with opened(db) as client:
        app = create_app(db, metrics=metrics)
        async with clients(app) as http, served(app) as path:
            transport = httpx.AsyncHTTPTransport(uds=str(path))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://relata.test", timeout=PATIENCE
            ) as wire:
                headers = {"Authorization": f"Bearer {client.key}", "Accept": "text/event-stream"}
                asked = wire.stream("POST", "/graphql", json={"query": WATCH}, headers=headers)
                async with asked as stream, talk(path, key=client.key) as socket:
                    await socket.subscribe("1", WATCH)
                    assert stream.status_code == 200
                    figures = await read(http)
                    assert of(figures, "relata_open_streams", kind="events") == 1
                    assert of(figures, "relata_open_streams", kind="socket") == 1
            async with asyncio.timeout(PATIENCE):
                # Each is let go of by itself, in whatever order.
                while {of(figures, "relata_open_streams", kind=kind) for kind in ("events", "socket")} != {0}:
                    await asyncio.sleep(0.02)
                    figures = await read(http)
    # A stream that was open for hours says nothing of how fast requests are answered.
    assert of(figures, "relata_request_seconds_count", door="graphql") in (None, 0)
    assert of(figures, "relata_requests_total", door="graphql", status="200") == 1


async def test_what_no_worker_has_done_is_told_with_its_age(db: Database) -> None:
    clock = Clock()
    async with opened(db, now=clock, metrics=Metrics(db, clock)) as client:
        given = {"objectType": "contacts", "records": [{"properties": {"email": "ann@acme.example"}}]}
        await client.do("createRecords", "userErrors { code }", given)
        clock.now = T0 + timedelta(minutes=5)
        figures = await read(client.http)
        assert of(figures, "relata_changes_waiting") == 1
        assert of(figures, "relata_waiting_seconds", work="changes") == 300
        for work in ("steps", "outbox", "imports", "syncs"):
            assert of(figures, "relata_waiting_seconds", work=work) == 0
        assert of(figures, "relata_troubles") == 0
    await evaluate.run_all(db, now=clock.now)
    async with clients(create_app(db, now=clock, metrics=Metrics(db, clock))) as http:
        figures = await read(http)
        assert of(figures, "relata_waiting_seconds", work="changes") == 0


async def test_a_database_that_is_away_is_told_and_nothing_of_before(database_url: str) -> None:
    async with connect(database_url) as db:
        metrics = Metrics(db, Clock())
        async with clients(create_app(db, metrics=metrics)) as http:
            assert of(await read(http), "relata_database_up") == 1
            # Whoever reads again at once is told the same, and asks nobody.
            await db.pool.aclose()
            metrics._looked = float("-inf")
            await db.pool._pool.close()
            figures = await read(http)
    assert of(figures, "relata_database_up") == 0
    assert not any(name == "relata_waiting_seconds" for name, _ in figures)


async def test_lines_of_the_log_are_counted_by_level(db: Database) -> None:
    metrics = Metrics(db, Clock())
    log = logging.getLogger("relata.tests")
    log.addHandler(metrics.handler)
    log.error("once")
    log.removeHandler(metrics.handler)
    async with clients(create_app(db, metrics=metrics)) as http:
        figures = await read(http)
    assert of(figures, "relata_log_lines_total", level="error") == 1
    assert of(figures, "relata_log_lines_total", level="warning") == 0


async def test_without_the_setting_there_are_none(db: Database) -> None:
    async with clients(create_app(db)) as http:
        assert (await http.get("/metrics")).status_code == 404
