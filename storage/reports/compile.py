"""A report as one SQL statement, which answers a row for each group and each total.

Three stages. `base`: each record of the first source with what it is joined to, one row for each way, the values of the
axes beside the ids and values that are measured. `once`: within each group (and each total) every measured record once,
however many ways lead to it; so a record with two labels counts under both, and once in the total. `told`: the
measures.
An axis with a top is ranked from `base` first; what is not among its first values then counts as one.
"""

from collections.abc import Sequence
from typing import assert_never

from storage.filters.compile import compile as condition
from storage.filters.tree import Property
from storage.filters.values import Add, as_time, of_record
from storage.reports.tree import Axis, Bucket, Function, Join, Measure, Report, Top

# More groups than this are no report; one more is asked for, which tells.
GROUPS = 10_000

_BUCKETS = {
    Bucket.DAY: "YYYY-MM-DD",
    Bucket.WEEK: 'IYYY-"W"IW',
    Bucket.MONTH: "YYYY-MM",
    Bucket.QUARTER: 'YYYY-"Q"Q',
    Bucket.YEAR: "YYYY",
}
_AGGREGATES = {
    Function.SUM: "sum",
    Function.AVERAGE: "avg",
    Function.MINIMUM: "min",
    Function.MAXIMUM: "max",
}


def compile(report: Report, add: Add) -> str:
    """The statement.

    Its columns: `level` (bit n is set where axis n is not told apart), of each axis `d0 …` the value and `o0 …` whether
    that is all the others together, and `m0 …` the measures. At most `GROUPS` + 1 rows, groups before totals, in the
    report's order.
    """
    return _Writer(report, add).statement()


class _Writer:
    def __init__(self, report: Report, add: Add) -> None:
        self._report = report
        self._add = add
        self._axes = range(len(report.axes))
        # Several choices of one record tell it apart several times: a table function beside the record.
        self._beside: list[str] = []

    def statement(self) -> str:
        """The whole of it."""
        report = self._report
        parts = [f"base AS ({self._base()})"]
        source = "base"
        for n, axis in enumerate(report.axes):
            if axis.top is not None:
                parts.append(f"top{n} AS ({self._top(n, axis.top)})")
        if any(axis.top is not None for axis in report.axes):
            parts.append(f"cut AS ({self._cut()})")
            source = "cut"
        told = self._told(report.measures, source, self._grouped())
        dims = ", ".join(f"t.d{n}, t.o{n}" for n in self._axes)
        measures = ", ".join(f"t.m{n}" for n in range(len(report.measures)))
        having = " AND ".join(
            f"t.m{one.measure} {one.comparison.value} {self._add(one.value, 'float8')}"
            for one in report.having
        )
        where = f" WHERE (t.level <> 0 OR ({having}))" if having else ""
        columns = ", ".join(part for part in ("t.level", dims, measures) if part)
        return (
            f"WITH {', '.join(parts)} SELECT {columns} FROM ({told}) AS t{where}"
            f" ORDER BY {self._order()} LIMIT {GROUPS + 1}"
        )

    # --- base ----------------------------------------------------------------------------------------------------

    def _base(self) -> str:
        report = self._report
        dims = [f"{self._dimension(axis)} AS d{n}" for n, axis in enumerate(report.axes)]
        ids = [f"s{source}.id AS i{source}" for source in self._measured()]
        values = [
            f"{self._measured_value(one)} AS v{n}"
            for n, one in enumerate(report.measures)
            if one.property is not None
        ]
        tables = "record AS s0" + "".join(self._join(n + 1, join) for n, join in enumerate(report.joins))
        where = (
            f"s0.account_id = $1 AND s0.object_type_id = {report.object_type_id} AND s0.archived_at IS NULL"
        )
        if report.where is not None:
            where += f" AND {condition(report.where, 's0', self._add)}"
        return (
            f"SELECT {', '.join([*dims, *ids, *values])} FROM {tables}{''.join(self._beside)} WHERE {where}"
        )

    def _measured(self) -> list[int]:
        """The sources whose records are counted, each once."""
        return sorted({one.source for one in self._report.measures})

    def _join(self, source: int, join: Join) -> str:
        edge, record = f"a{source}", f"s{source}"
        kind = "JOIN" if join.required else "LEFT JOIN"
        where = "" if join.where is None else f" AND {condition(join.where, record, self._add)}"
        # Both or neither: an association to a record that does not count is none.
        return (
            f" {kind} (association AS {edge} JOIN record AS {record} ON {record}.account_id = $1"
            f" AND {record}.id = {edge}.to_id AND {record}.archived_at IS NULL{where})"
            f" ON {edge}.account_id = $1 AND {edge}.from_id = s{join.from_source}.id"
            f" AND {edge}.to_object_type_id = {join.object_type_id} AND {self._joins(source, join)}"
        )

    def _joins(self, source: int, join: Join) -> str:
        """Which of a pair's rows join: one where labels do not matter, one for each label where they do."""
        edge = f"a{source}"
        by_label = any(axis.source == source and axis.property is None for axis in self._report.axes)
        if join.label_ids is None and not by_label:
            return f"{edge}.type_id = {join.unlabelled_id}"
        labels = join.every_label_id if join.label_ids is None else join.label_ids
        named = f"{edge}.type_id = ANY({_ids(labels)})"
        if join.label_ids is not None and not join.unlabelled:
            return named
        other = f"l{source}"
        bare = (
            f"{edge}.type_id = {join.unlabelled_id} AND NOT EXISTS (SELECT FROM association AS {other}"
            f" WHERE {other}.account_id = $1 AND {other}.from_id = {edge}.from_id"
            f" AND {other}.to_object_type_id = {join.object_type_id} AND {other}.to_id = {edge}.to_id"
            f" AND {other}.type_id = ANY({_ids(join.every_label_id)}))"
        )
        return f"({named} OR ({bare}))"

    # --- values --------------------------------------------------------------------------------------------------

    def _dimension(self, axis: Axis) -> str:
        record = f"s{axis.source}"
        if axis.property is None:
            unlabelled = self._report.joins[axis.source - 1].unlabelled_id
            return f"nullif(a{axis.source}.type_id, {unlabelled})"
        value = of_record(axis.property, record, self._add)
        if axis.property.multiple:
            # A function's rows cannot be kept without a table beside it: none is NULL.
            name = f"c{len(self._beside)}"
            self._beside.append(
                f" LEFT JOIN LATERAL jsonb_array_elements_text({value}) AS {name}(value) ON true"
            )
            return f'({name}.value COLLATE "C")'
        if axis.bucket is not None:
            return self._bucket(axis.property, value, axis.bucket)
        if axis.step is not None:
            step = self._add(axis.step, "float8")
            return f"(floor(({value})::float8 / {step}) * {step})"
        return value

    def _bucket(self, prop: Property, value: str, bucket: Bucket) -> str:
        if prop.type == "DATE" and bucket in (Bucket.DAY, Bucket.MONTH, Bucket.YEAR):
            # The text is its own bucket.
            length = {Bucket.DAY: 10, Bucket.MONTH: 7, Bucket.YEAR: 4}[bucket]
            return f'(left({value}, {length}) COLLATE "C")'
        time = as_time(prop, value)
        if prop.type != "DATE":
            time = f"({time} AT TIME ZONE 'UTC' AT TIME ZONE {self._add(self._report.time_zone, 'text')})"
        return f"(to_char({time}, '{_BUCKETS[bucket]}') COLLATE \"C\")"

    def _measured_value(self, measure: Measure) -> str:
        assert measure.property is not None  # else there is no value
        value = of_record(measure.property, f"s{measure.source}", self._add)
        return value if measure.property.type == "NUMBER" else f"({value})::text"

    # --- groups --------------------------------------------------------------------------------------------------

    def _grouped(self) -> list[tuple[int, ...]]:
        """The axes that tell groups apart, at each level: all of them first."""
        if not self._report.totals:
            return [tuple(self._axes)]
        levels = [tuple(n for n in self._axes if not mask >> n & 1) for mask in range(1 << len(self._axes))]
        return sorted(levels, key=len, reverse=True)

    def _told(self, measures: Sequence[Measure], source: str, levels: Sequence[tuple[int, ...]]) -> str:
        """The measures of `source` at these levels, each as `m` and its place among the report's."""
        places = {id(one): n for n, one in enumerate(self._report.measures)}
        asked = [places[id(one)] for one in measures]
        sources = sorted({one.source for one in measures})
        parts = [self._of_source(of, asked, source, levels) for of in sources]
        if len(parts) == 1:
            return parts[0]
        # Each tells its own measures; groups are few by now.
        dims = "".join(f", p.d{n}, p.o{n}" for n in self._axes)
        best = ", ".join(f"max(p.m{n}) AS m{n}" for n in asked)
        united = " UNION ALL ".join(f"({part})" for part in parts)
        return f"SELECT p.level{dims}, {best} FROM ({united}) AS p GROUP BY p.level{dims}"

    def _of_source(
        self, of: int, asked: Sequence[int], source: str, levels: Sequence[tuple[int, ...]]
    ) -> str:
        report = self._report
        mine = [n for n in asked if report.measures[n].source == of]
        values = [n for n in mine if report.measures[n].property is not None]
        cut = source == "cut"
        told_apart = sorted({n for one in levels for n in one})
        bits = [f"(grouping(b.d{n}) << {n})" for n in told_apart]
        bits.append(str(sum(1 << n for n in self._axes if n not in told_apart)))
        columns = [f"{' | '.join(bits)} AS level"]
        for n in self._axes:
            columns.append(f"b.d{n}" if n in told_apart else f"NULL::text AS d{n}")
            columns.append(f"b.o{n}" if cut and n in told_apart else f"false AS o{n}")
        sets = ", ".join(
            "(" + ", ".join([*(f"b.d{n}" for n in one), *(f"b.o{n}" for n in one if cut), f"b.i{of}"]) + ")"
            for one in levels
        )
        once = (
            f"SELECT {', '.join(columns)}, b.i{of}{''.join(f', any_value(b.v{n}) AS v{n}' for n in values)}"
            f" FROM {source} AS b GROUP BY GROUPING SETS ({sets})"
        )
        keys = "".join(f", u.d{n}, u.o{n}" for n in self._axes)
        told = ", ".join(
            f"{self._aggregate(report.measures[n], n, of)} AS m{n}" if n in mine else f"NULL::float8 AS m{n}"
            for n in asked
        )
        return f"SELECT u.level{keys}, {told} FROM ({once}) AS u GROUP BY u.level{keys}"

    def _aggregate(self, measure: Measure, n: int, of: int) -> str:
        match measure.function:
            case Function.COUNT:
                return f"count(u.i{of})::float8"
            case Function.DISTINCT:
                return f"count(DISTINCT u.v{n})::float8"
            case Function.SUM | Function.AVERAGE | Function.MINIMUM | Function.MAXIMUM:
                return f"{_AGGREGATES[measure.function]}(u.v{n})::float8"
            case _:
                assert_never(measure.function)

    # --- tops ----------------------------------------------------------------------------------------------------

    def _top(self, axis: int, top: Top) -> str:
        """The first values of an axis, by a measure of all that has them."""
        measure = self._report.measures[top.measure]
        told = self._told([measure], "base", [(axis,)])
        return (
            f"SELECT t.d{axis} AS d FROM ({told}) AS t"
            f" ORDER BY t.m{top.measure} DESC NULLS LAST, t.d{axis} NULLS LAST LIMIT {int(top.n)}"
        )

    def _cut(self) -> str:
        """`base`, with what is not among the first values of an axis as others, or left out."""
        columns, joins, where = [], [], []
        for n, axis in enumerate(self._report.axes):
            if axis.top is None:
                columns.append(f"b.d{n}, false AS o{n}")
                continue
            # Equal, or both none; hashes of both columns find it.
            joins.append(
                f" LEFT JOIN (SELECT w.d, true AS here FROM top{n} AS w) AS w{n}"
                f" ON coalesce(w{n}.d::text, '') = coalesce(b.d{n}::text, '') AND (w{n}.d IS NULL) = (b.d{n} IS NULL)"
            )
            columns.append(f"CASE WHEN w{n}.here THEN b.d{n} END AS d{n}, w{n}.here IS NULL AS o{n}")
            if not axis.top.others:
                where.append(f"w{n}.here")
        ids = [f"b.i{source}" for source in self._measured()]
        values = [f"b.v{n}" for n, one in enumerate(self._report.measures) if one.property is not None]
        wanted = f" WHERE {' AND '.join(where)}" if where else ""
        return f"SELECT {', '.join([*columns, *ids, *values])} FROM base AS b{''.join(joins)}{wanted}"

    def _order(self) -> str:
        report = self._report
        keys = ["t.level"]
        if report.order.measure is not None:
            keys.append(
                f"t.m{report.order.measure} {'DESC' if report.order.descending else 'ASC'} NULLS LAST"
            )
        for n in self._axes:
            down = n == 0 and report.order.measure is None and report.order.descending
            keys.append(f"t.o{n}, t.d{n} {'DESC' if down else 'ASC'} NULLS LAST")
        return ", ".join(keys)


def _ids(ids: Sequence[int]) -> str:
    return f"ARRAY[{', '.join(str(int(one)) for one in ids)}]::bigint[]"
