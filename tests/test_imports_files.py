"""Files as people have them: encodings, delimiters, spreadsheets; and as nobody should: cut, changed, inflated."""

import gc
import gzip
import io
import os
import zipfile
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from openpyxl import Workbook

from engine.imports import csv_files, files, xlsx_files, xlsx_parts
from engine.imports.files import Reading, Row
from engine.imports.formats import Typed
from engine.imports.problems import (
    ColumnTwice,
    FileChanged,
    FileInflates,
    FileUnreadable,
    HeaderMissing,
)
from engine.tables import Format, written

TEXT = "name;größe;city\nJörg;1,5;Köln\nŽofie;2;Łódź\n"


def read(path: Path, content: bytes, reading: Reading | None = None) -> tuple[dict[str, Any], list[Row]]:
    path.write_bytes(content)
    with files.opened(path, reading or Reading()) as table:
        rows = [row for batch in table.batches(2) for row in batch]
        assert table.share == 1.0
        return table.described(), rows


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_encodings_are_recognized(tmp_path: Path, encoding: str, told: str, pack: Any) -> None:
    described, rows = read(tmp_path / "f", pack(TEXT.encode(encoding)))
    assert (described["encoding"], described["delimiter"], described["notes"]) == (told, ";", [])
    assert described["header"] == ["name", "größe", "city"]
    assert [row.cells for row in rows] == [["Jörg", "1,5", "Köln"], ["Žofie", "2", "Łódź"]]


def test_what_is_no_unicode_is_windows_1252_and_that_is_told(tmp_path: Path) -> None:
    described, rows = read(tmp_path / "f", "name,euro\nJörg,€ 5 – 7\n".encode("cp1252"))
    assert described["encoding"] == "Windows-1252"
    assert "Windows-1252" in described["notes"][0]
    assert rows[0].cells == ["Jörg", "€ 5 – 7"]


async def test_what_an_export_wrote_is_read_as_it_was_headers_included(tmp_path: Path) -> None:
    header, rows = ["=name", "a;=b"], [["=1", "'=1"], ["x\n-1", " x"], ["''", "O'Hara"], ["\t1", "7"]]

    async def pieces() -> AsyncGenerator[list[list[Any]], None]:
        yield [*rows, [" ", "x"]]

    for format_ in Format:
        content = b"".join([piece async for piece in written(format_, header, pieces())])
        described, found = read(tmp_path / "f", content)
        assert described["header"] == header
        assert [row.cells for row in found[:-1]] == rows
        # Spaces that an export wrote are told from a cell in which somebody left some.
        assert found[-1].cells == [Typed(" "), "x"]


def test_an_apostrophe_that_somebody_wrote_into_a_workbook_is_theirs(tmp_path: Path) -> None:
    book = Workbook()
    book.worksheets[0].append(["name", "note"])
    book.worksheets[0].append(["'=1", "'tis"])
    content = io.BytesIO()
    book.save(content)
    _, rows = read(tmp_path / "f", content.getvalue())
    assert rows[0].cells == ["'=1", "'tis"]


def test_what_is_stated_is_not_guessed(tmp_path: Path) -> None:
    content = "a;b,c\n1;2,€\n".encode("iso-8859-15")
    described, rows = read(tmp_path / "f", content, Reading("ISO-8859-15", ",", None))
    assert (described["encoding"], described["header"], rows[0].cells) == (
        "ISO-8859-15", ["a;b", "c"], ["1;2", "€"],
    )  # fmt: skip
    for wrong in (Reading("klingon"), Reading(None, "ab")):
        with pytest.raises(FileUnreadable):
            read(tmp_path / "f", content, wrong)


def test_a_line_for_spreadsheet_programs_states_the_delimiter(tmp_path: Path) -> None:
    described, rows = read(tmp_path / "f", b"sep=|\na,x|b\n1|2\n")
    assert (described["delimiter"], rows[0].cells) == ("|", ["1", "2"])


def test_a_broken_row_in_a_sound_file_is_told(tmp_path: Path) -> None:
    _, rows = read(tmp_path / "f", "name\nJörg\n".encode() + b"J\xf6rg\n" + "Žofie\n".encode())
    assert [row.problem and row.problem.code for row in rows] == [None, "ROW_NOT_UTF8", None]


def test_a_file_that_somebody_writes_to_is_refused_from_there_on(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("a\n" + "".join(f"{n}\n" for n in range(10)))
    with files.opened(path) as table:
        batches = table.batches(4)
        assert len(next(batches)) == 4
        with path.open("a") as file:
            file.write("more\n")
        with pytest.raises(FileChanged) as told:
            next(batches)
    assert told.value.details["rows"] == 4
    with files.opened(path) as table:
        os.utime(path, ns=(1, 1))
        with pytest.raises(FileChanged):
            list(table.batches(4))


def test_gzip_that_grows_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files, "HARMLESS", 1 << 20)
    with pytest.raises(FileInflates):
        read(tmp_path / "f", gzip.compress(b"a,b\n" + b"1,2\n" * 2_000_000))
    with pytest.raises(FileInflates):
        read(tmp_path / "f", gzip.compress(b"a\n" + b"\n" * 4_000_000))


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be"])
def test_four_bytes_a_character_are_text_as_well(tmp_path: Path, encoding: str) -> None:
    described, rows = read(tmp_path / "f", TEXT.encode(encoding))
    assert (described["encoding"], rows[0].cells) == ("UTF-32", ["Jörg", "1,5", "Köln"])


@pytest.mark.parametrize(
    ("content", "reading", "codes"),
    [
        # 0x81 is no character of Windows-1252, and "ü" of an older alphabet.
        (b"name\nM\x81ller\nJ\xf6rg\n", None, ["ROW_UNDECODABLE", None]),
        ("name\nŽofie\nx\ud800y\nZoë\n".encode("utf-16-le", "surrogatepass"), Reading("utf-16-le"),
         [None, "ROW_UNDECODABLE", None]),
        ("name\nŽofie\nZoë".encode("utf-16")[:-1], None, [None, "ROW_UNDECODABLE"]),
    ],
    ids=["a byte of no character", "half a pair", "half a character at the end"],
)  # fmt: skip
def test_what_is_no_text_is_never_taken_for_some(
    tmp_path: Path, content: bytes, reading: Reading | None, codes: list[str | None]
) -> None:
    _, rows = read(tmp_path / "f", content, reading)
    assert [row.problem and row.problem.code for row in rows] == codes


@pytest.mark.parametrize("content", [b"a\0b,c\n1,2\n", "a,b\n".encode("utf-16-le") + b"\0\0\0\0"])
def test_nul_in_a_header_is_no_table(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FileUnreadable):
        read(tmp_path / "f", content, Reading("utf-8"))


def test_lines_in_which_nothing_stands_are_no_rows(tmp_path: Path) -> None:
    described, rows = read(tmp_path / "f", b"\n;;\r\n \nname;city\r\n;\r\nZo;Rom\r\n; ;  ;\r\nAn;Bonn\r\n")
    assert described["header"] == ["name", "city"]
    assert [(row.number, row.cells) for row in rows] == [(2, ["Zo", "Rom"]), (4, ["An", "Bonn"])]


def test_what_stands_in_quotes_does_not_divide_the_header(tmp_path: Path) -> None:
    described, rows = read(tmp_path / "f", b'"name, first, ""and"" last";city\nZo;Rom\n')
    assert (described["delimiter"], described["header"][0]) == (";", 'name, first, "and" last')
    assert rows[0].cells == ["Zo", "Rom"]


@pytest.mark.parametrize("delimiter", ['"', "\n", "\r", "\0"])
def test_what_means_something_else_divides_nothing(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(FileUnreadable):
        read(tmp_path / "f", b"a,b\n1,2\n", Reading(None, delimiter))


def test_a_tab_may_be_stated_by_the_first_line(tmp_path: Path) -> None:
    assert read(tmp_path / "f", b"sep=\t\r\na,x\tb\r\n1\t2\r\n")[1][0].cells == ["1", "2"]


def test_a_quote_that_nobody_closes_says_what_it_took_along(tmp_path: Path) -> None:
    _, rows = read(tmp_path / "f", b'\na,b\n1,2\n3,"4\n5,6\n7,8\n')
    assert [row.problem is None for row in rows] == [True, False]
    assert rows[1].problem is not None
    assert "line 4 " in rows[1].problem.message
    assert "3 lines" in rows[1].problem.message


def test_gzip_that_was_looked_through_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_files, "HARMLESS", 1 << 20)
    path = tmp_path / "f"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 2_000_000))
    with pytest.raises(FileInflates), files.opened(path):
        raise AssertionError("it has been opened")


def book(*rows: list[Any], others: int = 0) -> bytes:
    made = Workbook()
    sheet = made.active
    assert sheet is not None
    sheet.title = "People"
    for row in rows:
        sheet.append(row)
    for n in range(others):
        made.create_sheet(f"Other {n}").append(["x"])
    stream = io.BytesIO()
    made.save(stream)
    return stream.getvalue()


def test_cells_of_a_sheet_are_what_they_show(tmp_path: Path) -> None:
    content = book(
        [],
        ["name", "n", "day", "at", "yes"],
        ["Jörg", 7.0, date(2026, 1, 31), datetime(2026, 1, 31, 9, 30, tzinfo=UTC).replace(tzinfo=None), True],
        [],
        ["Žofie", 1.5, None, None, False],
        [None, -3],
        ["name", "n", "day", "at", "yes"],
        ["a", "b", "c", "d", "e", "f"],
    )
    described, rows = read(tmp_path / "f.xlsx", content)
    assert (described["format"], described["sheet"], described["header"]) == (
        "XLSX", "People", ["name", "n", "day", "at", "yes"],
    )  # fmt: skip
    assert [(row.number, [str(cell) for cell in row.cells]) for row in rows[:3]] == [
        (1, ["Jörg", "7", "2026-01-31", "2026-01-31 09:30:00", "true"]),
        (3, ["Žofie", "1.5", "", "", "false"]),
        (4, ["", "-3", "", "", ""]),
    ]
    assert [(row.number, row.problem and row.problem.code) for row in rows[3:]] == [
        (5, "HEADER_REPEATED"),
        (6, "RAGGED_ROW"),
    ]


def test_sheets_are_chosen_by_name_and_others_told(tmp_path: Path) -> None:
    content = book(["a"], ["1"], others=2)
    described, _ = read(tmp_path / "f.xlsx", content)
    assert described["notes"] == ["Other sheets were not read: Other 0, Other 1."]
    described, rows = read(tmp_path / "f.xlsx", content, Reading(sheet="Other 1"))
    assert (described["header"], rows) == (["x"], [])
    with pytest.raises(FileUnreadable):
        read(tmp_path / "f.xlsx", content, Reading(sheet="None"))
    with pytest.raises(ColumnTwice):
        read(tmp_path / "f.xlsx", book(["a", "a"]))
    with pytest.raises(HeaderMissing):
        read(tmp_path / "f.xlsx", book([]))


def changed(content: bytes, name: str, old: str, new: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(stream, "w") as after:
        for member in before.namelist():
            data = before.read(member)
            after.writestr(member, data.replace(old.encode(), new.encode()) if member == name else data)
    return stream.getvalue()


def test_of_formulas_the_saved_values_count(tmp_path: Path) -> None:
    content = book(["name", "n"], ["a", "=1+1"], ["b", "=1/0"], ["c", "=2+2"])
    sheet = "xl/worksheets/sheet1.xml"
    content = changed(content, sheet, '<c r="B2"><f>1+1</f><v /></c>', '<c r="B2"><f>1+1</f><v>2</v></c>')
    content = changed(
        content, sheet, '<c r="B3"><f>1/0</f><v /></c>', '<c r="B3" t="e"><f>1/0</f><v>#DIV/0!</v></c>'
    )
    _, rows = read(tmp_path / "f.xlsx", content)
    assert [str(cell) for cell in rows[0].cells] == ["a", "2"]
    assert [(row.column, row.problem and row.problem.code) for row in rows[1:]] == [
        ("n", "FORMULA_FAILED"),
        ("n", "FORMULA_WITHOUT_VALUE"),
    ]


def test_a_workbook_that_inflates_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.BytesIO(book(["a"], ["1"]))
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/bomb.bin", b"\0" * (4 << 20))
    opened: list[str] = []
    real = zipfile.ZipFile.open

    def unpack(archive: zipfile.ZipFile, name: Any, *rest: Any, **more: Any) -> Any:
        opened.append(str(name))
        return real(archive, name, *rest, **more)

    monkeypatch.setattr(zipfile.ZipFile, "open", unpack)
    with pytest.raises(FileInflates):
        read(tmp_path / "f.xlsx", stream.getvalue())
    assert opened == []
    monkeypatch.setattr(xlsx_files, "LARGEST_OTHER", 100)
    with pytest.raises(FileInflates):
        read(tmp_path / "f.xlsx", book(["a"], ["1"]))


SHEET, TEXT_CELL = "xl/worksheets/sheet1.xml", 't="inlineStr"><is><t>x</t></is>'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
ENTITIES = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'


def damaged(content: bytes) -> bytes:
    """The same with bytes of the packed sheet overwritten: unpacking finds that before any sum is compared."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        at = packed.getinfo("xl/worksheets/sheet1.xml").header_offset + 100
    return content[:at] + b"\xff" * 200 + content[at + 200 :]


def archive(name: str) -> bytes:
    """An archive that holds something else."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr(name, "a\n1\n")
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 and then nothing",
        book(["a"], ["1"])[:-200],
        changed(book(["a"], ["1"]), "xl/workbook.xml", "</workbook>", ""),
        changed(book(["a"], ["1"]), "xl/worksheets/sheet1.xml", "<worksheet", f"{ENTITIES}<worksheet"),
        changed(book(["a"], ["1"]), "xl/worksheets/sheet1.xml", "</sheetData>", "<"),
        changed(book(["a"], ["x"]), SHEET, TEXT_CELL, 't="s"><v>99</v>'),
        damaged(book(["a"], *([f"{n * 7919}"] for n in range(500)))),
        archive("people.csv"),
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    ],
    ids=["no archive", "cut", "book broken", "entities", "sheet broken", "text missing", "bytes damaged", "no book",
         "old Excel"],
)  # fmt: skip
def test_a_workbook_that_is_not_sound_is_told(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FileUnreadable):
        read(tmp_path / "f.xlsx", content)


STRINGS = (
    '<Override PartName="/xl/sharedStrings.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>'
)


def test_texts_that_cells_share_are_read_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = book(["a"], *([f"cell {n}"] for n in (1, 2, 3)), ["end"])
    for n in (1, 2, 3):
        content = changed(content, SHEET, TEXT_CELL.replace(">x<", f">cell {n}<"), f't="s"><v>{n}</v>')
    content = changed(content, "[Content_Types].xml", "</Types>", STRINGS)
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as packed:
        # Which is how a text is kept that looks like an escape, and is none.
        texts = (
            "<si><t/></si><si><t>_x005F_x0041_</t></si><si><r><t>a</t></r><r><t> b</t></r></si><si><t/></si>"
        )
        packed.writestr("xl/sharedStrings.xml", f'<sst xmlns="{MAIN}">{texts}</sst>')
    rows = read(tmp_path / "f.xlsx", stream.getvalue())[1]
    assert [row.cells for row in rows] == [["_x0041_"], ["a b"], ["end"]]
    # They are held in memory, so there is a bound.
    monkeypatch.setattr(xlsx_parts, "LARGEST_TEXTS", 50)
    with pytest.raises(FileUnreadable, match="save it as CSV"):
        read(tmp_path / "f.xlsx", stream.getvalue())


def long_book(rows: int) -> bytes:
    """A workbook that does not say how large its sheet is, with rows that have a height."""
    made = Workbook(write_only=True)
    sheet = made.create_sheet("People")
    sheet.append(["name"])
    for n in range(rows):
        sheet.append([f"name {n}"])
    stream = io.BytesIO()
    made.save(stream)
    return changed(stream.getvalue(), SHEET, "<row ", '<row ht="15" ')


def test_opening_a_workbook_reads_no_more_than_its_header(tmp_path: Path) -> None:
    path = tmp_path / "f.xlsx"
    path.write_bytes(changed(long_book(10_000), SHEET, "</sheetData>", "<"))
    with files.opened(path) as table:
        assert table.header == ["name"]
        with pytest.raises(FileUnreadable):
            list(table.batches(1_000))


def test_rows_of_a_sheet_that_were_read_are_kept_by_nobody(tmp_path: Path) -> None:
    path = tmp_path / "f.xlsx"
    path.write_bytes(long_book(10_000))
    with files.opened(path) as table:
        for n, _ in enumerate(table.batches(1_000)):
            if n == 8:
                gc.collect()
                # What the parser has read ahead, and nothing of what came before.
                assert sum(isinstance(one, Element) for one in gc.get_objects()) < 5_000


def test_a_row_that_never_ends_is_refused(tmp_path: Path) -> None:
    content = book(["name"], ["x"])
    cells = '<c r="A2"><v>1</v></c>' * 400_000
    with pytest.raises(FileUnreadable, match="row"):
        read(tmp_path / "f.xlsx", changed(content, SHEET, "</row></sheetData>", f"{cells}</row></sheetData>"))
