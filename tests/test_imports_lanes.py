"""Lanes of an import: several hands bring in what one would; killed anywhere, nothing is lost and nothing doubled."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine import accounts, imports, labels, properties
from engine.crew import Alone, HandLost
from engine.imports import running
from engine.imports.cutting import Size
from engine.imports.runner import LEASE, Runner
from engine.imports.tally import Progress
from server.clock import now
from server.crew import Processes
from storage.database import Actor, Database
from tests.crm import Crm, somebody_creates
from tests.test_crew import Where, there
from tests.test_imports import T0, everything, written
from tests.test_imports_loading import shape
from tests.test_imports_run import Killed, Rig, people

ONE, SEVERAL = Size(1, 7, 0), Size(4, 7, 0)
PATIENCE = 90.0


async def account(db: Database, name: str) -> int:
    made = await accounts.create(db, name, now=T0)
    async with db.transaction(made, now=T0, actor=Actor("API"), defining=True) as tx:
        await properties.create(tx, "companies", name="number", label="No", type="STRING", unique=True)
        await properties.create(tx, "tickets", name="number", label="No", type="STRING", unique=True)
        await labels.create(tx, "contacts", "companies", label="Billing", inverse_label="Billed")
        await labels.create(
            tx, "contacts", "tickets", label="Reported", inverse_label="Reporter", inverse_max_count=2
        )
        await labels.create(tx, "contacts", "tickets", label="Yes", exclusivity_group="answer")
        await labels.create(tx, "contacts", "tickets", label="No", exclusivity_group="answer")
    return made


def contacts_of(chance: random.Random, n: int) -> str:
    """Rows of which some repeat a key, in other letters too, some are wrong, and some have no key."""
    lines = ["email,lastname,city,score"]
    for _ in range(n):
        key = f"p{chance.randrange(n)}@x.example"
        key = chance.choice((key, key, key.upper(), f" {key}", "", "nonsense"))
        lines.append(f"{key},{chance.choice(('A', 'B', ''))},Rome,{chance.choice(('1', '2', 'many'))}")
        if chance.random() < 0.05:
            lines.append("short,row")
    return "\n".join(lines)


async def records(db: Database, made: int, path: Path, size: Size, at: datetime = T0) -> Any:
    report = await imports.records(
        db, made, path, object_type="contacts", key="email", clock=lambda: at, size=size
    )
    return told(report)


def told(report: Any) -> Any:
    figures = report.status, report.read, report.created, report.updated, report.unchanged, report.failed
    return figures, [(error.row, error.column, error.value, error.code) for error in report.errors]


@pytest.mark.parametrize("seed", range(4))
async def test_lanes_bring_in_what_one_would(db: Database, tmp_path: Path, seed: int) -> None:
    path = written(tmp_path, contacts_of(random.Random(seed), 120))
    one, other = await account(db, "one"), await account(db, "other")
    alone = await records(db, one, path, ONE)
    assert await records(db, other, path, SEVERAL) == alone
    assert alone[0][2] > 20
    assert alone[0][5] > 20
    shapes = [shape(await everything(db, made)) for made in (one, other)]
    for table in shapes[0]:
        if table not in ("change_queue", "event_log"):
            assert shapes[0][table] == shapes[1][table], table
    assert sorted(shapes[0]["event_log"]) == sorted(shapes[1]["event_log"])
    # The same file again changes nothing.
    before = await everything(db, other)
    again = await records(db, other, path, SEVERAL, T0 + timedelta(hours=1))
    assert (again[0][2], again[0][3]) == (0, 0)
    assert await everything(db, other) == before


async def test_the_share_that_is_told_is_of_rows_that_are_in_not_of_those_that_were_read(
    db: Database, tmp_path: Path
) -> None:
    rows = 112
    lines = [f"p{n}@x.example,{n:->10000}" for n in range(rows)]
    path = written(tmp_path, "email,lastname\n" + "\n".join(lines))
    seen = list[Progress]()
    await imports.records(
        db, await account(db, "one"), path, object_type="contacts", key="email", clock=lambda: T0,
        size=SEVERAL, progress=seen.append,
    )  # fmt: skip
    assert len(seen) > 12
    # Never ahead, and no more than a window behind: lanes that run on count when theirs is taken in.
    assert [one for one in seen if not -28 / rows - 0.03 < one.share - one.rows / rows < 0.03] == []


ENDS = {
    "companies": ("Billing", "", "Billing;primary"),
    "tickets": ("Reported", "", "Yes", "No", "Reported;No"),
}


@pytest.mark.parametrize("to_type", ENDS)
@pytest.mark.parametrize("seed", range(3))
async def test_associations_in_lanes_are_what_one_would_make(
    db: Database, tmp_path: Path, seed: int, to_type: str
) -> None:
    """The first company becomes primary, a ticket has two who reported it, answers exclude each other: by order."""
    chance = random.Random(seed)
    people = "email\n" + "".join(f"p{n}@x.example\n" for n in range(25))
    others = "number\n" + "".join(f"F{n}\n" for n in range(12))
    lines = ["who,whom,labels"]
    for _ in range(150):
        who = ";".join(f"p{chance.randrange(26)}@x.example" for _ in range(chance.choice((1, 1, 1, 2))))
        lines.append(
            f"{who},F{min(chance.randrange(12), chance.randrange(12))},{chance.choice(ENDS[to_type])}"
        )
    outcomes = []
    for name, size in (("one", ONE), ("other", SEVERAL)):
        made = await account(db, name)
        await records(db, made, written(tmp_path, people), ONE)
        options: dict[str, Any] = {"object_type": to_type, "key": "number", "clock": lambda: T0}
        await imports.records(db, made, written(tmp_path, others), **options)
        ends = {"from_type": "contacts", "from_key": "email", "to_type": to_type, "to_key": "number"}
        path = written(tmp_path, "\n".join(lines))
        for _ in range(2):
            report = await imports.associations(db, made, path, clock=lambda: T0, size=size, **ends)  # type: ignore[arg-type]
            outcomes.append((told(report), await edges(db, made)))
        if to_type == "tickets":
            # A primary that is named moves each time.
            assert outcomes[-1][0][0][2:4] == (0, 0)
            assert outcomes[-1][1] == outcomes[-2][1]
    assert outcomes[:2] == outcomes[2:]
    assert len(outcomes[0][1]) > 100


async def edges(db: Database, made: int) -> set[tuple[str, str, str | None]]:
    async with db.read(made) as reader:
        rows = await reader.fetch(
            """
            SELECT coalesce(f.properties ->> 'email', f.properties ->> 'number'),
                   coalesce(o.properties ->> 'email', o.properties ->> 'number'), t.name
              FROM association AS a
              JOIN record AS f ON f.account_id = $1 AND f.id = a.from_id
              JOIN record AS o ON o.account_id = $1 AND o.id = a.to_id
              JOIN association_type AS t ON t.account_id = $1 AND t.id = a.type_id
             WHERE a.account_id = $1
            """
        )
    return {(row[0], row[1], row[2]) for row in rows}


# --- stopped, killed, lost ----------------------------------------------------------------------------------------


@pytest.fixture
async def rig(db: Database) -> Rig:
    return Rig(db, await accounts.create(db, "demo", now=T0))


def lanes(rig: Rig, name: str, lanes: int = 3, **words: Any) -> Runner:
    return Runner(name, rig.clock, size=Size(lanes, batch=3, few=0), **words)


async def whole(rig: Rig, number: int, rows: int, failed: int) -> None:
    """All that is right in the file is in, once."""
    row = await rig.row(number)
    made = rows - failed
    assert (row.status, row.rows_read, row.rows_created, row.rows_failed) == ("DONE", rows, made, failed)
    assert len(await rig.cities()) == made
    for table in ("record", "property_history", "import_record"):
        assert await rig.count(table) == made, table
    assert await rig.count("import_row_error") == failed
    assert row.position == rows


@pytest.mark.parametrize("seed", range(3))
async def test_killed_at_any_part_another_worker_goes_on_lane_by_lane(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    content = people(40) + b"P1@x.example,Again,Bonn\nx,y\np2@X.example,Again,Bonn\n"
    number = await rig.uploaded(content)
    await rig.do(imports.start, number)
    real, died = running.run, 0

    async def run(*arguments: Any) -> Any:
        when = chance.random()
        if when < 0.3:
            raise Killed
        answer = await real(*arguments)
        if when < 0.6:
            raise Killed
        return answer

    monkeypatch.setattr(running, "run", run)
    seen = set[int]()
    late = rig.clock()
    while (await rig.row(number)).status == "RUNNING":
        late += LEASE * 2
        runner = lanes(rig, f"worker {died}")
        try:
            while await runner.run_once(rig.db, rig.account, late):
                pass
        except Killed:
            died += 1
        row = await rig.row(number)
        seen.add(len(set(row.lanes.get("done", ()))))
        await runner.close()
    assert died >= 5
    assert max(seen) > 1, "lanes do not wait for each other"
    await whole(rig, number, 43, 3)
    async with rig.db.read(rig.account) as reader:
        errors = await imports.errors(reader, number)
    assert [(error.row, error.code) for error in errors] == [
        (41, "DUPLICATE_IN_FILE"), (42, "RAGGED_ROW"), (43, "DUPLICATE_IN_FILE"),
    ]  # fmt: skip


class Forgetful(Alone):
    """A hand that is lost now and then, before or after it has done what it was given."""

    def __init__(self, db: Database, clock: Any, chance: random.Random) -> None:
        super().__init__(db, clock)
        self._chance = chance
        self._tried: dict[Any, int] = {}

    async def do(self, piece: Any) -> Any:
        when, which = self._chance.random(), (piece.lane, piece.end)
        times = self._tried[which] = self._tried.get(which, 0) + 1
        if times == 3 or when > 0.6:
            return await super().do(piece)
        if when > 0.3:
            await super().do(piece)
        raise HandLost


@pytest.mark.parametrize("count", [1, 3])
async def test_a_part_whose_hand_was_lost_is_done_again_and_counts_once(rig: Rig, count: int) -> None:
    number = await rig.uploaded(people(30) + b"p1@x.example,Again,Bonn\n")
    await rig.do(imports.start, number)
    crew = Forgetful(rig.db, rig.clock, random.Random(5))
    await rig.work(lanes(rig, "worker", lanes=count, crew=crew))
    await whole(rig, number, 31, 1)


async def test_a_run_in_lanes_is_paused_resumed_and_cancelled_in_its_middle(rig: Rig) -> None:
    number = await rig.uploaded(people(40))
    await rig.do(imports.start, number)
    runner = lanes(rig, "worker")
    await runner.run_once(rig.db, rig.account, rig.clock())
    await rig.do(imports.pause, number)
    assert await rig.work(runner) == 0
    row = await rig.row(number)
    assert (row.status, row.position, row.rows_read, row.lanes["done"]) == ("PAUSED", 9, 9, [9, 9, 9])
    await rig.do(imports.resume, number)
    await runner.run_once(rig.db, rig.account, rig.clock())
    assert (await rig.row(number)).rows_created == len(await rig.cities()) == 18
    await rig.do(imports.cancel, number)
    await rig.work(runner)
    row = await rig.row(number)
    assert (row.status, row.rows_created, row.chunks, len(await rig.cities())) == ("CANCELLED", 18, 0, 18)


async def test_a_run_that_was_stopped_while_hands_were_at_it_keeps_what_is_in(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await rig.uploaded(people(40))
    await rig.do(imports.start, number)
    real, parts = running.run, 0

    async def run(*arguments: Any) -> Any:
        nonlocal parts
        parts += 1
        if parts == 5:
            await rig.do(imports.pause, number)
        return await real(*arguments)

    monkeypatch.setattr(running, "run", run)
    runner = lanes(rig, "worker", seconds=60.0)
    await runner.run_once(rig.db, rig.account, rig.clock())
    row = await rig.row(number)
    assert row.status == "PAUSED"
    assert 0 < row.rows_created == len(await rig.cities()) < 40
    monkeypatch.setattr(running, "run", real)
    await rig.do(imports.resume, number)
    assert await rig.work(runner) == 2
    await whole(rig, number, 40, 0)


async def test_an_import_that_was_begun_without_lanes_goes_on_with_them(rig: Rig) -> None:
    number = await rig.uploaded(people(40))
    await rig.do(imports.start, number)
    before = lanes(rig, "before", lanes=1)
    for _ in range(3):
        await before.run_once(rig.db, rig.account, rig.clock())
    await before.close()
    row = await rig.row(number)
    assert (row.position, row.lanes) == (9, {})
    late = rig.clock() + LEASE * 2
    after = lanes(rig, "after")
    await after.run_once(rig.db, rig.account, late)
    assert (await rig.row(number)).lanes["done"] == [18, 18, 18]
    while await after.run_once(rig.db, rig.account, late):
        pass
    await whole(rig, number, 40, 0)


async def test_an_import_that_is_checked_again_begins_at_its_beginning(rig: Rig) -> None:
    number = await rig.uploaded(people(40))
    await rig.do(imports.check, number)
    await rig.work(lanes(rig, "worker"))
    await rig.do(imports.start, number)
    await rig.work(lanes(rig, "worker"))
    await whole(rig, number, 40, 0)


# --- processes ----------------------------------------------------------------------------------------------------


class Replaced(Processes):
    """No piece is done before hands that were lost are replaced: that may take longer than all that is left to do."""

    async def do(self, piece: Any) -> Any:
        if not isinstance(piece, Where):
            with contextlib.suppress(HandLost):
                await there(self)
        return await super().do(piece)


@pytest.fixture
async def crew(db: Database) -> AsyncIterator[Processes]:
    async with aclosing(Replaced(db, now, 2)) as made:
        yield made


async def test_a_hand_that_is_killed_in_the_middle_costs_nothing(
    db: Database, tmp_path: Path, crew: Processes
) -> None:
    async with asyncio.timeout(PATIENCE):
        await there(crew)
    made = await accounts.create(db, "demo", now=T0)
    path = written(tmp_path, people(6_000).replace(b"Email,First name,City", b"email,firstname,city"))
    hands = set[int]()

    def killing(progress: imports.Progress) -> None:
        for pid in multiprocessing_children() - hands:
            if len(hands) < 2 and progress.rows > 1_000 * len(hands):
                # One that was lost with another may be gone already.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    hands.add(pid)

    report = await imports.records(
        db, made, path, object_type="contacts", key="email", clock=now, size=Size(4, 20, 0), crew=crew,
        progress=killing,
    )  # fmt: skip
    assert len(hands) == 2
    assert (report.status, report.read, report.created, report.failed) == ("DONE", 6_000, 6_000, 0)
    async with db.read(made) as reader:
        assert await reader.fetchval("SELECT count(*) FROM record AS r WHERE r.account_id = $1") == 6_000


def multiprocessing_children() -> set[int]:
    import multiprocessing

    return {child.pid for child in multiprocessing.active_children() if child.pid is not None}


async def test_a_worker_that_is_killed_with_its_hands_is_followed_by_another(
    db: Database, database_url: str
) -> None:
    rig = Rig(db, await accounts.create(db, "demo", now=now()))
    number = await rig.uploaded(people(50_000) + b"p7@x.example,Again,Bonn\n")
    await rig.do(imports.start, number)
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "RELATA_HANDS": "2",
        "RELATA_LOG_LEVEL": "error",
    }
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server.cli", "work", env=environment, stdin=asyncio.subprocess.DEVNULL
    )
    # One lane waits, so that the import does not come to its end before the worker does.
    async with somebody_creates(Crm(db, rig.account), "p49000@x.example"):
        try:
            async with asyncio.timeout(PATIENCE):
                while (await rig.row(number)).rows_read < 10_000:  # noqa: ASYNC110 (another process writes it)
                    await asyncio.sleep(0.01)
        finally:
            worker.kill()
            await worker.wait()
    row = await rig.row(number)
    assert row.status == "RUNNING"
    assert len(row.lanes["done"]) > 1
    late = datetime.now(UTC) + timedelta(hours=1)
    runner = Runner("the next", lambda: late, seconds=60.0)
    async with asyncio.timeout(PATIENCE):
        # What the killed ones were just writing holds it for a moment longer.
        while await runner.run_once(db, rig.account, late) or (await rig.row(number)).status == "RUNNING":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await whole(rig, number, 50_001, 1)
