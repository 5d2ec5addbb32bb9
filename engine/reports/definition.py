"""From a report's definition (JSON, by name) to the bound report, with every problem told at its path.

`{objectType, where, joins: [{as, from, to, labels, unlabelled, required, where}],
axes: [{property: {source, name, bucket, step, top}} | {label: {source, top}}],
measures: [{function, source, property, name}], having: [{measure, comparison, value}],
order: {measure, descending}}`, a top being `{n, measure, others}`; a key that is null is not there. The primary source
is called by its object type, a join by `as`, else by the object type that it leads to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import filters, object_types
from engine.filters.problems import TooManyLeaves, UnknownLabel
from engine.problems import PathPart, Problem, Refused
from engine.records.problems import UnknownProperty
from engine.reports import problems as told
from engine.reports.reading import Path, Reading
from engine.values import tidy
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow, PropertyRow
from storage.filters.tree import Comparison, Filter, Property
from storage.reports.tree import Axis, Bucket, Function, Having, Join, Measure, Order, Report, Top

JOINS, AXES, MEASURES, HAVING, TOP = 5, 3, 10, 10, 100

_TIMES = ("DATE", "DATETIME")
# What of the record itself may be an axis.
MOMENTS = {"createdAt": "created_at", "updatedAt": "updated_at"}


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
    # Of each axis the property, None where it is a label or a moment of the record's own.
    axes: tuple[PropertyRow | None, ...]
    measures: tuple[str, ...]

    @property
    def headings(self) -> tuple[str, ...]:
        """What people call each axis."""
        found = []
        for axis, row in zip(self.report.axes, self.axes, strict=True):
            source = self.sources[axis.source]
            what = (
                row.label
                if row is not None
                else _MOMENT_WORDS[axis.property.name]
                if axis.property
                else "Label"
            )
            found.append(what if axis.source == 0 else f"{what} ({source.name})")
        return tuple(found)


_MOMENT_WORDS = {"createdAt": "Created", "updatedAt": "Updated"}
# What stands where a part could not be bound; the whole report is then refused.
_NOTHING = Property(0, 0, "", "STRING")


@dataclass(slots=True)
class _Binding(Reading):
    catalogue: Catalogue = field(kw_only=True)
    primary: ObjectTypeRow = field(kw_only=True)
    # By place; None: its join is wrong, which is told where it stands.
    sources: list[Source | None] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def source(self, asked: Mapping[str, Any], path: Path, key: str = "source") -> int | None:
        """The place of a source, the first where none is named; None where that is told to be wrong."""
        name = asked.get(key)
        if name is None:
            return 0
        if isinstance(name, str) and name in self.names:
            place = self.names.index(name)
            return None if self.sources[place] is None else place
        self.wrong(told.UnknownSource(source=tidy(str(name)), known=self.names), *path, key)
        return None

    def at(self, place: int) -> Source:
        """The source at a place that `source` has told."""
        found = self.sources[place]
        assert found is not None  # only such places are told
        return found

    def property(
        self, source: int, asked: Mapping[str, Any], key: str, path: Path
    ) -> tuple[Property, PropertyRow | None] | None:
        """A property of a source as filters know it, and its row; the record's own moments have none."""
        of, name = self.at(source).object_type, asked.get(key)
        if not isinstance(name, str):
            self.malformed("the name of a property", name, *path, key)
            return None
        row = of.live(name)
        if row is not None:
            return Property(row.id, row.object_type_id, row.name, row.type, row.multiple), row
        if name in MOMENTS:
            return Property(0, of.id, name, "DATETIME", column=MOMENTS[name]), None
        self.wrong(UnknownProperty(property=tidy(name), object_type=of.name), *path, key)
        return None

    def filter(self, definition: Any, of: ObjectTypeRow, path: Path) -> Filter | None:
        """A filter of one source; what it leaves out follows the primary object type."""
        if definition is None:
            return None
        try:
            filters.bind(definition, of, self.catalogue)
            return filters.bind(filters.explicit(definition, self.primary), of, self.catalogue)
        except Refused as refused:
            self.problems += [problem.at(*path) for problem in refused.problems]
        except Problem as problem:
            self.wrong(problem, *path)
        return None


def bind(definition: Mapping[str, Any], catalogue: Catalogue) -> Bound:
    """The report that `definition` describes. Raises `Refused` with every problem."""
    try:
        primary = object_types.get(catalogue, str(definition.get("objectType")))
    except Problem as problem:
        raise Refused([problem.at("objectType")]) from None
    binding = _Binding(catalogue=catalogue, primary=primary)
    binding.sources.append(Source(primary.name, primary))
    binding.names.append(primary.name)
    _count_leaves(binding, definition)
    where = binding.filter(definition.get("where"), primary, ("where",))
    parts = {name: binding.parts(definition, name, limit) for name, limit in _LIMITS.items()}
    joins = [_join(binding, asked, ("joins", n)) for n, asked in enumerate(parts["joins"])]
    measures = [
        _measure(binding, asked, ("measures", n))
        for n, asked in enumerate(parts["measures"] or [{"function": "COUNT"}])
    ]
    count = len(measures)
    axes = [_axis(binding, asked, count, ("axes", n)) for n, asked in enumerate(parts["axes"])]
    having = [_having(binding, asked, count, ("having", n)) for n, asked in enumerate(parts["having"])]
    order = _order(binding, binding.part(definition, "order", ()), count)
    if binding.problems:
        raise Refused(binding.problems)
    return Bound(
        Report(
            primary.id,
            where,
            tuple(join for join in joins if join is not None),
            tuple(axis for axis, _ in axes),
            tuple(measure for measure, _ in measures),
            tuple(having),
            order,
            catalogue.time_zone,
        ),
        tuple(source for source in binding.sources if source is not None),
        tuple(row for _, row in axes),
        tuple(name for _, name in measures),
    )


_LIMITS = {"joins": JOINS, "axes": AXES, "measures": MEASURES, "having": HAVING}


def _count_leaves(binding: _Binding, definition: Mapping[str, Any]) -> None:
    joins = definition.get("joins")
    wheres = (
        [one.get("where") for one in joins if isinstance(one, Mapping)] if isinstance(joins, list) else []
    )
    count = sum(filters.leaves(where) for where in [definition.get("where"), *wheres])
    if count > filters.LEAVES_LIMIT:
        binding.wrong(TooManyLeaves(count=count, limit=filters.LEAVES_LIMIT))


# --- sources ----------------------------------------------------------------------------------------------------


def _join(binding: _Binding, asked: Mapping[str, Any], path: Path) -> Join | None:
    near = binding.source(asked, path, "from")
    far = _far(binding, asked, path)
    name = binding.name(asked, "as", path) or (far.name if far is not None else None)
    if name in binding.names:
        binding.wrong(told.SourceTwice(source=name), *path, "as")
    elif name is not None:
        binding.names.append(name)
        binding.sources.append(None)
    unlabelled, required = binding.flag(asked, "unlabelled", path), binding.flag(asked, "required", path)
    if near is None or far is None or name is None:
        return None
    of = binding.at(near).object_type
    every = tuple(row for row in binding.catalogue.between(of.id, far.id) if not row.unlabelled)
    labels = _labels(binding, asked, of, far, every, path)
    where = binding.filter(asked.get("where"), far, (*path, "where"))
    binding.sources[binding.names.index(name)] = Source(name, far, every)
    return Join(
        near,
        far.id,
        binding.catalogue.unlabelled(of.id, far.id).id,
        tuple(row.id for row in every),
        labels,
        # No labels at all are wanted: those without any.
        unlabelled or labels == (),
        required,
        where,
    )


def _far(binding: _Binding, asked: Mapping[str, Any], path: Path) -> ObjectTypeRow | None:
    try:
        return object_types.get(binding.catalogue, str(asked.get("to")))
    except Problem as problem:
        binding.wrong(problem, *path, "to")
    return None


def _labels(
    binding: _Binding,
    asked: Mapping[str, Any],
    near: ObjectTypeRow,
    far: ObjectTypeRow,
    every: Sequence[AssociationTypeRow],
    path: Path,
) -> tuple[int, ...] | None:
    """The labels that join, each once; None: any association does."""
    given = asked.get("labels")
    if given is None:
        return None
    if not isinstance(given, list):
        binding.malformed("a list of labels", given, *path, "labels")
        return None
    found: dict[int, None] = {}
    names = {row.name: row for row in every}
    for n, name in enumerate(given):
        row = names.get(name) if isinstance(name, str) else None
        if row is None:
            known = sorted(str(one) for one in names) or "none"
            wrong = UnknownLabel(label=tidy(str(name)), object_type=near.name, to=far.name, known=known)
            binding.wrong(wrong, *path, "labels", n)
        else:
            found[row.id] = None
    return tuple(found)


# --- axes -------------------------------------------------------------------------------------------------------


def _axis(
    binding: _Binding, asked: Mapping[str, Any], measures: int, path: Path
) -> tuple[Axis, PropertyRow | None]:
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


def _top(binding: _Binding, asked: Mapping[str, Any] | None, measures: int, path: Path) -> Top | None:
    if asked is None:
        return None
    n = binding.whole(asked, "n", path, 1, TOP)
    measure = _place(binding, asked.get("measure"), measures, *path, "measure")
    others = asked.get("others") is None or binding.flag(asked, "others", path)
    return None if n is None else Top(n, measure, others)


def _place(binding: _Binding, asked: Any, measures: int, *path: PathPart) -> int:
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


def _measure(binding: _Binding, asked: Mapping[str, Any], path: Path) -> tuple[Measure, str]:
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
    words = row.label if row is not None else _MOMENT_WORDS[prop.name]
    return Measure(function, source, prop), name or f"{_WORDS[function]}: {words}"


def _having(binding: _Binding, asked: Mapping[str, Any], measures: int, path: Path) -> Having:
    measure = _place(binding, asked.get("measure"), measures, *path, "measure")
    comparison = binding.choice(Comparison, asked, "comparison", path)
    value = binding.number(asked, "value", path)
    for key in ("comparison", "value"):
        if asked.get(key) is None:
            binding.malformed("a comparison" if key == "comparison" else "a number", None, *path, key)
    return Having(measure, comparison or Comparison.EQUAL, value or 0.0)


def _order(binding: _Binding, asked: Mapping[str, Any] | None, measures: int) -> Order:
    if asked is None:
        return Order()
    measure = asked.get("measure")
    place = None if measure is None else _place(binding, measure, measures, "order", "measure")
    return Order(place, binding.flag(asked, "descending", ("order",)))
