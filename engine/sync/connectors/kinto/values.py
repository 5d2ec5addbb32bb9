"""Records as items, and fields as what is sent."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine.sync.connectors.protocol import FieldType, Item, Links, RemoteField, RemoteObject

# What ids of Kinto look like: all others are nobody's.
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?")
# Milliseconds since 1970 in so many digits compare as texts.
_DIGITS = 16


def version(last_modified: int) -> str:
    """A record's time as a version: the greater text is the later one."""
    return f"{last_modified:0{_DIGITS}d}"


def etag(text: str) -> str:
    """A version as If-Match takes it."""
    return f'"{int(text)}"'


def moment(last_modified: int) -> datetime:
    """A record's time."""
    return datetime.fromtimestamp(last_modified / 1000, UTC)


def item(object_: RemoteObject, record: Mapping[str, Any], url: str) -> Item:
    """A record, or the tombstone of one, as an item."""
    changed = int(record["last_modified"])
    deleted = record.get("deleted") is True
    return Item(
        external_id=str(record["id"]),
        fields={} if deleted else fields(object_, record),
        version=version(changed),
        modified_at=moment(changed),
        associations={} if deleted else {role.name: _ends(record.get(role.name)) for role in object_.roles},
        deleted=deleted,
        url=None if deleted else url,
    )


def fields(object_: RemoteObject, record: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a record, those that are empty left out."""
    read = {one.name: _read(one, record.get(one.name)) for one in object_.fields}
    return {name: value for name, value in read.items() if value is not None}


def sent(values: Mapping[str, Any], object_: RemoteObject, links: Links) -> dict[str, Any]:
    """Fields and roles as a record holds them; None: the field goes."""
    body: dict[str, Any] = dict(values)
    touched = {**links.added, **links.removed, **links.all}
    for role in object_.roles:
        if role.name in touched and not role.read_only:
            ends = links.all.get(role.name, ())
            body[role.name] = (
                list(ends) if role.many else next(iter((*links.added.get(role.name, ()), *ends)), None)
            )
    return body


def _ends(value: Any) -> tuple[str, ...]:
    """Ids in a field of a role, each once."""
    if isinstance(value, list):
        return tuple(dict.fromkeys(one for one in value if isinstance(one, str) and one))
    return (value,) if isinstance(value, str) and value else ()


def _read(field: RemoteField, value: Any) -> Any:
    """A value as Relata writes it. What is not of the field's type comes as it is: who takes it in will say so."""
    if value is None or value == "" or value == []:
        return None
    if field.multiple:
        return [text(one) for one in value] if isinstance(value, list) else [text(value)]
    match field.type:
        case FieldType.NUMBER:
            return int(value) if isinstance(value, float) and value.is_integer() else value
        case FieldType.DATE if isinstance(value, str) and MOMENT.fullmatch(value):
            return value[:10]
        case FieldType.DATETIME if isinstance(value, str):
            return _moment(value)
        case FieldType.STRING | FieldType.PHONE | FieldType.CHOICE:
            return text(value)
    return value


def text(value: Any) -> str:
    """Any value as a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _moment(value: str) -> str:
    """A time in UTC with three digits; what is none stays."""
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return value
    known = read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    return known.isoformat(timespec="milliseconds").replace("+00:00", "Z")
