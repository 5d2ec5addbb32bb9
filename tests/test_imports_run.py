"""An uploaded file and its life: proposed, checked, run by whatever worker comes, stopped, killed, and run again."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from engine import accounts, imports, labels, properties
from engine.imports import commands, running, writing
from engine.imports.cutting import Size
from engine.imports.problems import ImportNotReady, PlanMissing
from engine.imports.runner import GIVEN_UP, LEASE, PATIENCE, Runner
from engine.problems import NotFound, Refused
from storage import imports as stored
from storage.database import Actor, Database
from storage.imports import ImportRow, RowErrorRow
from tests.test_imports import everything

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER = Actor("API", None, None)
PEOPLE = {
    "parts": [
        {
            "objectType": "contacts",
            "key": "Email",
            "columns": [
                {"column": "Email", "property": "email"},
                {"column": "First name", "property": "firstname"},
                {"column": "City", "property": "city"},
            ],
        }
    ]
}


class Rig:
    """An account with imports, and a clock."""

    def __init__(self, db: Database, account: int) -> None:
        self.db = db
        self.account = account
        self._ticks = itertools.count()

    def clock(self) -> datetime:
        return T0 + timedelta(milliseconds=10 * next(self._ticks))

    def runner(self, name: str = "worker", batch: int = 3) -> Runner:
        return Runner(name, self.clock, size=Size(batch=batch))

    async def do(self, step: Any, *arguments: Any) -> Any:
        async with self.db.transaction(self.account, now=self.clock(), actor=USER) as tx:
            return await step(tx, *arguments)

    async def uploaded(
        self, content: bytes, plan: dict[str, Any] | None = None, name: str = "people.csv"
    ) -> int:
        async with self.db.transaction(self.account, now=self.clock(), actor=USER) as tx:
            row = await imports.create(tx, name=name)

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(content), 7):
                yield content[start : start + 7]

        await imports.upload(self.db, self.account, row.id, pieces(), now=self.clock())
        proposal = await imports.propose_for(self.db, self.account, row.id, now=self.clock())
        await self.do(imports.set_plan, row.id, plan or proposal.plan)
        return row.id

    async def work(self, runner: Runner, limit: int = 1_000) -> int:
        """Let a runner go on until there is nothing to do; how many steps that took."""
        for n in range(limit):
            if not await runner.run_once(self.db, self.account, self.clock()):
                return n
        raise AssertionError("it does not come to rest")

    async def row(self, number: int) -> ImportRow:
        async with self.db.read(self.account) as reader:
            return await imports.get(reader, number)

    async def cities(self) -> dict[str, str]:
        async with self.db.read(self.account) as reader:
            rows = await reader.fetch(
                "SELECT r.properties FROM record AS r WHERE r.account_id = $1 AND r.archived_at IS NULL"
            )
        return {row["properties"].get("email", ""): row["properties"].get("city", "") for row in rows}

    async def count(self, table: str) -> int:
        async with self.db.read(self.account) as reader:
            sql = f"SELECT count(*) FROM {table} AS t WHERE t.account_id = $1"
            return int(await reader.fetchval(sql))


@pytest.fixture
async def rig(db: Database) -> Rig:
    return Rig(db, await accounts.create(db, "demo", now=T0))


def people(n: int, city: str = "Köln") -> bytes:
    return ("Email,First name,City\n" + "".join(f"p{k}@x.example,P{k},{city}\n" for k in range(n))).encode()


async def test_a_file_is_proposed_checked_and_run_by_a_worker(rig: Rig) -> None:
    number = await rig.uploaded(people(10) + b"p3@x.example,Twice,Bonn\nbad,Bad,Bonn\n,None,Bonn\nragged\n")
    row = await rig.row(number)
    assert (row.status, row.kind, row.file["header"]) == (
        "UPLOADED",
        "RECORDS",
        ["Email", "First name", "City"],
    )
    before = await everything(rig.db, rig.account)
    await rig.do(imports.check, number)
    await rig.work(rig.runner())
    row = await rig.row(number)
    assert row.status == "CHECKED"
    assert row.findings is not None
    assert {name: row.findings[name] for name in ("rows", "create", "update", "fail")} == {
        "rows": 14, "create": 11, "update": 0, "fail": 3,
    }  # fmt: skip
    assert row.figures["errors"] == {"DUPLICATE_IN_FILE": 1, "KEY_MISSING": 1, "RAGGED_ROW": 1}
    assert await everything(rig.db, rig.account) == before, "a check writes nothing but what it found"
    assert await rig.count("import_key") == 0
    assert row.chunks > 0

    await rig.do(imports.start, number)
    await rig.work(rig.runner())
    row = await rig.row(number)
    assert (row.status, row.rows_created, row.rows_failed, row.chunks) == ("DONE", 11, 3, 0)
    assert await rig.count("import_chunk") == 0
    assert len(await rig.cities()) == 11
    async with rig.db.read(rig.account) as reader:
        errors = await imports.errors(reader, number)
        (only,) = await imports.errors(reader, number, codes=["RAGGED_ROW"])
    assert [(error.row, error.code) for error in errors] == [
        (11, "DUPLICATE_IN_FILE"),
        (13, "KEY_MISSING"),
        (14, "RAGGED_ROW"),
    ]
    assert only.row == 14

    # The same file again changes nothing.
    before = await everything(rig.db, rig.account)
    again = await rig.uploaded(people(10))
    await rig.do(imports.start, again)
    await rig.work(rig.runner())
    row = await rig.row(again)
    assert (row.status, row.rows_unchanged, row.rows_created, row.rows_updated) == ("DONE", 10, 0, 0)
    assert await everything(rig.db, rig.account) == before


async def test_a_check_tells_what_would_be_updated_and_which_rows_repeat_across_batches(rig: Rig) -> None:
    first = await rig.uploaded(people(4))
    await rig.do(imports.start, first)
    await rig.work(rig.runner())
    number = await rig.uploaded(people(2) + people(6, "Bonn").split(b"\n", 1)[1])
    await rig.do(imports.check, number)
    await rig.work(rig.runner(batch=2))
    row = await rig.row(number)
    assert row.findings is not None
    told = {name: row.findings[name] for name in ("create", "update", "unchanged", "fail")}
    assert told == {"create": 2, "update": 2, "unchanged": 2, "fail": 2}
    await rig.do(imports.start, number)
    await rig.work(rig.runner(batch=2))
    done = await rig.row(number)
    assert (done.rows_created, done.rows_updated, done.rows_unchanged, done.rows_failed) == (2, 2, 2, 2)


class Killed(BaseException):
    """The process is gone."""


async def test_a_crash_at_any_batch_loses_and_doubles_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before each batch and after it: another worker goes on where the commit was."""
    real = running.run
    content = people(10) + b"p1@x.example,Again,Bonn\nx,y\n"
    number = await rig.uploaded(content)
    await rig.do(imports.start, number)
    died = 0

    for when in itertools.chain.from_iterable(zip(range(1, 20), range(1, 20), strict=True)):
        after = died % 2 == 1

        async def killed(*arguments: Any, after: bool = after) -> Any:
            if after:
                await real(*arguments)
            raise Killed

        monkeypatch.setattr(running, "run", killed)
        runner = rig.runner(f"worker {when} {died}")
        try:
            await runner.run_once(rig.db, rig.account, rig.clock() + LEASE * (died + 2))
        except Killed:
            died += 1
        else:
            break
        if (await rig.row(number)).position >= 12:
            break
    assert died >= 8
    monkeypatch.setattr(running, "run", real)
    last = rig.runner("the last")
    late = rig.clock() + LEASE * 100
    while await last.run_once(rig.db, rig.account, late):
        late += LEASE * 2
    row = await rig.row(number)
    assert (row.status, row.rows_read, row.rows_created, row.rows_failed) == ("DONE", 12, 10, 2)
    assert len(await rig.cities()) == await rig.count("record") == await rig.count("property_history") == 10
    assert await rig.count("import_record") == 10
    async with rig.db.read(rig.account) as reader:
        errors = await imports.errors(reader, number)
    assert [(error.row, error.code) for error in errors] == [(11, "DUPLICATE_IN_FILE"), (12, "RAGGED_ROW")]


async def test_a_worker_that_lost_its_lease_changes_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await rig.uploaded(people(6))
    await rig.do(imports.start, number)
    slow, quick = rig.runner("slow"), rig.runner("quick")
    real = writing.Writer.write
    waiting, going = asyncio.Event(), asyncio.Event()

    async def write(writer: Any, *arguments: Any) -> None:
        if not waiting.is_set():
            waiting.set()
            await going.wait()
        await real(writer, *arguments)

    monkeypatch.setattr(writing.Writer, "write", write)
    lost = asyncio.ensure_future(slow.run_once(rig.db, rig.account, rig.clock()))
    await waiting.wait()
    late = rig.clock() + LEASE * 2
    assert await quick.run_once(rig.db, rig.account, late)
    going.set()
    assert await lost
    assert (await rig.row(number)).rows_read == 3
    while await quick.run_once(rig.db, rig.account, late):
        pass
    assert (await rig.row(number)).rows_created == len(await rig.cities()) == 6


async def test_a_run_is_paused_resumed_and_cancelled_between_batches(rig: Rig) -> None:
    number = await rig.uploaded(people(12))
    await rig.do(imports.start, number)
    runner = rig.runner()
    await runner.run_once(rig.db, rig.account, rig.clock())
    await rig.do(imports.pause, number)
    assert await rig.work(runner) == 0
    row = await rig.row(number)
    assert (row.status, row.position, row.rows_created) == ("PAUSED", 3, 3)
    with pytest.raises(ImportNotReady):
        await rig.do(imports.start, number)
    await rig.do(imports.resume, number)
    await runner.run_once(rig.db, rig.account, rig.clock())
    await rig.do(imports.cancel, number)
    await rig.work(runner)
    row = await rig.row(number)
    assert (row.status, row.rows_created, row.chunks) == ("CANCELLED", 6, 0)
    assert len(await rig.cities()) == 6
    with pytest.raises(ImportNotReady):
        await rig.do(imports.resume, number)


async def test_what_cannot_be_done_yet_is_refused(rig: Rig) -> None:
    with pytest.raises(NotFound):
        await rig.do(imports.start, 12345)
    async with rig.db.transaction(rig.account, now=T0, actor=USER) as tx:
        row = await imports.create(tx, name="empty.csv")
    with pytest.raises(ImportNotReady):
        await rig.do(imports.check, row.id)

    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    with pytest.raises(imports_problem("FileUnreadable")):
        await imports.upload(rig.db, rig.account, row.id, nothing(), now=T0)

    async def much() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 1_000

    with pytest.raises(imports_problem("FileTooLarge")):
        await imports.upload(rig.db, rig.account, row.id, much(), now=T0, largest=4_000)
    assert await rig.count("import_chunk") == 0
    await imports.upload(rig.db, rig.account, row.id, much(), now=T0)
    with pytest.raises(PlanMissing):
        await rig.do(imports.start, row.id)
    number = await rig.uploaded(people(1))
    with pytest.raises(Refused):
        await rig.do(imports.set_plan, number, {"parts": [{"objectType": "ships", "columns": []}]})


def imports_problem(name: str) -> type[Exception]:
    from engine.imports import problems

    found: type[Exception] = getattr(problems, name)
    return found


async def test_a_plan_that_no_longer_fits_fails_the_import_and_says_why(rig: Rig) -> None:
    number = await rig.uploaded(people(9), PEOPLE)
    await rig.do(imports.start, number)
    runner = rig.runner()
    await runner.run_once(rig.db, rig.account, rig.clock())
    async with rig.db.transaction(rig.account, now=rig.clock(), actor=USER, defining=True) as tx:
        await properties.archive(tx, "contacts", "city")
    await rig.work(runner)
    row = await rig.row(number)
    assert (row.status, row.rows_created) == ("FAILED", 3)
    assert "City" in (row.reason or "")


@pytest.mark.parametrize("checking", [True, False])
async def test_a_key_that_no_database_holds_is_told_and_holds_up_nothing(rig: Rig, checking: bool) -> None:
    content = people(2) + b"a\0b@x.example,Nul,Bonn\n" + people(4).partition(b"\n")[2]
    number = await rig.uploaded(content, PEOPLE)
    await rig.do(imports.check if checking else imports.start, number)
    await rig.work(rig.runner(batch=10))
    row = await rig.row(number)
    assert row.status == ("CHECKED" if checking else "DONE")
    assert row.figures["errors"] == {"INVALID_VALUE": 1, "DUPLICATE_IN_FILE": 2}
    (told, *_) = await errors_of(rig, number)
    assert (told.row, told.column_name, told.value) == (3, "Email", "a\ufffdb@x.example")


async def test_an_id_that_no_database_holds_is_told(rig: Rig) -> None:
    columns = [{"column": "Id", "property": "id"}, {"column": "City", "property": "city"}]
    plan = {"parts": [{"objectType": "contacts", "mode": "UPDATE", "key": "Id", "columns": columns}]}
    number = await rig.uploaded(b"Id,City\nrec_1\0,Bonn\nrec_9999,Bonn\n", plan)
    await rig.do(imports.start, number)
    await rig.work(rig.runner())
    assert (await rig.row(number)).status == "DONE"
    nul, unknown = await errors_of(rig, number)
    assert (nul.code, unknown.code) == ("MALFORMED_ID", "UNKNOWN_KEY")
    assert "rec_1\ufffd" in nul.message


async def test_what_goes_wrong_unexpectedly_time_and_again_ends_the_import_with_what_is_in(rig: Rig) -> None:
    number = await rig.uploaded(people(9).replace(b"P5", b"poison"), PEOPLE)
    await rig.do(imports.start, number)
    async with rig.db.pool.acquire() as connection:
        await connection.execute(
            "ALTER TABLE record ADD CONSTRAINT well CHECK (properties ->> 'firstname' <> 'poison') NOT VALID"
        )
    runner = rig.runner()
    for left in range(PATIENCE, 0, -1):
        assert (await rig.row(number)).status == "RUNNING", left
        with pytest.raises(asyncpg.CheckViolationError):
            await rig.work(runner)
    row = await rig.row(number)
    assert (row.status, row.reason, row.rows_created) == ("FAILED", GIVEN_UP, 3)
    await rig.work(runner)
    # The next one is none the worse for it.
    number = await rig.uploaded(people(9), PEOPLE)
    await rig.do(imports.start, number)
    await rig.work(runner)
    assert (await rig.row(number)).status == "DONE"
    assert len(await rig.cities()) == 9


async def errors_of(rig: Rig, number: int) -> list[RowErrorRow]:
    async with rig.db.read(rig.account) as reader:
        return await commands.errors(reader, number, after=(0, 0), first=100)


async def test_errors_are_kept_up_to_a_bound_and_counted_beyond(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.imports import tally

    monkeypatch.setattr(tally, "ERRORS_KEPT", 5)
    number = await rig.uploaded(people(2) + b"wrong\n" * 20)
    await rig.do(imports.start, number)
    await rig.work(rig.runner())
    row = await rig.row(number)
    assert (row.status, row.errors, row.rows_failed, await rig.count("import_row_error")) == (
        "DONE",
        20,
        20,
        5,
    )


FIRMS = (
    "Email,First name,Company name,Company number,Role,Boss\n"
    "ann@x.example,Ann,Acme,A-1,Billing,\n"
    "bob@x.example,Bob,Acme,A-1,,ann@x.example\n"
    "cem@x.example,Cem,Other,A-1,,\n"
    "dan@x.example,Dan,,,,\n"
    "eve@x.example,Eve,Bolt,B-2,Nonsense,\n"
)
FIRMS_PLAN = {
    "parts": [
        {
            "objectType": "contacts",
            "key": "Email",
            "columns": [
                {"column": "Email", "property": "email"},
                {"column": "First name", "property": "firstname"},
            ],
        },
        {
            "objectType": "companies",
            "key": "Company number",
            "columns": [
                {"column": "Company name", "property": "name"},
                {"column": "Company number", "property": "number"},
            ],
        },
    ],
    "associations": [
        {"from": {"part": "contacts"}, "to": {"part": "companies"}, "labelsColumn": "Role"},
        {
            "from": {"part": "contacts"},
            "to": {"objectType": "contacts", "property": "email", "column": "Boss"},
            "labels": ["Manager"],
        },
    ],
}


async def make_labels(rig: Rig) -> None:
    async with rig.db.transaction(rig.account, now=T0, actor=USER, defining=True) as tx:
        await properties.create(tx, "companies", name="number", label="Number", type="STRING", unique=True)
        await labels.create(tx, "contacts", "companies", label="Billing", inverse_label="Billed")
        await labels.create(tx, "contacts", "contacts", label="Manager", inverse_label="Employee")


@pytest.mark.parametrize("batch", [1, 2, 100])
async def test_several_object_types_and_their_labelled_associations_in_one_file(rig: Rig, batch: int) -> None:
    await make_labels(rig)
    number = await rig.uploaded(FIRMS.encode(), FIRMS_PLAN)
    await rig.do(imports.check, number)
    await rig.work(rig.runner(batch=batch))
    checked = await rig.row(number)
    assert checked.figures["errors"]["UNKNOWN_LABEL"] == 1
    assert checked.rows_failed == (1 if batch < 100 else 2)
    await rig.do(imports.start, number)
    await rig.work(rig.runner(batch=batch))
    row = await rig.row(number)
    assert (row.status, row.kind) == ("DONE", "RECORDS_AND_ASSOCIATIONS")
    # Cem's row says something else of Acme than the rows before it.
    assert row.figures["errors"] == {"CONFLICT_IN_FILE": 1, "UNKNOWN_LABEL": 1}
    assert row.figures["contacts"]["created"] == 4
    async with rig.db.read(rig.account) as reader:
        found = await reader.fetch(
            """SELECT t.name, a.properties ->> 'firstname' AS near,
                      coalesce(b.properties ->> 'name', b.properties ->> 'firstname') AS far
                 FROM association AS s
                 JOIN association_type AS t ON t.account_id = $1 AND t.id = s.type_id
                 JOIN record AS a ON a.account_id = $1 AND a.id = s.from_id
                 JOIN record AS b ON b.account_id = $1 AND b.id = s.to_id
                WHERE s.account_id = $1 AND a.properties ? 'email' AND t.name IS NOT NULL"""
        )
    assert {tuple(each) for each in found} == {
        ("primary", "Ann", "Acme"),
        ("billing", "Ann", "Acme"),
        ("primary", "Bob", "Acme"),
        ("manager", "Bob", "Ann"),
        ("employee", "Ann", "Bob"),
    }
    before = await everything(rig.db, rig.account)
    again = await rig.uploaded(FIRMS.encode(), FIRMS_PLAN)
    await rig.do(imports.start, again)
    await rig.work(rig.runner(batch=batch))
    assert (await rig.row(again)).rows_created == 0
    assert await everything(rig.db, rig.account) == before


async def test_errors_ask_for_what_the_stated_format_reads(rig: Rig) -> None:
    async with rig.db.transaction(rig.account, now=T0, actor=USER, defining=True) as tx:
        await properties.create(tx, "contacts", name="height", label="Height", type="NUMBER")
        await properties.create(tx, "contacts", name="seen", label="Seen", type="DATETIME")
    formats = {"born": "DD.MM.YYYY", "height": "1.234,56", "seen": "DD/MM/YYYY HH:mm", "plain": None}
    names = {"born": "date_of_birth", "plain": "city"}
    columns = [
        {"column": column, "property": names.get(column, column)} | ({"format": stated} if stated else {})
        for column, stated in formats.items()
    ]
    plan = {
        "parts": [
            {
                "objectType": "contacts",
                "key": "email",
                "columns": [{"column": "email", "property": "email"}, *columns],
            }
        ]
    }
    rows = [
        "email;born;height;seen;plain",
        'a@x.example;31.02.2026;"1,2,3";31/01/2026 25:00;x',
        "b@x.example;01/31/2026;tall;soon;x",
        "c@x.example;31.1.2026;99.999.999.999.999.999;31/01/2026 09:30;x",
    ]
    number = await rig.uploaded("\n".join(rows).encode(), plan)
    await rig.do(imports.start, number)
    await rig.work(rig.runner())
    async with rig.db.read(rig.account) as reader:
        kept = await reader.fetch(
            "SELECT e.row, e.column_name, e.message FROM import_row_error AS e WHERE e.account_id = $1"
        )
    asked = {(each["row"], each["column_name"]): each["message"].split("expected ")[1] for each in kept}
    day = 'a date of the calendar, written as DD.MM.YYYY, such as "31.01.2026".'
    moment = 'a moment, written as DD/MM/YYYY HH:mm, such as "31/01/2026 09:30".'
    assert asked == {
        (1, "born"): day, (2, "born"): day, (1, "seen"): moment, (2, "seen"): moment,
        (1, "height"): 'a number written as "1.234,56".', (2, "height"): 'a number written as "1.234,56".',
        # Written as it is to be, and too large all the same.
        (3, "height"): "a number between -9007199254740991 and 9007199254740991.",
    }  # fmt: skip


async def test_pages_of_imports_newest_first_and_what_is_told_is_json(rig: Rig) -> None:
    numbers = [await rig.uploaded(people(1)) for _ in range(3)]
    async with rig.db.read(rig.account) as reader:
        first = await imports.page(reader, before=None, first=2)
        rest = await imports.page(reader, before=first[-1].id, first=2)
        none = await imports.page(reader, before=None, first=2, statuses=["DONE"])
        rows = await stored.rows(reader, [numbers[2], 1, numbers[0]])
    assert [row.id for row in first + rest] == numbers[::-1]
    assert none == []
    assert [row and row.id for row in rows] == [numbers[2], None, numbers[0]]
    json.dumps(commands.told(first[0], T0))
