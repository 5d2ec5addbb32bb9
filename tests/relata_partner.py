"""Another Relata on a port of this machine, as its own people see it."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette

from engine.sync.connectors.protocol import FieldType, RemoteField, RemoteRole, Value
from engine.sync.connectors.relata import APP
from server.frames import WebSockets
from tests.connector_laws import Partner, plausible
from tests.face import Client
from tests.processes import PATIENCE
from tests.served import Server

# A property that a new record of this object type must have, or anything that names it.
NAMED = {"contacts": "lastname", "companies": "name", "deals": "name", "tickets": "subject"}


@contextlib.asynccontextmanager
async def reached(app: Starlette) -> AsyncIterator[str]:
    """The address at which the application is served."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        ws=WebSockets,
        log_config=None,
        ws_ping_interval=None,
        timeout_graceful_shutdown=int(PATIENCE),
    )
    server = Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
        if task.done():
            task.result()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/graphql"
    finally:
        server.should_exit = True
        await task


class RelataPartner(Partner):
    """An account of another Relata."""

    app = APP
    object_name = "contacts"
    text = "lastname"

    def __init__(self, url: str, client: Client) -> None:
        self.url, self.client = url, client
        self.numbers = itertools.count(1)

    def settings(self) -> Mapping[str, str]:
        return {"url": self.url, "key": self.client.key}

    def wrong_credentials(self) -> Mapping[str, str]:
        return {"url": self.url, "key": "nobody's"}

    def unreachable(self) -> Mapping[str, str]:
        return {"url": "http://127.0.0.1:1/graphql", "key": self.client.key}

    def new(self, number: int) -> dict[str, Value]:
        texts = ("firstname", "phone", "mobilephone", "jobtitle", "salutation", "website", "address")
        more = ("zip", "city", "state", "country", "notes")
        return {
            **{name: f"{name} {number}" for name in (*texts, *more)},
            "email": f"person{number}@laws.example",
            "lastname": f"Number {number}",
            "phone": f"+49 30 {1_000_000 + number}",
            "mobilephone": f"+49 170 {1_000_000 + number}",
            "website": f"https://laws.example/{number}",
        }

    async def made(self, object_type: str, properties: Mapping[str, Value]) -> str:
        """A new record."""
        asked = {"objectType": object_type, "records": [{"properties": dict(properties)}]}
        payload = await self.client.do(
            "createRecords", "results { record { id } userErrors { code message } }", asked
        )
        (result,) = payload["results"]
        assert result["record"] is not None, result
        return str(result["record"]["id"])

    async def insert(self, fields: Mapping[str, Value]) -> str:
        return await self.made(
            "contacts", {name: value for name, value in fields.items() if value is not None}
        )

    async def change(self, external_id: str, fields: Mapping[str, Value]) -> None:
        asked = {"records": [{"id": external_id, "properties": dict(fields)}], "mode": "ATOMIC"}
        await self.done("updateRecords", asked)

    async def remove(self, external_id: str) -> None:
        # Its address is free for somebody else.
        await self.change(external_id, {"email": f"was-{external_id.replace('_', '-')}@laws.example"})
        await self.done("archiveRecords", {"ids": [external_id], "mode": "ATOMIC"})

    async def done(self, mutation: str, asked: dict[str, Any]) -> None:
        """A mutation that must succeed."""
        payload = await self.client.do(mutation, "userErrors { code message }", asked)
        assert payload["userErrors"] == [], payload

    def values_of(self, field: RemoteField) -> Sequence[Value]:
        if field.name == "website":
            return ("https://laws.example/a?b=c",)
        if field.name == "email" or field.type is FieldType.PHONE:
            return ()
        return plausible(field)

    def refused(self) -> Mapping[str, Value]:
        return {**self.new(77), "lifecyclestage": "no such stage"}

    async def other(self, role: RemoteRole) -> str:
        number = next(self.numbers)
        known = await self.client.get(
            "query ($name: String!) { objectType(name: $name) { properties { name type required } } }",
            name=role.to,
        )
        texts = [each["name"] for each in known["objectType"]["properties"] if each["type"] == "STRING"]
        needed = [each["name"] for each in known["objectType"]["properties"] if each["required"]]
        names = needed or [NAMED.get(role.to, texts[0])]
        return await self.made(role.to, {name: f"Other {number}" for name in names})

    async def associate(self, external_id: str, role: RemoteRole, others: Sequence[str]) -> None:
        found = await self.client.get(
            "query ($id: ID!, $to: String!) { record(id: $id) { associations(to: $to) { nodes { id } } } }",
            id=external_id,
            to=role.to,
        )
        there = [each["id"] for each in found["record"]["associations"]["nodes"]]
        if there:
            pairs = [{"fromId": external_id, "toId": other} for other in there]
            await self.done("dissociate", {"associations": pairs})
        if others:
            labels = [] if role.name == role.to else [role.name.removeprefix(f"{role.to}.")]
            pairs = [{"fromId": external_id, "toId": other, "labels": labels} for other in others]
            await self.done("associate", {"associations": pairs, "firstPrimary": False})
