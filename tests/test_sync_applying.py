"""Plans are applied by several hands, wherever it breaks off: exactly what was shown, whoever carries it out.

More and longer histories: RELATA_SYNC_SEEDS=first:count.
"""

import os
import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from engine.sync import applying, carrying, passes, plan_rounds, plan_sending, planning, turns
from storage.database import Database
from storage.sync import links, plan_work
from storage.sync.plan_items import PlanItemRow
from storage.sync.plans import PlanRow
from tests.sync_rig import FIRMS, PEOPLE, Crash, Rig, rig
from tests.sync_world import Trouble, World, capable
from tests.test_sync_rounds import Hands

FIRST, COUNT = (int(part) for part in os.environ.get("RELATA_SYNC_SEEDS", "0:6").split(":"))
# Items of a page.
FEW = 4
NAMES = {"people": PEOPLE, "firms": FIRMS}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a few items, rounds of a few pages."""
    for module in (passes, turns, plan_rounds, plan_sending, applying):
        monkeypatch.setattr(module, "PAGE", FEW)
    monkeypatch.setattr(plan_rounds, "MANY", 3)
    monkeypatch.setattr(applying, "FEW", FEW)


async def configured(db: Database, world: World, of: str = "people", **words: Any) -> Rig:
    """A sync that is configured, and has not begun."""
    it = await rig(db, world, start=False)
    kind = {"people": "contacts", "firms": "companies"}[of]
    await it.add(kind, of, NAMES[of], **words)
    async with db.single(it.crm.account) as single:
        sql = "UPDATE sync AS s SET phase = 'CONFIGURED', enabled = false WHERE s.account_id = $1"
        await single.execute(sql)
        # Another may be made like it.
        await single.execute("UPDATE account AS a SET name = 'demo ' || a.account_id WHERE a.account_id = $1")
    return it


async def plan_of(it: Rig) -> PlanRow:
    """The sync's newest plan."""
    async with it.crm.db.read(it.crm.account) as reader:
        return (await planning.of_sync(reader, it.sync))[0]


async def items_of(it: Rig) -> list[PlanItemRow]:
    """All that it says."""
    async with it.crm.db.read(it.crm.account) as reader:
        return await planning.items(reader, (await plan_of(it)).id, first=1_000)


async def previewed(it: Rig) -> PlanRow:
    """Have a plan made."""
    async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        await planning.want(tx, it.sync, then_start=False)
    await it.rest()
    made = await plan_of(it)
    assert made.state == "READY"
    return made


async def begun(it: Rig) -> None:
    """Have it applied by whoever steps next."""
    async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        await applying.apply(tx, (await plan_of(it)).id)


def helped(it: Rig, **words: Any) -> Hands:
    """Another runner comes, who has a crew."""
    it.crew = hands = Hands(it, **words)
    it.turns.clear()
    it.now += turns.LEASE
    return hands


async def applied(it: Rig) -> Counter[str]:
    """Apply it whole; how many items have come out how."""
    await begun(it)
    await it.rest()
    return await settled(it)


async def settled(it: Rig) -> Counter[str]:
    """How many items of a plan that is applied have come out how: each is told once."""
    plan = await plan_of(it)
    assert plan.state == "APPLIED"
    outcomes = Counter(str(one.outcome) for one in await items_of(it))
    told = {
        name: plan.counts.get(name, 0) for name in (plan_work.DONE, plan_work.OVERTAKEN, plan_work.FAILED)
    }
    assert {name: n for name, n in told.items() if n} == outcomes
    return outcomes


Sides = tuple[dict[str, Any], dict[str, Any]]


async def sides(it: Rig, kind: str) -> Sides:
    """Both sides as they are: records by their ids, items by theirs."""
    of = {"contacts": "people", "companies": "firms"}[kind]
    here = {str(row.id): dict(row.properties) for row in await it.records(kind)}
    there = {
        id_: {n: v for n, v in fields.items() if v is not None} for id_, fields in it.world.all(of).items()
    }
    return here, there


def carried(before: Sides, items: list[PlanItemRow]) -> tuple[Any, Any]:
    """Both sides as they are once the items that were applied have done what they say, and nothing else.

    What was created has no id yet: (those that were there, those that are new).
    """
    here, there = ({id_: dict(one) for id_, one in side.items()} for side in before)
    new: tuple[list[Any], list[Any]] = ([], [])
    for item in items:
        if item.outcome != plan_work.DONE or item.kind in ("FAIL", "EXCLUDE"):
            continue
        for side, rows, id_, name in (
            ("ours", here, None if item.record_id is None else str(item.record_id), "CREATE_OURS"),
            ("theirs", there, item.external_id, "CREATE_THEIRS"),
        ):
            values = {name: after for name, (_, after) in item.effect[side].items()}
            if item.kind == name:
                new[side == "theirs"].append(values)
            elif values:
                assert id_ is not None
                rows[id_] = {n: v for n, v in (rows[id_] | values).items() if v is not None}
    return (here, in_order(new[0])), (there, in_order(new[1]))


def in_order(rows: Any) -> list[Any]:
    return sorted(rows, key=lambda row: sorted(row.items()))


def apart(side: dict[str, Any], known: dict[str, Any]) -> Any:
    """A side as `carried` says it."""
    return {id_: row for id_, row in side.items() if id_ in known}, in_order(
        row for id_, row in side.items() if id_ not in known
    )


async def populated(it: Rig, dice: random.Random, kind: str) -> None:
    """Both sides have something, some of it alike; several of one side may be what one of the other is."""
    for n in range(30):
        if kind == "contacts":
            it.world.add(mail=f"p{n % 26}@example.com", first=f"P {n}")
        else:
            it.world.add("firms", title=f"Firm {n % 22}", host=f"f{n % 26}.example" if n % 2 else None)
    for n in range(0, 45, 3):
        given = {"email": f"p{n}@example.com", "lastname": f"L {n}"}
        firm = {"name": f"Firm {n % 12}", "domain": f"f{n}.example" if n % 2 else None}
        await it.crm.create(
            {k: v for k, v in (given if kind == "contacts" else firm).items() if v}, kind=kind
        )


async def overtaken(it: Rig, dice: random.Random, kind: str) -> None:
    """People go on working on both sides, while somebody looks at the preview."""
    of, name, theirs = ("people", "firstname", "first") if kind == "contacts" else ("firms", "name", "title")
    for n in range(6):
        id_ = dice.choice(sorted(it.world.all(of)))
        it.world.edit(id_, of, **{theirs: f"Edited {it.world.number}"})
        row = dice.choice(await it.records(kind))
        await it.crm.update((row.id, {name: f"Changed {n}"}))
    it.world.remove(dice.choice(sorted(it.world.all(of))), of)
    await it.crm.archive(dice.choice(await it.records(kind)).id)
    if kind == "contacts":
        await it.crm.create({"email": "p2@example.com"}, kind=kind)
    else:
        await it.crm.create({"name": "Firm 2"}, kind=kind)


async def lived(db: Database, seed: int, kind: str, way: str) -> tuple[list[Any], Any]:
    """A plan is made, overtaken and applied; what became of each item, and both sides without ids."""
    dice = random.Random(seed)
    of = {"contacts": "people", "companies": "firms"}[kind]
    able = capable(page=FEW, ordered_versions=seed % 2 == 0, conditional=seed % 2 == 0)
    it = await configured(db, World(seed=seed, capabilities=able, versions=seed % 4 != 3), of)
    await populated(it, dice, kind)
    made = await previewed(it)
    await overtaken(it, dice, kind)
    await it.evaluate()
    before = await sides(it, kind)
    await begun(it)
    if way != "alone":
        hands = helped(it, backwards=way == "helped")
        if way == "broken":
            hands.dice, hands.lost, hands.crashes = dice, 0.1, 0.05
            it.world.trouble = Trouble(away=0.05)

            def at(_place: str) -> None:
                if dice.random() < 0.04:
                    raise Crash

            it.at = at
            for _ in range(60):
                await it.step(it.sync)
                it.now += timedelta(seconds=dice.choice((0, 0, 5, 16)))
                it.world.now = it.crm.now = it.now
            it.world.trouble, hands.lost, hands.crashes = Trouble(), 0.0, 0.0
            it.at = lambda _place: None
    it.turns.clear()
    it.now += turns.LEASE
    await it.rest()
    outcomes = await settled(it)
    assert outcomes.keys() == {plan_work.DONE, plan_work.OVERTAKEN}
    items, after = await items_of(it), await sides(it, kind)
    assert len(items) == sum(n for name, n in made.counts.items() if name != "NONE")
    for side, expected, known in zip(after, carried(before, items), before, strict=True):
        assert apart(side, known) == expected
    named = [(one.kind, one.external_id, one.outcome) for one in items]
    return named, [in_order(side.values()) for side in after]


@pytest.mark.parametrize("kind", ["contacts", "companies"])
@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
async def test_whoever_carries_a_plan_out_does_it_and_nothing_else(
    db: Database, seed: int, kind: str
) -> None:
    alone = await lived(db, seed, kind, "alone")
    assert await lived(db, seed, kind, "helped") == alone
    assert await lived(db, seed, kind, "broken") == alone


async def test_pages_are_carried_out_at_once_and_a_round_moves_the_cursor(db: Database) -> None:
    it = await configured(db, World(capabilities=capable(page=FEW)))
    for n in range(8 * FEW):
        it.world.add(mail=f"p{n}@example.com")
    await previewed(it)
    hands = helped(it)
    await begun(it)
    await it.step(it.sync)
    plan = await plan_of(it)
    # Three pages are a round.
    assert (hands.done, plan.counts[plan_work.DONE]) == (3, 3 * FEW)
    assert plan.cursors["after"] == (await items_of(it))[3 * FEW - 1].id
    await it.rest()
    assert await settled(it) == {plan_work.DONE: 8 * FEW}
    assert hands.most > 1


async def test_what_is_to_be_refused_for_another_ones_sake_waits_for_that_one(db: Database) -> None:
    it = await configured(db, World(capabilities=capable(page=FEW)))
    for n in range(3 * FEW):
        it.world.add(mail=f"p{n % (3 * FEW - 2)}@example.com", first=f"P {n}")
    assert (await previewed(it)).counts == {"CREATE_OURS": 3 * FEW - 2, "FAIL": 2}
    # Pages that come last are carried out first.
    helped(it, backwards=True)
    assert await applied(it) == {plan_work.DONE: 3 * FEW}
    assert {link.category for link in await it.links() if link.state == "FAILED"} == {"UNIQUE_VALUE_CONFLICT"}


@pytest.mark.parametrize("times", [1, 9])
async def test_a_page_in_whose_way_others_are_is_carried_out_in_the_end(
    db: Database, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = await configured(db, World(capabilities=capable(page=FEW)))
    for n in range(3 * FEW):
        it.world.add(mail=f"p{n}@example.com")
    await previewed(it)
    before, met = carrying.carry_out, list[int]()

    async def carry_out(*args: Any) -> None:
        await before(*args)
        if len(met) < times:
            met.append(1)
            raise links.Taken

    monkeypatch.setattr(carrying, "carry_out", carry_out)
    helped(it)
    assert await applied(it) == {plan_work.DONE: 3 * FEW}
    assert len(met) == times
    assert await it.ours("email") == it.theirs("mail")


@pytest.mark.parametrize("number", [3, 3 * FEW])
async def test_what_one_overtaken_item_overtakes_is_not_done_either(db: Database, number: int) -> None:
    """All of them have one unique value: the second would be created if the first is not, and so on."""
    it = await configured(db, World(capabilities=capable(page=FEW)))
    ids = [it.world.add(mail="one@example.com", first=f"P {n}") for n in range(number)]
    assert (await previewed(it)).counts == {"CREATE_OURS": 1, "FAIL": number - 1}
    it.world.remove(ids[0])
    outcomes = await applied(it)
    assert outcomes == {plan_work.OVERTAKEN: number}
    assert await it.records() == []
    assert await it.links() == []


async def test_what_somebody_makes_over_there_before_it_is_sent_is_met_and_left_alone(db: Database) -> None:
    it = await configured(db, World(capabilities=capable(page=FEW)))
    ann = await it.crm.contact(email="ann@example.com", firstname="Ann")
    await previewed(it)
    it.world.add(mail="ann@example.com", first="Anna")
    assert await applied(it) == {plan_work.OVERTAKEN: 1}
    assert (await items_of(it))[0].message == plan_sending.THERE
    assert (await it.crm.row(ann)).properties["firstname"] == "Ann"
    assert it.theirs("mail", "first") == [("ann@example.com", "Anna")]
    assert await it.links() == []


@pytest.mark.parametrize("conditional", [True, False])
async def test_what_somebody_changes_over_there_before_it_is_sent_is_left_alone(
    db: Database, conditional: bool
) -> None:
    able = capable(page=FEW, conditional=conditional, ordered_versions=conditional)
    it = await configured(db, World(capabilities=able))
    id_ = it.world.add(mail="ann@example.com", first="Ann")
    ann = await it.crm.contact(email="ann@example.com", lastname="Lee")
    await previewed(it)
    await begun(it)
    await it.step(it.sync)
    it.world.edit(id_, first="Anna")
    await it.rest()
    assert await settled(it) == {plan_work.OVERTAKEN: 1}
    assert (await items_of(it))[0].message == plan_sending.FASTER
    assert it.theirs("first", "last") == [("Anna", None)]
    # Linked, and so told of by the sync once it starts.
    assert (await it.crm.row(ann)).properties["firstname"] == "Ann"


async def test_what_was_sent_when_the_runner_ended_is_known_to_be_done(db: Database) -> None:
    it = await configured(db, World(capabilities=capable(page=FEW)))
    for n in range(FEW):
        it.world.add(mail=f"p{n}@example.com")
        await it.crm.contact(email=f"p{n}@example.com", lastname=f"L {n}")
    await previewed(it)
    await begun(it)
    places = ["write", "written"]

    def at(place: str) -> None:
        if places and place == places[0]:
            del places[0]
            raise Crash

    it.at = at
    for _ in range(20):
        await it.step(it.sync)
        it.now += turns.LEASE
    await it.rest()
    assert places == []
    assert await settled(it) == {plan_work.DONE: FEW}
    assert it.theirs("last") == [(f"L {n}",) for n in range(FEW)]
    assert {link.state for link in await it.links()} == {"IN_SYNC"}


async def test_a_plan_that_an_older_worker_was_applying_goes_on(db: Database) -> None:
    it = await configured(db, World(capabilities=capable(page=FEW)))
    for n in range(FEW):
        it.world.add(mail=f"p{n}@example.com")
    await previewed(it)
    await begun(it)
    await it.step(it.sync)
    async with db.single(it.crm.account) as single:
        # It told of what became of items when all were sent, and kept their ids until then.
        await single.execute("UPDATE sync_plan_item AS i SET outcome = NULL WHERE i.account_id = $1")
        ids = [one.id for one in await items_of(it)]
        await single.execute(
            "UPDATE sync_plan AS p SET cursors = p.cursors || $2, counts = p.counts - 'APPLIED'"
            " WHERE p.account_id = $1",
            {"batch": ids},
        )
    await it.rest()
    assert await settled(it) == {plan_work.DONE: FEW}
