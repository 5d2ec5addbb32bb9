"""The first reading by several hands: what comes of it is what one page after the other gives, wherever it breaks off.

More and longer histories: RELATA_SYNC_SEEDS=first:count.
"""

import asyncio
import contextlib
import os
import pickle
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest

from engine.crew import Alone, Hand, HandLost, Piece
from engine.sync import inbound, passes, rounds, turns
from engine.sync.connectors.protocol import Page, Phase, RemoteObject
from engine.sync.definition import RolePart
from engine.sync.rules import Direction, Options
from engine.sync.turns import Overtaken
from storage.changes import EventKind, read
from storage.database import Database
from storage.sync import holding, leases, links
from tests.crm import T0, waiting
from tests.processes import PATIENCE
from tests.sync_rig import FIRMS, Crash, Rig, rig
from tests.sync_world import Simulated, Trouble, World, capable

T = TypeVar("T")
FIRST, COUNT = (int(part) for part in os.environ.get("RELATA_SYNC_SEEDS", "0:6").split(":"))
# Items of a page; so many hands.
FEW, HANDS = 4, 3


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a few items."""
    monkeypatch.setattr(passes, "PAGE", FEW)
    monkeypatch.setattr(turns, "PAGE", FEW)


@dataclass
class Hands:
    """A crew in this process, as others would be: what it is given and what it answers are pickled.

    Now and then a hand is lost, before it does something or after it, and the runner with it.
    """

    it: Rig
    dice: random.Random = field(default_factory=lambda: random.Random(0))
    lost: float = 0.0
    crashes: float = 0.0
    size: int = HANDS
    # How many were at work at once, at most; how many pieces were done.
    most: int = 0
    working: int = 0
    done: int = 0
    # Pages that come first take longest.
    backwards: bool = False

    async def do(self, piece: Piece[T]) -> T:
        """See `Crew`."""
        travelled: Piece[T] = pickle.loads(pickle.dumps(piece))
        self.working += 1
        self.most = max(self.most, self.working)
        try:
            if self.backwards:
                await asyncio.sleep(0.1 * (HANDS + rounds.SPARE - self.working))
            self.trouble()
            answer = await travelled(Hand(self.it.crm.db, lambda: self.it.now))
            self.done += 1
            self.trouble()
            return pickle.loads(pickle.dumps(answer))  # type: ignore[no-any-return]
        finally:
            self.working -= 1

    def prepare(self) -> None:
        """They are there."""

    def expect(self, pieces: int, kind: type) -> None:
        """See `Crew`."""

    def trouble(self) -> None:
        """Something may be lost here."""
        if self.dice.random() < self.lost:
            raise HandLost
        if self.dice.random() < self.crashes:
            raise Crash


async def helped(db: Database, world: World | None = None, **words: Any) -> tuple[Rig, Hands]:
    """A sync with a crew, about to begin."""
    it = await rig(db, world, direction=words.pop("direction", Direction.IN), **words)
    hands = Hands(it)
    it.crew = hands
    return it, hands


def world(**words: Any) -> World:
    """An app with small pages."""
    return World(capabilities=capable(page=FEW), **words)


async def test_pages_come_in_at_once_and_count_once(db: Database) -> None:
    it, hands = await helped(db, world())
    for n in range(10 * FEW + 1):
        it.world.add(mail=f"p{n}@example.com", first=f"P {n}")
    known = await it.crm.contact(email="P3@example.com", firstname="Other")
    await it.rest()

    assert await it.ours("email", "firstname") == it.theirs("mail", "first")
    assert hands.done == 11
    assert 1 < hands.most <= HANDS + rounds.SPARE
    assert (await it.link(record_id=known)).state == "IN_SYNC"
    async with db.read(it.crm.account) as reader:
        found = await leases.look(reader, it.sync)
        events = Counter(event.kind for event in await read(reader, 0, 1_000))
    assert found is not None
    assert found[0].progress["done"] == found[0].progress["total"] == 10 * FEW + 1
    assert events[EventKind.SYNC_PROGRESS] == 1
    assert events[EventKind.RECORD_SYNCED] == 10 * FEW + 1


async def test_a_round_is_over_after_a_while(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "MANY", 3)
    it, _ = await helped(db, world())
    for n in range(10 * FEW):
        it.world.add(mail=f"p{n}@example.com")
    await it.rest()
    async with db.read(it.crm.account) as reader:
        events = Counter(event.kind for event in await read(reader, 0, 1_000))
    assert events[EventKind.SYNC_PROGRESS] == 4
    assert len(await it.records()) == 10 * FEW


@pytest.mark.parametrize("crewed", [False, True])
async def test_what_is_alike_is_linked_once_as_one_page_after_the_other_would(
    db: Database, crewed: bool
) -> None:
    """Records that several items match, in several pages: one of them has it, none is doubled."""
    it, hands = await helped(db, world())
    it.crew = hands if crewed else None
    for n in range(5 * FEW):
        it.world.add(mail=f"p{n % 6}@example.com", first=f"P {n % 6}")
    for n in range(3):
        await it.crm.contact(email=f"p{n}@example.com", firstname="Ours")
    await it.rest()
    assert await it.ours("email", "firstname") == [(f"p{n}@example.com", f"P {n}") for n in range(6)]
    states = Counter((link.state, link.category, link.record_id is None) for link in await it.links())
    assert states == {
        ("IN_SYNC", None, False): 6,
        ("FAILED", "UNIQUE_VALUE_CONFLICT", True): 5 * FEW - 6,
    }


class Twice(Simulated):
    """Tells an item again on each page, as it is by then."""

    changes: tuple[str, Any] = ("first", "Told {}")

    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        page = await super().read(object_, phase, cursor, limit)
        if phase is Phase.FULL and cursor is not None:
            first = sorted(self.world.items[object_.name])[0]
            name, value = self.changes
            self.world.edit(first, **{name: value and value.format(page.cursor)})
            stored = self.world.items[object_.name][first]
            return Page(
                (*page.items, self.world.item(object_.name, stored)), page.cursor, page.more, page.total
            )
        return page


class Emptied(Twice):
    """Tells it without its address: so it is not synced."""

    changes = ("mail", None)


@pytest.mark.parametrize("telling", [Twice, Emptied])
@pytest.mark.parametrize("ordered", [True, False])
async def test_what_was_told_last_counts(
    db: Database, ordered: bool, telling: type[Twice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.sync_rig.Simulated", telling)
    able = capable(page=FEW, ordered_versions=ordered, conditional=ordered)
    it, hands = await helped(db, World(capabilities=able))
    hands.backwards = True
    for n in range(5 * FEW):
        it.world.add(mail=f"p{n}@example.com")
    await it.rest()
    await it.later()
    assert await it.ours("email", "firstname") == it.theirs("mail", "first")
    assert len(await it.links()) == 5 * FEW


async def together(it: Rig) -> None:
    """Let the syncs work at once, until nothing is due for a while."""
    for _ in range(400):
        await it.evaluate()
        times = [at for at in await asyncio.gather(*map(it.step, it.syncs)) if at is not None]
        if all(at > it.now for at in times):
            it.now = it.world.now = it.crm.now = it.now + timedelta(seconds=1)
            if it.now > T0 + timedelta(seconds=60):
                return


async def test_associations_of_two_syncs_that_come_in_at_once_are_all_there(db: Database) -> None:
    """Each end may be linked by a page that the other's page cannot see yet."""
    it = await rig(db, world(), start=False)
    it.crew = Hands(it, backwards=True)
    await it.add(roles=[RolePart("employer", "companies", "primary")])
    await it.add("companies", "firms", FIRMS)
    for n in range(6 * FEW):
        firm = it.world.add("firms", title=f"Firm {n}", host=f"f{n}.example")
        it.world.relate(it.world.add(mail=f"p{n}@example.com"), "employer", firm)
    await together(it)
    sql = """
        SELECT p.properties ->> 'email', f.properties ->> 'domain' FROM association AS a
          JOIN association_type AS t ON t.account_id = $1 AND t.id = a.type_id AND t.name = 'primary'
          JOIN record AS p ON p.account_id = $1 AND p.id = a.from_id
          JOIN record AS f ON f.account_id = $1 AND f.id = a.to_id
         WHERE a.account_id = $1 AND p.properties ? 'email'
    """
    async with db.read(it.crm.account) as reader:
        found = sorted(tuple(row) for row in await reader.fetch(sql))
    assert found == sorted((f"p{n}@example.com", f"f{n}.example") for n in range(6 * FEW))
    for sync_id in it.syncs:
        assert {link.state for link in await it.links(sync_id)} == {"IN_SYNC"}


async def test_whoever_wants_the_sync_alone_waits_for_pages_and_no_page_begins_behind_him(
    db: Database,
) -> None:
    it, _ = await helped(db, world())
    await it.step(it.sync)
    held = await it.turn(it.sync)
    assert held is not None
    turn, _ = held
    order: list[str] = []

    async def person() -> None:
        async with db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
            await holding.hold(tx, [it.sync])
            order.append("person")
            await tx.execute(
                "UPDATE sync AS s SET revision = s.revision + 1 WHERE s.account_id = $1 AND s.id = $2",
                it.sync,
            )

    async def other() -> None:
        async with db.single(it.crm.account) as single:
            later = it.now + 2 * turns.LEASE
            assert await leases.take(single, it.sync, "another", later, later + turns.LEASE)
            order.append("another runner")
            await leases.take(single, it.sync, turn.token, later + 2 * turns.LEASE, later)

    for whoever in (other, person):
        async with turn.share.hold(db, turn.rules, it.now), turn.share.hold(db, turn.rules, it.now):
            asking = asyncio.create_task(whoever())
            async with asyncio.timeout(PATIENCE):
                await waiting(db)
            order.append("pages")
        await asking
    assert order == ["pages", "another runner", "pages", "person"]
    with pytest.raises(Overtaken):
        async with turn.share.hold(db, turn.rules, it.now):
            pass


@contextlib.contextmanager
def in_the_way(monkeypatch: pytest.MonkeyPatch, times: int) -> Iterator[list[int]]:
    """The first `times` pages find their items linked by somebody else, once they are about to be in."""

    before, met = inbound.take_in, list[int]()

    async def take_in(*args: Any, **words: Any) -> inbound.Taken:
        taken = await before(*args, **words)
        if len(met) < times:
            met.append(taken.news)
            raise links.Taken
        return taken

    with monkeypatch.context() as patch:
        patch.setattr(inbound, "take_in", take_in)
        yield met


@pytest.mark.parametrize("times", [1, 5, 3 * rounds.TRIES])
async def test_a_page_in_whose_way_others_are_is_tried_again_and_then_alone(
    db: Database, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, _ = await helped(db, world())
    for n in range(3 * FEW):
        it.world.add(mail=f"p{n}@example.com")
    with in_the_way(monkeypatch, times) as met:
        await it.rest()
    assert len(met) == times
    assert await it.ours("email") == it.theirs("mail")
    assert len(await it.links()) == 3 * FEW


async def test_two_pages_whose_records_are_held_crosswise_are_both_in(db: Database) -> None:
    """A real deadlock: somebody holds what the pages want, and wants what they hold."""
    it, _ = await helped(db, world())
    ids = []
    for n in range(2 * FEW):
        it.world.add(mail=f"p{n}@example.com", first="Theirs")
        ids.append(await it.crm.contact(email=f"p{n}@example.com", firstname="Ours"))

    async def crosswise() -> None:
        lock = "SELECT r.id FROM record AS r WHERE r.account_id = $1 AND r.id = $2 FOR UPDATE"
        with contextlib.suppress(Exception):
            async with db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
                await tx.execute(lock, ids[-1])
                await asyncio.sleep(0.3)
                await tx.execute(lock, ids[0])

    for _ in range(3):
        await asyncio.gather(crosswise(), it.step(it.sync))
    await it.rest()
    assert await it.ours("email", "firstname") == it.theirs("mail", "first")


async def live(db: Database, seed: int) -> None:
    """A first reading with trouble of every kind, until it is through; and then both sides agree."""
    dice = random.Random(seed)
    trouble = Trouble(
        away=0.05,
        cursor=0.02,
        twice=0.1,
        before=0.1,
        shuffled=True,
        skew=timedelta(seconds=dice.choice((-90, 0))),
    )
    able = capable(
        page=FEW,
        ordered_versions=seed % 2 == 0,
        conditional=seed % 2 == 0,
        changes=seed % 3 != 0,
        tombstones=seed % 3 != 0,
    )
    it, hands = await helped(
        db,
        World(seed=seed, capabilities=able, versions=seed % 4 != 3, trouble=trouble),
        direction=Direction.BOTH,
        # Who was told how things were learns it with the next sweep.
        options=Options(sweep=timedelta(minutes=5)),
    )
    hands.dice, hands.lost, hands.crashes = dice, 0.1, 0.03
    people = dice.randrange(20, 60)
    for n in range(people):
        it.world.add(mail=f"p{n}@example.com", first=f"P {n}")
    for n in range(0, people + 5, 4):
        await it.crm.contact(email=f"p{n}@example.com", lastname=f"L {n}")

    def at(_place: str) -> None:
        if dice.random() < 0.02:
            raise Crash

    it.at = at
    for _ in range(60):
        await it.step(it.sync)
        if dice.random() < 0.3:
            await it.evaluate()
        if dice.random() < 0.2:
            id_ = dice.choice(sorted(it.world.all()))
            it.world.edit(id_, first=f"Edited {it.world.number}")
        it.now += timedelta(seconds=dice.choice((0, 0, 0, 5, 16)))
        it.world.now = it.crm.now = it.now
    it.world.quiet, hands.lost, hands.crashes = True, 0.0, 0.0
    it.at = lambda _place: None
    await it.rest()
    for seconds in (60.0, 600.0, 3_600.0):
        await it.later(seconds)
    assert await it.ours("email", "firstname", "lastname") == it.theirs("mail", "first", "last")
    assert len(await it.records()) == len({row.properties["email"] for row in await it.records()})
    links = await it.links()
    assert Counter(link.state for link in links) == {"IN_SYNC": len(it.world.all())}


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
async def test_wherever_it_breaks_off_nothing_is_doubled_or_lost(db: Database, seed: int) -> None:
    await live(db, seed)


async def test_this_process_alone_is_a_crew(db: Database) -> None:
    it = await rig(db, world())

    def clock() -> datetime:
        return it.now

    it.crew = Alone(db, clock)
    for n in range(6 * FEW):
        it.world.add(mail=f"p{n}@example.com", first=f"P {n}")
        await it.crm.contact(email=f"q{n}@example.com", firstname=f"Q {n}")
    await it.rest()
    assert await it.ours("email", "firstname") == it.theirs("mail", "first")
    assert len(await it.records()) == 12 * FEW


@pytest.mark.parametrize("unlinked", [0, 1, FEW, 3 * FEW, 30 * FEW])
async def test_records_that_are_not_linked_are_found_however_many_are(db: Database, unlinked: int) -> None:
    """Before, between and behind those that are: each is sent once."""
    it, _ = await helped(db, world(), direction=Direction.BOTH)
    people = [f"p{n}@example.com" for n in range(30 * FEW)]
    for n, address in enumerate(people):
        it.world.add(mail=address)
        if n % max(1, len(people) // max(unlinked, 1)) == 0:
            await it.crm.contact(email=f"q{n}@example.com")
    await it.crm.archive(await it.crm.contact(email="gone@example.com"))
    await it.rest()
    mails = [fields["mail"] for fields in it.world.all().values()]
    assert len(mails) == len(set(mails))
    assert await it.ours("email") == sorted((one,) for one in mails)
    assert len(mails) == len(people) + sum(one.startswith("q") for one in mails)
    assert sum(one.startswith("q") for one in mails) >= unlinked
