"""A broken checker is no checker: engines that are broken on purpose, each of which the laws must catch.

Each variant is one that somebody could have built; the turmoil is that of `tests.test_workflows_chaos`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from engine import accounts
from engine.evaluation import run as evaluate
from engine.workflows import actions, enrolling, happenings, steps
from engine.workflows.actions import delays
from storage import changes, enrollments, trigger_states
from storage.database import Database, Transaction
from tests.chaos import Crash, failpoints
from tests.flows import equals, met
from tests.flows_laws import expect_laws
from tests.flows_random import World, count, named
from tests.graph import ANN_WHO_CLICKS, T0
from tests.segments import Segments
from tests.test_workflows_chaos import live as chaos
from tests.test_workflows_model import live as settled

Break = Callable[[pytest.MonkeyPatch], None]
Story = Callable[[Segments, str, int], Awaitable[None]]
# Workers that do nothing else meet more often.
ALONE = (evaluate.run_once, evaluate.run_once, steps.run_once)
# So many times each may hide.
SEEDS = range(40)
# How long one that waits for itself does so, in seconds.
PATIENCE = 1.0


def acts_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done stands, whether or not the move does."""
    honest = actions.carry_out

    async def outside(batch: actions.Batch, bound: Any) -> Any:
        tx = batch.tx
        if batch.node.action.id != "count":
            return await honest(batch, bound)
        # Two transactions of one worker may wait for each other by way of another worker's, which no database sees.
        try:
            async with (
                asyncio.timeout(PATIENCE),
                tx._database.transaction(tx.account_id, now=tx.now, actor=tx.actor) as other,
            ):
                return await honest(replace(batch, tx=other), bound)
        except TimeoutError:
            raise Crash from None

    monkeypatch.setattr(steps, "carry_out", outside)


def dequeues_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The changes are gone before anything came of them."""
    honest = changes.claim

    async def early(tx: Transaction, limit: int) -> Any:
        async with tx._database.transaction(tx.account_id, now=tx.now, actor=ANN_WHO_CLICKS) as other:
            return await honest(other, limit)

    monkeypatch.setattr(changes, "claim", early)


def asks_nobody_whose_turn_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stepper takes the step that it saw due, without asking again whether it still is."""

    async def blind(tx: Transaction, ids: Any, _next_step: int) -> Any:
        rows = await tx.fetch(
            f"SELECT {enrollments.COLUMNS} FROM enrollment AS e"
            " WHERE e.account_id = $1 AND e.id = ANY($2::bigint[]) ORDER BY e.id FOR UPDATE",
            list(ids),
        )
        return [enrollments.EnrollmentRow(**row) for row in rows]

    monkeypatch.setattr(enrollments, "claim", blind)


def matches_what_is_left_of_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several changes of a record only the last is asked whether it is what a trigger waits for."""
    honest = happenings.occurring
    monkeypatch.setattr(happenings, "occurring", lambda conditions, changes: honest(conditions, changes[-1:]))


def forgets_what_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever holds counts as new."""

    async def nothing(_reader: Any, wanted: Any) -> Any:
        return {pair[:2]: frozenset() for pair in wanted}

    monkeypatch.setattr(trigger_states, "held", nothing)


def wakes_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is woken within the hour, not on the day."""
    monkeypatch.setattr(delays, "until_of", lambda _bound, _properties, now: now + timedelta(minutes=1))


def leaves_a_line_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a batch the last one's line of history is forgotten."""
    honest = enrollments.insert_steps

    async def forgetful(tx: Transaction, lines: Any) -> None:
        await honest(tx, lines[:-1] if len(lines) > 1 else lines)

    monkeypatch.setattr(enrollments, "insert_steps", forgetful)


def lets_anybody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key keeps a record from being active twice, or two enrollments from one number."""
    honest = World.begin

    async def without(world: World, *contacts: Any, **options: Any) -> None:
        async with world.crm.db.pool.acquire() as connection:
            keys = await connection.fetch(
                "SELECT c.conname FROM pg_constraint AS c"
                " WHERE c.conrelid = 'enrollment'::regclass AND c.contype = 'u'"
            )
            for row in keys:
                await connection.execute(f'ALTER TABLE enrollment DROP CONSTRAINT "{row[0]}"')
            await connection.execute("DROP INDEX IF EXISTS enrollment_active")
        await honest(world, *contacts, **options)

    monkeypatch.setattr(World, "begin", without)


# --- the stories --------------------------------------------------------------------------------------------


async def randomly(crm: Segments, url: str, seed: int) -> None:
    """Random workflows under everything."""
    await chaos(crm, url, seed, rate=0.25)


async def in_a_crowd(crm: Segments, url: str, seed: int) -> None:
    """Two contacts whom everybody writes to, and workflows that take them in again and again."""
    boston, moved = met(equals("city", "Boston", "Paris")), {"propertyChanged": {"property": "city"}}
    again = [
        {"triggers": [one], "reenrollmentTriggers": [one], "actions": named([count(f"score{n}")])}
        for n, one in enumerate([boston, moved])
    ]
    await chaos(crm, url, seed, rate=0.02, given=again, contacts=2, n=30, duties=ALONE)


async def at_one_door(crm: Segments, _url: str, seed: int) -> None:
    """Two look at one contact, and either has decided to let it in before one of them does."""
    world = World(crm, random.Random(seed))
    moved = {"propertyChanged": {"property": "city"}}
    await world.begin(1, given=[{"triggers": [moved], "actions": named([count("score0")])}])
    await crm.work()
    honest, both = enrolling.settle, asyncio.Barrier(2)

    async def together(*args: Any) -> Any:
        await both.wait()
        return await honest(*args)

    looks: list[asyncio.Task[bool]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enrolling, "settle", together)
        async with asyncio.timeout(60):
            for city in ("Salem", "Dover"):
                await crm.set(world.contacts[0], city=city)
                looks.append(asyncio.create_task(evaluate.run_once(crm.db, crm.account, now=crm.tick())))
                while not (both.n_waiting or looks[0].done()):  # noqa: ASYNC110 (a barrier tells nobody)
                    await asyncio.sleep(0.01)
            assert await asyncio.gather(*looks) == [True, True]
    await crm.work()
    await expect_laws(world, early=timedelta(hours=3))


async def one_by_one(crm: Segments, _url: str, seed: int) -> None:
    """Random workflows beside the model, each change settled."""
    await settled(crm, seed)


@pytest.mark.parametrize(
    ("variant", "story"),
    [
        (acts_outside, randomly),
        (dequeues_early, randomly),
        (asks_nobody_whose_turn_it_is, randomly),
        (leaves_a_line_out, randomly),
        (matches_what_is_left_of_changes, one_by_one),
        (forgets_what_held, in_a_crowd),
        (wakes_early, one_by_one),
        (lets_anybody_in, at_one_door),
    ],
    ids=lambda one: one.__name__,
)
async def test_a_broken_engine_is_caught(
    db: Database, database_url: str, variant: Break, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "NEIGHBOURS_A_BATCH", 5)
    monkeypatch.setattr(steps, "BATCH", 7)
    monkeypatch.setattr(steps, "LANES", 1, raising=False)
    variant(monkeypatch)
    failpoints(monkeypatch)
    with pytest.raises((AssertionError, ExceptionGroup)) as caught:
        for seed in SEEDS:
            crm = Segments(db, await accounts.create(db, f"demo {seed}", now=T0))
            await story(crm, database_url, seed)
    if isinstance(caught.value, ExceptionGroup):
        # PostgreSQL's own keys were quicker than the law: who moves what is over makes a record active twice.
        _, others = caught.value.split(asyncpg.UniqueViolationError)
        assert others is None
