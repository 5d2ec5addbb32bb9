"""Values from JSON and back, by their declared types: keys in camelCase, unions as `{kind: body}`, nulls left out.

What is stored was checked when it was saved, so loading asks for nothing but the shape.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from engine import naming
from engine.workflows.definition.actions import Action
from engine.workflows.definition.values import Definition

T = TypeVar("T")


def load(document: Mapping[str, Any]) -> Definition:
    """A stored definition."""
    return load_as(Definition, document)


def dump(definition: Definition) -> dict[str, Any]:
    """The definition as it is stored."""
    dumped: dict[str, Any] = _dumped(definition, Definition)
    return dumped


def load_as(kind: type[T], document: Any) -> T:
    """A value of a dataclass from its document."""
    loaded: T = _loaded(document, kind)
    return loaded


def kind(value: Any) -> str:
    """The key under which a trigger or an action stands: its class in camelCase."""
    return _camel(type(value).__name__)


def key(name: str) -> str:
    """The key of a field: `from_` is "from", `own_where` is "ownWhere"."""
    return naming.camel(name.rstrip("_"))


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


@cache
def _fields(kind: type[Any]) -> tuple[tuple[str, str, Any, Any], ...]:
    """(field, key, type, default) of a dataclass; without a default: MISSING."""
    hints = get_type_hints(kind)
    return tuple((one.name, key(one.name), hints[one.name], _default(one)) for one in fields(kind))


def _default(field: "Field[Any]") -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


@cache
def _alternatives(hint: Any) -> dict[str, type[Any]] | None:
    """{key: class} where `hint` is a union of several dataclasses."""
    if get_origin(hint) not in (Union, types.UnionType):
        return None
    classes = [one for one in get_args(hint) if isinstance(one, type) and is_dataclass(one)]
    return {_camel(one.__name__): one for one in classes} if len(classes) > 1 else None


@cache
def _plain(hint: Any) -> Any:
    """`X` of `X | None`, where nothing else is in the union."""
    if get_origin(hint) in (Union, types.UnionType):
        rest = [one for one in get_args(hint) if one is not types.NoneType]
        if len(rest) == 1:
            return rest[0]
    return hint


def _loaded(document: Any, hint: Any) -> Any:
    if document is None:
        return None
    hint = _plain(hint)
    if (classes := _alternatives(hint)) is not None:
        ((name, body),) = document.items()
        return _loaded(body, classes[name])
    if get_origin(hint) is tuple:
        return tuple(_loaded(part, get_args(hint)[0]) for part in document)
    if isinstance(hint, type) and is_dataclass(hint):
        given = {
            name: _loaded(document[key], part)
            for name, key, part, _ in _fields(hint)
            if document.get(key) is not None
        }
        return hint(**given)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(document)
    return document


def _dumped(value: Any, hint: Any) -> Any:
    hint = _plain(hint)
    if (classes := _alternatives(hint)) is not None:
        return {kind(value): _dumped(value, classes[kind(value)])}
    if get_origin(hint) is tuple:
        return [_dumped(part, get_args(hint)[0]) for part in value]
    if isinstance(hint, type) and is_dataclass(hint):
        # Actions spell everything out that there is: what is stored tells a reader all.
        always = issubclass(hint, Action)
        return {
            key: _dumped(getattr(value, name), part)
            for name, key, part, default in _fields(hint)
            if getattr(value, name) is not None
            and (getattr(value, name) != default or (always and name in ("id", "on_error")))
        }
    return value.value if isinstance(value, StrEnum) else value
