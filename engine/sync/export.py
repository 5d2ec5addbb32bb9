"""Records of a sync as a table, for spreadsheets: CSV or XLSX, piece by piece, whatever their number."""

import re
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

from engine import display, ids, tables
from engine.sync import health
from engine.sync.health import NEWEST, Narrow
from engine.tables import Cell, Format
from storage import records
from storage.catalogue import Catalogue
from storage.database import Database
from storage.records import RecordRow
from storage.sync import health as stored
from storage.sync.health import NamedRow
from storage.sync.links import LinkRow

# Links that are read at a time.
PIECE = 1_000
# Characters of a cell, its guard not counted: what is told here may be cut, and Excel takes no more than 32,767.
LONGEST = 16_000

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

# What no sheet should hold.
_UNHELD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def export(
    db: Database, account_id: int, sync_ids: Sequence[int], narrow: Narrow, format_: Format
) -> AsyncGenerator[bytes, None]:
    """The bytes of a file with the records of these syncs, newest first."""
    return tables.written(format_, HEADER, _pieces(db, account_id, sync_ids, narrow))


async def _pieces(
    db: Database, account_id: int, sync_ids: Sequence[int], narrow: Narrow
) -> AsyncGenerator[list[list[Cell]], None]:
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
                _short(cell)
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


def _short(cell: Cell) -> Cell:
    return _UNHELD.sub("", cell)[:LONGEST] if isinstance(cell, str) else cell
