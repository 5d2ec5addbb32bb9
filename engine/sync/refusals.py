"""What our own commands refuse, as the category of a failure."""

from engine.problems import NotFound, Problem
from engine.records import problems as records
from engine.sync.categories import Category
from engine.values import InvalidValue

_BY_NAME: dict[str, Category] = {
    "UNIQUE_VALUE_TAKEN": Category.UNIQUE_VALUE_CONFLICT,
    "UNIQUE_VALUE_ARCHIVED": Category.UNIQUE_VALUE_CONFLICT,
    "UNIQUE_VALUE_REPEATED": Category.UNIQUE_VALUE_CONFLICT,
    "REQUIRED_PROPERTY": Category.REQUIRED_FIELD_MISSING,
    "PROPERTY_READ_ONLY": Category.PROPERTY_READ_ONLY,
    "UNKNOWN_PROPERTY": Category.PROPERTY_NOT_FOUND,
    "PROPERTY_ARCHIVED": Category.PROPERTY_NOT_FOUND,
    "ASSOCIATION_LIMIT_REACHED": Category.ASSOCIATION_LIMIT_REACHED,
    "LABEL_LIMIT_REACHED": Category.ASSOCIATION_LIMIT_REACHED,
    "RECORD_ARCHIVED": Category.RECORD_DELETED,
    "RECORD_MERGED": Category.RECORD_DELETED,
}


def category(problem: Problem) -> Category:
    """The category of a failure for this problem."""
    if isinstance(problem, InvalidValue):
        return Category.INVALID_VALUE
    if isinstance(problem, records.LostTooManyRaces):
        return Category.UNKNOWN
    found = _BY_NAME.get(problem.code)
    if found is None:
        return Category.RECORD_NOT_FOUND if isinstance(problem, NotFound) else Category.VALIDATION_REJECTED
    return found
