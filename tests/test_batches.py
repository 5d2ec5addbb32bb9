"""Batches: one key does its work once, whoever asks, however often; a refusal leaves nothing behind."""

import asyncio
from typing import Any

import pytest

from engine import batches, records
from engine.batches import (
    BatchTooLarge,
    IdempotencyKeyReused,
    MalformedIdempotencyKey,
    Mode,
    Outcome,
    failed,
    settle,
)
from engine.problems import InvalidInput, Refused
from storage.database import Database, Transaction
from tests.crm import API, T0, Crm, crm, waiting

ANN = {"email": "ann@example.com"}


async def ask(it: Crm, key: str | None, *inputs: dict[str, Any], mode: Mode = Mode.PER_ITEM) -> Any:
    """Create contacts under an idempotency key; the ids and codes."""
    async with it.db.transaction(it.account, now=T0, actor=API) as tx:
        return await once(tx, key, list(inputs), mode)


async def once(
    tx: Transaction, key: str | None, inputs: list[dict[str, Any]], mode: Mode = Mode.PER_ITEM
) -> Any:
    async def work() -> Any:
        outcomes = await records.create(tx, tx.catalogue.by_name["contacts"], inputs, mode)
        return [
            outcome.value.id if outcome.value else [p.code for p in outcome.problems] for outcome in outcomes
        ]

    return await batches.once(tx, key, "createRecords", {"records": inputs, "mode": mode}, work)


async def contacts(it: Crm) -> int:
    return len(await it.table("SELECT r.id FROM record AS r WHERE r.account_id = $1"))


async def test_the_same_key_twice_does_the_work_once_and_answers_the_same(db: Database) -> None:
    it = await crm(db)
    given = (ANN, {"score": "x"}, {"city": "Rome"})
    answer = await ask(it, "k1", *given)
    assert answer[1] == ["INVALID_VALUE"]
    assert await ask(it, "k1", *given) == answer
    assert await contacts(it) == 2
    assert len(await it.events()) == 2


async def test_another_key_or_none_does_the_work_again(db: Database) -> None:
    it = await crm(db)
    for key in ("k1", "k2", None, None):
        await ask(it, key, {"city": "Rome"})
    assert await contacts(it) == 4


async def test_a_key_is_for_one_request(db: Database) -> None:
    it = await crm(db)
    await ask(it, "k1", ANN)
    with pytest.raises(IdempotencyKeyReused):
        await ask(it, "k1", {"city": "Rome"})
    with pytest.raises(IdempotencyKeyReused):
        await ask(it, "k1", ANN, mode=Mode.ATOMIC)


async def test_what_was_refused_can_be_tried_again_under_its_key(db: Database) -> None:
    it = await crm(db)
    with pytest.raises(Refused):
        await ask(it, "k1", ANN, {"score": "x"}, mode=Mode.ATOMIC)
    assert await contacts(it) == 0
    assert await ask(it, "k1", ANN, mode=Mode.ATOMIC) == await ask(it, "k1", ANN, mode=Mode.ATOMIC)
    assert await contacts(it) == 1


async def test_impatient_repetitions_do_the_work_once(db: Database) -> None:
    it = await crm(db)
    answers = await asyncio.gather(*(ask(it, f"k{n % 3}", {"city": str(n % 3)}) for n in range(60)))
    assert len({str(answer) for answer in answers}) == 3
    assert await contacts(it) == 3


async def test_the_second_caller_waits_for_the_first_and_does_the_work_if_that_one_fails(
    db: Database,
) -> None:
    it = await crm(db)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction(it.account, now=T0, actor=API) as tx:
            await once(tx, "k1", [ANN])
            second = asyncio.create_task(ask(it, "k1", ANN))
            await waiting(db)
            raise ZeroDivisionError
    (made,) = await second
    assert [row and row.properties for row in await it.rows(made)] == [ANN]


@pytest.mark.parametrize("key", ["", "x" * 256, "a\0b", "\ud800"])
async def test_a_key_has_a_form(db: Database, key: str) -> None:
    it = await crm(db)
    with pytest.raises(MalformedIdempotencyKey):
        await ask(it, key, ANN)


def test_a_batch_has_a_limit() -> None:
    batches.check_size([0] * batches.BATCH_LIMIT)
    with pytest.raises(BatchTooLarge) as caught:
        batches.check_size([0] * (batches.BATCH_LIMIT + 1))
    assert "1001 inputs; at most 1000" in caught.value.message


def test_an_atomic_batch_tells_the_places_of_all_its_problems() -> None:
    wrong = [InvalidInput(path=("x",), reason="no"), InvalidInput(reason="never")]
    outcomes: list[Outcome[int]] = [Outcome(1), failed(wrong), failed(wrong[:1])]
    assert settle(outcomes, Mode.PER_ITEM) == outcomes
    assert outcomes[1].problems == tuple(wrong)
    with pytest.raises(Refused) as caught:
        settle([Outcome(1), failed(wrong)], Mode.ATOMIC)
    assert [problem.path for problem in caught.value.problems] == [(1, "x"), (1,)]
