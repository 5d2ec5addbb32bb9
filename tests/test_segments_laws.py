"""The law of active segments: at rest they are what their filters say, and their history replays to it.

It holds for random segments and random histories, with several writers and workers, whatever fails; and it is
tried on deliberately broken engines, which it must catch.
"""

import asyncio
import os
import random
import signal
import sys
from typing import Any

import pytest

from engine import associations, events, filters, records
from engine.associations import Pair
from engine.batches import Mode
from engine.evaluation import listening
from engine.evaluation import run as evaluate
from engine.events import EventInput
from engine.problems import Problem
from engine.segments import fill, follow
from storage import changes, match_states, memberships, walks
from storage.database import Database, Transaction
from storage.faults import Fault, fault
from tests.crm import done_or_waiting
from tests.flows import associated, equals
from tests.segments import Segments, segments
from tests.test_workflows_laws import WRITER, Crash, crashing, until

CITIES = ("Boston", "Paris", "Rome")
PATIENCE = 60
# How often somebody looked, and at what.
VIEWED: tuple[dict[str, Any], ...] = (
    {},
    {"negated": True},
    {"count": 2},
    {"where": {"property": {"name": "url", "operator": "EQUALS", "value": "/"}}},
)


@pytest.fixture
async def crm(db: Database) -> Segments:
    made = await segments(db)
    await made.label("contacts", "companies", "Customer of", name="customer", inverse_name="supplier")
    words = {"name": "manager", "inverse_label": "Report", "inverse_name": "report"}
    await made.label("contacts", "contacts", "Manager", **words)
    return made


def random_filter(chance: random.Random, object_type: str, depth: int) -> dict[str, Any]:
    """A filter of properties, events, labels, counts and neighbours to two levels, in all their combinations."""
    roll = chance.random()
    if depth == 0 or roll < 0.35:
        leaf = equals("city" if object_type != "deals" else "name", chance.choice(CITIES))
        if chance.random() < 0.25:
            leaf = {"event": {"type": "page_viewed", **chance.choice(VIEWED)}}
        return leaf if chance.random() < 0.7 else {"not": leaf}
    if roll < 0.55:
        parts = [random_filter(chance, object_type, depth - 1) for _ in range(2)]
        return {chance.choice(["and", "or"]): parts}
    to = {"contacts": ["companies", "contacts"], "companies": ["contacts", "deals"], "deals": ["companies"]}
    other = chance.choice(to[object_type])
    labels = {("contacts", "companies"): "customer", ("contacts", "contacts"): "manager"}.get(
        (object_type, other)
    )
    more: dict[str, Any] = {"labels": chance.choice([None, [], [labels] if labels else None])}
    quantifier = chance.choice(["ANY", "ANY", "ALL", "NONE", "COUNT"])
    if quantifier == "COUNT":
        more |= {"operator": "GREATER_THAN", "count": chance.randrange(3)}
    where = None if chance.random() < 0.2 else random_filter(chance, other, depth - 1)
    return associated(other, where, quantifier=quantifier, includeEmpty=chance.random() < 0.2, **more)


async def random_writes(crm: Segments, ids: dict[str, list[int]], seed: int, n: int) -> None:
    """Change records and associations at random, each time in a transaction that takes its time."""
    chance = random.Random(seed)
    for _ in range(n):
        try:
            async with crm.writing() as tx:
                await random_write(tx, ids, chance)
                await asyncio.sleep(chance.random() / 200)
        except Problem:
            continue  # what cannot be merged as it stands
        except Exception as error:
            if fault(error) is not Fault.COLLIDED:
                raise


async def random_write(tx: Transaction, ids: dict[str, list[int]], chance: random.Random) -> None:
    kind = chance.choice(list(ids))
    one = chance.choice(ids[kind])
    other = chance.choice(ids["companies" if kind in ("contacts", "deals") else "contacts"])
    match chance.randrange(14):
        case 0:
            await records.archive(tx, [one], Mode.PER_ITEM)
        case 1 | 2:
            await records.restore(tx, [one], Mode.PER_ITEM)
        case 3 | 4 | 5:
            name = "name" if kind == "deals" else "city"
            await records.update(tx, [(one, {name: chance.choice(CITIES)})], Mode.PER_ITEM)
        case 6:
            made = await records.create(
                tx, tx.catalogue.by_name[kind], [{"city": "Boston"} if kind != "deals" else {}], Mode.ATOMIC
            )
            assert made[0].value is not None
            ids[kind].append(made[0].value.id)
        case 7:
            contacts = [chance.choice(ids["contacts"]) for _ in range(2)]
            if contacts[0] != contacts[1]:
                await associations.associate(
                    tx, [Pair(contacts[0], contacts[1], ("manager",))], Mode.PER_ITEM
                )
        case 8:
            await associations.dissociate(tx, [Pair(one, other)], Mode.PER_ITEM)
        case 9 if chance.random() < 0.2 and len(ids[kind]) > 3:
            ids[kind].remove(one)
            await records.merge(tx, chance.choice(ids[kind]), one)
        case 10 | 11:
            seen = EventInput("page_viewed", one, {"url": chance.choice(["/", "/pricing"])})
            await events.record(tx, [seen], Mode.PER_ITEM)
        case _:
            labels = ("customer",) if kind == "contacts" and chance.random() < 0.5 else ()
            await associations.associate(tx, [Pair(one, other, labels)], Mode.PER_ITEM)


async def turmoil(crm: Segments, seed: int) -> None:
    """Random segments, made and edited while writers write, evaluators evaluate and fillers fill; then rest."""
    chance = random.Random(seed)
    ids = {
        "contacts": await crm.create("contacts", *[{"city": chance.choice(CITIES)} for _ in range(12)]),
        "companies": await crm.create("companies", *[{} for _ in range(5)]),
        "deals": await crm.create("deals", *[{} for _ in range(3)]),
    }
    made = [await crm.segment(kind, random_filter(chance, kind, 2)) for kind in ids for _ in range(3)]
    static = await crm.segment("contacts", kind="STATIC")
    working = 4

    async def write(n: int) -> None:
        nonlocal working
        await random_writes(crm, ids, seed * 10 + n, 25)
        working -= 1

    async def define() -> None:
        nonlocal working
        for _ in range(6):
            await asyncio.sleep(chance.random() / 20)
            try:
                await crm.add(static, *chance.sample(ids["contacts"], 3), mode=Mode.PER_ITEM)
                kind = chance.choice(list(ids))
                made.append(await crm.segment(kind, random_filter(chance, kind, 2)))
                await crm.edit(made[0], where=random_filter(chance, "contacts", 2))
            except Crash:
                continue
            except Exception as error:
                if fault(error) is not Fault.COLLIDED:
                    raise
        working -= 1

    async def evaluating() -> Any:
        return await evaluate.run_once(crm.db, crm.account, now=crm.tick())

    async def filling() -> Any:
        return await fill.run_once(crm.db, crm.account, now=crm.tick())

    work = [until(lambda: working == 0, evaluating, n) for n in range(3)]
    work += [until(lambda: working == 0, filling, n) for n in range(2)]
    await asyncio.gather(*(write(n) for n in range(3)), define(), *work)
    await rest(crm)


async def rest(crm: Segments) -> None:
    """Work until nothing is left, over any crash."""
    while True:
        try:
            await crm.settle()
        except Crash:
            continue
        return


@pytest.mark.parametrize("seed", range(3))
async def test_at_rest_members_are_what_the_filters_say_and_history_replays_to_them(
    crm: Segments, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "NEIGHBOURS_A_BATCH", 5)
    monkeypatch.setattr(fill, "RECORDS_A_BATCH", 4)
    await turmoil(crm, seed)
    await crm.expect_at_rest()


def crashes_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two of: the claim, the walk, the holding, the members, what is told, the place of a fill."""
    crashing(monkeypatch, changes, "claim", 0.15, 1)
    crashing(monkeypatch, walks, "keep", 0.15, 2)
    crashing(monkeypatch, memberships, "hold", 0.1, 3)
    crashing(monkeypatch, memberships, "write", 0.1, 4)
    crashing(monkeypatch, match_states, "note", 0.1, 5)
    crashing(monkeypatch, match_states, "move_fill", 0.1, 6)
    crashing(monkeypatch, match_states, "end_fill", 0.1, 7)


@pytest.mark.parametrize("seed", range(10, 12))
async def test_workers_that_crash_anywhere_lose_nothing(
    crm: Segments, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes_everywhere(monkeypatch)
    monkeypatch.setattr(evaluate, "NEIGHBOURS_A_BATCH", 5)
    monkeypatch.setattr(fill, "RECORDS_A_BATCH", 4)
    await turmoil(crm, seed)
    await crm.expect_at_rest()


async def test_an_engine_that_dequeues_before_it_evaluates_is_caught(
    crm: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def early(tx: Transaction, limit: int) -> Any:
        # The broken variant: the changes are gone before anything came of them.
        async with tx._database.transaction(tx.account_id, now=tx.now, actor=WRITER) as other:
            return await honest(other, limit)

    honest = changes.claim
    monkeypatch.setattr(changes, "claim", early)
    crashes_everywhere(monkeypatch)
    with pytest.raises(AssertionError):
        for seed in range(10, 50):
            await turmoil(crm, seed)
            await crm.expect_at_rest()


async def test_an_engine_that_does_not_walk_back_is_caught(
    crm: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = listening.candidates

    def near_only(*args: Any) -> Any:
        found, _ = honest(*args)
        return found, []

    monkeypatch.setattr(listening, "candidates", near_only)
    with pytest.raises(AssertionError):
        for seed in range(40):
            await turmoil(crm, seed)
            await crm.expect_at_rest()


async def test_an_engine_that_passes_over_changes_which_matter_is_caught(
    crm: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The broken variant: it takes only a value that was not there before for a difference.
    monkeypatch.setattr(filters, "matters", lambda _says, before, _now: before is None)
    with pytest.raises(AssertionError):
        for seed in range(40):
            await turmoil(crm, seed)
            await crm.expect_at_rest()


async def overtaken(crm: Segments, monkeypatch: pytest.MonkeyPatch) -> None:
    """One evaluator looks, and while it has not written yet, a newer change is evaluated by another one."""
    segment = await crm.segment("contacts", equals("city", "Boston"))
    ann = await crm.one("contacts")
    await crm.settle()
    await crm.set(ann, city="Boston")
    honest = follow.settle
    others: list[asyncio.Task[Any]] = []

    async def slow(*args: Any) -> None:
        monkeypatch.setattr(follow, "settle", honest)
        await crm.set(ann, city="Paris")
        others.append(asyncio.create_task(evaluate.run_once(crm.db, crm.account, now=crm.tick())))
        await done_or_waiting(crm.db, others[0])
        await honest(*args)

    monkeypatch.setattr(follow, "settle", slow)
    await evaluate.run_once(crm.db, crm.account, now=crm.tick())
    await asyncio.gather(*others)
    await crm.settle()
    assert await crm.members(segment) == set()
    await crm.expect_at_rest()


async def test_an_older_look_never_overwrites_a_newer_one(
    crm: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    await overtaken(crm, monkeypatch)


async def test_an_engine_that_holds_no_segment_while_it_looks_is_caught(
    crm: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def free(tx: Transaction, segment_ids: Any) -> dict[int, int]:
        # The broken variant: evaluators of one segment do not wait for each other.
        rows = await tx.fetch(
            "SELECT t.segment_id, t.lines FROM segment_tally AS t WHERE t.account_id = $1"
            " AND t.segment_id = ANY($2::bigint[])",
            list(segment_ids),
        )
        return {row["segment_id"]: row["lines"] for row in rows}

    monkeypatch.setattr(memberships, "hold", free)
    with pytest.raises(AssertionError):
        await overtaken(crm, monkeypatch)


async def test_a_hub_is_worked_off_in_parts_and_holds_nobody_up(
    crm: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "NEIGHBOURS_A_BATCH", 10)
    far = await crm.segment("contacts", associated("companies", equals("city", "Boston")))
    near = await crm.segment("contacts", equals("city", "Rome"))
    contacts = await crm.create("contacts", *[{}] * 95)
    hub = await crm.one("companies")
    await crm.associate(*[(hub, one) for one in contacts])
    await crm.settle()
    await crm.set(hub, city="Boston")
    assert await evaluate.run_once(crm.db, crm.account, now=crm.tick())
    assert 0 < len(await crm.members(far)) <= 10
    # What comes in meanwhile does not wait for the hub's other neighbours.
    await crm.set(contacts[-1], city="Rome")
    assert await evaluate.run_once(crm.db, crm.account, now=crm.tick())
    assert await crm.members(near) == {contacts[-1]}
    assert 0 < len(await crm.members(far)) <= 20
    await crm.settle()
    assert await crm.members(far) == set(contacts)
    await crm.expect_at_rest()


@pytest.mark.slow
async def test_workers_killed_at_any_moment_lose_no_member(crm: Segments, database_url: str) -> None:
    chance = random.Random(5)
    ids = {
        "contacts": await crm.create("contacts", *[{}] * 60),
        "companies": await crm.create("companies", *[{}] * 6),
        "deals": await crm.create("deals", *[{}] * 3),
    }
    for kind in ids:
        for _ in range(4):
            await crm.segment(kind, random_filter(chance, kind, 2))

    async def start() -> asyncio.subprocess.Process:
        environment = {**os.environ, "DATABASE_URL": database_url, "RELATA_LOG_LEVEL": "error"}
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server.cli", "work", env=environment, stdin=asyncio.subprocess.DEVNULL
        )

    workers = [await start(), await start()]
    try:
        for n in range(6):
            await asyncio.gather(*(random_writes(crm, ids, n * 10 + m, 10) for m in range(3)))
            kind = chance.choice(list(ids))
            await crm.segment(kind, random_filter(chance, kind, 2))
            victim = chance.randrange(2)
            workers[victim].send_signal(signal.SIGKILL)
            await workers[victim].wait()
            workers[victim] = await start()
        async with asyncio.timeout(PATIENCE):
            while await walks.waiting(crm.db, crm.now):  # noqa: ASYNC110 (the tables tell nobody)
                await asyncio.sleep(0.2)
    finally:
        for process in workers:
            process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(asyncio.wait_for(process.wait(), PATIENCE) for process in workers))
    await crm.expect_at_rest()
