"""Many connections at once: a limit is never passed and never wrongly refused, and nobody waits in a circle."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from engine import associations, records
from engine.associations import Pair
from engine.batches import Mode
from storage.database import Database
from storage.faults import Fault, fault
from tests.graph import Graph, graph, laws
from tests.label_races import Batch, race

# How many random schedules race for the last places; by hand, thousands: RELATA_TEST_SCHEDULES=5000.
SCHEDULES = int(os.environ.get("RELATA_TEST_SCHEDULES", "60"))


@pytest.fixture
async def crm(db: Database) -> Graph:
    return await graph(db)


async def patiently(work: Callable[[], Awaitable[object]]) -> None:
    """Do work again when it collided, as whoever owns a transaction does."""
    while True:
        try:
            await work()
        except Exception as error:
            if fault(error) is not Fault.COLLIDED:
                raise
        else:
            return


async def test_the_last_places_go_to_as_many_as_there_are(crm: Graph) -> None:
    await crm.label("deals", "contacts", "Buyer", max_count=7)
    deal = await crm.record("deals")
    contacts = await crm.records("contacts", 24)
    chance = random.Random(4)

    async def ask(one: int) -> bool:
        await asyncio.sleep(chance.random() / 50)
        pair = (deal, one, "buyer") if chance.random() < 0.5 else (one, deal, "buyer")
        [outcome] = await crm.do(associations.add_labels, pair)
        return outcome.problem is None

    assert sum(await asyncio.gather(*map(ask, contacts))) == 7
    assert await crm.count(deal, "contacts", "buyer") == 7
    await laws(crm)


async def test_places_that_are_given_back_are_taken_and_none_is_lost(crm: Graph) -> None:
    """Batches that add and remove in random order, over several full records: the counters never lie."""
    await crm.label("deals", "contacts", "Buyer", max_count=3, inverse_max_count=2)
    deals, contacts = await crm.records("deals", 5), await crm.records("contacts", 10)

    async def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(25):
            pairs = [(chance.choice(deals), chance.choice(contacts)) for _ in range(chance.randint(1, 6))]
            asked = [pair if chance.random() < 0.5 else pair[::-1] for pair in pairs]
            if chance.random() < 0.6:
                await crm.do(associations.add_labels, *[(*pair, "buyer") for pair in asked])
            elif chance.random() < 0.5:
                await crm.do(associations.remove_labels, *[(*pair, "buyer") for pair in asked])
            else:
                await crm.do(associations.dissociate, *asked)
            if chance.random() < 0.1:
                await laws(crm)

    await asyncio.gather(*map(work, range(8)))
    await laws(crm)
    counts = [await crm.count(deal, "contacts", "buyer") or 0 for deal in deals]
    assert max(counts) <= 3
    # Whoever comes now gets exactly the places that are left.
    [newcomer] = await crm.records("contacts", 1)
    for deal, count in zip(deals, counts, strict=True):
        await crm.do(associations.remove_labels, *[(newcomer, other, "buyer") for other in deals])
        [outcome] = await crm.do(associations.add_labels, (newcomer, deal, "buyer"))
        assert (outcome.problem is None) == (count < 3)


class Deals:
    """What one after the other would give: who is associated with which deal, who buys in it, and all limits."""

    def __init__(self) -> None:
        self.plain: set[tuple[int, int]] = set()
        self.buyers: set[tuple[int, int]] = set()

    def allowed(self, command: str, deal: int, person: int) -> bool:
        """Do it, unless a limit forbids it."""
        pair = (deal, person)
        if command == "remove":
            self.buyers.discard(pair)
        elif command == "dissociate":
            self.buyers.discard(pair)
            self.plain.discard(pair)
        elif command == "add" and pair not in self.buyers:
            if (
                self.has(deal, self.buyers) >= 3
                or self.has(person, self.buyers) >= 2
                or not self.associated(pair)
            ):
                return False
            self.buyers.add(pair)
        elif command == "associate":
            return self.associated(pair)
        return True

    def associated(self, pair: tuple[int, int]) -> bool:
        """Associate two, unless the deal has as many people as it may have."""
        if pair not in self.plain and self.has(pair[0], self.plain) >= 4:
            return False
        self.plain.add(pair)
        return True

    @staticmethod
    def has(end: int, pairs: set[tuple[int, int]]) -> int:
        """How many of the pairs one is in."""
        return sum(end in pair for pair in pairs)


async def test_over_random_schedules_every_outcome_is_what_one_after_the_other_would_have_given(
    crm: Graph,
) -> None:
    """No limit is ever passed, and nobody is ever refused a place that is free: by the order of the commits."""
    await crm.label("deals", "contacts", "Buyer", max_count=3, inverse_max_count=2)
    await crm.limit("deals", "contacts", None, max_count=4)
    deals, people = await crm.records("deals", 3), await crm.records("contacts", 6)
    model, asked, refused = Deals(), 0, 0
    for seed in range(SCHEDULES):
        chance = random.Random(seed)
        batches = []
        for _ in range(chance.randint(2, 10)):
            command = chance.choice(["add"] * 5 + ["associate", "remove", "dissociate"])
            label = ("buyer",) if command in ("add", "remove") else ()
            ends = [(chance.choice(deals), chance.choice(people)) for _ in range(chance.randint(1, 4))]
            turned = [pair if chance.random() < 0.5 else pair[::-1] for pair in ends]
            batches.append(Batch(command, [(*pair, *label) for pair in turned]))
        for batch in await race(crm, batches, chance):
            for n, (one, other, *_) in enumerate(batch.pairs):
                deal, person = (one, other) if one in deals else (other, one)
                assert model.allowed(batch.command, deal, person) is (n not in batch.refused), (seed, batch)
            asked += len(batch.pairs)
            refused += len(batch.refused)
    await laws(crm)
    # The places were few, and yet some were got.
    assert 0 < refused < asked


async def test_opposite_directions_at_once_do_not_wait_in_a_circle(crm: Graph) -> None:
    people = await crm.records("contacts", 12)
    async with asyncio.timeout(60):
        for _ in range(10):
            there = [(a, b) for a in people for b in people if a < b]
            back = [(b, a) for a, b in reversed(there)]
            await asyncio.gather(*(crm.do(associations.associate, *pairs) for pairs in (there, back) * 3))
            await laws(crm)
            await asyncio.gather(*(crm.do(associations.dissociate, *pairs) for pairs in (back, there)))


async def test_the_primary_moves_from_many_sides_and_stays_one(crm: Graph) -> None:
    contacts, companies = await crm.records("contacts", 3), await crm.records("companies", 4)

    async def move(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(15):
            some = chance.sample(contacts, 2)
            await crm.do(
                associations.add_labels, *[(one, chance.choice(companies), "primary") for one in some]
            )

    async with asyncio.timeout(60):
        await asyncio.gather(*map(move, range(6)))
    await laws(crm)
    for one in contacts:
        assert await crm.count(one, "companies", "primary") == 1


async def test_archiving_a_record_races_with_associating_it(crm: Graph) -> None:
    await crm.label("deals", "contacts", "Buyer", max_count=4)
    deals, contacts = await crm.records("deals", 2), await crm.records("contacts", 8)

    async def associate(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(20):
            pairs = [(chance.choice(deals), chance.choice(contacts), "buyer") for _ in range(3)]
            await crm.do(associations.add_labels, *pairs)
            await crm.do(associations.dissociate, (chance.choice(deals), chance.choice(contacts)))

    async def vanish(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(20):
            some = chance.sample(contacts, 2)
            async with crm.writing() as tx:
                await records.archive(tx, some, Mode.PER_ITEM)
            async with crm.writing() as tx:
                await records.restore(tx, some, Mode.PER_ITEM)

    async with asyncio.timeout(60):
        await asyncio.gather(*(associate(n) for n in range(4)), *(vanish(n) for n in range(4, 6)))
    await laws(crm)
    for deal in deals:
        assert (await crm.count(deal, "contacts", "buyer") or 0) <= 4


async def test_merging_hubs_races_with_their_growth(crm: Graph) -> None:
    hubs, contacts = await crm.records("companies", 6), await crm.records("contacts", 30)

    async def grow(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(15):
            pairs = [(one, chance.choice(hubs)) for one in chance.sample(contacts, 5)]
            await patiently(partial(crm.do, associations.associate, *pairs))

    async def merge() -> None:
        async def into_the_first(merged: int) -> None:
            async with crm.writing() as tx:
                await records.merge(tx, hubs[0], merged)

        for merged in hubs[1:]:
            await patiently(partial(into_the_first, merged))

    async with asyncio.timeout(60):
        await asyncio.gather(*map(grow, range(4)), merge())
    await laws(crm)
    total = sum([await crm.count(one, "companies") or 0 for one in contacts])
    assert await crm.count(hubs[0], "contacts") == total


async def test_a_limit_that_is_being_set_waits_for_those_who_write(crm: Graph) -> None:
    """A writer that began before the limit may finish; none that begins after it passes it."""
    deal = await crm.record("deals")
    contacts = await crm.records("contacts", 12)

    async def ask(one: int) -> None:
        async with crm.writing() as tx:
            await associations.associate(tx, [Pair(deal, one)], Mode.PER_ITEM)

    await asyncio.gather(*map(ask, contacts[:6]), crm.limit("deals", "contacts", None, max_count=6))
    await asyncio.gather(*map(ask, contacts[6:]))
    assert await crm.count(deal, "contacts") == 6
    await laws(crm)
