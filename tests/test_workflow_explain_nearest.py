"""The smallest change that makes a filter hold: what is proposed does it, and nothing smaller would."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import hypothesis.strategies as st
from hypothesis import given, settings

from engine.filters.explaining import Seen
from engine.workflows.nearest import nearest
from engine.workflows.needed import ASSOCIATE, DISSOCIATE, Needed
from storage.filters.tree import AssociatedLeaf, Comparison, Known, Property, PropertyLeaf, Quantifier, Reach

REACH = Reach(1, 2, (10,), (11,))
LEAF = PropertyLeaf(Property(5, 1, "city", "STRING"), Known())
COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "=": lambda n, k: n == k,
    "<>": lambda n, k: n != k,
    "<": lambda n, k: n < k,
    "<=": lambda n, k: n <= k,
    ">": lambda n, k: n > k,
    ">=": lambda n, k: n >= k,
}
ONE: dict[str, Any] = {"property": {"name": "city", "operator": "KNOWN"}}
ME = 1

Key: TypeAlias = tuple[int, tuple[Any, ...]]
# ("flip", record, path) · ("add", record, path, whether it meets the condition) · ("remove", record, path, whom)
Atom: TypeAlias = tuple[Any, ...]


@dataclass(slots=True)
class World:
    """What leaves hold for whom, and who is associated: None where nobody ever was."""

    leaves: dict[Key, bool] = field(default_factory=dict)
    around: dict[Key, list[int] | None] = field(default_factory=dict)

    def after(self, atoms: tuple[Atom, ...]) -> "World":
        leaves = dict(self.leaves)
        around = {key: None if some is None else list(some) for key, some in self.around.items()}
        for kind, record, path, *more in atoms:
            if kind == "flip":
                leaves[record, path] = not leaves[record, path]
            elif kind == "remove":
                some = around[record, path]
                if some is not None and more[0] in some:
                    some.remove(more[0])
            else:
                # Below zero: a new one, of which is known whether it meets the condition.
                around[record, path] = [*(around[record, path] or []), -1 if more[0] else -2]
        return World(leaves, around)


def holds(definition: Mapping[str, Any], world: World, record: int = ME, path: tuple[Any, ...] = ()) -> bool:
    """What a filter means, said again and plainly."""
    ((kind, body),) = definition.items()
    path = (*path, kind)
    match kind:
        case "and":
            return all(holds(one, world, record, (*path, n)) for n, one in enumerate(body))
        case "or":
            return any(holds(one, world, record, (*path, n)) for n, one in enumerate(body))
        case "not":
            return not holds(body, world, record, path)
        case "property":
            return world.leaves[record, path]
    some, where = world.around[record, path], body.get("where")
    if some is None and body["quantifier"] != "NONE":
        return bool(body["includeEmpty"])

    def meets(other: int) -> bool:
        if other < 0:
            return other == -1
        return where is None or holds(where, world, other, (*path, "where"))

    met = sum(meets(other) for other in some or ())
    match body["quantifier"]:
        case "ANY":
            return met > 0
        case "ALL":
            return 0 < len(some or ()) == met
        case "NONE":
            return met == 0
    return COMPARISONS[body["operator"]](met, body["count"])


def atoms(definition: Mapping[str, Any], world: World, record: int = ME, path: Any = ()) -> Iterator[Atom]:
    """Everything that can be otherwise."""
    ((kind, body),) = definition.items()
    path = (*path, kind)
    if kind in ("and", "or"):
        for n, one in enumerate(body):
            yield from atoms(one, world, record, (*path, n))
    elif kind == "not":
        yield from atoms(body, world, record, path)
    elif kind == "property":
        yield "flip", record, path
    else:
        where = body.get("where")
        # As often as a few changes can want it.
        for n in range(3):
            yield "add", record, path, True, n
        if where is not None:
            yield "add", record, path, False
        for other in world.around[record, path] or ():
            yield "remove", record, path, other
            if where is not None:
                yield from atoms(where, world, other, (*path, "where"))


def seen(definition: Mapping[str, Any], world: World, record: int = ME, path: Any = ()) -> Seen:
    """As the fold sees it."""
    answer = holds(definition, world, record, path)
    ((kind, body),) = definition.items()
    path = (*path, kind)
    if kind in ("and", "or"):
        parts = (seen(one, world, record, (*path, n)) for n, one in enumerate(body))
        return Seen(answer, tuple(parts))
    if kind == "not":
        return Seen(answer, (seen(body, world, record, path),))
    if kind == "property":
        return Seen(answer, leaf=LEAF, actual="x")
    some, where = world.around[record, path], body.get("where")
    quantifier = Quantifier(body["quantifier"])
    leaf = AssociatedLeaf(
        REACH, quantifier, None, Comparison(body["operator"]), body["count"], body["includeEmpty"]
    )
    inner = (
        (one, (10,), None if where is None else seen(where, world, one, (*path, "where")))
        for one in some or ()
    )
    return Seen(answer, leaf=leaf, actual=None if some is None else len(some), looked=tuple(inner))


@st.composite
def worlds(draw: Any) -> tuple[dict[str, Any], World]:
    """A small filter, and what it finds."""
    world, left = World(), itertools.count(2)

    def part(depth: int) -> dict[str, Any]:
        kinds = ["property"] if depth == 0 else ["property", "and", "or", "not", "associated"]
        match draw(st.sampled_from(kinds)):
            case "property":
                return ONE
            case "not":
                return {"not": part(depth - 1)}
            case "associated":
                return {
                    "associated": {
                        "to": "companies",
                        "quantifier": draw(st.sampled_from(["ANY", "ALL", "NONE", "COUNT"])),
                        "operator": draw(st.sampled_from(list(COMPARISONS))),
                        "count": draw(st.integers(0, 3)),
                        "includeEmpty": draw(st.booleans()),
                        **({"where": part(depth - 1)} if draw(st.booleans()) else {}),
                    }
                }
            case kind:
                return {kind: [part(depth - 1) for _ in range(draw(st.integers(1, 2)))]}

    def fill(definition: Mapping[str, Any], record: int, path: Any) -> None:
        ((kind, body),) = definition.items()
        path = (*path, kind)
        if kind in ("and", "or"):
            for n, one in enumerate(body):
                fill(one, record, (*path, n))
        elif kind == "not":
            fill(body, record, path)
        elif kind == "property":
            world.leaves[record, path] = draw(st.booleans())
        else:
            number = draw(st.integers(-1, 2))
            some = None if number < 0 else [next(left) for _ in range(number)]
            world.around[record, path] = some
            for other in some or ():
                if body.get("where") is not None:
                    fill(body["where"], other, (*path, "where"))

    definition = part(2)
    fill(definition, ME, ())
    return definition, world


def carried_out(change: Needed, world: World) -> list[Atom]:
    """A proposal as changes of the world."""
    if change.kind == ASSOCIATE:
        return [("add", change.record_id, change.path, change.holds)] * change.count
    if change.kind == DISSOCIATE:
        some = world.around[change.record_id or 0, change.path] or []
        whom = [change.other] if change.other is not None else some[: change.count]
        return [("remove", change.record_id, change.path, one) for one in whom]
    return [("flip", change.record_id, change.path)]


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_what_is_proposed_makes_it_hold_and_nothing_smaller_does(found: tuple[dict[str, Any], World]) -> None:
    definition, world = found
    for wanted in (True, False):
        way = nearest(seen(definition, world), definition, ME, holds=wanted)
        least = way.cost if way is not None else 3
        if way is not None:
            proposed = tuple(atom for change in way.changes for atom in carried_out(change, world))
            assert len(proposed) == way.cost
            assert holds(definition, world.after(proposed)) is wanted
        every = list(atoms(definition, world))
        for size in range(min(least, 3)):
            for some in itertools.combinations(every, size):
                assert holds(definition, world.after(some)) is not wanted, (wanted, some, way)


def test_of_equal_ones_the_record_that_is_there_is_changed_before_another_one_is_associated() -> None:
    where = {"associated": {"to": "companies", "quantifier": "ANY", "where": ONE, "includeEmpty": False}}
    definition = {"associated": {**where["associated"], "operator": "=", "count": 0}}
    path = ("associated", "where", "property")
    world = World({(2, path): False}, {(ME, ("associated",)): [2]})
    way = nearest(seen(definition, world), definition, ME)
    assert way is not None
    assert [(one.kind, one.record_id, one.path) for one in way.changes] == [("SET", 2, path)]
    assert way.changes[0].words == '"city" of rec_2 must meet "known"; it is "x" now'
