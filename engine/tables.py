"""Tables for spreadsheets: cells that do no harm, as CSV or XLSX, piece by piece; and cells back as they were.

In CSV, what a spreadsheet would take for a formula goes out behind an apostrophe, also where it would only be one if
the file is opened with another delimiter. `unguarded` takes exactly that away, so that an import reads what an export
wrote. Cells of XLSX say themselves that they are text; only a text of nothing but spaces is guarded there, too.
"""

import asyncio
import contextlib
import csv
import enum
import io
import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import TypeAlias

from engine.problems import Problem
from engine.sheets import Book

Cell: TypeAlias = str | int | float | bool | None

# Excel's bounds: rows of a sheet (of 1,048,576, with the header), characters of a cell.
SHEET = 1_000_000
CELL = 32_767

# A formula begins so, in any alphabet's width, perhaps behind spaces; a tab or a line break moves what follows to
# another cell or line. Nothing but spaces would be read as nothing at all.
_SIGN = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
_HARMFUL = rf"(?:\s*{_SIGN}|[\t\r\n]|\s+\Z)"
# Where a file is opened with another delimiter than it has, quotes in the middle of a line mean nothing: what stands
# behind a semicolon, a tab or a line break within a cell begins one of its own, perhaps behind quotes that vanish.
_INNER = rf"(?=(?:['\"]|[^\S\t\r\n])*{_SIGN})"
_BEHIND = re.compile(rf"([;\t\r\n]){_INNER}")
_GUARDED_BEHIND = re.compile(rf"([;\t\r\n])'{_INNER}")
_FORMULA = re.compile(rf"'*{_HARMFUL}")
_GUARDED = re.compile(rf"'+{_HARMFUL}")
_SPACES = re.compile(r"'*\s+")
_GUARDED_SPACES = re.compile(r"'+\s+")
# `;` separates what stands in one cell; `\;` is one within a part, `\\` a backslash.
_PART = re.compile(r"((?:\\[;\\]|[^;])*)(?:;|\Z)")
_ESCAPABLE = re.compile(r"([;\\])")
_ESCAPED = re.compile(r"\\([;\\])")


class CellTooLong(Problem):
    """A cell of the column "{column}" has {count} characters; XLSX takes {limit}: export CSV instead."""


class Format(enum.StrEnum):
    """What a table is written as."""

    CSV = "csv"
    XLSX = "xlsx"


MEDIA = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def guarded(cell: Cell) -> Cell:
    """A cell of which no spreadsheet takes anything for a formula: what looks like one stands behind an apostrophe."""
    if not isinstance(cell, str):
        return cell
    inner = cell
    # Hardly any text holds one of these, and looking costs a tenth of what replacing does.
    if ";" in cell or "\n" in cell or "\t" in cell or "\r" in cell:
        inner = _BEHIND.sub(r"\1'", cell)
    return f"'{inner}" if _FORMULA.match(cell) else inner


def unguarded(text: str) -> str:
    """The text that was guarded."""
    if "'" not in text:
        return text
    inner = _GUARDED_BEHIND.sub(r"\1", text)
    return inner[1:] if inner.startswith("'") and _GUARDED.match(inner) else inner


def shown(cell: Cell) -> Cell:
    """A cell as XLSX has it: as it is, but that nothing but spaces stands behind an apostrophe, lest it be nothing."""
    return f"'{cell}" if isinstance(cell, str) and _SPACES.fullmatch(cell) else cell


def unshown(text: str) -> str:
    """The text that a cell of XLSX shows."""
    return text[1:] if text.startswith("'") and _GUARDED_SPACES.fullmatch(text) else text


def joined(parts: Iterable[str]) -> str:
    """Several texts in one cell."""
    return ";".join(_ESCAPABLE.sub(r"\\\1", part) for part in parts)


def split(cell: str) -> list[str]:
    """The texts in a cell, in order, without spaces around them."""
    parts = (_ESCAPED.sub(r"\1", part).strip() for part in _PART.findall(cell))
    return [part for part in parts if part]


def written(
    format_: Format, header: Sequence[str], pieces: AsyncGenerator[Sequence[Sequence[Cell]], None]
) -> AsyncGenerator[bytes, None]:
    """The bytes of a file with these rows below this header; no cell does harm. Raises `CellTooLong` for XLSX."""
    match format_:
        case Format.CSV:
            return _csv(header, pieces)
        case Format.XLSX:
            return _xlsx(header, pieces)


async def _csv(
    header: Sequence[str], pieces: AsyncGenerator[Sequence[Sequence[Cell]], None]
) -> AsyncGenerator[bytes, None]:
    """RFC 4180, in UTF-8 with a byte order mark: Excel takes it for another alphabet without."""
    head = b"\xef\xbb\xbf" + _lines([header])
    async with contextlib.aclosing(pieces):
        # With the first rows, not before: what goes wrong with these is told instead of a file.
        async for rows in pieces:
            yield head + _lines(rows)
            head = b""
    if head:
        yield head


def _lines(rows: Sequence[Sequence[Cell]]) -> bytes:
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\r\n").writerows([_plain(cell) for cell in row] for row in rows)
    return lines.getvalue().encode("utf-8", "replace")


def _plain(cell: Cell) -> Cell:
    return ("true" if cell else "false") if isinstance(cell, bool) else guarded(cell)


async def _xlsx(
    header: Sequence[str], pieces: AsyncGenerator[Sequence[Sequence[Cell]], None]
) -> AsyncGenerator[bytes, None]:
    """Sheets of `SHEET` rows at most, each with the header; packed beside the event loop."""
    book = Book()
    head = [list(header)]
    left = 0
    async with contextlib.aclosing(pieces):
        async for rows in pieces:
            if book.full or left < len(rows):
                left = SHEET
                book.sheet()
                book.rows(head)
            await asyncio.to_thread(_fill, book, header, rows)
            left -= len(rows)
            if content := book.taken():
                yield content
    if book.full:
        book.sheet()
        book.rows(head)
    yield book.closed()


def _fill(book: Book, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    plain = [[shown(cell) for cell in row] for row in rows]
    for row in plain:
        for name, cell in zip(header, row, strict=True):
            # As Excel counts: in halves of characters.
            if isinstance(cell, str) and len(cell) * 2 > CELL:
                count = len(cell.encode("utf-16-le", "replace")) // 2
                if count > CELL:
                    raise CellTooLong(column=name[:100], count=count, limit=CELL)
    book.rows(plain)
