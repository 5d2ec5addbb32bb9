"""A real Kinto: a process of its own, started once for a test file, emptied before each test."""

import base64
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.gate import free_port

USER, PASSWORD = "relata", "a secret of kinto's"
BUCKET = "crm"
# Nothing here measures time.
PATIENCE = 600.0

_INI = """
[app:main]
use = egg:kinto
kinto.userid_hmac_secret = {secret}
kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.includes = kinto.plugins.flush kinto.plugins.accounts
kinto.flush_endpoint_enabled = true
kinto.experimental_collection_schema_validation = true
kinto.bucket_create_principals = system.Authenticated
kinto.account_create_principals = system.Everyone
multiauth.policies = account
multiauth.policy.account.use = kinto.plugins.accounts.authentication.AccountsAuthenticationPolicy
{more}

[server:main]
use = egg:waitress
host = 127.0.0.1
port = {port}
threads = 4
"""

CONTACTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "email": {"type": "string", "title": "E-mail"},
        "firstname": {"type": "string"},
        "lastname": {"type": "string"},
        "code": {"type": "string", "maxLength": 8},
        "age": {"type": "number"},
        "vip": {"type": "boolean"},
        "born": {"type": "string", "format": "date"},
        "met": {"type": "string", "format": "date-time"},
        "tier": {"type": "string", "enum": ["gold", "silver"]},
        "topics": {"type": "array", "items": {"type": "string", "enum": ["news", "offers"]}},
        "company": {"type": "string", "x-references": "companies"},
        "partners": {"type": "array", "items": {"type": "string", "x-references": "contacts"}},
    },
    "required": ["email"],
}
COMPANIES: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "domain": {"type": "string"}, "city": {"type": "string"}},
}


class Kinto:
    """A running server, as its own people use it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/v1"
        word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        self._client = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Basic {word}"}, timeout=PATIENCE, trust_env=False
        )

    def settings(self, port: int | None = None) -> dict[str, str]:
        """Of a connection to it."""
        return {
            "url": f"http://127.0.0.1:{port or self.port}/v1",
            "bucket": BUCKET,
            "user": USER,
            "password": PASSWORD,
        }

    def close(self) -> None:
        """Nothing more is asked."""
        self._client.close()

    def sign_up(self) -> None:
        """The account that everything is done with."""
        self._ask("PUT", f"accounts/{USER}", {"data": {"password": PASSWORD}}, signed_in=False)

    def empty(self, **collections: Mapping[str, Any] | None) -> None:
        """Nothing but one bucket with these collections, each with a schema or without."""
        self._ask("DELETE", "buckets")
        self._ask("PUT", f"buckets/{BUCKET}", {"data": {}})
        for name, schema in collections.items():
            data = {} if schema is None else {"schema": schema}
            self._ask("PUT", f"buckets/{BUCKET}/collections/{name}", {"data": data})

    def insert(self, collection: str, values: Mapping[str, Any]) -> str:
        """A new record; its id."""
        id_ = str(uuid.uuid4())
        held = {name: value for name, value in values.items() if value is not None}
        self._ask("PUT", self._path(collection, id_), {"data": held})
        return id_

    def change(self, collection: str, id_: str, values: Mapping[str, Any]) -> None:
        """Change some fields; None takes one away."""
        merge = {"Content-Type": "application/merge-patch+json"}
        self._ask("PATCH", self._path(collection, id_), {"data": dict(values)}, headers=merge)

    def remove(self, collection: str, id_: str) -> None:
        """Delete a record."""
        self._ask("DELETE", self._path(collection, id_))

    def records(self, collection: str) -> dict[str, dict[str, Any]]:
        """All records by their ids."""
        found: Sequence[dict[str, Any]] = self._ask("GET", self._path(collection, "").rstrip("/"))["data"]
        return {one["id"]: one for one in found}

    def _path(self, collection: str, id_: str) -> str:
        return f"buckets/{BUCKET}/collections/{collection}/records/{id_}"

    def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        signed_in: bool = True,
    ) -> Any:
        sent = dict(headers or {}) if signed_in else {"Authorization": ""}
        answer = self._client.request(method, f"/{path}", json=body, headers=sent)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def serving(folder: Path, **more: object) -> Iterator[Kinto]:
    """A server for as long as it is needed; `more` are settings of Kinto's own."""
    port = free_port()
    ini = folder / "kinto.ini"
    lines = "\n".join(f"kinto.{name} = {value}" for name, value in more.items())
    ini.write_text(_INI.format(secret=uuid.uuid4().hex, port=port, more=lines))
    with (folder / "kinto.log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("kinto")), "start", "--ini", str(ini)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/v1/", trust_env=False).raise_for_status()
                break
            except httpx.TransportError:
                assert process.poll() is None, (folder / "kinto.log").read_text()
                assert time.monotonic() < deadline, "Kinto does not answer"
                time.sleep(0.05)
        server = Kinto(port)
        server.sign_up()
        yield server
        server.close()
    finally:
        process.kill()
        process.wait()
