"""Failures tried again: by a person, by themselves, and when what they failed for is mended."""

from datetime import timedelta

import pytest

from engine.problems import NotFound
from engine.sync import backoff, retrying
from engine.sync.categories import Again, Category, again
from engine.sync.connectors.protocol import Rejected
from engine.sync.retrying import LinkNotFailed
from storage.database import Database
from storage.sync.links import LinkRow
from tests.crm import T0
from tests.sync_rig import Rig, rig
from tests.sync_stage import stage
from tests.sync_world import World

TOO_LONG = "A city with a name that nobody can remember"


async def failing(db: Database, *names: str) -> tuple[Rig, dict[str, LinkRow]]:
    """Contacts that the other side has refused, one by one."""
    world = World()
    it = await rig(db, world)
    await it.rest()
    found = {}
    for name in names:
        world.next = [("op", Rejected("Not like that.", Category.VALIDATION_REJECTED, "first"))]
        record = await it.crm.contact(email=f"{name}@example.com", firstname=name)
        await it.rest()
        found[name] = await it.link(record_id=record)
        assert found[name].state == "FAILED"
    return it, found


async def retry(it: Rig, *links: LinkRow) -> int:
    async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        return await retrying.retry(tx, [one.id for one in links])


async def test_one_failure_is_tried_again_on_demand(db: Database) -> None:
    it, found = await failing(db, "ann", "bob")
    assert it.theirs("mail") == []
    assert await retry(it, found["ann"]) == 1
    pending = await it.link(id=found["ann"].id)
    assert (pending.state, pending.category, pending.message) == ("PENDING", None, None)
    await it.rest()
    assert it.theirs("mail") == [("ann@example.com",)]
    assert (await it.link(id=found["ann"].id)).state == "IN_SYNC"
    assert (await it.link(id=found["bob"].id)).state == "FAILED"


async def test_what_has_not_failed_is_left_as_it_is(db: Database) -> None:
    it, found = await failing(db, "ann")
    await retry(it, found["ann"])
    await it.rest()
    with pytest.raises(LinkNotFailed):
        await retry(it, found["ann"])
    async with db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        with pytest.raises(NotFound):
            await retrying.retry(tx, [999])
        assert await retrying.retry(tx, [999, found["ann"].id]) == 0


async def test_failures_of_a_category_are_tried_again_and_no_others(db: Database) -> None:
    it = await stage(db)
    a, b, c, d = await it.links(
        {"record_id": 1, "state": "FAILED", "category": "INVALID_VALUE", "failed_side": "THEIRS"},
        {"external_id": "b", "state": "FAILED", "category": "UNIQUE_VALUE_CONFLICT", "failed_side": "OURS"},
        {"record_id": 3, "external_id": "c", "state": "FAILED", "category": "RECORD_DELETED"},
        {"record_id": 4, "external_id": "d", "state": "FAILED", "category": "INVALID_VALUE"},
    )
    async with it.writing() as tx:
        some = await retrying.retry_failed(tx, it.sync, [Category.INVALID_VALUE])
    assert (some.count, some.last) == (2, None)
    # Our record is looked at where theirs was to be written; else the item is read again.
    assert await it.dirty() == [("OURS", "1"), ("THEIRS", "d")]
    async with it.writing() as tx:
        rest = await retrying.retry_failed(tx, it.sync)
    assert rest.count == 1
    states = [(await it.link(number)).state for number in (a, b, c, d)]
    # What was deleted comes back by resync, not by trying again.
    assert states == ["PENDING", "PENDING", "FAILED", "PENDING"]


async def test_all_failures_are_taken_up_lot_by_lot(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "BATCH", 2)
    it = await stage(db)
    await it.links(*({"record_id": n, "state": "FAILED", "category": "UNKNOWN"} for n in range(5)))
    counts, after = [], 0
    while True:
        async with it.writing() as tx:
            lot = await retrying.retry_failed(tx, it.sync, after=after)
        counts.append(lot.count)
        if lot.last is None:
            break
        after = lot.last
    assert counts == [2, 2, 1]
    async with it.writing() as tx:
        with pytest.raises(NotFound):
            await retrying.retry_failed(tx, 999)


async def test_what_failed_before_its_cause_was_mended_is_tried_again_bit_by_bit(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "BATCH", 2)
    it = await stage(db)
    before = T0 - timedelta(minutes=1)
    await it.links(
        *(
            {"record_id": n, "state": "FAILED", "category": "INVALID_VALUE", "failed_at": before}
            for n in (1, 2, 3)
        ),
        {
            "record_id": 4,
            "state": "FAILED",
            "category": "INVALID_VALUE",
            "failed_at": T0 + timedelta(minutes=1),
        },
        {"record_id": 5, "state": "FAILED", "category": "RECORD_DELETED", "failed_at": before},
    )
    assert not await retrying.step(db, it.account, it.sync, now=T0)
    await it.mended()
    steps = 0
    while await retrying.step(db, it.account, it.sync, now=T0):
        steps += 1
    assert steps == 2
    assert await it.dirty() == [("OURS", "1"), ("OURS", "2"), ("OURS", "3")]


async def test_a_failure_that_may_pass_comes_back_by_itself_and_later_each_time(db: Database) -> None:
    world = World()
    it = await rig(db, world)
    await it.rest()
    world.trouble.retry = 1.0
    await it.crm.contact(email="ann@example.com")
    await it.rest()
    first = await it.link()
    assert (first.state, first.category) == ("FAILED", "RATE_LIMITED")
    await it.later(3_600)
    assert (await it.link()).attempts > first.attempts
    world.trouble.retry = 0.0
    await it.later(7_200)
    assert (await it.link()).state == "IN_SYNC"
    assert it.theirs("mail") == [("ann@example.com",)]


def test_pauses_grow_stay_within_their_bounds_and_are_spread() -> None:
    for attempts in range(1, 40):
        pauses = [backoff.pause(attempts, str(key)) for key in range(200)]
        middle = min(backoff.FIRST * 2 ** (attempts - 1), backoff.LONGEST)
        assert all(middle * 0.75 <= one <= middle * 1.25 for one in pauses)
        assert len(set(pauses)) > 150
    assert backoff.pause(3, "a") == backoff.pause(3, "a")


def test_the_other_side_is_never_asked_before_it_has_said() -> None:
    for key in range(100):
        asked = timedelta(minutes=7)
        assert asked <= backoff.pause(1, str(key), after=asked) <= asked * 1.25


@pytest.mark.parametrize("category", list(Category))
def test_only_what_may_pass_is_due_again(category: Category) -> None:
    at = backoff.due(category, 1, "key", T0)
    assert (at is not None) is (again(category) is Again.RETRY) is backoff.retried(category)
    assert at is None or at > T0


async def test_records_that_are_not_sent_are_shown_with_the_reason_until_they_are(db: Database) -> None:
    it = await rig(db)
    ann = await it.crm.contact(firstname="Ann")
    await it.rest()
    excluded = await it.link(record_id=ann)
    assert (excluded.state, excluded.external_id) == ("EXCLUDED", None)
    assert excluded.message is not None
    assert it.theirs("mail") == []
    await it.crm.update((ann, {"email": "ann@example.com"}))
    await it.rest()
    assert (await it.link(record_id=ann)).state == "IN_SYNC"
    assert it.theirs("mail") == [("ann@example.com",)]
    bob = await it.crm.contact(firstname="Bob")
    await it.rest()
    await it.crm.archive(bob)
    await it.rest()
    assert [one.record_id for one in await it.links()] == [ann]
