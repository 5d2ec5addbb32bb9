"""The filter as SQL: a condition on a record at an alias, whatever the values that records hold.

It follows the declared types and never raises on a stored value: a value that is not of its property's type is
no value. It is true or false, never NULL. Literal values are parameters; ids are part of the text, so that
the planner knows them. Every table reference is scoped by `$1`. Parameters that move with the clock are
`storage.filters.times.Timed`: whoever runs the statement settles them.

Two shapes of ANY, measured with 200,000 contacts and 20,000 companies (a page of 50, milliseconds):

| companies that meet the nested filter | 1 in 5 | 1 in 200 | 1 in 5,000 |
|---|---|---|---|
| per record (`EXISTS`, fenced by OFFSET 0)          |  2 | 78–100 | 390–700 |
| per record, free for the planner to turn around    | 12–260 | 40–1,800 | 36–600 |
| from the other end (`IN`), value in the document   | 45–80 | 5–6 | 5 |
| from the other end (`IN`), value in the side table | 55–180 | 1.3–1.9 | 0.4 |

So a nested filter that an index answers is begun from its end, along the stored inverse (`far`), where that leads to
few; everything else is asked record by record. Choices and booleans are never begun from their end: each value has
too many records. Here the record is at hand, and its own values are read in its document; which records are asked
at all, and along which index, stands in `ways`.
"""

from collections.abc import Sequence
from typing import assert_never

from storage.filters import beside, events, far
from storage.filters.indexes import from_the_other_end
from storage.filters.tree import (
    And,
    AssociatedLeaf,
    EventLeaf,
    Filter,
    HistoryLeaf,
    Not,
    Or,
    PropertyLeaf,
    Quantifier,
    Reach,
    SegmentLeaf,
    SourceLeaf,
    UpdatedLeaf,
    WorkflowLeaf,
)
from storage.filters.values import Add, of_record, passes

# So many ids from a far end are held, for a statement that asks many records.
FAR = 50_000


def compile(filter_: Filter, record: str, add: Add) -> str:
    """The condition that the record at alias `record` meets `filter_`.

    The text depends on the tree's shape alone; parameters are added in the order of `shape.values`. A caller that
    keeps the text for other values must give each its own place.
    """
    return Writer(record, add).condition(filter_, record)


class Writer:
    """Writes conditions on the record at one alias, and on whom it is associated with."""

    __slots__ = ("_add", "_aliases", "_common", "_decided", "_root", "_said")

    def __init__(
        self,
        root: str,
        add: Add,
        decided: AssociatedLeaf | None = None,
        said: str | None = None,
        common: Sequence[PropertyLeaf] = (),
    ) -> None:
        self._root = root
        self._add = add
        self._aliases = 0
        # The leaf of which the caller has decided how it is answered: by what is said of it, else record by record.
        self._decided = decided
        self._said = said
        # Leaves of which many records are known to meet any.
        self._common = common

    def condition(self, filter_: Filter, record: str) -> str:
        """The condition that the record at an alias meets a filter."""
        match filter_:
            case And(()):
                return "true"
            case Or(()):
                return "false"
            case And(parts):
                return f"({' AND '.join(self.condition(part, record) for part in parts)})"
            case Or(parts):
                return f"({' OR '.join(self.condition(part, record) for part in parts)})"
            case Not(part):
                return f"(NOT {self.condition(part, record)})"
            case PropertyLeaf():
                return self._document(filter_, record)
            case AssociatedLeaf():
                return self._associated(filter_, f"{record}.id")
            case HistoryLeaf() | UpdatedLeaf() | SourceLeaf() | SegmentLeaf() | WorkflowLeaf():
                return beside.condition(filter_, f"{record}.id", self.alias("b"), self._add)
            case EventLeaf():
                return events.condition(
                    filter_,
                    f"{record}.id",
                    self.alias("e"),
                    self._add,
                    self.condition,
                )
            case _:
                assert_never(filter_)

    def led(
        self, leaf: PropertyLeaf, parts: Sequence[Filter], record: str, alias: str
    ) -> tuple[str, list[str]]:
        """The side table of the leaf that leads, and all conditions: on its rows; on the record at hand."""
        said: list[str] = []
        table, rows, alone = far.indexed(leaf, alias, self._add)
        for part in parts:
            if part is leaf:
                said += [] if alone else [self._document(leaf, record)]
            elif isinstance(part, AssociatedLeaf):
                # Asked of the index's row: the record is read only if it is met.
                said.append(self._associated(part, f"{alias}.record_id"))
            else:
                said.append(self.condition(part, record))
        return table, [rows, *said]

    def alias(self, kind: str) -> str:
        """A free alias."""
        self._aliases += 1
        return f"{self._root}_{kind}{self._aliases}"

    # --- properties -----------------------------------------------------------------------------------------

    def _document(self, leaf: PropertyLeaf, record: str) -> str:
        """The test of a leaf on what the record holds."""
        value = of_record(leaf.property, record, self._add)
        test = passes(leaf.property, leaf.test, value, record, self._add)
        if leaf.negated:
            test = f"(NOT {test})"
        met = f"({test} {'IS NOT FALSE' if leaf.include_empty else 'IS TRUE'})"
        # Of what CASE says planners believe that it is met by half: so they read in the order that is asked for until a
        # page is full. Of a part of a text they believe that next to nobody has it, and read and sort all there are.
        return f"(CASE WHEN {met} THEN true ELSE false END)" if leaf in self._common else met

    # --- associations ---------------------------------------------------------------------------------------

    def _associated(self, leaf: AssociatedLeaf, ident: str) -> str:
        match leaf.quantifier:
            case Quantifier.ANY:
                return self._or_never(leaf, ident, self._any(leaf, ident))
            case Quantifier.ALL:
                return self._or_never(leaf, ident, self._all(leaf, ident))
            case Quantifier.NONE:
                return f"(NOT {self._any(leaf, ident)})"
            case Quantifier.COUNT:
                return self._count(leaf, ident)
            case _:
                assert_never(leaf.quantifier)

    def _or_never(self, leaf: AssociatedLeaf, ident: str, condition: str) -> str:
        if not leaf.include_empty:
            return condition
        return f"({condition} OR NOT {self._ever(leaf.reach, ident)})"

    def _any(self, leaf: AssociatedLeaf, ident: str) -> str:
        if leaf.where is None and not leaf.reach.only:
            # The counters know; a hub is one row.
            return self._ever(leaf.reach, ident, "n > 0")
        if leaf is self._decided and self._said:
            return self._said
        if leaf.where is None or leaf is self._decided or not from_the_other_end(leaf):
            return self._exists(leaf.reach, leaf.where, ident)
        # Inside CASE it is no join that could be turned round but a table of hashes, made once, which the limit
        # keeps small in the planner's eyes, too.
        some = f"{self.far(leaf.reach, leaf.where)} LIMIT {FAR + 1}"
        few = f"(SELECT count(*) FROM ({some}) AS {self.alias('n')}) <= {FAR}"
        near = f"{ident} IN ({some})"
        return f"CASE WHEN {few} THEN {near} ELSE {self._exists(leaf.reach, leaf.where, ident)} END"

    def _all(self, leaf: AssociatedLeaf, ident: str) -> str:
        if leaf.where is None:
            return self._any(leaf, ident)
        some = (
            self._exists(leaf.reach, None, ident)
            if leaf.reach.only
            else self._ever(leaf.reach, ident, "n > 0")
        )
        return f"({some} AND NOT {self._exists(leaf.reach, Not(leaf.where), ident)})"

    def _count(self, leaf: AssociatedLeaf, ident: str) -> str:
        reach = leaf.reach
        empty = "true" if leaf.include_empty else "false"
        if leaf.where is None and not reach.only and len(reach.type_ids) == 1:
            alias = self.alias("c")
            count = (
                f"SELECT {alias}.n FROM association_count AS {alias} WHERE {alias}.account_id = $1"
                f" AND {alias}.record_id = {ident} AND {alias}.type_id = {int(reach.type_ids[0])}"
            )
            return f"coalesce(({count}) {leaf.comparison.value} {self._add(leaf.count, 'bigint')}, {empty})"
        edge, neighbour = self.alias("a"), self.alias("r")
        edges = self._edges(reach, leaf.where, ident, edge, neighbour)
        place = self._add(leaf.count, "bigint")
        # One more than asked about decides every comparison; a hub is not counted to its end.
        distinct = "DISTINCT " if len(reach.type_ids) > 1 else ""
        counted = (
            f"SELECT count(*) FROM (SELECT {distinct}{edge}.to_id {edges}"
            f" LIMIT greatest({place}, 0) + 1) AS {self.alias('s')}"
        )
        return (
            f"CASE WHEN {self._ever(reach, ident)} THEN ({counted}) {leaf.comparison.value} {place}"
            f" ELSE {empty} END"
        )

    def _exists(self, reach: Reach, where: Filter | None, ident: str) -> str:
        edge, neighbour = self.alias("a"), self.alias("r")
        # The fence keeps the planner, which cannot know how many documents meet a filter, from starting
        # with all of them.
        return f"EXISTS (SELECT {self._edges(reach, where, ident, edge, neighbour)} OFFSET 0)"

    def _edges(self, reach: Reach, where: Filter | None, ident: str, edge: str, neighbour: str) -> str:
        """FROM and WHERE of a record's associations: along the primary key, in the order of pages."""
        nested = "" if where is None else f" AND {self.condition(where, neighbour)}"
        return (
            # A probe for each: joined, all records would be compared with each where planners do not know the account.
            f"FROM association AS {edge} CROSS JOIN LATERAL (SELECT {neighbour}.* FROM record AS {neighbour}"
            f" WHERE {neighbour}.account_id = $1 AND {neighbour}.id = {edge}.to_id"
            f" AND {neighbour}.archived_at IS NULL LIMIT 1) AS {neighbour}"
            f" WHERE {edge}.account_id = $1 AND {edge}.from_id = {ident}"
            f" AND {edge}.to_object_type_id = {int(reach.to_object_type_id)}"
            f" AND {edge}.type_id {far.among(reach.type_ids)}"
            f"{far.unlabelled(reach.only, edge, reach.to_object_type_id, reach.type_ids, self.alias)}{nested}"
        )

    def far(self, reach: Reach, where: Filter) -> str:
        """The ids of those that reach a record which meets `where`, begun with that record."""
        return far.ids(reach, where, self.alias, self._add, self.condition)

    def _ever(self, reach: Reach, ident: str, more: str = "") -> str:
        """Whether the record ever had such an association; with `n > 0`, whether it has one now."""
        alias = self.alias("c")
        return (
            f"EXISTS (SELECT FROM association_count AS {alias} WHERE {alias}.account_id = $1"
            f" AND {alias}.record_id = {ident} AND {alias}.type_id {far.among(reach.type_ids)}"
            f"{f' AND {alias}.{more}' if more else ''})"
        )


def these(ident: str, near: str) -> str:
    """Whether an id is among those at hand under a name."""
    # Of an array the planner knows nothing: each of its records is looked for by its id.
    return f"{ident} = ANY(ARRAY(SELECT {near}.id FROM {near}))"
