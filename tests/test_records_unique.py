"""Unique values: one holder each, whoever writes at the same time, and nobody waits in a circle."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from engine import records
from engine.batches import Mode
from engine.problems import Refused
from storage.database import Database
from tests.crm import API, T0, Crm, codes, crm, made, problem_of, waiting

ANN = {"email": "ann@example.com"}


async def held(it: Crm) -> None:
    """Each value has the one holder whose property says so."""
    sql = """
        SELECT lower(r.properties ->> 'email'), r.id FROM record AS r WHERE r.account_id = $1 AND r.properties ? 'email'
    """
    rows = await it.table(sql)
    assert max(Counter(value for value, _ in rows).values(), default=1) == 1
    assert await it.unique_values() == dict(rows)


async def test_a_value_that_is_taken_is_refused_and_its_holder_named(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact(**ANN)
    (outcome,) = await it.create({"email": "ANN@example.com"})
    told = problem_of(outcome)
    assert (told.code, told.path) == ("UNIQUE_VALUE_TAKEN", ("properties", "email"))
    assert told.details == {"property": "email", "value": '"ANN@example.com"', "holder": f"rec_{ann}"}


async def test_a_batch_cannot_use_a_value_twice(db: Database) -> None:
    it = await crm(db)
    first, second, third = await it.create(ANN, ANN, {"email": "bob@example.com"})
    assert codes(second) == ["UNIQUE_VALUE_REPEATED"]
    assert first.value is not None
    assert third.value is not None
    with pytest.raises(Refused):
        await it.create({"email": "eve@example.com"}, {"email": "eve@example.com"}, mode=Mode.ATOMIC)
    await held(it)


async def test_an_archived_record_keeps_its_values_and_the_refusal_says_so(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact(**ANN)
    made(await it.archive(ann))
    (outcome,) = await it.create(ANN)
    assert problem_of(outcome).code == "UNIQUE_VALUE_ARCHIVED"
    assert f"rec_{ann}" in problem_of(outcome).message
    assert codes(await it.upsert(ANN)) == ["RECORD_ARCHIVED"]


async def test_values_are_free_again_when_changed_or_cleared(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact(**ANN)
    made(await it.update((ann, {"email": "ann@example.org"})))
    bob = await it.contact(**ANN)
    made(await it.update((bob, {"email": None})))
    eve = await it.contact(**ANN)
    assert await it.unique_values() == {"ann@example.org": ann, "ann@example.com": eve}


async def test_a_batch_can_hand_values_on_and_swap_them(db: Database) -> None:
    it = await crm(db)
    ann, bob = await it.contact(email="a@x"), await it.contact(email="b@x")
    # Bob's comes too early: Ann still holds it when he asks.
    early, _ = await it.update((bob, {"email": "a@x"}), (ann, {"email": "c@x"}))
    assert codes(early) == ["UNIQUE_VALUE_TAKEN"]
    assert problem_of(early).details["holder"] == f"rec_{ann}"
    made(await it.update((ann, {"email": "a@x"})))
    made(await it.update((ann, {"email": None}), (bob, {"email": "a@x"}), (ann, {"email": "b@x"})))
    assert await it.unique_values() == {"a@x": bob, "b@x": ann}


async def test_a_change_that_is_refused_gives_nothing_up(db: Database) -> None:
    it = await crm(db)
    await it.define(name="badge", unique=True)
    ann, bob = await it.contact(email="a@x", badge="1"), await it.contact(email="b@x", badge="2")
    # The new address is free, the badge is not.
    assert codes(await it.update((ann, {"email": "c@x", "badge": "2"}))) == ["UNIQUE_VALUE_TAKEN"]
    assert codes(await it.upsert({"email": "d@x", "badge": "1"})) == ["UNIQUE_VALUE_TAKEN"]
    assert await it.unique_values() == {"a@x": ann, "1": ann, "b@x": bob, "2": bob}


async def test_values_too_long_for_an_index_are_unique_all_the_same(db: Database) -> None:
    it = await crm(db)
    await it.define(name="badge", unique=True)
    long = "".join(random.Random(3).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=20_000))
    await it.contact(badge=long)
    assert codes(await it.create({"badge": long})) == ["UNIQUE_VALUE_TAKEN"]
    made(await it.create({"badge": long + "x"}))


async def test_of_two_creates_at_once_one_waits_and_is_told_the_winner(db: Database) -> None:
    it = await crm(db)
    async with db.transaction(it.account, now=T0, actor=API) as tx:
        (first,) = await records.create(tx, tx.catalogue.by_name["contacts"], [ANN], Mode.PER_ITEM)
        second = asyncio.create_task(it.create(ANN))
        await waiting(db)
    (outcome,) = await second
    assert first.value is not None
    assert problem_of(outcome).details["holder"] == f"rec_{first.value.id}"


async def test_if_the_first_of_two_creates_is_undone_the_second_gets_the_value(db: Database) -> None:
    it = await crm(db)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction(it.account, now=T0, actor=API) as tx:
            await records.create(tx, tx.catalogue.by_name["contacts"], [ANN], Mode.PER_ITEM)
            second = asyncio.create_task(it.create(ANN))
            await waiting(db)
            raise ZeroDivisionError
    made(await second)
    await held(it)


async def test_of_two_upserts_at_once_one_creates_and_the_other_updates(db: Database) -> None:
    it = await crm(db)
    async with db.transaction(it.account, now=T0, actor=API) as tx:
        contacts = tx.catalogue.by_name["contacts"]
        (first,) = await records.upsert(tx, contacts, "email", [ANN | {"city": "Rome"}], Mode.PER_ITEM)
        second = asyncio.create_task(it.upsert(ANN | {"score": 1}))
        await waiting(db)
    (late,) = made(await second)
    assert first.value is not None
    assert (first.value.created, late.created) == (True, False)
    assert late.row.id == first.value.row.id
    assert late.row.properties == ANN | {"city": "Rome", "score": 1}


async def test_an_upsert_whose_record_takes_another_key_meanwhile_creates(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact(**ANN)
    async with db.transaction(it.account, now=T0, actor=API) as tx:
        await records.update(tx, [(ann, {"email": "other@example.com"})], Mode.PER_ITEM)
        racing = asyncio.create_task(it.upsert(ANN))
        await waiting(db)
    (late,) = made(await racing)
    assert late.created
    assert await it.unique_values() == {"other@example.com": ann, "ann@example.com": late.row.id}


async def test_a_value_given_up_and_taken_at_once_has_one_holder(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact(**ANN)
    async with db.transaction(it.account, now=T0, actor=API) as tx:
        await records.update(tx, [(ann, {"email": None})], Mode.PER_ITEM)
        racing = asyncio.create_task(it.create(ANN))
        await waiting(db)
    (bob,) = made(await racing)
    assert await it.unique_values() == {"ann@example.com": bob.id}


async def test_values_are_taken_in_one_order_whatever_the_order_of_the_inputs(db: Database) -> None:
    it = await crm(db)
    async with db.transaction(it.account, now=T0, actor=API) as tx:
        await records.create(tx, tx.catalogue.by_name["contacts"], [{"email": "m@x"}], Mode.PER_ITEM)
        # Taken in the order of the inputs, the first would come to hold 1 and wait for m, the second to hold 2 and
        # wait for 1; with m free, each would wait for the other.
        first = asyncio.create_task(it.create({"email": "1@x"}, {"email": "m@x"}, {"email": "2@x"}))
        await waiting(db, 1)
        second = asyncio.create_task(it.upsert({"email": "2@x"}, {"email": "1@x"}))
        await waiting(db, 2)
    assert codes(await first) == ["UNIQUE_VALUE_TAKEN"]
    assert [one.created for one in made(await second)] == [False, False]
    await held(it)


async def test_many_writers_of_few_values_never_share_one_nor_wait_in_a_circle(db: Database) -> None:
    it = await crm(db)
    ids = [row.id for row in made(await it.create(*({} for _ in range(8))))]
    values = [f"{n}@example.com" for n in range(12)]
    told: Counter[str] = Counter()

    async def write(worker: int) -> None:
        chance = random.Random(worker)
        for _ in range(40):
            some: list[Any] = [
                {"email": value, "score": chance.random()}
                for value in chance.sample(values, chance.randint(1, 6))
            ]
            match chance.randint(0, 3):
                case 0:
                    outcomes: list[Any] = await it.create(*some)
                case 1 | 2:
                    outcomes = await it.upsert(*some)
                case _:
                    given = zip(chance.sample(ids, len(some)), some, strict=True)
                    outcomes = await it.update(*given)
            told.update(codes(outcomes))

    # An error of the database, a deadlock for one, would end this.
    await asyncio.gather(*(write(worker) for worker in range(8)))
    assert set(told) <= {"UNIQUE_VALUE_TAKEN"}
    await held(it)
    assert set(await it.unique_values()) <= set(values)


async def test_racing_upserts_of_the_same_keys_make_each_record_once(db: Database) -> None:
    it = await crm(db)
    keys = [f"{n}@example.com" for n in range(40)]

    async def load(worker: int) -> list[Any]:
        mixed = random.Random(worker).sample(keys, len(keys))
        return made(
            await it.upsert(
                *({"email": key, f"{'state' if worker % 2 else 'city'}": str(worker)} for key in mixed)
            )
        )

    answers = await asyncio.gather(*(load(worker) for worker in range(6)))
    created = [one.row.id for answer in answers for one in answer if one.created]
    assert len(created) == len(set(created)) == len(keys)
    assert {one.row.id for answer in answers for one in answer} == set(created)
    for row in await it.rows(*created):
        assert row is not None
        assert row.version == len(await it.history(row.id)) == 6
    await held(it)
