"""Compiled answers over every transport: HTTP, an event stream, WebSocket."""

import orjson

from server.app import create_app
from storage.database import Database
from tests.face import clients, new_key
from tests.queries import story
from tests.served import served, talk
from tests.statements import counted

COMPILED = '{ records(objectType: "companies", first: 1) { nodes { displayName } } }'
SPLICED = f"{{ account {{ name }} {COMPILED[1:]}"
FIRST = {"nodes": [{"displayName": "Acme"}]}


async def test_a_compiled_query_over_http_is_one_statement(db: Database) -> None:
    of = await story(db)
    headers = {"Authorization": f"Bearer {await new_key(db, of.account)}"}
    async with clients(create_app(db)) as http:
        for _ in range(2):
            with counted() as told:
                response = await http.post("/graphql", json={"query": COMPILED}, headers=headers)
            assert response.json()["data"] == {"records": FIRST}
        assert len(told) == 1
        mixed = await http.post("/graphql", json={"query": SPLICED}, headers=headers)
        assert mixed.json()["data"] == {"account": {"name": "demo"}, "records": FIRST}


async def test_streams_and_sockets_carry_compiled_answers_as_text(db: Database) -> None:
    of = await story(db)
    key = await new_key(db, of.account)
    async with clients(create_app(db)) as http:
        headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
        for text in (COMPILED, SPLICED):
            response = await http.post("/graphql", json={"query": text}, headers=headers)
            [data] = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
            assert orjson.loads(data)["data"]["records"] == FIRST
    async with served(create_app(db)) as path, talk(path, key=key) as socket:
        for ident, text in (("1", COMPILED), ("2", SPLICED)):
            await socket.subscribe(ident, text)
            assert (await socket.hear())["payload"]["data"]["records"] == FIRST
            assert (await socket.hear())["type"] == "complete"
