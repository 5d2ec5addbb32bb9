"""CSV, plain or gzipped, in the encoding and with the delimiter that it has: row by row, in bounded memory."""

import contextlib
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from engine.imports import encodings
from engine.imports.files import Reading, Row, checked_header
from engine.imports.problems import (
    FileInflates,
    FileUnreadable,
    HeaderRepeated,
    RaggedRow,
    RowMalformed,
    RowNotUtf8,
)
from engine.values import tidy

GZIP = b"\x1f\x8b"
DELIMITERS = ",;\t|"
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
        self._notes: list[str] = []
        with _told():
            self._zipped = raw.read(2) == GZIP
            self._encoding = self._find_encoding(reading)
            raw.seek(0)
            self._stream = gzip.GzipFile(fileobj=raw) if self._zipped else raw
            # What is not UTF-8 comes through as lone surrogates, so that a row can be told and left out.
            utf8 = self._encoding.startswith("utf-8")
            text = io.TextIOWrapper(
                cast("BinaryIO", self._stream),
                encoding=self._encoding,
                errors="surrogateescape" if utf8 else "replace",
                newline="",
            )
            # Kept: once nobody holds it, it closes the file, and `share` is asked after the last row.
            self._text = text
            lines = self._lines(text)
            head = next(lines, "")
            if head.lower().startswith("sep=") and len(head.strip()) == 5:
                # What spreadsheet programs write for each other.
                reading = Reading(reading.encoding, reading.delimiter or head.strip()[-1], None)
                head = next(lines, "")
        if reading.delimiter is not None and len(reading.delimiter) != 1:
            raise FileUnreadable(reason="a delimiter is one character")
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
        """All rows; empty lines are counted."""
        width, header = len(self.header), self.header
        while True:
            self._number += 1
            try:
                with _told():
                    for cells in self._rows:
                        if len(cells) == width and _whole(cells) and cells[0].strip() != header[0]:
                            yield Row(self._number, cells)
                        elif cells:
                            yield self._checked(cells)
                        self._number += 1
            except csv.Error as error:
                yield Row(self._number, [], RowMalformed(reason=str(error)))
            else:
                return

    def _find_encoding(self, reading: Reading) -> str:
        if reading.encoding is not None:
            return encodings.stated(reading.encoding)
        self._raw.seek(0)
        found = encodings.detected(
            cast("BinaryIO", gzip.GzipFile(fileobj=self._raw)) if self._zipped else self._raw
        )
        if found == "cp1252":
            self._notes.append("The file is not UTF-8: it was read as Windows-1252.")
        return found

    def _lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        n = 0
        while line := text.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise FileUnreadable(reason=f"a line has more than {LONGEST_LINE} characters")
            n += 1
            if self._zipped and n % 10_000 == 0:
                self._inflated()
            yield line

    def _inflated(self) -> None:
        grown, read = self._stream.tell(), self._raw.tell()
        if grown > HARMLESS and grown > RATIO * read:
            raise FileInflates(what="it", size=grown)

    def _header(self) -> list[str]:
        try:
            with _told():
                names = next(self._rows, [])
        except csv.Error as error:
            raise FileUnreadable(reason=f"its header is not CSV ({error})") from error
        header = checked_header(names)
        if not _whole(header):
            raise FileUnreadable(reason="its header is not UTF-8; save the file as UTF-8")
        return header

    def _checked(self, cells: list[str]) -> Row:
        if not _whole(cells):
            n = next(n for n, cell in enumerate(cells) if not _whole([cell]))
            column = self.header[n] if n < len(self.header) else None
            return Row(self._number, [], RowNotUtf8(), column, tidy(cells[n]))
        if len(cells) != len(self.header):
            return Row(self._number, [], RaggedRow(count=len(cells), expected=len(self.header)))
        if [cell.strip() for cell in cells] == self.header:
            return Row(self._number, [], HeaderRepeated())
        return Row(self._number, cells)


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
    return max(DELIMITERS, key=head.count)


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
