"""Imports: what is right in a file is in, what is wrong is told by row, column, value and code, and twice is once."""

import asyncio
import gzip
import itertools
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from engine import accounts, imports, labels, properties
from engine.ids import encode
from engine.imports import Progress, Report, csv_files
from engine.imports.cutting import Size
from engine.imports.definitions import Guess, guessed, internal, singular
from engine.imports.labels import Labels, split_labels
from engine.imports.problems import ColumnMissing, ColumnTwice, FileUnreadable, HeaderMissing, KeyNotUnique
from engine.naming import MalformedName
from engine.problems import NotFound, Problem, Refused
from engine.records.problems import ObjectTypeInactive
from storage import change_rows
from storage import imports as stored
from storage.database import Actor, Database

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)

Import: TypeAlias = Callable[..., Awaitable[Report]]


@pytest.fixture
async def account(db: Database) -> int:
    return await accounts.create(db, "demo", now=T0)


@pytest.fixture
def clock() -> Callable[[], datetime]:
    minutes = itertools.count()
    return lambda: T0 + timedelta(minutes=next(minutes))


@pytest.fixture
def people(db: Database, account: int, tmp_path: Path, clock: Callable[[], datetime]) -> Import:
    """Import contacts from text or bytes, by e-mail address."""

    async def importing(content: str | bytes, **words: Any) -> Report:
        path = written(tmp_path, content)
        options: dict[str, Any] = {"object_type": "contacts", "key": "email", "clock": clock} | words
        return await imports.records(db, account, path, **options)

    return importing


@pytest.fixture
def relations(db: Database, account: int, tmp_path: Path, clock: Callable[[], datetime]) -> Import:
    """Import relations between contacts from text, by e-mail address."""

    async def importing(content: str, **words: Any) -> Report:
        path = written(tmp_path, content)
        ends = {"from_type": "contacts", "from_key": "email", "to_type": "contacts", "to_key": "email"}
        return await imports.associations(db, account, path, clock=clock, **(ends | words))

    return importing


def written(directory: Path, content: str | bytes) -> Path:
    path = directory / "file.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def told(report: Report) -> list[tuple[int, str | None, str | None, str]]:
    return [(error.row, error.column, error.value, error.code) for error in report.errors]


async def contacts(db: Database, account: int) -> dict[str, dict[str, Any]]:
    async with db.read(account) as reader:
        rows = await reader.fetch("SELECT r.properties FROM record AS r WHERE r.account_id = $1")
    return {row["properties"]["email"]: row["properties"] for row in rows}


async def everything(db: Database, account: int) -> dict[str, list[Any]]:
    """All rows that an import could change. What the log tells of imports themselves is none of them."""
    found = {}
    async with db.read(account) as reader:
        for table in ("record", "unique_value", "property_value", "property_history", "association",
                      "association_count", "association_history", "change_queue", "event_log"):  # fmt: skip
            found[table] = await reader.fetch(
                f"SELECT t.* FROM {table} AS t WHERE t.account_id = $1 ORDER BY t"
            )
    # How events share rows is nobody's business.
    told = (event for row in found["event_log"] for event in change_rows.events(row))
    found["event_log"] = [asdict(event) for event in told if not event.kind.startswith("IMPORT_")]
    return found


GOOD = (
    "email,firstname,city,score,interests\n"
    'ann@x.example,Ann,"Köln, am Rhein",7,pricing;product\n'
    "bob@x.example,Bob,,,\n"
)


async def test_rows_become_records_and_the_same_file_again_changes_nothing(
    db: Database, account: int, people: Import
) -> None:
    report = await people(GOOD)
    assert (report.read, report.created, report.failed) == (2, 2, 0)
    assert await contacts(db, account) == {
        "ann@x.example": {
            "email": "ann@x.example",
            "firstname": "Ann",
            "city": "Köln, am Rhein",
            "score": 7,
            "interests": ["product", "pricing"],
        },
        "bob@x.example": {"email": "bob@x.example", "firstname": "Bob"},
    }
    before = await everything(db, account)
    again = await people(GOOD)
    assert (again.read, again.unchanged, again.created, again.updated) == (2, 2, 0, 0)
    assert await everything(db, account) == before


async def test_a_changed_row_updates_and_an_empty_cell_leaves_what_is_there(
    db: Database, account: int, people: Import
) -> None:
    await people(GOOD)
    report = await people("Email,First name,city,score\nANN@x.example,Anna,,\nbob@x.example,Bob,,\n")
    assert (report.updated, report.unchanged, report.failed) == (1, 1, 0)
    # Addresses are the same whatever their case.
    ann = (await contacts(db, account))["ANN@x.example"]
    assert (ann["firstname"], ann["city"], ann["score"]) == ("Anna", "Köln, am Rhein", 7)


async def test_history_and_events_name_the_import(db: Database, account: int, people: Import) -> None:
    report = await people(GOOD)
    async with db.read(account) as reader:
        rows = await reader.fetch(
            "SELECT h.source, h.source_id FROM property_history AS h WHERE h.account_id = $1"
        )
        found = await stored.read(reader, report.import_id)
    assert {tuple(row) for row in rows} == {("IMPORT", str(report.import_id))}
    assert found is not None
    assert (found.status, found.kind, found.rows_read, found.rows_created) == ("DONE", "RECORDS", 2, 2)
    assert found.mapping["parts"][0]["objectType"] == "contacts"


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace("\n", "\r").encode(),
        gzip.compress(GOOD.encode()),
        GOOD.rstrip("\n").encode(),
        GOOD.replace("\n", "\n\n").encode(),
    ],
    ids=["byte order mark", "windows lines", "old mac lines", "gzip", "no last line end", "empty lines"],
)
async def test_the_same_table_in_other_clothes(
    db: Database, account: int, people: Import, content: bytes
) -> None:
    report = await people(content)
    assert (report.created, report.failed) == (2, 0)
    assert (await contacts(db, account))["ann@x.example"]["city"] == "Köln, am Rhein"


async def test_semicolons_as_spreadsheets_of_some_languages_write_them(
    db: Database, account: int, people: Import
) -> None:
    report = await people('email;firstname;interests\nann@x.example;Ann;"pricing;product"\n')
    assert report.created == 1
    assert (await contacts(db, account))["ann@x.example"]["interests"] == ["product", "pricing"]


BAD = b"".join(
    [
        b"email,firstname,score,interests,lifecyclestage\n",
        "good1@x.example,Öne Ünique,1,,lead\n".encode(),
        b"ragged@x.example,Two\n",
        b"toolong@x.example,Three,3,,lead,more\n",
        b",Four,4,,\n",
        b"number@x.example,Five,many,,\n",
        b"choice@x.example,Six,6,product;sports,famous\n",
        b"latin@x.example,J\xfcrgen,7,,\n",  # one row in another encoding among many
        b"good1@x.example,One again,8,,\n",
        b"email,firstname,score,interests,lifecyclestage\n",
        b'quote@x.example,"Ten"s,10,,\n',
        b"nul@x.example,El\x00even,11,,\n",
        b"good2@x.example,Twelve,12,,\n",
    ]
)


async def test_every_wrong_row_is_told_and_every_good_one_is_in(
    db: Database, account: int, people: Import
) -> None:
    report = await people(BAD)
    assert told(report) == [
        (2, None, None, "RAGGED_ROW"),
        (3, None, None, "RAGGED_ROW"),
        (4, "email", "", "KEY_MISSING"),
        (5, "score", "many", "INVALID_VALUE"),
        (6, "interests", "product;sports", "INVALID_VALUE"),
        (6, "lifecyclestage", "famous", "INVALID_VALUE"),
        (7, "firstname", "J?rgen", "ROW_NOT_UTF8"),
        (8, "email", "good1@x.example", "DUPLICATE_IN_FILE"),
        (9, None, None, "HEADER_REPEATED"),
        (10, None, None, "ROW_MALFORMED"),
        (11, "firstname", "El\ufffdeven", "INVALID_VALUE"),
    ]
    assert set(await contacts(db, account)) == {"good1@x.example", "good2@x.example"}
    assert (report.read, report.created, report.failed) == (12, 2, 10)
    duplicate = next(error for error in report.errors if error.code == "DUPLICATE_IN_FILE")
    assert "row 1" in duplicate.message
    async with db.read(account) as reader:
        kept = await stored.errors_after(reader, report.import_id, (0, 0), 100)
        rest = await stored.errors_after(reader, report.import_id, (6, 1), 2)
    assert [(error.row, error.column_name, error.value, error.code) for error in kept] == told(report)
    assert [(error.row, error.n) for error in rest] == [(6, 2), (7, 1)]


async def test_small_batches_find_what_large_ones_find(people: Import) -> None:
    seen: list[Progress] = []
    report = await people(BAD, progress=seen.append, size=Size(batch=1))
    assert (report.read, report.created, report.failed) == (12, 2, 10)
    # Several batches are under way at once.
    assert [progress.rows for progress in seen] == sorted(progress.rows for progress in seen)
    assert (len(seen), seen[-1].rows, seen[-1].failed) == (12, 12, 10)
    assert max(progress.share for progress in seen) == 1.0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", HeaderMissing),
        ("\n", HeaderMissing),
        ("email,firstname,email\na@x.example,A,a@x.example\n", ColumnTwice),
        ("firstname,city\nAnn,Köln\n", ColumnMissing),
        ("email,f\u00f6r,ön\n".encode() + b"x,f\xfcr,\n", Refused),
        (b"email,\xc3\xb6,\xc3\xb6n,f\xfcr\n", FileUnreadable),
        (gzip.compress(GOOD.encode())[:-12], FileUnreadable),
        (b"\x1f\x8bnot gzip at all", FileUnreadable),
        ("email,firstname\n" + "x" * (csv_files.LONGEST_LINE + 1), FileUnreadable),
        ('email,"firstname\n', FileUnreadable),
    ],
    ids=["empty", "blank", "column twice", "no key", "unknown columns", "header not UTF-8", "cut gzip", "no gzip",
         "endless line", "open quote"],
)  # fmt: skip
async def test_a_file_that_is_no_table_is_refused(
    db: Database, account: int, people: Import, content: str | bytes, problem: type[Exception]
) -> None:
    with pytest.raises(problem):
        await people(content)
    assert await contacts(db, account) == {}


async def test_columns_that_fill_nothing_are_all_told_and_nothing_is_imported(
    db: Database, account: int, people: Import
) -> None:
    with pytest.raises(Refused) as refused:
        await people("email,shoe size,firstname,shirt\nann@x.example,38,Ann,M\n")
    assert [(problem.code, problem.details["column"]) for problem in refused.value.problems] == [
        ("UNKNOWN_COLUMN", "shoe size"),
        ("UNKNOWN_COLUMN", "shirt"),
    ]
    assert await contacts(db, account) == {}


async def test_a_key_must_tell_records_apart(people: Import) -> None:
    with pytest.raises(KeyNotUnique):
        await people(GOOD, key="firstname")
    with pytest.raises(NotFound):
        await people(GOOD, object_type="ships")
    with pytest.raises(ObjectTypeInactive):
        await people(GOOD, object_type="leads")


async def test_a_file_that_is_not_there_is_told(db: Database, account: int, tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.csv", tmp_path):
        with pytest.raises(FileUnreadable):
            await imports.records(db, account, path, object_type="contacts", key="email", clock=lambda: T0)


async def test_a_file_may_be_called_what_is_no_text(db: Database, account: int, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"people \xff.csv")
    path.write_text("email\nann@x.example\n")
    report = await imports.records(db, account, path, object_type="contacts", key="email", clock=lambda: T0)
    async with db.read(account) as reader:
        assert (report.created, (await imports.get(reader, report.import_id)).name) == (1, "people ?.csv")


async def test_a_file_that_breaks_off_keeps_what_came_before_and_says_so(
    db: Database, account: int, people: Import
) -> None:
    rows = "".join(
        f"p{n}@x.example,{chance}\n" for n, chance in enumerate(random.Random(1).sample(range(10**9), 20_000))
    )
    whole = gzip.compress(f"email,lastname\n{rows}".encode())
    with pytest.raises(FileUnreadable) as told:
        await people(whole[: len(whole) // 40], size=Size(batch=10))
    held = len(await contacts(db, account))
    assert held >= 10
    assert f"the {held} rows before that have been imported" in told.value.message
    async with db.read(account) as reader:
        statuses = await reader.fetch("SELECT i.status FROM import AS i WHERE i.account_id = $1")
    assert [row["status"] for row in statuses] == ["FAILED"]


async def test_columns_called_otherwise_are_mapped(db: Database, account: int, people: Import) -> None:
    report = await people(
        "E-Mail-Adresse,Vorname\nann@x.example,Ann\n",
        key="E-Mail-Adresse",
        columns={"E-Mail-Adresse": "email", "Vorname": "firstname"},
    )
    assert report.created == 1
    assert (await contacts(db, account))["ann@x.example"]["firstname"] == "Ann"


async def test_an_object_type_is_made_from_what_a_file_shows(
    db: Database, account: int, people: Import
) -> None:
    content = "Package Name,Größe (KiB),section,code\n" + "".join(
        f"p{n},{n * 1.5},{'games' if n % 2 else 'libs'},{n:03}\n" for n in range(20)
    )
    report = await people(content, object_type="packages", key="Package Name", create=True)
    assert (report.created, report.failed) == (20, 0)
    made = (await db.catalogue(account)).by_name["packages"]
    assert (made.singular, made.plural, made.category) == ("Package", "Packages", "CUSTOM")
    assert made.display == (("package_name",),)
    found = {name: (prop.type, prop.is_unique, prop.searchable) for name, prop in made.properties.items()}
    assert found == {
        "package_name": ("STRING", True, True),
        "grosse_kib": ("NUMBER", False, True),
        "section": ("STRING", False, True),
        "code": ("STRING", False, False),
    }
    again = await people(content, object_type="packages", key="Package Name", create=True)
    assert (again.unchanged, again.failed) == (20, 0)


async def test_a_file_that_cannot_be_imported_leaves_no_definitions(
    db: Database, account: int, people: Import
) -> None:
    for content, key, problem in (
        ("name,size\na,1\n", "nothing", ColumnMissing),
        ("name,東京\na,1\n", "name", MalformedName),
    ):
        with pytest.raises(problem):
            await people(content, object_type="packages", key=key, create=True)
    assert "packages" not in (await db.catalogue(account)).by_name


def test_what_columns_seem_to_hold() -> None:
    assert guessed(["1", "-2.5", "", "0"]) == Guess("NUMBER", "NUMBER", True)
    assert guessed(["007", "008"]).type == "STRING"
    assert guessed(["1e5"]).type == "STRING"
    assert guessed(["", " "]) == Guess("STRING", "SINGLE_LINE_TEXT", False)
    assert guessed(["a", "b", "a", "b"]).searchable
    assert not guessed(["a", "b", "c"]).searchable
    assert guessed(["a\nb"]).field == "MULTI_LINE_TEXT"
    assert guessed(["٣"]).type == "STRING", "other digits are text"


def test_names_made_from_what_people_write() -> None:
    assert internal("Größe (KiB)") == "grosse_kib"
    assert internal("2nd address") == "nd_address"
    with pytest.raises(MalformedName):
        internal("東京")
    assert [singular(word) for word in ("Packages", "Companies", "Classes", "Fish")] == [
        "Package",
        "Company",
        "Class",
        "Fish",
    ]


# --- relations ----------------------------------------------------------------------------------------------


@pytest.fixture
async def team(db: Database, account: int, people: Import) -> int:
    """Ann, Bob and Cem, and labels with awkward texts."""
    await people("email\nann@x.example\nbob@x.example\ncem@x.example\n")
    async with db.transaction(account, now=T0, actor=Actor("API"), defining=True) as tx:
        await labels.create(tx, "contacts", "contacts", label="Manager", inverse_label="Employee")
        await labels.create(tx, "contacts", "contacts", label="Mentor; coach", name="mentor")
        await labels.create(tx, "contacts", "contacts", label="Buddy", name="buddy_1")
        await labels.create(tx, "contacts", "contacts", label="buddy", name="buddy_2")
        await labels.create(tx, "contacts", "contacts", label="Best friend", max_count=1)
    return account


async def edges(db: Database, account: int) -> set[tuple[str, str, str | None]]:
    async with db.read(account) as reader:
        rows = await reader.fetch(
            """
            SELECT f.properties ->> 'email', o.properties ->> 'email', t.name
              FROM association AS a
              JOIN record AS f ON f.account_id = $1 AND f.id = a.from_id
              JOIN record AS o ON o.account_id = $1 AND o.id = a.to_id
              JOIN association_type AS t ON t.account_id = $1 AND t.id = a.type_id
             WHERE a.account_id = $1
            """
        )
    return {(row[0][:3], row[1][:3], row[2]) for row in rows}


async def test_relations_carry_labels_by_text_or_name_and_both_directions(
    db: Database, team: int, relations: Import
) -> None:
    content = (
        "from,to,labels\n"
        "ann@x.example,bob@x.example,manager\n"
        "ann@x.example,cem@x.example,MANAGER; Mentor\\; coach ;\n"
        "bob@x.example,cem@x.example,\n"
    )
    report = await relations(content)
    assert (report.read, report.created, report.failed) == (3, 3, 0)
    assert await edges(db, team) == {
        ("ann", "bob", None),
        ("bob", "ann", None),
        ("ann", "bob", "manager"),
        ("bob", "ann", "employee"),
        ("ann", "cem", None),
        ("cem", "ann", None),
        ("ann", "cem", "manager"),
        ("cem", "ann", "employee"),
        ("ann", "cem", "mentor"),
        ("cem", "ann", "mentor"),
        ("bob", "cem", None),
        ("cem", "bob", None),
    }
    before = await everything(db, team)
    again = await relations(content)
    assert (again.unchanged, again.created, again.updated) == (3, 0, 0)
    assert await everything(db, team) == before
    more = await relations("from,to,labels\nbob@x.example,cem@x.example,Mentor\\; coach\n")
    assert (more.updated, more.created) == (1, 0)


async def test_rows_that_name_several_primaries_of_one_record_write_nothing_when_they_are_read_again(
    db: Database, account: int, people: Import, tmp_path: Path, clock: Callable[[], datetime]
) -> None:
    """The last one counts. Of those in one batch, only what they come to together is written."""
    await people("email\nann@x.example\n")
    async with db.transaction(account, now=T0, actor=Actor("API"), defining=True) as tx:
        await properties.create(tx, "companies", name="number", label="No", type="STRING", unique=True)
    firms = written(tmp_path, "number\nA\nB\nC\n")
    await imports.records(db, account, firms, object_type="companies", key="number", clock=clock)
    path = written(
        tmp_path, "who,firm,labels\n" + "".join(f"ann@x.example,{firm},primary\n" for firm in "ABCB")
    )

    async def read() -> Report:
        ends = {"from_type": "contacts", "from_key": "email", "to_type": "companies", "to_key": "number"}
        return await imports.associations(db, account, path, clock=clock, **ends)  # type: ignore[arg-type]

    first = await read()
    assert (first.created, first.updated, first.failed) == (3, 1, 0)
    before = await everything(db, account)
    again = await read()
    # Each row moved it, for the one before it had: that does not depend on what else is in its batch.
    assert (again.created, again.updated, again.unchanged) == (0, 4, 0)
    assert await everything(db, account) == before


async def test_every_wrong_relation_is_told_and_every_good_one_is_in(
    db: Database, team: int, relations: Import
) -> None:
    report = await relations(
        "from,to,labels\n"
        "ann@x.example,nobody@x.example,manager\n"
        ",nobody@x.example,boss\n"
        "ann@x.example,bob@x.example,manager;boss\n"
        "ann@x.example,bob@x.example,Buddy\n"
        "ann@x.example,ann@x.example,manager\n"
        "ann@x.example,bob@x.example,best_friend\n"
        "ann@x.example,cem@x.example,best_friend\n"
        "ann@x.example\n"
        "ann@x.example,bob@x.example,Mentor; coach\n"
        "bob@x.example,cem@x.example,buddy_2\n"
    )
    assert told(report) == [
        (1, "to", "nobody@x.example", "UNKNOWN_KEY"),
        (2, "from", "", "KEY_MISSING"),
        (2, "to", "nobody@x.example", "UNKNOWN_KEY"),
        (2, "labels", "boss", "UNKNOWN_LABEL"),
        (3, "labels", "manager;boss", "UNKNOWN_LABEL"),
        (4, "labels", "Buddy", "AMBIGUOUS_LABEL"),
        (5, "to", "ann@x.example", "SELF_ASSOCIATION"),
        (7, "labels", "best_friend", "LABEL_LIMIT_REACHED"),
        (8, None, None, "RAGGED_ROW"),
        (9, "labels", "Mentor; coach", "UNKNOWN_LABEL"),
    ]
    assert (report.read, report.created, report.failed) == (10, 2, 8)
    assert {edge for edge in await edges(db, team) if edge[2] is not None} == {
        ("ann", "bob", "best_friend"),
        ("bob", "ann", "best_friend"),
        ("bob", "cem", "buddy_2"),
        ("cem", "bob", "buddy_2"),
    }


async def test_relations_may_stand_in_other_columns_and_make_their_labels(
    db: Database, team: int, relations: Import
) -> None:
    report = await relations(
        "note,boss,worker,how\nx,ann@x.example,bob@x.example,Leads\\;guides\n",
        from_column="worker",
        to_column="boss",
        labels_column="how",
        create_labels=[("Leads;guides", "Is led"), ("Manager", "Employee")],
    )
    assert (report.created, report.failed) == (1, 0)
    named = {edge for edge in await edges(db, team) if edge[2] is not None}
    assert {(edge[0], edge[1]) for edge in named} == {("ann", "bob"), ("bob", "ann")}
    with pytest.raises(ColumnMissing):
        await relations("from\nann@x.example\n")
    with pytest.raises(ColumnMissing):
        await relations("from,to\n", labels_column="labels")
    with pytest.raises(KeyNotUnique):
        await relations("from,to\n", to_key="city")
    with pytest.raises(NotFound):
        await relations("from,to\n", to_key="nothing")


async def test_records_may_be_named_by_their_ids(db: Database, team: int, relations: Import) -> None:
    async with db.read(team) as reader:
        rows = await reader.fetch("SELECT r.id, r.properties FROM record AS r WHERE r.account_id = $1")
    ids = {row["properties"]["email"][:3]: encode("record", row["id"]) for row in rows}
    report = await relations(
        f"who,whom,labels\n{ids['ann']},bob@x.example,manager\nrec_999999,bob@x.example,\n"
        f"acc_1,bob@x.example,\n,bob@x.example,\n",
        from_key="id",
    )
    assert (report.created, report.failed) == (1, 3)
    assert told(report) == [
        (2, "who", "rec_999999", "UNKNOWN_KEY"),
        (3, "who", "acc_1", "UNKNOWN_KEY"),
        (4, "who", "", "KEY_MISSING"),
    ]
    assert ("ann", "bob", "manager") in await edges(db, team)
    other = await relations(f"c,d\n{ids['ann']},bob@x.example\n", from_type="companies", from_key="id")
    assert [error.code for error in other.errors] == ["UNKNOWN_KEY"]


async def test_imports_that_go_at_once_do_the_work_of_one(db: Database, account: int, tmp_path: Path) -> None:
    few: dict[str, Any] = {"clock": lambda: T0, "size": Size(batch=30)}
    keys = [f"p{n}@x.example" for n in range(200)]
    # A star and a ring, so that all batches meet at one record and each at many others.
    pairs = [(keys[0], key) for key in keys[1:]] + list(itertools.pairwise(keys[1:]))
    chance = random.Random(3)
    files_of: dict[str, list[Path]] = {"people": [], "pairs": []}
    for n in range(3):
        people, related = chance.sample(keys, len(keys)), chance.sample(pairs, len(pairs))
        for kind, lines in (
            ("people", ["email,lastname", *(f"{key},{key}" for key in people)]),
            ("pairs", ["from,to", *(",".join(pair) for pair in related)]),
        ):
            path = tmp_path / f"{kind}{n}.csv"
            path.write_text("\n".join(lines))
            files_of[kind].append(path)
    reports = await asyncio.gather(
        *(
            imports.records(db, account, path, object_type="contacts", key="email", **few)
            for path in files_of["people"]
        )
    )
    assert [report.failed for report in reports] == [0, 0, 0]
    assert sum(report.created for report in reports) == len(keys) == len(await contacts(db, account))
    ends: dict[str, Any] = {
        "from_type": "contacts",
        "from_key": "email",
        "to_type": "contacts",
        "to_key": "email",
    }
    reports = await asyncio.gather(
        *(
            imports.associations(db, account, path, create_labels=[("Knows", "Is known")], **ends, **few)
            for path in files_of["pairs"]
        )
    )
    assert [report.failed for report in reports] == [0, 0, 0]
    assert sum(report.created for report in reports) == len(pairs)
    async with db.read(account) as reader:
        (hub, *_), total = (
            await reader.fetch(
                "SELECT c.n FROM association_count AS c WHERE c.account_id = $1 ORDER BY c.n DESC"
            ),
            await reader.fetchval("SELECT count(*) FROM association AS a WHERE a.account_id = $1"),
        )
    assert (hub["n"], total) == (len(keys) - 1, 2 * len(pairs))


async def test_a_label_that_is_read_from_the_wrong_end_is_told_with_what_it_is_called_there(
    db: Database, team: int
) -> None:
    async with db.transaction(team, now=T0, actor=Actor("API"), defining=True) as tx:
        await labels.create(
            tx, "contacts", "companies", label="Former employer", inverse_label="Former employee"
        )
    catalogue = await db.catalogue(team)
    known = Labels(catalogue, "contacts", "companies")
    told = known.of("Former Employee")
    assert isinstance(told, Problem)
    assert (told.code, told.details["inverse"]) == ("LABEL_OTHER_DIRECTION", "Former employer")
    assert known.of("former employer") == ("former_employer",)
    # Between records of one type both directions are there to be read.
    same = Labels(catalogue, "contacts", "contacts")
    assert same.of("manager;employee") == ("manager", "employee")


def test_labels_in_a_cell() -> None:
    cells: Iterator[tuple[str, list[str]]] = iter(
        [
            ("", []),
            (" ; ;", []),
            ("a", ["a"]),
            ("a; b ;c;", ["a", "b", "c"]),
            (r"a\;b;c", ["a;b", "c"]),
            (r"a\\;b", ["a\\", "b"]),
            (r"C:\temp", [r"C:\temp"]),
            ("a\\", ["a\\"]),
        ]
    )
    for cell, parts in cells:
        assert split_labels(cell) == parts, cell
