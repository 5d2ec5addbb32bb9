"""What security scanners of GraphQL servers try, each as a test: as anybody, and as the holder of a key.

Anybody is told nothing but that a key is needed. What a holder of a key can see on purpose is said here, too.
"""

from typing import Any

import httpx
import pytest

from server.limits import Limits
from server.settings import Settings
from storage.database import Database
from tests.face import clients, opened

CIRCLE = "__schema { types { fields { type { fields { type { fields { type { fields { type { name } } } } } } } } } }"
OVERLOADS: dict[str, tuple[str, str]] = {
    "aliases": ("{ " + " ".join(f"alias{n}: __typename" for n in range(101)) + " }", "ALIAS_LIMIT_EXCEEDED"),
    "fields": ("{ " + "__typename " * 500 + "}", "REPETITION_LIMIT_EXCEEDED"),
    "directives": ("{ __typename " + "@aa" * 10 + " }", "DIRECTIVE_LIMIT_EXCEEDED"),
    "directives apart": (
        "{ __typename " + "... @include(if: true) { __typename }" * 51 + " }",
        "DIRECTIVE_LIMIT_EXCEEDED",
    ),
    "circular introspection": (f"{{ {CIRCLE} }}", "GRAPHQL_VALIDATION_FAILED"),
    "circular fragments": (
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "depth": (
        "{ associationLabel(id: 1) " + "{ inverse " * 60 + "{ id }" + " }" * 60 + " }",
        "DEPTH_LIMIT_EXCEEDED",
    ),
    "pages": (
        """{ records(objectType: "contacts", first: 500) { nodes {
          associations(to: "contacts", first: 500) { nodes { id } } } } }""",
        "COST_LIMIT_EXCEEDED",
    ),
    "tokens": ("{ __typename " + "," * 9 + "x " * 20_000 + "}", "TOKEN_LIMIT_EXCEEDED"),
    "a defect": ("query { __typename @deprecated }", "GRAPHQL_VALIDATION_FAILED"),
    "a typing error": ("queryy { __typename }", "GRAPHQL_PARSE_FAILED"),
}
MUTATION = 'mutation { createUser(input: {name: "A", email: "a@b.example", role: VIEWER}) { user { id } } }'


def codes(response: httpx.Response) -> set[str]:
    """The codes of an answer's errors."""
    return {error["extensions"]["code"] for error in response.json().get("errors", [])}


async def test_anybody_is_told_nothing(db: Database) -> None:
    async with opened(db) as client:
        for query in (
            *(text for text, _ in OVERLOADS.values()),
            "{ __typename }",
            "{ __schema { types { name } } }",
        ):
            response = await client.http.post("/graphql", json={"query": query})
            assert (response.status_code, codes(response)) == (401, {"UNAUTHENTICATED"})
        for response in (
            await client.http.get("/graphql", params={"query": "{ __typename }"}),
            await client.http.post("/graphql", json=[{"query": "{ __typename }"}] * 10),
            await client.http.post("/graphql", data={"query": MUTATION}),
        ):
            assert response.status_code == 401
            assert "data" not in response.json()


@pytest.mark.parametrize("what", OVERLOADS)
async def test_an_overload_is_refused_with_its_code_and_nothing_else(db: Database, what: str) -> None:
    query, code = OVERLOADS[what]
    async with opened(db) as client:
        response = await client.post(query)
        answer = response.json()
        assert codes(response) == {code}
        assert "data" not in answer
        # Not one error for each of what was piled up.
        assert len(answer["errors"]) <= 3
        assert len(response.content) < 2_000 or what == "a typing error"


async def test_batches_of_requests_are_refused(db: Database) -> None:
    async with opened(db) as client:
        for size in (0, 1, 10):
            body = [{"query": "{ __typename }"}] * size
            response = await client.http.post("/graphql", json=body, headers=client.headers)
            assert (response.status_code, codes(response)) == (400, {"BAD_REQUEST"})


async def test_nothing_is_changed_by_what_a_page_elsewhere_may_send_unasked(db: Database) -> None:
    """A GET, or a POST of a form's or a text's type: browsers send these without asking the server first."""
    import json

    simple = (
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain; a=b",
    )
    async with opened(db) as client:
        for kind in (*simple, ""):
            for content in (f"query={MUTATION}", json.dumps({"query": MUTATION})):
                headers = client.headers | ({"Content-Type": kind} if kind else {})
                response = await client.http.post("/graphql", content=content, headers=headers)
                assert (response.status_code, codes(response)) == (415, {"UNSUPPORTED_MEDIA_TYPE"})
        for accept in ("application/json", "text/event-stream", "*/*"):
            headers = client.headers | {"Accept": accept}
            response = await client.http.get("/graphql", params={"query": MUTATION}, headers=headers)
            assert (response.status_code, codes(response)) == (405, {"METHOD_NOT_ALLOWED"})
        # Even if a browser sent what it has by itself: a cookie, or a name and a password, is no key.
        for held in (
            {"Cookie": f"key={client.key}; Authorization=Bearer {client.key}"},
            {"Authorization": "Basic eDp5"},
        ):
            response = await client.http.post("/graphql", json={"query": MUTATION}, headers=held)
            assert response.status_code == 401
        assert (await client.get("{ users { id } }"))["users"] == []
        assert (await client.get(MUTATION))["createUser"]["user"]


async def test_no_other_origin_may_read_unless_it_is_named(db: Database) -> None:
    asking = {
        "Origin": "https://crm.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    query = {"query": "{ account { name } }"}
    async with opened(db) as client:
        assert (await client.http.options("/graphql", headers=asking)).status_code == 405
        response = await client.http.post("/graphql", json=query, headers=client.headers | asking)
        assert not [name for name in response.headers if name.startswith("access-control")]
    async with opened(db, "named", origins=["https://crm.example"]) as client:
        response = await client.http.options("/graphql", headers=asking)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://crm.example"
        assert "authorization" in response.headers["access-control-allow-headers"]
        response = await client.http.post("/graphql", json=query, headers=client.headers | asking)
        assert response.json()["data"] == {"account": {"name": "named"}}
        assert response.headers["access-control-allow-origin"] == "https://crm.example"
        assert "Origin" in response.headers["vary"]
        assert "access-control-allow-credentials" not in response.headers
        events = asking | {"Access-Control-Request-Headers": "authorization,content-type,idempotency-key"}
        assert (await client.http.options("/events", headers=events)).status_code == 200
        other = asking | {"Origin": "https://evil.example"}
        assert (await client.http.options("/graphql", headers=other)).status_code == 400
        response = await client.http.post("/graphql", json=query, headers=client.headers | other)
        assert "access-control-allow-origin" not in response.headers


def test_no_origin_is_named_unless_somebody_names_it() -> None:
    assert Settings().cors_origins is None
    chosen = Settings.from_environment({"RELATA_CORS_ORIGINS": "https://a.example/, http://localhost:3000"})
    assert chosen.cors_origins == "https://a.example,http://localhost:3000"


async def test_messages_suggest_no_names(db: Database) -> None:
    near: dict[str, dict[str, Any]] = {
        "{ __schema { directive } }": {},
        "{ acount { id } }": {},
        "{ account(nme: 1) { id } }": {},
        "{ node(id: 1) { name } }": {},
        "{ records(objectTyp: 1) { id } }": {},
        "query ($a: FilterInpt) { account { id } }": {},
        "query ($a: Role!) { account { id } }": {"a": "ADMINN"},
        'mutation { createUser(input: {nam: "a"}) { user { id } } }': {},
        "mutation ($i: CreateUserInput!) { createUser(input: $i) { user { id } } }": {"i": {"nam": 1}},
        "{ account { id @inclde(if: true) } }": {},
    }
    async with opened(db) as client:
        for query, variables in near.items():
            response = await client.post(query, variables)
            assert codes(response), query
            assert "did you mean" not in response.text.lower(), response.text


async def test_errors_and_answers_tell_nothing_of_the_inside(db: Database) -> None:
    odd = (*(text for text, _ in OVERLOADS.values()), '{ record(id: "rec_x") { id } }', "{ account { id } }")
    async with opened(db) as client:
        for query in odd:
            response = await client.post(query, {"a": "\x00"}, extensions={"tracing": True})
            text = response.text.lower()
            for word in ("traceback", "exception", "stacktrace", "asyncpg", 'file "', "tracing", "postgres"):
                assert word not in text, (query, word)
            assert set(response.json().get("extensions", {})) <= {"cost"}
            assert "server" not in response.headers
            assert "x-powered-by" not in response.headers
            assert response.headers["x-content-type-options"] == "nosniff"


async def test_who_may_not_see_the_schema_is_not_shown_it(db: Database) -> None:
    async with opened(db, limits=Limits(introspection=False)) as client:
        for query in (
            "{ __schema { types { name } } }",
            '{ __type(name: "Query") { name } }',
            f"{{ {CIRCLE} }}",
        ):
            response = await client.post(query)
            assert codes(response) == {"GRAPHQL_VALIDATION_FAILED"}
            assert "data" not in response.json()
        assert (await client.get("{ __typename }")) == {"__typename": "Query"}


async def test_the_page_for_browsers_holds_no_data_and_stands_in_one_place(db: Database) -> None:
    async with opened(db) as client, clients(client.http._transport.app) as anybody:  # type: ignore[attr-defined]
        for path in ("/graphiql", "/playground", "/console", "/altair", "/graphql/console", "/v1/graphql"):
            assert (await anybody.get(path, headers={"Accept": "text/html"})).status_code == 404
        page = await anybody.get("/graphql", headers={"Accept": "text/html"})
        assert "acme" not in page.text
        assert client.key not in page.text
