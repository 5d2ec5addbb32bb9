"""Running a report: one statement, and its rows as people and charts want them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from engine.reports import problems as told
from engine.reports.definition import Bound
from storage.database import Reader
from storage.reports import rows as stored
from storage.reports.compile import GROUPS
from storage.reports.rows import GroupRow
from storage.reports.tree import Order

# What an axis shows where there is no value: no property, no label, no associated record.
NO_VALUE = "(No value)"
OTHERS = "(Others)"
# A chart's values: every category has one in every series, whether there is a group or not.
CELLS = 250_000
# Beyond this a JSON number is none of the numbers that clients hold.
_WHOLE = 2**53


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


Ranks = Mapping[Any, int] | None


@dataclass(frozen=True, slots=True)
class Result:
    """Groups in the report's order, and totals; the same for charts, made when they are asked for."""

    groups: tuple[Row, ...]
    totals: tuple[Row, ...]
    # What a chart shows, with the ranks of the second axis and the number of measures.
    charted: Sequence[tuple[GroupRow, Row]]
    seconds: Ranks
    measures: int

    @property
    def categories(self) -> tuple[Key, ...]:
        """Values of the first axis, in the order in which groups have them."""
        return tuple(dict.fromkeys(key for _, one in self.charted for key in one.keys[:1] if key is not None))

    @property
    def series(self) -> tuple[Series, ...]:
        """Each measure along the categories, for each value of the second axis. Raises `ReportChartTooLarge`."""
        return _series(self.charted, self.seconds, self.measures)


async def run(reader: Reader, bound: Bound, *, now: datetime, totals: bool = True) -> Result:
    """What a report says at `now`; totals where they are asked for. Raises `ReportTooLarge`.

    A total is made of the records themselves: one under two labels counts once. What a condition on groups leaves out
    is in the totals all the same.
    """
    axes = range(len(bound.axes))
    whole, first, chart = (1 << len(axes)) - 1, _without(axes, 1), _without(axes, 2)
    order = bound.report.order
    levels = set(range(whole + 1)) if totals else {0}
    # What the first axis comes to orders it; charts have two axes.
    levels |= {first if order.measure is not None else 0, chart}
    found = await stored.read(reader, bound.report, levels, now=now)
    if len(found) > GROUPS:
        raise told.ReportTooLarge(limit=GROUPS)
    labels = [_labels(bound, n) for n in axes]
    ranks = [_ranks(bound, n) for n in axes]
    place = _places(order, ranks, [row for row in found if row.level == first])
    rows = [(row, _row(row, labels)) for row in sorted(found, key=place)]
    groups = [(row, one) for row, one in rows if row.level == 0]
    charted = _charted(groups, [(row, one) for row, one in rows if row.level == chart])
    return Result(
        tuple(one for _, one in groups),
        tuple(one for row, one in rows if row.level != 0) if totals else (),
        charted,
        ranks[1] if len(ranks) > 1 else None,
        len(bound.measures),
    )


def _without(axes: range, kept: int) -> int:
    """The level at which only the first axes are told apart."""
    return sum(1 << n for n in axes if n >= kept)


def _row(row: GroupRow, labels: Sequence[Mapping[Any, Key]]) -> Row:
    keys = (
        None if row.level >> n & 1 else _key(value, others, labels[n])
        for n, (value, others) in enumerate(zip(row.values, row.others, strict=True))
    )
    return Row(tuple(keys), row.measures)


def _labels(bound: Bound, axis: int) -> dict[Any, Key]:
    """What people call the values of an axis, where that is not the value itself; labels go by their names."""
    prop = bound.axes[axis]
    if bound.report.axes[axis].property is None:
        source = bound.sources[bound.report.axes[axis].source]
        return {row.id: Key(row.name, row.label or row.name or "") for row in source.labels}
    if prop is None:
        return {}
    return {option["value"]: Key(option["value"], option["label"]) for option in prop.options}


def _key(value: Any, others: bool, known: Mapping[Any, Key]) -> Key:
    if others:
        return Key(None, OTHERS, others=True)
    if value is None:
        return Key(None, NO_VALUE)
    if isinstance(value, bool):
        return Key(value, "Yes" if value else "No")
    if isinstance(value, Decimal):
        number = float(value)
        if not math.isfinite(number):
            # More than a number of JSON is held to; no command writes such.
            return Key(None, str(value))
        value = int(value) if abs(value) < _WHOLE and value == int(value) else number
    return known.get(value) or Key(value, str(value))


# --- order ------------------------------------------------------------------------------------------------------


def _ranks(bound: Bound, axis: int) -> Mapping[Any, int] | None:
    """Places of an axis's values, where they do not go by themselves: choices go in the order of their options."""
    prop = bound.axes[axis]
    if bound.report.axes[axis].property is None or prop is None or not prop.options:
        return None
    return {option["value"]: n for n, option in enumerate(prop.options)}


def _places(
    order: Order, ranks: Sequence[Mapping[Any, int] | None], first: Sequence[GroupRow]
) -> Callable[[GroupRow], tuple[Any, ...]]:
    """The place of a row: groups before totals, then axis by axis; what are others, and no value, stand last."""
    down = -1 if order.descending else 1
    sums: dict[tuple[bool, Any], tuple[bool, float]] = {}
    for row in first if order.measure is not None else ():
        told = row.measures[order.measure or 0]
        if row.values:
            sums[row.others[0], row.values[0]] = (told is None, (told or 0) * down)

    def place(row: GroupRow) -> tuple[Any, ...]:
        keys: list[Any] = [row.level]
        for n, (value, others) in enumerate(zip(row.values, row.others, strict=True)):
            keys.append(others)
            if n == 0 and sums:
                keys.append(sums.get((others, value), (True, 0.0)))
            turned = n == 0 and order.measure is None and order.descending
            keys.append(_placed(value, ranks[n], turned=turned))
        return tuple(keys)

    return place


def _placed(value: Any, ranks: Mapping[Any, int] | None, *, turned: bool = False) -> tuple[Any, ...]:
    if value is None:
        return True, 0, 0
    # What is no option (any more) stands behind them.
    rank = 0 if ranks is None else ranks.get(value, len(ranks))
    return (False, -rank, _turned(value)) if turned else (False, rank, value)


def _turned(value: Any) -> Any:
    """What sorts the other way round."""
    if isinstance(value, str):
        # A text follows what it begins with.
        return [*(-ord(letter) for letter in value), 1]
    return -value


# --- charts -----------------------------------------------------------------------------------------------------


def _charted(
    groups: Sequence[tuple[GroupRow, Row]], two: Sequence[tuple[GroupRow, Row]]
) -> Sequence[tuple[GroupRow, Row]]:
    """What a chart shows: the groups; of three axes the first two, as far as there are groups for them."""
    if not groups or len(groups[0][1].keys) < 3:
        return groups
    there = {one.keys[:2] for _, one in groups}
    return [(row, one) for row, one in two if one.keys[:2] in there]


def _series(rows: Sequence[tuple[GroupRow, Row]], ranks: Ranks, measures: int) -> tuple[Series, ...]:
    if not rows or not rows[0][1].keys:
        return tuple(Series(None, n, (one.measures[n],)) for _, one in rows for n in range(measures))
    places: dict[Key | None, int] = {}
    seconds: dict[Key | None, tuple[Any, ...]] = {}
    for row, one in rows:
        places.setdefault(one.keys[0], len(places))
        second = one.keys[1] if len(one.keys) > 1 else None
        seconds[second] = () if second is None else (row.others[1], *_placed(row.values[1], ranks))
    if (cells := len(places) * len(seconds) * measures) > CELLS:
        raise told.ReportChartTooLarge(
            categories=len(places), series=len(seconds) * measures, count=cells, limit=CELLS
        )
    values: dict[tuple[Key | None, int], list[float | None]] = {
        (key, n): [None] * len(places)
        for key in sorted(seconds, key=lambda key: seconds[key])
        for n in range(measures)
    }
    for _, one in rows:
        for n, value in enumerate(one.measures):
            values[one.keys[1] if len(one.keys) > 1 else None, n][places[one.keys[0]]] = value
    return tuple(Series(key, n, tuple(found)) for (key, n), found in values.items())
