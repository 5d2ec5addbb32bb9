"""From a report's definition (JSON, by name) to the bound report, with every problem told at its path.

`{objectType, where, joins: [{as, from, to, labels, unlabelled, required, where}],
axes: [{property: {source, name, bucket, step, top}} | {label: {source, top}}],
measures: [{function, source, property, name}], having: [{measure, operator, value}],
order: {measure, descending}}`, a top being `{n, measure, others}`; a key that is null is not there. The primary source
is called by its object type, a join by `as`, else by the object type that it leads to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import filters, object_types
from engine.filters.problems import TooManyLeaves, UnknownLabel
from engine.problems import Problem, Refused
from engine.reports import parts
from engine.reports import problems as told
from engine.reports.binding import MOMENTS, Binding, Source
from engine.reports.reading import Path
from engine.values import tidy
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow, PropertyRow
from storage.reports.tree import Join, Report

JOINS, AXES, MEASURES, HAVING = 5, 3, 10, 10


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
                row.label if row is not None else MOMENTS[axis.property.name][1] if axis.property else "Label"
            )
            found.append(what if axis.source == 0 else f"{what} ({source.name})")
        return tuple(found)


def bind(definition: Mapping[str, Any], catalogue: Catalogue) -> Bound:
    """The report that `definition` describes. Raises `Refused` with every problem."""
    try:
        primary = object_types.get(catalogue, tidy(str(definition.get("objectType"))))
    except Problem as problem:
        raise Refused([problem.at("objectType")]) from None
    binding = Binding(catalogue=catalogue, primary=primary)
    binding.sources.append(Source(primary.name, primary))
    binding.names.append(primary.name)
    _count_leaves(binding, definition)
    where = binding.filter(definition.get("where"), primary, ("where",))
    given = {name: binding.parts(definition, name, limit) for name, limit in _LIMITS.items()}
    joins = [_join(binding, asked, ("joins", n)) for n, asked in enumerate(given["joins"])]
    measures = [
        parts.measure(binding, asked, ("measures", n))
        for n, asked in enumerate(given["measures"] or [{"function": "COUNT"}])
    ]
    count = len(measures)
    axes = [parts.axis(binding, asked, count, ("axes", n)) for n, asked in enumerate(given["axes"])]
    having = [parts.having(binding, asked, count, ("having", n)) for n, asked in enumerate(given["having"])]
    order = parts.order(binding, binding.part(definition, "order", ()), count)
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


def _count_leaves(binding: Binding, definition: Mapping[str, Any]) -> None:
    joins = definition.get("joins")
    wheres = (
        [one.get("where") for one in joins if isinstance(one, Mapping)] if isinstance(joins, list) else []
    )
    count = sum(filters.leaves(where) for where in [definition.get("where"), *wheres])
    if count > filters.LEAVES_LIMIT:
        binding.wrong(TooManyLeaves(count=count, limit=filters.LEAVES_LIMIT))


# --- sources ----------------------------------------------------------------------------------------------------


def _join(binding: Binding, asked: Mapping[str, Any], path: Path) -> Join | None:
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


def _far(binding: Binding, asked: Mapping[str, Any], path: Path) -> ObjectTypeRow | None:
    try:
        return object_types.get(binding.catalogue, tidy(str(asked.get("to"))))
    except Problem as problem:
        binding.wrong(problem, *path, "to")
    return None


def _labels(
    binding: Binding,
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
