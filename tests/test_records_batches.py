"""A batch, item by item, is what its inputs are one after the other: the same records, values, refusals, events."""

import contextlib
import random
from typing import Any

from engine import accounts
from engine.batches import Outcome
from engine.problems import Problem
from storage.database import Database
from tests.crm import T0, Crm

EMAILS = ["a@x", "A@x", "b@x", "c@x", "d@x", None, "", 5]
BADGES = ["1", "2", "3", None]
CITIES = ["Rome", "Oslo", None, 7]
STATUS = ["new", "open", "old", None]


class Twin:
    """One account among two to which the same is done; records are told by the order in which they came to be."""

    def __init__(self, it: Crm) -> None:
        self.it = it
        self.ids: list[int] = []

    def number(self, record_id: int) -> int:
        if record_id not in self.ids:
            self.ids.append(record_id)
        return self.ids.index(record_id)

    def told(self, outcomes: list[Outcome[Any]]) -> list[Any]:
        answers: list[Any] = []
        for outcome in outcomes:
            if outcome.value is None:
                # In a batch, a value that an earlier input's new record has is "repeated", later it is "taken".
                answers.append([(p.code.replace("REPEATED", "TAKEN"), p.path) for p in outcome.problems])
            elif hasattr(outcome.value, "created"):
                answers.append((self.number(outcome.value.row.id), outcome.value.created))
            else:
                answers.append(self.number(outcome.value.id))
        return answers

    async def state(self) -> Any:
        rows = await self.it.table(
            "SELECT r.id, r.properties, r.archived_at, r.merged_into_id FROM record AS r WHERE r.account_id = $1"
        )
        searchable = await self.it.table(
            """
            SELECT v.record_id, p.name, v.position, v.text_value
              FROM property_value AS v JOIN property AS p ON p.account_id = $1 AND p.id = v.property_id
             WHERE v.account_id = $1 ORDER BY p.name, v.position
            """
        )
        return (
            sorted((self.number(row[0]), row[1], row[2], row[3] and self.number(row[3])) for row in rows),
            {value: self.number(holder) for value, holder in (await self.it.unique_values()).items()},
            sorted((self.number(row[0]), *row[1:]) for row in searchable),
        )


def some(chance: random.Random) -> dict[str, Any]:
    given = {
        "email": chance.choice(EMAILS),
        "badge": chance.choice(BADGES),
        "city": chance.choice(CITIES),
        "leadstatus": chance.choice(STATUS),
    }
    return {name: given[name] for name in chance.sample(sorted(given), chance.randint(1, 4))}


async def twin(db: Database, name: str) -> Twin:
    it = Crm(db, await accounts.create(db, name, now=T0))
    await it.define(name="badge", unique=True, searchable=True)
    return Twin(it)


async def test_a_batch_is_its_inputs_one_after_the_other(db: Database) -> None:
    whole, single = await twin(db, "whole"), await twin(db, "single")
    chance = random.Random(20)
    refused = worked = 0
    for _ in range(60):
        inputs = [some(chance) for _ in range(chance.randint(1, 7))]
        targets = [chance.randrange(len(whole.ids) + 1) for _ in inputs]
        verb = chance.choice(["create", "update", "update", "by email", "by badge", "archive", "restore"])
        answers: list[list[Any]] = []
        for side, steps in ((whole, [inputs]), (single, [[one] for one in inputs])):
            ids = iter(targets)
            told: list[Any] = []
            for part in steps:
                about = [
                    side.ids[n] if n < len(side.ids) else 999_999 for _, n in zip(part, ids, strict=False)
                ]
                told += side.told(await run(side.it, verb, part, about))
            answers.append(told)
        assert answers[0] == answers[1], (verb, inputs, targets)
        assert await whole.state() == await single.state(), (verb, inputs, targets)
        if chance.random() < 0.3 and len(whole.ids) > 2:
            survivor, merged = chance.sample(range(len(whole.ids)), 2)
            for side in (whole, single):
                with contextlib.suppress(Problem):
                    await side.it.merge(side.ids[survivor], side.ids[merged])
        refused += sum(isinstance(answer, list) for answer in answers[0])
        worked += sum(not isinstance(answer, list) for answer in answers[0])
    # Neither side may be trivial.
    assert min(refused, worked) > 40


async def run(it: Crm, verb: str, inputs: list[dict[str, Any]], ids: list[int]) -> list[Any]:
    match verb:
        case "create":
            return await it.create(*inputs)
        case "update":
            return await it.update(*zip(ids, inputs, strict=True))
        case "by email" | "by badge":
            return await it.upsert(*inputs, by=verb.removeprefix("by "))
        case "archive":
            return await it.archive(*ids)
        case _:
            return [one if one.value is None else Outcome(one.value.row) for one in await it.restore(*ids)]
