"""Records of a sync as a table, for spreadsheets: CSV or XLSX, piece by piece, whatever their number."""

import asyncio
import csv
import enum
import io
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from openpyxl import Workbook
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from engine import display, ids
from engine.sync import health
from engine.sync.health import NEWEST, Narrow
from storage import records
from storage.catalogue import Catalogue
from storage.database import Database
from storage.records import RecordRow
from storage.sync import health as stored
from storage.sync.health import NamedRow
from storage.sync.links import LinkRow

# Links that are read at a time.
PIECE = 1_000
# Rows of a sheet: Excel takes 1,048,576.
SHEET = 1_000_000
# Bytes that are sent at a time.
CHUNK = 65_536
# Characters of a cell: Excel takes 32,767.
LONGEST = 32_000

HEADER = (
    "Id",
    "Connection",
    "Object type",
    "Their object",
    "Record",
    "Name",
    "Their id",
    "Address",
    "Status",
    "Category",
    "Message",
    "Tip",
    "Failed side",
    "Deleted side",
    "Attempts",
    "Failed at",
    "Last sync",
)

Cell = str | int | None

# What spreadsheets would take for a formula, and what no sheet can hold.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_UNHELD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


class Format(enum.StrEnum):
    """What a table is written as."""

    CSV = "csv"
    XLSX = "xlsx"


def export(
    db: Database, account_id: int, sync_ids: Sequence[int], narrow: Narrow, format_: Format
) -> AsyncIterator[bytes]:
    """The bytes of a file with the records of these syncs, newest first."""
    pieces = _pieces(db, account_id, sync_ids, narrow)
    match format_:
        case Format.CSV:
            return _csv(pieces)
        case Format.XLSX:
            return _xlsx(pieces)


def safe(cell: Cell) -> Cell:
    """A cell that no spreadsheet takes for a formula: a text that looks like one begins with an apostrophe."""
    if not isinstance(cell, str):
        return cell
    text = _UNHELD.sub("", cell)[:LONGEST]
    return f"'{text}" if _FORMULA.match(text) else text


async def _pieces(
    db: Database, account_id: int, sync_ids: Sequence[int], narrow: Narrow
) -> AsyncIterator[list[list[Cell]]]:
    """Rows, some at a time; each piece is read on a connection of its own, and nothing is held in between."""
    catalogue = await db.catalogue(account_id)
    before = NEWEST
    while True:
        async with db.read(account_id) as reader:
            named = await stored.named(reader)
            links = await health.page(reader, sync_ids, narrow, before=before, first=PIECE)
            held = [link.record_id for link in links if link.record_id is not None]
            found = {row.id: row for row in await records.rows(reader, held) if row is not None}
        yield [
            [
                safe(cell)
                for cell in _row(catalogue, named[link.sync_id], link, found.get(link.record_id or 0))
            ]
            for link in links
            if link.sync_id in named
        ]
        if len(links) < PIECE:
            return
        before = links[-1].id


def _row(catalogue: Catalogue, sync: NamedRow, link: LinkRow, record: RecordRow | None) -> list[Cell]:
    of = catalogue.object_types.get(sync.object_type_id)
    told = health.advice(link.category)
    return [
        ids.encode("link", link.id),
        sync.connection,
        None if of is None else of.name,
        sync.remote_object,
        None if link.record_id is None else ids.encode("record", link.record_id),
        None if record is None or of is None else display.display_name(of, record.id, record.properties),
        link.external_id,
        link.url,
        link.state,
        link.category,
        link.message,
        None if told is None else told.tip,
        link.failed_side,
        link.deleted,
        link.attempts,
        _moment(link.failed_at),
        _moment(link.synced_at),
    ]


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _csv(pieces: AsyncIterator[list[list[Cell]]]) -> AsyncIterator[bytes]:
    """RFC 4180, in UTF-8 with a byte order mark: Excel takes it for another alphabet without."""
    yield b"\xef\xbb\xbf" + _lines([list(HEADER)])
    async for rows in pieces:
        if rows:
            yield _lines(rows)


def _lines(rows: Sequence[Sequence[Cell]]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue().encode("utf-8", "replace")


async def _xlsx(pieces: AsyncIterator[list[list[Cell]]]) -> AsyncIterator[bytes]:
    """Sheets are written to disk row by row, beside the event loop: the file exists as a whole once it is closed."""
    book = Workbook(write_only=True)
    left = 0
    sheet: WriteOnlyWorksheet | None = None
    with tempfile.TemporaryDirectory(prefix="relata-export-") as place:
        async for rows in pieces:
            if sheet is None or left < len(rows):
                sheet, left = book.create_sheet(f"Records {len(book.worksheets) + 1}"), SHEET
                sheet.append(list(HEADER))
            await asyncio.to_thread(_append, sheet, rows)
            left -= len(rows)
        path = Path(place) / "records.xlsx"
        await asyncio.to_thread(book.save, path)
        for chunk in _chunks(path):
            yield chunk


def _append(sheet: WriteOnlyWorksheet, rows: Sequence[Sequence[Cell]]) -> None:
    for row in rows:
        sheet.append(row)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
