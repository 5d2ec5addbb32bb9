"""Values as words, and the filters that a template may put them through."""

import json
import operator
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# What `date` may say: nothing that depends on the machine's language, except names of days and months in English.
_DATE_PARTS: Mapping[str, Callable[[date | datetime], str]] = {
    "Y": lambda at: f"{at.year:04}",
    "y": lambda at: f"{at.year % 100:02}",
    "m": lambda at: f"{at.month:02}",
    "d": lambda at: f"{at.day:02}",
    "B": lambda at: _MONTHS[at.month - 1],
    "b": lambda at: _MONTHS[at.month - 1][:3],
    "A": lambda at: _DAYS[at.weekday()],
    "a": lambda at: _DAYS[at.weekday()][:3],
    "H": lambda at: f"{getattr(at, 'hour', 0):02}",
    "I": lambda at: f"{(getattr(at, 'hour', 0) + 11) % 12 + 1:02}",
    "M": lambda at: f"{getattr(at, 'minute', 0):02}",
    "S": lambda at: f"{getattr(at, 'second', 0):02}",
    "p": lambda at: "AM" if getattr(at, "hour", 0) < 12 else "PM",
    "j": lambda at: f"{at.day}",
    "%": lambda at: "%",
}
MOST_DIGITS = 20
# Enough for the largest number that a float can hold, with all digits that can be asked for.
_ROOM = Context(prec=400)


class Choice(str):
    """An option's value, which compares as it is kept and reads as it is labelled."""

    label: str

    def __new__(cls, value: str, label: str) -> "Choice":
        """The value with its label."""
        made = super().__new__(cls, value)
        made.label = label
        return made


class Moment(str):
    """A DATETIME as it is kept, with the zone of the account whose people will read it."""

    zone: str

    def __new__(cls, value: str, zone: str) -> "Moment":
        """The value with its zone."""
        made = super().__new__(cls, value)
        made.zone = zone
        return made


def words(value: Any) -> str:
    """A value as a reader meets it; nothing for none."""
    match value:
        case None:
            return ""
        case Choice():
            return value.label
        case str():
            return str(value)
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return format(_exact(value), "f")
        case list() | tuple():
            return ", ".join(words(part) for part in value)
        case _:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _exact(value: Any) -> Decimal:
    """A number as it is written: never in powers of ten, and without a fraction where it has none."""
    whole = isinstance(value, float) and value.is_integer()
    return Decimal(int(value) if whole else repr(value))


def _default(value: Any, instead: Any = "") -> Any:
    return instead if value is None or words(value).strip() == "" else value


def _date(value: Any, form: Any = "%Y-%m-%d") -> str:
    """The parts of a date or a moment, as `form` asks; what is neither stays as it is."""
    text = words(value)
    try:
        at: date | datetime = date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
        if isinstance(value, Moment) and isinstance(at, datetime):
            at = at.astimezone(ZoneInfo(value.zone))
    except (ValueError, OverflowError):
        return text
    parts = iter(words(form))
    return "".join(_DATE_PARTS[next(parts)](at) if part == "%" else part for part in parts)


def date_form_fault(form: str) -> str | None:
    """What is wrong with a form for `date`, if anything."""
    parts = iter(form)
    for part in parts:
        if part == "%" and (asked := next(parts, "")) not in _DATE_PARTS:
            known = " ".join(f"%{name}" for name in _DATE_PARTS)
            return f'date knows no "%{asked}"; it knows {known}'
    return None


def _number(value: Any, digits: Any = None, between: Any = ",", point: Any = ".") -> str:
    """A number with so many digits behind the point (as many as it has, if none are asked), grouped by thousands."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return words(value)
    exact = _exact(value)
    if digits is not None:
        exact = exact.quantize(Decimal(1).scaleb(-int(digits)), ROUND_HALF_EVEN, _ROOM)
    whole, _, rest = format(exact.copy_abs(), "f").partition(".")
    groups = f"{int(whole):,}".replace(",", words(between))
    sign = "-" if exact < 0 else ""
    return f"{sign}{groups}{words(point)}{rest}" if rest else f"{sign}{groups}"


def _ordered(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compared(one: Any, other: Any) -> bool:
        try:
            return bool(holds(one, other))
        except TypeError:
            # A value that is missing, or of another kind, is neither less nor more: no error in a mail's making.
            return False

    return compared


# By the names that Jinja has for them; a template writes signs.
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": _ordered(operator.lt),
    "lteq": _ordered(operator.le),
    "gt": _ordered(operator.gt),
    "gteq": _ordered(operator.ge),
}

# Each with how many arguments it takes at most.
FILTERS: Mapping[str, tuple[Callable[..., Any], int]] = {
    "default": (_default, 1),
    "upper": (lambda value: words(value).upper(), 0),
    "lower": (lambda value: words(value).lower(), 0),
    "title": (lambda value: words(value).title(), 0),
    "capitalize": (lambda value: words(value)[:1].upper() + words(value)[1:], 0),
    "trim": (lambda value: words(value).strip(), 0),
    "date": (_date, 1),
    "number": (_number, 3),
}
