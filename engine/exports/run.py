"""A run of an export: one snapshot, read piece by piece; memory holds a piece and some names."""

import contextlib
import enum
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

import orjson

from engine import display, ids, tables
from engine.exports.columns import Column, Fact, OfAssociated, OfProperty, OfRecord
from engine.tables import Cell
from storage import exports as stored
from storage import records
from storage.catalogue import ObjectTypeRow
from storage.database import Database, Queryable
from storage.records import RecordRow
from storage.selection.tree import Order, Records

# Records that are read at a time, and associations of theirs, unless one record alone has more.
PIECE, NEIGHBOURS = 1_000, 50_000
# Texts of associated records that are remembered: a company has many contacts.
REMEMBERED = 50_000


class Format(enum.StrEnum):
    """What records are written as."""

    CSV = "csv"
    XLSX = "xlsx"
    JSONL = "jsonl"


MEDIA = {
    Format.CSV: tables.MEDIA[tables.Format.CSV],
    Format.XLSX: tables.MEDIA[tables.Format.XLSX],
    Format.JSONL: "application/jsonl; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Export:
    """Which records, in which order, with which columns."""

    of: ObjectTypeRow
    source: Records
    order: Order
    columns: tuple[Column, ...]


# What stands in one row, by column: a stored value, or the texts of a list.
Values = list[Any]
Remembered = dict[tuple[int, int], str | None]


def file(
    db: Database, account_id: int, export: Export, format_: Format, *, now: datetime
) -> AsyncGenerator[bytes, None]:
    """The bytes of a file with these records, all as they stood at one moment. Raises `tables.CellTooLong`."""
    header = [column.header for column in export.columns]
    pieces = _pieces(db, account_id, export, now)
    match format_:
        case Format.CSV:
            return tables.written(tables.Format.CSV, header, _cells(export, pieces))
        case Format.XLSX:
            return tables.written(tables.Format.XLSX, header, _cells(export, pieces))
        case Format.JSONL:
            return _lines(header, pieces)
        case _:
            assert_never(format_)


async def _cells(
    export: Export, pieces: AsyncGenerator[list[Values], None]
) -> AsyncGenerator[list[list[Cell]], None]:
    async with contextlib.aclosing(pieces):
        async for rows in pieces:
            yield [
                [_cell(column, value) for column, value in zip(export.columns, row, strict=True)]
                for row in rows
            ]


def _cell(column: Column, value: Any) -> Cell:
    """A value as a spreadsheet holds it, and as `values.parse` reads it."""
    if isinstance(value, list) and not (isinstance(column, OfProperty) and column.property.type == "JSON"):
        return tables.joined(value) or None
    if isinstance(column, OfProperty) and column.property.type == "JSON" and value is not None:
        return orjson.dumps(value).decode()
    cell: Cell = value
    return cell


async def _lines(
    header: Sequence[str], pieces: AsyncGenerator[list[Values], None]
) -> AsyncGenerator[bytes, None]:
    """One JSON object a record, by header."""
    async with contextlib.aclosing(pieces):
        async for rows in pieces:
            yield b"".join(orjson.dumps(dict(zip(header, row, strict=True))) + b"\n" for row in rows)


async def _pieces(
    db: Database, account_id: int, export: Export, now: datetime
) -> AsyncGenerator[list[Values], None]:
    known: Remembered = {}
    async with db.snapshot(account_id) as reader:
        async for found in stored.ids(reader, export.source, export.order, now=now, size=PIECE):
            async for part in _parts(reader, export, found):
                yield await _rows(reader, export, part, known)


async def _parts(reader: Queryable, export: Export, found: list[int]) -> AsyncGenerator[list[int], None]:
    """The records of a piece, in pieces of as many associations as can be read at once."""
    types = {column.type.id for column in export.columns if isinstance(column, OfAssociated)}
    if not types:
        yield found
        return
    for part in _split(found, await stored.counts(reader, found, sorted(types))):
        yield part


def _split(found: Sequence[int], counts: Sequence[int]) -> Iterator[list[int]]:
    part: list[int] = []
    held = 0
    for number, count in zip(found, counts, strict=True):
        if part and held + count > NEIGHBOURS:
            yield part
            part, held = [], 0
        part.append(number)
        held += count
    if part:
        yield part


async def _rows(reader: Queryable, export: Export, found: list[int], known: Remembered) -> list[Values]:
    rows = await records.rows(reader, found)
    associated = await _associated(reader, export, found, known)
    return [
        [_value(export.of, column, row, beside) for column in export.columns]
        for row, beside in zip(rows, associated, strict=True)
        if row is not None
    ]


def _value(of: ObjectTypeRow, column: Column, row: RecordRow, beside: Mapping[str, list[str]]) -> Any:
    match column:
        case OfProperty(_, prop):
            return row.properties.get(prop.name)
        case OfRecord(_, fact):
            return _fact(of, row, fact)
        case OfAssociated(header):
            return beside[header]
        case _:
            assert_never(column)


def _fact(of: ObjectTypeRow, row: RecordRow, fact: Fact) -> str | None:
    match fact:
        case Fact.ID:
            return ids.encode("record", row.id)
        case Fact.DISPLAY_NAME:
            return display.display_name(of, row.id, row.properties)
        case Fact.CREATED_AT:
            return _moment(row.created_at)
        case Fact.UPDATED_AT:
            return _moment(row.updated_at)
        case Fact.LAST_ASSOCIATION_CHANGE_AT:
            return _moment(row.last_association_change_at)
        case _:
            assert_never(fact)


async def _associated(
    reader: Queryable, export: Export, found: list[int], known: Remembered
) -> list[dict[str, list[str]]]:
    """By header, what stands for the records that are associated with each of `found`, in the order of texts."""
    columns = [column for column in export.columns if isinstance(column, OfAssociated)]
    if not columns:
        return [{} for _ in found]
    pairs = [(column.to.id, column.type.id) for column in columns]
    near = await stored.neighbours(reader, found, pairs)
    if len(known) > REMEMBERED:
        known.clear()
    await _know(reader, columns, near, known)
    return [
        {
            column.header: sorted(text for number in numbers if (text := known[n, number]) is not None)
            for n, (column, numbers) in enumerate(zip(columns, of_record, strict=True))
        }
        for of_record in near
    ]


async def _know(
    reader: Queryable, columns: Sequence[OfAssociated], near: list[list[list[int]]], known: Remembered
) -> None:
    """Remember what stands for each of these records in each column: None for those that are archived, or have none."""
    missing: dict[int, list[int]] = {}
    for of_record in near:
        for n, numbers in enumerate(of_record):
            for number in numbers:
                if (n, number) not in known:
                    known[n, number] = None
                    missing.setdefault(number, []).append(n)
    wanted = sorted(missing)
    for begin in range(0, len(wanted), PIECE):
        for row in await records.rows(reader, wanted[begin : begin + PIECE]):
            if row is not None and row.archived_at is None:
                for n in missing[row.id]:
                    known[n, row.id] = _stands_for(columns[n], row)


def _stands_for(column: OfAssociated, row: RecordRow) -> str | None:
    if column.by is None:
        return display.display_name(column.to, row.id, row.properties)
    if isinstance(column.by, Fact):
        return ids.encode("record", row.id)
    value = row.properties.get(column.by.name)
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
