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
    Holds,
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
from storage.property_parts import looked_up as parts_looked_up

# Values of these types have few records each. Choices and booleans have many, and so may a range.
RARE = frozenset({"STRING", "PHONE", "NUMBER", "DATE"})

LAST = 0x10FFFF


def selective(filter_: Filter, *, ranges: bool = False) -> bool:
    """Whether an index finds the few records that can meet a filter.

    `ranges`: or perhaps not so few, for whoever looks how many they are before beginning with them.
    """
    match filter_:
        case And(parts):
            return any(selective(part, ranges=ranges) for part in parts)
        case Or(parts):
            return all_selective(parts, ranges=ranges)
        case Not():
            return False
        case PropertyLeaf(index=None):
            return False
        case PropertyLeaf(prop, OneOf()):
            return prop.type in RARE
        case PropertyLeaf(_, test):
            return ranges and isinstance(test, Compared | Between | Holds)
        case AssociatedLeaf():
            return from_the_other_end(filter_, ranges=ranges) and not filter_.include_empty
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


def from_the_other_end(leaf: AssociatedLeaf, *, ranges: bool = False) -> bool:
    """Whether an associated leaf is begun with the few records that meet its nested filter; see `selective`."""
    return (
        leaf.quantifier is Quantifier.ANY and leaf.where is not None and selective(leaf.where, ranges=ranges)
    )


def lead(filter_: Filter) -> tuple[Sequence[Sequence[PropertyLeaf]] | AssociatedLeaf, Filter]:
    """Where to begin to look for those who meet a selective filter, and what is still to be asked of whom is found.

    Ranges of indexes, any of which will do, each as leaves of which any one will do; else an associated leaf.
    """
    # A range of values is what to begin with where nothing better is there.
    ranges = not selective(filter_)
    match filter_:
        case And(parts):
            own = [
                part for part in parts if isinstance(part, PropertyLeaf) and selective(part, ranges=ranges)
            ]
            if own:
                return [(part,) for part in own], filter_
            first = next(n for n, part in enumerate(parts) if selective(part, ranges=ranges))
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


def all_selective(parts: Sequence[Filter], *, ranges: bool = False) -> bool:
    """Whether parts, of which any one will do, are found together: each by an index of its own."""
    return bool(parts) and all(
        isinstance(part, PropertyLeaf) and selective(part, ranges=ranges) for part in parts
    )


def beyond(start: str) -> str | None:
    """The least text after all that begin with `start`, letter by letter; None where there is none."""
    for n in range(len(start) - 1, -1, -1):
        if (letter := ord(start[n])) < LAST:
            # No text holds a surrogate.
            return start[:n] + chr(0xE000 if letter == 0xD7FF else letter + 1)
    return None


def lookup(leaf: PropertyLeaf) -> Any:
    """What a leaf looks up before the record itself is asked: one thing, or a list of which any one will do.

    None where the rows of the side table answer it alone.
    """
    match leaf.index, leaf.test:
        case Index.PARTS, Holds(place, texts):
            return parts_looked_up(place, texts, leaf.property.seed)
        case Index.VALUES, OneOf(given) if leaf.property.type == "BOOLEAN":
            # They stand there as text.
            return ["true" if value else "false" for value in given]
        case (None, _) | (Index.VALUES, OneOf() | Compared() | Between() | Holds()):
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
