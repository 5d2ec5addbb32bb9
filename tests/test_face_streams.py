"""Streams through the face: events as they are committed, resumed by cursor, ended with the key and with the server."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from engine import accounts, cursors, keys
from engine.evaluation import run as evaluate
from engine.workflows import steps
from server.app import create_app
from storage.database import Actor, Database
from tests.face import T0, Client, clients, new_key
from tests.processes import PATIENCE
from tests.served import served, talk

WATCH = """subscription ($after: String) {
    enrollmentEvents(after: $after) { cursor kind record { id property(name: "jobtitle") } workflow { name } }
}"""
WHERE = {"property": {"name": "city", "operator": "EQUALS", "value": "Boston"}}


@pytest.fixture
async def key(db: Database) -> str:
    """A super admin's key."""
    return await new_key(db, await accounts.create(db, "acme", now=T0))


async def flow(client: Client) -> None:
    """A workflow that gives contacts from Boston a job title, turned on."""
    given = {
        "name": "Boston",
        "objectType": "contacts",
        "triggers": [{"filterMet": {"where": WHERE}}],
        "actions": [{"setProperty": {"property": "jobtitle", "value": "Bostonian"}}],
    }
    made = (await client.do("createWorkflow", "workflow { id version } userErrors { code }", given))[
        "workflow"
    ]
    await client.do("publishWorkflow", "userErrors { code }", made)
    await client.do("setWorkflowEnabled", "userErrors { code }", {"id": made["id"], "enabled": True})


async def contact(client: Client) -> str:
    """A new contact from Boston."""
    given = {"objectType": "contacts", "records": [{"properties": {"city": "Boston"}}]}
    made = await client.do("createRecords", "results { record { id } }", given)
    ident: str = made["results"][0]["record"]["id"]
    return ident


async def beginning(db: Database, key: str) -> str:
    """The cursor in front of an account's first event."""
    found = await keys.authenticate(db, key)
    assert found is not None
    return cursors.encode(found.account_id, 0)


async def work(db: Database) -> None:
    """Let everybody who is to enroll enroll, and go through the workflow."""
    await evaluate.run_all(db, now=T0)
    await steps.run_due(db, now=T0)


async def test_an_enrollment_arrives_and_a_second_stream_resumes_behind_it(db: Database, key: str) -> None:
    app = create_app(db)
    async with served(app) as path, clients(app) as http, talk(path, key=key) as socket:
        client = Client(http, key, 0)
        await flow(client)
        await socket.subscribe("w", WATCH, after=await beginning(db, key))
        await socket.subscribe("bad", "subscription { nothing }")
        assert (await socket.hear())["type"] == "error"
        ann = await contact(client)
        await work(db)
        heard = [await socket.hear() for _ in range(3)]
        events = [message["payload"]["data"]["enrollmentEvents"] for message in heard]
        assert [event["kind"] for event in events] == ["ENROLLED", "STEP_DONE", "ENROLLMENT_COMPLETED"]
        assert {event["record"]["id"] for event in events} == {ann}
        # Each event is told with the record as it is when it is told.
        assert events[-1]["record"]["property"] == "Bostonian"
        await socket.say("complete", id="w")
        await socket.subscribe("w", WATCH, after=events[0]["cursor"])
        again = [(await socket.hear())["payload"]["data"]["enrollmentEvents"] for _ in range(2)]
        assert [event["cursor"] for event in again] == [event["cursor"] for event in events[1:]]
        await socket.subscribe("wrong", WATCH, after="nonsense")
        told = await socket.hear()
        assert (told["type"], told["id"]) == ("error", "wrong")
        assert told["payload"][0]["extensions"]["code"] == "INVALID_CURSOR"


async def test_a_key_that_another_process_revokes_ends_its_socket(db: Database, key: str) -> None:
    async with served(create_app(db)) as path, talk(path, key=key) as socket:
        await socket.subscribe("w", WATCH)
        await revoke(db, key)
        assert await socket.end() == (4403, "Forbidden")


async def revoke(db: Database, key: str) -> None:
    """End a key, as another process would."""
    found = await keys.authenticate(db, key)
    assert found is not None
    async with db.transaction(found.account_id, now=T0, actor=Actor("SYSTEM")) as tx:
        await keys.revoke(tx, found.key_id)


async def test_streams_end_when_the_server_stops(db: Database, key: str) -> None:
    stop = asyncio.Event()
    async with served(create_app(db, stop=stop)) as path, talk(path, key=key) as socket:
        await socket.subscribe("w", WATCH)
        stop.set()
        assert (await socket.end())[0] == 1001


async def test_a_stream_over_http_ends_with_its_key(db: Database, key: str) -> None:
    app = create_app(db)
    async with served(app) as path, clients(app) as http:
        client = Client(http, key, 0)
        await flow(client)
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://relata.test", timeout=PATIENCE) as real,
            real.stream(
                "POST",
                "/graphql",
                json={"query": WATCH, "variables": {"after": await beginning(db, key)}},
                headers=client.headers | {"Accept": "text/event-stream"},
            ) as response,
        ):
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = response.aiter_lines()
            assert await anext(lines) == ":"
            await contact(client)
            await work(db)
            heard: list[Any] = []
            async for line in lines:
                if line.startswith("data: {"):
                    heard.append(json.loads(line[6:]))
                    if len(heard) == 3:
                        await revoke(db, key)
                if line == "event: complete":
                    break
            kinds = [told["data"]["enrollmentEvents"]["kind"] for told in heard[:3]]
            assert kinds == ["ENROLLED", "STEP_DONE", "ENROLLMENT_COMPLETED"]
            assert heard[3]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_whoever_leaves_a_silent_stream_leaves_nothing_behind(db: Database, key: str) -> None:
    def waiting() -> int:
        return sum("Queue.get" in repr(task.get_coro()) for task in asyncio.all_tasks())

    app = create_app(db)
    async with served(app) as path:
        before = waiting()
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://relata.test", timeout=PATIENCE) as real,
            real.stream("POST", "/graphql", json={"query": WATCH}, headers=headers) as response,
        ):
            lines = response.aiter_lines()
            assert await anext(lines) == ":"
            async with asyncio.timeout(PATIENCE):
                while waiting() == before:  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(0.01)
        async with asyncio.timeout(PATIENCE):
            while waiting() > before:  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.01)


async def test_a_query_over_an_event_stream_is_one_event(db: Database, key: str) -> None:
    app = create_app(db)
    async with clients(app) as http:
        headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
        response = await http.post("/graphql", json={"query": "{ account { name } }"}, headers=headers)
        alive, told, end = response.text.strip("\n").split("\n\n")
        assert (alive, end) == (":", "event: complete\ndata: ")
        assert told.startswith('event: next\ndata: {"data":{"account":{"name":"acme"}}')


async def test_a_subscription_needs_a_stream(db: Database, key: str) -> None:
    async with clients(create_app(db)) as http:
        response = await http.post(
            "/graphql", json={"query": WATCH}, headers={"Authorization": f"Bearer {key}"}
        )
        assert response.status_code == 406
