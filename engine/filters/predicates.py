"""The filter as Python: what each test and each leaf means, over facts that were fetched before.

Says exactly what `storage.filters.compile` says in SQL: a value that is not of its property's type is no
value, texts compare byte by byte (as code points do), a leaf is true or false.
"""

import operator
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, assert_never

from storage.filters.tree import (
    And,
    AssociatedLeaf,
    Between,
    Choice,
    Chosen,
    Compared,
    ComparedWith,
    Comparison,
    Filter,
    Holds,
    Known,
    Not,
    OneOf,
    Or,
    Place,
    Property,
    PropertyLeaf,
    Quantifier,
    Reach,
    Test,
)

Values: TypeAlias = Mapping[str, Any]


@dataclass(slots=True)
class Facts:
    """What filters need to know of some records and of those that they reach.

    `records`: the properties of visible records. `counts`: {(record, association type): visible records}, absent
    where there never was one. `edges`: {(record, object type): {other end: association types}}.
    """

    records: dict[int, Values] = field(default_factory=dict)
    counts: dict[tuple[int, int], int] = field(default_factory=dict)
    edges: dict[tuple[int, int], dict[int, set[int]]] = field(default_factory=lambda: defaultdict(dict))
    # What nested filters answered, so that a record which many reach is looked at once.
    answers: dict[object, dict[int, bool]] = field(default_factory=lambda: defaultdict(dict))

    def reached(self, record_id: int, reach: Reach) -> Iterable[int]:
        """The visible records that a leaf regards from `record_id`, each once."""
        wanted = set(reach.type_ids)
        for other, types in self.edges.get((record_id, reach.to_object_type_id), {}).items():
            if other in self.records and (types == wanted if reach.only else not wanted.isdisjoint(types)):
                yield other

    def ever(self, record_id: int, reach: Reach) -> bool:
        """Whether the record ever had such an association."""
        return any((record_id, type_id) in self.counts for type_id in reach.type_ids)

    def now(self, record_id: int, reach: Reach) -> bool:
        """Whether the record has one now, labels beside it or not."""
        return any(self.counts.get((record_id, type_id), 0) > 0 for type_id in reach.type_ids)


Predicate: TypeAlias = Callable[[int, Facts], bool]
ValuePredicate: TypeAlias = Callable[[Any], bool]

_COMPARE: dict[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.EQUAL: operator.eq,
    Comparison.NOT_EQUAL: operator.ne,
    Comparison.LESS: operator.lt,
    Comparison.LESS_OR_EQUAL: operator.le,
    Comparison.GREATER: operator.gt,
    Comparison.GREATER_OR_EQUAL: operator.ge,
}


def predicate(filter_: Filter) -> Predicate:
    """A function that says whether a visible record meets `filter_`, from facts that hold what it asks for."""
    match filter_:
        case And(parts):
            conjuncts = [predicate(part) for part in parts]
            return lambda record_id, facts: all(part(record_id, facts) for part in conjuncts)
        case Or(parts):
            disjuncts = [predicate(part) for part in parts]
            return lambda record_id, facts: any(part(record_id, facts) for part in disjuncts)
        case Not(part):
            inner = predicate(part)
            return lambda record_id, facts: not inner(record_id, facts)
        case PropertyLeaf():
            return _property(filter_)
        case AssociatedLeaf():
            return _associated(filter_)
        case _:
            assert_never(filter_)


def value(prop: Property, values: Values) -> Any:
    """The value of a property; None where there is none or it is not of the declared type."""
    found = values.get(prop.name)
    if prop.multiple:
        return found if isinstance(found, list) and found else None
    match prop.type:
        case "NUMBER":
            return found if isinstance(found, int | float) and not isinstance(found, bool) else None
        case "BOOLEAN":
            return found if isinstance(found, bool) else None
        case "JSON":
            return found
        case _:
            return found if isinstance(found, str) else None


def _property(leaf: PropertyLeaf) -> Predicate:
    prop, empty, negated = leaf.property, leaf.include_empty, leaf.negated
    if isinstance(leaf.test, ComparedWith):
        return _pair(leaf, leaf.test)
    holds = test(leaf.test)

    def met(record_id: int, facts: Facts) -> bool:
        found = value(prop, facts.records[record_id])
        return empty if found is None else holds(found) is not negated

    return met


def _pair(leaf: PropertyLeaf, with_: ComparedWith) -> Predicate:
    compare = _COMPARE[with_.comparison]

    def met(record_id: int, facts: Facts) -> bool:
        values = facts.records[record_id]
        one, other = value(leaf.property, values), value(with_.other, values)
        if one is None or other is None:
            return leaf.include_empty
        return compare(one, other) is not leaf.negated

    return met


def test(test: Test) -> ValuePredicate:
    """Whether a value (there is one, of the declared type) passes."""
    match test:
        case Known():
            return lambda _: True
        case OneOf(values):
            wanted = frozenset(values)
            return lambda found: found in wanted
        case Holds(place, texts):
            return _holds(place, texts)
        case Chosen(choice, values):
            return _chosen(choice, frozenset(values))
        case Compared(comparison, limit):
            compare = _COMPARE[comparison]
            return lambda found: compare(found, limit)
        case Between(low, high):
            return lambda found: bool(low <= found <= high)
        case ComparedWith():
            raise TypeError("a comparison of two properties is about two values")
        case _:
            assert_never(test)


def _holds(place: Place, texts: tuple[str, ...]) -> ValuePredicate:
    match place:
        case Place.ANYWHERE:
            return lambda found: any(text in found for text in texts)
        case Place.START:
            return lambda found: bool(found.startswith(texts))
        case Place.END:
            return lambda found: bool(found.endswith(texts))
        case _:
            assert_never(place)


def _chosen(choice: Choice, wanted: Collection[str]) -> ValuePredicate:
    def chosen(found: list[Any]) -> set[str]:
        return {one for one in found if isinstance(one, str)}

    match choice:
        case Choice.ANY:
            return lambda found: not chosen(found).isdisjoint(wanted)
        case Choice.ALL:
            return lambda found: chosen(found).issuperset(wanted)
        case Choice.EXACTLY:
            return lambda found: chosen(found) == wanted and all(isinstance(one, str) for one in found)
        case _:
            assert_never(choice)


def _associated(leaf: AssociatedLeaf) -> Predicate:
    reach, empty = leaf.reach, leaf.include_empty
    some = _reaching(leaf)
    match leaf.quantifier:
        case Quantifier.ANY:
            met = some
        case Quantifier.ALL:
            met = _all(leaf)
        case Quantifier.NONE:
            return lambda record_id, facts: not some(record_id, facts)
        case Quantifier.COUNT:
            met = _count(leaf)
        case _:
            assert_never(leaf.quantifier)
    return lambda record_id, facts: met(record_id, facts) if facts.ever(record_id, reach) else empty


def _nested(where: Filter | None) -> Predicate:
    if where is None:
        return lambda _record_id, _facts: True
    inner, mine = predicate(where), object()

    def once(record_id: int, facts: Facts) -> bool:
        answers = facts.answers[mine]
        known = answers.get(record_id)
        if known is None:
            known = answers[record_id] = inner(record_id, facts)
        return known

    return once


def _reaching(leaf: AssociatedLeaf) -> Predicate:
    reach, nested = leaf.reach, _nested(leaf.where)
    if counted(leaf):
        return lambda record_id, facts: facts.now(record_id, reach)
    return lambda record_id, facts: any(nested(other, facts) for other in facts.reached(record_id, reach))


def _all(leaf: AssociatedLeaf) -> Predicate:
    if counted(leaf):
        return _reaching(leaf)
    reach, nested = leaf.reach, _nested(leaf.where)

    def met(record_id: int, facts: Facts) -> bool:
        others = list(facts.reached(record_id, reach))
        return bool(others) and all(nested(other, facts) for other in others)

    return met


def _count(leaf: AssociatedLeaf) -> Predicate:
    reach, nested = leaf.reach, _nested(leaf.where)
    compare, limit = _COMPARE[leaf.comparison], leaf.count
    if counted(leaf):
        (type_id,) = reach.type_ids
        return lambda record_id, facts: compare(facts.counts[record_id, type_id], limit)
    return lambda record_id, facts: compare(
        sum(nested(other, facts) for other in facts.reached(record_id, reach)), limit
    )


def counted(leaf: AssociatedLeaf) -> bool:
    """Whether counters alone answer a leaf, so that no neighbours need be looked at."""
    if leaf.where is not None or leaf.reach.only:
        return False
    return leaf.quantifier is not Quantifier.COUNT or len(leaf.reach.type_ids) == 1
