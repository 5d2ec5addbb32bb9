"""What the parts of a definition share while they are bound, and the checks that leaves have in common."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from engine.filters.operators import NEGATIVE, Operator
from engine.filters.problems import MalformedLeaf, UnknownOperator
from engine.problems import Problem
from engine.values import shown
from storage.catalogue import Catalogue, ObjectTypeRow


@dataclass(slots=True)
class Binding:
    """One definition on its way to a tree: whose it is, what it can name, and what is wrong so far."""

    definition_of: ObjectTypeRow
    catalogue: Catalogue
    time_zone: tzinfo
    problems: list[Problem] = field(default_factory=list)


def include_empty(body: Mapping[str, Any], object_type: ObjectTypeRow) -> bool:
    """Whether a record without a value meets the leaf `body` in a definition of `object_type`."""
    # These are about having a value, and NONE holds for whoever never had an association.
    if "to" not in body and body["operator"] in (Operator.KNOWN, Operator.UNKNOWN):
        return bool(body["operator"] == Operator.UNKNOWN)
    if body.get("quantifier") == "NONE":
        return True
    given = body.get("includeEmpty")
    if given is not None:
        return bool(given)
    return object_type.name == "contacts" and body.get("operator") in NEGATIVE


def leaf_body(kind: str, body: Any, keys: Collection[str]) -> dict[str, Any]:
    """The keys of a leaf that are given. Raises `MalformedLeaf` for others, at the path of the key."""
    if not isinstance(body, Mapping):
        raise MalformedLeaf(reason=f'"{kind}" must hold an object, not {shown(body)}', path=(kind,))
    for key in body:
        if key not in keys:
            reason = f'{shown(key)} is no part of "{kind}"; it has: {", ".join(keys)}'
            raise MalformedLeaf(reason=reason, path=(kind,))
    given = {key: value for key, value in body.items() if value is not None}
    if not isinstance(given.get("includeEmpty", False), bool):
        raise MalformedLeaf(reason='"includeEmpty" must be true or false', path=(kind, "includeEmpty"))
    return given


def text_at(kind: str, body: Mapping[str, Any], key: str) -> str:
    """The text of a key that a leaf must have. Raises `MalformedLeaf`."""
    value = body.get(key)
    if not isinstance(value, str):
        reason = f'"{kind}" needs "{key}"' if value is None else f'"{key}" must be a text, not {shown(value)}'
        raise MalformedLeaf(reason=reason, path=(kind, key))
    return value


def operator_at(kind: str, body: Mapping[str, Any], known: Collection[Operator]) -> Operator:
    """The operator of a leaf. Raises `MalformedLeaf` and `UnknownOperator`."""
    name = text_at(kind, body, "operator")
    try:
        return Operator(name)
    except ValueError:
        raise UnknownOperator(operator=shown(name), known=list(known), path=(kind, "operator")) from None
