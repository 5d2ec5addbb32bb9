"""Merging one record with one item, field by field, against what both sides held when they last agreed. Pure.

What goes to the other side is what its own base does not say: a write that comes back is no change, so nothing loops,
and no tag of origin is needed. What only one side changed is never lost, whatever the policy.
"""

from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.sync.rules import Rules, Values


@dataclass(frozen=True, slots=True)
class Half:
    """What one side holds now, in its own terms, and what it was last known to hold; `base` None: never linked."""

    values: Values
    base: Values | None
    # When it was last changed, where that is known.
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that both sides changed, and on which nobody wins yet; both values in our terms."""

    mapping_id: int
    ours: Any
    theirs: Any
    agreed: Any


@dataclass(frozen=True, slots=True)
class Untranslatable:
    """A value that the other side cannot take: which mapping, and why (a category's name, and words)."""

    mapping_id: int
    category: str
    message: str
    # The side that would be written.
    side: str


@dataclass(frozen=True, slots=True)
class Merged:
    """What is to be written on each side, and what both hold once that is done.

    `ours`: {property: value; None clears}, `theirs`: {field: value; None empties}.
    """

    ours: Map[str, Any] = field(default_factory=dict)
    theirs: Map[str, Any] = field(default_factory=dict)
    base_ours: Map[str, Any] = field(default_factory=dict)
    base_theirs: Map[str, Any] = field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()
    problems: tuple[Untranslatable, ...] = ()


def merge(rules: Rules, ours: Half, theirs: Half, resolved: Map[int, str] | None = None) -> Merged:
    """Bring both sides together by the rules; `resolved`: {mapping: winning side} for what a person has decided."""
    raise NotImplementedError
