"""What a preview says of associations is what is then done with them, on both sides, and nothing else is.

More and longer histories: RELATA_SYNC_SEEDS=first:count.
"""

import os
import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from engine.sync import applying, passes, plan_rounds, plan_sending, planning, turns
from engine.sync.effects import told_of
from storage.database import Database
from storage.statements import Statement
from storage.sync import plan_work, syncs
from storage.sync.plan_items import PlanItemRow
from storage.sync.plans import PlanRow
from tests.sync_ends import EVERYTHING, LABELLED, PRIMARY, Ends, ends
from tests.sync_rig import Rig
from tests.sync_world import World, capable
from tests.test_sync_applying import helped
from tests.test_sync_laws import rests

FIRST, COUNT = (int(part) for part in os.environ.get("RELATA_SYNC_SEEDS", "0:6").split(":"))
FEW = 4

HELD = Statement(
    "tests.sync_plan_ends",
    """
    SELECT a.from_id, a.type_id, a.to_id FROM association AS a WHERE a.account_id = $1
    """,
)

# (record, type, record) of ours, and (item, role, item) of theirs.
Ours = set[tuple[int, int, int]]
Theirs = set[tuple[str, str, str]]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a few items."""
    for module in (passes, turns, plan_rounds, plan_sending, applying):
        monkeypatch.setattr(module, "PAGE", FEW)
    monkeypatch.setattr(planning, "RECORDS", FEW)
    monkeypatch.setattr(applying, "FEW", FEW)


class Shown:
    """A story about people, and firms perhaps, whose sync of people is off, and is previewed."""

    def __init__(self, it: Rig, contacts: int) -> None:
        self.it, self.contacts = it, contacts

    async def turn(self, on: bool) -> None:
        """Turn the sync of people on or off."""
        it = self.it
        async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
            await syncs.set_enabled(tx, self.contacts, on)
        it.turns.clear()
        it.now += turns.LEASE
        it.world.now = it.crm.now = it.now

    async def preview(self) -> PlanRow:
        it = self.it
        async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
            await planning.want(tx, self.contacts, then_start=False)
        await self.work()
        made = await self.plan()
        assert made.state == "READY", made
        return made

    async def begin(self) -> None:
        it = self.it
        async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
            await applying.apply(tx, (await self.plan()).id)

    async def work(self) -> None:
        """Step the sync of people alone until it has nothing to do; its runners may end anywhere."""
        it = self.it
        for _ in range(2_000):
            due = await it.step(self.contacts)
            if due is None:
                return
            if due > it.now:
                it.now = it.world.now = it.crm.now = due
        raise AssertionError("it does not come to rest")

    async def plan(self) -> PlanRow:
        async with self.it.crm.db.read(self.it.crm.account) as reader:
            return (await planning.of_sync(reader, self.contacts))[0]

    async def items(self) -> list[PlanItemRow]:
        async with self.it.crm.db.read(self.it.crm.account) as reader:
            return await planning.items(reader, (await self.plan()).id, first=1_000)

    async def ours(self) -> Ours:
        """Associations as they stand at contacts."""
        crm = self.it.crm
        catalogue = await crm.db.catalogue(crm.account)
        near = catalogue.by_name["contacts"].id
        types = {one.id for one in catalogue.association_types.values() if one.from_object_type_id == near}
        async with crm.db.read(crm.account) as reader:
            rows = await reader.fetch(HELD)
        return {(row[0], row[1], row[2]) for row in rows if row[1] in types}

    def theirs(self) -> Theirs:
        return {
            (one.id, role, end)
            for one in self.it.world.items["people"].values()
            for role, some in one.associations.items()
            for end in some
        }

    async def linked(self) -> tuple[dict[str, int], dict[int, str]]:
        """Records of items, and items of records."""
        both = [
            (link.external_id, link.record_id)
            for link in await self.it.links(self.contacts)
            if link.external_id is not None and link.record_id is not None
        ]
        return dict(both), {record: item for item, record in both}

    async def check(self, ours: Ours, theirs: Theirs) -> Counter[str]:
        """Both sides have become what the items that were applied say, and nothing else; how many came out how."""
        plan, items = await self.plan(), await self.items()
        assert plan.state == "APPLIED"
        records, of_records = await self.linked()
        ours, theirs = set(ours), set(theirs)
        for item in items:
            if item.outcome != plan_work.DONE:
                continue
            record = item.record_id or records.get(item.external_id or "")
            external = item.external_id or of_records.get(item.record_id or 0)
            for one in told_of(item.effect):
                change = {"ADDED": "add", "REMOVED": "discard"}.get(one["did"])
                if change is None:
                    continue
                if one["side"] == "OURS":
                    getattr(ours, change)((one.get("of") or record, one["type"], one["record"]))
                else:
                    getattr(theirs, change)((external, one["role"], one["item"]))
        assert await self.ours() == ours
        assert self.theirs() == theirs
        return Counter(str(item.outcome) for item in items)


async def shown_of(story: Ends) -> Shown:
    """The sync of people in a story."""
    it = story.it
    of = (await it.crm.db.catalogue(it.crm.account)).by_name["contacts"].id
    rows = await it.crm.table("SELECT s.id, s.object_type_id FROM sync AS s WHERE s.account_id = $1")
    return Shown(it, next(number for number, type_id in rows if type_id == of))


async def goes_on(shown: Shown, story: Ends) -> None:
    """The sync is turned on: what was left comes by itself, and both sides are as people want them."""
    await shown.turn(True)
    await rests(shown.it)
    story.wanted.clear()
    await story.check()


async def begun(db: Database, seed: int, synced: tuple[str, ...], edits: int = 25) -> tuple[Shown, Ends]:
    """Both syncs have lived for a while; that of people is off, and people have gone on on both sides."""
    able = capable(page=FEW, ordered_versions=seed % 2 == 0, conditional=seed % 2 == 0)
    world = World(seed=seed, capabilities=able, versions=seed % 4 != 3, dangles=seed % 3 == 0)
    story = await ends(db, seed, world, synced, 0.0)
    shown = await shown_of(story)
    for _ in range(4):
        await story.new()
    for _ in range(edits // 2):
        await story.something(deletes=False)
    await story.it.rest()
    await shown.turn(False)
    for _ in range(edits):
        await story.something(deletes=story.random.random() < 0.3)
        if story.random.random() < 0.2:
            await story.it.evaluate()
            await story.it.step(next(one for one in story.it.syncs if one != shown.contacts))
    await story.it.evaluate()
    return shown, story


def told(items: Iterable[PlanItemRow]) -> Counter[str]:
    """How many associations a plan speaks of, by what becomes of them."""
    found: Counter[str] = Counter()
    for item in items:
        for one in told_of(item.effect):
            found[f"{one['did']} {one['side']}"] += one.get("count", 1)
    return found


@pytest.mark.parametrize("synced", [PRIMARY, LABELLED, EVERYTHING], ids=["primary", "labels", "everything"])
@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
async def test_what_is_shown_of_associations_is_done_and_nothing_else(
    db: Database, seed: int, synced: tuple[str, ...]
) -> None:
    shown, story = await begun(db, seed, synced)
    before = await shown.ours(), shown.theirs(), await footprint(shown.it)
    made = await shown.preview()
    assert (await shown.ours(), shown.theirs(), await footprint(shown.it)) == before
    items = await shown.items()
    assert {name: n for name, n in made.counts.items() if " " in name} == told(items)
    await shown.begin()
    hands = helped(shown.it, backwards=True) if seed % 2 else None
    await shown.work()
    assert hands is None or hands.done
    outcomes = await shown.check(*before[:2])
    assert outcomes.keys() <= {plan_work.DONE}, [(one.outcome, one.message, one) for one in items]
    # What was left to wait comes by itself once the sync goes on.
    await goes_on(shown, story)


@pytest.mark.parametrize("synced", [PRIMARY, LABELLED, EVERYTHING], ids=["primary", "labels", "everything"])
@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
async def test_what_is_overtaken_or_breaks_off_leaves_associations_alone(
    db: Database, seed: int, synced: tuple[str, ...]
) -> None:
    shown, story = await begun(db, seed, synced)
    dice = random.Random(seed)
    await shown.preview()
    # The firms' sync goes on, and so do people.
    for _ in range(6):
        await story.something(deletes=False)
    for _ in range(4):
        await shown.it.evaluate()
        await shown.it.step(next(one for one in shown.it.syncs if one != shown.contacts))
    before = await shown.ours(), shown.theirs()
    await shown.begin()
    story.crashes = 0.03 if dice.random() < 0.6 else 0.0
    if seed % 2:
        hands = helped(shown.it)
        hands.dice, hands.lost, hands.crashes = dice, 0.1, 0.05
    await shown.work()
    shown.it.crew, story.crashes = None, 0.0
    await shown.check(*before)
    await goes_on(shown, story)


async def footprint(it: Rig) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that a preview could have written of associations, were it not one."""
    tables = ("association", "association_history", "sync_link", "sync_wait", "sync_dirty", "change_queue")
    return {
        name: sorted(await it.crm.table(f"SELECT t.* FROM {name} AS t WHERE t.account_id = $1"), key=str)
        for name in tables
    }
