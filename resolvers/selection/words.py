"""What names in a query stand for: fields as parts of a selection, arguments as plain values."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import orjson

from engine import ids
from resolvers import listings
from resolvers.listings import Asked
from storage.catalogue import AssociationTypeRow
from storage.selection.tree import Constant, EdgeFact, PageFact

MOMENTS = {
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "archivedAt": "archived_at",
    "lastAssociationChangeAt": "last_association_change_at",
}
PAGE_FACTS = {
    "hasNextPage": PageFact.HAS_NEXT,
    "hasPreviousPage": PageFact.HAS_PREVIOUS,
    "startCursor": PageFact.START,
    "endCursor": PageFact.END,
}
EDGE_FACTS = {
    "cursor": EdgeFact.CURSOR,
    "createdAt": EdgeFact.ASSOCIATED_AT,
    "source": EdgeFact.ASSOCIATION_SOURCE,
}


class NotCompiled(Exception):
    """Something here is no part of compiled selections."""


def plain(value: Any) -> Any:
    """Arguments as plain values: enumerations by name."""
    match value:
        case Enum():
            return value.name
        case dict():
            return {name: plain(part) for name, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
        case _:
            return value


def page_asked(arguments: Mapping[str, Any]) -> Asked:
    """The arguments of a list."""
    return Asked(
        listings.definition(arguments.get("where")),
        arguments.get("orderBy") or (),
        arguments.get("first"),
        arguments.get("after"),
        arguments.get("last"),
        arguments.get("before"),
    )


def constant(value: Any) -> Constant:
    """A value as finished JSON."""
    return Constant(orjson.dumps(value).decode())


def fact_of(name: str, facts: Mapping[str, Any]) -> Any:
    """What a field's name stands for; raises `NotCompiled`."""
    found = facts.get(name)
    if found is None:
        raise NotCompiled
    return found


def label_text(fields: Iterable[tuple[str, str | Constant]], row: AssociationTypeRow) -> str:
    """A label as JSON text; `fields` are names of its fields by key, or constants."""
    facts = {
        "name": row.name,
        "label": row.label,
        "typeId": ids.encode("association type", row.id),
        "category": row.category,
    }
    if any(isinstance(name, str) and name not in facts for _, name in fields):
        raise NotCompiled
    found = {
        key: orjson.Fragment(name.text) if isinstance(name, Constant) else facts[name] for key, name in fields
    }
    return orjson.dumps(found).decode()
