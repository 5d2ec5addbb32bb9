"""CSV, plain or gzipped, in the encoding and with the delimiter that it has: row by row, in bounded memory."""

import contextlib
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from engine import tables
from engine.imports import encodings
from engine.imports.files import Reading, Row, checked_header
from engine.imports.formats import Typed
from engine.imports.problems import (
    FileInflates,
    FileUnreadable,
    HeaderRepeated,
    RaggedRow,
    RowMalformed,
    RowNotUtf8,
    RowUndecodable,
)
from engine.problems import Problem
from engine.values import tidy

GZIP = b"\x1f\x8b"
DELIMITERS = ",;\t|"
# What divides cells stands outside of quotes.
_QUOTED = re.compile(r'"(?:[^"]|"")*"?')
# A line of nothing else is empty.
_NOTHING = f" \t{DELIMITERS}\r\n"
# What the reader says of a quote that nobody closes.
_UNCLOSED = "unexpected end of data"
# Longer lines are no table: without this bound a file without line breaks would be read into memory whole.
LONGEST_LINE = 1 << 20
# What grows more than so many times, beyond so many bytes, was not made by people.
RATIO, HARMLESS = 300, 64 << 20


class CsvSource:
    """An open CSV file."""

    def __init__(self, raw: BinaryIO, size: int, reading: Reading) -> None:
        """Read the header. Raises `FileUnreadable`, `FileInflates`, `HeaderMissing` and `ColumnTwice`."""
        self._raw = raw
        self._size = size
        self._number = 0
        # Lines before the header.
        self._before = 0
        self._notes: list[str] = []
        with _told():
            self._zipped = raw.read(2) == GZIP
            self._encoding = self._find_encoding(reading)
            raw.seek(0)
            self._stream = gzip.GzipFile(fileobj=raw) if self._zipped else raw
            text = io.TextIOWrapper(
                cast("BinaryIO", self._stream),
                encoding=self._encoding,
                errors=encodings.errors(self._encoding),
                newline="",
            )
            # Kept: once nobody holds it, it closes the file, and `share` is asked after the last row.
            self._text = text
            lines = self._lines(text)
            head = self._begin(lines)
            stated = head.strip("\r\n")
            if stated.lower().startswith("sep=") and len(stated) == 5:
                # What spreadsheet programs write for each other.
                reading = Reading(reading.encoding, reading.delimiter or stated[-1], None)
                self._before += 1
                head = self._begin(lines)
        if reading.delimiter is not None and (len(reading.delimiter) != 1 or reading.delimiter in '"\r\n\0'):
            raise FileUnreadable(reason="a delimiter is one character, and no quote or line break")
        self._delimiter = reading.delimiter or _delimiter(head)
        self._rows = csv.reader(_chained(head, lines), delimiter=self._delimiter, strict=True)
        self.header = self._header()

    @property
    def share(self) -> float:
        """How much of the file has been read."""
        return min(1.0, self._raw.tell() / self._size) if self._size else 1.0

    def described(self) -> dict[str, Any]:
        """How the file is written."""
        return {
            "format": "CSV",
            "zipped": self._zipped,
            "encoding": encodings.TOLD[self._encoding],
            "delimiter": self._delimiter,
            "notes": self._notes,
        }

    def rows(self) -> Iterator[Row]:
        """All rows; those in which nothing stands are counted."""
        width, header, rows = len(self.header), self.header, self._rows
        while True:
            self._number += 1
            line = rows.line_num
            try:
                with _told():
                    for cells in rows:
                        if len(cells) == width and _whole(cells) and (first := cells[0].strip()) != header[0]:
                            if first or any(map(str.strip, cells)):
                                yield Row(self._number, _meant(cells))
                        elif any(map(str.strip, cells)):
                            yield self._checked(cells)
                        self._number += 1
                        line = rows.line_num
            except csv.Error as error:
                yield Row(self._number, [], RowMalformed(reason=self._why(str(error), line)))
            else:
                return

    def _why(self, error: str, line: int) -> str:
        """What is wrong with the row behind this line, and what it took along: lines that a quote made part of it."""
        lines = self._rows.line_num - line
        begin = self._before + line + 1
        if error == _UNCLOSED:
            end = f"the {lines} lines from there to the end of the file are" if lines > 1 else "it is"
            return f"a quote is opened in line {begin} of the file and never closed; {end} not in"
        if lines > 1:
            return f"{error}; it goes over {lines} lines, from line {begin} of the file on, and none is in"
        return error

    def _find_encoding(self, reading: Reading) -> str:
        if reading.encoding is not None:
            return encodings.stated(reading.encoding)
        self._raw.seek(0)
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=self._raw)) if self._zipped else self._raw
        found = encodings.detected(stream)
        if self._zipped:
            # What was looked through tells already.
            self._inflated(stream)
        if found == "cp1252":
            self._notes.append("The file is not UTF-8: it was read as Windows-1252.")
        return found

    def _begin(self, lines: Iterator[str]) -> str:
        """The next line in which something stands."""
        for line in lines:
            if line.strip(_NOTHING):
                return line
            self._before += 1
        return ""

    def _lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        n = 0
        while line := text.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise FileUnreadable(reason=f"a line has more than {LONGEST_LINE} characters")
            n += 1
            if self._zipped and n % 10_000 == 0:
                self._inflated(self._stream)
            yield line

    def _inflated(self, stream: BinaryIO | gzip.GzipFile) -> None:
        grown, read = stream.tell(), self._raw.tell()
        if grown > HARMLESS and grown > RATIO * read:
            raise FileInflates(what="it", size=grown)

    def _header(self) -> list[str]:
        try:
            with _told():
                names = next(self._rows, [])
        except csv.Error as error:
            raise FileUnreadable(reason=f"its header is not CSV ({error})") from error
        header = checked_header([tables.unguarded(name) for name in names])
        if not _whole(header):
            told = encodings.TOLD[self._encoding]
            raise FileUnreadable(reason=f"its header is not {told}; save the file as UTF-8")
        return header

    def _checked(self, cells: list[str]) -> Row:
        if not _whole(cells):
            n = next(n for n, cell in enumerate(cells) if not _whole([cell]))
            column = self.header[n] if n < len(self.header) else None
            return Row(self._number, [], self._undecodable(), column, tidy(cells[n]))
        if len(cells) != len(self.header):
            return Row(self._number, [], RaggedRow(count=len(cells), expected=len(self.header)))
        if [tables.unguarded(cell).strip() for cell in cells] == self.header:
            return Row(self._number, [], HeaderRepeated())
        return Row(self._number, _meant(cells))

    def _undecodable(self) -> Problem:
        told = encodings.TOLD[self._encoding]
        return RowNotUtf8() if told == "UTF-8" else RowUndecodable(encoding=told)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        raise FileUnreadable(reason=str(error)) from error


def _chained(head: str, lines: Iterator[str]) -> Iterator[str]:
    if head:
        yield head
    yield from lines


def _delimiter(head: str) -> str:
    """Spreadsheets of some languages separate by semicolons: the header's most frequent separator it is."""
    return max(DELIMITERS, key=_QUOTED.sub("", head).count)


def _whole(cells: list[str]) -> bool:
    """Whether all of this was UTF-8."""
    joined = "".join(cells)
    if joined.isascii():
        return True
    try:
        joined.encode()
    except UnicodeEncodeError:
        return False
    return True


def _meant(cells: list[str]) -> list[str]:
    """The cells without the apostrophes behind which an export put some of them."""
    # Hardly any row has one; asking all of it at once costs little.
    return [_unguarded(cell) for cell in cells] if "'" in "".join(cells) else cells


def _unguarded(cell: str) -> str:
    text = tables.unguarded(cell)
    # So guarded, spaces are no empty cell.
    return text if text.strip() or not cell.strip() else Typed(text)
