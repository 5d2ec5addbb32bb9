"""Previews: what a sync would do, found without doing it; and then exactly that is done, or told to be overtaken."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from engine.problems import NotFound
from engine.sync import applying, effects, planning
from engine.sync.connectors.protocol import Disconnected, Rejected
from engine.sync.decide import Kind
from engine.sync.planning import PlanNotReady, PlanOutdated
from engine.sync.rules import Direction, Policy, Rules
from storage.database import Database
from storage.sync.plan_items import PlanItemRow
from storage.sync.plans import PlanRow
from tests.crm import T0
from tests.sync_elsewhere import Elsewhere, rules_of, turn
from tests.sync_stage import Stage, stage

MOST = 1_000


class Preview:
    """A plan of the stage's sync, from the first wish to its end."""

    def __init__(self, it: Stage, there: Elsewhere, rules: Rules) -> None:
        self.it, self.there, self.rules = it, there, rules
        self.id = 0

    async def want(self, *, then_start: bool = True) -> PlanRow:
        async with self.it.writing() as tx:
            row = await planning.want(tx, self.it.sync, then_start=then_start)
        self.id = row.id
        return row

    async def step(self) -> bool:
        """One step of a runner that begins anew: nothing is remembered but what is written."""
        return await applying.step(await turn(self.it, self.there, self.rules, T0 + timedelta(hours=1)), T0)

    async def run(self) -> int:
        """All there is to do; in how many steps."""
        steps = 0
        while await self._free_step():
            steps += 1
            assert steps < MOST
        return steps

    async def _free_step(self) -> bool:
        await self.it.free()
        return await self.step()

    async def made(self) -> PlanRow:
        await self.want()
        await self.run()
        return await self.row()

    async def apply(self, *, then_start: bool | None = None) -> PlanRow:
        async with self.it.writing() as tx:
            await applying.apply(tx, self.id, then_start=then_start)
        await self.run()
        return await self.row()

    async def row(self) -> PlanRow:
        async with self.it.db.read(self.it.account) as reader:
            (found,) = await planning.get(reader, [self.id])
        assert found is not None
        return found

    async def items(self, **narrow: Any) -> list[PlanItemRow]:
        async with self.it.db.read(self.it.account) as reader:
            return await planning.items(reader, self.id, first=MOST, **narrow)

    async def item(self, external_id: str | None = None, record_id: int | None = None) -> PlanItemRow:
        """The one about this item, or this record."""
        (found,) = [
            one
            for one in await self.items()
            if (external_id is None or one.external_id == external_id)
            and (record_id is None or one.record_id == record_id)
        ]
        return found


async def previewing(
    db: Database, there: Elsewhere, direction: Direction = Direction.BOTH, *, phase: str = "CONFIGURED"
) -> Preview:
    it = await stage(db)
    await it.set_phase(phase)
    return Preview(it, there, await rules_of(it, direction))


async def footprint(it: Stage) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that a preview could have written, were it not one."""
    tables = (
        "record",
        "property_history",
        "sync_link",
        "sync_key",
        "sync_dirty",
        "sync_attempt",
        "change_queue",
    )
    return {
        name: await it.crm.table(f"SELECT t.* FROM {name} AS t WHERE t.account_id = $1") for name in tables
    }


async def test_a_preview_says_what_would_be_done_on_both_sides_and_writes_nothing(db: Database) -> None:
    there = Elsewhere()
    there.put("a", email="ann@example.com", first="Ann", city="Bonn")
    there.put("b", email="bob@example.com", first="Bob")
    there.put("d", email="dan@example.com", first="Dan", city="Delft")
    there.put("n", first="Nobody")
    it = await previewing(db, there)
    ann = await it.it.crm.contact(email="Ann@example.com", firstname="Anna")
    cid = await it.it.crm.contact(email="cid@example.com", firstname="Cid", city="Rome")
    dan = await it.it.crm.contact(email="dan@example.com", firstname="Dan", city="Delft")
    noone = await it.it.crm.contact(firstname="Noone")
    before, people = await footprint(it.it), dict(there.people)

    row = await it.made()

    assert row.state == "READY"
    assert row.ready_at == T0
    assert row.counts == {"MATCH": 2, "CREATE_OURS": 1, "CREATE_THEIRS": 1, "EXCLUDE": 2}
    assert (await footprint(it.it), there.people, there.writes) == (before, people, [])
    matched = await it.item("a")
    assert (matched.kind, matched.record_id, matched.effect["matchedBy"]) == ("MATCH", ann, "email")
    # The policy is ours, and an empty value never wins.
    assert matched.effect["theirs"]["first"] == ["Ann", "Anna"]
    assert matched.effect["ours"] == {"city": [None, "Bonn"]}
    created = await it.item("b")
    assert (created.kind, created.record_id) == ("CREATE_OURS", None)
    assert created.effect["ours"] == {"email": [None, "bob@example.com"], "firstname": [None, "Bob"]}
    sent = await it.item(record_id=cid)
    assert (sent.kind, sent.external_id) == ("CREATE_THEIRS", None)
    assert sent.effect["theirs"]["city"] == [None, "Rome"]
    same = await it.item("d")
    assert (same.kind, same.record_id, same.effect["ours"], same.effect["theirs"]) == ("MATCH", dan, {}, {})
    assert {(await it.item("n")).kind, (await it.item(record_id=noone)).kind} == {"EXCLUDE"}


async def test_items_are_paged_and_filtered_by_kind(db: Database) -> None:
    there = Elsewhere()
    for n in range(8):
        there.put(str(n), email=f"{n}@example.com")
    it = await previewing(db, there)
    for n in range(4):
        await it.it.crm.contact(email=f"{n}@example.com")
    await it.made()
    async with db.read(it.it.account) as reader:
        first = await planning.items(reader, it.id, kind="CREATE_OURS", first=3)
        rest = await planning.items(reader, it.id, kind="CREATE_OURS", after=first[-1].id)
        none = await planning.items(reader, it.id, kind="CONFLICT")
    assert [row.external_id for row in [*first, *rest]] == ["4", "5", "6", "7"]
    assert none == []


async def test_what_our_own_rules_would_refuse_is_foreseen(db: Database) -> None:
    there = Elsewhere()
    there.put("a", email="ann@example.com", first="Ann")
    there.put("b", email="ann@example.com", first="Another Ann")
    it = await previewing(db, there)
    row = await it.made()
    assert row.counts == {"CREATE_OURS": 1, "FAIL": 1}
    (failing,) = await it.items(kind="FAIL")
    assert failing.effect["problem"]["category"] == "UNIQUE_VALUE_CONFLICT"
    assert failing.effect["problem"]["side"] == "OURS"


async def test_what_is_unique_is_planned_once_however_far_apart_it_comes(db: Database) -> None:
    there = Elsewhere()
    for n in range(7):
        there.put(f"{n}", email="ann@example.com" if n % 6 == 0 else f"{n}@example.com")
    it = await previewing(db, there)
    row = await it.made()
    assert row.counts == {"CREATE_OURS": 6, "FAIL": 1}
    last = await it.item("6")
    assert (last.kind, last.effect["problem"]["category"]) == ("FAIL", "UNIQUE_VALUE_CONFLICT")
    row = await it.apply(then_start=False)
    assert row.counts["APPLIED"] == 7
    assert len(await it.it.crm.table("SELECT r.id FROM record AS r WHERE r.account_id = $1")) == 6


async def test_a_record_is_planned_for_one_item_alone(db: Database) -> None:
    there = Elsewhere()
    it = await previewing(db, there)
    ann = await it.it.crm.contact(email="ann@example.com")
    there.put("a", email="ANN@example.com")
    there.put("b", email="ann@Example.com")
    await it.made()
    one, two = await it.items()
    # The first takes the record; the second finds it taken, and its address is unique.
    assert (one.kind, one.record_id) == ("MATCH", ann)
    assert (two.kind, two.effect["problem"]["category"]) == ("FAIL", "UNIQUE_VALUE_CONFLICT")


async def test_a_plan_is_made_page_by_page_and_survives_any_crash_between(db: Database) -> None:
    there = Elsewhere()
    for n in range(10):
        there.put(f"{n}", email=f"{n}@example.com")
    it = await previewing(db, there)
    await it.want()
    steps = await it.run()
    # Ten items by three, then our records; each step is a runner of its own.
    assert steps >= 5
    assert (await it.row()).counts == {"CREATE_OURS": 10}
    assert there.reads == 4


async def test_items_that_come_twice_are_planned_once(db: Database) -> None:
    there = Elsewhere()
    for n in range(4):
        there.put(f"{n}", email=f"{n}@example.com")
    it = await previewing(db, there)
    await it.want()
    await it._free_step()
    # Somebody squeezes in before what was read: the last one of the first page comes again.
    there.put("00", email="new@example.com")
    await it.run()
    row = await it.row()
    assert row.counts == {"CREATE_OURS": 4}
    assert len(await it.items()) == 4


async def test_a_new_wish_ends_the_plan_before_it(db: Database) -> None:
    there = Elsewhere()
    there.put("a", email="ann@example.com")
    it = await previewing(db, there)
    first = await it.want()
    second = await it.want()
    assert second.id != first.id
    await it.run()
    async with db.read(it.it.account) as reader:
        gone, made = await planning.get(reader, [first.id, second.id])
        (newest,) = await planning.of_sync(reader, it.it.sync)
    assert (gone, made and made.state, newest.id) == (None, "READY", second.id)


async def test_an_app_that_will_not_be_read_fails_the_plan_and_one_that_rests_does_not(db: Database) -> None:
    there = Elsewhere(broken=Disconnected("Nobody is there."))
    it = await previewing(db, there)
    await it.want()
    with pytest.raises(Disconnected):
        await it._free_step()
    there.broken = Rejected("No such list.")
    await it.run()
    row = await it.row()
    assert (row.state, row.message) == ("FAILED", "No such list.")


async def test_a_sync_that_has_nothing_to_go_by_has_no_preview(db: Database) -> None:
    it = await previewing(db, Elsewhere())
    await it.want()
    async with it.it.writing() as tx:
        await planning.give_up(tx, it.it.sync, "There are no people any more.")
    row = await it.row()
    assert (row.state, row.message) == ("FAILED", "There are no people any more.")
    assert await it.run() == 0


async def test_applying_does_exactly_what_was_shown_and_the_sync_starts(db: Database) -> None:
    there = Elsewhere()
    there.put("a", email="ann@example.com", first="Ann", city="Bonn")
    there.put("b", email="bob@example.com", first="Bob")
    it = await previewing(db, there)
    ann = await it.it.crm.contact(email="ann@example.com", firstname="Anna")
    cid = await it.it.crm.contact(email="cid@example.com", firstname="Cid")
    await it.made()
    row = await it.apply()
    assert row.state == "APPLIED"
    assert row.counts == {"MATCH": 1, "CREATE_OURS": 1, "CREATE_THEIRS": 1, "APPLIED": 3}
    assert {one.outcome for one in await it.items()} == {"APPLIED"}
    assert (await it.it.crm.row(ann)).properties == {
        "email": "ann@example.com",
        "firstname": "Anna",
        "city": "Bonn",
    }
    assert there.people["a"].fields["first"] == "Anna"
    assert sorted(str(one.fields["email"]) for one in there.people.values()) == [
        "ann@example.com",
        "bob@example.com",
        "cid@example.com",
    ]
    states = await it.it.crm.table("SELECT l.state, l.record_id FROM sync_link AS l WHERE l.account_id = $1")
    assert {state for state, _ in states} == {"IN_SYNC"}
    assert {ann, cid} < {record for _, record in states}
    assert len(states) == 3
    assert await it.it.phase() == "INITIAL"


async def test_a_sync_that_is_not_to_start_stays_configured_with_its_links(db: Database) -> None:
    there = Elsewhere()
    there.put("a", email="ann@example.com")
    it = await previewing(db, there)
    await it.made()
    await it.apply(then_start=False)
    assert await it.it.phase() == "CONFIGURED"
    assert len(await it.it.crm.table("SELECT l.id FROM sync_link AS l WHERE l.account_id = $1")) == 1


async def test_what_the_world_has_overtaken_is_told_and_not_done(db: Database) -> None:
    there = Elsewhere()
    there.put("a", email="ann@example.com", first="Ann")
    there.put("b", email="bob@example.com", first="Bob")
    there.put("c", email="cid@example.com", first="Cid")
    there.put("e", email="eve@example.com", first="Eve")
    it = await previewing(db, there)
    ann = await it.it.crm.contact(email="ann@example.com", firstname="Anna")
    dan = await it.it.crm.contact(email="dan@example.com", firstname="Dan")
    await it.made()
    # A value that would be written has changed; an item is gone; a record matches by now; one was archived; nothing
    # that matters has changed.
    await it.it.crm.update((ann, {"firstname": "Annabel"}))
    del there.people["b"]
    cid = await it.it.crm.contact(email="cid@example.com")
    await it.it.crm.archive(dan)
    there.put("e", hobby="chess")
    row = await it.apply(then_start=False)
    assert row.counts["OVERTAKEN"] == 4
    assert row.counts["APPLIED"] == 1
    told = {one.external_id or one.record_id: (one.outcome, one.message) for one in await it.items()}
    assert told["a"] == ("OVERTAKEN", "What would be written to their item has changed: first.")
    assert told["b"] == ("OVERTAKEN", "Their item is gone.")
    assert told["c"] == (
        "OVERTAKEN",
        "It was to be created here; as both sides are now, it would be matched.",
    )
    assert told[dan] == (
        "OVERTAKEN",
        "It was to be created over there; as both sides are now, it would be left as it is.",
    )
    assert effects.WORDS.keys() == set(Kind)
    assert told["e"] == ("APPLIED", None)
    assert there.people["a"].fields["first"] == "Ann"
    assert (await it.it.crm.row(cid)).properties == {"email": "cid@example.com"}
    links = await it.it.crm.table("SELECT l.external_id FROM sync_link AS l WHERE l.account_id = $1")
    assert links == [("e",)]


async def test_what_the_other_side_refuses_is_told_with_its_item(db: Database) -> None:
    there = Elsewhere(refusal=Rejected("Names must rhyme."))
    it = await previewing(db, there)
    await it.it.crm.contact(email="ann@example.com")
    await it.made()
    row = await it.apply(then_start=False)
    (item,) = await it.items()
    assert (row.state, item.outcome, item.message) == ("APPLIED", "FAILED", "Names must rhyme.")
    assert row.counts == {"CREATE_THEIRS": 1, "FAILED": 1}


async def test_a_plan_older_than_the_definition_is_refused(db: Database) -> None:
    there = Elsewhere()
    it = await previewing(db, there)
    await it.made()
    await it.it.redefine()
    with pytest.raises(PlanOutdated):
        await it.apply()


async def test_a_definition_that_changes_meanwhile_ends_the_plan(db: Database) -> None:
    there = Elsewhere()
    for n in range(6):
        there.put(f"{n}", email=f"{n}@example.com")
    it = await previewing(db, there)
    await it.want()
    await it._free_step()
    await it.it.redefine()
    await it.run()
    assert (await it.row()).state == "FAILED"


async def test_only_a_plan_that_is_ready_can_be_applied(db: Database) -> None:
    it = await previewing(db, Elsewhere())
    await it.want()
    with pytest.raises(PlanNotReady):
        await it.apply()
    await it.run()
    await it.apply()
    with pytest.raises(PlanNotReady):
        await it.apply()
    async with it.it.writing() as tx:
        with pytest.raises(NotFound):
            await applying.apply(tx, 999)
        with pytest.raises(NotFound):
            await planning.want(tx, 999)


async def test_a_preview_of_a_sync_that_runs_shows_what_is_not_in_sync_yet(db: Database) -> None:
    there = Elsewhere()
    there.put("a", email="ann@example.com", first="Ann")
    it = await previewing(db, there)
    ann = await it.it.crm.contact(email="ann@example.com", firstname="Ann")
    await it.made()
    await it.apply(then_start=False)
    row = await it.made()
    assert row.counts == {"NONE": 1}
    await it.it.crm.update((ann, {"city": "Bonn"}))
    there.put("a", first="Annie")
    await it.made()
    item = await it.item("a")
    assert (item.kind, item.record_id) == ("UPDATE", ann)
    assert item.effect["ours"] == {"firstname": ["Ann", "Annie"]}
    assert item.effect["theirs"] == {"city": [None, "Bonn"]}


async def test_fields_about_which_a_person_would_be_asked_are_named(db: Database) -> None:
    there = Elsewhere()
    there.put("a", email="ann@example.com", first="Ann")
    it = await previewing(db, there)
    it.rules = replace(
        it.rules,
        policy=Policy.ASK,
        mappings=tuple(replace(one, policy=Policy.ASK) for one in it.rules.mappings),
    )
    await it.it.crm.contact(email="ann@example.com", firstname="Anna")
    await it.made()
    (item,) = await it.items()
    assert item.effect["conflicts"] == ["firstname"]


async def test_each_direction_shows_what_goes_that_way_alone(db: Database) -> None:
    there = Elsewhere()
    there.put("b", email="bob@example.com")
    it = await previewing(db, there, Direction.OUT)
    await it.it.crm.contact(email="cid@example.com")
    assert (await it.made()).counts == {"EXCLUDE": 1, "CREATE_THEIRS": 1}
    it.rules = await rules_of(it.it, Direction.IN)
    assert (await it.made()).counts == {"CREATE_OURS": 1}
