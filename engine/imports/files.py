"""Files: CSV, plain or gzipped, or XLSX, in batches of rows and bounded memory; what is wrong comes with its row."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from engine.imports.problems import ColumnTwice, FileChanged, FileUnreadable, HeaderMissing
from engine.problems import Problem
from engine.values import tidy

ZIP = b"PK\x03\x04"
# Of a spreadsheet program's older, binary format.
OLD_EXCEL = b"\xd0\xcf\x11\xe0"
COLUMNS = 1_000
# What people may state of a file.
STATED = ("encoding", "delimiter", "sheet")


# Made by the million, and never changed: freezing costs more than twice as much as making them.
@dataclass(slots=True)
class Row:
    """A row; 1 is the first one after the header. `cells` are as many as the header's, unless `problem` says why not.

    `column` and `value` are where the problem is, if it is in one cell.
    """

    number: int
    cells: list[str]
    problem: Problem | None = None
    column: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read, where people say so; else it is found out."""

    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None

    @classmethod
    def of(cls, plan: Mapping[str, Any]) -> "Reading":
        """What a plan's document says of it."""
        given = plan.get("file")
        given = given if isinstance(given, Mapping) else {}
        return cls(**{name: value for name in STATED if isinstance(value := given.get(name), str)})

    def document(self) -> dict[str, str]:
        """What is stated, as a plan's document says it."""
        return {name: value for name in STATED if (value := getattr(self, name)) is not None}


class Source(Protocol):
    """Rows out of one kind of file. Reading raises `FileUnreadable` and `FileInflates`."""

    header: list[str]

    @property
    def share(self) -> float: ...
    def described(self) -> dict[str, Any]: ...
    def rows(self) -> Iterator[Row]: ...


class Table:
    """An open file: its header, and its rows one after the other. Raises `FileUnreadable` while it is read."""

    def __init__(self, source: Source, raw: BinaryIO) -> None:
        self._source = source
        self._raw = raw
        self._seen = _look(raw)
        self.header = source.header

    @property
    def share(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return self._source.share

    def described(self) -> dict[str, Any]:
        """How the file is written: format, encoding, delimiter, sheet; the header, and what people are to know."""
        return {"header": self.header, **self._source.described()}

    def batches(self, size: int, after: int = 0) -> Iterator[list[Row]]:
        """The rows behind number `after`, up to `size` at a time; empty lines are passed over, yet counted.

        Raises `FileChanged` where somebody wrote to the file meanwhile.
        """
        batch: list[Row] = []
        for row in self._source.rows():
            if row.number > after:
                batch.append(row)
            if len(batch) >= size:
                self._unchanged(batch[0].number - 1)
                yield batch
                batch = []
        self._unchanged(batch[0].number - 1 if batch else 0)
        if batch:
            yield batch

    def _unchanged(self, rows: int) -> None:
        if _look(self._raw) != self._seen:
            raise FileChanged(rows=rows)


@contextlib.contextmanager
def opened(path: Path, reading: Reading = Reading()) -> Iterator[Table]:
    """The table in the file at `path`. Raises `FileUnreadable`, `FileInflates`, `HeaderMissing`, `ColumnTwice`."""
    # Both read through names of this module.
    from engine.imports.csv_files import CsvSource
    from engine.imports.xlsx_files import XlsxSource

    with contextlib.ExitStack() as stack:
        try:
            raw = stack.enter_context(path.open("rb"))
            size = os.fstat(raw.fileno()).st_size
            first = raw.read(4)
            raw.seek(0)
        except OSError as error:
            raise FileUnreadable(reason=error.strerror or str(error)) from error
        if first == OLD_EXCEL:
            raise FileUnreadable(reason="it is an old Excel file (.xls); save it as .xlsx or CSV")
        if first == ZIP:
            source: Source = stack.enter_context(contextlib.closing(XlsxSource(raw, reading)))
        else:
            source = CsvSource(raw, size, reading)
        yield Table(source, raw)


def checked_header(names: Sequence[str]) -> list[str]:
    """The names of columns, if they can be told apart. Raises `HeaderMissing` and `ColumnTwice`."""
    header = [name.strip() for name in names]
    if not any(header):
        raise HeaderMissing()
    if any("\0" in name for name in header):
        raise FileUnreadable(reason="it is no text: its header holds NUL")
    if len(header) > COLUMNS:
        raise FileUnreadable(reason=f"it has more than {COLUMNS} columns")
    seen = set[str]()
    for name in header:
        if name in seen:
            raise ColumnTwice(column=tidy(name))
        seen.add(name)
    return header


def _look(raw: BinaryIO) -> tuple[int, int]:
    state = os.fstat(raw.fileno())
    return state.st_size, state.st_mtime_ns
