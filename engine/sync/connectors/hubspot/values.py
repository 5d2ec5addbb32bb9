"""Values, as HubSpot writes them: everything is text, and empty is ""."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from engine.sync.connectors.protocol import FieldType, RemoteField, RemoteObject, Value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decoded(object_: RemoteObject, properties: Mapping[str, str | None]) -> dict[str, Value]:
    """Those of an item's properties that the object has fields for, as Relata writes values."""
    return {
        field.name: decode(field, properties[field.name])
        for field in object_.fields
        if field.name in properties
    }


def encoded(object_: RemoteObject, fields: Mapping[str, Value]) -> dict[str, str]:
    """Values of fields as HubSpot takes them."""
    known = {field.name: field for field in object_.fields}
    return {name: encode(known.get(name), value) for name, value in fields.items()}


def decode(field: RemoteField, text: str | None) -> Value:
    """A value as Relata writes it. What is not of the field's type stays the text that it is."""
    if not text:
        return None
    match field.type:
        case FieldType.NUMBER:
            return _number(text)
        case FieldType.BOOLEAN:
            return {"true": True, "false": False}.get(text.lower(), text)
        case FieldType.DATE:
            moment = parsed(text)
            return moment.strftime("%Y-%m-%d") if moment else text
        case FieldType.DATETIME:
            moment = parsed(text)
            return iso(moment) if moment else text
        case FieldType.CHOICE if field.multiple:
            return [each for each in text.split(";") if each] or None
    return text


def encode(field: RemoteField | None, value: Value) -> str:
    """A value as HubSpot takes it: days and moments by ISO 8601, several choices between semicolons."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            # Never with an exponent.
            return format(Decimal(repr(value)), "f")
        case list():
            return ";".join(encode(field, each) for each in value)
    return str(value)


def iso(moment: datetime) -> str:
    """A moment as Relata writes it: UTC, milliseconds."""
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def milliseconds(moment: datetime) -> int:
    """A moment as search takes it."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _number(text: str) -> Any:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite():
        return text
    return int(number) if number == number.to_integral_value() else float(number)


def parsed(text: str) -> datetime | None:
    """A day or a moment, None for neither: ISO 8601, or milliseconds since 1970."""
    try:
        if text.removeprefix("-").isdecimal():
            return EPOCH + timedelta(milliseconds=int(text))
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
