"""How records stand in their syncs: counted, listed page by page, each with what was tried."""

from datetime import timedelta
from typing import Any

import pytest

from engine.sync import health
from engine.sync.categories import TIPS, Again, Category
from engine.sync.health import NEWEST, Narrow, Standing
from storage.database import Database
from storage.sync import ends, inbox, links, pages, plan_items, retries
from storage.sync import health as stored
from tests.crm import T0
from tests.sync_stage import Stage, another, put, stage

LATER = T0 + timedelta(hours=1)


async def page(it: Stage, narrow: Narrow = pages.ALL, *, syncs: list[int] | None = None, **words: Any) -> Any:
    """Ids of a page of links."""
    async with it.db.read(it.account) as reader:
        rows = await health.page(reader, syncs or [it.sync], narrow, **words)
    return [row.id for row in rows]


async def standings(it: Stage, *syncs: int) -> list[Standing]:
    async with it.db.read(it.account) as reader:
        return await health.standings(reader, syncs)


async def test_a_sync_is_counted_by_status_and_by_category(db: Database) -> None:
    it = await stage(db)
    other = await another(it, "companies")
    await it.links(
        {"record_id": 1, "external_id": "a", "state": "IN_SYNC"},
        {"record_id": 2, "external_id": "b", "state": "IN_SYNC"},
        {"record_id": 3, "state": "FAILED", "category": "INVALID_VALUE"},
        {"external_id": "d", "state": "FAILED", "category": "AMBIGUOUS_MATCH"},
        {"external_id": "e", "state": "PENDING", "category": "WAITING_FOR_ASSOCIATED_RECORD"},
        {"external_id": "f", "state": "EXCLUDED"},
        {"record_id": 7, "external_id": "g", "state": "CONFLICT"},
    )
    await it.links({"record_id": 1, "external_id": "a", "state": "IN_SYNC"}, sync=other)
    one, two = await standings(it, it.sync, other)
    assert one.by_state == {"PENDING": 1, "IN_SYNC": 2, "FAILED": 2, "EXCLUDED": 1, "CONFLICT": 1}
    assert one.by_category == {
        "INVALID_VALUE": 1,
        "AMBIGUOUS_MATCH": 1,
        "WAITING_FOR_ASSOCIATED_RECORD": 1,
    }
    assert (one.total, two.total, two.by_state["IN_SYNC"], two.by_category) == (7, 1, 1, {})


async def test_a_sync_without_records_stands_at_nothing(db: Database) -> None:
    it = await stage(db)
    (one,) = await standings(it, it.sync)
    assert (one.total, one.conflicts, set(one.by_state.values())) == (0, 0, {0})


async def test_every_filter_of_a_list_leaves_what_it_says(db: Database) -> None:
    it = await stage(db)
    a, b, c, d = await it.links(
        {"record_id": 1, "external_id": "a", "state": "IN_SYNC"},
        {"record_id": 2, "state": "FAILED", "category": "INVALID_VALUE", "failed_side": "THEIRS"},
        {"external_id": "c", "state": "FAILED", "category": "INVALID_VALUE", "failed_side": "OURS"},
        {"external_id": "d", "state": "PENDING", "category": "WAITING_FOR_ASSOCIATED_RECORD"},
    )
    assert await page(it) == [d, c, b, a]
    assert await page(it, Narrow(states=("FAILED",))) == [c, b]
    assert await page(it, Narrow(states=("IN_SYNC", "PENDING"))) == [d, a]
    assert await page(it, Narrow(category=Category.INVALID_VALUE)) == [c, b]
    assert await page(it, Narrow(category=Category.INVALID_VALUE, side="OURS")) == [c]
    assert await page(it, Narrow(states=("IN_SYNC",), category=Category.INVALID_VALUE)) == []
    assert await page(it, Narrow(side="THEIRS")) == [b]
    assert await page(it, Narrow(record_id=2)) == [b]
    assert await page(it, Narrow(record_id=2, states=("IN_SYNC",))) == []
    assert await page(it, Narrow(since=T0)) == [d, c, b, a]
    assert await page(it, Narrow(until=T0)) == []
    assert await page(it, Narrow(record_id=1, since=LATER)) == []


async def test_pages_of_several_syncs_follow_on_each_other_without_a_gap(db: Database) -> None:
    it = await stage(db)
    other = await another(it, "companies")
    made: list[int] = []
    for n in range(10):
        sync = it.sync if n % 3 else other
        state = ("IN_SYNC", "FAILED", "EXCLUDED")[n % 3]
        made += await it.links({"external_id": str(n), "state": state}, sync=sync)
    seen: list[int] = []
    before = NEWEST
    while found := await page(it, syncs=[it.sync, other], before=before, first=3):
        seen += found
        before = found[-1]
    assert seen == made[::-1]
    assert await page(it, syncs=[other]) == [one for n, one in enumerate(made) if n % 3 == 0][::-1]


async def test_attempts_are_told_newest_first_for_many_links_at_once(db: Database) -> None:
    it = await stage(db)
    a, b = await it.links({"external_id": "a"}, {"external_id": "b"})
    await it.tried(a, "FAILED", "FAILED", "CREATED")
    await it.tried(b, "LINKED")
    async with db.read(it.account) as reader:
        of_b, of_a, of_none = await health.attempts(reader, [b, a, 999])
        (newest,) = await health.attempts(reader, [a], first=1)
        (older,) = await health.attempts(reader, [a], before=newest[0].id)
    assert [row.did for row in of_a] == ["CREATED", "FAILED", "FAILED"]
    assert [row.did for row in of_b] == ["LINKED"]
    assert of_none == []
    assert [row.did for row in newest] == ["CREATED"]
    assert [row.did for row in older] == ["FAILED", "FAILED"]


async def test_all_links_of_many_records_at_once(db: Database) -> None:
    it = await stage(db)
    other = await another(it, "contacts", remote_object="customers")
    (a,) = await it.links({"record_id": 1, "external_id": "a"})
    (b,) = await it.links({"record_id": 1, "external_id": "b"}, sync=other)
    (c,) = await it.links({"record_id": 2, "external_id": "c"}, sync=other)
    async with db.read(it.account) as reader:
        found = await health.of_records(reader, [2, 3, 1])
        by_ids = await health.by_ids(reader, [c, 1, a])
    assert [[row.id for row in rows] for rows in found] == [[c], [], [a, b]]
    assert [row and row.id for row in by_ids] == [c, None, a]


def test_every_category_has_a_tip_and_a_way_of_retrying() -> None:
    for category in Category:
        told = health.advice(category.value)
        assert told is not None
        assert told.tip == TIPS[category]
    deleted = health.advice("RECORD_DELETED")
    assert deleted is not None
    assert deleted.again is Again.IGNORE
    assert health.advice(None) is None
    assert health.advice("SOMETHING_ELSE") is None


# Most is in sync; some has failed, for two reasons; a few wait.
ROWS = 40_000
FILL = (
    """
    INSERT INTO sync_link (account_id, id, sync_id, record_id, external_id, state, category, failed_side, base_roles,
                           deleting, attempts, created_at, updated_at)
    SELECT $1, 1000000 + n, $4 + n % 2, n, 'x' || n,
           CASE WHEN n % 100 = 0 THEN 'FAILED' WHEN n % 100 = 1 THEN 'FAILED' ELSE 'IN_SYNC' END,
           CASE WHEN n % 100 = 0 THEN 'INVALID_VALUE' WHEN n % 100 = 1 THEN 'RECORD_DELETED' END,
           'OURS', '{}', false, 0, $2, $2
      FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO sync_attempt (account_id, id, sync_id, link_id, at, did)
    SELECT $1, 3000000 + n, $4, 1000000 + n / 10, $2, 'FAILED' FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO sync_conflict (account_id, id, sync_id, link_id, mapping_id, held, at)
    SELECT $1, 5000000 + n, $4 + n % 2, 1000000 + n, 1, '{}', $2 FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO sync_plan_item (account_id, plan_id, id, kind, record_id, external_id, effect, match_key)
    SELECT $1, 1 + n % 3, n, CASE WHEN n % 50 = 0 THEN 'FAIL' ELSE 'NONE' END, n, 'x' || n, '{}', 'email:x' || n
      FROM generate_series(1, $3::int) AS n WHERE $2::timestamptz IS NOT NULL AND $4::bigint > 0
    """,
)


@pytest.mark.parametrize("believed", ["nothing", "the truth"])
async def test_lists_are_read_along_indexes_whatever_there_is(db: Database, believed: str) -> None:
    it = await stage(db)
    syncs = [it.sync, it.sync + 1]
    rest = (None, None, None)
    states = list(pages.STATES)
    cases: dict[str, tuple[str, tuple[Any, ...]]] = {
        "all": (pages.BY_STATE, (syncs, states, NEWEST, 50, *rest)),
        "failed": (pages.BY_STATE, (syncs, ["FAILED"], NEWEST, 50, *rest)),
        "category": (pages.BY_CATEGORY, (syncs, states, NEWEST, 50, *rest, "INVALID_VALUE")),
        "records": (pages.OF_RECORDS, ([5, 17, 400],)),
        "attempts": (stored.ATTEMPTS, ([it.sync], [1_000_500], NEWEST, 50)),
        "conflicts": (inbox.PAGE, (syncs, NEWEST, 50)),
        "to retry": (retries.FAILED, (it.sync, 0, None, ["RECORD_DELETED"], None, 50)),
        "items": (plan_items.PAGE, (2, 0, 50, None)),
        "items of kind": (plan_items.PAGE_OF_KIND, (2, 0, 50, None, "FAIL")),
        "keyed": (plan_items.KEYED, (2, ["email:x7", "email:x8"])),
        "taken": (plan_items.TAKEN, (2, [5, 6], ["x7", "x8"])),
        "links": (links.OF_RECORDS, (it.sync, [5, 6, 7])),
        # The same of a sync that has none yet, beside those that have many.
        "links of a new one": (links.OF_RECORDS, (it.sync + 2, [5, 6, 7])),
        "halves of a new one": (ends.HALVES, ([it.sync + 2], [5], ["x5"])),
    }
    async with db.pool.acquire() as connection:
        for sql in FILL:
            await connection.execute(sql, it.account, T0, ROWS, it.sync)
        await connection.execute("VACUUM ANALYZE" if believed == "the truth" else "VACUUM")
        for name, (sql, arguments) in cases.items():
            for mode in ("force_custom_plan", "force_generic_plan"):
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
                    rows = await connection.fetch(
                        f"EXPLAIN (ANALYZE, TIMING OFF) {sql}", it.account, *arguments
                    )
                plan = "\n".join(row[0] for row in rows)
                # Mappings are made by hand: a sync has a few.
                plan = plan.replace("Seq Scan on sync_mapping", "mappings")
                assert "Seq Scan" not in plan, (name, plan)
                removed = [int(line.split(":")[1]) for line in plan.splitlines() if "Rows Removed" in line]
                assert sum(removed) < 2_000, (name, mode, plan)


async def test_conflicts_are_counted_with_their_sync(db: Database) -> None:
    it = await stage(db)
    (a,) = await it.links({"record_id": 1, "external_id": "a", "state": "CONFLICT"})
    await put(
        it.crm, "sync_conflict", id=900, sync_id=it.sync, link_id=a, mapping_id=it.mapping, held={}, at=T0
    )
    (one,) = await standings(it, it.sync)
    assert one.conflicts == 1
