"""Cells that spreadsheets take as they are meant, and the way back: whatever goes out comes in the same."""

import csv
import io
import random
from collections import Counter
from collections.abc import AsyncGenerator, Sequence

import pytest
from openpyxl import load_workbook

from engine import tables
from engine.sheets import held, unheld
from engine.tables import Cell, CellTooLong, Format, guarded, joined, shown, split, unguarded, unshown

# What cells are made of, the harmful and the strange in greater numbers than elsewhere.
LETTERS = "=+-@'\"\\;,\t\r\n ab9_xé漢😀\u00a0\uff1d\x0b\ufffe0041<&>"


def any_text(chance: random.Random) -> str:
    return "".join(chance.choices(LETTERS, k=chance.randrange(1, 9)))


async def in_pieces(
    rows: Sequence[Sequence[Cell]], size: int = 3
) -> AsyncGenerator[Sequence[Sequence[Cell]], None]:
    for n in range(0, len(rows), size):
        yield rows[n : n + size]


async def file_of(format_: Format, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    return b"".join([piece async for piece in tables.written(format_, header, in_pieces(rows))])


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\uff1d", "\u00a0@"])
def test_no_spreadsheet_runs_what_stands_in_a_cell(begin: str) -> None:
    assert guarded(f"{begin}1+1") == f"'{begin}1+1"
    assert guarded(f"''{begin}1+1") == f"'''{begin}1+1"
    assert guarded(f"a{begin}") == f"a{begin}"


def test_what_is_no_formula_needs_no_guard() -> None:
    plain: list[Cell] = [-3, -0.5, True, None, "", "'tis", "7"]
    assert [guarded(cell) for cell in plain] == plain


def test_whatever_is_guarded_comes_back_and_what_people_wrote_stays() -> None:
    chance = random.Random(7)
    for _ in range(20_000):
        text = any_text(chance)
        safe = guarded(text)
        assert isinstance(safe, str)
        assert unguarded(safe) == text
        assert safe.strip()[:1] not in tuple("=+-@\uff1d")
    written = ["'tis", "'", "''", "'quoted'", "O'Hara"]
    assert [unguarded(text) for text in written] == written


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
async def test_no_formula_begins_in_the_middle_of_a_cell_whatever_delimiter_a_file_is_opened_with(
    delimiter: str,
) -> None:
    known = ["x;=1", "x;\t=1", 'x;"=1', "x\n=1", "x\r\n @1", "\t;-1", "x;''=1", 'a";=1', 'a"\n""=1', " \t=1"]
    for text in known:
        assert unguarded(str(guarded(text))) == text
    chance = random.Random(11)
    rows: list[list[Cell]] = [["a", text, "b"] for text in known]
    rows += [[any_text(chance) for _ in range(3)] for _ in range(20_000)]
    content = (await file_of(Format.CSV, ["one", "two", "three"], rows)).decode("utf-8-sig")
    # As spreadsheets read: a quote counts where a cell begins, and nowhere else.
    opened = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
    begins = Counter(cell.strip()[:1] for row in opened for cell in row)
    assert begins["'"] > 5_000
    assert {sign: begins[sign] for sign in "=+-@\uff1d" if begins[sign]} == {}


def test_several_texts_in_a_cell_come_apart_as_they_were() -> None:
    chance = random.Random(8)
    for _ in range(20_000):
        parts = [part for part in (any_text(chance).strip() for _ in range(chance.randrange(4))) if part]
        assert split(joined(parts)) == parts
    assert joined(["a;b", "c\\"]) == "a\\;b;c\\\\"


def test_workbooks_hold_what_xml_cannot() -> None:
    chance = random.Random(9)
    for _ in range(20_000):
        text = any_text(chance) + "_x0041_"
        assert unheld(held(text)) == text
    assert held("a\rb_x000D_") == "a_x000D_b_x005F_x000D_"


async def test_the_same_rows_make_the_same_bytes() -> None:
    chance = random.Random(10)
    rows: list[list[Cell]] = [
        [any_text(chance), chance.random(), chance.randrange(99), None] for _ in range(50)
    ]
    for format_ in Format:
        first = await file_of(format_, ["a", "=b", "c", "d"], rows)
        assert await file_of(format_, ["a", "=b", "c", "d"], rows) == first


async def test_a_workbook_opens_elsewhere_with_every_cell_as_it_is() -> None:
    rows: list[list[Cell]] = [
        ["=cmd()", -3, 0.1, True, "007"],
        ["<a & b>", 9007199254740991, 1e-07, False, "line\nbreak"],
        [None, None, None, None, "all but this empty"],
    ]
    content = await file_of(Format.XLSX, ["text", "whole", "part", "yes", "code"], rows)
    (sheet,) = load_workbook(io.BytesIO(content)).worksheets
    found = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert found == [["text", "whole", "part", "yes", "code"], *rows]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "n", "b", "inlineStr"}


async def test_a_text_in_a_workbook_is_one_as_it_is_and_stays_one_when_it_is_edited() -> None:
    texts = ["=1+1", "'=1+1", "-", "\uff0b1", " @x", "'tis", "a;=1", "- one\n- two", "plain"]
    header = [f"={text}" for text in texts]
    (sheet,) = load_workbook(io.BytesIO(await file_of(Format.XLSX, header, [texts]))).worksheets
    head, row = sheet.iter_rows()
    assert ([cell.value for cell in head], [cell.value for cell in row]) == (header, texts)
    assert {cell.data_type for cell in (*head, *row)} <= {"s", "inlineStr"}
    quoted = {cell.value for cell in (*head, *row) if cell.quotePrefix}
    assert quoted == {*header, "=1+1", "-", "\uff0b1", " @x", "- one\n- two"}


def test_nothing_but_spaces_is_still_something_in_a_workbook() -> None:
    for text in (" ", "\t\n", "' ", "''\u00a0"):
        assert shown(text) == f"'{text}"
        assert unshown(f"'{text}") == text
    for text in ("", "'", "'tis", "' a", "=1"):
        assert (shown(text), unshown(text)) == (text, text)


async def test_an_empty_table_is_a_header() -> None:
    assert await file_of(Format.CSV, ["a", "b"], []) == b"\xef\xbb\xbfa,b\r\n"
    (sheet,) = load_workbook(io.BytesIO(await file_of(Format.XLSX, ["a", "b"], []))).worksheets
    assert [[cell.value for cell in row] for row in sheet.iter_rows()] == [["a", "b"]]


async def test_what_a_workbook_cannot_hold_is_refused_and_never_cut() -> None:
    longest: list[list[Cell]] = [["x" * tables.CELL]]
    assert await file_of(Format.XLSX, ["a"], longest)
    for text in ("x" * (tables.CELL + 1), "😀" * (tables.CELL // 2 + 1), " " * tables.CELL):
        with pytest.raises(CellTooLong):
            await file_of(Format.XLSX, ["a"], [[text]])
        assert text in (await file_of(Format.CSV, ["a"], [[text]])).decode()
