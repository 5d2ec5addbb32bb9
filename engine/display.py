"""How a record is called: words that are the same wherever they are made (compiled queries make them in SQL)."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from engine import ids
from storage.catalogue import ObjectTypeRow


def display_name(of: ObjectTypeRow, record_id: int, properties: Mapping[str, Any]) -> str:
    """The first alternative of the object type's rule that has any value, joined by spaces; else the id."""
    for names in of.display:
        called = " ".join(_words(properties[name]) for name in names if properties.get(name) is not None)
        if called:
            return called
    return ids.encode("record", record_id)


def _words(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            # Never in powers of ten.
            return format(Decimal(repr(value)), "f")
        case _:
            return orjson.dumps(value).decode()
