"""Values: what a property accepts, and the one form in which each value is kept.

Stored JSON types follow the declared type, so that readers never meet a value they must guess at.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, NoReturn, TypeAlias

import orjson

from engine import tables
from engine.naming import counted
from engine.problems import Problem
from storage.catalogue import PropertyRow

Check: TypeAlias = Callable[[Any], Any]

TEXT_LIMIT = 65_536
PHONE_LIMIT = 64
JSON_BYTES = 65_536
JSON_DEPTH = 32
# Beyond this a whole number is not exact in every client's JSON.
LARGEST_NUMBER = 2**53 - 1
# A unique value is part of an index, whose rows are limited; longer ones stand there as a digest.
UNIQUE_BYTES = 1_000
# How many options an error lists.
OPTIONS_TOLD = 20

DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
DATETIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):\d\d(?::\d\d(?:[.,]\d{1,12})?)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)",
    re.ASCII,
)
PHONE = re.compile(r"\+?[0-9 ()./\-\u00a0]*(?: ?(?:ext\.?|x|#) ?[0-9]{1,10})?", re.ASCII | re.IGNORECASE)
FRACTION = re.compile(r"[.,](\d+)")
NUMBER_TEXT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)

# Fields whose values name the same thing whatever their case.
CASELESS_FIELDS = frozenset({"EMAIL", "DOMAIN"})

TRUE_TEXTS = frozenset({"true", "yes", "1"})
FALSE_TEXTS = frozenset({"false", "no", "0"})


class InvalidValue(Problem):
    """The value {value} does not fit the property "{property}": expected {expected}."""


def checker(prop: PropertyRow) -> Check:
    """A function that gives a value of `prop` in its stored form; None where it clears the property.

    The function raises `InvalidValue`, whose path is the property's name.
    """
    check = _choices(prop) if prop.type == "ENUMERATION" and prop.multiple else _CHECKS[prop.type](prop)
    # A value that is required is there to be read; elsewhere blanks are a text like any other.
    needed = prop.required and prop.type == "STRING"

    def checked(value: Any) -> Any:
        return None if value is None or value == "" or (needed and blank(value)) else check(value)

    return checked


def blank(value: Any) -> bool:
    """Whether it is a text of nothing but blanks."""
    return isinstance(value, str) and not value.strip()


def normalize(prop: PropertyRow, value: Any) -> Any:
    """`value` as `prop` stores it; None where it clears. Raises `InvalidValue`."""
    return checker(prop)(value)


def parse(prop: PropertyRow, text: str) -> Any:
    """A cell of a file as a value of `prop`, to be checked; text that cannot be read is given back as it is.

    Several choices are separated by `;` (`\\;` within one). Numbers have a decimal point and no thousands separators.
    """
    text = text if prop.type in ("STRING", "JSON") else text.strip()
    if text.strip() == "":
        return None
    match prop.type:
        case "NUMBER" if NUMBER_TEXT.fullmatch(text):
            return int(text) if text.lstrip("+-").isdigit() and len(text) < 30 else float(text)
        case "BOOLEAN" if text.lower() in TRUE_TEXTS:
            return True
        case "BOOLEAN" if text.lower() in FALSE_TEXTS:
            return False
        case "ENUMERATION" if prop.multiple:
            return tables.split(text)
        case "JSON":
            try:
                return orjson.loads(text)
            except orjson.JSONDecodeError:
                return text
    return text


def canonical(prop: PropertyRow, value: Any) -> str:
    """The text under which a stored value of a unique property is taken; equal values have equal texts."""
    if isinstance(value, str):
        text = value.strip().lower() if prop.field in CASELESS_FIELDS else value
    else:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    encoded = text.encode("utf-8", "surrogatepass")
    return text if len(encoded) <= UNIQUE_BYTES else f"{text[:64]}…{hashlib.sha256(encoded).hexdigest()}"


def same(prop: PropertyRow, one: Any, other: Any) -> bool:
    """Whether two stored values of `prop` (None: none) are equal."""
    if prop.type == "JSON" and one is not None and other is not None:
        # Python takes 1, 1.0 and True for equal.
        return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
            other, option=orjson.OPT_SORT_KEYS
        )
    return bool(one == other)


def tidy(text: str) -> str:
    """Foreign text as it may be told and stored: short, and `whole`."""
    return whole(text[:100])


def whole(text: str) -> str:
    """Text that may hold foreign text, as it can be stored: without NUL and without halves of characters."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def shown(value: Any) -> str:
    """A value as errors name it: JSON, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):
        text = f"({type(value).__name__})"
    return tidy(text if len(text) <= 100 else f"{text[:99]}…")


def _unfit(prop: PropertyRow, value: Any, expected: str) -> NoReturn:
    raise InvalidValue(path=(prop.name,), property=prop.name, value=shown(value), expected=expected)


def storable(text: str) -> bool:
    """Whether PostgreSQL can keep `text`: no NUL, no half of a surrogate pair."""
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _text(prop: PropertyRow) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            _unfit(prop, value, "text")
        if len(value) > TEXT_LIMIT:
            _unfit(prop, value, f"text of at most {TEXT_LIMIT} characters (this one has {len(value)})")
        if not storable(value):
            _unfit(prop, value, "text of whole Unicode characters, without NUL")
        return value

    return check


def _phone(prop: PropertyRow) -> Check:
    expected = 'a phone number such as "+49 30 1234567" or "030 1234567 ext 12"'

    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > PHONE_LIMIT or not PHONE.fullmatch(value.strip()):
            _unfit(prop, value, expected)
        if sum(character.isdigit() for character in value) < 2:
            _unfit(prop, value, expected)
        return value.strip()

    return check


def _number(prop: PropertyRow) -> Check:
    expected = f"a number between -{LARGEST_NUMBER} and {LARGEST_NUMBER}"

    def check(value: Any) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            _unfit(prop, value, expected)
        # Not a number fails every comparison, so it fails this one.
        if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
            _unfit(prop, value, expected)
        return int(value) if value == int(value) else value

    return check


def _boolean(prop: PropertyRow) -> Check:
    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            _unfit(prop, value, "true or false")
        return value

    return check


def _date(prop: PropertyRow) -> Check:
    expected = 'a date of the calendar such as "2026-01-31"'

    def check(value: Any) -> str:
        if not isinstance(value, str) or not DATE.fullmatch(value):
            _unfit(prop, value, expected)
        try:
            date.fromisoformat(value)
        except ValueError:
            _unfit(prop, value, expected)
        return value

    return check


def _datetime(prop: PropertyRow) -> Check:
    expected = 'a moment with its offset such as "2026-01-31T09:30:00Z" or "2026-01-31T10:30:00+01:00"'

    def check(value: Any) -> str:
        if not isinstance(value, str) or not DATETIME.fullmatch(value):
            _unfit(prop, value, expected)
        try:
            # Cut to milliseconds, never rounded: a moment must not move into the future.
            cut = FRACTION.sub(lambda found: "." + found[1][:3].ljust(3, "0"), value, count=1)
            moment = datetime.fromisoformat(cut.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            _unfit(prop, value, expected)
        return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"

    return check


def _options(prop: PropertyRow) -> tuple[dict[str, int], str]:
    """Where each live option stands, and how an error describes them."""
    live = [option["value"] for option in prop.options if not option.get("archived")]
    told = ", ".join(f'"{value}"' for value in live[:OPTIONS_TOLD])
    left = len(live) - OPTIONS_TOLD
    more = "" if left <= 0 else f" or {counted(left, 'other', 'others')}"
    return {value: n for n, value in enumerate(live)}, (
        f"one of {told}{more}" if live else "nothing: it has no options"
    )


def _choice(prop: PropertyRow) -> Check:
    places, expected = _options(prop)

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in places:
            _unfit(prop, value, expected)
        return value

    return check


def _choices(prop: PropertyRow) -> Check:
    places, expected = _options(prop)

    def check(value: Any) -> list[str] | None:
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, list | tuple):
            _unfit(prop, value, f"a list, each {expected}")
        for choice in given:
            if not isinstance(choice, str) or choice not in places:
                _unfit(prop, choice, f"a list, each {expected}")
        return sorted(set(given), key=places.__getitem__) or None

    return check


def _json(prop: PropertyRow) -> Check:
    def check(value: Any) -> Any:
        fault = _json_fault(value)
        if fault is None:
            try:
                encoded = orjson.dumps(value)
            except TypeError:
                fault = "JSON whose numbers fit 64 bits"
            else:
                if len(encoded) <= JSON_BYTES:
                    return value
                fault = f"at most {JSON_BYTES} bytes of JSON (this has {len(encoded)})"
        _unfit(prop, value, fault)

    return check


def _json_fault(value: Any) -> str | None:
    """What JSON was expected where `value` cannot be kept; walks without recursion, whatever the depth."""
    level = [value]
    for _ in range(JSON_DEPTH):
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                below.extend(part)
                below.extend(part.values())
            elif isinstance(part, list | tuple):
                below.extend(part)
            elif isinstance(part, str) and not storable(part):
                return "JSON with texts of whole Unicode characters, without NUL"
            elif isinstance(part, float) and not math.isfinite(part):
                return "JSON with finite numbers"
        if not below:
            return None
        level = below
    return f"JSON at most {JSON_DEPTH} levels deep"


_CHECKS: dict[str, Callable[[PropertyRow], Check]] = {
    "STRING": _text,
    "PHONE": _phone,
    "NUMBER": _number,
    "BOOLEAN": _boolean,
    "DATE": _date,
    "DATETIME": _datetime,
    "ENUMERATION": _choice,
    "JSON": _json,
}
