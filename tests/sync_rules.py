"""Rules of a sync made by hand: properties, fields and mappings for tests of what is pure."""

from collections.abc import Mapping as Map
from datetime import UTC, datetime
from typing import Any

from engine.sync.connectors.protocol import Capabilities, FieldType, RemoteField, RemoteObject
from engine.sync.rules import Direction, Mapping, Policy, Rules
from storage.catalogue import ObjectTypeRow, PropertyRow

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


def prop(name: str = "it", type: str = "STRING", **other: Any) -> PropertyRow:
    """A property; `options` as values."""
    options = tuple({"value": value, "label": value.title()} for value in other.pop("options", ()))
    given: dict[str, Any] = {
        "id": other.pop("id", 7),
        "object_type_id": 1,
        "name": name,
        "label": name.title(),
        "group_name": "custom",
        "description": None,
        "type": type,
        "field": "",
        "multiple": False,
        "is_unique": False,
        "required": False,
        "searchable": False,
        "read_only": False,
        "calculated": False,
        "options": options,
        "created_at": T0,
        "archived_at": None,
    }
    return PropertyRow(**given | other)


def theirs(name: str = "Its", type: FieldType = FieldType.STRING, **other: Any) -> RemoteField:
    """A field of the other app."""
    return RemoteField(name, name.title(), type, **other)


def mapping(
    ours: PropertyRow,
    field: RemoteField,
    *,
    id: int = 1,
    direction: Direction = Direction.BOTH,
    policy: Policy = Policy.OURS,
    options: Map[str, str] | None = None,
) -> Mapping:
    """What holds the same."""
    return Mapping(id, ours, field, direction, policy, options or {})


def rules(*mappings: Mapping, direction: Direction = Direction.BOTH, **other: Any) -> Rules:
    """Contacts here, people there."""
    properties = {one.property.name: one.property for one in mappings}
    contacts = ObjectTypeRow(
        1, "contacts", "Contact", "Contacts", None, "STANDARD", True, None, T0, properties
    )
    people = RemoteObject("people", "People", tuple(one.field for one in mappings))
    given: dict[str, Any] = {"policy": Policy.OURS, "matchers": (), "capabilities": Capabilities()}
    return Rules(1, contacts, people, direction=direction, mappings=mappings, **given | other)
