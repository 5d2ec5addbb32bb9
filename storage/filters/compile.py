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

So a nested filter that an index answers is begun from its end, along the stored inverse; everything else is
asked record by record, which costs no more than the page needs where many records meet it. Choices and booleans
are never begun from their end: each value has too many records.

An indexed leaf of the records themselves joins the side table by a row that is known to be unique (position 0).
A page of contacts of one of ten cities that have a decision maker's company of one of eight industries (200,000
contacts): 3 ms; as a semi-join, which collects all contacts of the city first, 330–530; by the documents alone
3–7. One contact of 200,000 by a rare value: 0.2 ms; by the documents 90.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from storage.filters import beside, events, far
from storage.filters.indexes import all_selective, from_the_other_end, lookup
from storage.filters.tree import (
    And,
    AssociatedLeaf,
    EventLeaf,
    Filter,
    HistoryLeaf,
    Not,
    OneOf,
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


def compile(filter_: Filter, record: str, add: Add, *, indexes: bool = True) -> str:
    """The condition that the record at alias `record` meets `filter_`. Without `indexes`: the record is at hand.

    The text depends on the tree's shape alone; parameters are added in the order of `shape.values`. A caller that
    keeps the text for other values must give each its own place.
    """
    return _Writer(record, add).condition(filter_, record, indexes=indexes)


@dataclass(frozen=True, slots=True)
class BothWays:
    """A condition in two ways, for whoever can find out which one is short.

    `near` is a SELECT of the ids (`id`) that the far end of one leaf leads to; `given` the condition where those are
    at hand under the name that was told; `asked` where the leaf is asked record by record.
    """

    near: str
    given: str
    asked: str


def both_ways(filter_: Filter, record: str, add: Add, name: str) -> BothWays | None:
    """The condition in both ways, if one of its parts is begun at its far end."""
    parts = filter_.parts if isinstance(filter_, And) else (filter_,)
    for leaf in parts:
        if isinstance(leaf, AssociatedLeaf) and leaf.where is not None and from_the_other_end(leaf):
            return BothWays(
                _Writer(f"{record}_n", add).far(leaf.reach, leaf.where),
                _Writer(record, add, leaf, name).asked(filter_, record),
                _Writer(record, add, leaf).condition(filter_, record),
            )
    return None


def counted(filter_: Filter, object_type: str, record: str, add: Add) -> str:
    """How many living records meet `filter_`, as an expression; `object_type` is the place of their type's id.

    Begun at the far end of a part where that leads to few enough, else record by record.
    """
    near = f"{record}_near"
    ways = both_ways(filter_, record, add, near)

    def count(condition: str) -> str:
        return (
            f"(SELECT count(*) FROM record AS {record} WHERE {record}.account_id = $1"
            f" AND {record}.object_type_id = {object_type} AND {record}.archived_at IS NULL AND {condition})"
        )

    if ways is None:
        return count(compile(filter_, record, add))
    return (
        f"(WITH {near} AS MATERIALIZED ({ways.near} LIMIT {FAR + 1})"
        f" SELECT CASE WHEN (SELECT count(*) FROM {near} AS {record}_c) <= {FAR}"
        f" THEN {count(ways.given)} ELSE {count(ways.asked)} END)"
    )


class _Writer:
    __slots__ = ("_add", "_aliases", "_decided", "_near", "_root")

    def __init__(
        self, root: str, add: Add, decided: AssociatedLeaf | None = None, near: str | None = None
    ) -> None:
        self._root = root
        self._add = add
        self._aliases = 0
        # The leaf of which the caller has decided how it is answered: by these ids, else record by record.
        self._decided = decided
        self._near = near

    def condition(self, filter_: Filter, record: str, *, indexes: bool = True) -> str:
        """`indexes`: whether records are chosen by this condition, so that an index may lead to them.

        Where they are at hand already (nested, asked one by one) or any of several conditions will do, the
        document is the shorter way.
        """
        match filter_:
            case And(()):
                return "true"
            case Or(()):
                return "false"
            case And(parts):
                return self._all_of(parts, record, indexes)
            case Or(parts):
                return self._any_of(parts, record, indexes)
            case Not(part):
                return f"(NOT {self.condition(part, record, indexes=False)})"
            case PropertyLeaf():
                return self._property(filter_, record, indexes)
            case AssociatedLeaf():
                return self._associated(filter_, f"{record}.id")
            case HistoryLeaf() | UpdatedLeaf() | SourceLeaf() | SegmentLeaf() | WorkflowLeaf():
                return beside.condition(filter_, f"{record}.id", self._alias("b"), self._add)
            case EventLeaf():
                return events.condition(
                    filter_,
                    f"{record}.id",
                    self._alias("e"),
                    self._add,
                    lambda where, event: self.condition(where, event, indexes=False),
                )
            case _:
                assert_never(filter_)

    def _all_of(self, parts: Sequence[Filter], record: str, indexes: bool) -> str:
        lead = next((part for part in parts if indexes and _leads(part)), None)
        alias = self._alias("v") if lead else ""
        said, behind = [], []
        for part in parts:
            if part is lead and isinstance(part, PropertyLeaf):
                table, first, document = self._found(part, record, alias)
                said += document
            elif lead and isinstance(part, AssociatedLeaf):
                # Asked of the index's row: the record is read only if it is met.
                behind.append(self._associated(part, f"{alias}.record_id"))
            else:
                said.append(self.condition(part, record, indexes=indexes))
        if lead:
            of_record = f"{alias}.record_id = {record}.id"
            said.append(f"EXISTS (SELECT FROM {table} WHERE {' AND '.join([first, of_record, *behind])})")
        return f"({' AND '.join(said)})"

    def _any_of(self, parts: Sequence[Filter], record: str, indexes: bool) -> str:
        if not (indexes and all_selective(parts)):
            return f"({' OR '.join(self.condition(part, record, indexes=False) for part in parts)})"
        # Each from its own range of an index, together one set that the planner can begin with.
        ranges, said = [], []
        for part in parts:
            assert isinstance(part, PropertyLeaf)
            alias = self._alias("v")
            table, found, document = self._found(part, record, alias)
            ranges.append(f"SELECT {alias}.record_id FROM {table} WHERE {found}")
            said.append(document[0] if document else "true")
        return f"({record}.id IN ({' UNION ALL '.join(ranges)}) AND ({' OR '.join(said)}))"

    def _alias(self, kind: str) -> str:
        self._aliases += 1
        return f"{self._root}_{kind}{self._aliases}"

    # --- properties -----------------------------------------------------------------------------------------

    def _property(self, leaf: PropertyLeaf, record: str, indexes: bool) -> str:
        if not indexes or leaf.index is None:
            return self._document(leaf, record)
        alias = self._alias("v")
        table, found, document = self._found(leaf, record, alias)
        exists = f"EXISTS (SELECT FROM {table} WHERE {found} AND {alias}.record_id = {record}.id)"
        return f"({' AND '.join([exists, *document])})"

    def _document(self, leaf: PropertyLeaf, record: str) -> str:
        """The test of a leaf on what the record holds."""
        value = of_record(leaf.property, record, self._add)
        test = passes(leaf.property, leaf.test, value, record, self._add)
        if leaf.negated:
            test = f"(NOT {test})"
        return f"({test} {'IS NOT FALSE' if leaf.include_empty else 'IS TRUE'})"

    def _found(self, leaf: PropertyLeaf, record: str, alias: str) -> tuple[str, str, list[str]]:
        """The side table of a leaf, the condition on its rows, and what is to be asked of the record besides."""
        table, rows, alone = far.indexed(leaf, alias, self._add)
        return table, rows, [] if alone else [self._document(leaf, record)]

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
        if leaf is self._decided and self._near:
            # Of an array the planner knows nothing: each of its records is looked for by its id.
            return f"{ident} = ANY(ARRAY(SELECT {self._near}.id FROM {self._near}))"
        if leaf.where is None or leaf is self._decided or not from_the_other_end(leaf):
            return self._exists(leaf.reach, leaf.where, ident)
        # Inside CASE it is no join that could be turned round but a table of hashes, made once, which the limit
        # keeps small in the planner's eyes, too.
        some = f"{self.far(leaf.reach, leaf.where)} LIMIT {FAR + 1}"
        few = f"(SELECT count(*) FROM ({some}) AS {self._alias('n')}) <= {FAR}"
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
            alias = self._alias("c")
            count = (
                f"SELECT {alias}.n FROM association_count AS {alias} WHERE {alias}.account_id = $1"
                f" AND {alias}.record_id = {ident} AND {alias}.type_id = {int(reach.type_ids[0])}"
            )
            return f"coalesce(({count}) {leaf.comparison.value} {self._add(leaf.count, 'bigint')}, {empty})"
        edge, neighbour = self._alias("a"), self._alias("r")
        edges = self._edges(reach, leaf.where, ident, edge, neighbour)
        place = self._add(leaf.count, "bigint")
        # One more than asked about decides every comparison; a hub is not counted to its end.
        distinct = "DISTINCT " if len(reach.type_ids) > 1 else ""
        counted = (
            f"SELECT count(*) FROM (SELECT {distinct}{edge}.to_id {edges}"
            f" LIMIT greatest({place}, 0) + 1) AS {self._alias('s')}"
        )
        return (
            f"CASE WHEN {self._ever(reach, ident)} THEN ({counted}) {leaf.comparison.value} {place}"
            f" ELSE {empty} END"
        )

    def _exists(self, reach: Reach, where: Filter | None, ident: str) -> str:
        edge, neighbour = self._alias("a"), self._alias("r")
        # The fence keeps the planner, which cannot know how many documents meet a filter, from starting
        # with all of them.
        return f"EXISTS (SELECT {self._edges(reach, where, ident, edge, neighbour)} OFFSET 0)"

    def _edges(self, reach: Reach, where: Filter | None, ident: str, edge: str, neighbour: str) -> str:
        """FROM and WHERE of a record's associations: along the primary key, in the order of pages."""
        nested = "" if where is None else f" AND {self.condition(where, neighbour, indexes=False)}"
        return (
            f"FROM association AS {edge} JOIN record AS {neighbour} ON {neighbour}.account_id = $1"
            f" AND {neighbour}.id = {edge}.to_id AND {neighbour}.archived_at IS NULL"
            f" WHERE {edge}.account_id = $1 AND {edge}.from_id = {ident}"
            f" AND {edge}.to_object_type_id = {int(reach.to_object_type_id)}"
            f" AND {edge}.type_id {far.among(reach.type_ids)}"
            f"{far.unlabelled(reach.only, edge, reach.to_object_type_id, reach.type_ids, self._alias)}{nested}"
        )

    def far(self, reach: Reach, where: Filter) -> str:
        """The ids of those that reach a record which meets `where`, begun with that record."""
        return far.ids(reach, where, self._alias, self._add, self.asked)

    def asked(self, filter_: Filter, record: str) -> str:
        """The condition on a record that is at hand."""
        return self.condition(filter_, record, indexes=False)

    def _ever(self, reach: Reach, ident: str, more: str = "") -> str:
        """Whether the record ever had such an association; with `n > 0`, whether it has one now."""
        alias = self._alias("c")
        return (
            f"EXISTS (SELECT FROM association_count AS {alias} WHERE {alias}.account_id = $1"
            f" AND {alias}.record_id = {ident} AND {alias}.type_id {far.among(reach.type_ids)}"
            f"{f' AND {alias}.{more}' if more else ''})"
        )


def _leads(filter_: Filter) -> bool:
    """Whether a leaf has one row in a side table for each record that meets it."""
    if not isinstance(filter_, PropertyLeaf) or filter_.index is None:
        return False
    # One value of one property; booleans are looked up as a list.
    one = isinstance(filter_.test, OneOf) and len(filter_.test.values) == 1
    return one and not isinstance(lookup(filter_), list)
