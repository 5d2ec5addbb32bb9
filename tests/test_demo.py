"""The demo: a lifelike account, the same each time, under the rules of everything else, its workflow at work."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from engine import accounts, demo
from engine.accounts import AccountExists
from engine.demo import flows, reporting, watching
from engine.demo.world import BILLING_CONTACTS, imagine
from engine.evaluation import run as evaluate
from engine.reports.definition import bind
from engine.reports.run import run
from engine.segments import fill
from engine.workflows import backfill, steps
from storage.database import Database, connect
from storage.reports import saved as reports
from tests.conftest import Server, command, copied, outside_any_loop

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def built_once(server: Server) -> Iterator[str]:
    """The name of a database with the demo in it, for copies."""
    name = f"demo_{uuid.uuid4().hex}"

    async def build() -> None:
        await command(server, f'CREATE DATABASE "{name}" TEMPLATE "{server.template}"')
        async with connect(server.named(name)) as db:
            await demo.build(db, "demo", now=NOW)

    outside_any_loop(build())
    yield name
    outside_any_loop(command(server, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
async def built(server: Server, built_once: str) -> AsyncIterator[Database]:
    """A database with the demo in it, as it was built."""
    async with copied(server, built_once) as url, connect(url) as db:
        yield db


async def test_the_planner_knows_what_was_built(built: Database) -> None:
    async with built.pool.acquire() as connection:
        known = await connection.fetchval("SELECT reltuples FROM pg_class WHERE oid = 'record'::regclass")
        options = await connection.fetchval("SELECT reloptions FROM pg_class WHERE oid = 'record'::regclass")
    assert known > 2_000
    assert "autovacuum_analyze_scale_factor=0.002" in options


async def demo_of(db: Database) -> int:
    """The demo's account."""
    account = await accounts.find(db, "demo")
    assert account is not None
    return account


def test_the_demo_is_the_same_each_time_and_no_address_in_it_is_real() -> None:
    world, again = imagine(NOW), imagine(NOW)
    assert (world.records, world.links) == (again.records, again.links)
    contacts, companies = world.records["contacts"], world.records["companies"]
    assert len(contacts) >= 2_000
    assert len({contact["email"] for contact in contacts}) == len(contacts)
    assert all(contact["email"].isascii() and contact["email"].endswith(".example") for contact in contacts)
    assert max(Counter(company["name"] for company in companies).values()) <= 2
    assert any(not contact["firstname"].isascii() for contact in contacts)


async def test_the_demo_is_built_with_labels_families_and_a_workflow_at_work(db: Database) -> None:
    told: list[tuple[int, int]] = []
    account = await demo.build(db, "demo", now=NOW, progress=lambda done, total: told.append((done, total)))
    assert await accounts.find(db, "demo") == account
    assert await accounts.names(db) == ["demo"]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1]
    counts = await labels(db, account)
    people = len(imagine(NOW).records["contacts"])
    assert counts["contacts", "companies", "primary"] == people
    assert counts["deals", "companies", "primary"] == 1_200
    for pair in (
        ("contacts", "companies", "decision_maker"),
        ("contacts", "contacts", "manager"),
        ("companies", "companies", "child"),
        ("deals", "contacts", "champion"),
        ("tickets", "contacts", "reporter"),
        ("contacts", "listings", "short_term"),
        ("contacts", "listings", "long_term"),
    ):
        assert counts[pair] > 50, pair
    async with db.read(account) as reader:
        most = await reader.fetchval(
            """
            SELECT max(c.n) FROM association_count AS c
              JOIN association_type AS t ON t.account_id = $1 AND t.id = c.type_id AND t.name = 'billing_contact'
              JOIN object_type AS o ON o.account_id = $1 AND o.id = t.from_object_type_id AND o.name = 'companies'
             WHERE c.account_id = $1
            """
        )
    assert most == BILLING_CONTACTS


async def test_decision_makers_at_software_companies_become_opportunities(built: Database) -> None:
    db, account = built, await demo_of(built)
    assert await strays(db, account) > 10
    while await evaluate.run_all(db, now=NOW):
        pass
    await backfill.run_all(db, now=NOW)
    while await steps.run_due(db, now=NOW):
        pass
    assert await strays(db, account) == 0


async def test_a_demo_is_not_built_over_another_account(db: Database) -> None:
    await accounts.create(db, "demo", now=NOW)
    with pytest.raises(AccountExists):
        await demo.build(db, "demo", now=NOW)
    assert await accounts.names(db) == ["demo"]


async def labels(db: Database, account: int) -> dict[tuple[str, str, str | None], int]:
    """How many associations there are, by (from, to, label)."""
    async with db.read(account) as reader:
        rows = await reader.fetch(
            """
            SELECT f.name AS near, o.name AS far, t.name, count(*) AS n
              FROM association AS a
              JOIN association_type AS t ON t.account_id = $1 AND t.id = a.type_id
              JOIN object_type AS f ON f.account_id = $1 AND f.id = t.from_object_type_id
              JOIN object_type AS o ON o.account_id = $1 AND o.id = t.to_object_type_id
             WHERE a.account_id = $1 GROUP BY f.name, o.name, t.name
            """
        )
    return {(row["near"], row["far"], row["name"]): row["n"] for row in rows}


async def strays(db: Database, account: int) -> int:
    """Decision makers at software companies who are no opportunities (yet)."""
    async with db.read(account) as reader:
        found: int = await reader.fetchval(
            """
            SELECT count(DISTINCT r.id)
              FROM association AS a
              JOIN association_type AS t ON t.account_id = $1 AND t.id = a.type_id AND t.name = 'decision_maker'
              JOIN record AS r ON r.account_id = $1 AND r.id = a.from_id
              JOIN record AS c ON c.account_id = $1 AND c.id = a.to_id
             WHERE a.account_id = $1 AND c.properties ->> 'industry' = 'software'
               AND r.properties ->> 'email' IS NOT NULL
               AND r.properties ->> 'lifecyclestage' IS DISTINCT FROM 'opportunity'
            """
        )
    return found


async def test_every_workflow_of_the_demo_has_something_to_show(built: Database) -> None:
    db, account = built, await demo_of(built)
    for _ in range(3):
        while await evaluate.run_all(db, now=NOW):
            pass
        await backfill.run_all(db, now=NOW)
        while await steps.run_due(db, now=NOW):
            pass
    async with db.read(account) as reader:
        rows = await reader.fetch(
            """
            SELECT w.name, e.status, count(*) AS n
              FROM enrollment AS e JOIN workflow AS w ON w.account_id = $1 AND w.id = e.workflow_id
             WHERE e.account_id = $1 GROUP BY w.name, e.status
            """
        )
        taken = await reader.fetch(
            "SELECT d.outcome, count(*) AS n FROM webhook_delivery AS d WHERE d.account_id = $1 GROUP BY d.outcome"
        )
    enrolled = {(row["name"], row["status"]): row["n"] for row in rows}
    assert enrolled.keys() == {
        (flows.DECIDERS, "COMPLETED"),
        (flows.WON, "COMPLETED"),
        (flows.REQUESTED, "ACTIVE"),
        (flows.PAID, "COMPLETED"),
        (watching.BUDGETS, "COMPLETED"),
        (watching.BUDGETS, "FAILED"),
    }
    assert enrolled[watching.BUDGETS, "FAILED"] < 30
    # Some ask who are vendors' people, or customers already.
    assert flows.DEMO_REQUESTS / 3 < enrolled[flows.REQUESTED, "ACTIVE"] < flows.DEMO_REQUESTS
    assert {row["outcome"]: row["n"] for row in taken} == {"TRIGGERED": flows.PAYMENTS, "UNMATCHED": 1}
    counts = await labels(db, account)
    assert counts["deals", "contacts", "reference"] == enrolled[flows.WON, "COMPLETED"]
    # Who is called goes on, and whoever is not is told of three days later.
    later = NOW + timedelta(days=3, minutes=1)
    while await steps.run_due(db, now=later):
        pass
    async with db.read(account) as reader:
        due = await reader.fetchval(
            """
            SELECT count(*) FROM record AS r
              JOIN object_type AS o ON o.account_id = $1 AND o.id = r.object_type_id AND o.name = 'tasks'
             WHERE r.account_id = $1 AND r.properties ->> 'subject' LIKE '% still waits for a call'
            """
        )
    assert due == enrolled[flows.REQUESTED, "ACTIVE"]


async def test_every_segment_of_the_demo_has_members_and_none_has_all(built: Database) -> None:
    db, account = built, await demo_of(built)
    await fill.run_all(db, now=NOW)
    await backfill.run_all(db, now=NOW)
    while await steps.run_due(db, now=NOW):
        pass
    while await evaluate.run_all(db, now=NOW):
        pass
    async with db.read(account) as reader:
        rows = await reader.fetch(
            """
            SELECT s.name, count(m.record_id) AS n
              FROM segment AS s
              LEFT JOIN segment_member AS m ON m.account_id = $1 AND m.segment_id = s.id
             WHERE s.account_id = $1 GROUP BY s.name
            """
        )
    sizes = {row["name"]: row["n"] for row in rows}
    assert sizes.keys() == {name for name, _, _ in watching.active()} | {watching.BOARD}
    assert sizes[watching.BOARD] == watching.MEMBERS
    assert all(0 < size < 2_000 for size in sizes.values()), sizes


async def test_every_report_of_the_demo_says_something(built: Database) -> None:
    db, account = built, await demo_of(built)
    catalogue = await db.catalogue(account)
    async with db.read(account) as reader:
        saved = await reports.listing(reader, 0, 10)
        assert [row.name for row in saved] == [name for name, _, _ in reporting.reports()]
        for row in saved:
            told = await run(reader, bind(row.definition, catalogue), now=NOW)
            assert len(told.groups) >= 10
            assert len({group.measures for group in told.groups}) > 5
