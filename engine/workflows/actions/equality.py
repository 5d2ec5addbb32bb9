"""When a value of the enrolled record equals one of another record."""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from engine.problems import NotFound, Problem
from engine.workflows.definition.parts import Equality, Matching
from storage.catalogue import ObjectTypeRow, PropertyRow

# Types whose values can be equal to each other's. A choice is told by its value.
_FAMILIES = {
    "STRING": "text",
    "PHONE": "text",
    "ENUMERATION": "text",
    "NUMBER": "number",
    "DATE": "date",
    "DATETIME": "datetime",
}
# A scheme, and what stands before the @ of an address; www. names no other host.
_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*:(?://)?)?(?:[^/?#]*@)?(?:www\.)?([^/?#:>\s]+)")


class NotComparable(Problem):
    """Values of "{own}" ({own_type}) and "{other}" ({other_type}) cannot be compared for equality."""


class MatchingNeedsText(Problem):
    """{matching} compares texts; "{property}" is of type {type}: compare it with EXACT."""


@dataclass(frozen=True, slots=True)
class BoundEquality:
    """`Equality` with its properties."""

    own: PropertyRow
    other: PropertyRow
    matching: Matching
    negated: bool

    @property
    def several(self) -> bool:
        """Whether values are sets of choices: equal ones have the same choices."""
        return self.own.multiple or self.other.multiple

    def key(self, value: Any) -> Hashable | None:
        """What equal values, of either property, have in common; None for no value."""
        if value is None:
            return None
        if not self.several:
            return _folded(value, self.matching)
        parts = value if isinstance(value, list | tuple) else [value]
        return frozenset(key for part in parts if (key := _folded(part, self.matching)) is not None) or None

    def holds(self, own: Any, other: Any) -> bool:
        """Whether it holds of these values; of no value nothing holds, neither that it equals nor that it does not."""
        one, two = self.key(own), self.key(other)
        return one is not None and two is not None and (one == two) is not self.negated


def bind(match: Equality, object_type: ObjectTypeRow, to: ObjectTypeRow) -> BoundEquality:
    """The equality of an enrolled record and one of type `to`; problems' paths begin within `match`."""
    own, other = _property(object_type, match.own, "own"), _property(to, match.other, "other")
    families = _FAMILIES.get(own.type), _FAMILIES.get(other.type)
    if families[0] is None or families[0] != families[1]:
        raise NotComparable(
            own=own.name, own_type=own.type, other=other.name, other_type=other.type, path=("other",)
        )
    if match.matching is not Matching.EXACT and families[0] != "text":
        raise MatchingNeedsText(
            matching=match.matching.value, property=own.name, type=own.type, path=("matching",)
        )
    return BoundEquality(own, other, match.matching, match.negated)


def _property(object_type: ObjectTypeRow, name: str, key: str) -> PropertyRow:
    found = object_type.live(name)
    if found is None:
        raise NotFound(kind=f"property of {object_type.name}", name=name, path=(key,))
    return found


def _folded(value: Any, matching: Matching) -> Hashable | None:
    match matching:
        case Matching.EXACT:
            # Numbers are equal by what they are worth, however they are written.
            return value  # type: ignore[no-any-return]
        case Matching.CASE_INSENSITIVE:
            return str(value).casefold()
        case Matching.TRIMMED:
            return str(value).strip().casefold() or None
        case Matching.EMAIL_DOMAIN:
            return domain(str(value))


def domain(text: str) -> str | None:
    """What stands behind the @ of an address, or a domain or a URL's host, without `www.`; None where there is none."""
    found = _HOST.match(text.strip().casefold())
    host = found[1].rstrip(".") if found else ""
    return host if "." in host else None
