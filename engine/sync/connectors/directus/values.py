"""Directus's items as ours, and ours as what is sent."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from engine.sync.connectors.directus.shapes import INTEGER, UUID, Shape
from engine.sync.connectors.protocol import FieldType, Item, Links, RemoteField, Value

# The largest integer that databases have as a key.
_LARGEST = 2**63 - 1
_LONGEST = 255


def item(shape: Shape, row: Mapping[str, Any], base: str) -> Item:
    """A row as an item. Its version is a digest of all that was read: dates alone miss what lists say."""
    known = fields(shape, row)
    associations = {role.name: _ends(shape, role.name, row.get(role.name)) for role in shape.object.roles}
    external_id = str(row[shape.key])
    told = orjson.dumps(
        [known, {name: sorted(ends) for name, ends in associations.items()}], option=orjson.OPT_SORT_KEYS
    )
    changed = max(
        (str(known[name]) for name in (shape.created, shape.updated) if name and known.get(name)), default=""
    )
    return Item(
        external_id=external_id,
        fields=known,
        version=hashlib.blake2b(told, digest_size=16).hexdigest(),
        modified_at=datetime.fromisoformat(changed) if changed else None,
        associations=associations,
        url=f"{base}admin/content/{shape.object.name}/{external_id}",
    )


def fields(shape: Shape, row: Mapping[str, Any]) -> dict[str, Value]:
    """The values of a row, those that are empty left out."""
    read = {one.name: _read(one, row.get(one.name)) for one in shape.object.fields}
    return {name: value for name, value in read.items() if value is not None}


def key(shape: Shape, external_id: str) -> str | int | None:
    """An id as the collection's keys are; None: nobody's."""
    if shape.key_type == INTEGER:
        plain = external_id.isascii() and external_id.isdigit() and str(int(external_id)) == external_id
        # Zero is what Directus takes for a new item.
        return int(external_id) if plain and 0 < int(external_id) <= _LARGEST else None
    if shape.key_type == UUID:
        try:
            return external_id if str(uuid.UUID(external_id)) == external_id else None
        except ValueError:
            return None
    return external_id if 0 < len(external_id) <= _LONGEST and "\0" not in external_id else None


def sent(
    shape: Shape, values: Mapping[str, Value], links: Links, present: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What is written; `present`: the row as it is, where lists are to be changed; None: there is none yet."""
    known = {one.name: one for one in shape.object.fields}
    body: dict[str, Any] = {
        name: _written(known.get(name), shape.kinds.get(name, ""), value) for name, value in values.items()
    }
    touched = {**links.added, **links.removed, **links.all}
    for role in shape.object.roles:
        if role.name not in touched or role.read_only:
            continue
        wanted = links.all.get(role.name, ())
        if role.name not in shape.junctions:
            # What is new goes before what stood there.
            body[role.name] = next(iter((*links.added.get(role.name, ()), *wanted)), None)
            continue
        junction = shape.junctions[role.name]
        rows: Sequence[Mapping[str, Any]] = (present or {}).get(role.name) or ()
        held = {str(_end(row.get(junction.field))) for row in rows}
        body[role.name] = {
            "create": [{junction.field: end} for end in dict.fromkeys(wanted) if end not in held],
            "update": [],
            "delete": [row[junction.key] for row in rows if str(_end(row.get(junction.field))) not in wanted],
        }
    return body


def _ends(shape: Shape, role: str, value: Any) -> tuple[str, ...]:
    """The ids at the other end, each once."""
    if role in shape.junctions:
        field = shape.junctions[role].field
        ends = [_end(row.get(field)) for row in value or () if isinstance(row, dict)]
        return tuple(dict.fromkeys(str(end) for end in ends if end is not None))
    end = _end(value)
    return () if end is None else (str(end),)


def _end(value: Any) -> Any:
    """A related item's key, whether it came alone or within the item."""
    return value.get("id") if isinstance(value, dict) else value


def _read(field: RemoteField, value: Any) -> Value:
    """A value as Relata writes it."""
    if value is None or value == "" or value == []:
        return None
    if field.multiple:
        return [str(one) for one in value] if isinstance(value, list) else [str(value)]
    match field.type:
        case FieldType.NUMBER:
            return _number(value)
        case FieldType.DATE:
            return str(value)[:10]
        case FieldType.DATETIME:
            return _moment(str(value))
        case FieldType.STRING | FieldType.PHONE | FieldType.CHOICE:
            return value if isinstance(value, str) else orjson.dumps(value).decode()
    return value


def _number(value: Any) -> Value:
    """Decimals and large integers come as texts."""
    if isinstance(value, str):
        try:
            value = int(value) if value.lstrip("-").isdigit() else float(value)
        except ValueError:
            return value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(value: str) -> str:
    """A time in UTC with three digits. Without a zone it is UTC: so it was sent."""
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return value
    known = read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    return known.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _written(field: RemoteField | None, kind: str, value: Value) -> Any:
    """A value as Directus takes it."""
    if kind == "dateTime" and isinstance(value, str):
        # Without a zone: there it has none.
        return value.removesuffix("Z")
    if field is not None and field.multiple and kind == "csv" and isinstance(value, list):
        return ",".join(value)
    return value
