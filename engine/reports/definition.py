"""From a report's definition (JSON, by name) to the bound report, with every problem told at its path.

`{objectType, where, joins: [{as, from, to, labels, unlabelled, required, where}],
axes: [{source, property | label: true, bucket, step, top: {n, measure, others}}],
measures: [{function, source, property, name}], having: [{measure, comparison, value}],
order: {measure, descending}, totals}`; a key that is null is not there. The primary source is called by its object
type, a join by `as`, else by the object type that it leads to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from engine import filters, object_types
from engine.filters.problems import UnknownLabel
from engine.problems import PathPart, Problem, Refused
from engine.records.problems import UnknownProperty
from engine.reports import problems as told
from engine.values import shown, tidy
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow, PropertyRow
from storage.filters.tree import Comparison, Filter, Property
from storage.reports.tree import Axis, Bucket, Function, Having, Join, Measure, Order, Report, Top

JOINS, AXES, MEASURES, HAVING, TOP = 5, 3, 10, 10, 100

Path = tuple[PathPart, ...]
T = TypeVar("T")

_TIMES = ("DATE", "DATETIME")
# What no axis is made of: each value is a group of its own, or has no order.
_UNSUITED = ("JSON",)
# What of the record itself may be an axis.
_MOMENTS = {"createdAt": "created_at", "updatedAt": "updated_at"}


@dataclass(frozen=True, slots=True)
class Source:
    """A source of a report, under the name by which its parts speak of it."""

    name: str
    object_type: ObjectTypeRow
    # Labels by which it may be joined; none of the primary one.
    labels: tuple[AssociationTypeRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Bound:
    """A report ready to run, and what its parts are called by people."""

    report: Report
    sources: tuple[Source, ...]
    # Of each axis the property, None where it is a label.
    axes: tuple[PropertyRow | None, ...]
    measures: tuple[str, ...]


@dataclass(slots=True)
class _Binding:
    catalogue: Catalogue
    sources: list[Source] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, problem: Problem, *path: PathPart) -> None:
        self.problems.append(problem.at(*path) if path else problem)

    def source(self, name: Any, *path: PathPart) -> int:
        """The place of a source; 0 where it is not named, or not known, which is told."""
        if name is None:
            return 0
        for n, source in enumerate(self.sources):
            if source.name == name:
                return n
        known = [source.name for source in self.sources]
        self.wrong(told.UnknownSource(source=tidy(str(name)), known=known), *path)
        return 0

    def property(self, source: int, name: Any, *path: PathPart) -> tuple[Property, PropertyRow | None] | None:
        """A property of a source as filters know it, and its row; the record's own moments have none."""
        of = self.sources[source].object_type
        if name in _MOMENTS:
            return Property(0, of.id, str(name), "DATETIME", column=_MOMENTS[str(name)]), None
        row = of.live(name) if isinstance(name, str) else None
        if row is None:
            self.wrong(UnknownProperty(property=tidy(str(name)), object_type=of.name), *path)
            return None
        return Property(row.id, row.object_type_id, row.name, row.type, row.multiple), row

    def filter(self, definition: Any, of: ObjectTypeRow, *path: PathPart) -> Filter | None:
        if definition is None:
            return None
        try:
            return filters.bind(definition, of, self.catalogue)
        except Refused as refused:
            self.problems += [problem.at(*path) for problem in refused.problems]
        except Problem as problem:
            self.wrong(problem, *path)
        return None


def bind(definition: Mapping[str, Any], catalogue: Catalogue) -> Bound:
    """The report that `definition` describes. Raises `Refused` with every problem."""
    binding = _Binding(catalogue)
    primary = object_types.get(catalogue, str(definition.get("objectType")))
    binding.sources.append(Source(primary.name, primary))
    where = binding.filter(definition.get("where"), primary, "where")
    joins = [
        join
        for n, asked in enumerate(_parts(binding, definition, "joins", JOINS))
        if (join := _join(binding, asked, ("joins", n))) is not None
    ]
    measures = [
        _measure(binding, asked, ("measures", n))
        for n, asked in enumerate(
            _parts(binding, definition, "measures", MEASURES) or [{"function": "COUNT"}]
        )
    ]
    axes = [
        _axis(binding, asked, len(measures), ("axes", n))
        for n, asked in enumerate(_parts(binding, definition, "axes", AXES))
    ]
    having = [
        _having(binding, asked, len(measures), ("having", n))
        for n, asked in enumerate(_parts(binding, definition, "having", HAVING))
    ]
    order = _order(binding, definition.get("order"), len(measures))
    if binding.problems:
        raise Refused(binding.problems)
    return Bound(
        Report(
            primary.id,
            where,
            tuple(joins),
            tuple(axis for axis, _ in axes),
            tuple(measure for measure, _ in measures),
            tuple(having),
            order,
            definition.get("totals") is not False,
            catalogue.time_zone,
        ),
        tuple(binding.sources),
        tuple(row for _, row in axes),
        tuple(name for _, name in measures),
    )


def _parts(
    binding: _Binding, definition: Mapping[str, Any], name: str, limit: int
) -> Sequence[Mapping[str, Any]]:
    asked = definition.get(name)
    if asked is None:
        return []
    if not isinstance(asked, list) or not all(isinstance(one, Mapping) for one in asked):
        binding.wrong(told.MalformedReport(expected=f"a list of {name}", value=shown(asked)), name)
        return []
    if len(asked) > limit:
        binding.wrong(told.TooManyParts(limit=limit, part=name), name)
        return []
    return asked


def _join(binding: _Binding, asked: Mapping[str, Any], path: Path) -> Join | None:
    from_source = binding.source(asked.get("from"), *path, "from")
    near = binding.sources[from_source].object_type
    try:
        far = object_types.get(binding.catalogue, str(asked.get("to")))
    except Problem as problem:
        binding.wrong(problem, *path, "to")
        return None
    types = binding.catalogue.between(near.id, far.id)
    every = tuple(row for row in types if not row.unlabelled)
    labels: tuple[int, ...] | None = None
    if asked.get("labels") is not None:
        found = []
        for n, name in enumerate(asked["labels"]):
            row = binding.catalogue.label(near.id, far.id, name)
            if row is None:
                known = sorted(row.name for row in every if row.name is not None) or "none"
                wrong = UnknownLabel(label=tidy(str(name)), object_type=near.name, to=far.name, known=known)
                binding.wrong(wrong, *path, "labels", n)
            else:
                found.append(row.id)
        labels = tuple(found)
    name = asked.get("as") or far.name
    if any(source.name == name for source in binding.sources):
        binding.wrong(told.SourceTwice(source=tidy(str(name))), *path, "as")
        return None
    where = binding.filter(asked.get("where"), far, *path, "where")
    binding.sources.append(Source(str(name), far, every))
    return Join(
        from_source,
        far.id,
        binding.catalogue.unlabelled(near.id, far.id).id,
        tuple(row.id for row in every),
        labels,
        # No labels at all are wanted: those without any.
        asked.get("unlabelled") is True or labels == (),
        asked.get("required") is True,
        where,
    )


def _axis(
    binding: _Binding, asked: Mapping[str, Any], measures: int, path: Path
) -> tuple[Axis, PropertyRow | None]:
    source = binding.source(asked.get("source"), *path, "source")
    top = _top(binding, asked.get("top"), measures, path)
    if asked.get("label") is True:
        if source == 0:
            binding.wrong(told.NoLabelOfPrimary(), *path, "source")
        return Axis(source, None, top=top), None
    found = binding.property(source, asked.get("property"), *path, "property")
    if found is None:
        return Axis(source, None), None
    prop, row = found
    bucket, step = asked.get("bucket"), asked.get("step")
    if prop.type in _UNSUITED:
        binding.wrong(_unsuited(prop, "an axis needs values that compare"), *path, "property")
    if bucket is not None and prop.type not in _TIMES:
        binding.wrong(_unsuited(prop, "only dates and moments have buckets"), *path, "bucket")
    if step is not None and (prop.type != "NUMBER" or not step > 0):
        binding.wrong(_unsuited(prop, "steps are above 0, and of numbers"), *path, "step")
    if bucket is None and prop.type == "DATETIME":
        # Moments by themselves are groups of one.
        bucket = Bucket.DAY.value
    return Axis(source, prop, None if bucket is None else Bucket(bucket), step, top), row


def _unsuited(prop: Property, wanted: str) -> Problem:
    return told.PropertyDoesNotSuit(property=prop.name, type=prop.type, wanted=wanted)


def _top(binding: _Binding, asked: Any, measures: int, path: Path) -> Top | None:
    if asked is None:
        return None
    n = asked.get("n")
    if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= TOP:
        binding.wrong(
            told.MalformedReport(expected=f"a number from 1 to {TOP}", value=shown(n)), *path, "top", "n"
        )
        return None
    measure = _place(binding, asked.get("measure") or 0, measures, *path, "top", "measure")
    return Top(n, measure, asked.get("others") is not False)


def _place(binding: _Binding, asked: Any, measures: int, *path: PathPart) -> int:
    if isinstance(asked, int) and not isinstance(asked, bool) and 0 <= asked < measures:
        return asked
    binding.wrong(told.UnknownMeasure(measure=shown(asked), count=measures), *path)
    return 0


def _measure(binding: _Binding, asked: Mapping[str, Any], path: Path) -> tuple[Measure, str]:
    function = Function(asked.get("function") or Function.COUNT)
    source = binding.source(asked.get("source"), *path, "source")
    of = binding.sources[source]
    if function is Function.COUNT:
        return Measure(function, source), str(asked.get("name") or of.object_type.plural)
    if asked.get("property") is None:
        binding.wrong(told.MeasureNeedsProperty(function=function.value), *path, "property")
        return Measure(Function.COUNT, source), ""
    found = binding.property(source, asked["property"], *path, "property")
    if found is None:
        return Measure(Function.COUNT, source), ""
    prop, row = found
    if function is not Function.DISTINCT and prop.type != "NUMBER":
        binding.wrong(_unsuited(prop, f"{function.value} is made of numbers"), *path, "property")
    words = row.label if row is not None else prop.name
    return Measure(function, source, prop), str(
        asked.get("name") or f"{function.value.capitalize()} of {words}"
    )


def _having(binding: _Binding, asked: Mapping[str, Any], measures: int, path: Path) -> Having:
    measure = _place(binding, asked.get("measure") or 0, measures, *path, "measure")
    return Having(measure, Comparison[str(asked["comparison"])], float(asked["value"]))


def _order(binding: _Binding, asked: Any, measures: int) -> Order:
    if asked is None:
        return Order()
    measure = asked.get("measure")
    place = None if measure is None else _place(binding, measure, measures, "order", "measure")
    return Order(place, asked.get("descending") is True)
