"""Files: CSV, plain or gzipped, as batches of rows in bounded memory; what is wrong with a row is told with it."""

import contextlib
import csv
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine.imports.problems import (
    ColumnTwice,
    FileUnreadable,
    HeaderMissing,
    HeaderRepeated,
    RaggedRow,
    RowMalformed,
    RowNotUtf8,
)
from engine.problems import Problem
from engine.values import tidy

GZIP = b"\x1f\x8b"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
DELIMITERS = ",;\t"
# Longer lines are no table: without this bound a file without line breaks would be read into memory whole.
LONGEST_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """A row; 1 is the first one after the header. `cells` are as many as the header's, unless `problem` says why not.

    `column` and `value` are where the problem is, if it is in one cell.
    """

    number: int
    cells: list[str]
    problem: Problem | None = None
    column: str | None = None
    value: str | None = None


class Table:
    """An open file: its header, and its rows one after the other. Raises `FileUnreadable` while it is read."""

    def __init__(self, raw: BinaryIO, size: int) -> None:
        """Read the header. Raises `FileUnreadable`, `HeaderMissing` and `ColumnTwice`."""
        self._raw = raw
        self._size = size
        self._number = 0
        with _told():
            first = raw.read(2)
            raw.seek(0)
            if first in UTF_16:
                raise FileUnreadable(reason="it is UTF-16; save it as UTF-8")
            stream = gzip.GzipFile(fileobj=raw) if first == GZIP else raw
            # What is not UTF-8 comes through as lone surrogates, so that a row can be told and left out.
            text = io.TextIOWrapper(
                stream,
                encoding="utf-8-sig",
                errors="surrogateescape",
                newline="",
            )
            # Kept: once nobody holds it, it closes the file, and `share` is asked after the last row.
            self._text = text
            lines = _lines(text)
            head = next(lines, "")
        self._rows = csv.reader(_chained(head, lines), delimiter=_delimiter(head), strict=True)
        self.header = self._header()

    @property
    def share(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return min(1.0, self._raw.tell() / self._size) if self._size else 1.0

    def batches(self, size: int) -> Iterator[list[Row]]:
        """All rows, up to `size` at a time; empty lines are passed over, yet counted."""
        batch: list[Row] = []
        while (row := self._next()) is not None:
            if row.cells or row.problem is not None:
                batch.append(row)
            if len(batch) >= size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _header(self) -> list[str]:
        try:
            with _told():
                header = [name.strip() for name in next(self._rows, [])]
        except csv.Error as error:
            raise FileUnreadable(reason=f"its header is not CSV ({error})") from error
        if not any(header):
            raise HeaderMissing()
        if not _whole(header):
            raise FileUnreadable(reason="its header is not UTF-8; save the file as UTF-8")
        for name in header:
            if header.count(name) > 1:
                raise ColumnTwice(column=tidy(name))
        return header

    def _next(self) -> Row | None:
        self._number += 1
        try:
            with _told():
                cells = next(self._rows, None)
        except csv.Error as error:
            return Row(self._number, [], RowMalformed(reason=str(error)))
        if cells is None:
            return None
        return Row(self._number, cells) if not cells else self._checked(cells)

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
def opened(path: Path) -> Iterator[Table]:
    """The table in the file at `path`; raises what `Table` raises."""
    with contextlib.ExitStack() as stack:
        try:
            raw = stack.enter_context(path.open("rb"))
            size = os.fstat(raw.fileno()).st_size
        except OSError as error:
            raise FileUnreadable(reason=error.strerror or str(error)) from error
        yield Table(raw, size)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise FileUnreadable(reason=str(error)) from error


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise FileUnreadable(reason=f"a line has more than {LONGEST_LINE} characters")
        yield line


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
