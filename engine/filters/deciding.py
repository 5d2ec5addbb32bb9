"""What a change of one property can decide: nothing, wherever every leaf that looks at it says the same as before.

Most changes of a property that a filter looks at do not matter to it (a city that was not the wanted one is now
another such city). Whoever knows the value before need not examine anybody for them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias, assert_never

from engine.filters.references import back
from engine.filters.testing import test, value
from storage.catalogue import Catalogue
from storage.filters.tree import (
    And,
    AssociatedLeaf,
    ComparedWith,
    EventLeaf,
    Filter,
    HistoryLeaf,
    Not,
    Or,
    PropertyLeaf,
    SegmentLeaf,
    SourceLeaf,
    UpdatedLeaf,
    Within,
    WorkflowLeaf,
)

# What a leaf says of a stored value, None where there is none.
Says: TypeAlias = Callable[[Any], bool]
# {(property, the way back from its record): what the leaves there say; None: it takes more than the value to tell}
Deciders: TypeAlias = Mapping[tuple[int, tuple[int, ...]], Sequence[Says] | None]

# Such leaves do not look at the clock.
_NO_TIME = datetime(1, 1, 1, tzinfo=UTC)


def deciders(filter_: Filter, catalogue: Catalogue) -> Deciders:
    """The leaves of a filter by what they look at, keyed as `references` names it."""
    found: dict[tuple[int, tuple[int, ...]], list[Says] | None] = {}
    for key, says in _leaves(filter_, (), catalogue):
        if says is None:
            found[key] = None
        elif (known := found.setdefault(key, [])) is not None:
            known.append(says)
    return found


def matters(says: Sequence[Says] | None, before: Any, now: Any) -> bool:
    """Whether leaves that look at a property may answer otherwise after its change from `before` to `now`."""
    return says is None or any(one(before) is not one(now) for one in says)


def _leaves(
    filter_: Filter, path: tuple[int, ...], catalogue: Catalogue
) -> Iterator[tuple[tuple[int, tuple[int, ...]], Says | None]]:
    match filter_:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _leaves(part, path, catalogue)
        case Not(part):
            yield from _leaves(part, path, catalogue)
        case PropertyLeaf(prop, ComparedWith(other=other)):
            yield (prop.id, path), None
            yield (other.id, path), None
        case PropertyLeaf(prop, Within()):
            # When it is to be examined next depends on the value, too.
            yield (prop.id, path), None
        case PropertyLeaf(prop):
            yield (prop.id, path), _says(filter_)
        case HistoryLeaf(prop) | UpdatedLeaf(prop):
            yield (prop.id, path), None
        case AssociatedLeaf(reach, where=where):
            if where is not None:
                yield from _leaves(where, (back(reach, catalogue), *path), catalogue)
        case SourceLeaf() | SegmentLeaf() | WorkflowLeaf() | EventLeaf():
            pass  # They look at no property.
        case _:
            assert_never(filter_)


def _says(leaf: PropertyLeaf) -> Says:
    prop, empty, negated = leaf.property, leaf.include_empty, leaf.negated
    holds = test(prop, leaf.test, _NO_TIME)

    def says(stored: Any) -> bool:
        found = value(prop, {prop.name: stored})
        return empty if found is None else holds(found) is not negated

    return says
