"""Records go out as files: chosen columns, labels by name, in order, of one moment; and no formula runs anywhere."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from openpyxl import load_workbook

from engine.access import Role, Scope
from engine.exports import run
from server import exports as served_exports
from server.app import create_app
from storage.database import Database
from tests.face import Client, new_key, opened
from tests.processes import PATIENCE
from tests.served import served
from tests.statements import counted

PATH = "/exports/records"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PIECE", 3)
    monkeypatch.setattr(run, "NEIGHBOURS", 4)


async def made(client: Client, object_type: str, *properties: dict[str, Any]) -> list[str]:
    payload = await client.do(
        "createRecords",
        "results { record { id } userErrors { message } }",
        {"objectType": object_type, "records": [{"properties": each} for each in properties]},
    )
    assert all(not one["userErrors"] for one in payload["results"]), payload
    return [one["record"]["id"] for one in payload["results"]]


async def defined(client: Client, object_type: str, name: str, **more: Any) -> None:
    given = {"objectType": object_type, "name": name, "label": name.title(), "type": "STRING"} | more
    payload = await client.do("createProperty", "userErrors { message }", given)
    assert payload["userErrors"] == []


async def labelled(client: Client, near: str, far: str, label: str, name: str, **more: Any) -> None:
    given = {"from": near, "to": far, "label": label, "name": name} | more
    payload = await client.do("createAssociationLabel", "userErrors { message }", given)
    assert payload["userErrors"] == []


async def associated(client: Client, *pairs: tuple[str, str, list[str]]) -> None:
    given = [{"fromId": near, "toId": far, "labels": labels} for near, far, labels in pairs]
    payload = await client.do(
        "associate", "results { userErrors { message } } userErrors { message }", {"associations": given}
    )
    assert all(not one["userErrors"] for one in [payload, *payload["results"]]), payload


async def fetched(client: Client, **asked: Any) -> httpx.Response:
    return await client.http.get(PATH, params=asked, headers=client.headers)


def lines(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def problem(answer: httpx.Response) -> tuple[int, str, Any]:
    (error, *_) = answer.json()["errors"]
    return answer.status_code, error["extensions"]["code"], error["extensions"].get("path")


async def people(client: Client) -> list[str]:
    """Four contacts; Ann works for two companies, one of which pays her bills, and looks after a third."""
    contacts = await made(
        client,
        "contacts",
        {"email": "ann@x.org", "firstname": "Ann", "lastname": "=cmd()", "phone": "+49 30 1234567"},
        {"email": "bob@x.org", "firstname": 'Bob "B", jr', "lastname": "two\nlines"},
        {"email": "cat@x.org", "firstname": "Cat"},
        {"email": "dan@x.org", "firstname": "Dan", "lastname": "Alone"},
    )
    await defined(client, "companies", "number", unique=True)
    companies = await made(
        client,
        "companies",
        {"name": "A;B", "number": "a"},
        {"name": "Acme", "number": "@1"},
        {"name": "Zeta"},
    )
    await labelled(client, "contacts", "companies", "Billing", "billing", inverseLabel="Billed")
    await associated(
        client,
        (contacts[0], companies[0], ["billing"]),
        (contacts[0], companies[1], []),
        (contacts[1], companies[1], ["billing"]),
        (contacts[2], companies[2], ["billing"]),
    )
    return contacts


async def test_a_query_goes_out_with_its_companies_by_label(db: Database) -> None:
    async with opened(db) as client:
        contacts = await people(client)
        columns = [
            "id", "email", "lastname", "companies", "companies (Billing)", "companies.number (billing)",
        ]  # fmt: skip
        answer = await fetched(client, objectType="contacts", column=columns)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8", answer.text
        assert answer.headers["content-disposition"] == 'attachment; filename="contacts.csv"'
        assert lines(answer) == [
            [*columns[:5], "companies.number (Billing)"],
            [contacts[0], "ann@x.org", "'=cmd()", r"A\;B;Acme", r"A\;B", "a"],
            [contacts[1], "bob@x.org", "two\nlines", "Acme", "Acme", "'@1"],
            # What has no number cannot be named by it.
            [contacts[2], "cat@x.org", "", "Zeta", "Zeta", ""],
            [contacts[3], "dan@x.org", "Alone", "", "", ""],
        ]


async def test_the_same_goes_out_as_a_workbook_and_as_lines_of_json(db: Database) -> None:
    async with opened(db) as client:
        await people(client)
        asked: dict[str, Any] = {
            "objectType": "contacts",
            "column": ["email", "lastname", "companies (Billing)"],
            "orderBy": "email:DESC",
        }
        book = load_workbook(io.BytesIO((await fetched(client, **asked, format="xlsx")).content))
        rows = [[cell.value for cell in row] for row in book.worksheets[0].iter_rows()]
        assert rows == [
            ["email", "lastname", "companies (Billing)"],
            ["dan@x.org", "Alone", None],
            ["cat@x.org", None, "Zeta"],
            ["bob@x.org", "two\nlines", "Acme"],
            ["ann@x.org", "=cmd()", r"A\;B"],
        ]
        answer = await fetched(client, **asked, format="jsonl")
        assert answer.headers["content-type"] == "application/jsonl; charset=utf-8"
        told = [json.loads(line) for line in answer.content.splitlines()]
        assert told[3] == {"email": "ann@x.org", "lastname": "=cmd()", "companies (Billing)": ["A;B"]}
        assert told[0] == {"email": "dan@x.org", "lastname": "Alone", "companies (Billing)": []}


async def test_a_filter_and_a_segment_narrow_and_archived_records_stay_in(db: Database) -> None:
    async with opened(db) as client:
        contacts = await people(client)
        where = {
            "associated": {
                "to": "companies",
                "labels": ["billing"],
                "where": {"property": {"name": "number", "operator": "KNOWN"}},
            }
        }
        asked = {"objectType": "contacts", "column": "email", "orderBy": "email:DESC"}
        found = lines(await fetched(client, **asked, where=json.dumps(where)))
        assert found == [["email"], ["bob@x.org"], ["ann@x.org"]]
        posted = await client.http.post(
            PATH,
            json={
                "objectType": "contacts",
                "columns": ["email"],
                "where": where,
                "orderBy": [{"property": "email", "direction": "DESC"}],
                "format": "CSV",
            },
            headers=client.headers,
        )
        assert lines(posted) == found

        payload = await client.do(
            "createSegment",
            "segment { id } userErrors { message }",
            {"name": "Some", "objectType": "contacts", "kind": "STATIC"},
        )
        segment = payload["segment"]["id"]
        given = {"segmentId": segment, "recordIds": contacts[1:3]}
        await client.do("addToSegment", "userErrors { message }", given)
        await client.do("archiveRecords", "userErrors { message }", {"ids": [contacts[1]]})
        assert lines(await fetched(client, segment=segment, column="email")) == [["email"], ["cat@x.org"]]


async def test_without_columns_all_that_an_import_can_write_goes_out(db: Database) -> None:
    async with opened(db) as client:
        await people(client)
        (head, *rows) = lines(await fetched(client, objectType="contacts"))
        assert {"email", "firstname", "lastname", "phone"} <= set(head)
        assert "id" not in head
        assert dict(zip(head, rows[0], strict=True))["phone"] == "'+49 30 1234567"
        (labels, *same) = lines(await fetched(client, objectType="contacts", headers="labels"))
        assert labels[head.index("firstname")] == "First name"
        assert same == rows


async def test_labels_that_are_called_alike_are_headed_by_internal_names(db: Database) -> None:
    async with opened(db) as client:
        await labelled(client, "contacts", "companies", "Pays", "payer")
        await labelled(client, "contacts", "companies", "PAYS", "other_payer")
        answer = await fetched(client, objectType="contacts", column="companies (payer)")
        assert lines(answer) == [["companies (payer)"]]
        refused = await fetched(client, objectType="contacts", column="companies (Pays)")
        assert problem(refused) == (422, "UNKNOWN_COLUMN_LABEL", ["columns", 0])


@pytest.mark.parametrize(
    ("asked", "code", "path"),
    [
        ({}, "INVALID_PARAMETER", ["objectType"]),
        ({"objectType": "nobodies"}, "UNKNOWN_OBJECT_TYPE", ["objectType"]),
        ({"objectType": "contacts", "nonsense": "1"}, "UNKNOWN_PARAMETER", ["nonsense"]),
        ({"objectType": "contacts", "format": "pdf"}, "INVALID_PARAMETER", ["format"]),
        ({"objectType": "contacts", "where": "{"}, "INVALID_PARAMETER", ["where"]),
        ({"objectType": "contacts", "where": "{}"}, "MALFORMED_FILTER", ["where"]),
        ({"objectType": "contacts", "orderBy": "email:UP"}, "INVALID_PARAMETER", ["orderBy"]),
        ({"objectType": "contacts", "orderBy": "nothing"}, "UNKNOWN_PROPERTY", None),
        ({"objectType": "contacts", "column": "nothing"}, "UNKNOWN_PROPERTY", ["columns", 0]),
        ({"objectType": "contacts", "column": ["email", "email"]}, "COLUMN_REPEATED", ["columns", 1]),
        ({"objectType": "contacts", "column": "companies.name"}, "COLUMN_KEY_NOT_UNIQUE", ["columns", 0]),
        ({"objectType": "contacts", "column": "no (way"}, "MALFORMED_COLUMN", ["columns", 0]),
        ({"objectType": "contacts", "segment": "x"}, "MALFORMED_ID", ["segment"]),
        ({"segment": "seg_999"}, "NOT_FOUND", ["segment"]),
    ],
)
async def test_what_cannot_be_exported_is_told_instead_of_a_file(
    db: Database, asked: dict[str, Any], code: str, path: Any
) -> None:
    async with opened(db) as client:
        answer = await fetched(client, **asked)
        status, found, where = problem(answer)
        assert (found, status) == (code, 404 if code in ("NOT_FOUND", "UNKNOWN_OBJECT_TYPE") else 422)
        assert path is None or where == path, answer.text


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b'{"where": 1}', b'{"columns": "email"}', b'{"orderBy": [1]}', b'"x"']
)
async def test_a_document_that_is_none_is_told(db: Database, body: bytes) -> None:
    async with opened(db) as client:
        headers = client.headers | {"Content-Type": "application/json"}
        answer = await client.http.post(PATH, content=body, headers=headers)
        assert answer.status_code in (400, 422), answer.text
        plain = await client.http.post(PATH, content=body, headers=client.headers)
        assert plain.status_code == 415


async def test_only_whoever_may_read_records_of_the_account_gets_them(db: Database) -> None:
    async with opened(db) as client:
        await people(client)
        narrow = await new_key(db, client.account_id, Role.VIEWER, [Scope.AUTOMATION_READ])
        headers = {"Authorization": f"Bearer {narrow}"}
        answer = await client.http.get(PATH, params={"objectType": "contacts"}, headers=headers)
        assert answer.status_code == 403
        assert (await client.http.get(PATH, params={"objectType": "contacts"})).status_code == 401
    async with opened(db, "other") as stranger:
        assert len(lines(await fetched(stranger, objectType="contacts", column="email"))) == 1


async def test_a_file_is_of_one_moment_however_long_it_takes(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(db) as client:
        ids = await made(client, "contacts", *({"email": f"{n}@x.org"} for n in range(20)))
        before, after = asyncio.Event(), asyncio.Event()
        rows = run._rows

        async def slowly(*given: Any) -> Any:
            if before.is_set():
                await after.wait()
            before.set()
            return await rows(*given)

        monkeypatch.setattr(run, "_rows", slowly)
        fetching = asyncio.create_task(fetched(client, objectType="contacts", column="email"))
        await before.wait()
        await client.do("archiveRecords", "userErrors { message }", {"ids": ids[10:]})
        await client.do(
            "updateRecords",
            "userErrors { message }",
            {"records": [{"id": ids[9], "properties": {"email": "new@x.org"}}]},
        )
        after.set()
        assert [row[0] for row in lines(await fetching)[1:]] == [f"{n}@x.org" for n in range(20)]


async def test_what_fails_on_the_way_breaks_the_connection_off(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(db) as client:
        await made(client, "contacts", *({"email": f"{n}@x.org"} for n in range(9)))
        key = client.key
        rows, count = run._rows, 0

        async def failing(*given: Any) -> Any:
            nonlocal count
            count += 1
            if count == 2:
                raise RuntimeError("the disk is gone")
            return await rows(*given)

        monkeypatch.setattr(run, "_rows", failing)
        async with served(create_app(db)) as path:
            transport = httpx.AsyncHTTPTransport(uds=str(path))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://relata.test", timeout=PATIENCE
            ) as http:
                asked = {"objectType": "contacts", "column": "email"}
                headers = {"Authorization": f"Bearer {key}"}
                got = b""
                with pytest.raises(httpx.RemoteProtocolError):
                    async with http.stream("GET", PATH, params=asked, headers=headers) as answer:
                        assert answer.status_code == 200
                        async for piece in answer.aiter_bytes():
                            got += piece
                assert got.count(b"\r\n") == 4
                # The next one is whole, and nothing is left behind.
                count = 10
                whole = await http.get(PATH, params=asked, headers=headers)
                assert whole.content.count(b"\r\n") == 10


async def test_what_fails_at_once_is_told_instead_of_a_file(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: Any) -> Any:
        raise RuntimeError("the disk is gone")

    async with opened(db) as client:
        await made(client, "contacts", {"email": "a@x.org"})
        monkeypatch.setattr(run, "_rows", failing)
        for format_ in run.Format:
            answer = await fetched(client, objectType="contacts", format=format_.value)
            assert problem(answer)[:2] == (500, "INTERNAL_ERROR")


async def test_whoever_leaves_or_takes_nothing_leaves_nothing_behind(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_exports, "AT_A_TIME", 1)
    monkeypatch.setattr(served_exports, "PATIENCE", 0.2)
    monkeypatch.setattr(run, "PIECE", 1_000)
    closed = asyncio.Event()

    async def endless(*_: Any) -> AsyncGenerator[list[list[Any]], None]:
        try:
            while True:
                yield [["x" * 1_000]] * 1_000
                await asyncio.sleep(0)
        finally:
            closed.set()

    async with opened(db) as client:
        key = client.key
        pieces = run._pieces
        async with served(create_app(db)) as path:
            transport = httpx.AsyncHTTPTransport(uds=str(path))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://relata.test", timeout=PATIENCE
            ) as http:
                asked = {"objectType": "contacts", "column": "email"}
                headers = {"Authorization": f"Bearer {key}"}
                for stays in (True, False):
                    monkeypatch.setattr(run, "_pieces", endless)
                    closed.clear()
                    async with http.stream("GET", PATH, params=asked, headers=headers) as answer:
                        assert answer.status_code == 200
                        await anext(answer.aiter_bytes())
                        if stays:
                            await asyncio.wait_for(closed.wait(), PATIENCE)
                    await asyncio.wait_for(closed.wait(), PATIENCE)
                    monkeypatch.setattr(run, "_pieces", pieces)
                    # The one place is free again.
                    assert (await http.get(PATH, params=asked, headers=headers)).status_code == 200


async def test_few_statements_whatever_the_number_of_records(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "PIECE", 1_000)
    monkeypatch.setattr(run, "NEIGHBOURS", 50_000)
    async with opened(db) as client:
        contacts = await made(client, "contacts", *({"email": f"{n}@x.org"} for n in range(60)))
        companies = await made(client, "companies", *({"name": f"C{n}"} for n in range(30)))
        await associated(client, *((contact, companies[n % 30], []) for n, contact in enumerate(contacts)))
        asked = {"objectType": "contacts", "column": ["email", "companies", "companies.id"]}
        with counted() as told:
            assert len(lines(await fetched(client, **asked))) == 61
        # The catalogue's version; ids, records, counters, associations, companies.
        assert len(told) <= 6, told


async def test_exports_of_long_texts_say_which_column_a_workbook_cannot_hold(db: Database) -> None:
    async with opened(db) as client:
        await defined(client, "contacts", "story")
        await made(client, "contacts", {"email": "a@x.org", "story": "x" * 40_000})
        asked = {"objectType": "contacts", "column": ["email", "story"]}
        assert problem(await fetched(client, **asked, format="xlsx"))[:2] == (422, "CELL_TOO_LONG")
        assert len(lines(await fetched(client, **asked))[1][1]) == 40_000


async def test_what_a_report_says_goes_out_as_a_file(db: Database) -> None:
    async with opened(db) as client:
        await made(client, "contacts", {"city": "=Bonn"}, {"city": "=Bonn"}, {"city": "Rom"}, {})
        definition = {
            "objectType": "contacts",
            "axes": [{"property": {"name": "city"}}],
            "measures": [{"function": "COUNT"}, {"function": "COUNT"}],
        }
        payload = await client.do(
            "createReport",
            "report { id } userErrors { message }",
            {"name": "Cities", "definition": definition},
        )
        assert payload["userErrors"] == []
        asked = {"report": payload["report"]["id"]}

        async def got(**more: str) -> httpx.Response:
            return await client.http.get("/exports/reports", params=asked | more, headers=client.headers)

        assert lines(await got()) == [
            ["City", "Contacts", "Contacts 2"],
            ["'=Bonn", "2", "2"],
            ["Rom", "1", "1"],
            ["(No value)", "1", "1"],
        ]
        told = [json.loads(line) for line in (await got(format="jsonl")).content.splitlines()]
        assert told[0] == {"City": "=Bonn", "Contacts": 2, "Contacts 2": 2}
        book = load_workbook(io.BytesIO((await got(format="xlsx")).content))
        assert [cell.value for cell in book.worksheets[0][3]] == ["Rom", 1, 1]
        for more, code in (({"report": "rep_9"}, "MALFORMED_ID"), ({"x": "1"}, "UNKNOWN_PARAMETER")):
            assert problem(await got(**more))[1] in (code, "NOT_FOUND")


async def test_the_address_of_a_file_is_told_by_graphql(db: Database) -> None:
    async with opened(db, public_url="https://crm.example") as client:
        await people(client)
        text = """query ($type: String, $where: FilterInput, $columns: [String!], $format: ExportFormat!,
          $order: [OrderInput!]) { exportUrl(objectType: $type, where: $where, columns: $columns, format: $format,
          orderBy: $order) }"""
        asked: dict[str, Any] = {
            "type": "contacts",
            "where": {"property": {"name": "firstname", "operator": "ANY_OF", "values": ["Ann", "Dan"]}},
            "columns": ["email", "companies (Billing)"],
            "order": [{"property": "email", "direction": "DESC"}],
            "format": "CSV",
        }
        url = (await client.get(text, **asked))["exportUrl"]
        assert url.startswith("https://crm.example/exports/records?")
        answer = await client.http.get(url.removeprefix("https://crm.example"), headers=client.headers)
        assert [row[0] for row in lines(answer)] == ["email", "dan@x.org", "ann@x.org"]
        wrong = await client.ask(text, **asked | {"columns": ["nothing"]})
        assert wrong["errors"][0]["extensions"]["code"] == "UNKNOWN_PROPERTY"
        many = {"property": {"name": "firstname", "operator": "ANY_OF", "values": ["x" * 90] * 99}}
        long = await client.ask(text, **asked | {"where": many})
        assert long["errors"][0]["extensions"]["code"] == "EXPORT_ADDRESS_TOO_LONG"
