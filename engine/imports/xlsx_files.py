"""XLSX, row by row: cells become the texts that CSV would hold. What is packed inside is measured before it is read."""

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any, BinaryIO
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from openpyxl.utils.exceptions import InvalidFileException

from engine import tables
from engine.imports.files import COLUMNS, Reading, Row, checked_header
from engine.imports.formats import Typed
from engine.imports.problems import (
    FileInflates,
    FileUnreadable,
    FormulaFailed,
    FormulaWithoutValue,
    HeaderMissing,
    HeaderRepeated,
    RaggedRow,
)
from engine.imports.xlsx_parts import NO_VALUE, RowParser, book
from engine.problems import Problem
from engine.sheets import unheld
from engine.values import tidy

# Parts of the archive; how many bytes each may grow to, and how many times its packed size, beyond what is harmless.
# Texts are held in memory, sheets are not.
MEMBERS = 10_000
LARGEST_SHEET, LARGEST_OTHER = 2 << 30, 256 << 20
RATIO, HARMLESS = 200, 1 << 20
SHEETS = "xl/worksheets/"
# The part that every workbook has.
CONTENTS = "[Content_Types].xml"


class XlsxSource:
    """One sheet of an open XLSX file."""

    def __init__(self, raw: BinaryIO, reading: Reading) -> None:
        """Read the header. Raises `FileUnreadable`, `FileInflates`, `HeaderMissing` and `ColumnTwice`."""
        with _told():
            _measured(raw)
            self._book = book(raw)
            # What sheets keep to themselves is pinned with the library's version; tests read files by it.
            sheets: dict[str, Any] = {sheet.title: sheet for sheet in self._book.worksheets}
            if reading.sheet is not None and reading.sheet not in sheets:
                raise FileUnreadable(
                    reason=f'it has no sheet "{tidy(reading.sheet)}"; it has: {", ".join(map(tidy, sheets))}'
                )
            if not sheets:
                raise FileUnreadable(reason="it has no sheet")
            self._titles = list(sheets)
            self._sheet = sheets[reading.sheet or self._titles[0]]
            self._stream = self._sheet._get_source()
            self._size: int = self._sheet.parent._archive.getinfo(self._stream.name).file_size
            self._rows = RowParser(self._sheet, self._stream).parse()
            self._first, cells = self._head()
        self.header = checked_header(cells)

    @property
    def share(self) -> float:
        """How much of the sheet has been read."""
        return min(1.0, self._stream.tell() / self._size) if self._size else 1.0

    def described(self) -> dict[str, Any]:
        """How the file is written."""
        notes = []
        if len(self._titles) > 1:
            others = [title for title in self._titles if title != self._sheet.title]
            notes.append(f"Other sheets were not read: {', '.join(map(tidy, others[:10]))}.")
        return {"format": "XLSX", "sheet": self._sheet.title, "sheets": self._titles, "notes": notes}

    def close(self) -> None:
        """Close what was opened to read it."""
        self._stream.close()
        self._book.close()

    def rows(self) -> Iterator[Row]:
        """All rows; empty ones are counted."""
        with _told():
            for at, cells in self._rows:
                row = self._row(at - self._first, cells)
                if row is not None:
                    yield row
            # How the sheet looks is nothing to us; at its end it is found out whether its bytes were sound.
            while self._stream.read(1 << 16):
                pass

    def _head(self) -> tuple[int, list[str]]:
        for at, cells in self._rows:
            named = {cell["column"]: _text(cell) for cell in cells}
            width = max((place for place, text in named.items() if text), default=0)
            if width > COLUMNS:
                raise FileUnreadable(reason=f"it has more than {COLUMNS} columns")
            if width:
                return at, [named.get(n + 1, "") for n in range(width)]
        raise HeaderMissing()

    def _row(self, number: int, cells: list[dict[str, Any]]) -> Row | None:
        """A row of texts; None where nothing stands in it."""
        width = len(self.header)
        texts = [""] * width
        beyond = 0
        for cell in cells:
            place = cell["column"] - 1
            problem = _wrong(cell)
            text = "" if problem is not None else _text(cell)
            if place >= width:
                beyond = max(beyond, place + 1) if text or problem else beyond
            elif problem is not None:
                return Row(number, [], problem, self.header[place], None)
            else:
                texts[place] = text
        if beyond:
            return Row(number, [], RaggedRow(count=beyond, expected=width))
        if not any(texts):
            return None
        if [text.strip() for text in texts] == self.header:
            return Row(number, [], HeaderRepeated())
        return Row(number, texts)


def _measured(raw: BinaryIO) -> None:
    """Look at what the archive says of its parts; no more than that is ever read of them. Raises `FileInflates`."""
    with zipfile.ZipFile(raw) as archive:
        members = archive.infolist()
        if len(members) > MEMBERS:
            raise FileUnreadable(reason=f"it has more than {MEMBERS} parts")
        if not any(member.filename == CONTENTS for member in members):
            raise FileUnreadable(
                reason="it is an archive without a workbook; unpack it and take what is inside"
            )
        if any(member.flag_bits & 1 for member in members):
            raise FileUnreadable(reason="it is protected by a password")
        for member in members:
            sheet = member.filename.startswith(SHEETS)
            large = member.file_size > (LARGEST_SHEET if sheet else LARGEST_OTHER)
            tight = member.file_size > HARMLESS and member.file_size > RATIO * max(member.compress_size, 1)
            if large or tight:
                raise FileInflates(what=f'"{tidy(member.filename)}"', size=member.file_size)
        if sum(member.file_size for member in members) > 2 * LARGEST_SHEET:
            raise FileInflates(what="all of it", size=sum(member.file_size for member in members))
    raw.seek(0)


def _wrong(cell: dict[str, Any]) -> Problem | None:
    if cell["value"] is NO_VALUE:
        return FormulaWithoutValue()
    if cell["data_type"] == "e":
        return FormulaFailed(value=tidy(str(cell["value"])))
    return None


def _text(cell: dict[str, Any]) -> str:
    """What stands in a cell; numbers and dates as `Typed`."""
    value = cell["value"]
    match value:
        case None:
            return ""
        case str():
            text = unheld(value)
            plain = tables.unshown(text)
            # So guarded, spaces are no empty cell.
            return text if plain is text else Typed(plain)
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e15:
            return Typed(int(value))
        case int() | float():
            return Typed(value)
        case datetime() if value.time() == time(0):
            # A day is kept as the moment at which it begins.
            return Typed(value.date().isoformat())
        case datetime():
            exact = "milliseconds" if value.microsecond else "seconds"
            return Typed(value.isoformat(sep=" ", timespec=exact))
        case date():
            return Typed(value.isoformat())
        case time():
            return value.isoformat()
    return str(value)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What a broken archive, or broken XML in it, comes to."""
    try:
        yield
    except (FileUnreadable, FileInflates, HeaderMissing):
        raise
    except (
        zipfile.BadZipFile,
        InvalidFileException,
        ParseError,
        DefusedXmlException,
        OSError,
        EOFError,
        zlib.error,
    ) as error:
        raise FileUnreadable(reason=f"it is no sound XLSX file ({tidy(str(error))})") from error
    except (
        KeyError,
        ValueError,
        IndexError,
        TypeError,
        AttributeError,
        OverflowError,
        RuntimeError,
    ) as error:
        # What the libraries meet in files that are not what they say (packed in ways that nobody knows, too).
        raise FileUnreadable(reason=f"it is no sound XLSX file ({type(error).__name__})") from error
