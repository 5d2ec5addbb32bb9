"""Addresses that open one file without a key: for a while, as they were signed, no longer than the key behind them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from engine.access import Role, Scope
from engine.signing import Signer
from engine.sync.credentials import new_key as new_secret
from server.app import create_app
from storage.database import Database
from tests.face import T0, Client, clients, new_key, opened
from tests.test_exports import lines, people, problem
from tests.test_sync_export import filled

SECRET = new_secret()
SIGNER = Signer(lambda _making: [SECRET])
FIELDS = "url filename format expiresAt userErrors { code message path }"


@asynccontextmanager
async def stage(db: Database, **options: Any) -> AsyncIterator[tuple[Client, list[datetime]]]:
    """A client with people, on a clock that tests set."""
    at = [T0]
    given: dict[str, Any] = {
        "now": lambda: at[0],
        "signer": SIGNER,
        "public_url": "https://crm.example",
    } | options
    async with opened(db, **given) as client:
        await people(client)
        yield client, at


async def linked(client: Client, **asked: Any) -> dict[str, Any]:
    payload: dict[str, Any] = await client.do("createExport", FIELDS, asked)
    return payload


async def got(client: Client, url: str, **headers: str) -> httpx.Response:
    assert url.startswith("https://crm.example/")
    return await client.http.get(url.removeprefix("https://crm.example"), headers=headers)


async def test_whoever_has_the_address_has_the_file_for_an_hour(db: Database) -> None:
    async with stage(db) as (client, at):
        payload = await linked(
            client,
            objectType="contacts",
            where={"property": {"name": "firstname", "operator": "ANY_OF", "values": ["Ann", "Dan"]}},
            columns=["email", "companies (Billing)"],
            orderBy=[{"property": "email", "direction": "DESC"}],
        )
        assert payload["userErrors"] == []
        assert (payload["filename"], payload["format"]) == ("contacts.csv", "CSV")
        assert payload["expiresAt"] == "2026-03-01T13:00:00.000Z"
        for later in (0, 59, 60):
            at[0] = T0 + timedelta(minutes=later)
            answer = await got(client, payload["url"])
            assert [row[0] for row in lines(answer)] == ["email", "dan@x.org", "ann@x.org"]
            assert answer.headers["content-disposition"] == 'attachment; filename="contacts.csv"'
            assert answer.headers["cache-control"] == "private, no-store"
        at[0] = T0 + timedelta(minutes=60, seconds=1)
        assert problem(await got(client, payload["url"]))[:2] == (410, "EXPORT_LINK_EXPIRED")


async def test_an_address_opens_what_was_signed_and_nothing_else(db: Database) -> None:
    async with stage(db) as (client, _):
        url = (await linked(client, objectType="contacts", columns=["email"], minutes=5))["url"]
        other = (await linked(client, objectType="companies", columns=["name"]))["url"]
        path, given = urlsplit(url).path, parse_qsl(urlsplit(url).query)
        token = dict(parse_qsl(urlsplit(other).query))["token"]
        changed = [
            [*given, ("column", "lastname")],
            [("objectType", "companies") if name == "objectType" else (name, text) for name, text in given],
            [(name, token if name == "token" else text) for name, text in given],
            [*given, ("token", token)],
            list(reversed(given)),
            *(
                [(name, text[:n] + "A" + text[n + 1 :] if name == "token" else text) for name, text in given]
                for n in (3, len(dict(given)["token"]) - 5)
            ),
            [(name, "x" * 5_000 if name == "token" else text) for name, text in given],
            [(name, "é.é" if name == "token" else text) for name, text in given],
            [(name, "" if name == "token" else text) for name, text in given],
        ]
        for parameters in changed:
            answer = await got(client, f"https://crm.example{path}?{urlencode(parameters)}")
            assert problem(answer)[:2] == (403, "EXPORT_LINK_INVALID"), parameters
            # Nor does a good key make a bad signature good.
            answer = await got(client, f"https://crm.example{path}?{urlencode(parameters)}", **client.headers)
            assert answer.status_code == 403
        moved = f"https://crm.example/exports/reports?{urlencode(given)}"
        assert problem(await got(client, moved))[:2] == (403, "EXPORT_LINK_INVALID")
        assert (await got(client, url)).status_code == 200


async def test_an_address_ends_with_the_key_that_asked_for_it(db: Database) -> None:
    async with stage(db) as (client, _):
        viewer = Client(client.http, await new_key(db, client.account_id, Role.VIEWER), client.account_id)
        url = (await linked(viewer, objectType="contacts"))["url"]
        assert (await got(client, url)).status_code == 200
        keys = (await client.get("{ keys { id role } }"))["keys"]
        (number,) = [key["id"] for key in keys if key["role"] == "VIEWER"]
        await client.do("revokeKey", "userErrors { message }", {"id": number})
        assert problem(await got(client, url))[:2] == (403, "EXPORT_LINK_INVALID")


async def test_what_is_wrong_is_told_before_anything_is_signed(db: Database) -> None:
    async with stage(db) as (client, _):
        cases: list[tuple[dict[str, Any], str, list[str | int]]] = [
            ({"objectType": "nothing"}, "UNKNOWN_OBJECT_TYPE", ["input", "objectType"]),
            ({"objectType": "contacts", "columns": ["nix"]}, "UNKNOWN_PROPERTY", ["input", "columns", 0]),
            ({"objectType": "contacts", "minutes": 0}, "EXPORT_MINUTES_UNFIT", ["input", "minutes"]),
            ({"objectType": "contacts", "minutes": 10_081}, "EXPORT_MINUTES_UNFIT", ["input", "minutes"]),
            ({"report": "rpt_x"}, "MALFORMED_ID", ["input", "report"]),
            ({"report": "rep_x", "objectType": "contacts"}, "EXPORT_AMBIGUOUS", ["input", "objectType"]),
        ]
        for asked, code, path in cases:
            payload = await linked(client, **asked)
            assert payload["url"] is None
            assert [(one["code"], one["path"]) for one in payload["userErrors"]] == [(code, path)], payload
        many = {"property": {"name": "firstname", "operator": "ANY_OF", "values": ["x" * 90] * 99}}
        payload = await linked(client, objectType="contacts", where=many)
        assert [one["code"] for one in payload["userErrors"]] == ["EXPORT_LINK_TOO_LONG"]


async def test_a_report_is_opened_by_an_address_too(db: Database) -> None:
    async with stage(db) as (client, _):
        definition = {"objectType": "contacts", "measures": [{"function": "COUNT"}]}
        report = await client.do(
            "createReport",
            "report { id } userErrors { message }",
            {"name": "All", "definition": definition},
        )
        payload = await linked(client, report=report["report"]["id"], format="JSONL")
        assert (payload["userErrors"], payload["filename"]) == ([], "report.jsonl")
        answer = await got(client, payload["url"])
        assert answer.status_code == 200, answer.text
        assert b"4" in answer.content


async def test_errors_of_an_import_are_opened_by_an_address_too(db: Database) -> None:
    async with stage(db) as (client, at):
        made = await client.do("createImport", "import { id } userErrors { message }", {"name": "people.csv"})
        ident = made["import"]["id"]
        payload = await linked(client, importErrors=ident)
        assert (payload["userErrors"], payload["filename"]) == ([], f"{ident}-errors.csv")
        answer = await got(client, payload["url"])
        assert (answer.status_code, lines(answer)) == (200, [["row", "column", "value", "code", "message"]])
        other = await client.do("createImport", "import { id } userErrors { message }", {"name": "b.csv"})
        moved = payload["url"].replace(ident, other["import"]["id"])
        assert problem(await got(client, moved))[:2] == (403, "EXPORT_LINK_INVALID")
        # What is taken in needs a key, whatever is signed.
        path = payload["url"].removeprefix("https://crm.example").replace("/errors", "/file")
        assert (await client.http.put(path, content=b"x")).status_code == 401
        at[0] = T0 + timedelta(minutes=61)
        assert problem(await got(client, payload["url"]))[:2] == (410, "EXPORT_LINK_EXPIRED")
        for wrong, code, where in (
            ({"importErrors": "imp_999999"}, "NOT_FOUND", "importErrors"),
            ({"importErrors": "../x"}, "MALFORMED_ID", "importErrors"),
            ({"importErrors": ident, "format": "XLSX"}, "INVALID_PARAMETER", "format"),
            ({"importErrors": ident, "columns": ["email"]}, "EXPORT_AMBIGUOUS", "columns"),
            ({"importErrors": ident, "report": "rep_1"}, "EXPORT_AMBIGUOUS", "importErrors"),
        ):
            told = (await linked(client, **wrong))["userErrors"]
            assert [(one["code"], one["path"]) for one in told] == [(code, ["input", where])], wrong


async def test_records_of_syncs_are_opened_by_an_address_too(db: Database) -> None:
    it = await filled(db)
    app = create_app(it.db, now=lambda: T0, signer=SIGNER, public_url="https://crm.example")
    async with clients(app) as http:
        client = Client(http, await new_key(it.db, it.account), it.account)
        narrowed = {"state": "FAILED", "category": "INVALID_VALUE", "since": "2026-01-01T00:00:00+01:00"}
        payload = await linked(client, syncRecords=narrowed, format="XLSX")
        assert (payload["userErrors"], payload["filename"]) == ([], "sync-records.xlsx")
        assert (await got(client, payload["url"])).content.startswith(b"PK")
        url = (await linked(client, syncRecords={"state": "FAILED"}))["url"]
        assert [row[-1] for row in lines(await got(client, url))][1:] != []
        assert len(lines(await got(client, url))) == 2
        widened = url.replace("state=FAILED", "state=IN_SYNC")
        assert problem(await got(client, widened))[:2] == (403, "EXPORT_LINK_INVALID")
        told = (await linked(client, syncRecords={"sync": "syn_999999"}))["userErrors"]
        assert [(one["code"], one["path"]) for one in told] == [
            ("NOT_FOUND", ["input", "syncRecords", "sync"])
        ]
        reads = await new_key(it.db, it.account, Role.SUPER_ADMIN, [Scope.RECORDS_READ])
        told = (await linked(Client(http, reads, it.account), syncRecords={}))["userErrors"]
        assert [one["code"] for one in told] == ["MISSING_SCOPE"]


async def test_without_a_key_nothing_is_signed(db: Database) -> None:
    async with stage(db, signer=None) as (client, _):
        payload = await linked(client, objectType="contacts")
        assert [one["code"] for one in payload["userErrors"]] == ["SIGNING_KEY_MISSING"]


@pytest.mark.parametrize("count", [1, 2])
def test_words_of_an_older_key_are_good_and_of_another_purpose_are_not(count: int) -> None:
    old, new = new_secret(), new_secret()
    words = Signer(lambda _making: [old]).signed("one", ["a", 1], b"about")
    now = Signer(lambda _making: [new, old][:count])
    assert now.read("one", words, b"about") == (["a", 1] if count == 2 else None)
    both = Signer(lambda _making: [new, old])
    assert both.read("other", words, b"about") is None
    assert both.read("one", words, b"other") is None
