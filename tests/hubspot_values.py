"""How HubSpot's stand-in takes values: as texts, each checked by its property's type, with the documented codes."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

LONGEST = 65_536
EMAIL = re.compile(r"[^@\s;,]+@[^@\s;,]+\.[^@\s;,.]+")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Invalid(Exception):
    """A value that is refused: a code, and words."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


def stored(object_: str, prop: Any, text: str) -> str:
    """A value as it is kept. "" empties. Raises Invalid."""
    if prop.read_only or prop.calculated:
        raise Invalid("READ_ONLY_VALUE", f'"{prop.name}" is a read only property; its value cannot be set.')
    if text == "":
        return ""
    match prop.type:
        case "number":
            return _number(text)
        case "bool":
            return _one_of(text, ("true", "false"), "INVALID_BOOLEAN")
        case "date":
            return _date(text)
        case "datetime":
            return _moment(text)
        case "enumeration" if prop.field_type == "checkbox":
            for each in text.split(";"):
                _one_of(each, prop.options, "INVALID_OPTION")
            return text
        case "enumeration" if not prop.external_options or prop.options:
            return _one_of(text, prop.options, "INVALID_OPTION")
    return _text(object_, prop, text)


def _text(object_: str, prop: Any, text: str) -> str:
    if len(text) > LONGEST:
        raise Invalid("TEXT_TOO_LONG", f"{prop.name} is longer than {LONGEST} characters")
    if prop.name == "email" and object_ == "contacts":
        if not EMAIL.fullmatch(text):
            raise Invalid("INVALID_EMAIL", f"Email address {text} is invalid")
        return text.lower()
    return text.lower() if prop.name == "domain" else text


def _one_of(text: str, options: tuple[str, ...], code: str) -> str:
    if text not in options:
        raise Invalid(code, f"{text} was not one of the allowed options: [{', '.join(options)}]")
    return text


def _number(text: str) -> str:
    try:
        # No exponents, no words: digits.
        if not re.fullmatch(r"-?\d+(\.\d+)?", text):
            raise InvalidOperation
        Decimal(text)
    except InvalidOperation:
        raise Invalid("INVALID_DOUBLE", f"{text} was not a valid number.") from None
    return text


def _date(text: str) -> str:
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        try:
            datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise Invalid("INVALID_DATE", f"{text} is not a day") from None
        return text
    moment = _milliseconds(text, "INVALID_DATE")
    if (moment - EPOCH) % DAY:
        raise Invalid("INVALID_DATE", f"{text} is at no midnight (UTC)")
    return moment.strftime("%Y-%m-%d")


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise Invalid("INVALID_DATE", f"{text} has no time zone")
    except ValueError:
        moment = _milliseconds(text, "INVALID_DATE")
    moment = moment.astimezone(UTC)
    # As HubSpot tells moments: without thousandths where there are none.
    thousandths = f".{moment.microsecond // 1000:03d}" if moment.microsecond else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{thousandths}Z"


def _milliseconds(text: str, code: str) -> datetime:
    if not re.fullmatch(r"-?\d{1,14}", text):
        raise Invalid(code, f"{text} is neither ISO 8601 nor milliseconds")
    return EPOCH + timedelta(milliseconds=int(text))
