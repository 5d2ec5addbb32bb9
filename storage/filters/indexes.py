"""Which parts of a filter an index answers, and what is looked up there. Pure: on trees alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, assert_never

from storage.filters.tree import (
    And,
    AssociatedLeaf,
    Between,
    Choice,
    Chosen,
    Compared,
    EventLeaf,
    Filter,
    HistoryLeaf,
    Index,
    Not,
    OneOf,
    Or,
    PropertyLeaf,
    Quantifier,
    SegmentLeaf,
    SourceLeaf,
    UpdatedLeaf,
    WorkflowLeaf,
)
from storage.property_keys import value_hash

# Values of these types have few records each. Choices and booleans have many, and so may a range.
RARE = frozenset({"STRING", "PHONE", "NUMBER", "DATE"})


def selective(filter_: Filter) -> bool:
    """Whether an index finds the few records that can meet a filter."""
    match filter_:
        case And(parts):
            return any(selective(part) for part in parts)
        case Or(parts):
            return all_selective(parts)
        case Not():
            return False
        case PropertyLeaf(prop, test):
            return filter_.index is not None and prop.type in RARE and isinstance(test, OneOf)
        case AssociatedLeaf():
            return from_the_other_end(filter_) and not filter_.include_empty
        case HistoryLeaf() | UpdatedLeaf() | SourceLeaf() | SegmentLeaf() | WorkflowLeaf() | EventLeaf():
            return False
        case _:
            assert_never(filter_)


def of_record(filter_: Filter) -> Filter | None:
    """The same filter, asked of the record alone, whatever is indexed; None where it looks at anything beside it."""
    match filter_:
        case And(parts):
            found = [part for one in parts if (part := of_record(one)) is not None]
            return And(tuple(found)) if len(found) == len(parts) else None
        case Or(parts):
            found = [part for one in parts if (part := of_record(one)) is not None]
            return Or(tuple(found)) if len(found) == len(parts) else None
        case Not(part):
            inner = of_record(part)
            return None if inner is None else Not(inner)
        case PropertyLeaf():
            return replace(filter_, index=None)
        case (
            AssociatedLeaf()
            | HistoryLeaf()
            | UpdatedLeaf()
            | SourceLeaf()
            | SegmentLeaf()
            | WorkflowLeaf()
            | EventLeaf()
        ):
            return None
        case _:
            assert_never(filter_)


def from_the_other_end(leaf: AssociatedLeaf) -> bool:
    """Whether an associated leaf is begun with the few records that meet its nested filter."""
    return leaf.quantifier is Quantifier.ANY and leaf.where is not None and selective(leaf.where)


def lead(filter_: Filter) -> tuple[Sequence[Sequence[PropertyLeaf]] | AssociatedLeaf, Filter]:
    """Where to begin to look for those who meet a selective filter, and what is still to be asked of whom is found.

    Ranges of indexes, any of which will do, each as leaves of which any one will do; else an associated leaf.
    """
    match filter_:
        case And(parts):
            own = [part for part in parts if isinstance(part, PropertyLeaf) and selective(part)]
            if own:
                return [(part,) for part in own], filter_
            first = next(n for n, part in enumerate(parts) if selective(part))
            begin, rest = lead(parts[first])
            return begin, And((*parts[:first], rest, *parts[first + 1 :]))
        case Or(parts):
            return [[part for part in parts if isinstance(part, PropertyLeaf)]], filter_
        case PropertyLeaf():
            return [(filter_,)], filter_
        case AssociatedLeaf():
            return filter_, And(())
        case _:
            raise TypeError(filter_)


def all_selective(parts: Sequence[Filter]) -> bool:
    """Whether parts, of which any one will do, are found together: each by an index of its own."""
    return bool(parts) and all(isinstance(part, PropertyLeaf) and selective(part) for part in parts)


def lookup(leaf: PropertyLeaf) -> Any:
    """What a leaf looks up before the record itself is asked: one thing, or a list of which any one will do.

    None where the rows of the side table answer it alone.
    """
    match leaf.index, leaf.test:
        case Index.VALUES, OneOf(given) if leaf.property.type == "BOOLEAN":
            # They stand there as text.
            return ["true" if value else "false" for value in given]
        case (None, _) | (Index.VALUES, OneOf() | Compared() | Between()):
            return None
        case _, OneOf(given) | Chosen(Choice.ANY, given):
            several: tuple[Any, ...] = given
        case _, Chosen(_, given):
            # Who has all of them has the first.
            several = given[:1]
        case _:
            raise TypeError(leaf)
    wanted = [value_hash(value) for value in several] if leaf.index is Index.KEYS else list(several)
    return wanted[0] if len(wanted) == 1 else wanted
