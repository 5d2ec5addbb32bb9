"""The parts of a workbook, read with openpyxl's own pieces: nothing twice, and no more than a row in memory.

The library looks through whole sheets to tell how large they are, and keeps an element of each row that it has read.
"""

from collections.abc import Generator, Iterator
from typing import IO, Any, BinaryIO
from xml.etree.ElementTree import Element

from openpyxl.cell.text import Text
from openpyxl.reader.excel import ExcelReader
from openpyxl.worksheet._read_only import ReadOnlyWorksheet
from openpyxl.worksheet._reader import DATA_TAG, FORMULA_TAG, ROW_TAG, WorkSheetParser
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS
from openpyxl.xml.functions import iterparse

from engine.imports.problems import FileUnreadable

# What stands for a formula that was never worked out.
NO_VALUE = object()
# Bytes of a row: their elements take many times as much.
LONGEST_ROW = 4 << 20
# Bytes of the texts that cells share, which are held in memory.
LARGEST_TEXTS = 128 << 20
STRING_TAG, TEXT_TAG = f"{{{SHEET_MAIN_NS}}}si", f"{{{SHEET_MAIN_NS}}}t"


def book(raw: BinaryIO) -> Any:
    """The workbook in an archive: its styles, its texts, and sheets of which nothing has been read."""
    reader = _Reader(raw, read_only=True, data_only=True, keep_links=False)
    reader.read()
    return reader.wb


class _Sheet(ReadOnlyWorksheet):
    def _get_size(self) -> None:
        """Nobody asks; where the sheet does not say it, all of it would be read for that."""


class _Reader(ExcelReader):
    def read_strings(self) -> None:
        package: Any = self.package
        part = package.find(SHARED_STRINGS)
        if part is not None:
            size = self.archive.getinfo(part.PartName[1:]).file_size
            if size > LARGEST_TEXTS:
                raise FileUnreadable(
                    reason=f"the texts of its cells take {size} bytes, more than {LARGEST_TEXTS}; save it as CSV"
                )
            with self.archive.open(part.PartName[1:]) as source:
                self.shared_strings = list(_strings(source))

    def read_worksheets(self) -> None:
        wb: Any = self.wb
        for sheet, relation in self.parser.find_sheets():
            if relation.target in self.valid_files and "chartsheet" not in relation.Type:
                wb._sheets.append(_Sheet(wb, sheet.name, relation.target, self.shared_strings))


def _strings(source: IO[bytes]) -> Iterator[str]:
    """The texts that cells refer to, as they are written."""
    root: Element | None = None
    for event, element in iterparse(source, ("start", "end")):
        if root is None:
            root = element
        elif event == "end" and element.tag == STRING_TAG:
            if len(element) == 1 and element[0].tag == TEXT_TAG:
                # Nearly always; the library takes ten times as long.
                yield element[0].text or ""
            else:
                text: Any = Text.from_tree(element)
                yield text.content
            root.clear()


class RowParser(WorkSheetParser):
    """Cells as they were last worked out; a formula of which that is not known is told from an empty cell."""

    def __init__(self, sheet: Any, stream: Any) -> None:
        book = sheet.parent
        self._bounded = _Bounded(stream)
        super().__init__(
            self._bounded,
            sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )

    def parse(self) -> Generator[tuple[int, list[dict[str, Any]]], None, None]:
        """The rows, with their numbers. Raises `FileUnreadable` for one that is too long."""
        rows: Element | None = None
        for event, element in iterparse(self._bounded, ("start", "end")):
            if element.tag == DATA_TAG:
                if event == "end":
                    # How the sheet looks comes after that.
                    return
                rows = element
            elif element.tag == ROW_TAG and event == "end":
                yield self.parse_row(element)
                self.row_dimensions.clear()
                self._bounded.begin()
                if rows is not None:
                    rows.clear()

    def parse_cell(self, element: Element) -> dict[str, Any]:
        """One cell."""
        cell: dict[str, Any] = super().parse_cell(element)
        if cell["value"] is None and element.find(FORMULA_TAG) is not None:
            # A formula that gives an empty text has a place for it.
            empty = element.get("t") == "str" and len(element) > 1
            cell["value"] = "" if empty else NO_VALUE
        return cell


class _Bounded:
    """A stream of which no more than a row's bytes are read until the next row begins."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._read = 0

    def begin(self) -> None:
        """A row has ended."""
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises `FileUnreadable`."""
        data = self._stream.read(size)
        self._read += len(data)
        if self._read > LONGEST_ROW:
            raise FileUnreadable(reason=f"a row of its sheet has more than {LONGEST_ROW} bytes")
        return data
