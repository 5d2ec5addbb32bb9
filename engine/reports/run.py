"""Running a report: one statement, and its rows as people and charts want them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from engine.reports import problems as told
from engine.reports.definition import Bound
from storage.catalogue import Catalogue
from storage.database import Queryable
from storage.reports import rows as stored
from storage.reports.compile import GROUPS

# What an axis shows where there is no value: no property, no label, no associated record.
NO_VALUE = "(No value)"
OTHERS = "(Others)"


@dataclass(frozen=True, slots=True)
class Key:
    """A value of an axis and what people call it. `others`: all values beyond the axis's top, together."""

    value: Any
    label: str
    others: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A group, or a total: None stands for an axis that is not told apart. Measures are None where there is nothing."""

    keys: tuple[Key | None, ...]
    measures: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """A measure along the first axis, for one value of the second (None: there is no second one)."""

    key: Key | None
    measure: int
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """Groups in the report's order, and totals; the same for charts: `categories` of the first axis, and series."""

    groups: tuple[Row, ...]
    totals: tuple[Row, ...]
    categories: tuple[Key, ...]
    series: tuple[Series, ...]


async def run(reader: Queryable, catalogue: Catalogue, bound: Bound, *, now: datetime) -> Result:
    """What a report says at `now`. Raises `ReportTooLarge`."""
    found = await stored.read(reader, bound.report, now=now)
    if len(found) > GROUPS:
        raise told.ReportTooLarge(limit=GROUPS)
    axes = range(len(bound.axes))
    labels = [_labels(bound, catalogue, n) for n in axes]
    groups: list[Row] = []
    totals: list[Row] = []
    for row in found:
        keys = tuple(
            None if row.level >> n & 1 else _key(row.values[n], row.others[n], labels[n]) for n in axes
        )
        (totals if row.level else groups).append(Row(keys, row.measures))
    return Result(tuple(groups), tuple(totals), *_chart(groups, len(bound.measures)))


def _labels(bound: Bound, catalogue: Catalogue, axis: int) -> dict[Any, str]:
    """What people call the values of an axis, where that is not the value itself."""
    prop = bound.axes[axis]
    if bound.report.axes[axis].property is None:
        source = bound.sources[bound.report.axes[axis].source]
        return {row.id: row.label or row.name or "" for row in source.labels}
    if prop is None:
        return {}
    return {option["value"]: option["label"] for option in prop.options}


def _key(value: Any, others: bool, labels: dict[Any, str]) -> Key:
    if others:
        return Key(None, OTHERS, others=True)
    if value is None:
        return Key(None, NO_VALUE)
    if isinstance(value, bool):
        return Key(value, "Yes" if value else "No")
    if isinstance(value, Decimal | float):
        number = float(value)
        value = int(number) if number.is_integer() else number
    return Key(value, labels.get(value, str(value)))


def _chart(groups: Sequence[Row], measures: int) -> tuple[tuple[Key, ...], tuple[Series, ...]]:
    """Categories are values of the first axis, in the order in which groups have them; series by the others."""
    if not groups or not groups[0].keys:
        return (), tuple(Series(None, n, (groups[0].measures[n],)) for n in range(measures) if groups)
    categories = tuple(dict.fromkeys(row.keys[0] for row in groups if row.keys[0] is not None))
    place = {key: n for n, key in enumerate(categories)}
    several: dict[tuple[Key | None, int], list[float | None]] = {}
    for row in groups:
        second = row.keys[1] if len(row.keys) > 1 else None
        for n, value in enumerate(row.measures):
            values = several.setdefault((second, n), [None] * len(categories))
            first = row.keys[0]
            if first is not None and value is not None:
                # With a third axis, which charts do not show, its groups are added up.
                values[place[first]] = value + (values[place[first]] or 0.0)
    return categories, tuple(Series(key, n, tuple(values)) for (key, n), values in several.items())
