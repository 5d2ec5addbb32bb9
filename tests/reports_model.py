"""What a report says, told by loops over every record and association: slow, plain, and what SQL is held to."""

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from engine.reports.definition import Bound
from storage.catalogue import Catalogue
from storage.filters.times import local_day
from storage.filters.tree import And, Comparison
from storage.reports.tree import Axis, Bucket, Function, Join, Measure
from storage.statements import Statement
from tests.filtering import World

RECORDS = Statement(
    "tests.report_records",
    """
    SELECT r.id, r.object_type_id, r.properties, r.created_at, r.updated_at, r.archived_at
      FROM record AS r WHERE r.account_id = $1
    """,
)
EDGES = Statement(
    "tests.report_edges",
    "SELECT a.from_id, a.to_object_type_id, a.to_id, a.type_id FROM association AS a WHERE a.account_id = $1",
)

# A value that is all others together.
OTHERS = "all others"
# One way to a record of each source (None: there is none), and the label by which each was joined.
Way = tuple[tuple[int | None, ...], tuple[int | None, ...]]
Value = tuple[bool, Any]
Told = dict[tuple[Value | None, ...], tuple[float | None, ...]]


@dataclass
class Model:
    """Everything there is, in memory."""

    world: World
    catalogue: Catalogue
    bound: Bound
    records: Mapping[int, Any]
    types: Mapping[tuple[int, int, int], Collection[int]]
    met: Mapping[int, Collection[int]]

    @classmethod
    async def read(cls, world: World, bound: Bound) -> "Model":
        """The model of an account for one report."""
        report = bound.report
        async with world.db.read(world.account) as reader:
            records = {row["id"]: row for row in await reader.fetch(RECORDS)}
            types: dict[tuple[int, int, int], set[int]] = defaultdict(set)
            for row in await reader.fetch(EDGES):
                types[row["from_id"], row["to_object_type_id"], row["to_id"]].add(row["type_id"])
        met = {}
        asked = [(report.object_type_id, report.where), *((j.object_type_id, j.where) for j in report.joins)]
        catalogue = await world.catalogue()
        for n, (kind, where) in enumerate(asked):
            ids = [one for one, row in records.items() if row["object_type_id"] == kind]
            met[n] = await world.folds(where or And(()), catalogue.object_types[kind].name, ids)
        return cls(world, catalogue, bound, records, types, met)

    def told(self) -> dict[int, Told]:
        """The groups of every level."""
        report = self.bound.report
        ways = [
            way for one in self.met[0] for way in self._ways(((one,), (None,)), list(enumerate(report.joins)))
        ]
        kept = {n: self._first(n, axis, ways) for n, axis in enumerate(report.axes) if axis.top is not None}
        whole = 1 << len(report.axes)
        return {level: self._level(level, ways, kept) for level in range(whole)}

    def _ways(self, way: Way, joins: Sequence[tuple[int, Join]]) -> Iterator[Way]:
        if not joins:
            yield way
            return
        (n, join), *rest = joins
        (records, labels), near = way, way[0][join.from_source]
        found = [] if near is None else list(self._neighbours(near, n + 1, join))
        none: list[tuple[int | None, int | None]] = [] if join.required else [(None, None)]
        for other, label in found or none:
            yield from self._ways(((*records, other), (*labels, label)), rest)

    def _neighbours(self, near: int, source: int, join: Join) -> Iterator[tuple[int, int | None]]:
        for (from_id, kind, to_id), held in self.types.items():
            if from_id != near or kind != join.object_type_id or to_id not in self.met[source]:
                continue
            labels = [one for one in held if one != join.unlabelled_id]
            if not labels and (join.label_ids is None or join.unlabelled):
                yield to_id, None
            for label in labels:
                if join.label_ids is None or label in join.label_ids:
                    yield to_id, label

    # --- values ----------------------------------------------------------------------------------------------

    def _values(self, axis: Axis, way: Way) -> Sequence[Any]:
        record = way[0][axis.source]
        if axis.property is None:
            return [way[1][axis.source]]
        if record is None:
            return [None]
        row, prop = self.records[record], axis.property
        if prop.multiple:
            given = row["properties"].get(prop.name)
            return [_text(one) for one in given] if isinstance(given, list) and given else [None]
        value = (
            _of_type(row["properties"].get(prop.name), prop.type) if prop.column is None else row[prop.column]
        )
        if value is not None and axis.bucket is not None:
            value = _bucket(value, axis.bucket, ZoneInfo(self.bound.report.time_zone))
        if value is not None and axis.step is not None:
            step = Fraction(str(axis.step))
            value = (value // step) * step
        return [value]

    def _first(self, n: int, axis: Axis, ways: Sequence[Way]) -> Collection[Any]:
        assert axis.top is not None
        groups: dict[Any, list[Way]] = defaultdict(list)
        for way in ways:
            for value in self._values(axis, way):
                groups[value].append(way)
        measure = self.bound.report.measures[axis.top.measure]
        ranked = []
        for value, some in groups.items():
            told = self._measure(measure, some)
            ranked.append(((told is None, -(told or 0), value is None, value or 0), value))
        return [value for _, value in sorted(ranked, key=lambda one: one[0])[: axis.top.n]]

    # --- groups ----------------------------------------------------------------------------------------------

    def _level(self, level: int, ways: Sequence[Way], kept: Mapping[int, Collection[Any]]) -> Told:
        report = self.bound.report
        groups: dict[tuple[Value | None, ...], list[Way]] = defaultdict(list)
        if level == (1 << len(report.axes)) - 1:
            groups[(None,) * len(report.axes)] = []
        for way in ways:
            choices = []
            for n, axis in enumerate(report.axes):
                values: dict[Value, None] = {}
                for value in self._values(axis, way):
                    if n not in kept or value in kept[n]:
                        values[False, value] = None
                    elif axis.top is not None and axis.top.others:
                        values[True, OTHERS] = None
                choices.append(list(values))
            for key in itertools.product(*choices):
                # What an axis leaves out is left out of totals, too.
                groups[tuple(None if level >> n & 1 else value for n, value in enumerate(key))].append(way)
        told = {
            key: tuple(self._measure(measure, some) for measure in report.measures)
            for key, some in groups.items()
        }
        if level == 0:
            told = {key: values for key, values in told.items() if self._stays(values)}
        return told

    def _stays(self, values: Sequence[float | None]) -> bool:
        return all(
            (value := values[one.measure]) is not None and _compares(value, one.comparison, one.value)
            for one in self.bound.report.having
        )

    def _measure(self, measure: Measure, ways: Sequence[Way]) -> float | None:
        """Each record once."""
        ids = {way[0][measure.source] for way in ways} - {None}
        if measure.property is None:
            return len(ids)
        prop = measure.property
        held = []
        for one in ids:
            row = self.records[one or 0]
            given = row[prop.column] if prop.column else row["properties"].get(prop.name)
            value = given if prop.type == "JSON" or prop.column else _of_type(given, prop.type)
            if value is not None:
                held.append(value)
        match measure.function:
            case Function.DISTINCT:
                return len({repr(_frozen(value)) for value in held})
            case _ if not held:
                return None
            case Function.SUM:
                return _float(sum(held))
            case Function.AVERAGE:
                return _float(sum(held) / len(held))
            case Function.MINIMUM:
                return _float(min(held))
            case _:
                return _float(max(held))


def _of_type(value: Any, kind: str) -> Any:
    match kind:
        case "NUMBER":
            return (
                Fraction(str(value))
                if isinstance(value, int | float) and not isinstance(value, bool)
                else None
            )
        case "BOOLEAN":
            return value if isinstance(value, bool) else None
        case _:
            return value if isinstance(value, str) else None


def _text(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    return '["b"]' if value == ["b"] else str(value)


def _frozen(value: Any) -> Any:
    """JSON that equals whatever the order of its keys, and whether or not a number has a point."""
    if isinstance(value, dict):
        return sorted((key, _frozen(one)) for key, one in value.items())
    return value


def _bucket(value: str | datetime, bucket: Bucket, zone: ZoneInfo) -> str:
    if isinstance(value, str) and "T" not in value:
        day = date.fromisoformat(value)
    else:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        day = local_day(moment.astimezone(UTC).replace(tzinfo=None), zone).date()
    match bucket:
        case Bucket.DAY:
            return day.isoformat()
        case Bucket.WEEK:
            year, week, _ = day.isocalendar()
            return f"{year:04}-W{week:02}"
        case Bucket.MONTH:
            return day.isoformat()[:7]
        case Bucket.QUARTER:
            return f"{day.year:04}-Q{(day.month + 2) // 3}"
        case _:
            return day.isoformat()[:4]


def _float(value: Fraction) -> float:
    return 0.0 if abs(value) < Fraction(1, 10**300) else float(value)


def _compares(value: float, comparison: Comparison, other: float) -> bool:
    return {
        Comparison.EQUAL: value == other,
        Comparison.NOT_EQUAL: value != other,
        Comparison.LESS: value < other,
        Comparison.LESS_OR_EQUAL: value <= other,
        Comparison.GREATER: value > other,
        Comparison.GREATER_OR_EQUAL: value >= other,
    }[comparison]
