"""Documents by name: brought once by clients, or listed by the operator, who may allow nothing else."""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from server import persisted
from server.persisted import BadDocuments, Documents, read
from server.settings import BadSetting, Settings
from storage.database import Database
from tests.face import Client, opened
from tests.served import served, talk

ACCOUNT = "query Account { account { name } }"
USERS = "query Users { users { id } }"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def named(digest: str, text: str | None = None) -> dict[str, Any]:
    """A request by the protocol of Apollo's clients."""
    body: dict[str, Any] = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest}}}
    return body if text is None else body | {"query": text}


async def sent(client: Client, body: dict[str, Any]) -> httpx.Response:
    return await client.http.post("/graphql", json=body, headers=client.headers)


async def code(client: Client, body: dict[str, Any]) -> str | None:
    """The code of the answer's first error."""
    answer = (await sent(client, body)).json()
    return answer["errors"][0]["extensions"]["code"] if "errors" in answer else None


async def test_a_document_is_brought_once_and_then_asked_for_by_its_hash(db: Database) -> None:
    async with opened(db) as client:
        unknown = (await sent(client, named(sha(ACCOUNT)))).json()
        # Clients know it by either.
        assert unknown["errors"][0]["message"] == "PersistedQueryNotFound"
        assert unknown["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
        assert "data" not in unknown
        for body in (
            named(sha(ACCOUNT), ACCOUNT),
            named(sha(ACCOUNT)),
            {"query": None} | named(sha(ACCOUNT)),
        ):
            assert (await sent(client, body)).json()["data"] == {"account": {"name": "acme"}}
        parameters = {"extensions": json.dumps(named(sha(ACCOUNT))["extensions"])}
        response = await client.http.get("/graphql", params=parameters, headers=client.headers)
        assert response.json()["data"] == {"account": {"name": "acme"}}
        assert (await client.http.get("/graphql", params=parameters)).status_code == 401


async def test_a_hash_is_that_of_its_text_and_nothing_bad_is_kept(db: Database) -> None:
    async with opened(db) as client:
        assert await code(client, named(sha(USERS), ACCOUNT)) == "PERSISTED_QUERY_HASH_MISMATCH"
        for bad in ("{ nothing }", "{ account {"):
            assert await code(client, named(sha(bad), bad)) in (
                "GRAPHQL_VALIDATION_FAILED",
                "GRAPHQL_PARSE_FAILED",
            )
            assert await code(client, named(sha(bad))) == "PERSISTED_QUERY_NOT_FOUND"
        members: tuple[Any, ...] = (
            {"version": 2, "sha256Hash": sha(ACCOUNT)},
            {"version": 1, "sha256Hash": "x"},
            {"version": 1, "sha256Hash": sha(ACCOUNT).upper()},
            {"version": 1},
            {},
            [],
            "x",
        )
        for member in members:
            body = {"query": ACCOUNT, "extensions": {"persistedQuery": member}}
            assert await code(client, body) == "BAD_REQUEST", member
        assert await code(client, {"documentId": 3}) == "BAD_REQUEST"
        assert await code(client, {"documentId": "x" * 5000}) == "DOCUMENT_NOT_FOUND"


async def test_a_mutation_by_its_hash_is_not_for_get(db: Database) -> None:
    text = 'mutation { createUser(input: {name: "A", email: "a@b.example", role: VIEWER}) { user { id } } }'
    async with opened(db) as client:
        assert await code(client, named(sha(text), text)) is None
        parameters = {"extensions": json.dumps(named(sha(text))["extensions"])}
        response = await client.http.get("/graphql", params=parameters, headers=client.headers)
        assert response.status_code == 405
        assert len((await client.get("{ users { id } }"))["users"]) == 1


async def test_sockets_know_the_same_documents(db: Database) -> None:
    async with opened(db) as client:
        app: Any = client.http._transport.app  # type: ignore[attr-defined]
        async with served(app) as path, talk(path, key=client.key) as socket:
            await socket.say("subscribe", id="1", payload=named(sha(ACCOUNT)))
            assert (await socket.hear())["payload"][0]["message"] == "PersistedQueryNotFound"
            assert await code(client, named(sha(ACCOUNT), ACCOUNT)) is None
            await socket.say("subscribe", id="2", payload=named(sha(ACCOUNT)))
            assert (await socket.hear())["payload"]["data"] == {"account": {"name": "acme"}}


def test_the_oldest_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persisted, "KEPT", 3)
    monkeypatch.setattr(persisted, "CHARACTERS_KEPT", 100)
    documents = Documents()
    texts = [f"{{ a{n} }}" for n in range(4)]
    for text in texts[:3]:
        documents.keep(text, sha(text))
    assert documents.text(None, sha(texts[0]), None) == texts[0]
    documents.keep(texts[3], sha(texts[3]))
    with pytest.raises(persisted.PersistedQueryNotFound):
        documents.text(None, sha(texts[1]), None)
    assert documents.text(None, sha(texts[0]), None) == texts[0]
    documents.keep("x" * 99, sha("x" * 99))
    with pytest.raises(persisted.PersistedQueryNotFound):
        documents.text(None, sha(texts[0]), None)
    documents.keep("y" * 101, sha("y" * 101))
    with pytest.raises(persisted.PersistedQueryNotFound):
        documents.text(None, sha("y" * 101), None)


@pytest.fixture(params=["directory", "object", "manifest"])
def listing(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same document in each of the forms of a list."""
    if request.param == "directory":
        (tmp_path / "pages").mkdir()
        (tmp_path / "pages" / "account.graphql").write_text(ACCOUNT + "\n")
        (tmp_path / "README.md").write_text("no document")
        return tmp_path
    content: Any = {"some-id": ACCOUNT}
    if request.param == "manifest":
        content = {"format": "apollo-persisted-query-manifest", "version": 1} | {
            "operations": [{"id": "some-id", "name": "Account", "type": "query", "body": ACCOUNT}]
        }
    path = tmp_path / "documents.json"
    path.write_text(json.dumps(content))
    return path


async def test_a_listed_document_is_known_from_the_start(db: Database, listing: Path) -> None:
    async with opened(db, documents=Documents(read(listing, only=False))) as client:
        for body in (
            named(sha(ACCOUNT)),
            {"documentId": sha(ACCOUNT)},
            {"documentId": "sha256:" + sha(ACCOUNT)},
        ):
            assert (await sent(client, body)).json()["data"] == {"account": {"name": "acme"}}
        if listing.suffix == ".json":
            assert await code(client, {"documentId": "some-id"}) is None
        assert await code(client, {"query": USERS}) is None


async def test_where_only_listed_documents_run_no_others_do(db: Database, listing: Path) -> None:
    async with opened(db, documents=Documents(read(listing, only=True))) as client:
        for good in ({"query": ACCOUNT}, named(sha(ACCOUNT)), named(sha(ACCOUNT), ACCOUNT)):
            assert await code(client, good) is None
        for bad in (
            {"query": USERS},
            {"query": ACCOUNT + " "},
            named(sha(USERS)),
            named(sha(USERS), USERS),
            named(sha(USERS)),
            {"query": "{ __schema { types { name } } }"},
            {"query": "{ account {"},
        ):
            assert await code(client, bad) == "DOCUMENT_NOT_ALLOWED", bad


def test_a_list_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    for content in ("{", "[]", "{}", '{"a": 1}', '{"operations": [{"id": "a"}]}', b"\xff\xfe\x00"):
        path = tmp_path / "list.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(BadDocuments):
            read(path, only=True)
    with pytest.raises(BadDocuments):
        read(tmp_path / "nowhere", only=True)
    (tmp_path / "empty").mkdir()
    for settings in (
        {"RELATA_DOCUMENTS": str(tmp_path / "empty")},
        {"RELATA_DOCUMENTS_ONLY": "on"},
    ):
        with pytest.raises(BadSetting, match="RELATA_DOCUMENTS"):
            Settings.from_environment(settings).listed_documents()
    assert Settings().listed_documents().only is False
