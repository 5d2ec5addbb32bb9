"""Batches of new records go in by COPY: the very rows that statements write, and the same is told of them."""

import random
from typing import Any

import pytest

from engine import accounts
from engine.properties import Option
from engine.records import keeping
from storage import changes
from storage.changes import ChangeKind
from storage.database import Database
from tests.crm import T0, Crm

# Everything but when it was done and by which numbers: ids rise with what was done before.
TABLES = {
    "record": "id",
    "property_history": "record_id, version",
    "property_value": "record_id, property_id, position",
    "property_key": "property_id, value_hash, record_id",
    "unique_value": "property_id, value",
}
TEXTS = (
    "plain",
    "tab\tand\nlines\r\\N",
    "\\",
    '"quoted", {x}',
    "ünï\u2028cöde\u00a0",
    "a" * 300,
    "\x7f\x01",
    "–",
)


async def prepared(db: Database, name: str) -> Crm:
    """An account with properties of every type, searchable or not."""
    it = Crm(db, await accounts.create(db, name, now=T0))
    for searchable in (False, True):
        tag = "s" if searchable else "k"
        for type_ in ("STRING", "NUMBER", "BOOLEAN", "DATE", "DATETIME", "JSON", "PHONE"):
            if type_ != "JSON" or not searchable:
                await it.define(name=f"{tag}_{type_.lower()}", type=type_, searchable=searchable)
        options = [Option(one, one) for one in ("red", "green", "blue;ish")]
        for multiple in (False, True):
            await it.define(
                name=f"{tag}_choice_{multiple}".lower(),
                type="ENUMERATION",
                options=options,
                multiple=multiple,
                searchable=searchable,
            )
    await it.define(name="badge", type="NUMBER", unique=True)
    return it


async def watching(it: Crm, *names: str) -> None:
    """Let some workflow want to know what these properties became."""
    properties = (await it.db.catalogue(it.account)).by_name["contacts"].properties
    for name in names:
        await it.tamper(
            "INSERT INTO trigger_ref (account_id, kind, ref_id, workflow_id, n, path)"
            f" VALUES ({it.account}, 'VALUE', {properties[name].id}, 1, 0, '[]')"
        )
    assert (await it.db.catalogue(it.account)).watched


def given(seed: int, count: int) -> list[dict[str, Any]]:
    """Contacts of every kind; some are refused."""
    dice = random.Random(seed)

    def one(n: int) -> dict[str, Any]:
        values: dict[str, Any] = {
            "email": f"p{n if dice.random() < 0.95 else n - 1}@Example.com",
            "badge": n / 2,
        }
        for tag in "sk":
            values |= {
                f"{tag}_string": dice.choice(TEXTS),
                f"{tag}_number": dice.choice((0, -0.0, 1, 2.5, 1e22, 1e-7, -123456789012, 0.1 + 0.2)),
                f"{tag}_boolean": dice.random() < 0.5,
                f"{tag}_date": "2026-02-28",
                f"{tag}_datetime": "2026-02-28T10:00:00.123Z",
                f"{tag}_phone": "+49 30 1234567",
                f"{tag}_choice_false": "red",
                f"{tag}_choice_true": dice.sample(("red", "green", "blue;ish"), dice.randrange(1, 4)),
            }
        values["k_json"] = dice.choice(({"a": [1, None, "x\\ty"]}, [1, "2"], "text\n", 7, True))
        return {name: value for name, value in values.items() if dice.random() < 0.7}

    return [one(n) for n in range(count)]


async def rows(it: Crm, table: str) -> list[dict[str, Any]]:
    """All rows of a table of an account, with the account left out."""
    sql = f"SELECT t.* FROM {table} AS t WHERE t.account_id = $1 ORDER BY {TABLES[table]}"
    async with it.db.read(it.account) as reader:
        found = [dict(row) for row in await reader.fetch(sql)]
    return [{name: value for name, value in row.items() if name != "account_id"} for row in found]


async def told(it: Crm) -> tuple[Any, Any]:
    """What evaluators and watchers are told, whatever rows it comes in."""
    async with it.db.transaction(it.account, now=it.now, actor=it.actor) as tx:
        queue = await changes.claim(tx, 10_000)
    async with it.db.read(it.account) as reader:
        log = await changes.read(reader, 0, 10_000)
    assert all(change.kind is ChangeKind.CREATED for change in queue)
    return sorted((change.record_id, change.properties, change.after, change.source) for change in queue), [
        (event.seq, event.kind, event.record_id, event.payload, event.source, event.user_id) for event in log
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("watched", [False, True])
async def test_copied_rows_are_those_that_statements_write(
    db: Database, seed: int, watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for many in (1, 10_000):
        it = await prepared(db, f"{many}")
        if watched:
            await watching(it, "s_string", "k_number")
        monkeypatch.setattr(keeping, "MANY", many)
        outcomes = await it.create(*given(seed, 120))
        assert any(one.problem is not None for one in outcomes)
        assert sum(one.problem is None for one in outcomes) > 80
        queue, log = await told(it)
        found.append(
            (
                [None if one.value is None else (one.value.id, one.value.properties) for one in outcomes],
                {name: await rows(it, name) for name in TABLES},
                queue,
                log,
            )
        )
    for one, other in zip(found[0], found[1], strict=True):
        assert one == other
