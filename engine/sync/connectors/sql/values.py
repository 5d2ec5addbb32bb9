"""What a column holds, as a field's value, and back. Dates and moments come from every driver as texts."""

import datetime as dt
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

from engine.sync.categories import Category
from engine.sync.connectors.protocol import FieldType, Rejected

# Whole numbers beyond this are no longer exact as JSON numbers.
_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Kind:
    """How one column is read and written. `read` None: as it comes. `write` None: never written."""

    type: FieldType
    read: Callable[[Any], Any] | None = None
    write: Callable[[Any], Any] | None = None
    options: tuple[str, ...] = ()
    multiple: bool = False
    max_length: int | None = None
    lossy: bool = False


class Unfit(ValueError):
    """The column cannot hold this value."""

    def __init__(self, message: str, category: Category = Category.INVALID_VALUE) -> None:
        super().__init__(message)
        self.category = category

    def rejected(self, field: str) -> Rejected:
        """The same, as the connector says it."""
        return Rejected(f'"{field}": {self}', self.category, field)


def kind(column_type: TypeEngine[Any], dialect: str) -> Kind | None:
    """How a column of this type is read and written; None: it holds what no field can (bytes, JSON)."""
    if isinstance(column_type, postgresql.DOMAIN):
        column_type = column_type.data_type
    if isinstance(column_type, mysql.TINYINT) and column_type.display_width == 1:
        return _boolean(dialect)
    for type_, make in _KINDS:
        if isinstance(column_type, type_):
            return make(column_type, dialect)
    return None


# --- reading -----------------------------------------------------------------------------------------------------


def moment(value: Any) -> Any:
    """A moment with or without a time zone (none: UTC), to the millisecond; what is none stays as it is."""
    text = str(value)
    if len(text) >= 19 and text[4] == "-" and text[10] in " T":
        rest = text[19:]
        if rest.endswith("+00"):
            rest = rest[:-3]
        if not rest or (rest[0] == "." and rest[1:].isdigit()):
            return f"{text[:10]}T{text[11:19]}.{rest[1:4]:0<3}Z"
    found = instant(text)
    return text if found is None else written(found)


def instant(text: str) -> dt.datetime | None:
    """The moment that a text of a database tells, in UTC; None where it tells none."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)


def written(at: dt.datetime) -> str:
    """A moment as a field's value."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _day(value: Any) -> Any:
    return str(value)[:10]


def number(value: Any) -> Any:
    """A number: whole ones as integers. What is none stays as it is."""
    if isinstance(value, bool | int):
        return int(value) if -(2**63) <= value < 2**64 else float(value)
    try:
        found = float(value)
    except (ValueError, TypeError, OverflowError):
        return str(value)
    if not math.isfinite(found):
        return None
    return int(found) if found.is_integer() and abs(found) < _EXACT else found


def _truth(value: Any) -> Any:
    return bool(value)


def _text(value: Any) -> Any:
    """A text; an empty one is no value."""
    if isinstance(value, bytes):
        # Of a database that holds anything in any column.
        value = readable(value)
    return (value if isinstance(value, str) else str(value)) or None


def readable(raw: bytes) -> str:
    """A text of these bytes: what is none is marked, so that one row of thousands keeps nobody from the others."""
    return raw.decode("utf-8", "replace")


# --- writing -----------------------------------------------------------------------------------------------------


def _writes_text(length: int | None) -> Callable[[Any], Any]:
    def write(value: Any) -> Any:
        if not isinstance(value, str):
            raise Unfit("a text is expected")
        if "\x00" in value:
            raise Unfit("a text must not hold NUL")
        if length is not None and len(value) > length:
            fit = "only one character fits" if length == 1 else f"at most {length} characters fit"
            raise Unfit(fit, Category.VALUE_TOO_LONG)
        return value

    return write


def _writes_choice(options: tuple[str, ...]) -> Callable[[Any], Any]:
    def write(value: Any) -> Any:
        if not isinstance(value, str) or value not in options:
            raise Unfit(f'"{value}" is none of its options', Category.OPTION_NOT_FOUND)
        return value

    return write


def _writes_list(item: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def write(value: Any) -> Any:
        return [item(each) for each in (value if isinstance(value, list) else [value])]

    return write


def _is_number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unfit("a number is expected")
    return value


def _whole(value: Any) -> int:
    found = _is_number(value)
    if found != int(found):
        raise Unfit("a whole number is expected")
    return int(found)


def _exact(value: Any) -> Decimal:
    return Decimal(str(_is_number(value)))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unfit("true or false is expected")
    return value


def at(value: Any) -> dt.datetime:
    """The moment that a field's value tells. Raises Unfit."""
    found = instant(value) if isinstance(value, str) else None
    if found is None:
        raise Unfit("a moment is expected")
    return found


def _writes_moment(zoned: bool, dialect: str) -> Callable[[Any], Any]:
    if dialect == "sqlite":
        return lambda value: written(at(value)).replace("T", " ").removesuffix("Z")
    return at if zoned else lambda value: at(value).replace(tzinfo=None)


def _writes_day(dialect: str) -> Callable[[Any], Any]:
    def write(value: Any) -> Any:
        try:
            found = dt.date.fromisoformat(value[:10])
        except (ValueError, TypeError):
            raise Unfit("a date is expected") from None
        return found.isoformat() if dialect == "sqlite" else found

    return write


def _writes_time(dialect: str) -> Callable[[Any], Any]:
    def write(value: Any) -> Any:
        try:
            found = dt.time.fromisoformat(value)
        except (ValueError, TypeError):
            raise Unfit("a time of day is expected") from None
        return found.isoformat() if dialect == "sqlite" else found

    return write


def _unique_id(value: Any) -> uuid.UUID:
    try:
        return uuid.UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise Unfit("a UUID is expected") from None


# --- by type -----------------------------------------------------------------------------------------------------


def _boolean(dialect: str) -> Kind:
    loose = dialect != "postgresql"
    return Kind(
        FieldType.BOOLEAN, _truth if loose else None, (lambda value: int(_flag(value))) if loose else _flag
    )


def _enum(column_type: Any, dialect: str) -> Kind:
    options = tuple(column_type.enums)
    return Kind(FieldType.CHOICE, _text, _writes_choice(options), options)


def _set(column_type: Any, dialect: str) -> Kind:
    options = tuple(column_type.values)
    check = _writes_list(_writes_choice(options))
    return Kind(
        FieldType.CHOICE,
        # As the database writes it: one text.
        lambda value: value.split(",") if value else None,
        lambda value: ",".join(check(value)),
        options,
        multiple=True,
    )


def _array(column_type: Any, dialect: str) -> Kind | None:
    item = kind(column_type.item_type, dialect)
    if (column_type.dimensions or 1) != 1 or item is None or item.write is None:
        return None
    if not isinstance(column_type.item_type, sa.String):
        return None

    def read(value: Any) -> Any:
        if isinstance(value, str):
            # An array of an enumeration, which the driver does not know.
            value = [part.strip('"') for part in value[1:-1].split(",")] if len(value) > 2 else []
        return list(value) or None

    return Kind(FieldType.CHOICE, read, _writes_list(item.write), item.options, multiple=True)


def _string(column_type: Any, dialect: str) -> Kind:
    length = column_type.length
    return Kind(
        FieldType.STRING,
        _text,
        _writes_text(length),
        max_length=length,
    )


def _integer(column_type: Any, dialect: str) -> Kind:
    return Kind(FieldType.NUMBER, number if dialect == "sqlite" else None, _whole)


def _float(column_type: Any, dialect: str) -> Kind:
    return Kind(FieldType.NUMBER, number, lambda value: float(_is_number(value)), lossy=True)


def _numeric(column_type: Any, dialect: str) -> Kind:
    write: Callable[[Any], Any] = _is_number if dialect == "sqlite" else _exact
    # The database rounds to its scale.
    return Kind(FieldType.NUMBER, number, write, lossy=True)


def _other(column_type: Any, dialect: str) -> Kind:
    return Kind(FieldType.STRING, _text)


_KINDS: tuple[tuple[type[TypeEngine[Any]], Callable[[Any, str], Kind | None]], ...] = (
    (sa.Enum, _enum),
    (mysql.SET, _set),
    (sa.ARRAY, _array),
    (sa.String, _string),
    (sa.Boolean, lambda _, dialect: _boolean(dialect)),
    (sa.Integer, _integer),
    (sa.Float, _float),
    (sa.Numeric, _numeric),
    (
        sa.DateTime,
        lambda type_, dialect: Kind(
            FieldType.DATETIME, moment, _writes_moment(bool(type_.timezone), dialect), lossy=True
        ),
    ),
    (sa.Date, lambda _, dialect: Kind(FieldType.DATE, _day, _writes_day(dialect))),
    (sa.Time, lambda _, dialect: Kind(FieldType.STRING, _text, _writes_time(dialect), lossy=True)),
    (sa.Uuid, lambda _, dialect: Kind(FieldType.STRING, _text, _unique_id, lossy=True)),
    (postgresql.INET, _other),
    (postgresql.CIDR, _other),
    (postgresql.MACADDR, _other),
    (postgresql.MONEY, _other),
    (mysql.YEAR, _other),
)
