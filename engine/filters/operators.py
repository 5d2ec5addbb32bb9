"""The operators of property leaves, and which of them fit which type."""

import enum

from storage.catalogue import PropertyRow


class Operator(enum.StrEnum):
    """What a filter asks of a value."""

    KNOWN = "KNOWN"
    UNKNOWN = "UNKNOWN"
    EQUALS = "EQUALS"
    NOT_EQUALS = "NOT_EQUALS"
    ANY_OF = "ANY_OF"
    NONE_OF = "NONE_OF"
    CONTAINS = "CONTAINS"
    NOT_CONTAINS = "NOT_CONTAINS"
    STARTS_WITH = "STARTS_WITH"
    ENDS_WITH = "ENDS_WITH"
    LESS_THAN = "LESS_THAN"
    LESS_THAN_OR_EQUAL = "LESS_THAN_OR_EQUAL"
    GREATER_THAN = "GREATER_THAN"
    GREATER_THAN_OR_EQUAL = "GREATER_THAN_OR_EQUAL"
    BETWEEN = "BETWEEN"
    EXACTLY = "EXACTLY"
    CONTAINS_ALL = "CONTAINS_ALL"
    BEFORE = "BEFORE"
    AFTER = "AFTER"
    ON = "ON"
    LESS_THAN_AGO = "LESS_THAN_AGO"
    MORE_THAN_AGO = "MORE_THAN_AGO"
    LESS_THAN_FROM_NOW = "LESS_THAN_FROM_NOW"
    MORE_THAN_FROM_NOW = "MORE_THAN_FROM_NOW"
    IN_THIS = "IN_THIS"
    IN_LAST = "IN_LAST"
    IN_NEXT = "IN_NEXT"
    HAS_EVER_BEEN = "HAS_EVER_BEEN"
    HAS_NEVER_BEEN = "HAS_NEVER_BEEN"
    HAS_EVER_CONTAINED = "HAS_EVER_CONTAINED"
    HAS_NEVER_CONTAINED = "HAS_NEVER_CONTAINED"
    UPDATED_IN_LAST = "UPDATED_IN_LAST"
    NOT_UPDATED_IN_LAST = "NOT_UPDATED_IN_LAST"


# Those that ask for what a value is not.
NEGATIVE = frozenset(
    {
        Operator.NOT_EQUALS,
        Operator.NONE_OF,
        Operator.NOT_CONTAINS,
        Operator.HAS_NEVER_BEEN,
        Operator.HAS_NEVER_CONTAINED,
        Operator.NOT_UPDATED_IN_LAST,
    }
)

# Those of times that move with the clock: a number of units from now, and units of the calendar.
FROM_NOW = (
    Operator.LESS_THAN_AGO,
    Operator.MORE_THAN_AGO,
    Operator.LESS_THAN_FROM_NOW,
    Operator.MORE_THAN_FROM_NOW,
)
CALENDAR = (Operator.IN_THIS, Operator.IN_LAST, Operator.IN_NEXT)
# Those of the property's history: of its values, and of when it changed.
EVER = (Operator.HAS_EVER_BEEN, Operator.HAS_NEVER_BEEN)
EVER_CONTAINED = (Operator.HAS_EVER_CONTAINED, Operator.HAS_NEVER_CONTAINED)
UPDATED = (Operator.UPDATED_IN_LAST, Operator.NOT_UPDATED_IN_LAST)

# Those that compare two numbers; the number of associated records is one, too.
COMPARING = (
    Operator.EQUALS,
    Operator.NOT_EQUALS,
    Operator.LESS_THAN,
    Operator.LESS_THAN_OR_EQUAL,
    Operator.GREATER_THAN,
    Operator.GREATER_THAN_OR_EQUAL,
)

_PRESENCE = (Operator.KNOWN, Operator.UNKNOWN)
_EQUALITY = (Operator.EQUALS, Operator.NOT_EQUALS)
_MEMBERSHIP = (Operator.ANY_OF, Operator.NONE_OF)
_PARTS = (Operator.CONTAINS, Operator.NOT_CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH)
_TEXT = (*_PRESENCE, *_EQUALITY, *_MEMBERSHIP, *_PARTS, *EVER_CONTAINED)
TIME = (*_PRESENCE, Operator.BEFORE, Operator.AFTER, Operator.ON, Operator.BETWEEN, *FROM_NOW, *CALENDAR)
_CHOICES = (*_PRESENCE, *_MEMBERSHIP, Operator.EXACTLY, Operator.CONTAINS_ALL)

_FITTING: dict[str, tuple[Operator, ...]] = {
    "STRING": _TEXT,
    "PHONE": _TEXT,
    "NUMBER": (*_PRESENCE, *COMPARING, *_MEMBERSHIP, Operator.BETWEEN),
    "BOOLEAN": (*_PRESENCE, *_EQUALITY),
    "DATE": TIME,
    "DATETIME": TIME,
    "ENUMERATION": (*_CHOICES, *_EQUALITY),
    "JSON": _PRESENCE,
}

# Operators that can compare with another property of the same record, and the types that go together.
_COMPARABLE: dict[str, tuple[Operator, ...]] = {
    "STRING": (*_EQUALITY, *_PARTS),
    "PHONE": (*_EQUALITY, *_PARTS),
    "NUMBER": COMPARING,
    "BOOLEAN": _EQUALITY,
    "DATE": (Operator.BEFORE, Operator.AFTER, Operator.ON),
    "DATETIME": (Operator.BEFORE, Operator.AFTER, Operator.ON),
    "ENUMERATION": _EQUALITY,
}
_FAMILIES = {"PHONE": "STRING", "ENUMERATION": "STRING", "DATETIME": "DATE"}


def fitting(prop: PropertyRow) -> tuple[Operator, ...]:
    """The operators that fit a property."""
    if prop.multiple:
        return (*_CHOICES, *EVER, *EVER_CONTAINED, *UPDATED)
    return (*_FITTING[prop.type], *(EVER if prop.type != "JSON" else ()), *UPDATED)


def comparable(prop: PropertyRow) -> tuple[Operator, ...]:
    """The operators that can compare a property with another one."""
    return () if prop.multiple else _COMPARABLE.get(prop.type, ())


def alike(one: PropertyRow, other: PropertyRow) -> bool:
    """Whether values of two properties can be compared with each other."""
    return not other.multiple and _family(one) == _family(other)


def _family(prop: PropertyRow) -> str:
    return _FAMILIES.get(prop.type, prop.type)
