"""Laws of a sync: whatever is edited on both sides, whatever goes wrong there, and wherever runners end.

At rest both sides agree, nothing is doubled or lost, no edit of one side alone is lost, nothing more is written. More
and longer histories: RELATA_SYNC_SEEDS=first:count, RELATA_SYNC_ROUNDS=n.
"""

import os
import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from engine.sync import merge
from engine.sync.connectors.protocol import Capabilities
from engine.sync.rules import Deletes, Options, Policy
from storage.database import Database
from tests.sync_rig import Crash, Rig, rig
from tests.sync_world import ALL, Trouble, World, capable

FIRST, COUNT = (int(part) for part in os.environ.get("RELATA_SYNC_SEEDS", "0:6").split(":"))
ROUNDS = int(os.environ.get("RELATA_SYNC_ROUNDS", "6"))

APPS: tuple[Capabilities, ...] = (
    ALL,
    # Versions that say only that something differs, nothing conditional, nothing idempotent.
    capable(ordered_versions=False, conditional=False, idempotent_create=False, batch=2),
    # It tells neither of changes nor of deletions.
    capable(changes=False, tombstones=False),
    capable(tombstones=False, idempotent_create=False, overlap=timedelta(seconds=5), batch=3),
    capable(ordered_versions=False, changes=False, tombstones=False, conditional=False),
)
FIELDS = {"firstname": "first", "lastname": "last", "city": "city"}


@dataclass
class Story:
    """What was done to whom: by the address of each person, which nobody changes."""

    it: Rig
    random: random.Random
    crashes: float
    deletes: bool
    people: int = 0
    edits: int = 0
    # (address, property): the values written by each side since both agreed.
    wanted: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    alive: set[str] = field(default_factory=set)
    # Deleted on one side while the other may have been edited: either may be right.
    doubtful: set[str] = field(default_factory=set)

    def at(self, _place: str) -> None:
        """Runners end anywhere."""
        if self.random.random() < self.crashes:
            raise Crash

    async def something(self) -> None:
        """One thing that a person does on one of the sides."""
        self.edits += 1
        roll = self.random.random()
        here, there = await self.here(), self.there()
        if roll < 0.2 or not here or not there:
            await self.new()
        elif roll < 0.6:
            await self.edit_ours(here)
        elif roll < 0.93 or not self.deletes:
            self.edit_theirs(there)
        elif roll < 0.965:
            address = self.random.choice(sorted(here))
            await self.it.crm.archive(here[address])
            self.gone(address)
        else:
            address = self.random.choice(sorted(there))
            self.it.world.remove(there[address])
            self.gone(address)

    def gone(self, address: str) -> None:
        if any(key[0] == address for key in self.wanted):
            self.doubtful.add(address)
        self.alive.discard(address)

    async def here(self) -> dict[str, int]:
        return {row.properties["email"].lower(): row.id for row in await self.it.records()}

    def there(self) -> dict[str, str]:
        return {fields["mail"].lower(): id_ for id_, fields in self.it.world.all().items()}

    async def new(self) -> None:
        self.people += 1
        address = f"p{self.people}@example.com"
        self.alive.add(address)
        which = self.random.choice(("ours", "theirs", "both"))
        value = f"New {self.people}"
        # What both hold before they know each other was written by both.
        sides = ("ours", "theirs") if which == "both" else (which,)
        self.wanted[address, "firstname"] = dict.fromkeys(sides, value)
        if which != "theirs":
            await self.it.crm.contact(email=address, firstname=value)
        if which != "ours":
            self.it.world.add(mail=address, first=value)

    async def edit_ours(self, here: dict[str, int]) -> None:
        address = self.random.choice(sorted(here))
        name = self.random.choice(sorted(FIELDS))
        value = self.random.choice((f"Ours {self.edits}", f"ours {self.edits}", None))
        outcomes = await self.it.crm.update((here[address], {name: value}))
        if outcomes[0].problem is None:
            self.note(address, name, "ours", value)

    def edit_theirs(self, there: dict[str, str]) -> None:
        address = self.random.choice(sorted(there))
        name = self.random.choice(sorted(FIELDS))
        value = self.random.choice((f"Theirs {self.edits}", f"theirs {self.edits}", None))
        self.it.world.edit(there[address], "people", **{FIELDS[name]: value})
        self.note(address, name, "theirs", value)

    def note(self, address: str, name: str, side: str, value: Any) -> None:
        self.wanted.setdefault((address, name), {})[side] = value
        if address not in self.alive:
            self.doubtful.add(address)

    async def some_steps(self) -> None:
        """Let runners work a little, and time go by."""
        for _ in range(self.random.randrange(1, 8)):
            if self.random.random() < 0.5:
                await self.it.evaluate()
            for sync_id in self.it.syncs:
                await self.it.step(sync_id)
            self.it.now += timedelta(seconds=self.random.choice((0, 0, 1, 5, 16)))
            self.it.world.now = self.it.crm.now = self.it.now


def app(seed: int) -> World:
    """An app with a character of its own."""
    dice = random.Random(seed)
    trouble = Trouble(
        away=0.03,
        lost=0.05,
        retry=0.05,
        unclear=0.05,
        stale=0.05,
        cursor=0.02,
        twice=0.1,
        before=0.1,
        shuffled=True,
        skew=timedelta(seconds=dice.choice((-90, 0, 90))),
    )
    return World(
        seed=seed,
        capabilities=APPS[seed % len(APPS)],
        kept={"city": str.upper} if dice.random() < 0.5 else {},
        tells_fields=dice.random() < 0.5,
        versions=APPS[seed % len(APPS)].conditional or dice.random() < 0.6,
        # One that cannot tell what a key has made, and is slow to find it.
        keyless=bool(APPS[seed % len(APPS)].overlap),
        lag=APPS[seed % len(APPS)].overlap * 0.8,
        trouble=trouble,
    )


async def live(db: Database, seed: int, *, crashes: float = 0.02) -> Story:
    """A history of edits, trouble and crashes, and then rest."""
    world = app(seed)
    deletes = seed % 2 == 1
    options = Options(
        deletes=Deletes.BOTH if deletes else Deletes.KEEP,
        delete_share=1.0,
        sweep=timedelta(minutes=5),
    )
    it = await rig(db, world, policy=Policy.THEIRS, options=options)
    story = Story(it, random.Random(seed), crashes, deletes)
    it.at = story.at
    for _ in range(3):
        await story.new()
    for _ in range(ROUNDS):
        for _ in range(story.random.randrange(1, 7)):
            await story.something()
            if story.random.random() < 0.7:
                await story.some_steps()
        story.crashes, world.quiet = 0.0, True
        await rests(it)
        await check(story)
        story.crashes, world.quiet = crashes, False
    return story


async def rests(it: Rig) -> None:
    """Everything is done that is due within the time that failures take, and a sweep."""
    await it.rest()
    for seconds in (60.0, 600.0, 3_600.0):
        await it.later(seconds)


async def check(story: Story) -> None:
    """Both sides agree, and hold what was written."""
    it = story.it
    rows = {row.properties["email"].lower(): row for row in await it.records()}
    items = {fields["mail"].lower(): fields for fields in it.world.all().values()}
    told = [
        (link.state, link.category, link.message, link.record_id, link.external_id)
        for link in await it.links()
    ]
    assert len(await it.records()) == len(rows), "no record is doubled"
    assert len(it.world.all()) == len(items), "no item is doubled"
    lasting = story.alive - story.doubtful
    assert lasting <= rows.keys(), (lasting - rows.keys(), told)
    assert lasting <= items.keys(), (lasting - items.keys(), told)
    if story.deletes:
        gone = set(rows) ^ set(items)
        assert gone <= story.doubtful, (gone, told)
    for address in sorted(rows.keys() & items.keys()):
        for name, theirs in FIELDS.items():
            ours, there = rows[address].properties.get(name), items[address].get(theirs)
            assert alike(name, ours, there), (address, name, ours, there, told)
            wanted = story.wanted.get((address, name), {})
            if len(wanted) == 1 and address not in story.doubtful:
                ((_, value),) = wanted.items()
                assert alike(name, ours, value), (address, name, ours, value, told)
            elif wanted and address not in story.doubtful:
                assert any(alike(name, ours, value) for value in wanted.values()), (
                    address,
                    name,
                    ours,
                    wanted,
                )
    # Each edit is written a bounded number of times, and then nothing more is.
    writes, versions = it.world.writes(), {row.id: row.version for row in rows.values()}
    await it.later(30.0)
    await it.later(900.0)
    assert it.world.writes() == writes, it.world.done[writes:]
    assert {row.id: row.version for row in await it.records()} == versions
    story.wanted.clear()
    assert it.world.writes() <= 4 * story.edits + 2 * story.people + 10


def alike(name: str, one: Any, other: Any) -> bool:
    """Whether values say the same; the app keeps cities as it likes."""
    if name == "city":
        return str(one or "").lower() == str(other or "").lower()
    return (one or None) == (other or None)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
async def test_both_sides_agree_at_rest(db: Database, seed: int) -> None:
    await live(db, seed)


async def test_without_bases_the_law_is_broken(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken checker is no checker: a merge that forgets what both last agreed on loses edits, or never rests."""
    monkeypatch.setattr(merge, "_bases", lambda *_: (None, None))
    with pytest.raises(AssertionError):
        for seed in range(4):
            await live(db, seed, crashes=0.0)
