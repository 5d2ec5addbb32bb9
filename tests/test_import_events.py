"""Whoever watches an import is told how far it is: with every batch, and how it ended."""

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine import cursors, imports
from engine.ids import encode
from engine.imports.cutting import Size
from engine.imports.problems import FileUnreadable
from storage.database import Database
from tests.face import T0, opened
from tests.test_live import hear

WATCH = """subscription ($import: ID, $kinds: [ImportEventKind!], $after: String) {
  importEvents(import: $import, kinds: $kinds, after: $after) {
    cursor kind importId name rows created updated unchanged failed share total rate reason
} }"""


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


async def read_file(db: Database, account_id: int, path: Path) -> imports.Report:
    """Import contacts, two rows at a time; the clock goes on by a second each time that it is asked."""
    seconds = itertools.count()
    return await imports.records(
        db,
        account_id,
        path,
        object_type="contacts",
        key="email",
        clock=lambda: T0 + timedelta(seconds=next(seconds)),
        size=Size(batch=2),
    )


def figures(event: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(event[name] for name in ("kind", "rows", "created", "unchanged", "failed", "total"))


async def test_an_import_is_told_batch_by_batch_to_its_end(db: Database, tmp_path: Path) -> None:
    async with opened(db) as client:
        start = cursors.encode(client.account_id, 0)
        content = b"email,city\n" + b"".join(
            b"%s,Boston\n" % name for name in (b"a@x.org", b"b@x.org", b"c@x.org", b"", b"e@x.org")
        )
        file = written(tmp_path / "people.csv", content)
        first = await read_file(db, client.account_id, file)
        told = await hear(db, client, 5, WATCH, after=start)
        assert [figures(event) for event in (told[0], *told[-2:])] == [
            ("IMPORT_STARTED", 0, 0, 0, 0, None),
            ("IMPORT_PROGRESS", 5, first.created, 0, first.failed, None),
            ("IMPORT_FINISHED", 5, first.created, 0, first.failed, 5),
        ]
        # Batches of two are under way side by side, and told as they are in, whichever is first.
        rows = [event["rows"] for event in told[:-1]]
        assert sorted(after - before for before, after in itertools.pairwise(rows)) == [1, 2, 2]
        assert {event["kind"] for event in told[1:-1]} == {"IMPORT_PROGRESS"}
        assert {(event["importId"], event["name"]) for event in told} == {
            (encode("import", first.import_id), "people.csv")
        }
        assert (told[0]["share"], told[0]["rate"], told[-1]["share"]) == (0.0, None, 1.0)
        assert told[1]["rate"] > 0

        # The same file again: it goes on behind the cursor, and only what was asked for is told.
        second = await read_file(db, client.account_id, file)
        after = told[-1]["cursor"]
        (ended,) = await hear(db, client, 1, WATCH, after=after, kinds=["IMPORT_FINISHED"])
        assert figures(ended) == ("IMPORT_FINISHED", 5, 0, second.unchanged, second.failed, 5)
        of_second = {"import": encode("import", second.import_id), "after": start}
        (began,) = await hear(db, client, 1, WATCH, **of_second)
        assert (began["kind"], began["importId"]) == ("IMPORT_STARTED", of_second["import"])


async def test_an_import_that_breaks_off_says_why_and_how_much_is_in(db: Database, tmp_path: Path) -> None:
    async with opened(db) as client:
        content = b"email\n" + b"".join(b"%d@x.org\n" % n for n in range(4)) + b"x" * (2 << 20)
        with pytest.raises(FileUnreadable):
            await read_file(db, client.account_id, written(tmp_path / "torn.csv", content))
        start = cursors.encode(client.account_id, 0)
        (broken,) = await hear(db, client, 1, WATCH, after=start, kinds=["IMPORT_FAILED"])
        assert (broken["rows"], broken["created"], broken["total"]) == (4, 4, None)
        assert broken["reason"].endswith("the 4 rows before that have been imported")
