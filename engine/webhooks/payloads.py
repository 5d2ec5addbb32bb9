"""Payloads: where in them a value stands, and how it fits a property. Pure."""

import re
from typing import Any

import orjson

from engine import values
from engine.webhooks.problems import MalformedPayloadPath
from storage.catalogue import PropertyRow

# Names have neither dots nor brackets; an index stands in brackets, or as a name of digits.
STEP = re.compile(r"(?P<name>[^.\[\]]+)|\[(?P<index>\d{1,9})\]")
PATH = re.compile(r"(?:[^.\[\]]+|\[\d{1,9}\])(?:\.[^.\[\]]+|\[\d{1,9}\])*")
LONGEST_PATH = 500
# Beyond this, what reads JSON gives up, each reader at another depth.
DEEPEST = 100


def checked_path(path: str) -> str:
    """`path`, if it is one; raises `MalformedPayloadPath`."""
    if len(path) > LONGEST_PATH or PATH.fullmatch(path) is None or not path.isprintable():
        raise MalformedPayloadPath(path_text=values.shown(path))
    return path


def at(payload: Any, path: str) -> Any:
    """The value at a path of a payload; None where there is none."""
    found = payload
    for step in STEP.finditer(path):
        name, index = step["name"], step["index"]
        if isinstance(found, dict):
            found = found.get(name if name is not None else index)
        elif isinstance(found, list):
            number = index if index is not None else name
            place = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1
            found = found[place] if 0 <= place < len(found) else None
        else:
            return None
    return found


def fitted(prop: PropertyRow, value: Any) -> Any:
    """A value of a payload as one of a property, to be checked: others write numbers as text, and texts as numbers."""
    if isinstance(value, str) and prop.type in ("NUMBER", "BOOLEAN"):
        return values.parse(prop, value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and prop.type in ("STRING", "PHONE", "ENUMERATION"):
        return orjson.dumps(value).decode()
    return value


def decoded(body: bytes) -> Any:
    """A body as JSON that can be kept. Raises `ValueError`."""
    payload = orjson.loads(body)
    if _depth(payload) > DEEPEST:
        raise ValueError("too deep")
    return _storable(payload) if b"\\u0000" in body else payload


def _depth(payload: Any) -> int:
    found, level = 0, [payload]
    while level and found <= DEEPEST:
        parts = [part for part in level if isinstance(part, dict | list)]
        level = [inner for part in parts for inner in (part.values() if isinstance(part, dict) else part)]
        found += bool(parts)
    return found


def _storable(payload: Any) -> Any:
    """Without NUL, which the database cannot keep."""
    match payload:
        case str():
            return payload.replace("\0", "\ufffd")
        case dict():
            return {_storable(name): _storable(part) for name, part in payload.items()}
        case list():
            return [_storable(part) for part in payload]
        case _:
            return payload
