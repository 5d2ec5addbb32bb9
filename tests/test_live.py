"""Streams of changes and of counts: what they tell, to whom, and how they end."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta
from typing import Any

import pytest

from engine import accounts, cursors, keys, tallies
from engine.access import Role
from engine.evaluation import run as evaluate
from engine.workflows import steps
from schema.root import SCHEMA
from server import sse, websocket
from server.app import create_app
from server.live import groups
from server.operations import Operations
from storage import changes
from storage import tallies as counted
from storage.changes import Event, EventKind
from storage.database import Actor, Database
from storage.tallies import MovedRow
from tests.face import T0, Client, new_key, opened
from tests.live import Cut, listen, socket_to, stream
from tests.processes import PATIENCE
from tests.served import served, talk

WATCH = """subscription ($type: String, $record: ID, $where: FilterInput, $kinds: [ChangeEventKind!], $after: String) {
  changes(objectType: $type, record: $record, where: $where, kinds: $kinds, after: $after) {
    cursor at kind recordId objectType record { id displayName } source sourceId userId
    properties { property old new } otherId other { id } label { name } survivorId mergedId
    occurred { type occurredAt }
} }"""
STATUS = """subscription ($workflow: ID) { workflowStatus(workflow: $workflow) {
    cursor enrolled active due waiting completed failed unenrolled outboxPending
    workflows { workflowId workflow { name } enrolled }
} }"""


async def beginning(client: Client) -> str:
    return cursors.encode(client.account_id, 0)


async def hear(db: Database, client: Client, n: int, query: str = WATCH, **variables: Any) -> list[Any]:
    """The first `n` things that a subscription tells."""
    found = await keys.authenticate(db, client.key)
    assert found is not None
    operations = Operations(SCHEMA, db, clock=lambda: T0, forget_key=lambda *_: None)
    heard: list[Any] = []
    async with (
        asyncio.timeout(PATIENCE),
        aclosing(
            operations.stream(operations.prepare(query, None), variables, found)  # type: ignore[type-var]
        ) as answers,
    ):
        async for answer in answers:
            assert "errors" not in answer, answer
            heard += answer["data"].values()
            if len(heard) == n:
                break
    return heard


async def create(client: Client, kind: str, *properties: dict[str, Any]) -> list[str]:
    given = {"objectType": kind, "records": [{"properties": each} for each in properties]}
    made = await client.do("createRecords", "results { record { id } userErrors { message } }", given)
    return [one["record"]["id"] for one in made["results"]]


async def update(client: Client, record: str, **properties: Any) -> None:
    given = {"records": [{"id": record, "properties": properties}]}
    answer = await client.do("updateRecords", "results { userErrors { code } }", given)
    assert answer["results"] == [{"userErrors": []}]


async def test_what_becomes_of_records_is_told_with_what_changed_and_by_whom(db: Database) -> None:
    async with opened(db) as client:
        ann, bob = await create(client, "contacts", {"firstname": "Ann"}, {"firstname": "Bob"})
        (acme,) = await create(client, "companies", {"name": "Acme"})
        await update(client, ann, jobtitle="Boss")
        pair = {"associations": [{"fromId": ann, "toId": acme}]}
        await client.do("associate", "results { userErrors { code } }", pair)
        await client.do("archiveRecords", "results { userErrors { code } }", {"ids": [bob]})
        heard = await hear(db, client, 6, after=await beginning(client))
        kinds = [event["kind"] for event in heard]
        assert kinds[:4] == ["RECORD_CREATED", "RECORD_CREATED", "RECORD_CREATED", "RECORD_UPDATED"]
        assert heard[3]["properties"] == [{"property": "jobtitle", "old": None, "new": "Boss"}]
        assert (heard[3]["recordId"], heard[3]["objectType"]) == (ann, "contacts")
        assert (heard[3]["source"], heard[3]["userId"]) == ("API", None)
        joined = next(event for event in heard if event["kind"] == "ASSOCIATION_ADDED")
        assert {joined["recordId"], joined["otherId"]} == {ann, acme}
        # The same fact, told from the end that is asked for.
        for mine, other, kind in ((ann, acme, "contacts"), (acme, ann, "companies")):
            (told,) = await hear(
                db, client, 1, after=await beginning(client), record=mine, kinds=["ASSOCIATION_ADDED"]
            )
            assert (told["recordId"], told["otherId"], told["objectType"]) == (mine, other, kind)
            assert told["other"] == {"id": other}
            (again,) = await hear(
                db, client, 1, after=await beginning(client), type=kind, kinds=["ASSOCIATION_ADDED"]
            )
            assert again == told


async def test_a_filter_is_asked_of_the_record_as_it_is_now(db: Database) -> None:
    where = {"property": {"name": "city", "operator": "EQUALS", "value": "Rome"}}
    async with opened(db) as client:
        ann, bob = await create(client, "contacts", {"city": "Rome"}, {"city": "Oslo"})
        await update(client, bob, jobtitle="x")
        await update(client, ann, jobtitle="y")
        await update(client, bob, city="Rome")
        heard = await hear(db, client, 5, type="contacts", where=where, after=await beginning(client))
        # Bob is in Rome by now: all that became of him is told.
        assert [event["recordId"] for event in heard] == [ann, bob, bob, ann, bob]
        async with served(create_app(db)) as path:
            async with socket_to(str(path), client.key) as socket:
                with pytest.raises(Cut) as cut:
                    await anext(listen(socket, WATCH, where=where))
            assert cut.value.errors[0]["extensions"]["code"] == "OBJECT_TYPE_NEEDED"


def test_counts_move_as_the_log_tells() -> None:
    rows = [
        MovedRow(1, EventKind.ENROLLED, None, 5),
        MovedRow(1, EventKind.ENROLLMENT_COMPLETED, "COMPLETED", 2),
        MovedRow(1, EventKind.ENROLLMENT_FAILED, "FAILED", 1),
        MovedRow(1, EventKind.ENROLLMENT_FAILED, None, 1),
        MovedRow(1, EventKind.STEP_RETRIED, "ACTIVE", 1),
        MovedRow(1, EventKind.STEP_RETRIED, None, 1),
        MovedRow(1, EventKind.UNENROLLED, "GOAL_MET", 1),
    ]
    assert tallies.apply({1: {"ACTIVE": 1}}, rows) == {
        1: {"ACTIVE": 3, "COMPLETED": 2, "FAILED": 1, "GOAL_MET": 1}
    }


async def test_counts_begin_with_a_snapshot_and_move_on_to_what_a_recount_says(db: Database) -> None:
    async with opened(db) as client:
        given = {
            "name": "Boston",
            "objectType": "contacts",
            "triggers": [
                {
                    "filterMet": {
                        "where": {"property": {"name": "city", "operator": "EQUALS", "value": "Boston"}}
                    }
                }
            ],
            "actions": [{"setProperty": {"property": "jobtitle", "value": "x"}}],
        }
        made = (await client.do("createWorkflow", "workflow { id version } userErrors { message }", given))[
            "workflow"
        ]
        await client.do("publishWorkflow", "userErrors { code }", made)
        await client.do("setWorkflowEnabled", "userErrors { code }", {"id": made["id"], "enabled": True})
        await create(client, "contacts", *({"city": "Boston"} for _ in range(3)))
        await evaluate.run_all(db, now=T0)
        async with (
            served(create_app(db, now=lambda: T0 + timedelta(hours=1))) as path,
            socket_to(str(path), client.key) as socket,
            aclosing(listen(socket, STATUS)) as told,
        ):
            first = await anext(told)
            assert (first["enrolled"], first["active"], first["completed"]) == (3, 3, 0)
            assert first["workflows"][0]["workflow"] == {"name": "Boston"}
            async with db.read(client.account_id) as reader:
                assert first["cursor"] == cursors.encode(client.account_id, await changes.last(reader))
            await steps.run_due(db, now=T0 + timedelta(minutes=1))
            state = first
            while state["completed"] < 3:
                state = await anext(told)
            assert (state["enrolled"], state["active"], state["due"]) == (3, 0, 0)
        async with db.read(client.account_id) as reader:
            (found,) = (await counted.counts(reader)).values()
        assert found == {"COMPLETED": 3}


async def account_of(db: Database) -> tuple[int, str]:
    account_id = await accounts.create(db, "acme", now=T0)
    return account_id, await new_key(db, account_id)


async def tell(db: Database, account_id: int, n: int, size: int = 1) -> None:
    """Events of a record, each of its own payload."""
    async with db.transaction(account_id, now=T0, actor=Actor("API")) as tx:
        for each in range(n):
            payload = {"changed": {"n": [None, f"{each}" + "x" * size]}}
            tx.happened(Event(EventKind.RECORD_UPDATED, 1, 1_000, payload=payload))


PLAIN = "subscription ($after: String) { changes(after: $after) { cursor properties { new } } }"


async def test_who_does_not_read_is_told_where_to_go_on_and_loses_nothing(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "HELD", 50)
    account_id, key = await account_of(db)
    async with served(create_app(db)) as path, talk(path, key=key) as slow, talk(path, key=key) as quick:
        for one in (slow, quick):
            await one.subscribe("w", PLAIN, after=cursors.encode(account_id, 0))
        heard: dict[str, list[str]] = {"slow": [], "quick": []}

        async def read(name: str, talking: Any, n: int) -> list[dict[str, Any]] | None:
            while len(heard[name]) < n:
                message = await talking.hear()
                if message["type"] == "error":
                    return list(message["payload"])
                heard[name].append(message["payload"]["data"]["changes"]["cursor"])
            return None

        # Who still reads the log from his cursor goes at his own pace, and nothing is held for him: both have come to
        # its end before one of them stops reading.
        for n in range(1, 11):
            await tell(db, account_id, 1)
            assert await read("slow", slow, n) is None
            assert await read("quick", quick, n) is None
        for n in range(20, 1_010, 10):
            await tell(db, account_id, 10, 20_000)
            # Nobody waits for the slow one.
            assert await read("quick", quick, n) is None
        errors = await read("slow", slow, 1_000)
        assert errors is not None
        assert errors[0]["extensions"]["code"] == "SLOW_CONSUMER"
        assert errors[0]["extensions"]["cursor"] == heard["slow"][-1]
        assert (await slow.end())[0] == websocket.TRY_AGAIN_LATER
        async with (
            socket_to(str(path), key) as socket,
            aclosing(listen(socket, PLAIN, after=heard["slow"][-1])) as told,
        ):
            while len(heard["slow"]) < 1_000:
                heard["slow"].append((await anext(told))["cursor"])
        assert heard["slow"] == heard["quick"]


async def test_a_stream_that_is_not_read_is_told_where_to_go_on_and_loses_nothing(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "HELD", 50)
    account_id, key = await account_of(db)
    start = cursors.encode(account_id, 0)
    await tell(db, account_id, 1)
    async with served(create_app(db)) as path, talk(path, key=key) as quick:
        slow = stream(str(path), key, PLAIN, after=start)
        heard = [(await anext(slow))["cursor"]]
        await quick.subscribe("w", PLAIN, after=heard[0])
        expected = list(heard)
        # As above.
        for _ in range(10):
            await tell(db, account_id, 1)
            heard.append((await anext(slow))["cursor"])
            expected.append((await quick.hear())["payload"]["data"]["changes"]["cursor"])
        for n in range(20, 1_010, 10):
            await tell(db, account_id, 10, 20_000)
            while len(expected) <= n:
                expected.append((await quick.hear())["payload"]["data"]["changes"]["cursor"])
        with pytest.raises(Cut) as cut:
            async for value in slow:
                heard.append(value["cursor"])
        assert cut.value.errors[0]["extensions"]["code"] == "SLOW_CONSUMER"
        assert cut.value.errors[0]["extensions"]["cursor"] == heard[-1]
        assert len(heard) < len(expected)
        async with aclosing(stream(str(path), key, PLAIN, after=heard[-1])) as told:
            while len(heard) < len(expected):
                heard.append((await anext(told))["cursor"])
        assert heard == expected


async def test_a_stopping_server_tells_the_last_cursor(db: Database) -> None:
    account_id, key = await account_of(db)
    stop = asyncio.Event()
    async with served(create_app(db, stop=stop)) as path, talk(path, key=key) as socket:
        await socket.subscribe("w", PLAIN, after=cursors.encode(account_id, 0))
        await tell(db, account_id, 1)
        told = (await socket.hear())["payload"]["data"]["changes"]
        stop.set()
        cut = await socket.hear()
        assert (cut["type"], cut["id"]) == ("error", "w")
        assert cut["payload"][0]["extensions"]["code"] == "GOING_AWAY"
        assert cut["payload"][0]["extensions"]["cursor"] == told["cursor"]
        assert (await socket.end())[0] == 1001


async def test_sockets_say_where_to_go_on_however_early_the_server_ends(db: Database) -> None:
    account_id, key = await account_of(db)
    stop, serving = asyncio.Event(), AsyncExitStack()
    path = await serving.enter_async_context(served(create_app(db, stop=stop)))
    async with talk(path, key=key) as listener, talk(path) as stranger:
        await listener.subscribe("w", PLAIN, after=cursors.encode(account_id, 0))
        await tell(db, account_id, 1)
        told = (await listener.hear())["payload"]["data"]["changes"]
        # Among thousands of sockets, most are told long after the server has begun to end.
        ending = asyncio.create_task(serving.aclose())
        await asyncio.sleep(0.1)
        stop.set()
        cut = await listener.hear()
        assert cut["payload"][0]["extensions"]["code"] == "GOING_AWAY"
        assert cut["payload"][0]["extensions"]["cursor"] == told["cursor"]
        assert (await listener.end())[0] == 1001
        # Nor does one wait for who has not said who he is.
        assert (await stranger.end())[0] == 1001
        await asyncio.wait_for(ending, PATIENCE)


async def test_a_key_that_may_do_less_ends_its_streams(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "KEY_SECONDS", 0.2)
    monkeypatch.setattr(sse, "KEY_SECONDS", 0.2)
    account_id, key = await account_of(db)
    start = cursors.encode(account_id, 0)
    await tell(db, account_id, 1)
    async with served(create_app(db)) as path, talk(path, key=key) as socket:
        await socket.subscribe("w", PLAIN, after=start)
        assert (await socket.hear())["type"] == "next"
        streaming = stream(str(path), key, PLAIN, after=start)
        assert "cursor" in await anext(streaming)
        async with db.transaction(account_id, now=T0, actor=Actor("SYSTEM")) as tx:
            sql = "UPDATE api_key AS k SET role = $2, scopes = '{automation:read}' WHERE k.account_id = $1"
            await tx.execute(sql, Role.VIEWER.value)
        cut = await socket.hear()
        assert (cut["type"], cut["payload"][0]["extensions"]["code"]) == ("error", "ACCESS_CHANGED")
        # The socket stands, and what may no longer be done is refused.
        await socket.subscribe("w", PLAIN)
        assert (await socket.hear())["payload"][0]["extensions"]["code"] == "MISSING_SCOPE"
        with pytest.raises(Cut) as told:
            await anext(streaming)
        assert told.value.errors[0]["extensions"]["code"] == "ACCESS_CHANGED"
