"""How records stand as a file for spreadsheets; and the address at which apps tell of changes."""

import contextlib
import csv
import io
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import httpx
import orjson
import pytest
from openpyxl import load_workbook

from engine import tables
from engine.access import Role, Scope
from engine.problems import NotFound
from engine.sync import apps, export, hints
from engine.sync.connectors.protocol import Capabilities, Connector, Setting, Surroundings
from engine.sync.credentials import Vault, new_key, owner
from engine.sync.hints import HintsUnsupported
from server.app import create_app
from storage.database import Database
from tests import face
from tests.crm import T0
from tests.face import clients
from tests.sync_elsewhere import CAN, Elsewhere
from tests.sync_stage import Stage, another, stage

ADDRESS = "/exports/sync-records"


@contextlib.asynccontextmanager
async def asking(it: Stage, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client with a key of the stage's account."""
    key = await face.new_key(it.db, it.account)
    async with clients(create_app(it.db, now=lambda: T0, **options)) as http:
        http.headers["Authorization"] = f"Bearer {key}"
        yield http


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


async def filled(db: Database) -> Stage:
    it = await stage(db)
    ann = await it.crm.contact(firstname="Ann", lastname='O"Hara', email="ann@example.com")
    await it.links(
        {"record_id": ann, "external_id": "a,1", "state": "IN_SYNC", "url": "https://example.com/a"},
        {
            "external_id": "=cmd()",
            "state": "FAILED",
            "category": "INVALID_VALUE",
            "message": "+1 is\nno city, é",
            "failed_side": "OURS",
            "attempts": 3,
            "failed_at": T0,
        },
    )
    return it


async def test_records_go_out_as_csv_newest_first(db: Database) -> None:
    it = await filled(db)
    async with asking(it) as http:
        answer = await http.get(ADDRESS)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="sync-records.csv"'
    assert answer.content.startswith(b"\xef\xbb\xbf")
    failed, fine = table(answer.content.decode("utf-8-sig"))
    assert tuple(fine) == export.HEADER
    assert (fine["Name"], fine["Their id"], fine["Status"]) == ('Ann O"Hara', "a,1", "IN_SYNC")
    assert (fine["Object type"], fine["Their object"], fine["Connection"]) == (
        "contacts",
        "people",
        "Elsewhere",
    )
    assert (failed["Category"], failed["Attempts"], failed["Failed at"]) == (
        "INVALID_VALUE",
        "3",
        "2026-03-01T12:00:00.000Z",
    )
    assert failed["Tip"].startswith("Correct the value")
    assert failed["Message"] == "'+1 is\nno city, é"


async def test_the_same_goes_out_as_a_workbook(db: Database) -> None:
    it = await filled(db)
    async with asking(it) as http:
        answer = await http.get(ADDRESS, params={"format": "xlsx"})
    assert "spreadsheetml" in answer.headers["content-type"]
    book = load_workbook(io.BytesIO(answer.content))
    (sheet,) = book.worksheets
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert tuple(rows[0]) == export.HEADER
    failed, fine = (dict(zip(export.HEADER, row, strict=True)) for row in rows[1:])
    assert (failed["Their id"], failed["Attempts"], fine["Name"]) == ("=cmd()", 3, 'Ann O"Hara')
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "n", "inlineStr"}


async def test_many_records_go_out_piece_by_piece_and_sheet_by_sheet(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PIECE", 10)
    monkeypatch.setattr(tables, "SHEET", 20)
    it = await stage(db)
    made = await it.links(*({"external_id": str(n), "state": "IN_SYNC"} for n in range(45)))
    async with asking(it) as http:
        lines = table((await http.get(ADDRESS)).content.decode("utf-8-sig"))
        book = load_workbook(io.BytesIO((await http.get(ADDRESS, params={"format": "xlsx"})).content))
    assert [line["Their id"] for line in lines] == [str(n) for n in range(44, -1, -1)]
    assert len(made) == 45
    assert [sheet.max_row - 1 for sheet in book.worksheets] == [20, 20, 5]


async def test_a_file_is_narrowed_as_lists_are(db: Database) -> None:
    it = await filled(db)
    companies = await another(it, "companies")
    await it.links({"external_id": "acme", "state": "IN_SYNC"}, sync=companies)
    cases: list[tuple[Mapping[str, str], list[str]]] = [
        ({"sync": f"syn_{companies}"}, ["acme"]),
        ({"objectType": "contacts"}, ["'=cmd()", "a,1"]),
        ({"state": "IN_SYNC"}, ["acme", "a,1"]),
        ({"state": "IN_SYNC,FAILED", "objectType": "contacts"}, ["'=cmd()", "a,1"]),
        ({"category": "INVALID_VALUE"}, ["'=cmd()"]),
        ({"side": "THEIRS"}, []),
        ({"since": "2026-03-01T12:00:00Z"}, ["acme", "'=cmd()", "a,1"]),
        ({"until": "2026-03-01T12:00:00+00:00"}, []),
    ]
    async with asking(it) as http:
        for asked, expected in cases:
            lines = table((await http.get(ADDRESS, params=asked)).content.decode("utf-8-sig"))
            assert [line["Their id"] for line in lines] == expected, asked


async def test_refusals_are_coded_json(db: Database) -> None:
    it = await filled(db)
    cases: list[tuple[Mapping[str, str], int, str]] = [
        ({"sync": "syn_999"}, 404, "NOT_FOUND"),
        ({"sync": "rec_1"}, 422, "MALFORMED_ID"),
        ({"format": "pdf"}, 422, "INVALID_PARAMETER"),
        ({"state": "GONE"}, 422, "INVALID_PARAMETER"),
        ({"since": "yesterday"}, 422, "INVALID_PARAMETER"),
        ({"since": "0001-01-01T00:00:00+14:00"}, 422, "INVALID_PARAMETER"),
        ({"objectType": "cats"}, 404, "UNKNOWN_OBJECT_TYPE"),
        ({"colour": "blue"}, 422, "UNKNOWN_PARAMETER"),
    ]
    async with asking(it) as http:
        for asked, status, code in cases:
            answer = await http.get(ADDRESS, params=asked)
            told = (answer.status_code, answer.json()["errors"][0]["extensions"]["code"])
            assert told == (status, code), asked
        del http.headers["Authorization"]
        assert (await http.get(ADDRESS)).status_code == 401
        weak = await face.new_key(db, it.account, Role.VIEWER, [Scope.DEFINITIONS_READ])
        answer = await http.get(ADDRESS, headers={"Authorization": f"Bearer {weak}"})
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (
            403,
            "MISSING_SCOPE",
        )


async def test_nobody_gets_another_accounts_records(db: Database) -> None:
    it = await filled(db)
    async with face.opened(db, "other") as stranger:
        answer = await stranger.http.get(ADDRESS, headers=stranger.headers)
        assert table(answer.content.decode("utf-8-sig")) == []
        asked = {"sync": f"syn_{it.sync}"}
        answer = await stranger.http.get(ADDRESS, headers=stranger.headers, params=asked)
        assert answer.status_code == 404


# --- hints -------------------------------------------------------------------------------------------------------


class Talkative:
    """An app that calls us."""

    name: ClassVar[str] = "elsewhere"
    title: ClassVar[str] = "Elsewhere"
    about: ClassVar[str] = "It tells of changes."
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("token", "Token", "What it signs with.", secret=True, required=False),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(hints=True)

    def __init__(self) -> None:
        self.opened = 0

    @contextlib.asynccontextmanager
    async def open(self, settings: Mapping[str, str], surroundings: Surroundings) -> AsyncIterator[Connector]:
        self.opened += 1
        yield Elsewhere()


class Silent(Talkative):
    """One that does not."""

    capabilities: ClassVar[Capabilities] = CAN


@contextlib.asynccontextmanager
async def listening(db: Database) -> AsyncIterator[tuple[Stage, httpx.AsyncClient, str, Talkative]]:
    """A server with an app that calls it, and the address."""
    it, app = await stage(db), Talkative()
    key = new_key()
    vault = Vault(lambda _making: [key])
    sealed = vault.seal(owner(it.account, it.connection), {"token": "secret"})
    async with db.single(it.account) as single:
        await single.execute(
            "UPDATE connection AS c SET secrets = $3 WHERE c.account_id = $1 AND c.id = $2",
            it.connection,
            sealed,
        )
    with apps.registered(app):
        async with it.writing() as tx:
            secret = await hints.renew(tx, it.connection)
        async with asking(it, vault=vault) as http:
            del http.headers["Authorization"]
            yield it, http, f"/sync-hints/{secret}", app


GENUINE = {"x-token": "genuine"}


async def test_what_an_app_tells_is_looked_at_as_often_as_it_is_told(db: Database) -> None:
    async with listening(db) as (it, http, address, _):
        told = orjson.dumps(
            [{"object": "people", "external_id": "a"}, {"object": "pets", "external_id": "b"}]
        )
        for _ in range(3):
            answer = await http.post(address, content=told, headers=GENUINE)
            assert (answer.status_code, answer.json()) == (200, {"looked": 1})
        assert await it.dirty() == [("THEIRS", "a")]
        answer = await http.post(address, content=orjson.dumps([{}]), headers=GENUINE)
        assert answer.json() == {"looked": 1}
        ((due,),) = await it.crm.table("SELECT s.next_at FROM sync AS s WHERE s.account_id = $1")
        assert due == T0


async def test_a_sync_that_is_off_is_not_woken(db: Database) -> None:
    async with listening(db) as (it, http, address, _):
        await it.set_phase("CONFIGURED")
        answer = await http.post(address, content=orjson.dumps([{"external_id": "a"}]), headers=GENUINE)
        assert answer.json() == {"looked": 0}
        assert await it.dirty() == []


async def test_what_is_not_genuine_or_not_readable_changes_nothing(db: Database) -> None:
    async with listening(db) as (it, http, address, _):
        answer = await http.post(address, content=b"[{}]")
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (
            401,
            "HINT_NOT_GENUINE",
        )
        for junk in (b"", b"{", b"[1]", b"\xff\xfe", b'[{"colour": 1}]'):
            answer = await http.post(address, content=junk, headers=GENUINE)
            assert answer.status_code == 401, junk
        assert await it.dirty() == []


async def test_an_address_that_is_not_known_and_a_body_that_is_too_long_are_refused_unread(
    db: Database,
) -> None:
    async with listening(db) as (it, http, address, app):
        for wrong in (
            address[:-1] + ("A" if address[-1] != "A" else "B"),
            "/sync-hints/junk",
            "/sync-hints/zz_" + "x" * 43,
        ):
            answer = await http.post(wrong, content=b"[{}]", headers=GENUINE)
            assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (
                404,
                "HINT_UNKNOWN",
            )
        answer = await http.post(address, content=b" " * 300_000, headers=GENUINE)
        assert answer.status_code == 413
        assert (await http.get(address)).status_code == 405
        assert app.opened == 0
        assert await it.dirty() == []


async def test_a_new_address_ends_the_former_and_only_its_hash_is_kept(db: Database) -> None:
    async with listening(db) as (it, http, address, _):
        async with it.writing() as tx:
            secret = await hints.renew(tx, it.connection)
        ((kept,),) = await it.crm.table("SELECT c.hint_hash FROM connection AS c WHERE c.account_id = $1")
        assert secret not in kept
        assert (await http.post(address, content=b"[{}]", headers=GENUINE)).status_code == 404
        assert (await http.post(f"/sync-hints/{secret}", content=b"[{}]", headers=GENUINE)).status_code == 200
        async with it.writing() as tx:
            await hints.close(tx, it.connection)
        assert (await http.post(f"/sync-hints/{secret}", content=b"[{}]", headers=GENUINE)).status_code == 404


async def test_more_items_than_can_be_asked_for_one_by_one_are_one_look_at_everything(db: Database) -> None:
    async with listening(db) as (it, http, address, _):
        told = orjson.dumps([{"external_id": str(n)} for n in range(hints.MOST + 1)])
        answer = await http.post(address, content=told, headers=GENUINE)
        assert answer.json() == {"looked": 1}
        assert await it.dirty() == []


async def test_an_app_that_does_not_call_has_no_address(db: Database) -> None:
    it = await stage(db)
    with apps.registered(Silent()):
        with pytest.raises(HintsUnsupported):
            async with it.writing() as tx:
                await hints.renew(tx, it.connection)
        async with it.writing() as tx:
            with pytest.raises(NotFound):
                await hints.renew(tx, 999)
    ((kept,),) = await it.crm.table("SELECT c.hint_hash FROM connection AS c WHERE c.account_id = $1")
    assert kept is None
