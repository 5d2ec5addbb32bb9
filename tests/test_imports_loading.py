"""The short way of new records: row for row what the commands write, and given up where anything is not simple."""

import itertools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine import accounts, imports, properties
from engine.imports import writing
from engine.imports.cutting import Size
from storage import changes, unique_values
from storage.database import Actor, Database
from tests.test_imports import everything, written

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADER = "email,lastname,city,score,interests,born,active,note,code\n"
ROWS = [
    "ann@x.example,Ann,Köln,7,pricing;product,2026-01-31,yes,plain,A",
    'bob@x.example,"B\\ob\t""x""","two\nlines",7.50,,,no,"{""json"": 1}",B',
    "CEM@x.example,,,-3,product,,,\\N,C",
    "dan@x.example,Dan,\u00a0,1e3,,2026-02-30,,,D",
    "ann@x.example,Again,Bonn,,,,,,E",
    "eve@x.example,Eve,Köln,many,,,,,F",
    "eve@x.example,Eve,Köln,5,,,,,F",
    "fay@x.example,Fay,Köln,5,,,,,A",
    "gus@x.example,\U0001f600 \\. end,Rome,0,product;sports,,,,G",
    ",Nobody,Rome,0,,,,,",
    "short,row",
    "hal@x.example," + "long " * 100 + ",Rome,0.1,,,,,H",
    "ian@x.example,Ian,,,,,,,H",
]


def clock() -> Callable[[], datetime]:
    minutes = itertools.count()
    return lambda: T0 + timedelta(minutes=next(minutes))


async def account(db: Database, name: str) -> int:
    made = await accounts.create(db, name, now=T0)
    async with db.transaction(made, now=T0, actor=Actor("API"), defining=True) as tx:
        for column, type_, unique, searchable in (
            ("born", "DATE", False, True),
            ("active", "BOOLEAN", False, False),
            ("note", "STRING", False, False),
            ("code", "STRING", True, False),
        ):
            await properties.create(
                tx, "contacts", name=column, label=f"The {column}", type=type_, unique=unique,
                searchable=searchable,
            )  # fmt: skip
    return made


async def brought_in(db: Database, made: int, path: Path, size: int) -> Any:
    report = await imports.records(
        db, made, path, object_type="contacts", key="email", clock=clock(), size=Size(batch=size)
    )
    return (report.read, report.created, report.updated, report.unchanged, report.failed), [
        (error.row, error.column, error.code, re.sub(r"rec_\d+", "rec", error.message))
        for error in report.errors
    ]


def shape(found: dict[str, list[Any]]) -> dict[str, Any]:
    """All rows without what two accounts never share: their numbers, and those of records."""
    records = {row["id"]: row["properties"].get("email") for row in found["record"]}
    told: dict[str, Any] = {}
    for table, rows in found.items():
        skipped = {"account_id", "id", "seq", "version"} if table == "change_queue" else {"account_id", "id"}
        told[table] = sorted(
            repr(
                {
                    name: records.get(value, "?") if name == "record_id" else value
                    for name, value in row.items()
                    if name not in skipped | {"seq", "record_ids", "property_id", "object_type_id", "type_id"}
                    and name != "source_id"
                }
            )
            for row in rows
        )
    return told


@pytest.mark.parametrize("size", [2, 5, 100])
async def test_the_short_way_writes_what_the_commands_write(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path = written(tmp_path, HEADER + "\n".join(ROWS) + "\n")
    one, other = await account(db, "short"), await account(db, "long")
    short = await brought_in(db, one, path, size)
    with monkeypatch.context() as patched:
        patched.setattr(writing, "loader", lambda *_: None)
        long = await brought_in(db, other, path, size)
    assert short == long
    assert short[0][1] >= 4
    found = [await everything(db, made) for made in (one, other)]
    shapes = [shape(each) for each in found]
    for table in shapes[0]:
        if table != "change_queue":
            assert shapes[0][table] == shapes[1][table], table
    # Those that are alike share rows; what they tell is the same.
    queued = []
    for made, each in zip((one, other), found, strict=True):
        emails = {row["id"]: row["properties"].get("email") for row in each["record"]}
        async with db.transaction(made, now=T0, actor=Actor("API")) as tx:
            queued.append(
                sorted(
                    (emails[change.record_id], change.kind, sorted(change.properties), change.before)
                    for change in await changes.claim(tx, 1_000)
                )
            )
    assert queued[0] == queued[1]
    assert len(queued[0]) == short[0][1]


async def test_most_rows_go_the_short_way(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await account(db, "short")
    left: list[int] = []
    real = writing.Writer._load

    async def load(writer: Any, tx: Any, rows: Any, tally: Any) -> Any:
        rest = await real(writer, tx, rows, tally)
        left.append(len(rest))
        return rest

    monkeypatch.setattr(writing.Writer, "_load", load)
    path = written(tmp_path, HEADER + "\n".join(f"p{n}@x.example,P,Köln,{n},,,,,{n}" for n in range(50)))
    await brought_in(db, made, path, 20)
    assert left == [0, 0, 0]
    await brought_in(db, made, path, 20)
    # The same again: nothing changes, and nothing is left to the commands.
    assert left == [0] * 6
    path = written(tmp_path, path.read_text().replace("p7@x.example,P,", "p7@x.example,Q,"))
    await brought_in(db, made, path, 20)
    assert sorted(left) == [0] * 8 + [1]


async def test_who_takes_a_key_meanwhile_keeps_it(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the COPY somebody else makes the record: the batch is done again, by the commands."""
    from engine import records
    from engine.batches import Mode

    made = await account(db, "raced")
    real, raced = unique_values.find, False

    async def find(*arguments: Any) -> Any:
        nonlocal raced
        found = await real(*arguments)
        if not raced:
            raced = True
            async with db.transaction(made, now=T0, actor=Actor("API")) as tx:
                given = [{"email": "p1@x.example", "city": "Rome"}]
                await records.create(tx, tx.catalogue.by_name["contacts"], given, Mode.ATOMIC)
        return found

    monkeypatch.setattr(unique_values, "find", find)
    path = written(tmp_path, "email,city\n" + "".join(f"p{n}@x.example,Köln\n" for n in range(3)))
    figures, errors = await brought_in(db, made, path, 10)
    assert (figures, errors) == ((3, 2, 1, 0, 0), [])
    found = await everything(db, made)
    assert sorted(row["properties"]["city"] for row in found["record"]) == ["Köln"] * 3
    assert len(found["unique_value"]) == 3
