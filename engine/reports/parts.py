"""What a report is told apart by, and what it measures: its axes, measures, conditions on groups and order."""

import enum
from collections.abc import Mapping
from typing import Any

from engine.problems import PathPart, Problem
from engine.reports import problems as told
from engine.reports.binding import MOMENTS, Binding
from engine.reports.reading import Path
from engine.values import tidy
from storage.catalogue import PropertyRow
from storage.filters.tree import Comparison, Property
from storage.reports.tree import Axis, Bucket, Function, Having, Measure, Order, Top


class HavingOperator(enum.Enum):
    """How a measure compares with a number, by the names that filters have for it."""

    EQUALS = Comparison.EQUAL
    NOT_EQUALS = Comparison.NOT_EQUAL
    LESS_THAN = Comparison.LESS
    LESS_THAN_OR_EQUAL = Comparison.LESS_OR_EQUAL
    GREATER_THAN = Comparison.GREATER
    GREATER_THAN_OR_EQUAL = Comparison.GREATER_OR_EQUAL


# The largest top of an axis.
TOP = 100

_TIMES = ("DATE", "DATETIME")
# What stands where a part could not be bound; the whole report is then refused.
_NOTHING = Property(0, 0, "", "STRING")

# --- axes -------------------------------------------------------------------------------------------------------


def axis(
    binding: Binding, asked: Mapping[str, Any], measures: int, path: Path
) -> tuple[Axis, PropertyRow | None]:
    """An axis of a report with so many measures; and its property, if it is one of the account's."""
    given = [key for key, part in asked.items() if part is not None]
    if given not in (["property"], ["label"]):
        binding.malformed('"property" or "label"', dict(asked), *path)
        return Axis(0, _NOTHING), None
    (key,) = given
    body, path = binding.part(asked, key, path), (*path, key)
    if body is None:
        return Axis(0, _NOTHING), None
    source = binding.source(body, path)
    top = _top(binding, binding.part(body, "top", path), measures, (*path, "top"))
    if key == "label":
        if source == 0:
            binding.wrong(told.NoLabelOfPrimary(), *path, "source")
        return Axis(source or 0, None, top=top), None
    bucket = binding.choice(Bucket, body, "bucket", path)
    step = binding.number(body, "step", path, above=0)
    found = None if source is None else binding.property(source, body, "name", path)
    if source is None or found is None:
        return Axis(0, _NOTHING), None
    prop, row = found
    if prop.type == "JSON":
        binding.wrong(_unsuited(prop, "an axis needs values that compare"), *path, "name")
    if bucket is not None and prop.type not in _TIMES:
        binding.wrong(_unsuited(prop, "only dates and moments have buckets"), *path, "bucket")
    if step is not None and prop.type != "NUMBER":
        binding.wrong(_unsuited(prop, "only numbers have steps"), *path, "step")
    if bucket is None and prop.type == "DATETIME":
        # Moments by themselves are groups of one.
        bucket = Bucket.DAY
    return Axis(source, prop, bucket, step, top), row


def _unsuited(prop: Property, wanted: str) -> Problem:
    return told.PropertyDoesNotSuit(property=prop.name, type=prop.type, wanted=wanted)


def _top(binding: Binding, asked: Mapping[str, Any] | None, measures: int, path: Path) -> Top | None:
    if asked is None:
        return None
    n = binding.whole(asked, "n", path, 1, TOP)
    measure = _place(binding, asked.get("measure"), measures, *path, "measure")
    others = asked.get("others") is None or binding.flag(asked, "others", path)
    return None if n is None else Top(n, measure, others)


def _place(binding: Binding, asked: Any, measures: int, *path: PathPart) -> int:
    """The number of a measure, the first where none is given."""
    if asked is None:
        return 0
    if isinstance(asked, int) and not isinstance(asked, bool) and 0 <= asked < measures:
        return asked
    binding.wrong(told.UnknownMeasure(measure=tidy(str(asked)), count=measures), *path)
    return 0


# --- measures ---------------------------------------------------------------------------------------------------

_NONE = (Measure(Function.COUNT, 0), "")
_WORDS = {
    Function.DISTINCT: "Different values",
    Function.SUM: "Sum",
    Function.AVERAGE: "Average",
    Function.MINIMUM: "Smallest",
    Function.MAXIMUM: "Largest",
}


def measure(binding: Binding, asked: Mapping[str, Any], path: Path) -> tuple[Measure, str]:
    """A measure and what people call it."""
    function = binding.choice(Function, asked, "function", path)
    source = binding.source(asked, path)
    name = binding.name(asked, "name", path)
    if asked.get("function") is None:
        function = Function.COUNT
    if source is None or function is None:
        return _NONE
    if function is Function.COUNT:
        if asked.get("property") is not None:
            binding.wrong(told.MeasureWithoutProperty(), *path, "property")
        return Measure(function, source), name or binding.at(source).object_type.plural
    if asked.get("property") is None:
        binding.wrong(told.MeasureNeedsProperty(function=function.value), *path, "property")
        return _NONE
    found = binding.property(source, asked, "property", path)
    if found is None:
        return _NONE
    prop, row = found
    if function is Function.DISTINCT:
        if prop.multiple:
            binding.wrong(
                _unsuited(prop, "make it an axis, which tells its choices apart"), *path, "property"
            )
    elif prop.type != "NUMBER":
        binding.wrong(_unsuited(prop, f"{function.value} is made of numbers"), *path, "property")
    words = row.label if row is not None else MOMENTS[prop.name][1]
    return Measure(function, source, prop), name or f"{_WORDS[function]}: {words}"


def having(binding: Binding, asked: Mapping[str, Any], measures: int, path: Path) -> Having:
    """A condition on groups."""
    measure = _place(binding, asked.get("measure"), measures, *path, "measure")
    operator = binding.choice(HavingOperator, asked, "operator", path)
    value = binding.number(asked, "value", path)
    for key in ("operator", "value"):
        if asked.get(key) is None:
            binding.malformed("an operator" if key == "operator" else "a number", None, *path, key)
    return Having(measure, (operator or HavingOperator.EQUALS).value, value or 0.0)


def order(binding: Binding, asked: Mapping[str, Any] | None, measures: int) -> Order:
    """The order of the first axis."""
    if asked is None:
        return Order()
    measure = asked.get("measure")
    place = None if measure is None else _place(binding, measure, measures, "order", "measure")
    return Order(place, binding.flag(asked, "descending", ("order",)))
