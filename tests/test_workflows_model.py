"""What random workflows do to random contacts is, to the last line of history, what a plain model says.

Each change is settled before the next one is made, so there is one right outcome.
"""

import random
from datetime import timedelta
from typing import Any

import pytest

from engine.workflows import steps
from storage.database import Database
from tests.flows import associated, equals, met
from tests.flows_model import Model
from tests.flows_random import World, mirror, perform
from tests.segments import Segments, segments

TRANSACTIONS = 25
EDGES = """
    SELECT a.from_id, a.to_id, a.type_id FROM association AS a
     WHERE a.account_id = $1 AND a.from_id = ANY($2::bigint[])
"""


@pytest.fixture
async def crm(db: Database) -> Segments:
    return await segments(db)


async def told(world: World) -> dict[str, Any]:
    """All that there is to compare, as it stands in the tables."""
    crm = world.crm
    enrolled = []
    for flow in world.flows:
        for row in await crm.enrolled(flow):
            lines = [(line.action, line.outcome) for line in await crm.history(row.id)]
            trigger, renewed = row.reason["trigger"], row.reason.get("reenrollment")
            enrolled.append((flow, row.record_id, row.epoch, row.status, trigger, renewed, lines))
    types = {one.id: one.name for one in (await crm.db.catalogue(crm.account)).association_types.values()}
    edges = await crm.read(EDGES, world.contacts)
    links: dict[tuple[int, int], set[str]] = {}
    for contact, other, type_id in edges:
        if other in world.companies:
            links.setdefault((contact, other), set()).update({types[type_id] or ""} & {"customer", "vip"})
    rows = await crm.read(
        "SELECT r.id, r.properties FROM record AS r WHERE r.account_id = $1 AND r.id = ANY($2::bigint[])",
        world.contacts,
    )
    deals: dict[int, int] = {}
    for contact, other, type_id in edges:
        if other not in world.companies and types[type_id] is None:
            deals[contact] = deals.get(contact, 0) + 1
    return {
        "enrolled": sorted(enrolled, key=lambda one: one[:3]),
        "links": links,
        "values": {row[0]: row[1] for row in rows},
        "deals": deals,
        "members": {one: await crm.members(one) for one in (world.active, world.by_hand)},
    }


def foretold(model: Model) -> dict[str, Any]:
    """The same as the model has it."""
    enrolled = [
        (one.flow, one.record, one.epoch, one.status, one.trigger, one.renewed, one.lines)
        for one in model.enrolled
    ]
    return {
        "enrolled": sorted(enrolled, key=lambda one: one[:3]),
        "links": model.links,
        "values": model.values,
        "deals": {one: n for one, n in model.deals.items() if n},
        "members": {one: model.members.get(one, set()) for one in (*model.active_segments, *model.by_hand)},
    }


async def live(crm: Segments, seed: int, transactions: int = TRANSACTIONS) -> None:
    """Random workflows, and random changes that are settled one after the other; all as the model says."""
    world = World(crm, random.Random(seed))
    await world.begin()
    model = world.model()
    chance = world.chance
    await crm.work()
    model.settle()
    for n in range(transactions):
        done = []
        if chance.random() < 0.12:
            # A night passes: delays of a day may be over, or not.
            crm.now += timedelta(hours=chance.choice([6, 18, 30]))
        else:
            async with crm.writing() as tx:
                for op in world.ops(chance):
                    made = await perform(tx, op)
                    done.append((op, made))
        model.now = crm.now
        for op, made in done:
            if made is not None:
                world.contacts.append(made)
            mirror(model, op, made)
        now = crm.tick()
        model.now = now
        await crm.work(now)
        model.settle()
        expected, found = foretold(model), await told(world)
        for what in expected:
            assert found[what] == expected[what], (seed, n, done, what)


@pytest.mark.parametrize("seed", range(4))
async def test_settled_one_by_one_the_engine_does_what_the_model_says(
    crm: Segments, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Batches one after the other, in their order: side by side, two that write the same may come either way.
    monkeypatch.setattr(steps, "LANES", 1, raising=False)
    await live(crm, seed)


async def test_what_held_before_a_record_was_archived_is_nothing_new_when_it_is_back(crm: Segments) -> None:
    near_boston = met(associated("companies", equals("city", "Boston")))
    flow = await crm.flow("contacts", [near_boston], reenrollmentTriggers=[near_boston])
    ann, acme = await crm.one("contacts"), await crm.one("companies", city="Boston")
    await crm.associate((ann, acme))
    await crm.work()
    await crm.archive(ann)
    await crm.work()
    # Somebody it is associated with changes meanwhile: it is looked at, and not there.
    for city in ("Rome", "Boston"):
        await crm.set(acme, city=city)
        await crm.work()
    await crm.restore(ann)
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "COMPLETED")]
