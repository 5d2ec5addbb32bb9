"""One walk over an operation, adding up what it may cost at most.

The unit is about what one record in an answer takes; docs/limits.md has the table and its reasons. Sums are kept
in tenths of it, so that they stay whole. What is asked for several times under one key counts once, as it is
answered once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
)

from resolvers.listings import PAGE_SIZE, InvalidPageSize
from server.limits.measures import Measure, Size, measure_node
from server.limits.problems import FieldLimitExceeded
from server.limits.values import Limits

# Arguments on which a cost depends.
PAGE_SIZES = ("first", "last")
SIZED_BY = frozenset({*PAGE_SIZES, "if", "where", "orderBy", "labels", "names", "ids", "input"})

# Tenths of a unit.
LEAF = 1
RECORD = 10
LIST = 10
ALL_PROPERTIES = 5
WRITE = 100
# What may look at all records of an object type: their count, another order, a filter; and each condition in it.
ALL_RECORDS, ALL_RECORDS_CONDITION = 10_000, 1_000
# The same among the records that are associated with one: few as a rule, tens of thousands at a hub.
NEIGHBOURS, NEIGHBOURS_CONDITION = 250, 25
LABELLED = 50

# How long lists without pages are, as a rule.
UNPAGED = 20
LENGTHS = {
    ("AssociationEdge", "labels"): 1,
    ("__Type", "fields"): 10,
    ("__Type", "interfaces"): 1,
    ("__Type", "possibleTypes"): 5,
    ("__Type", "enumValues"): 5,
    ("__Type", "inputFields"): 5,
    ("__Field", "args"): 2,
    ("__Directive", "args"): 2,
    ("__Schema", "directives"): 6,
}
META = {"__schema": "__Schema", "__type": "__Type"}
# What looks at all records, and at all that is associated with them, whatever its arguments.
REPORTS = {("Query", "runReport"): 5 * ALL_RECORDS}
# Their objects are made in memory, and short.
LIGHT = frozenset({"EdgeLabel", "UserError"})

Parts: TypeAlias = list[tuple[GraphQLNamedType, SelectionSetNode]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a selection stands: so many times in the answer.

    `page` is the size of the list that it is a page of, `whole` what it takes to look at all of that list;
    `items` the size of the batch whose payload it is; `writes`: it is a mutation's.
    """

    times: int = 1
    page: int | None = None
    whole: int = 0
    items: int | None = None
    writes: bool = False


class Weighing:
    """One walk. `measures` are the sizes of variables. Raises `InvalidPageSize` and `FieldLimitExceeded`."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        measures: Mapping[str, Measure],
        limits: Limits,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._measures = measures
        self._limits = limits
        self._fields = 0

    def selection(self, parts: Parts, place: Place) -> int:
        """What selections that are answered together cost, at one place."""
        collected: dict[tuple[str, str], tuple[GraphQLNamedType, list[FieldNode]]] = {}
        seen: set[str] = set()
        for parent, node in parts:
            for of, found in self._flat(parent, node, seen):
                key = found.alias.value if found.alias else found.name.value
                collected.setdefault((of.name, key), (of, []))[1].append(found)
        self._fields += len(collected)
        if self._fields > self._limits.fields:
            raise FieldLimitExceeded(limit=self._limits.fields)
        return sum(self._field(of, nodes, place) for of, nodes in collected.values())

    def _flat(
        self, parent: GraphQLNamedType, selections: SelectionSetNode, seen: set[str]
    ) -> Iterator[tuple[GraphQLNamedType, FieldNode]]:
        """The fields of a selection, those of its fragments among them, each with the type that it is asked of."""
        for node in selections.selections:
            if not self._included(node):
                continue
            if isinstance(node, FieldNode):
                yield parent, node
                continue
            inner: Any = node
            if isinstance(node, FragmentSpreadNode):
                if node.name.value in seen:
                    continue
                seen.add(node.name.value)
                inner = self._fragments[node.name.value]
            condition = inner.type_condition
            of = self._schema.type_map[condition.name.value] if condition else parent
            yield from self._flat(of, inner.selection_set, seen)

    def _included(self, node: Any) -> bool:
        for directive in node.directives or ():
            wanted = {"include": True, "skip": False}.get(directive.name.value)
            if wanted is not None and bool(self._arguments(directive).get("if")) is not wanted:
                return False
        return True

    def _arguments(self, node: Any) -> dict[str, Measure]:
        return {
            one.name.value: measure_node(one.value, self._measures)
            for one in node.arguments or ()
            if one.name.value in SIZED_BY
        }

    def _field(self, parent: GraphQLNamedType, nodes: list[FieldNode], place: Place) -> int:
        name = nodes[0].name.value
        if name == "__typename":
            return 0
        if name in META:
            return LEAF + self._below(self._schema.type_map[META[name]], nodes, Place())
        declared: GraphQLField = parent.fields[name]  # type: ignore[attr-defined]  # the document is valid
        arguments = self._arguments(nodes[0])
        named = get_named_type(declared.type)
        if place.writes:
            size = arguments.get("input")
            size = size if isinstance(size, Size) else Size()
            own = WRITE * max(1, size.elements)
            return own + self._below(named, nodes, Place(items=size.items))
        if is_leaf_type(named):
            return place.times * _leaf(name, arguments, place)
        if "first" in declared.args:
            return self._connection(parent, declared, nodes, arguments, place)
        if is_list_type(get_nullable_type(declared.type)):
            asked = arguments.get("ids")
            length = asked.items if isinstance(asked, Size) else self._length(parent, name, place)
            below = Place(place.times * length)
            # An edge is weighed with its node.
            own = 0 if name == "edges" and place.page is not None else _object(named)
        else:
            below = Place(place.times)
            own = 0 if place.page is not None else _object(named)
            own += REPORTS.get((parent.name, name), 0)
        return own * below.times + self._below(named, nodes, below)

    def _connection(
        self,
        parent: GraphQLNamedType,
        declared: GraphQLField,
        nodes: list[FieldNode],
        arguments: dict[str, Measure],
        place: Place,
    ) -> int:
        at_large = parent is self._schema.query_type
        whole, condition = (
            (ALL_RECORDS, ALL_RECORDS_CONDITION) if at_large else (NEIGHBOURS, NEIGHBOURS_CONDITION)
        )
        own = LIST
        where, order = arguments.get("where"), arguments.get("orderBy")
        if isinstance(where, Size):
            own += whole + condition * where.leaves
        if isinstance(order, Size) and not order.plain:
            own += whole
        if isinstance(arguments.get("labels"), Size):
            own += LABELLED
        below = Place(place.times, self._page(arguments), whole)
        return own * place.times + self._below(get_named_type(declared.type), nodes, below)

    def _page(self, arguments: dict[str, Measure]) -> int:
        found = PAGE_SIZE
        for name in PAGE_SIZES:
            size = arguments.get(name)
            if isinstance(size, int):
                if not 0 <= size <= self._limits.page:
                    raise InvalidPageSize(path=(name,), argument=name, limit=self._limits.page, given=size)
                found = size
        return found

    def _length(self, parent: GraphQLNamedType, name: str, place: Place) -> int:
        if place.page is not None:
            return place.page
        if name == "results" and place.items is not None:
            return place.items
        if (parent.name, name) == ("__Schema", "types"):
            return len(self._schema.type_map)
        return LENGTHS.get((parent.name, name), UNPAGED)

    def _below(self, of: GraphQLNamedType, nodes: list[FieldNode], place: Place) -> int:
        return self.selection([(of, node.selection_set) for node in nodes if node.selection_set], place)


def _object(named: GraphQLNamedType) -> int:
    return LEAF if named.name in LIGHT or named.name.startswith("__") else RECORD


def _leaf(name: str, arguments: dict[str, Measure], place: Place) -> int:
    match name:
        case "totalCount" if place.page is not None:
            return place.whole
        case "properties":
            names = arguments.get("names")
            return max(LEAF, names.items) if isinstance(names, Size) else ALL_PROPERTIES
        case "associationCount":
            labels = arguments.get("labels")
            # One label has a counter; several are counted.
            return LABELLED if isinstance(labels, Size) and labels.items > 1 else RECORD
        case _:
            return LEAF
