"""Types under which inputs are read again: the same fields with the same descriptions, made from the inputs.

A filter is told as JSON in the form of `FilterInput`. A document (see `engine.workflows.definition.document`) has the
inputs' keys; what it leaves out stands at the input's default.
"""

from collections.abc import Mapping
from dataclasses import MISSING
from typing import Annotated, Any, Optional

import strawberry
from strawberry.types.base import StrawberryList, StrawberryOptional, get_object_definition
from strawberry.types.lazy_type import LazyType
from strawberry.utils.str_converters import to_camel_case

from schema.filters import FilterInput
from schema.scalars import JSON

# {input: its output}, and {input of exactly one field: the module and the name of the union that it is read as}.
OUTPUTS: dict[type[Any], type[Any]] = {}
UNIONS: dict[type[Any], tuple[str, str]] = {}


def union(kind: type[Any], module: str, name: str) -> None:
    """Read a @oneOf input as the union `name`, which is to be found in `module`."""
    UNIONS[kind] = module, name


def mirrored(kind: type[Any], name: str, *, hidden: Mapping[str, str] | None = None) -> type[Any]:
    """The type `name` under which an input is read; of `hidden` fields is told only whether there is a value.

    `hidden` is {field: the name of the field that tells so}.
    """
    hidden = hidden or {}
    members: dict[str, Any] = {"__doc__": kind.__doc__, "__annotations__": {}}
    for field in _fields(kind):
        told = hidden.get(field.python_name)
        if told is not None:
            members["__annotations__"][told] = bool
            members[told] = strawberry.field(description=f"Whether there is one. {field.description}")
        else:
            members["__annotations__"][field.python_name] = _annotation(field.type)
            members[field.python_name] = strawberry.field(
                description=field.description, name=field.graphql_name
            )
    made: type[Any] = strawberry.type(type(name, (), members), name=name)
    OUTPUTS[kind] = made
    made.__hidden__ = hidden
    return made


def read(kind: type[Any], document: Mapping[str, Any]) -> Any:
    """The output of an input's document."""
    if kind in UNIONS:
        ((key, body),) = ((key, body) for key, body in document.items() if body is not None)
        (field,) = (field for field in _fields(kind) if _key(field) == key)
        return read(_inner(field.type), body)
    made = OUTPUTS[kind]
    hidden: Mapping[str, str] = made.__hidden__
    values: dict[str, Any] = {}
    for field in _fields(kind):
        given = document.get(_key(field))
        if field.python_name in hidden:
            values[hidden[field.python_name]] = given is not None
        else:
            values[field.python_name] = _default(field) if given is None else _value(field.type, given)
    return made(**values)


def _fields(kind: type[Any]) -> list[Any]:
    definition: Any = get_object_definition(kind, strict=True)
    return list(definition.fields)


def _key(field: Any) -> str:
    return field.graphql_name or to_camel_case(field.python_name)


def _default(field: Any) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return None if field.default in (MISSING, strawberry.UNSET) else field.default


def _inner(declared: Any) -> Any:
    while isinstance(declared, StrawberryOptional | StrawberryList):
        declared = declared.of_type
    return _found(declared)


def _found(declared: Any) -> Any:
    return declared.resolve_type() if isinstance(declared, LazyType) else declared


def _annotation(declared: Any) -> Any:
    if isinstance(declared, StrawberryOptional):
        return Optional[_annotation(declared.of_type)]  # noqa: UP045 - made of values, not written
    if isinstance(declared, StrawberryList):
        return list[_annotation(declared.of_type)]  # type: ignore[misc]
    declared = _found(declared)
    if declared is FilterInput:
        return JSON
    if declared in UNIONS:
        module, name = UNIONS[declared]
        return Annotated[name, strawberry.lazy(module)]
    return OUTPUTS.get(declared, declared)


def _value(declared: Any, given: Any) -> Any:
    if isinstance(declared, StrawberryOptional):
        return None if given is None else _value(declared.of_type, given)
    if isinstance(declared, StrawberryList):
        return [_value(declared.of_type, part) for part in given]
    declared = _found(declared)
    if declared in UNIONS or declared in OUTPUTS:
        return read(declared, given)
    enum_class = getattr(declared, "wrapped_cls", None)
    return given if enum_class is None else enum_class[given]
