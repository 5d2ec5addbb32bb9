"""The models of HubSpot's client as a check of JSON, both ways: nothing unknown, nothing missing, right types."""

import re
import sys
from datetime import datetime
from types import ModuleType
from typing import Any

from hubspot.crm.objects import Configuration  # type: ignore[import-untyped]

STRICT = Configuration()
STRICT.client_side_validation = True
# Said wrongly by the models: the API takes an object for each order.
ORDER = {"propertyName", "direction"}


class Malformed(Exception):
    """JSON that the models do not allow, and where."""


def checked(models: ModuleType, name: str, value: Any, at: str = "") -> None:
    """Check a value against a type of the client's: a model's name, `list[…]`, `dict[str, …]` or a plain one."""
    if found := re.fullmatch(r"list\[(.+)\]", name):
        _is(value, list, at)
        for n, each in enumerate(value):
            if at.endswith(".sorts") and isinstance(each, dict):
                _order(each, at)
            else:
                checked(models, found[1], each, f"{at}[{n}]")
    elif found := re.fullmatch(r"dict\[str, (.+)\]", name):
        _is(value, dict, at)
        for key, each in value.items():
            # A property without a value.
            if each is not None or found[1] != "str":
                checked(models, found[1], each, f"{at}.{key}")
    elif name in PLAIN:
        PLAIN[name](value, at)
    else:
        _model(models, name, value, at)


def _model(models: ModuleType, name: str, value: Any, at: str) -> None:
    _is(value, dict, at)
    model = getattr(models, name)
    attributes = {key: attribute for attribute, key in model.attribute_map.items()}
    for key, each in value.items():
        if key not in attributes:
            raise Malformed(f'{at}: unknown field "{key}" of {name}')
        if each is not None:
            checked(models, model.openapi_types[attributes[key]], each, f"{at}.{key}")
    try:
        model(
            **{attributes[key]: each for key, each in value.items()},
            local_vars_configuration=STRICT,
        )
    except ValueError as error:
        raise Malformed(f"{at}: {error}") from None


def _is(value: Any, type_: type, at: str) -> None:
    if not isinstance(value, type_) or (type_ is int and isinstance(value, bool)):
        raise Malformed(f"{at}: {value!r} is no {type_.__name__}")


def _order(value: dict[str, Any], at: str) -> None:
    if set(value) != ORDER or value["direction"] not in ("ASCENDING", "DESCENDING"):
        raise Malformed(f"{at}: {value!r} is no order")


def _datetime(value: Any, at: str) -> None:
    _is(value, str, at)
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise Malformed(f"{at}: {value!r} is no time") from None


PLAIN: dict[str, Any] = {
    "str": lambda value, at: _is(value, str, at),
    "int": lambda value, at: _is(value, int, at),
    "bool": lambda value, at: _is(value, bool, at),
    "object": lambda value, at: None,
    "datetime": _datetime,
}


def models_of(name: str) -> ModuleType:
    """A package's models: `objects`, `associations.v4`, …"""
    __import__(f"hubspot.crm.{name}.models")
    return sys.modules[f"hubspot.crm.{name}.models"]
