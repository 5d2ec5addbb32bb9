"""A client of the face for tests: one application, keys of any role, queries that tell what went wrong."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.applications import Starlette

from engine import accounts, keys
from engine.access import Role, Scope
from server.app import create_app
from storage.database import Actor, Database

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Client:
    """One key's view of the application."""

    http: httpx.AsyncClient
    key: str
    account_id: int

    async def post(self, query: str, variables: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        """The raw response to an operation."""
        body = {"query": query, "variables": variables or {}} | more
        return await self.http.post("/graphql", json=body, headers=self.headers)

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer, errors included."""
        answer: dict[str, Any] = (await self.post(query, variables)).json()
        return answer

    async def get(self, query: str, **variables: Any) -> Any:
        """The data of an operation that must succeed."""
        answer = await self.ask(query, **variables)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def do(self, mutation: str, fields: str, input: dict[str, Any]) -> Any:
        """The payload of one mutation, whose input is of the type that its name tells."""
        kind = mutation[0].upper() + mutation[1:] + "Input"
        text = f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ {fields} }} }}"
        return (await self.get(text, input=input))[mutation]

    @property
    def headers(self) -> dict[str, str]:
        """What every request of this key carries."""
        return {"Authorization": f"Bearer {self.key}"}


async def new_key(
    db: Database, account_id: int, role: Role = Role.SUPER_ADMIN, scopes: list[Scope] | None = None
) -> str:
    """The secret of a new key."""
    async with db.transaction(account_id, now=T0, actor=Actor("SYSTEM")) as tx:
        _, secret = await keys.create(tx, name="test", role=role, scopes=scopes)
    return secret


@contextlib.asynccontextmanager
async def clients(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client that talks to the application without a network."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://relata.test") as client:
        yield client


@contextlib.asynccontextmanager
async def opened(db: Database, name: str = "acme", **options: Any) -> AsyncIterator[Client]:
    """A new account, and its super admin."""
    account_id = await accounts.create(db, name, now=T0)
    key = await new_key(db, account_id)
    async with clients(create_app(db, **options)) as http:
        yield Client(http, key, account_id)
