"""What an app has told of its objects, as it is kept: JSON without what goes without saying, and back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any

from engine.sync.connectors.protocol import (
    Capabilities,
    FieldType,
    RemoteField,
    RemoteObject,
    RemoteRole,
)

# Kept as seconds.
_SPANS = frozenset({"pace", "overlap"})


def to_json(objects: Iterable[RemoteObject]) -> list[dict[str, Any]]:
    """Objects as a connection keeps them."""
    return [_object(one) for one in objects]


def from_json(kept: Sequence[Mapping[str, Any]]) -> list[RemoteObject]:
    """Objects as they were kept; what a later version has added goes without saying."""
    return [_read_object(one) for one in kept]


def find(kept: Sequence[Mapping[str, Any]], name: str) -> RemoteObject | None:
    """The object with this name, if there is one."""
    return next((_read_object(one) for one in kept if one["name"] == name), None)


def capabilities_of(app: Capabilities, remote: RemoteObject) -> Capabilities:
    """What can be done with this kind of item."""
    return remote.capabilities or app


def _object(one: RemoteObject) -> dict[str, Any]:
    said = _said(one, "fields", "roles", "found_by", "capabilities")
    said["fields"] = [_field(each) for each in one.fields]
    if one.roles:
        said["roles"] = [_said(each) for each in one.roles]
    if one.found_by:
        said["found_by"] = sorted(one.found_by)
    if one.capabilities is not None:
        said["capabilities"] = {
            name: value.total_seconds() if isinstance(value, timedelta) else value
            for name, value in _said(one.capabilities).items()
        }
    return said


def _field(one: RemoteField) -> dict[str, Any]:
    said = _said(one, "type", "options")
    said["type"] = one.type.value
    if one.options:
        said["options"] = [list(pair) for pair in one.options]
    return said


def _read_object(kept: Mapping[str, Any]) -> RemoteObject:
    given = _known(RemoteObject, kept)
    given["fields"] = tuple(_read_field(one) for one in kept["fields"])
    given["roles"] = tuple(RemoteRole(**_known(RemoteRole, one)) for one in kept.get("roles", ()))
    given["found_by"] = frozenset(kept.get("found_by", ()))
    if (capabilities := kept.get("capabilities")) is not None:
        said = _known(Capabilities, capabilities)
        for name in _SPANS & said.keys():
            said[name] = timedelta(seconds=said[name])
        given["capabilities"] = Capabilities(**said)
    return RemoteObject(**given)


def _read_field(kept: Mapping[str, Any]) -> RemoteField:
    given = _known(RemoteField, kept)
    given["type"] = FieldType(kept["type"])
    given["options"] = tuple((value, title) for value, title in kept.get("options", ()))
    return RemoteField(**given)


def _said(one: Any, *but: str) -> dict[str, Any]:
    """What is not the default."""
    return {
        each.name: value
        for each in fields(one)
        if each.name not in but and (value := getattr(one, each.name)) != each.default
    }


def _known(kind: type[Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in kept.items() if name in names}
