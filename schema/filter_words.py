"""The words of filters: operators, units of time, quantifiers, and what a record can have to do with things."""

from enum import Enum

from engine.filters.operators import Operator
from schema.documentation import enum
from storage.filters.times import Unit
from storage.filters.tree import Authorship, Quantifier

enum(
    Operator,
    "PropertyOperator",
    "What a condition asks of a value. Which operators fit depends on the property's type.",
    {
        "KNOWN": "There is a value.",
        "UNKNOWN": "There is no value.",
        "EQUALS": "Equal to `value`.",
        "NOT_EQUALS": "Not equal to `value`.",
        "ANY_OF": "One of `values`; of several choices, at least one.",
        "NONE_OF": "None of `values`.",
        "CONTAINS": "Text that contains `value`, or one of `values`.",
        "NOT_CONTAINS": "Text that contains neither `value` nor any of `values`.",
        "STARTS_WITH": "Text that begins with `value`, or one of `values`.",
        "ENDS_WITH": "Text that ends with `value`, or one of `values`.",
        "LESS_THAN": "A number less than `value`.",
        "LESS_THAN_OR_EQUAL": "A number less than `value`, or equal to it.",
        "GREATER_THAN": "A number greater than `value`.",
        "GREATER_THAN_OR_EQUAL": "A number greater than `value`, or equal to it.",
        "BETWEEN": "From the first to the second of `values`, both included.",
        "EXACTLY": "Several choices: `values` and no others.",
        "CONTAINS_ALL": "Several choices: all of `values`, perhaps others.",
        "BEFORE": "A date or moment before `value`.",
        "AFTER": "A date or moment after `value`.",
        "ON": "A date or moment on the day `value`.",
        "LESS_THAN_AGO": "In the last `value` units (`unit`), up to now; of a date, up to today.",
        "MORE_THAN_AGO": "Longer ago than `value` units.",
        "LESS_THAN_FROM_NOW": "In the next `value` units, from now on; of a date, from today on.",
        "MORE_THAN_FROM_NOW": "Later than `value` units from now.",
        "IN_THIS": "In the present day, week, month, quarter or year (`unit`).",
        "IN_LAST": "In the day, week, month, quarter or year before the present one.",
        "IN_NEXT": "In the day, week, month, quarter or year after the present one.",
        "HAS_EVER_BEEN": "Is, or once was, one of `values`; of several choices: exactly these.",
        "HAS_NEVER_BEEN": "Had a value, and never one of `values`.",
        "HAS_EVER_CONTAINED": "Contains, or once contained, one of `values`; of several choices: held one of them.",
        "HAS_NEVER_CONTAINED": "Had a value, and never one that contained one of `values`.",
        "UPDATED_IN_LAST": "Was set or cleared in the last `value` units, whatever it holds.",
        "NOT_UPDATED_IN_LAST": "Was set or cleared, and not in the last `value` units.",
    },
)

enum(
    Unit,
    "TimeUnit",
    "A unit of time. Days and longer ones are those of the account's time zone; dates know no minutes and hours.",
    {
        "MINUTE": "60 seconds.",
        "HOUR": "60 minutes.",
        "DAY": "From midnight to midnight, or to the same time of the next day.",
        "WEEK": "Seven days; a week of the calendar begins on Monday.",
        "MONTH": "A month of the calendar, or to the same day of the next month.",
        "QUARTER": "Three months, from January, April, July or October.",
        "YEAR": "Twelve months, from January.",
    },
)

enum(
    Authorship,
    "SourceChange",
    "What somebody did to a record.",
    {
        "CREATED": "Made it.",
        "UPDATED": "Changed a property after it was made.",
        "EITHER": "Made or changed it.",
    },
)


class RecordField(Enum):
    """The record's own moments."""

    CREATED_AT = "CREATED_AT"
    UPDATED_AT = "UPDATED_AT"
    LAST_ASSOCIATION_CHANGE_AT = "LAST_ASSOCIATION_CHANGE_AT"


enum(
    RecordField,
    "RecordField",
    "What a record's own moments are called.",
    {
        "CREATED_AT": "When it was made.",
        "UPDATED_AT": "When it last changed.",
        "LAST_ASSOCIATION_CHANGE_AT": "When an association or a label of it last changed.",
    },
)


class WorkflowMembership(Enum):
    """What a record has to do with a workflow."""

    ENROLLED_EVER = "ENROLLED_EVER"
    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    GOAL_MET = "GOAL_MET"


enum(
    Quantifier,
    "AssociatedQuantifier",
    "How many of the associated records must meet the nested filter.",
    {
        "ANY": "At least one.",
        "ALL": "All of them, and there is at least one.",
        "NONE": "None of them, or there is none.",
        "COUNT": "So many that `operator` holds with `count`.",
    },
)


enum(
    WorkflowMembership,
    "WorkflowMembership",
    "What a record has to do with a workflow.",
    {
        "ENROLLED_EVER": "It is or was enrolled.",
        "ACTIVE": "It is on its way through it.",
        "COMPLETED": "It went through to the end.",
        "GOAL_MET": "It left since it met the goal.",
    },
)
