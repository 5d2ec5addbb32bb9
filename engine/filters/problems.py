"""What can be wrong with a filter's definition."""

from engine.problems import Problem
from engine.records.problems import UnknownProperty
from engine.values import InvalidValue

__all__ = ["InvalidValue", "UnknownProperty"]


class MalformedFilter(Problem):
    """A filter is an object with exactly one of the keys and, or, not, property, field, source, associated, event,
    inSegment and inWorkflow; {reason}."""


class MalformedLeaf(Problem):
    """{reason}"""


class EmptyFilterList(Problem):
    """The list of "{key}" is empty: it would hold for all records or for none. Leave the filter out instead."""


class TooManyLeaves(Problem):
    """This filter has {count} conditions; at most {limit} are possible."""


class FilterTooDeep(Problem):
    """This filter is nested more than {limit} levels deep: keep an inner part as a segment, and ask who is in that."""


class OperatorDoesNotFit(Problem):
    """The operator {operator} does not fit the property "{property}" of type {type}; these fit: {fitting}."""


class UnknownOperator(Problem):
    """There is no operator {operator}; there are: {known}."""


class ValuesMissing(Problem):
    """The operator {operator} needs {expected}; {count} given."""


class UnknownUnit(Problem):
    """There is no unit {unit} here; there are: {known}."""


class UnknownField(Problem):
    """Records have no field {field} to filter by; they have: {known}."""


class UnknownSegment(Problem):
    """There is no segment "{segment}"."""


class SegmentOfAnotherType(Problem):
    """The segment "{segment}" has {of}; {object_type} cannot be in it."""


class UnknownWorkflow(Problem):
    """There is no workflow "{workflow}"."""


class WorkflowOfAnotherType(Problem):
    """The workflow "{workflow}" enrolls {of}; {object_type} cannot be in it."""


class TooManyValues(Problem):
    """{count} values in one condition; at most {limit} are possible."""


class RangeReversed(Problem):
    """The range begins with {low}, which is after its end {high}."""


class PropertiesNotComparable(Problem):
    """The property "{property}" ({type}) cannot be compared with "{other}" ({other_type})."""


class UnknownLabel(Problem):
    """There is no label "{label}" from {object_type} to {to}; there are: {known}."""
