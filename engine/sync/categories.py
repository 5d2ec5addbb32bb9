"""Why a record is not in sync: categories, what each means for trying again, and what a person can do."""

import enum


class Category(enum.StrEnum):
    """The kind of a failure."""

    AUTHENTICATION_EXPIRED = "AUTHENTICATION_EXPIRED"
    MISSING_PERMISSION = "MISSING_PERMISSION"
    RATE_LIMITED = "RATE_LIMITED"
    REMOTE_UNAVAILABLE = "REMOTE_UNAVAILABLE"
    REQUIRED_FIELD_MISSING = "REQUIRED_FIELD_MISSING"
    INVALID_VALUE = "INVALID_VALUE"
    OPTION_NOT_FOUND = "OPTION_NOT_FOUND"
    VALUE_TOO_LONG = "VALUE_TOO_LONG"
    PROPERTY_NOT_FOUND = "PROPERTY_NOT_FOUND"
    PROPERTY_READ_ONLY = "PROPERTY_READ_ONLY"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    DUPLICATE_RECORD = "DUPLICATE_RECORD"
    UNIQUE_VALUE_CONFLICT = "UNIQUE_VALUE_CONFLICT"
    AMBIGUOUS_MATCH = "AMBIGUOUS_MATCH"
    RECORD_NOT_FOUND = "RECORD_NOT_FOUND"
    RECORD_DELETED = "RECORD_DELETED"
    ASSOCIATION_LIMIT_REACHED = "ASSOCIATION_LIMIT_REACHED"
    WAITING_FOR_ASSOCIATED_RECORD = "WAITING_FOR_ASSOCIATED_RECORD"
    VALIDATION_REJECTED = "VALIDATION_REJECTED"
    UNKNOWN = "UNKNOWN"


class Again(enum.StrEnum):
    """What a failure of a category means for trying again."""

    # By itself, later.
    RETRY = "RETRY"
    # Once somebody has changed something: then it is tried by itself, or on demand.
    NEEDS_FIX = "NEEDS_FIX"
    # Nothing is to be done, unless somebody asks for it.
    IGNORE = "IGNORE"


_RETRIED = frozenset(
    {
        Category.RATE_LIMITED,
        Category.REMOTE_UNAVAILABLE,
        Category.WAITING_FOR_ASSOCIATED_RECORD,
        Category.UNKNOWN,
    }
)

TIPS: dict[Category, str] = {
    Category.AUTHENTICATION_EXPIRED: "Sign in again: give the connection new credentials, then check it.",
    Category.MISSING_PERMISSION: "Give the connection's user the missing permission in the app, then retry.",
    Category.RATE_LIMITED: "Nothing: the app asked for a pause, and it goes on by itself.",
    Category.REMOTE_UNAVAILABLE: "Nothing, if the app is down for a while; else check the connection's address.",
    Category.REQUIRED_FIELD_MISSING: "Fill in the field that the app requires, or map a property to it.",
    Category.INVALID_VALUE: "Correct the value: the app or the property does not take it as it is.",
    Category.OPTION_NOT_FOUND: "Add the option on the other side, or say in the mapping which one stands for it.",
    Category.VALUE_TOO_LONG: "Shorten the value: the other side takes no more.",
    Category.PROPERTY_NOT_FOUND: "The mapped field or property is gone: map another one, or turn the mapping off.",
    Category.PROPERTY_READ_ONLY: "Let the mapping go one way only: the other side does not take changes of it.",
    Category.TYPE_MISMATCH: "Map the field to a property of a type that fits.",
    Category.DUPLICATE_RECORD: "Merge the duplicates on the side that has them, then retry.",
    Category.UNIQUE_VALUE_CONFLICT: "Another record has this unique value: change one of them, or merge them.",
    Category.AMBIGUOUS_MATCH: "Several records match: choose one of the candidates, or merge them, then retry.",
    Category.RECORD_NOT_FOUND: "The record is not there, or is not visible to the connection's user.",
    Category.RECORD_DELETED: "It was deleted on one side: resync it to bring it back, or delete the other, too.",
    Category.ASSOCIATION_LIMIT_REACHED: "Remove an association with this label, or raise the label's limit.",
    Category.WAITING_FOR_ASSOCIATED_RECORD: "Nothing: it goes on once the associated record is in sync.",
    Category.VALIDATION_REJECTED: "The other side refused the record for a reason of its own: see the message.",
    Category.UNKNOWN: "Look at the message; it is tried again by itself.",
}


def again(category: Category) -> Again:
    """What a failure of this category means for trying again."""
    if category is Category.RECORD_DELETED:
        return Again.IGNORE
    return Again.RETRY if category in _RETRIED else Again.NEEDS_FIX
