"""The short way says and does what the long one does; and whatever moves between its two statements, it notices."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from engine import associations, labels, records
from engine.access import Principal, Role, Scope
from engine.associations import AssociationResult, Pair
from engine.batches import Mode
from engine.ids import encode
from resolvers.associations import Ends, carry_out
from resolvers.batches import Batch
from resolvers.context import Context
from storage import associations as associated
from storage import changes
from storage.associations_at_once import ADD
from storage.database import Actor, Database, connect
from storage.statements import Statement
from tests.graph import ANN_WHO_CLICKS, Graph, graph, laws, standing
from tests.processes import PATIENCE
from tests.statements import counted
from tests.test_associations_writing import PLANS

WAITING = """
SELECT count(*) FROM pg_stat_activity AS a WHERE a.datname = current_database() AND a.wait_event_type = 'Lock'
"""
ROWS = Statement(
    "tests.at_once_rows",
    """
    SELECT a.from_id, a.to_object_type_id, a.to_id, a.type_id, a.created_at, a.source, a.source_id, a.user_id
      FROM association AS a WHERE a.account_id = $1
     ORDER BY 1, 2, 3, 4
    """,
)
COUNTED = Statement(
    "tests.at_once_counted",
    "SELECT c.record_id, c.type_id, c.n FROM association_count AS c WHERE c.account_id = $1 ORDER BY 1, 2",
)
MOVED = Statement(
    "tests.at_once_moved",
    "SELECT r.id, r.last_association_change_at FROM record AS r WHERE r.account_id = $1 ORDER BY 1",
)


@pytest.fixture
async def crm(db: Database) -> Graph:
    return await graph(db)


async def at_once(
    crm: Graph, *pair: Any, actor: Actor = ANN_WHO_CLICKS, **options: bool
) -> AssociationResult | None:
    """One pair, given as (from, to, label …), in the short way."""
    catalogue = await crm.db.catalogue(crm.account)
    asked = Pair(pair[0], pair[1], tuple(pair[2:]))
    return await associations.associate_at_once(
        crm.db, catalogue, asked, now=crm.tick(), actor=actor, **options
    )


async def defined(crm: Graph) -> dict[str, list[int]]:
    """Labels with every rule, and some records of each object type."""
    await crm.label("contacts", "deals", "Buyer", inverse_label="Bought by", max_count=3, inverse_max_count=2)
    await crm.label("contacts", "deals", "Payer", inverse_label="Paid by", exclusivity_group="money")
    await crm.label("contacts", "deals", "Guarantor", inverse_label="Secured by", exclusivity_group="money")
    await crm.label("contacts", "companies", "Founder", inverse_label="Founded by")
    await crm.label("contacts", "contacts", "Sibling")
    await crm.label("contacts", "contacts", "Parent", inverse_label="Child", max_count=1)
    await crm.limit("deals", "contacts", None, max_count=4)
    return {name: await crm.records(name, 5) for name in ("contacts", "deals", "companies")}


LABELS = {
    ("contacts", "deals"): ["buyer", "payer", "guarantor"],
    ("contacts", "companies"): ["founder", "primary"],
    ("contacts", "contacts"): ["sibling", "parent"],
    ("deals", "companies"): ["primary"],
}


def some_pair(chance: random.Random, ids: dict[str, list[int]]) -> tuple[Any, ...]:
    """Two records with up to two labels that stand at the first; now and then what cannot be."""
    near, far = chance.choice(list(LABELS))
    labels = chance.sample(LABELS[near, far], min(chance.choice((0, 0, 1, 1, 2)), len(LABELS[near, far])))
    ends = chance.choice(ids[near]), chance.choice(ids[far])
    # Asked from the other side the unlabelled one is the same; the inverses have names of their own.
    if not labels and chance.random() < 0.5:
        ends = ends[::-1]
    if chance.random() < 0.05:
        return (ends[0], chance.choice((ends[0], 999)), *labels)
    return (*ends, *labels, *(["nonsense"] if chance.random() < 0.03 else []))


async def everything(crm: Graph) -> list[Any]:
    """All that the two ways write, but for the ids of queue rows."""
    async with crm.writing() as tx:
        queued = [
            (one.record_id, one.object_type_id, one.kind, one.type_ids, one.other_ids, one.at, one.source)
            for one in await changes.claim(tx, 100_000)
        ]
        events = await changes.read(tx, 0, 100_000)
    rows = [[tuple(row) for row in await crm.read(sql)] for sql in (ROWS, COUNTED, MOVED)]
    return [sorted(queued), events, *rows]


@pytest.mark.parametrize("seed", range(4))
async def test_two_accounts_one_in_the_short_way_where_it_goes_cannot_be_told_apart(
    db: Database, seed: int
) -> None:
    short, long = await graph(db, "short"), await graph(db, "long")
    ids = await defined(short)
    assert await defined(long) == ids
    chance, ways = random.Random(seed), set()
    for _ in range(150):
        if chance.random() < 0.25:
            ends = [(chance.choice(ids["contacts"]), chance.choice(ids["deals"])) for _ in range(2)]
            for crm in (short, long):
                await crm.do(associations.dissociate, *ends)
        pair, first = some_pair(chance, ids), chance.random() < 0.8
        found = await at_once(short, *pair, first_primary=first)
        if found is not None:
            ways.add((len(found.added), pair[0] > pair[1]))
            long.tick()
            [told] = await long_way(long, pair, first)
            assert told.value == found
        else:
            long.tick()
            [here], [there] = await long_way(short, pair, first), await long_way(long, pair, first)
            assert here.value == there.value
            assert [(p.code, p.path, p.details) for p in here.problems] == [
                (p.code, p.path, p.details) for p in there.problems
            ]
        long.now = short.now
    assert await everything(short) == await everything(long)
    await laws(short)
    # Plain ones, labelled ones and those that bring a primary, from either side, have all gone the short way.
    assert {(1, False), (1, True), (2, False), (3, False)} <= ways


async def long_way(crm: Graph, pair: tuple[Any, ...], first: bool) -> Any:
    asked = Pair(pair[0], pair[1], tuple(pair[2:]))
    async with crm.db.transaction(crm.account, now=crm.now, actor=ANN_WHO_CLICKS) as tx:
        return await associations.associate(tx, [asked], Mode.PER_ITEM, first_primary=first)


async def until_it_waits(crm: Graph, asking: "asyncio.Task[Any]") -> None:
    """Until one statement waits for another transaction."""
    while await crm.db.pool.fetchval(WAITING) == 0:
        assert not asking.done(), "it waited for nobody"
        await asyncio.sleep(0.005)


class Meanwhile:
    """What others did between the look of the short way and its write."""

    def __init__(self, crm: Graph) -> None:
        self.crm = crm

    async def __call__(
        self, pair: tuple[Any, ...], what: Callable[[Any], Awaitable[object]], *, defining: bool = False
    ) -> AssociationResult | None:
        """Associate at once while a transaction that has done `what` is open; it commits once it is waited for."""
        async with asyncio.timeout(PATIENCE):
            async with self.crm.writing(defining=defining) as tx:
                await what(tx)
                asking = asyncio.create_task(at_once(self.crm, *pair))
                await until_it_waits(self.crm, asking)
            return await asking


@pytest.fixture
def meanwhile(crm: Graph) -> Meanwhile:
    return Meanwhile(crm)


async def nothing_came(crm: Graph, before: set[tuple[int, int, int, int]]) -> None:
    assert await standing(crm) == before
    await laws(crm)


async def test_a_record_that_others_associate_meanwhile_is_waited_for_and_both_are_counted(
    crm: Graph, meanwhile: Meanwhile
) -> None:
    await crm.label("deals", "contacts", "Buyer", max_count=2)
    deal, [ann, bob] = await crm.record("deals"), await crm.records("contacts", 2)
    found = await meanwhile((deal, ann, "buyer"), lambda tx: add(tx, deal, bob, "buyer"))
    assert found is not None
    assert len(found.added) == 2
    assert await crm.count(deal, "contacts", "buyer") == 2
    await laws(crm)


async def test_the_last_place_that_is_taken_meanwhile_is_not_given_again(
    crm: Graph, meanwhile: Meanwhile
) -> None:
    await crm.label("deals", "contacts", "Buyer", max_count=1)
    deal, [ann, bob] = await crm.record("deals"), await crm.records("contacts", 2)
    assert await meanwhile((deal, ann, "buyer"), lambda tx: add(tx, deal, bob, "buyer")) is None
    assert await crm.labels_of(deal, ann) is None
    assert await crm.count(deal, "contacts", "buyer") == 1
    await laws(crm)


async def test_a_pair_that_is_associated_meanwhile_is_left_to_the_long_way(
    crm: Graph, meanwhile: Meanwhile
) -> None:
    """Another label of the same group would else stand beside it."""
    for name in ("Payer", "Guarantor"):
        await crm.label("contacts", "deals", name, inverse_label=f"{name} of", exclusivity_group="money")
    ann, deal = await crm.record("contacts"), await crm.record("deals")
    assert await meanwhile((ann, deal, "payer"), lambda tx: add(tx, ann, deal, "guarantor")) is None
    assert await crm.labels_of(ann, deal) == {"guarantor"}
    await laws(crm)


async def test_a_record_that_is_archived_or_merged_away_meanwhile_gets_nothing(
    crm: Graph, meanwhile: Meanwhile
) -> None:
    [ann, bob, cid], deals = await crm.records("contacts", 3), await crm.records("deals", 2)
    before = await standing(crm)
    assert await meanwhile((ann, deals[0]), lambda tx: records.archive(tx, [ann], Mode.ATOMIC)) is None
    assert await meanwhile((deals[0], bob), lambda tx: records.merge(tx, cid, bob)) is None
    await nothing_came(crm, before)
    async with crm.db.read(crm.account) as reader:
        queued = await reader.fetchval(
            "SELECT count(*) FROM change_queue AS q WHERE q.account_id = $1 AND q.kind = 'ASSOCIATED'"
        )
    assert queued == 0


async def test_definitions_that_change_meanwhile_are_obeyed(crm: Graph, meanwhile: Meanwhile) -> None:
    await crm.label("deals", "contacts", "Buyer")
    deal, [ann, bob] = await crm.record("deals"), await crm.records("contacts", 2)
    await crm.associate((deal, bob, "buyer"))
    before = await standing(crm)

    async def limited(tx: Any) -> None:
        [row] = [row for row in labels.listing(tx.catalogue, "deals", "contacts") if row.name == "buyer"]
        await labels.set_limits(tx, row.id, max_count=1)

    assert await meanwhile((deal, ann, "buyer"), limited, defining=True) is None
    await nothing_came(crm, before)


async def test_who_is_no_longer_the_first_is_not_made_primary_and_who_became_it_is(
    crm: Graph, meanwhile: Meanwhile
) -> None:
    ann, [acme, bolt] = await crm.record("contacts"), await crm.records("companies", 2)
    assert await meanwhile((ann, acme), lambda tx: add(tx, ann, bolt)) is None
    [outcome] = await crm.associate((ann, acme))
    assert outcome.value is not None
    assert await crm.labels_of(ann, acme) == set()

    other, [first, second] = await crm.record("contacts"), await crm.records("companies", 2)
    await crm.associate((other, first))
    assert (
        await meanwhile(
            (second, other),
            lambda tx: associations.dissociate(tx, [Pair(other, first)], Mode.ATOMIC),
        )
        is None
    )
    await crm.associate((second, other))
    assert await crm.labels_of(other, second) == {"primary"}
    await laws(crm)


async def test_a_neighbour_that_comes_back_meanwhile_counts(crm: Graph, meanwhile: Meanwhile) -> None:
    """Restoring raises the counter of a record without changing the record."""
    await crm.label("deals", "contacts", "Buyer", max_count=2)
    deal, [ann, bob, cid] = await crm.record("deals"), await crm.records("contacts", 3)
    await crm.associate((deal, ann, "buyer"), (deal, bob, "buyer"))
    async with crm.writing() as tx:
        await records.archive(tx, [ann], Mode.ATOMIC)
    before = await standing(crm)
    assert await meanwhile((deal, cid, "buyer"), lambda tx: records.restore(tx, [ann], Mode.ATOMIC)) is None
    await nothing_came(crm, before)
    assert await crm.count(deal, "contacts", "buyer") == 2


async def test_who_would_wait_in_a_circle_is_not_done_and_can_go_the_long_way(crm: Graph) -> None:
    """Such as with a merge, whose survivor is held out of order."""
    ann, deal = sorted([await crm.record("contacts"), await crm.record("deals")])
    before, asking = await standing(crm), None
    async with asyncio.timeout(PATIENCE):
        try:
            async with crm.writing() as tx:
                # The later one first, and the earlier one when the other holds it and waits.
                await associated.hold(tx, [deal])
                asking = asyncio.create_task(at_once(crm, ann, deal))
                await until_it_waits(crm, asking)
                await associated.hold(tx, [ann])
        except asyncpg.DeadlockDetectedError:
            # On a slow machine PostgreSQL may choose this side.
            assert asking is not None
            assert await asking is not None
        else:
            assert await asking is None
            assert await standing(crm) == before
    await laws(crm)


async def add(tx: Any, one: int, other: int, *labels: str) -> None:
    await associations.associate(tx, [Pair(one, other, labels)], Mode.ATOMIC)


async def test_a_new_pair_takes_two_statements_whose_plans_are_kept(crm: Graph, database_url: str) -> None:
    await crm.label("contacts", "deals", "Buyer", inverse_label="Bought by", max_count=10)
    contacts, deals = await crm.records("contacts", 40), await crm.records("deals", 40)
    await crm.db.pool.execute("ANALYZE")
    async with connect(database_url, size=1) as db:
        catalogue = await db.catalogue(crm.account)
        with counted() as seen:
            for contact, deal in zip(contacts, deals, strict=True):
                assert await associations.associate_at_once(
                    db, catalogue, Pair(contact, deal, ("buyer",)), now=crm.now, actor=ANN_WHO_CLICKS
                )
        plans = {row["statement"]: (row["kept"], row["made"]) for row in await db.pool.fetch(PLANS)}
    assert len(seen) == 2 * len(contacts)
    for statement in dict.fromkeys(seen):
        kept, made = plans[str(statement)]
        assert kept + made == len(contacts)
        assert made < 20
    await laws(crm)


async def test_the_mutation_takes_the_short_way_for_one_new_pair_and_the_long_one_for_all_else(
    crm: Graph,
) -> None:
    await crm.label("contacts", "deals", "Buyer", inverse_label="Bought by", max_count=1)
    [ann, bob, cid], deals = await crm.records("contacts", 3), await crm.records("deals", 3)
    principal = Principal(crm.account, "demo", 1, None, Role.EDITOR, frozenset(Scope))

    async def asked(
        operation: str, *pairs: tuple[Any, ...], key: str | None = None
    ) -> tuple[bool, list[bool]]:
        """Whether the short way wrote it, and what was changed."""
        ends = [Ends(encode("record", pair[0]), encode("record", pair[1]), tuple(pair[2:])) for pair in pairs]
        context = Context(crm.db, principal, crm.tick(), await crm.db.catalogue(crm.account))
        with counted() as seen:
            items = await carry_out(context, Batch(operation, ends, key=key))
        return not set(ADD.values()).isdisjoint(seen), [
            bool(one.value and one.value["added"]) for one in items
        ]

    assert await asked("associate", (ann, deals[0])) == (True, [True])
    assert await asked("associate", (ann, deals[0])) == (False, [False])
    assert await asked("addLabels", (deals[1], ann)) == (False, [False])
    assert await asked("addLabels", (ann, deals[1], "buyer")) == (True, [True])
    # The limit is reached, which takes words.
    assert await asked("associate", (ann, deals[2], "buyer")) == (False, [False])
    assert await asked("associate", (bob, deals[0]), (bob, deals[1])) == (False, [True, True])
    assert await asked("setLabels", (cid, deals[0], "buyer")) == (False, [True])
    for _ in range(2):
        assert await asked("associate", (cid, deals[1]), key="once") == (False, [True])
    await laws(crm)
