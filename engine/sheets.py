"""XLSX: a workbook written row by row into bytes that can be sent at once, whatever its size."""

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from typing import IO

# Bytes of a sheet before packing: beyond 2 GiB readers disagree about the archive.
_MOST = 1 << 30
# The same for the same rows: archives note a time, and nobody needs it.
_TIME = (1980, 1, 1, 0, 0, 0)
# Fast, and nearly as small.
_LEVEL = 4

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
# What a formula begins with, where one is typed; in full width, too.
_SIGNS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")

# What XML cannot hold is written as _x000B_; what looks so already, with its underscore written so.
_UNHELD = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_HELD = re.compile(r"_x([0-9A-Fa-f]{4})_")
# As if an apostrophe had been typed before it: it stays a text when somebody edits it. Styles count from 0.
_AS_TYPED = ' s="1"'
_STYLES = (
    f'<styleSheet xmlns="{_MAIN}"><fonts count="1"><font/></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0" quotePrefix="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)
_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def held(text: str) -> str:
    """`text` as a cell can hold it."""
    return _UNHELD.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def unheld(text: str) -> str:
    """The text that a cell holds."""
    return _HELD.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


class Book:
    """A workbook that is being written. Its bytes are taken piece by piece."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._archive = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)
        self._sheet: IO[bytes] | None = None
        self._sheets = 0
        self._row = 0
        self._bytes = 0
        self._letters: list[str] = []

    def sheet(self) -> None:
        """Begin a sheet; what comes next stands there."""
        self._end()
        self._sheets += 1
        self._row = self._bytes = 0
        self._sheet = self._archive.open(_info(f"xl/worksheets/sheet{self._sheets}.xml"), "w")
        self._sheet.write(f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())

    def rows(self, rows: Iterable[Sequence[str | int | float | bool | None]]) -> None:
        """Add rows to the sheet."""
        assert self._sheet is not None
        lines = [self._line(row) for row in rows]
        content = "".join(lines).encode("utf-8", "replace")
        self._bytes += len(content)
        self._sheet.write(content)

    @property
    def full(self) -> bool:
        """Whether what comes next should stand in another sheet."""
        return self._sheet is None or self._bytes > _MOST

    def taken(self) -> bytes:
        """The bytes that have come about since."""
        return self._sink.taken()

    def closed(self) -> bytes:
        """End the workbook; its last bytes."""
        self._end()
        for name, content in self._about():
            self._archive.writestr(_info(name), f"{_HEAD}{content}")
        self._archive.close()
        return self._sink.taken()

    def _end(self) -> None:
        if self._sheet is not None:
            self._sheet.write(b"</sheetData></worksheet>")
            self._sheet.close()
            self._sheet = None

    def _line(self, row: Sequence[str | int | float | bool | None]) -> str:
        self._row += 1
        while len(self._letters) < len(row):
            self._letters.append(_letters(len(self._letters)))
        cells = [
            _cell(f"{letters}{self._row}", cell)
            for letters, cell in zip(self._letters, row, strict=False)
            if cell is not None
        ]
        return f'<row r="{self._row}">{"".join(cells)}</row>'

    def _about(self) -> list[tuple[str, str]]:
        numbers = range(1, self._sheets + 1)
        sheets = "".join(f'<sheet name="Records {n}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers)
        leads = "".join(
            f'<Relationship Id="rId{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n in numbers
        )
        types = "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
            for n in numbers
        )
        leads += f'<Relationship Id="rId{self._sheets + 1}" Type="{_OFFICE}/styles" Target="styles.xml"/>'
        return [
            ("xl/styles.xml", _STYLES),
            (
                "xl/workbook.xml",
                f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{sheets}</sheets></workbook>',
            ),
            (
                "xl/_rels/workbook.xml.rels",
                f'<Relationships xmlns="{_RELATIONS}">{leads}</Relationships>',
            ),
            (
                "_rels/.rels",
                f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="rId1" '
                f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            ),
            (
                "[Content_Types].xml",
                '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
                '<Default Extension="rels" '
                'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
                '<Default Extension="xml" ContentType="application/xml"/>'
                f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
                f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>{types}</Types>',
            ),
        ]


class _Sink(io.RawIOBase):
    """Where the archive is written to: it can neither go back nor be read, and holds what nobody has taken yet."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """It is written to."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Hold these bytes."""
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What was held; held no longer."""
        content = b"".join(self._pieces)
        self._pieces.clear()
        return content


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    # Whoever unpacks it may read it.
    info.external_attr = 0o644 << 16
    return info


def _letters(column: int) -> str:
    """A, B … Z, AA …: what spreadsheets call a column, counted from 0."""
    letters, n = "", column + 1
    while n:
        n, rest = divmod(n - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _cell(place: str, cell: str | int | float | bool) -> str:
    match cell:
        case bool():
            return f'<c r="{place}" t="b"><v>{int(cell)}</v></c>'
        case int() | float():
            return f'<c r="{place}"><v>{cell!r}</v></c>'
    style = _AS_TYPED if cell.lstrip()[:1] in _SIGNS else ""
    text = held(cell).translate(_MARKUP)
    return f'<c r="{place}"{style} t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
