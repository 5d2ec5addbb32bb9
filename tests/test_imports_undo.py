"""An import taken back: what it made goes, what it changed returns, and what people have done since stays."""

from datetime import datetime
from typing import Any

import pytest

from engine import associations, imports, records
from engine.associations import Pair
from engine.batches import Mode
from engine.imports import undoing
from engine.imports.problems import ImportNotReady
from engine.imports.runner import LEASE
from storage.database import Database
from tests.test_imports_run import PEOPLE, USER, Rig, make_labels, people, rig

__all__ = ["rig"]


async def ran(rig: Rig, content: bytes, plan: dict[str, Any] | None = None) -> int:
    number = await rig.uploaded(content, plan)
    await rig.do(imports.start, number)
    await rig.work(rig.runner())
    assert (await rig.row(number)).status == "DONE"
    return number


async def undone(rig: Rig, number: int) -> dict[str, Any]:
    await rig.do(imports.undo, number)
    await rig.work(rig.runner())
    row = await rig.row(number)
    assert row.status == "UNDONE"
    return row.undone or {}


async def ids(rig: Rig) -> dict[str, int]:
    async with rig.db.read(rig.account) as reader:
        rows = await reader.fetch("SELECT r.id, r.properties FROM record AS r WHERE r.account_id = $1")
    return {row["properties"]["email"][:2]: row["id"] for row in rows if "email" in row["properties"]}


async def test_new_records_go_and_changed_values_return(rig: Rig) -> None:
    await ran(rig, people(3, "Köln"))
    number = await ran(rig, people(5, "Bonn"))
    assert set((await rig.cities()).values()) == {"Bonn"}
    told = await undone(rig, number)
    assert {name: told.get(name) for name in ("archived", "restored", "kept")} == {
        "archived": 2,
        "restored": 3,
        "kept": None,
    }
    assert await rig.cities() == {f"p{n}@x.example": "Köln" for n in range(3)}
    assert await rig.count("import_record") == 3, "of the first import alone"
    with pytest.raises(ImportNotReady):
        await rig.do(imports.undo, number)


async def test_what_was_changed_since_stays_and_is_told(rig: Rig) -> None:
    await ran(rig, people(2, "Köln"))
    number = await ran(rig, people(4, "Bonn"))
    known = await ids(rig)
    async with rig.db.transaction(rig.account, now=rig.clock(), actor=USER) as tx:
        # One that was there, one that is new.
        await records.update(
            tx, [(known["p0"], {"city": "Rome"}), (known["p3"], {"city": "Rome"})], Mode.ATOMIC
        )
    told = await undone(rig, number)
    assert (told["archived"], told["restored"], told["kept"]) == (1, 1, 2)
    assert sorted(told["records"]) == sorted([known["p0"], known["p3"]])
    assert await rig.cities() == {
        "p0@x.example": "Rome",
        "p1@x.example": "Köln",
        "p3@x.example": "Rome",
    }


async def test_a_value_that_was_not_there_is_cleared_again(rig: Rig) -> None:
    await ran(rig, b"Email,First name\na@x.example,Ann\n")
    number = await ran(rig, b"Email,First name,City\na@x.example,Anna,Bonn\n", PEOPLE)
    await undone(rig, number)
    async with rig.db.read(rig.account) as reader:
        held = await reader.fetchval("SELECT r.properties FROM record AS r WHERE r.account_id = $1")
    assert held == {"email": "a@x.example", "firstname": "Ann"}


RELATIONS = {
    "associations": [
        {
            "from": {"objectType": "contacts", "property": "email", "column": "from"},
            "to": {"objectType": "contacts", "property": "email", "column": "to"},
            "labelsColumn": "labels",
        }
    ]
}


async def test_associations_and_labels_go_and_those_of_others_stay(rig: Rig) -> None:
    await make_labels(rig)
    await ran(rig, people(4))
    known = await ids(rig)
    async with rig.db.transaction(rig.account, now=rig.clock(), actor=USER) as tx:
        await associations.associate(tx, [Pair(known["p0"], known["p1"])], Mode.ATOMIC)
    number = await ran(
        rig,
        b"from,to,labels\n"
        b"p0@x.example,p1@x.example,Manager\n"
        b"p1@x.example,p2@x.example,Manager\n"
        b"p2@x.example,p3@x.example,\n",
        RELATIONS,
    )
    async with rig.db.transaction(rig.account, now=rig.clock(), actor=USER) as tx:
        # Labelled by hand since: the association carries that label.
        await associations.associate(tx, [Pair(known["p2"], known["p3"], ("manager",))], Mode.ATOMIC)
    told = await undone(rig, number)
    assert {name: told.get(name) for name in ("associations", "labels", "kept")} == {
        "associations": 1,
        "labels": 1,
        "kept": 1,
    }
    async with rig.db.read(rig.account) as reader:
        rows = await reader.fetch(
            """SELECT a.from_id, a.to_id, t.name FROM association AS a
                 JOIN association_type AS t ON t.account_id = $1 AND t.id = a.type_id
                WHERE a.account_id = $1"""
        )
    pairs = {(known["p0"], known["p1"]): {None}, (known["p2"], known["p3"]): {None, "manager"}}
    assert {(a, b): {n for x, y, n in map(tuple, rows) if (x, y) == (a, b)} for a, b in pairs} == pairs
    assert len(rows) == 2 + 4


async def test_an_undo_that_is_killed_goes_on(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undoing, "PAGE", 2)
    await ran(rig, people(3, "Köln"))
    number = await ran(rig, people(7, "Bonn"))
    await rig.do(imports.undo, number)
    late: datetime = rig.clock()
    steps = 0
    while (await rig.row(number)).status != "UNDONE":
        # Each step is another worker's, whose predecessor never gave the import back.
        late += LEASE * 2
        assert await rig.runner(f"worker {steps}").run_once(rig.db, rig.account, late)
        steps += 1
    assert steps >= 4
    assert await rig.cities() == {f"p{n}@x.example": "Köln" for n in range(3)}
    told = (await rig.row(number)).undone or {}
    assert (told["archived"], told["restored"]) == (4, 3)


async def test_a_cancelled_import_can_be_taken_back(rig: Rig) -> None:
    number = await rig.uploaded(people(12))
    await rig.do(imports.start, number)
    runner = rig.runner()
    await runner.run_once(rig.db, rig.account, rig.clock())
    await rig.do(imports.cancel, number)
    assert len(await rig.cities()) == 3
    assert (await undone(rig, number))["archived"] == 3
    assert await rig.cities() == {}


async def test_history_says_who_put_it_back(db: Database, rig: Rig) -> None:
    await ran(rig, people(1, "Köln"))
    number = await ran(rig, people(1, "Bonn"))
    await undone(rig, number)
    async with db.read(rig.account) as reader:
        rows = await reader.fetch(
            """SELECT h.changed, h.source, h.source_id FROM property_history AS h
                WHERE h.account_id = $1 ORDER BY h.version"""
        )
    assert [(row["changed"].get("city"), row["source"]) for row in rows] == [
        ("Köln", "IMPORT"),
        ("Bonn", "IMPORT"),
        ("Köln", "IMPORT"),
    ]
    assert rows[-1]["source_id"] == str(number)
