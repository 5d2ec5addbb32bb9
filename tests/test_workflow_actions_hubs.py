"""Actions on many: bounded parts that may crash in between, few statements whatever the batch, no table read whole."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from engine.workflows import steps
from storage import enrollments, equal_values, neighbours
from storage.database import Database
from storage.faults import Fault, fault
from tests.filtering import leaf
from tests.flows import Flows, apply_label, flows, set_property
from tests.graph import T0, laws
from tests.statements import counted
from tests.workflow_actions import (
    changes,
    copy,
    create_associations,
    increment,
    lines,
    prepared,
    remove_labels,
    start,
    update_labels,
)

FIRMS, PEOPLE = {"to": "companies"}, {"to": "contacts"}


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


class Crash(Exception):
    """The process dies here; its transaction with it."""


def crashing(monkeypatch: pytest.MonkeyPatch, name: str, rate: float, seed: int) -> list[int]:
    """Let steps fail at random before or after something is done; how often they did."""
    chance, real, crashes = random.Random(seed), getattr(enrollments, name), [0]

    async def unreliable(*args: Any, **options: Any) -> Any:
        answer = await real(*args, **options)
        if chance.random() < rate:
            crashes[0] += 1
            raise Crash
        return answer

    monkeypatch.setattr(enrollments, name, unreliable)
    monkeypatch.setattr(
        steps, "fault", lambda error: Fault.DISCONNECTED if isinstance(error, Crash) else fault(error)
    )
    return crashes


async def worked(crm: Flows) -> None:
    """Work to the end, however often it dies on the way."""
    while True:
        try:
            await crm.work()
            return
        except Crash:
            continue


async def test_an_enrolled_company_with_5000_contacts_is_worked_off_in_parts_whatever_crashes_in_between(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("friend", "foe"):
        await crm.label("companies", "contacts", name, name=name)
    people = [one for _ in range(5) for one in await crm.create("contacts", *[{"city": "Boston"}] * 1_000)]
    hub = await crm.one("companies", city="Boston", name="Hub")
    small = await crm.one("companies", city="Paris", name="Small")
    flow = await prepared(
        crm,
        "companies",
        create_associations("contacts", "city", "city"),
        apply_label("contacts", "friend"),
        update_labels("contacts", "friend", "foe", replace=True),
        increment("score", of=PEOPLE),
        copy("name", "jobtitle", target=PEOPLE | {"labels": ["foe"]}),
        remove_labels("contacts", "foe"),
        name="go",
    )
    await start(crm, "go", hub, small)
    crashes = [crashing(monkeypatch, "move", 0.2, 1), crashing(monkeypatch, "insert_steps", 0.2, 2)]
    await worked(crm)
    assert sum(n for (n,) in crashes) > 3
    rows = {row.record_id: row for row in await crm.enrolled(flow)}
    assert {row.status for row in rows.values()} == {"COMPLETED"}
    told = await lines(crm, rows[hub])
    # No transaction touched more than its share, and each step was several of them.
    assert all(len(line.changes) <= 2 * 2_000 for line in told)
    assert all(sum(line.action == f"a{n}" for line in told) >= 3 for n in range(1, 7))
    found = await crm.read(
        "SELECT r.properties ->> 'jobtitle', (r.properties ->> 'score')::int, count(*) FROM record AS r"
        " WHERE r.account_id = $1 AND r.id = ANY($2::bigint[]) GROUP BY 1, 2",
        people,
    )
    # Each contact was counted once, however often a transaction died.
    assert [tuple(row) for row in found] == [("Hub", 1, 5_000)]
    assert await crm.count(hub, "contacts", "friend") == 0
    assert await crm.count(hub, "contacts", "foe") == 0
    assert await crm.count(hub, "contacts") == 5_000
    assert await crm.count(small, "contacts") is None
    assert sum("association" in one for one in await changes(crm, rows[hub])) == 5_000
    await laws(crm)


async def test_what_no_index_finds_is_read_in_bounded_parts(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.workflows.actions.associations.PAGE", 10)
    monkeypatch.setattr("engine.workflows.actions.associations.PAGES_A_BATCH", 2)
    monkeypatch.setattr("engine.workflows.actions.targets.PAIRS_A_BATCH", 12)
    firms = await crm.create("companies", *({"city": "BOSTON" if n % 3 else "Paris"} for n in range(90)))
    ann, bob, eve = await crm.create("contacts", {"city": "boston"}, {"city": "paris"}, {"city": "rome"})
    match = {"matching": "CASE_INSENSITIVE"}
    flow = await prepared(
        crm, "contacts", create_associations("companies", "city", "city", match=match), name="go"
    )
    await start(crm, "go", ann, bob, eve)
    await crm.work()
    rows = await crm.enrolled(flow)
    assert {row.status for row in rows} == {"COMPLETED"}
    assert [one for n, one in enumerate(firms) if n % 3 and await crm.labels_of(ann, one) is None] == []
    assert [await crm.count(one, "companies") for one in (ann, bob, eve)] == [60, 30, None]
    assert min(row.steps for row in rows) >= 5


ALL: dict[str, dict[str, Any]] = {
    "create associations": create_associations("companies", "country", "country", label="friend"),
    "by page": create_associations("companies", "country", "country", match={"matching": "TRIMMED"}),
    "apply label": apply_label(
        "companies",
        "friend",
        match={"own": "city", "other": "city"},
        where=leaf("name", "KNOWN"),
        ownWhere=leaf("city", "KNOWN"),
    ),
    "update labels": update_labels("companies", "old", "friend", replace=True),
    "remove labels": remove_labels("companies", "old", withAssociation=True),
    "set property": set_property("notes", "x"),
    "set property of": set_property("description", "x", of=FIRMS),
    "template": {"setProperty": {"property": "jobtitle", "template": "{{ companies.name }}"}},
    "copy property": copy("name", "jobtitle", source=FIRMS | {"where": leaf("city", "KNOWN")}),
    "copy property to": copy("city", "country", target=FIRMS),
    "increment": increment("score"),
    "increment of": increment("numberofemployees", of=FIRMS),
}


@pytest.mark.parametrize("name", ALL)
async def test_a_batch_of_500_runs_as_many_statements_as_one_of_1(crm: Flows, name: str) -> None:
    for label in ("friend", "old"):
        await crm.label("contacts", "companies", label, name=label)
    numbers = []
    for n in (1, 500):
        firms = await crm.create(
            "companies", *({"name": f"{n} {i}", "city": "Boston", "country": f"c{n} {i}"} for i in range(n))
        )
        people = await crm.create("contacts", *({"city": "Boston", "country": f"c{n} {i}"} for i in range(n)))
        pairs = [(one, firm, "old") for one, firm in zip(people, firms, strict=True)]
        if "associations" not in name and name != "by page":
            await crm.associate(*pairs)
        flow = await prepared(crm, "contacts", ALL[name], name=f"{n}")
        await start(crm, f"{n}", *people)
        with counted() as seen:
            await steps.run_once(crm.db, crm.account, now=crm.tick())
        rows = await crm.enrolled(flow)
        assert {row.status for row in rows} == {"COMPLETED"}
        assert len(rows) == n
        assert all([await changes(crm, rows[0]), await changes(crm, rows[-1])])
        numbers.append(len(seen))
        # Nobody finds the first round's records in the second.
        await crm.archive(*firms, *people)
    assert numbers[1] <= numbers[0] + 1, numbers
    assert numbers[0] <= 32, numbers


FILL = (
    """
    INSERT INTO association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source)
    SELECT $1, CASE WHEN n % 2 = 0 THEN 1 ELSE n END, 5, n, 7, $2, 'API' FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO property_value (account_id, record_id, property_id, position, text_value, number_value)
    SELECT $1, n, 8 + n % 2, 0, CASE WHEN n % 2 = 0 THEN 'v' || n % 400 END,
           CASE WHEN n % 2 = 1 THEN n % 400 END
      FROM generate_series(1, $3::int) AS n WHERE $2::timestamptz IS NOT NULL
    """,
    """
    INSERT INTO property_key (account_id, property_id, value_hash, record_id)
    SELECT $1, 10, n % 400, n FROM generate_series(1, $3::int) AS n WHERE $2::timestamptz IS NOT NULL
    """,
    """
    INSERT INTO record (account_id, id, object_type_id, properties, created_at, updated_at, created_source,
                        updated_source)
    SELECT $1, n, 5, '{"city": "x"}', $2, $2, 'API', 'API' FROM generate_series(1, $3::int) AS n
    """,
)
SOME = list(range(0, 400, 2))
PICKED = neighbours._PICK.format(only=neighbours._ONLY, where="", order=neighbours.ORDERS["NEWEST"])
CASES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "pages": (neighbours.PAGES, ([3, 5, 7], [0, 0, 0], 5, [7], False, 100)),
    "pages of a hub": (neighbours.PAGES, ([1], [0], 5, [7], True, 100)),
    "picked": (PICKED, ([3, 5, 7], 5, [7])),
    "by text": (equal_values.BY_TEXT, ([f"v{n}" for n in SOME], [0] * 200, 8, 10)),
    "by number": (equal_values.BY_NUMBER, ([n + 1 for n in SOME], [0] * 200, 9, 10)),
    "by hash": (equal_values.BY_HASH, (SOME, [0] * 200, 10, 10)),
    "scan": (equal_values.SCAN, (5, 20_000, "city", 1_000)),
    "scan for equal ones": (equal_values.SCAN_EQUAL, (5, 20_000, "city", 1_000, ["x"])),
    "scan for parts": (equal_values.SCAN_WITHIN, (5, 20_000, "city", 1_000, ["x"])),
}


@pytest.mark.parametrize("believed", ["nothing", "the truth"])
async def test_a_batch_reads_no_table_from_end_to_end(db: Database, believed: str) -> None:
    crm = await flows(db)
    async with db.pool.acquire() as connection:
        for sql in FILL:
            await connection.execute(sql, crm.account, T0, 40_000)
        if believed == "the truth":
            await connection.execute("ANALYZE")
        for name, (sql, arguments) in CASES.items():
            for mode in ("force_custom_plan", "force_generic_plan"):
                await connection.execute(f"SET plan_cache_mode = {mode}")
                rows = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {sql}", crm.account, *arguments)
                plan = "\n".join(row[0] for row in rows)
                assert not any(bad in plan for bad in ("Seq Scan", "Hash Join", "Merge Join")), (
                    name,
                    mode,
                    plan,
                )
                removed = [int(line.split(":")[1]) for line in plan.splitlines() if "Rows Removed" in line]
                assert sum(removed) < 2_000, (name, mode, plan)


async def test_several_workers_at_once_lose_nothing_and_pass_no_limit(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "BATCH", 4)
    await crm.label(
        "contacts", "companies", "Chief of", name="chief", inverse_name="led_by", inverse_max_count=7
    )
    firms = await crm.create("companies", *[{"city": "Boston"}] * 3)
    people = await crm.create("contacts", *[{"city": "Boston"}] * 40)
    flow = await prepared(
        crm,
        "contacts",
        create_associations("companies", "city", "city"),
        apply_label("companies", "chief", onError="CONTINUE"),
        increment("numberofemployees", of=FIRMS),
        apply_label("companies", "primary"),
        increment("score"),
        name="go",
    )
    await start(crm, "go", *people)

    async def worker() -> None:
        while await steps.run_once(crm.db, crm.account, now=crm.tick()):
            pass

    await asyncio.gather(*(worker() for _ in range(4)))
    await crm.work(crm.now + timedelta(hours=1))
    rows = await crm.enrolled(flow)
    assert {row.status for row in rows} == {"COMPLETED"}
    assert [await crm.value(one, "numberofemployees") for one in firms] == [40] * 3
    assert {await crm.value(one, "score") for one in people} == {1}
    assert [await crm.count(one, "contacts", "led_by") for one in firms] == [7] * 3
    await laws(crm)
