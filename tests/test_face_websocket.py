"""The endpoint over WebSocket: by the protocol, and no operation can harm another."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine import accounts
from server import websocket
from server.app import create_app
from storage.database import Database
from tests.face import T0, clients, new_key
from tests.served import Talk, served, talk

ACCOUNT = "{ account { name } }"


@pytest.fixture
async def key(db: Database) -> str:
    """A super admin's key."""
    return await new_key(db, await accounts.create(db, "acme", now=T0))


@contextlib.asynccontextmanager
async def talking(db: Database, key: str | None) -> AsyncIterator[tuple[Path, Talk]]:
    """A socket of a served application."""
    async with served(create_app(db)) as path, talk(path, key=key) as found:
        yield path, found


async def test_a_query_is_answered_and_completed(db: Database, key: str) -> None:
    async with talking(db, key) as (_, socket):
        await socket.subscribe("1", ACCOUNT)
        told = await socket.hear()
        assert (told["type"], told["id"]) == ("next", "1")
        assert told["payload"]["data"] == {"account": {"name": "acme"}}
        assert await socket.hear() == {"type": "complete", "id": "1"}


async def test_a_bad_operation_leaves_the_others_alone(db: Database, key: str) -> None:
    async with talking(db, key) as (_, socket):
        bad = {
            "syntax": ("{ account {", "GRAPHQL_PARSE_FAILED"),
            "valid": ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
            "two": ("{ account { id } } { account { id } }", "GRAPHQL_VALIDATION_FAILED"),
            "which": ("query A { account { id } } query B { account { id } }", "OPERATION_NOT_FOUND"),
            "variable": ("query ($a: Boolean!) { account { id @include(if: $a) } }", "BAD_USER_INPUT"),
        }
        for ident, (query, code) in bad.items():
            await socket.subscribe(ident, query)
            told = await socket.hear()
            assert (told["type"], told["id"]) == ("error", ident)
            assert told["payload"][0]["extensions"]["code"] == code
        await socket.say("subscribe", id="empty", payload={})
        assert (await socket.hear())["payload"][0]["extensions"]["code"] == "BAD_REQUEST"
        await socket.subscribe("good", ACCOUNT)
        assert (await socket.hear())["payload"]["data"]["account"]["name"] == "acme"


async def test_an_id_is_free_again_when_its_operation_has_ended(db: Database, key: str) -> None:
    async with talking(db, key) as (_, socket):
        for _ in range(3):
            await socket.subscribe("same", ACCOUNT)
            assert (await socket.hear())["type"] == "next"
            assert (await socket.hear())["type"] == "complete"


async def test_pings_are_answered(db: Database, key: str) -> None:
    async with talking(db, None) as (_, socket):
        await socket.say("ping")
        assert await socket.hear() == {"type": "pong"}


async def test_who_has_no_key_is_sent_away(db: Database, key: str) -> None:
    for payload in (None, {}, {"authorization": "Bearer nonsense"}, {"authorization": 3}):
        async with talking(db, None) as (_, socket):
            await socket.say("connection_init", payload=payload)
            assert await socket.end() == (4403, "Forbidden")


async def test_who_breaks_the_protocol_is_told_by_the_close_code(db: Database, key: str) -> None:
    async with served(create_app(db)) as path:
        async with talk(path) as socket:
            await socket.subscribe("1", ACCOUNT)
            assert await socket.end() == (4401, "Unauthorized")
        async with talk(path, key=key) as socket:
            await socket.say("connection_init")
            assert await socket.end() == (4429, "Too many initialisation requests")
        async with talk(path, key=key) as socket:
            await socket.connection.send("{")
            assert (await socket.end())[0] == 4400
        async with talk(path, key=key) as socket:
            await socket.connection.send(b"{}")
            assert (await socket.end())[0] == 4400
        for kind, more in (("hello", {}), ("subscribe", {}), ("subscribe", {"id": 3, "payload": {}})):
            async with talk(path, key=key) as socket:
                await socket.say(kind, **more)
                assert (await socket.end())[0] == 4400
        async with talk(path, protocol="graphql-ws") as socket:
            assert (await socket.end())[0] == 4406


async def test_a_key_may_come_with_the_handshake(db: Database, key: str) -> None:
    from websockets.asyncio.client import unix_connect

    from tests.served import PROTOCOL

    async with (
        served(create_app(db)) as path,
        unix_connect(
            str(path),
            "ws://relata.test/graphql",
            subprotocols=[PROTOCOL],
            additional_headers={"Authorization": f"Bearer {key}"},
        ) as connection,
    ):
        socket = Talk(connection)
        await socket.begin(None)
        await socket.subscribe("1", ACCOUNT)
        assert (await socket.hear())["payload"]["data"]["account"]["name"] == "acme"


async def test_a_revoked_key_can_do_nothing_more_on_its_socket(db: Database, key: str) -> None:
    app = create_app(db)
    async with served(app) as path, talk(path, key=key) as socket, clients(app) as http:
        headers = {"Authorization": f"Bearer {key}"}
        listed = await http.post("/graphql", json={"query": "{ keys { id } }"}, headers=headers)
        mine = listed.json()["data"]["keys"][0]["id"]
        revoke = f'mutation {{ revokeKey(input: {{id: "{mine}"}}) {{ userErrors {{ code }} }} }}'
        assert (await http.post("/graphql", json={"query": revoke}, headers=headers)).status_code == 200
        await socket.subscribe("1", ACCOUNT)
        told = await socket.hear()
        assert told["type"] == "error"
        assert told["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_who_says_nothing_is_sent_away(db: Database, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "INIT_SECONDS", 0.05)
    async with talking(db, None) as (_, socket):
        assert (await socket.end())[0] == 4408


async def test_a_socket_has_no_more_operations_than_it_may(
    db: Database, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "OPERATIONS_A_SOCKET", 2)
    watch = "subscription { enrollmentEvents { cursor } }"
    async with talking(db, key) as (_, socket):
        for ident in ("1", "2", "3"):
            await socket.subscribe(ident, watch)
        told = await socket.hear()
        assert (told["id"], told["payload"][0]["extensions"]["code"]) == ("3", "TOO_MANY_OPERATIONS")
        await socket.say("complete", id="1")
        await socket.subscribe("4", ACCOUNT)
        assert (await socket.hear())["payload"]["data"]["account"]["name"] == "acme"


async def test_an_id_that_is_in_use_closes_the_socket(db: Database, key: str) -> None:
    async with talking(db, key) as (_, socket):
        for _ in range(2):
            await socket.subscribe("1", "subscription { enrollmentEvents { cursor } }")
        assert (await socket.end())[0] == 4409
