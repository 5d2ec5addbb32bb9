"""How associations are written: in few statements whose plans are kept; told in few rows, and read one by one."""

from typing import Any

import pytest

from engine import associations
from engine.associations import Pair
from engine.batches import Mode
from storage import changes
from storage.change_rows import PACKED
from storage.changes import ChangeKind, EventKind
from storage.database import Database, connect
from tests.graph import ANN_WHO_CLICKS, Graph, graph, laws
from tests.statements import counted

PLANS = """
SELECT p.statement, p.generic_plans AS kept, p.custom_plans AS made FROM pg_prepared_statements AS p
"""
ROWS = "SELECT count(*) FROM {} AS t WHERE t.account_id = $1"


@pytest.fixture
async def crm(db: Database) -> Graph:
    await db.pool.execute("ANALYZE")
    return await graph(db)


async def many(crm: Graph, n: int) -> list[tuple[Any, ...]]:
    await crm.label("contacts", "deals", "Buyer", inverse_label="Bought by", max_count=10)
    contacts, deals = await crm.records("contacts", n), await crm.records("deals", n)
    return [(contact, deal, "buyer") for contact, deal in zip(contacts, deals, strict=True)]


async def test_a_batch_is_told_in_few_rows_and_read_one_by_one_from_any_place(crm: Graph) -> None:
    size = 2 * PACKED + 9
    pairs = await many(crm, size)
    async with crm.writing() as tx:
        await changes.claim(tx, 10_000)
        before = await changes.last(tx)
        rows = [await tx.fetchval(ROWS.format(table)) for table in ("change_queue", "event_log")]
    await crm.associate(*pairs)
    async with crm.db.read(crm.account) as reader:
        grown = [await reader.fetchval(ROWS.format(table)) for table in ("change_queue", "event_log")]
        # Three rows for each type and end in the queue, three for each type in the log.
        assert [now - then for now, then in zip(grown, rows, strict=True)] == [12, 6]
        events = await changes.read(reader, before, 10_000)
        assert [event.seq for event in events] == list(range(before + 1, before + 2 * size + 1))
        assert [(e.kind, e.record_id, e.payload["to_id"], e.payload["label"]) for e in events] == [
            *((EventKind.ASSOCIATION_ADDED, contact, deal, None) for contact, deal, _ in pairs),
            *((EventKind.LABEL_ADDED, contact, deal, "buyer") for contact, deal, _ in pairs),
        ]
        for after, limit in (
            (0, 1),
            (1, PACKED),
            (PACKED - 1, 2),
            (PACKED, 5),
            (size + 3, 2 * size),
            (2 * size, 4),
        ):
            part = await changes.read(reader, before + after, limit)
            assert part == events[after : after + limit]


async def test_a_claim_takes_about_as_many_changes_as_were_asked_for_and_each_once(crm: Graph) -> None:
    pairs = await many(crm, 3 * PACKED)
    async with crm.writing() as tx:
        await changes.claim(tx, 10_000)
    await crm.associate(*pairs)
    told: list[tuple[int, int, int]] = []
    while True:
        async with crm.writing() as tx:
            claimed = await changes.claim(tx, PACKED + 1)
        if not claimed:
            break
        entries = [
            (change.record_id, type_id, other)
            for change in claimed
            for type_id, other in zip(change.type_ids, change.other_ids, strict=True)
        ]
        assert {change.kind for change in claimed} == {ChangeKind.ASSOCIATED}
        # The row that was begun is taken whole, and no other.
        assert len(entries) <= 2 * PACKED
        told += entries
    async with crm.db.read(crm.account) as reader:
        rows = await reader.fetch(
            "SELECT a.from_id, a.type_id, a.to_id FROM association AS a WHERE a.account_id = $1"
        )
    assert sorted(told) == sorted(map(tuple, rows))


async def test_what_waits_to_be_written_is_seen_by_the_next_statement_and_goes_with_its_attempt(
    crm: Graph,
) -> None:
    ann, bob = await crm.records("contacts", 2)
    deal = await crm.record("deals")
    async with crm.db.read(crm.account) as reader:
        seq = await changes.last(reader)
    async with crm.writing() as tx:
        with pytest.raises(RuntimeError):
            async with tx.attempt():
                await associations.associate(tx, [Pair(ann, deal)], Mode.ATOMIC)
                raise RuntimeError
        [outcome] = await associations.associate(tx, [Pair(bob, deal)], Mode.ATOMIC)
        # A second command in the same transaction finds what the first one did.
        [again] = await associations.associate(tx, [Pair(deal, bob)], Mode.ATOMIC)
        assert outcome.value is not None
        assert again.value is not None
        assert (len(outcome.value.added), again.value.added) == (1, ())
    async with crm.db.read(crm.account) as reader:
        assert [event.record_id for event in await changes.read(reader, seq, 10)] == [bob]
    assert await crm.count(deal, "contacts") == 1
    await laws(crm)


async def test_a_pair_takes_three_statements_whose_plans_are_kept(crm: Graph, database_url: str) -> None:
    pairs = await many(crm, 40)
    async with connect(database_url, size=1) as db:
        with counted() as seen:
            for n, (contact, deal, label) in enumerate(pairs):
                if n == 1:
                    seen.clear()
                async with db.transaction(
                    crm.account, now=crm.now, actor=ANN_WHO_CLICKS, holding=(contact, deal)
                ) as tx:
                    await associations.associate(tx, [Pair(contact, deal, (label,))], Mode.ATOMIC)
        plans = {row["statement"]: (row["kept"], row["made"]) for row in await db.pool.fetch(PLANS)}
    assert len(seen) == 3 * (len(pairs) - 1)
    for statement in dict.fromkeys(seen):
        # PostgreSQL tries five times whether planning for the values pays, and again when a table's statistics change.
        kept, made = plans[str(statement)]
        assert kept + made == len(pairs)
        assert made < 20
    await laws(crm)
