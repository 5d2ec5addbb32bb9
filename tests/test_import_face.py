"""Imports through the face: sent, proposed, corrected, checked, run, paused, taken back; every answer coded."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from engine.access import Role, Scope
from engine.imports.cutting import Size
from engine.imports.runner import Runner
from server import multipart
from server.app import create_app
from server.limits import Limits
from storage.database import Database
from tests.face import T0, Client, new_key, opened
from tests.processes import PATIENCE
from tests.served import served

FIELDS = """id name kind status rows created updated unchanged failed errorCount share rate secondsLeft reason
  file { size format encoding delimiter header notes } uploadUrl errorsUrl
  plan { parts { name objectType mode key columns { column property format } }
         associations { from { part } to { objectType property column } labels } }
  figures { part created updated unchanged } errorCounts { code count }
  findings { rows create update unchanged fail errorCounts { code count } }
  undone { archived restored kept }"""
PAYLOAD = f"import {{ {FIELDS} }} userErrors {{ code message path }}"
PEOPLE = b"E-Mail;Vorname;born\nann@x.org;Ann;31.01.1990\nbob@x.org;Bob;nonsense\n;Cat;\n"
PLAN = {
    "parts": [
        {
            "objectType": "contacts",
            "key": "E-Mail",
            "columns": [
                {"column": "E-Mail", "property": "email"},
                {"column": "Vorname", "property": "firstname"},
                {"column": "born", "property": "date_of_birth", "format": "DD.MM.YYYY"},
            ],
        }
    ]
}


async def do(client: Client, mutation: str, **given: Any) -> dict[str, Any]:
    """The import after a step that must succeed."""
    payload = await client.do(mutation, PAYLOAD, given)
    assert payload["userErrors"] == [], payload
    found: dict[str, Any] = payload["import"]
    return found


async def refused(client: Client, mutation: str, **given: Any) -> list[tuple[str, Any]]:
    payload = await client.do(mutation, PAYLOAD, given)
    assert payload["import"] is None
    return [(one["code"], one["path"]) for one in payload["userErrors"]]


async def sent(client: Client, content: bytes, name: str = "people.csv") -> str:
    """A new import with its file."""
    made = await do(client, "createImport", name=name)
    assert made["status"] == "CREATED"
    answer = await client.http.put(made["uploadUrl"], content=content, headers=client.headers)
    assert answer.json() == {"import": made["id"], "status": "UPLOADED", "size": len(content)}
    return str(made["id"])


async def worked(db: Database, client: Client, at: datetime = T0) -> None:
    """Workers do what there is to be done."""
    runner = Runner("worker", lambda: at, size=Size(batch=2))
    try:
        while await runner.run_once(db, client.account_id, at):
            pass
    finally:
        await runner.close()


async def read(client: Client, ident: str) -> dict[str, Any]:
    found: dict[str, Any] = (
        await client.get(f"query ($id: ID!) {{ import(id: $id) {{ {FIELDS} }} }}", id=ident)
    )["import"]
    return found


async def test_a_file_is_sent_proposed_corrected_checked_run_and_taken_back(db: Database) -> None:
    async with opened(db) as client:
        ident = await sent(client, PEOPLE)
        payload = await client.do(
            "proposeImport",
            """proposal { header unmapped notes sample plan { parts { objectType mode key columns
               { column property format } } } } import { file { header delimiter format } } userErrors { code }""",
            {"id": ident, "objectTypes": ["contacts"]},
        )
        proposal = payload["proposal"]
        assert payload["import"]["file"] == {
            "header": ["E-Mail", "Vorname", "born"],
            "delimiter": ";",
            "format": "CSV",
        }
        assert proposal["header"] == ["E-Mail", "Vorname", "born"]
        assert (proposal["unmapped"], proposal["notes"]) == (
            [], ['"born": 1 of the first 2 cells does not fit "date_of_birth".'],
        )  # fmt: skip
        assert proposal["sample"][0] == ["ann@x.org", "Ann", "31.01.1990"]
        (part,) = proposal["plan"]["parts"]
        assert (part["objectType"], part["mode"], part["key"]) == ("contacts", "UPSERT", "E-Mail")

        # People correct it, and what does not fit is told at its place.
        wrong = json.loads(json.dumps(PLAN))
        wrong["parts"][0]["columns"][1]["property"] = "nothing"
        wrong["parts"][0]["columns"][2]["format"] = "soon"
        assert await refused(client, "planImport", id=ident, plan=wrong) == [
            ("PROPERTY_MISSING", ["input", "plan", "parts", 0, "columns", 1, "property"]),
            ("UNKNOWN_FORMAT", ["input", "plan", "parts", 0, "columns", 2, "format"]),
        ]
        checking = await do(client, "checkImport", id=ident, plan=PLAN)
        assert (checking["status"], checking["plan"]["parts"][0]["columns"][2]["format"]) == (
            "CHECKING",
            "DD.MM.YYYY",
        )
        await worked(db, client)
        checked = await read(client, ident)
        assert (checked["status"], checked["share"]) == ("CHECKED", 1.0)
        assert checked["findings"] == {
            "rows": 3,
            "create": 1,
            "update": 0,
            "unchanged": 0,
            "fail": 2,
            "errorCounts": [{"code": "INVALID_VALUE", "count": 1}, {"code": "KEY_MISSING", "count": 1}],
        }
        names = '{ records(objectType: "contacts") { nodes { displayName } } }'
        assert (await client.get(names))["records"]["nodes"] == []

        assert (await do(client, "startImport", id=ident))["status"] == "RUNNING"
        await worked(db, client)
        done = await read(client, ident)
        assert [done[name] for name in ("status", "rows", "created", "failed", "errorCount")] == [
            "DONE", 3, 1, 2, 2,
        ]  # fmt: skip
        assert done["figures"] == [{"part": "contacts", "created": 1, "updated": 0, "unchanged": 0}]
        assert (await client.get(names))["records"]["nodes"] == [{"displayName": "Ann"}]

        assert (await do(client, "undoImport", id=ident))["status"] == "UNDOING"
        await worked(db, client)
        undone = await read(client, ident)
        # The time that this took is none of the run's.
        assert undone["rate"] is None
        assert (undone["status"], undone["undone"]) == ("UNDONE", {"archived": 1, "restored": 0, "kept": 0})
        assert (await client.get(names))["records"]["nodes"] == []


ERRORS = """query ($id: ID!, $codes: [String!], $first: Int, $after: String) { import(id: $id) {
  errors(codes: $codes, first: $first, after: $after) {
    edges { cursor node { row column value code message } } pageInfo { hasNextPage hasPreviousPage } } } }"""


async def test_errors_are_read_by_page_and_code_and_fetched_as_a_file(db: Database) -> None:
    async with opened(db) as client:
        content = b"email,date_of_birth\n" + b"".join(b"p%d@x.org,=cmd(%d)\n" % (n, n) for n in range(5))
        ident = await sent(client, content + b",\n,2001-01-01\n")
        plan = {
            "parts": [
                {
                    "objectType": "contacts",
                    "key": "email",
                    "columns": [{"column": name, "property": name} for name in ("email", "date_of_birth")],
                }
            ]
        }
        await do(client, "startImport", id=ident, plan=plan)
        await worked(db, client)
        found: list[Any] = []
        after = None
        while True:
            page = (await client.get(ERRORS, id=ident, first=2, after=after))["import"]["errors"]
            found += [edge["node"] for edge in page["edges"]]
            if not page["pageInfo"]["hasNextPage"]:
                break
            after = page["edges"][-1]["cursor"]
        assert [(one["row"], one["column"], one["value"], one["code"]) for one in found[:5]] == [
            (n + 1, "date_of_birth", f"=cmd({n})", "INVALID_VALUE") for n in range(5)
        ]
        missing = (await client.get(ERRORS, id=ident, codes=["KEY_MISSING"]))["import"]["errors"]["edges"]
        assert [edge["node"]["code"] for edge in missing] == ["KEY_MISSING"] * (len(found) - 5)
        grouped = """query ($id: ID!) { import(id: $id) {
            errorGroups { code column count rows value message } } }"""
        groups = (await client.get(grouped, id=ident))["import"]["errorGroups"]
        invalid = {"code": "INVALID_VALUE", "column": "date_of_birth", "count": 5, "rows": [1, 2, 3, 4, 5]}
        assert groups[0] == invalid | {"value": "=cmd(0)", "message": found[0]["message"]}
        assert sum(group["count"] for group in groups) == len(found)
        assert {(group["code"], group["column"]) for group in groups} == {
            (one["code"], one["column"]) for one in found
        }
        answer = await client.http.get(f"/imports/{ident}/errors", headers=client.headers)
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
        assert rows[0] == ["row", "column", "value", "code", "message"]
        assert [row[2] for row in rows[1:6]] == [f"'=cmd({n})" for n in range(5)]
        assert len(rows) == 1 + len(found)
        wrong = await client.ask(ERRORS, id=ident, after="nonsense")
        assert wrong["errors"][0]["extensions"]["code"] == "MALFORMED_CURSOR"


async def test_a_run_is_paused_goes_on_and_is_ended(db: Database) -> None:
    async with opened(db) as client:
        content = b"email\n" + b"".join(b"p%d@x.org\n" % n for n in range(9))
        ident = await sent(client, content)
        plan = {
            "parts": [
                {
                    "objectType": "contacts",
                    "key": "email",
                    "columns": [{"column": "email", "property": "email"}],
                }
            ]
        }
        await do(client, "startImport", id=ident, plan=plan)
        runner = Runner("worker", lambda: T0, size=Size(batch=2))
        await runner.run_once(db, client.account_id, T0)
        paused = await do(client, "pauseImport", id=ident)
        assert (paused["status"], paused["rows"]) == ("PAUSED", 2)
        await runner.run_once(db, client.account_id, T0)
        assert (await read(client, ident))["rows"] == 2
        assert [code for code, _ in await refused(client, "pauseImport", id=ident)] == ["IMPORT_NOT_READY"]
        await do(client, "resumeImport", id=ident)
        await runner.run_once(db, client.account_id, T0)
        assert (await read(client, ident))["rows"] == 4
        ended = await do(client, "cancelImport", id=ident)
        assert (ended["status"], ended["created"]) == ("CANCELLED", 4)
        await runner.close()
        assert [code for code, _ in await refused(client, "startImport", id=ident)] == ["IMPORT_NOT_READY"]
        late = await client.http.put(f"/imports/{ident}/file", content=b"x", headers=client.headers)
        assert (late.status_code, late.json()["errors"][0]["extensions"]["code"]) == (409, "IMPORT_NOT_READY")


async def test_imports_are_listed_newest_first_and_found_by_id(db: Database) -> None:
    async with opened(db) as client:
        ids = [(await do(client, "createImport", name=f"{n}.csv"))["id"] for n in range(3)]
        await do(client, "cancelImport", id=ids[1])
        text = """query ($statuses: [ImportStatus!], $first: Int, $after: String) {
          imports(statuses: $statuses, first: $first, after: $after) {
            nodes { id name } pageInfo { hasNextPage endCursor } } }"""
        first = (await client.get(text, first=2))["imports"]
        assert [node["id"] for node in first["nodes"]] == [ids[2], ids[1]]
        rest = (await client.get(text, after=first["pageInfo"]["endCursor"]))["imports"]
        assert [node["name"] for node in rest["nodes"]] == ["0.csv"]
        ended = (await client.get(text, statuses=["CANCELLED"]))["imports"]
        assert [node["id"] for node in ended["nodes"]] == [ids[1]]
        node = await client.get("query ($id: ID!) { node(id: $id) { id ... on Import { name } } }", id=ids[0])
        assert node["node"] == {"id": ids[0], "name": "0.csv"}
    async with opened(db, "other") as stranger:
        assert (await stranger.get(text))["imports"]["nodes"] == []
        assert (
            await stranger.http.get(f"/imports/{ids[0]}/errors", headers=stranger.headers)
        ).status_code == 404
        put = await stranger.http.put(f"/imports/{ids[0]}/file", content=b"a\n", headers=stranger.headers)
        assert put.status_code == 404
        assert [code for code, _ in await refused(stranger, "undoImport", id=ids[0])] == ["NOT_FOUND"]


async def test_what_is_no_text_names_and_plans_nothing(db: Database) -> None:
    async with opened(db) as client:
        for given in ({"name": "a\0b"}, {"name": " "}):
            assert [code for code, _ in await refused(client, "createImport", **given)] != []
        told = await refused(client, "createImport", name="a", plan={"file": {"sheet": "a\0b"}})
        assert told == [("MALFORMED_PLAN", ["input", "plan"])]
        ident = await sent(client, PEOPLE)
        told = await refused(client, "planImport", id=ident, plan={**PLAN, "file": {"sheet": "a\0b"}})
        assert told == [("MALFORMED_PLAN", ["input", "plan", "file", "sheet"])]


async def test_the_same_key_makes_and_starts_once(db: Database) -> None:
    async with opened(db) as client:
        given = {"name": "a.csv", "idempotencyKey": "one"}
        first, again = [await do(client, "createImport", **given) for _ in range(2)]
        assert first["id"] == again["id"]
        assert [code for code, _ in await refused(client, "createImport", **given | {"name": "b.csv"})] == [
            "IDEMPOTENCY_KEY_REUSED"
        ]
        await client.http.put(first["uploadUrl"], content=PEOPLE, headers=client.headers)
        start = {"id": first["id"], "plan": PLAN, "idempotencyKey": "two"}
        assert (await do(client, "startImport", **start))["status"] == "RUNNING"
        await worked(db, client)
        assert (await do(client, "startImport", **start))["status"] == "DONE"
        assert [code for code, _ in await refused(client, "startImport", id=first["id"])] == [
            "IMPORT_NOT_READY"
        ]


def form(operations: Any, places: Any, *files: tuple[str, str, bytes], boundary: str = "B") -> bytes:
    """A multipart request, byte by byte."""
    parts = [
        ("operations", None, json.dumps(operations).encode()),
        ("map", None, json.dumps(places).encode()),
    ]
    content = b""
    for name, filename, body in [*parts, *files]:
        called = "" if filename is None else f'; filename="{filename}"'
        content += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{called}\r\n\r\n'.encode()
        content += body + b"\r\n"
    return content + f"--{boundary}--\r\n".encode()


CREATE = f"mutation ($input: CreateImportInput!) {{ createImport(input: $input) {{ {PAYLOAD} }} }}"
OPERATIONS = {"query": CREATE, "variables": {"input": {"file": None}}}
PLACES = {"0": ["variables.input.file"]}


async def posted(
    client: Client, content: bytes, http: httpx.AsyncClient | None = None, **more: str
) -> httpx.Response:
    headers = {"Content-Type": "multipart/form-data; boundary=B", "GraphQL-Preflight": "1"} | more
    return await (http or client.http).post("/graphql", content=content, headers=client.headers | headers)


async def test_a_file_comes_along_with_the_mutation_whatever_it_holds(db: Database) -> None:
    async with opened(db) as client:
        # Boundaries that are none, and breaks where a boundary would begin.
        for content in (
            PEOPLE,
            b"",
            b"a\r\n--",
            b"\r\n--C\r\n--\r\n",
            b"\r\n" * 999,
            bytes(range(256)) * 5_000,
        ):
            answer = await posted(client, form(OPERATIONS, PLACES, ("0", r"C:\lists\people.csv", content)))
            payload = answer.json()["data"]["createImport"]
            if not content:
                assert payload["userErrors"][0]["code"] == "FILE_UNREADABLE"
                assert payload["userErrors"][0]["path"] == ["input", "file"]
                continue
            assert payload["userErrors"] == []
            made = payload["import"]
            assert (made["name"], made["status"], made["file"]["size"]) == (
                "people.csv",
                "UPLOADED",
                len(content),
            )
        async with db.pool.acquire() as connection:
            rows = await connection.fetch(
                "SELECT string_agg(data, ''::bytea ORDER BY n) AS data FROM import_chunk "
                "GROUP BY import_id ORDER BY import_id"
            )
        assert rows[-1]["data"] == bytes(range(256)) * 5_000
        assert rows[0]["data"] == PEOPLE


async def test_a_form_in_any_pieces_is_the_same_form() -> None:
    content = form({"query": "q"}, {}, ("x", "f", b"one\r\n--C\r\n"), ("y", "g", b""))

    async def whole(size: int) -> list[Any]:
        async def pieces() -> AsyncIterator[bytes]:
            for n in range(0, len(content), size):
                yield content[n : n + size]

        found: list[Any] = []
        async for part in multipart._parts(pieces(), b"B"):
            if isinstance(part, bytes) and found and isinstance(found[-1], bytes):
                found[-1] += part
            else:
                found.append(part)
        return found

    first = await whole(len(content))
    for size in range(1, 40):
        assert await whole(size) == first
    assert first[5:] == [b"one\r\n--C\r\n", multipart._Part("y", "g")]


BAD_FORMS = {
    "no preflight": (form(OPERATIONS, PLACES, ("0", "f", b"a")), {"GraphQL-Preflight": ""}, 415),
    "no boundary": (b"", {"Content-Type": "multipart/form-data"}, 400),
    "cut": (form(OPERATIONS, PLACES, ("0", "f", b"a"))[:-9], {}, 400),
    "empty": (b"", {}, 400),
    "file first": (form(OPERATIONS, PLACES, ("0", "f", b"a")).replace(b'"operations"', b'"other"'), {}, 400),
    "no file": (form(OPERATIONS, PLACES), {}, 400),
    "not named": (form(OPERATIONS, PLACES, ("1", "f", b"a")), {}, 400),
    "twice": (form(OPERATIONS, PLACES, ("0", "f", b"a"), ("0", "f", b"a")), {}, 400),
    "elsewhere": (form(OPERATIONS, {"0": ["variables.input.name.x"]}, ("0", "f", b"a")), {}, 400),
    "no null": (form(OPERATIONS, {"0": ["query"]}, ("0", "f", b"a")), {}, 400),
    "batch": (form([OPERATIONS], {"0": ["0.variables.input.file"]}, ("0", "f", b"a")), {}, 400),
    "no map": (form(OPERATIONS, [1], ("0", "f", b"a")), {}, 400),
    "query": (form({"query": "{ account { name } }"}, {}), {}, 415),
    "no key": (form(OPERATIONS, PLACES, ("0", "f", b"a")), {"Authorization": ""}, 401),
}


@pytest.mark.parametrize("case", BAD_FORMS)
async def test_a_form_that_is_none_is_told(db: Database, case: str) -> None:
    content, headers, status = BAD_FORMS[case]
    async with opened(db) as client:
        given = {"Content-Type": "multipart/form-data; boundary=B", "GraphQL-Preflight": "1"} | client.headers
        answer = await client.http.post(
            "/graphql", content=content, headers={k: v for k, v in (given | headers).items() if v}
        )
        assert answer.status_code == status, answer.text
        assert answer.json()["errors"][0]["extensions"]["code"] != "INTERNAL_ERROR"


async def test_files_are_variables_and_nothing_else(db: Database) -> None:
    async with opened(db) as client:
        answer = await client.ask(CREATE, input={"file": "text"})
        assert "multipart" in answer["errors"][0]["message"]
        literal = 'mutation { createImport(input: {file: "x"}) { import { id } } }'
        assert "errors" in await client.ask(literal)
        assert await refused(client, "createImport") == [("INVALID_INPUT", ["input", "name"])]


async def test_only_whoever_may_write_records_imports(db: Database) -> None:
    async with opened(db) as client:
        ident = await sent(client, PEOPLE)
        key = await new_key(db, client.account_id, Role.VIEWER, [Scope.RECORDS_READ])
        viewer = Client(client.http, key, client.account_id)
        assert (await read(viewer, ident))["status"] == "UPLOADED"
        put = await viewer.http.put(f"/imports/{ident}/file", content=b"a\n", headers=viewer.headers)
        assert put.status_code == 403
        assert (await posted(viewer, form(OPERATIONS, PLACES, ("0", "f", b"a")))).status_code == 403
        answer = await viewer.ask(CREATE, input={"name": "x"})
        assert answer["errors"][0]["extensions"]["code"] == "MISSING_SCOPE"
        assert (await client.http.put(f"/imports/{ident}/file", content=b"a\n")).status_code == 401


async def test_files_beyond_the_limit_are_refused_and_not_kept(db: Database) -> None:
    async with opened(db, limits=Limits(files=3 << 20)) as client:
        made = await do(client, "createImport", name="big.csv")

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 100_000

        for content in (b"x" * (4 << 20), endless()):
            answer = await client.http.put(made["uploadUrl"], content=content, headers=client.headers)
            assert answer.status_code == 413
            (told,) = answer.json()["errors"]
            assert told["extensions"]["code"] == "FILE_TOO_LARGE"
            assert told["message"].endswith(": split it, and import its parts one by one.")
        answer = await posted(client, form(OPERATIONS, PLACES, ("0", "f", b"x" * (4 << 20))))
        assert answer.status_code == 413
        answer = await posted(
            client, form(OPERATIONS | {"query": "x" * 11_000_000}, PLACES, ("0", "f", b"x"))
        )
        assert answer.status_code == 413
        async with db.pool.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM import_chunk") == 0
        assert (await read(client, made["id"]))["status"] == "CREATED"


async def test_over_a_real_server_a_sender_that_leaves_leaves_nothing(db: Database) -> None:
    async with opened(db) as client:
        made = await do(client, "createImport", name="people.csv")
        async with served(create_app(db)) as path:
            transport = httpx.AsyncHTTPTransport(uds=str(path))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://relata.test", timeout=PATIENCE
            ) as http:

                async def leaving() -> AsyncIterator[bytes]:
                    for _ in range(30):
                        yield b"x" * 100_000
                    raise ConnectionResetError

                with pytest.raises(ConnectionResetError):
                    await http.put(made["uploadUrl"], content=leaving(), headers=client.headers)
                async with asyncio.timeout(PATIENCE):
                    while await db.pool.fetchval("SELECT count(*) FROM import_chunk"):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                assert (await read(client, made["id"]))["status"] == "CREATED"
                sent_again = await http.put(made["uploadUrl"], content=PEOPLE, headers=client.headers)
                assert sent_again.json()["status"] == "UPLOADED"
                answer = await posted(client, form(OPERATIONS, PLACES, ("0", "x.csv", PEOPLE)), http)
                assert answer.json()["data"]["createImport"]["import"]["status"] == "UPLOADED"


async def test_of_two_senders_the_last_one_counts(db: Database) -> None:
    async with opened(db) as client:
        made = await do(client, "createImport", name="people.csv")
        sent_some, over = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"x" * (3 << 20)
            sent_some.set()
            await over.wait()
            yield b"x" * (3 << 20)

        first = asyncio.create_task(
            client.http.put(made["uploadUrl"], content=slow(), headers=client.headers)
        )
        await sent_some.wait()
        second = await client.http.put(made["uploadUrl"], content=PEOPLE, headers=client.headers)
        over.set()
        late = await first
        assert (late.status_code, late.json()["errors"][0]["extensions"]["code"]) == (409, "UPLOAD_OVERTAKEN")
        assert second.json()["size"] == len(PEOPLE)
        async with db.pool.acquire() as connection:
            rows = await connection.fetch("SELECT n, data FROM import_chunk ORDER BY n")
        assert [tuple(row) for row in rows] == [(0, PEOPLE)]
        started = await do(client, "startImport", id=made["id"], plan=PLAN)
        assert started["status"] == "RUNNING"


async def test_what_is_cancelled_while_its_file_comes_takes_no_more_of_it(db: Database) -> None:
    async with opened(db) as client:
        made = await do(client, "createImport", name="people.csv")

        async def cancelled() -> AsyncIterator[bytes]:
            yield b"x" * (2 << 20)
            await do(client, "cancelImport", id=made["id"])
            yield b"x" * (2 << 20)

        answer = await client.http.put(made["uploadUrl"], content=cancelled(), headers=client.headers)
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (
            409,
            "IMPORT_NOT_READY",
        )
        await worked(db, client)
        async with db.pool.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM import_chunk") == 0
        assert (await read(client, made["id"]))["status"] == "CANCELLED"
