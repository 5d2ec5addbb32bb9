"""The endpoint over HTTP: what is no proper request is told so in JSON, with a code, and never as a stack trace."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from engine import accounts
from engine.access import Role
from server.limits import Limits
from storage.database import Database
from tests.face import T0, Client, new_key, opened
from tests.hurry import later

ACCOUNT = "{ account { id name } }"


async def test_the_account_answers_to_its_key(db: Database) -> None:
    async with opened(db) as client:
        assert (await client.get(ACCOUNT))["account"]["name"] == "acme"


BAD_KEYS: list[dict[str, str]] = [
    {},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer relata_zz_" + "A" * 43},
    {"Authorization": "Bearer relata_" + "z" * 13 + "_" + "A" * 43},
    {"Authorization": "Bearer " + "x" * 5000},
    {"Authorization": "Basic dXNlcjpwYXNz"},
    {"Authorization": "Bearer nonsense; DROP"},
]


async def test_without_a_good_key_nothing_is_told(db: Database) -> None:
    async with opened(db) as client:
        for header in BAD_KEYS:
            response = await client.http.post("/graphql", json={"query": ACCOUNT}, headers=header)
            assert response.status_code == 401, header
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


BAD_BODIES: list[tuple[bytes, str, int, str]] = [
    (b"{", "application/json", 400, "BAD_REQUEST"),
    (b"", "application/json", 400, "BAD_REQUEST"),
    (b"\xff\xfe", "application/json", 400, "BAD_REQUEST"),
    (b'{"query": "\\ud800"}', "application/json", 400, "BAD_REQUEST"),
    (b"[" * 5000, "application/json", 400, "BAD_REQUEST"),
    (b"null", "application/json", 400, "BAD_REQUEST"),
    (b'[{"query": "{ account { id } }"}]', "application/json", 400, "BAD_REQUEST"),
    (b"{}", "application/json", 400, "BAD_REQUEST"),
    (b'{"query": 1}', "application/json", 400, "BAD_REQUEST"),
    (b'{"query": "{ account { id } }", "variables": []}', "application/json", 400, "BAD_REQUEST"),
    (b'{"query": "{ account { id } }", "variables": "x"}', "application/json", 400, "BAD_REQUEST"),
    (
        b'{"query": "{ account { id } }", "variables": ' + b'{"a":' * 150 + b"1" + b"}" * 151,
        "application/json",
        400,
        "BAD_REQUEST",
    ),
    (b'{"query": "{ account { id } }", "operationName": 3}', "application/json", 400, "BAD_REQUEST"),
    (b'{"query": "{ account { id } }", "extensions": []}', "application/json", 400, "BAD_REQUEST"),
    (b'{"query": "{ account { id } }"}', "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE"),
    (
        b'{"query": "{ account { id } }"}',
        "application/x-www-form-urlencoded",
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    ),
    (
        b'{"query": "{ account { id } }"}',
        "multipart/form-data; boundary=x",
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    ),
    (
        b'{"query": "{ account { id } }"}',
        "application/json; charset=utf-16",
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    ),
    (b'{"query": "{ account { id } }"}', "", 415, "UNSUPPORTED_MEDIA_TYPE"),
]


async def test_a_malformed_body_is_told(db: Database) -> None:
    async with opened(db) as client:
        for content, kind, status, code in BAD_BODIES:
            headers = client.headers | ({"Content-Type": kind} if kind else {})
            response = await client.http.post("/graphql", content=content, headers=headers)
            told = response.json()["errors"][0]["extensions"]["code"]
            assert (response.status_code, told) == (status, code), content[:80]


def within(levels: int) -> str:
    """JSON that is nested so deeply."""
    return "[" * levels + "]" * levels


async def test_whoever_nests_too_deeply_is_told_what_to_do(db: Database) -> None:
    flatter = "Lists and objects in {} may be nested 100 levels deep at most: send them flatter."
    asking, query = "application/json", '"query": "{ account { id } }"'
    form = {"operations": f'{{{query}, "a": {within(100)}}}', "map": "{}"}
    async with opened(db) as client:
        for path, kind, content, told in (
            ("/graphql", asking, f'{{{query}, "variables": {{"a": {within(100)}}}}}', '"variables"'),
            ("/events", asking, within(101), "the body"),
            ("/graphql", "multipart/form-data; boundary=B", parted(form), '"operations"'),
        ):
            headers = client.headers | {"Content-Type": kind, "GraphQL-Preflight": "1"}
            response = await client.http.post(path, content=content, headers=headers)
            assert response.status_code == 400
            assert response.json()["errors"][0]["message"] == flatter.format(told)
        answer = await client.post("{a" * 201 + "}" * 201)
        (told,) = answer.json()["errors"]
        assert (
            told["message"] == "The document is nested deeper than 200 levels: ask for less in one request."
        )


def parted(fields: dict[str, str]) -> str:
    """A form of these fields, in their order."""
    part = '--B\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    return "".join(part.format(*field) for field in fields.items()) + "--B--\r\n"


async def test_a_body_that_is_too_large_is_read_no_further(db: Database) -> None:
    async with opened(db, limits=Limits(body=1000)) as client:
        for content in (b" " * 1001, parts(1001)):
            response = await client.http.post(
                "/graphql", content=content, headers=client.headers | {"Content-Type": "application/json"}
            )
            assert response.status_code == 413
            assert response.json()["errors"][0]["extensions"]["code"] == "BODY_TOO_LARGE"


async def parts(size: int) -> Any:
    """A body whose size is not announced."""
    for _ in range(size):
        yield b" "


BAD_DOCUMENTS: list[tuple[str, str]] = [
    ("{ account { id }", "GRAPHQL_PARSE_FAILED"),
    ("{ account { nothing } }", "GRAPHQL_VALIDATION_FAILED"),
    ("{ account }", "GRAPHQL_VALIDATION_FAILED"),
    ("query A { account { id } } query B { account { id } }", "OPERATION_NOT_FOUND"),
    ("query ($a: Boolean!) { account { id @include(if: $a) } }", "BAD_USER_INPUT"),
    ("{" * 4000, "GRAPHQL_VALIDATION_FAILED"),
    ("{ a " * 2000 + "}" * 2000, "GRAPHQL_VALIDATION_FAILED"),
    ("{ a(b: " + "[" * 4000 + "]" * 4000 + ") }", "GRAPHQL_VALIDATION_FAILED"),
    ("{ account { id } }" + " x" * 20000, "TOKEN_LIMIT_EXCEEDED"),
    ('{ account(a: "' + "{" * 300 + '") { id } }', "GRAPHQL_VALIDATION_FAILED"),
]


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json", "*/*"])
async def test_a_document_that_cannot_run_has_no_data(db: Database, accept: str) -> None:
    async with opened(db) as client:
        for query, code in BAD_DOCUMENTS:
            headers = client.headers | {"Accept": accept}
            response = await client.http.post("/graphql", json={"query": query}, headers=headers)
            answer = response.json()
            assert answer["errors"][0]["extensions"]["code"] == code, query[:80]
            assert "data" not in answer
            assert response.status_code == (400 if "graphql" in accept else 200)
            kind = accept if accept != "*/*" else "application/json"
            assert response.headers["content-type"].startswith(kind)


async def test_a_get_runs_queries_and_nothing_else(db: Database) -> None:
    async with opened(db) as client:
        response = await client.http.get("/graphql", params={"query": ACCOUNT}, headers=client.headers)
        assert response.json()["data"]["account"]["name"] == "acme"
        mutation = (
            'mutation { createUser(input: {name: "A", email: "a@b.example", role: VIEWER}) { user { id } } }'
        )
        response = await client.http.get("/graphql", params={"query": mutation}, headers=client.headers)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert (await client.get("{ users { id } }"))["users"] == []
        response = await client.http.get(
            "/graphql", params={"query": ACCOUNT, "variables": "{"}, headers=client.headers
        )
        assert response.status_code == 400


async def test_other_methods_are_refused(db: Database) -> None:
    async with opened(db) as client:
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
            response = await client.http.request(method, "/graphql", headers=client.headers)
            assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


async def test_a_media_type_that_we_cannot_write_is_refused(db: Database) -> None:
    async with opened(db) as client:
        headers = client.headers | {"Accept": "image/png"}
        response = await client.http.post("/graphql", json={"query": ACCOUNT}, headers=headers)
        assert response.status_code == 406
        assert response.json()["errors"][0]["extensions"]["code"] == "NOT_ACCEPTABLE"


async def test_a_browser_sees_a_page_without_a_key(db: Database) -> None:
    async with opened(db) as client:
        response = await client.http.get("/graphql", headers={"Accept": "text/html,*/*;q=0.8"})
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")


async def test_operators_can_ask_how_it_is(db: Database) -> None:
    async with opened(db) as client:
        assert (await client.http.get("/healthz")).json() == {"status": "alive"}
        assert (await client.http.get("/readyz")).json() == {"status": "ready"}
        response = await client.http.get("/nowhere")
        assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (
            404,
            "NOT_FOUND",
        )


async def test_introspection_needs_a_key(db: Database) -> None:
    async with opened(db) as client:
        query = "{ __schema { queryType { name } } }"
        assert (await client.http.post("/graphql", json={"query": query})).status_code == 401
        assert (await client.get(query))["__schema"]["queryType"]["name"] == "Query"


async def test_mutations_of_one_request_run_one_after_the_other(db: Database) -> None:
    async with opened(db) as client:
        data = await client.get(
            """mutation {
                a: createObjectType(input: {name: "boats", singular: "Boat", plural: "Boats"})
                  { objectType { name } userErrors { code } }
                b: createProperty(input: {objectType: "boats", name: "length", label: "Length", type: NUMBER})
                  { property { name type } userErrors { code } }
                c: createObjectType(input: {name: "boats", singular: "Boat", plural: "Boats"})
                  { objectType { name } userErrors { code message path } }
            }"""
        )
        assert data["a"] == {"objectType": {"name": "boats"}, "userErrors": []}
        assert data["b"] == {"property": {"name": "length", "type": "NUMBER"}, "userErrors": []}
        assert data["c"]["objectType"] is None
        assert data["c"]["userErrors"][0]["code"] == "NAME_TAKEN"


async def test_a_revoked_key_ends_at_once_in_this_process(db: Database) -> None:
    async with opened(db) as client:
        made = await client.do("createKey", "key { id prefix } secret", {"name": "k", "role": "VIEWER"})
        other = Client(client.http, made["secret"], client.account_id)
        assert made["secret"].startswith(made["key"]["prefix"])
        assert (await other.get(ACCOUNT))["account"]["name"] == "acme"
        revoked = await client.do(
            "revokeKey", "key { revokedAt } userErrors { code }", {"id": made["key"]["id"]}
        )
        assert revoked["key"]["revokedAt"]
        assert (await other.post(ACCOUNT)).status_code == 401


async def test_ids_of_others_look_like_missing_ones(db: Database) -> None:
    async with opened(db) as client:
        other = await accounts.create(db, "other", now=T0)
        stranger = Client(client.http, await new_key(db, other), other)
        theirs = (await client.get("{ keys { id } }"))["keys"][0]["id"]
        mine = {key["id"] for key in (await stranger.get("{ keys { id } }"))["keys"]}
        there = theirs if theirs not in mine else "key_" + str(int(theirs[4:]) + 1)
        foreign = await stranger.do("revokeKey", "key { id } userErrors { code message path }", {"id": there})
        missing = await stranger.do(
            "revokeKey", "key { id } userErrors { code message path }", {"id": "key_9999"}
        )
        assert foreign["key"] is None
        assert foreign["userErrors"][0]["code"] == missing["userErrors"][0]["code"] == "NOT_FOUND"
        assert (
            foreign["userErrors"][0]["message"].replace(there, "key_9999")
            == missing["userErrors"][0]["message"]
        )
        assert (await client.get(ACCOUNT))["account"]["name"] == "acme"


async def test_what_nobody_expected_is_masked(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("the secret of the house")

    async with opened(db) as client:
        monkeypatch.setattr(accounts, "read", broken)
        response = await client.post(ACCOUNT)
        error = response.json()["errors"][0]
        assert "secret" not in response.text
        assert error["message"] == "Internal error"
        assert error["extensions"]["code"] == "INTERNAL_ERROR"
        assert len(error["extensions"]["id"]) == 32


async def test_time_that_is_up_is_told(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def slow(reader: Any) -> None:
        begun.set()
        await reader.fetchval("SELECT pg_sleep(30) WHERE $1::bigint IS NOT NULL")

    async with opened(db) as client:
        monkeypatch.setattr(accounts, "read", slow)
        asking = asyncio.create_task(client.ask(ACCOUNT))
        await begun.wait()
        later(Limits().seconds)
        answer = await asking
        assert answer["errors"][0]["extensions"]["code"] == "TIMEOUT"


async def test_a_viewer_may_not_manage(db: Database) -> None:
    async with opened(db) as client:
        viewer = Client(client.http, await new_key(db, client.account_id, Role.VIEWER), client.account_id)
        answer = await viewer.ask("{ keys { id } }")
        assert answer["errors"][0]["extensions"]["code"] == "MISSING_SCOPE"
        assert answer["errors"][0]["path"] == ["keys"]


async def test_lost_connections_are_told_as_such_and_made_again(db: Database, database_url: str) -> None:
    async with opened(db) as client:
        assert (await client.get(ACCOUNT))["account"]
        other: Any = await asyncpg.connect(database_url)
        await other.fetch(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        )
        await other.close()
        answers = [await client.ask(ACCOUNT) for _ in range(30)]
        codes = {error["extensions"]["code"] for answer in answers for error in answer.get("errors", [])}
        assert codes <= {"UNAVAILABLE"}
        assert answers[-1]["data"]["account"]["name"] == "acme"


async def test_a_document_that_cannot_run_is_told_as_the_one_event_of_its_stream(db: Database) -> None:
    async with opened(db) as client:
        headers = client.headers | {"Accept": "text/event-stream"}
        for query in ("{", "{ account { nothing } }", "{ account { name } } { account { name } }"):
            answer = await client.http.post("/graphql", json={"query": query}, headers=headers)
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            told, end = answer.text.strip("\n").split("\n\n")
            assert json.loads(told.removeprefix("event: next\ndata: "))["errors"][0]["message"]
            assert end == "event: complete\ndata: "
