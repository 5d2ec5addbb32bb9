"""The short way among others, by chance: what one after the other would have given, and nobody waits in a circle."""

import asyncio
import random
from typing import Any

import pytest

from engine import associations
from engine.associations import Pair
from engine.batches import Mode
from storage import changes
from storage.database import Actor, Database
from storage.faults import Fault, fault
from tests.graph import Graph, graph, laws
from tests.test_associations_at_once import add, at_once
from tests.test_associations_races import SCHEDULES, Deals


@pytest.fixture
async def crm(db: Database) -> Graph:
    return await graph(db)


async def test_over_random_schedules_the_short_way_among_others_gives_what_one_after_the_other_would(
    crm: Graph,
) -> None:
    """By the order of the log, told by whom each event is of: no limit is passed, no free place refused."""
    await crm.label("deals", "contacts", "Buyer", max_count=3, inverse_max_count=2)
    await crm.limit("deals", "contacts", None, max_count=4)
    deals, people = await crm.records("deals", 3), await crm.records("contacts", 6)
    model, short, refused = Deals(), 0, 0
    for seed in range(SCHEDULES):
        chance = random.Random(seed)
        asked = [
            Asked(
                f"{seed} {n}",
                chance.choice(["add"] * 5 + ["associate"] * 2 + ["remove", "dissociate"]),
                (chance.choice(deals), chance.choice(people)),
                chance.random() < 0.5,
                chance.random() / 200,
            )
            for n in range(chance.randint(2, 10))
        ]
        order = await run(crm, asked)
        for one in order:
            assert model.allowed(one.command, *one.ends) is not one.refused, (seed, one)
        short += sum(one.short for one in order)
        refused += sum(one.refused for one in order)
    await laws(crm)
    # Both ways were gone, and places were few.
    assert 0 < short < SCHEDULES * 5
    assert refused > 0


class Asked:
    """One request for a deal and a person: what is asked, from which end, after which pause, and what became of it."""

    def __init__(self, name: str, command: str, ends: tuple[int, int], turned: bool, pause: float) -> None:
        self.actor = Actor("API", name)
        self.command, self.ends, self.pause = command, ends, pause
        self.labels = ("buyer",) if command in ("add", "remove") else ()
        self.pair = Pair(*(ends[::-1] if turned else ends), self.labels)
        self.short = self.refused = False

    async def do(self, crm: Graph, mark: int, other: int) -> None:
        """The short way where it goes; else the long one, with a pair of its own that tells where it was committed."""
        await asyncio.sleep(self.pause)
        if self.command in ("add", "associate"):
            pair = (self.pair.from_id, self.pair.to_id, *self.labels)
            self.short = await at_once(crm, *pair, actor=self.actor) is not None
        while not self.short:
            try:
                async with crm.db.transaction(crm.account, now=crm.tick(), actor=self.actor) as tx:
                    await add(tx, mark, other)
                    [outcome] = await COMMANDS[self.command](tx, [self.pair], Mode.PER_ITEM)
                self.refused = outcome.problem is not None
                return
            except Exception as error:
                if fault(error) is not Fault.COLLIDED:
                    raise


COMMANDS: dict[str, Any] = {
    "add": associations.add_labels,
    "associate": associations.associate,
    "remove": associations.remove_labels,
    "dissociate": associations.dissociate,
}


async def run(crm: Graph, asked: list[Asked]) -> list[Asked]:
    """All at once; in the order in which they were committed."""
    marks = await crm.records("tickets", 2 * len(asked))
    async with crm.db.read(crm.account) as reader:
        before = await changes.last(reader)
    await asyncio.gather(*(one.do(crm, *marks[2 * n : 2 * n + 2]) for n, one in enumerate(asked)))
    async with crm.db.read(crm.account) as reader:
        events = await changes.read(reader, before, 100_000)
    by_name = {one.actor.source_id: one for one in asked}
    order = [by_name[name] for name in dict.fromkeys(event.source_id for event in events)]
    assert len(order) == len(asked)
    return order


async def test_short_and_long_ways_in_opposite_directions_do_not_wait_in_a_circle(crm: Graph) -> None:
    people = await crm.records("contacts", 10)
    pairs = [(a, b) for a in people for b in people if a < b]
    async with asyncio.timeout(60):
        for seed in range(5):
            chance = random.Random(seed)

            async def singly(chance: random.Random) -> None:
                for pair in chance.sample(pairs, 20):
                    await at_once(crm, *(pair if chance.random() < 0.5 else pair[::-1]))

            await asyncio.gather(
                crm.do(associations.associate, *chance.sample(pairs, 30)),
                crm.do(associations.associate, *[pair[::-1] for pair in chance.sample(pairs, 30)]),
                *(singly(random.Random(f"{seed} {n}")) for n in range(6)),
            )
            await laws(crm)
            await crm.do(associations.dissociate, *pairs)
