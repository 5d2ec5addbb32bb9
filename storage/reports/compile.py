"""A report as one SQL statement, which answers a row for each group and each total.

`base`: each record of the first source with what it is joined to, one row for each way, the values of the axes beside
the ids and values that are measured. An axis with a top is ranked from it; what is not among its first values counts as
one (`cut`). Within each group, and each total, every measured record counts once, however many ways lead to it; so a
record with two labels counts under both, and once in the total. Only axes whose value is not the measured record's own
tell it apart: for each set of those that a level has, `once…` has each record once, and the others come after that.
Where nothing multiplies, `base` is that already.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import assert_never
from zoneinfo import ZoneInfo

from storage.filters.values import Add
from storage.reports.sources import Sources
from storage.reports.tree import Function, Measure, Report, Top
from storage.reports.values import number, of_axis, of_measure

# More groups than this are no report; one more is asked for, which tells.
GROUPS = 10_000

_AGGREGATES = {
    Function.SUM: "sum",
    Function.AVERAGE: "avg",
    Function.MINIMUM: "min",
    Function.MAXIMUM: "max",
}


def compile(report: Report, levels: Collection[int], add: Add) -> str:
    """The statement for some levels: bit n of a level is set where axis n is not told apart; 0 are the groups.

    Its columns: `level`, of each axis `d0 …` the value and `o0 …` whether that is all the others together, and
    `m0 …` the measures. At most `GROUPS` + 1 rows, in no order.
    """
    return _Writer(report, add).statement(sorted(levels))


@dataclass(frozen=True, slots=True)
class _Level:
    """A level, and the axes that tell its groups apart."""

    bits: int
    axes: tuple[int, ...]


class _Writer:
    def __init__(self, report: Report, add: Add) -> None:
        self._report = report
        self._add = add
        self._axes = range(len(report.axes))
        self._zone: tzinfo = ZoneInfo(report.time_zone)
        self._sources = Sources(report, add)
        # Several choices of one record tell it apart several times: a table function beside the record.
        self._beside: list[str] = []
        # The queries before the last one, in order.
        self._parts: list[str] = []
        # Whether first records by themselves are those of `base`.
        self._alone = False

    def statement(self, levels: Sequence[int]) -> str:
        """The whole of it."""
        report = self._report
        base = self._base()
        self._parts.append(f"base AS ({base})")
        source = "base"
        for n, axis in enumerate(report.axes):
            if axis.top is not None:
                ranked = self._top(n, axis.top)
                self._parts.append(f"top{n} AS ({ranked})")
                source = "cut"
        if source == "cut":
            self._parts.append(f"cut AS ({self._cut()})")
        asked = [_Level(one, tuple(n for n in self._axes if not one >> n & 1)) for one in levels]
        told = self._told(range(len(report.measures)), source, asked)
        having = " AND ".join(
            f"t.m{one.measure} {one.comparison.value} {self._add(one.value, 'float8')}"
            for one in report.having
        )
        where = f" WHERE (t.level <> 0 OR ({having}))" if having else ""
        return f"WITH {', '.join(self._parts)} SELECT t.* FROM ({told}) AS t{where} LIMIT {GROUPS + 1}"

    # --- base ----------------------------------------------------------------------------------------------------

    def _base(self) -> str:
        report = self._report
        # What is read of a first record is read once, before joining multiplies it and carries its document about;
        # unless joining is what finds few of them.
        read = self._sources.multiply and not any(one.required and one.where for one in report.joins)
        first: list[str] = []
        dims = [f"{self._dimension(n, first if read else None)} AS d{n}" for n in self._axes]
        ids = [f"s{source}.id AS i{source}" for source in self._measured()]
        values = []
        for n, one in enumerate(report.measures):
            if one.property is not None:
                value = of_measure(one, one.property, f"s{one.source}", self._add)
                values.append(f"{_first(value, f'v{n}', one.source, first if read else None)} AS v{n}")
        where, others = self._sources.of_first(), self._sources.of_others()
        if read:
            self._parts.append(
                f"first AS (SELECT s0.id, s0.id AS i0{''.join(first)} FROM record AS s0 WHERE {where} OFFSET 0)"
            )
            # Then what is measured of first records alone needs none of what they are joined to.
            self._alone = not others and not any(one.required for one in report.joins)
        tables = ("first AS s0" if read else "record AS s0") + self._sources.joins() + "".join(self._beside)
        # Computed before it is grouped: documents would not fit into its memory.
        wanted = " AND ".join([*([] if read else [where]), *others])
        ending = (f" WHERE {wanted}" if wanted else "") + (" OFFSET 0" if read else "")
        return f"SELECT {', '.join([*dims, *ids, *values])} FROM {tables}{ending}"

    def _dimension(self, n: int, first: list[str] | None) -> str:
        axis = self._report.axes[n]
        if axis.property is None:
            return self._sources.label(axis.source)
        value = of_axis(axis, axis.property, f"s{axis.source}", self._zone, self._add)
        value = _first(value, f"d{n}", axis.source, first)
        if not axis.property.multiple:
            return value
        # A function's rows cannot be kept without a table beside it: none is NULL.
        self._beside.append(f" LEFT JOIN LATERAL jsonb_array_elements_text({value}) AS c{n}(value) ON true")
        return f'(c{n}.value COLLATE "C")'

    def _measured(self) -> list[int]:
        """The sources whose records are counted, each once."""
        return sorted({one.source for one in self._report.measures})

    # --- groups --------------------------------------------------------------------------------------------------

    def _told(self, measures: Sequence[int], source: str, levels: Sequence[_Level]) -> str:
        """Some measures of `source` at these levels, each as `m` and its number."""
        of = sorted({self._report.measures[n].source for n in measures})
        parts = [part for one in of for part in self._of_source(one, measures, source, levels)]
        if len(of) == 1:
            return " UNION ALL ".join(parts)
        # Each tells its own measures; groups are few by now.
        dims = "".join(f", p.d{n}, p.o{n}" for n in self._axes)
        best = ", ".join(f"max(p.m{n}) AS m{n}" for n in measures)
        return f"SELECT p.level{dims}, {best} FROM ({' UNION ALL '.join(parts)}) AS p GROUP BY p.level{dims}"

    def _of_source(
        self, of: int, measures: Sequence[int], source: str, levels: Sequence[_Level]
    ) -> list[str]:
        """The measures of one source: a query for each set of axes that tell its records apart."""
        found = []
        apart = [n for n in self._axes if self._tells_apart(n, of)]
        begin = source
        for kept in sorted(
            {tuple(n for n in one.axes if n in apart) for one in levels}, reverse=True, key=len
        ):
            some = [one for one in levels if tuple(n for n in one.axes if n in apart) == kept]
            rows = "first" if self._alone and of == 0 and not apart and source == "base" else source
            if rows != "first" and (self._sources.multiply or self._beside):
                rows = self._once(of, measures, begin, source, kept, apart)
                # The first has all that tell apart, where any level has: each other set is found in it.
                begin = rows if kept == tuple(apart) else begin
            found.append(self._grouped(of, measures, rows, source, some))
        return found

    def _tells_apart(self, n: int, of: int) -> bool:
        """Whether an axis may have several values for one record of a source."""
        axis = self._report.axes[n]
        return axis.source != of or axis.property is None or axis.property.multiple

    def _once(
        self,
        of: int,
        measures: Sequence[int],
        begin: str,
        source: str,
        kept: tuple[int, ...],
        apart: Sequence[int],
    ) -> str:
        """The name of a query that has each measured record once for each value of the axes that are `kept`."""
        name = f"once{len(self._parts)}"
        keys = [f"b.{column}" for n in kept for column in self._columns(n, source)]
        own = [column for n in self._axes if n not in apart for column in self._columns(n, source)]
        own += [f"v{n}" for n in self._valued(of, measures)]
        columns = [*keys, f"b.i{of}", *(f"any_value(b.{column}) AS {column}" for column in own)]
        grouped = ", ".join([*keys, f"b.i{of}"])
        self._parts.append(f"{name} AS (SELECT {', '.join(columns)} FROM {begin} AS b GROUP BY {grouped})")
        return name

    def _grouped(
        self, of: int, measures: Sequence[int], rows: str, source: str, levels: Sequence[_Level]
    ) -> str:
        """The measures of records that are there once each."""
        here = sorted({n for one in levels for n in one.axes})
        bits = [f"(grouping(u.d{n}) << {n})" for n in here]
        bits.append(str(sum(1 << n for n in self._axes if n not in here)))
        columns = [f"{' | '.join(bits)} AS level"]
        for n in self._axes:
            value = f"u.d{n}" if n in here else f"NULL::{self._kind(n)}"
            # At a level without the axis there is neither.
            others = f"coalesce(u.o{n}, false)" if n in here and self._cuts(n, source) else "false"
            columns.append(f"{value} AS d{n}, {others} AS o{n}")
        for n in measures:
            measure = self._report.measures[n]
            told = self._aggregate(measure, n, of) if measure.source == of else "NULL::float8"
            columns.append(f"{told} AS m{n}")
        sets = [
            ", ".join(f"u.{column}" for n in one.axes for column in self._columns(n, source))
            for one in levels
        ]
        by = f" GROUP BY {sets[0]}" if len(sets) == 1 and sets[0] else ""
        if len(sets) > 1:
            by = f" GROUP BY GROUPING SETS ({', '.join(f'({one})' for one in sets)})"
        # Without any axis there is one row, whatever there is.
        return f"SELECT {', '.join(columns)} FROM {rows} AS u{by}"

    def _columns(self, n: int, source: str) -> list[str]:
        return [f"d{n}", f"o{n}"] if self._cuts(n, source) else [f"d{n}"]

    def _cuts(self, n: int, source: str) -> bool:
        return source == "cut" and self._report.axes[n].top is not None

    def _kind(self, n: int) -> str:
        """The SQL type of an axis."""
        axis = self._report.axes[n]
        if axis.property is None:
            return "bigint"
        # Said outright, as in the rows that it is united with.
        return {"NUMBER": "numeric", "BOOLEAN": "boolean"}.get(axis.property.type, 'text COLLATE "C"')

    def _valued(self, of: int, measures: Sequence[int]) -> list[int]:
        every = self._report.measures
        return [n for n in measures if every[n].source == of and every[n].property is not None]

    def _aggregate(self, measure: Measure, n: int, of: int) -> str:
        match measure.function:
            case Function.COUNT:
                return f"count(u.i{of})::float8"
            case Function.DISTINCT:
                return f"count(DISTINCT u.v{n})::float8"
            case Function.SUM | Function.AVERAGE | Function.MINIMUM | Function.MAXIMUM:
                return number(f"{_AGGREGATES[measure.function]}(u.v{n})")
            case _:
                assert_never(measure.function)

    # --- tops ----------------------------------------------------------------------------------------------------

    def _top(self, axis: int, top: Top) -> str:
        """The first values of an axis, by a measure of all that has them."""
        every = sum(1 << n for n in self._axes if n != axis)
        told = self._told([top.measure], "base", [_Level(every, (axis,))])
        return (
            f"SELECT t.d{axis} AS d FROM ({told}) AS t"
            f" ORDER BY t.m{top.measure} DESC NULLS LAST, t.d{axis} NULLS LAST LIMIT {int(top.n)}"
        )

    def _cut(self) -> str:
        """`base`, with what is not among the first values of an axis as others, or left out."""
        columns, joins, where = [], [], []
        for n, axis in enumerate(self._report.axes):
            if axis.top is None:
                columns.append(f"b.d{n}")
                continue
            # A table of hashes has the values; no value at all is asked for by itself.
            joins.append(f" LEFT JOIN top{n} AS w{n} ON w{n}.d = b.d{n}")
            none = f"(b.d{n} IS NULL AND EXISTS (SELECT FROM top{n} AS n{n} WHERE n{n}.d IS NULL))"
            here = f"(w{n}.d IS NOT NULL OR {none})"
            columns.append(f"w{n}.d AS d{n}, NOT {here} AS o{n}")
            if not axis.top.others:
                where.append(here)
        columns += [f"b.i{source}" for source in self._measured()]
        columns += [f"b.v{n}" for n, one in enumerate(self._report.measures) if one.property is not None]
        wanted = f" WHERE {' AND '.join(where)}" if where else ""
        return f"SELECT {', '.join(columns)} FROM base AS b{''.join(joins)}{wanted}"


def _first(value: str, name: str, source: int, first: list[str] | None) -> str:
    """A value of a record; of the first source, by name, where those are read before joining."""
    if first is None or source != 0:
        return value
    first.append(f", {value} AS {name}")
    return f"s0.{name}"
