"""Whether two values of a field are the same: exactly, or loosely where a side changes what it is given. Pure."""

import math
import unicodedata
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from engine.sync.connectors.protocol import FieldType, RemoteField

Compare: TypeAlias = Callable[[Any, Any], bool]

# A number without its country's code is taken for the end of one that has it, if at least so many digits are equal.
LOCAL_DIGITS = 7
# Numbers that differ by less than single precision holds.
SINGLE_PRECISION = 1e-6


def empty(value: Any) -> bool:
    """Whether a value, of either side, is none."""
    return value is None or value == "" or value == [] or value == ()


def compare(field: RemoteField, property_type: str) -> Compare:
    """How two values of `field` are compared where it is mapped to a property of this type."""
    if field.type is FieldType.CHOICE and field.multiple:
        return _loosely(_as_set_folded) if field.lossy else _by(_as_set)
    if field.type is FieldType.NUMBER:
        return _rounded if field.lossy else _equal
    if field.type is FieldType.DATE or property_type == "DATE":
        return _by(_day)
    if field.type is FieldType.DATETIME:
        return _near if field.lossy else _equal
    if field.type is FieldType.PHONE or property_type == "PHONE":
        return _local_phones if field.lossy else _by(_digits)
    if field.type is FieldType.BOOLEAN:
        return _equal
    return _loosely(folded) if field.lossy else _equal


def folded(text: Any) -> Any:
    """Text without regard to case, composition and white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()) if isinstance(text, str) else text


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) or (empty(one) and empty(other))


def _by(key: Callable[[Any], Any]) -> Compare:
    def same(one: Any, other: Any) -> bool:
        if empty(one) or empty(other):
            return empty(one) and empty(other)
        return bool(key(one) == key(other))

    return same


def _loosely(key: Callable[[Any], Any]) -> Compare:
    """Where what is left of a value may be nothing, that is as good as empty."""

    def same(one: Any, other: Any) -> bool:
        left, right = (None if empty(value) or empty(key(value)) else key(value) for value in (one, other))
        return bool(left == right)

    return same


def _as_set(value: Any) -> Any:
    return frozenset(value) if isinstance(value, list | tuple) else frozenset({value})


def _as_set_folded(value: Any) -> Any:
    return frozenset(folded(one) for one in _as_set(value))


def _day(value: Any) -> Any:
    return value[:10] if isinstance(value, str) else value


def _near(one: Any, other: Any) -> bool:
    """Moments of one second; of one minute, where a side keeps whole minutes alone."""
    if empty(one) or empty(other):
        return empty(one) and empty(other)
    try:
        left, right = datetime.fromisoformat(one), datetime.fromisoformat(other)
    except (TypeError, ValueError):
        return bool(one == other)
    if (left.tzinfo is None) is not (right.tzinfo is None):
        return False
    whole = any((moment.second, moment.microsecond) == (0, 0) for moment in (left, right))
    return abs(left - right) < timedelta(minutes=1 if whole else 0, seconds=0 if whole else 1)


def _rounded(one: Any, other: Any) -> bool:
    """Numbers of which one is the other, written with fewer digits."""
    if empty(one) or empty(other):
        return empty(one) and empty(other)
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other)):
        return bool(one == other)
    if abs(one - other) <= SINGLE_PRECISION * max(abs(one), abs(other)):
        return True
    longer, shorter = sorted((one, other), key=_places, reverse=True)
    unit = 10.0 ** _places(shorter)
    # Rounded, or cut off.
    return _places(longer) != _places(shorter) and (
        abs(longer - shorter) * unit <= 0.5 + SINGLE_PRECISION or math.trunc(longer * unit) == shorter * unit
    )


def _places(value: float) -> int:
    """How many decimals a number is written with."""
    text = repr(float(value))
    if "e" in text or "." not in text:
        return 0 if abs(value) >= 1 else 17
    decimals = text.partition(".")[2]
    return 0 if decimals == "0" else len(decimals)


def _digits(value: Any) -> Any:
    """A phone number as it is dialled: digits, and "+" before a country's code."""
    if not isinstance(value, str):
        return value
    kept = "".join(character for character in value if character.isdigit() or character in "+#xX")
    kept = kept.replace("x", "#").replace("X", "#")
    return "+" + kept[2:] if kept.startswith("00") else kept


def _local_phones(one: Any, other: Any) -> bool:
    if empty(one) or empty(other):
        return empty(one) and empty(other)
    left, right = _digits(one), _digits(other)
    if left == right or not isinstance(left, str) or not isinstance(right, str):
        return bool(left == right)
    shorter, longer = sorted((left.lstrip("+0"), right.lstrip("+0")), key=len)
    return len(shorter) >= LOCAL_DIGITS and longer.endswith(shorter)
