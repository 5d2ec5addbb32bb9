"""What a report reads: the records of its first source, and along labels those of the others, as one FROM.

A source that nothing speaks of is not joined, since joining multiplies rows: where it is required, it is asked for.
"""

from storage.filters.compile import compile as condition
from storage.filters.far import among
from storage.filters.values import Add
from storage.reports.tree import Join, Report


def spoken_of(report: Report) -> set[int]:
    """The sources that are joined: of which axes or measures speak, and those on the way to them."""
    found = {0, *(axis.source for axis in report.axes), *(one.source for one in report.measures)}
    for source in range(len(report.joins), 0, -1):
        if source in found:
            found.add(report.joins[source - 1].from_source)
    return found


class Sources:
    """The FROM and WHERE of a report. Records stand at `s0`, `s1` …, what joins them at `a1` …, labels at `l1` …"""

    def __init__(self, report: Report, add: Add) -> None:
        self._report = report
        self._add = add
        self.joined = sorted(spoken_of(report))
        self._labelled = {axis.source for axis in report.axes if axis.property is None}

    def label(self, source: int) -> str:
        """The label by which a row was joined; NULL: none."""
        join = self._report.joins[source - 1]
        if join.label_ids is not None and not join.label_ids:
            return "NULL::bigint"
        return f"l{source}.type_id" if self._beside(source) else f"a{source}.type_id"

    @property
    def multiply(self) -> bool:
        """Whether anything is joined, so that a record may stand in several rows."""
        return len(self.joined) > 1

    def joins(self) -> str:
        """All that is joined to the first source."""
        joins = ((n, self._report.joins[n - 1]) for n in self.joined if n > 0)
        return "".join(self._join(source, join) for source, join in joins)

    def of_first(self) -> str:
        """What holds of the first source, and whom its records must be associated with that is not joined."""
        report = self._report
        said = [f"s0.account_id = $1 AND s0.object_type_id = {int(report.object_type_id)}"]
        said.append("s0.archived_at IS NULL")
        if report.where is not None:
            said.append(condition(report.where, "s0", self._add))
        return " AND ".join([*said, *self._beyond(0)])

    def of_others(self) -> list[str]:
        """Whom records of the others must be associated with that is not joined."""
        return [said for source in self.joined if source > 0 for said in self._beyond(source)]

    def _beyond(self, source: int) -> list[str]:
        below = (n for n, join in enumerate(self._report.joins, 1) if join.from_source == source)
        return [self._asked(n) for n in below if self._only_asked(n)]

    def _only_asked(self, source: int) -> bool:
        """Whether a source is not joined, and records must have one all the same."""
        if source in self.joined:
            return False
        below = (n for n, join in enumerate(self._report.joins, 1) if join.from_source == source)
        return self._report.joins[source - 1].required or any(self._only_asked(n) for n in below)

    def _asked(self, source: int) -> str:
        join = self._report.joins[source - 1]
        nested = "".join(f" AND {said}" for said in self._beyond(source))
        return (
            f"EXISTS (SELECT FROM {self._pair(source, join)}"
            f" WHERE {self._edge(source, join)}{self._chosen(source, join)}{nested})"
        )

    def _join(self, source: int, join: Join) -> str:
        kind = "JOIN" if join.required else "LEFT JOIN"
        # All or none: an association to a record that does not count is none.
        return (
            f" {kind} ({self._pair(source, join)}) ON {self._edge(source, join)}{self._chosen(source, join)}"
        )

    def _pair(self, source: int, join: Join) -> str:
        """The association, the record at its other end, and labels beside it where its absence matters."""
        edge, record, beside = f"a{source}", f"s{source}", f"l{source}"
        where = "" if join.where is None else f" AND {condition(join.where, record, self._add)}"
        pair = (
            f"association AS {edge} JOIN record AS {record} ON {record}.account_id = $1"
            f" AND {record}.id = {edge}.to_id AND {record}.archived_at IS NULL{where}"
        )
        if not self._beside(source):
            return pair
        return f"{pair} LEFT JOIN {self._labels(source, join, beside)}"

    def _labels(self, source: int, join: Join, beside: str) -> str:
        """The labels of a pair: the unlabelled type stands with each, so pairs without any are found beside it."""
        edge = f"a{source}"
        return (
            f"association AS {beside} ON {beside}.account_id = $1 AND {beside}.from_id = {edge}.from_id"
            f" AND {beside}.to_object_type_id = {int(join.object_type_id)} AND {beside}.to_id = {edge}.to_id"
            f" AND {beside}.type_id {_among(join.every_label_id)}"
        )

    def _edge(self, source: int, join: Join) -> str:
        edge = f"a{source}"
        types = join.label_ids if join.label_ids and not self._beside(source) else (join.unlabelled_id,)
        return (
            f"{edge}.account_id = $1 AND {edge}.from_id = s{join.from_source}.id"
            f" AND {edge}.to_object_type_id = {int(join.object_type_id)} AND {edge}.type_id {_among(types)}"
        )

    def _chosen(self, source: int, join: Join) -> str:
        """Which of a pair's labels join."""
        beside = f"l{source}"
        if join.label_ids is None or not (join.unlabelled or not join.label_ids):
            return ""
        if join.label_ids:
            return f" AND ({beside}.type_id IS NULL OR {beside}.type_id {_among(join.label_ids)})"
        return (
            f" AND NOT EXISTS (SELECT FROM association AS {beside} WHERE {beside}.account_id = $1"
            f" AND {beside}.from_id = a{source}.from_id"
            f" AND {beside}.to_object_type_id = {int(join.object_type_id)}"
            f" AND {beside}.to_id = a{source}.to_id AND {beside}.type_id {_among(join.every_label_id)})"
        )

    def _beside(self, source: int) -> bool:
        """Whether labels stand in rows beside the unlabelled type: where pairs without any count, too."""
        join = self._report.joins[source - 1]
        if join.label_ids is None:
            return source in self._labelled
        return bool(join.label_ids) and join.unlabelled


def _among(ids: tuple[int, ...]) -> str:
    return among(ids) if ids else "= ANY('{}'::bigint[])"
