"""How dates and numbers are written in a file: stated by a format, never guessed row by row. Pure."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from engine import values
from engine.imports.problems import UnknownFormat
from storage.catalogue import PropertyRow

# What a format may be made of, and how that is read.
TOKENS = {
    "YYYY": r"(?P<year>\d{4})",
    "MM": r"(?P<month>\d{1,2})",
    "DD": r"(?P<day>\d{1,2})",
    "HH": r"(?P<hour>\d{1,2})",
    "mm": r"(?P<minute>\d{2})",
    "ss": r"(?P<second>\d{2})",
}
EXAMPLE = {"YYYY": "2026", "MM": "01", "DD": "31", "HH": "09", "mm": "30", "ss": "00"}
_TOKEN = re.compile("|".join(TOKENS))
# Numbers by example: thousands separators, if any, and the decimal sign.
NUMBERS = {
    "1234.56": ("", "."),
    "1,234.56": (",", "."),
    "1.234,56": (".", ","),
    "1 234,56": (" \u00a0\u202f", ","),
}
# What is tried on a sample, the unmistakable first.
DATES = ("YYYY-MM-DD", "YYYY/MM/DD", "DD.MM.YYYY", "DD/MM/YYYY", "MM/DD/YYYY", "DD-MM-YYYY", "YYYYMMDD")
TIMES = (" HH:mm:ss", " HH:mm", "THH:mm:ss", "THH:mm")


class Typed(str):
    """A cell that a spreadsheet keeps as a number or a date, written as CSV has it by default; or spaces, meant.

    A column's format says how people write, and nothing of such a cell. It equals no text: what is remembered of
    texts does not hold for it.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Typed) and str(self) == str(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((Typed, str(self)))


# Reads a cell; text that does not fit is given back as it is, and found wrong by the check of its property.
Parse = Callable[[str], object]


def parser(prop: PropertyRow, stated: str | None, zone: str) -> Parse:
    """How cells of a column are read. Raises `UnknownFormat`.

    Dates without a stated format are `YYYY-MM-DD`; moments without an offset are in `zone`. What a spreadsheet keeps
    as a number or a date is read as such, whatever is stated.
    """
    plain = _plain(prop, zone)
    if stated is None:
        return plain
    written = _written(prop, stated, zone)
    return lambda cell: plain(cell) if isinstance(cell, Typed) else written(cell)


def expected(prop: PropertyRow, stated: str) -> str:
    """What an error asks for in a column with this format."""
    if prop.type == "NUMBER":
        return f'a number written as "{stated}"'
    kind = "a date of the calendar" if prop.type == "DATE" else "a moment"
    example = _TOKEN.sub(lambda found: EXAMPLE[found[0]], stated)
    return f'{kind}, written as {stated}, such as "{example}"'


def _plain(prop: PropertyRow, zone: str) -> Parse:
    """How cells are read of which nothing is stated."""
    if prop.type == "DATETIME":
        return lambda cell: _zoned(values.parse(prop, cell), zone)
    if prop.type == "ENUMERATION":
        return _choices(prop)
    if prop.type == "STRING":
        return _text
    return lambda cell: values.parse(prop, str(cell))


def _written(prop: PropertyRow, stated: str, zone: str) -> Parse:
    """How texts in this format are read. Raises `UnknownFormat`."""
    if prop.type in ("DATE", "DATETIME"):
        pattern = _pattern(stated)
        if pattern is None or (prop.type == "DATE" and "hour" in pattern.groupindex):
            raise _unfit(prop, stated)
        return lambda cell: _moment(pattern, prop, cell, zone)
    if prop.type == "NUMBER" and stated in NUMBERS:
        thousands, decimal = NUMBERS[stated]
        return lambda cell: _number(prop, cell, thousands, decimal)
    raise _unfit(prop, stated)


def _text(cell: str) -> str | None:
    """A text; spaces are none, unless they are meant."""
    return str(cell) if isinstance(cell, Typed) or cell.strip() else None


def _choices(prop: PropertyRow) -> Parse:
    """Options may be called by their labels, in any case."""
    live = [option for option in prop.options if not option.get("archived")]
    known = {option["value"] for option in live}
    called: dict[str, str] = {}
    for option in live:
        called.setdefault(str(option.get("label", "")).casefold(), option["value"])

    def one(text: str) -> str:
        return text if text in known else called.get(text.casefold(), text)

    def parse(cell: str) -> object:
        value = values.parse(prop, str(cell))
        return [one(part) for part in value] if isinstance(value, list) else one(value) if value else value

    return parse


def fitting(prop: PropertyRow, cells: Sequence[str]) -> tuple[str | None, ...]:
    """The formats in which all of these cells can be read; None stands for no format at all. Several: it is unclear."""
    formats: tuple[str | None, ...] = (None,)
    if prop.type == "DATE":
        formats = (None, *DATES)
    elif prop.type == "DATETIME":
        formats = (None, *DATES, *(day + time for day in DATES for time in TIMES))
    elif prop.type == "NUMBER":
        formats = (None, *NUMBERS)
    check = values.checker(prop)
    return tuple(stated for stated in formats if all(_fits(prop, check, stated, cell) for cell in cells))


def _fits(prop: PropertyRow, check: values.Check, stated: str | None, cell: str) -> bool:
    try:
        check(_known(prop.id, prop, stated)(cell))
    except values.InvalidValue:
        return False
    return True


def _known(_key: int, prop: PropertyRow, stated: str | None) -> Parse:
    return parser(prop, stated, "UTC")


@lru_cache(maxsize=256)
def _pattern(stated: str) -> re.Pattern[str] | None:
    """What a stated format matches; None where it names no date, or something twice."""
    parts, end, seen = [], 0, list[str]()
    for found in _TOKEN.finditer(stated):
        parts += [re.escape(stated[end : found.start()]), TOKENS[found[0]]]
        seen.append(found[0])
        end = found.end()
    parts.append(re.escape(stated[end:]))
    if len(stated) > 40 or len(set(seen)) != len(seen) or not {"YYYY", "MM", "DD"} <= set(seen):
        return None
    text = "".join(parts)
    if not re.search(r"[^A-Za-z0-9]", stated):
        # Without anything in between, each has its full width.
        text = text.replace(r"\d{1,2}", r"\d{2}")
    return re.compile(text, re.ASCII)


def _moment(pattern: re.Pattern[str], prop: PropertyRow, cell: str, zone: str) -> object:
    text = cell.strip()
    found = pattern.fullmatch(text)
    if not text:
        return None
    if found is None:
        return text
    part = {name: int(digits) for name, digits in found.groupdict().items()}
    try:
        moment = datetime(
            part["year"], part["month"], part["day"], part.get("hour", 0), part.get("minute", 0),
            part.get("second", 0), tzinfo=ZoneInfo(zone),
        )  # fmt: skip
        return moment.date().isoformat() if prop.type == "DATE" else _utc(moment)
    except (ValueError, OverflowError):
        return text


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


_NAIVE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?", re.ASCII)


def _zoned(value: object, zone: str) -> object:
    """A moment without an offset is one of the file's zone, a day its beginning."""
    if not isinstance(value, str) or not _NAIVE.fullmatch(value):
        return value
    try:
        return _utc(datetime.fromisoformat(value).replace(tzinfo=ZoneInfo(zone)))
    except (ValueError, OverflowError):
        return value


def _number(prop: PropertyRow, cell: str, thousands: str, decimal: str) -> object:
    text = cell.strip()
    pattern = _digits(thousands, decimal)
    if not pattern.fullmatch(text):
        # A text is no number: the check tells it.
        return text or None
    plain = text.translate({ord(sign): None for sign in thousands})
    return values.parse(prop, plain.replace(decimal, "."))


@lru_cache(maxsize=16)
def _digits(thousands: str, decimal: str) -> re.Pattern[str]:
    """Numbers with these signs: in groups of three, or in none."""
    whole = rf"\d+|\d{{1,3}}(?:[{thousands}]\d{{3}})+" if thousands else r"\d+"
    return re.compile(rf"[+-]?(?:{whole})(?:{re.escape(decimal)}\d+)?", re.ASCII)


def _unfit(prop: PropertyRow, stated: str) -> UnknownFormat:
    expected = {
        "DATE": "a date is written with YYYY, MM and DD, such as DD.MM.YYYY",
        "DATETIME": "a moment is written with YYYY, MM, DD, HH, mm and ss, such as DD.MM.YYYY HH:mm",
        "NUMBER": f"a number is written as one of {', '.join(NUMBERS)}",
    }.get(prop.type, "its values have no format")
    return UnknownFormat(format=values.tidy(stated), property=prop.name, expected=expected)
