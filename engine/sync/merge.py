"""Merging one record with one item, field by field, against what both sides held when they last agreed. Pure.

What goes to the other side is what its own base does not say: a write that comes back is no change, so nothing loops,
and no tag of origin is needed. What only one side changed is never lost, whatever the policy.

The rules, for each mapping that is on:
- Both sides hold the same (as far as both can say it): they agree, whoever wrote it.
- Neither differs from its base: nothing. Bases are compared exactly, a lossy field's loosely.
- A mapping, or a sync, that goes one way carries what its source changed. Policies are about both ways: what was
  changed at the other end alone stays as it is until the source changes, and its base stays with it.
- One side alone changed, clearing included: it is carried over.
- Both changed: the policy's side wins, unless its value is empty; then the other's stands, and goes to it.
- What cannot be carried over (a conflict that is asked about, a value that does not fit) keeps its bases as they were:
  it is looked at again whenever the two are merged. The other fields go on.
- Never linked is the same as having agreed on nothing: one that is empty takes the other, two that differ are changed
  on both sides.
"""

from collections.abc import Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, assert_never

from engine.sync.likeness import empty
from engine.sync.rules import Direction, Mapping, Policy, Rules, Side, Values
from engine.sync.translate import Translation, Untranslated, translation


@dataclass(frozen=True, slots=True)
class Half:
    """What one side holds now, in its own terms, and what it was last known to hold; `base` None: never linked.

    A name that the base does not have was never agreed on; one that was agreed to be empty is there, with None.
    """

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


# Not frozen: made for each of thousands of items.
@dataclass(slots=True)
class Merged:
    """What is to be written on each side, and what both hold once that is done.

    `ours`: {property: value; None clears}, `theirs`: {field: value; None empties}. Bases hold what they held of
    names that are not mapped (any more), too.
    """

    ours: Map[str, Any] = field(default_factory=dict)
    theirs: Map[str, Any] = field(default_factory=dict)
    base_ours: Map[str, Any] = field(default_factory=dict)
    base_theirs: Map[str, Any] = field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()
    problems: tuple[Untranslatable, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pair:
    """A mapping as merging goes through it. `plain`: equal values are the same value."""

    prop: str
    field: str
    into_ours: bool
    into_theirs: bool
    known: Translation
    plain: bool


# By the identity of rules, which live as long as a runner goes by them.
_known: dict[int, tuple[Rules, tuple[_Pair, ...]]] = {}
MOST_KNOWN = 1_000


def _pairs(rules: Rules) -> tuple[_Pair, ...]:
    """The mappings that go anywhere, made ready once."""
    found = _known.get(id(rules))
    if found is None or found[0] is not rules:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        found = _known[id(rules)] = rules, tuple(_made(rules))
    return found[1]


def _made(rules: Rules) -> Iterator[_Pair]:
    for mapping in rules.mappings:
        into_ours = mapping.direction is not Direction.OUT and rules.goes(Side.OURS)
        into_theirs = mapping.direction is not Direction.IN and rules.goes(Side.THEIRS)
        if into_ours or into_theirs:
            # Python takes 1 for True, which JSON does not.
            plain = mapping.property.type != "JSON"
            known = translation(mapping)
            yield _Pair(mapping.property.name, mapping.field.name, into_ours, into_theirs, known, plain)


@dataclass(slots=True)
class _Work:
    """One merge under way. `held`: names whose bases stay, although another mapping of theirs was settled."""

    ours: Half
    theirs: Half
    resolved: Map[int, str]
    base_ours: dict[str, Any]
    base_theirs: dict[str, Any]
    ours_writes: dict[str, Any] = field(default_factory=dict)
    theirs_writes: dict[str, Any] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    problems: list[Untranslatable] = field(default_factory=list)
    held_ours: set[str] = field(default_factory=set)
    held_theirs: set[str] = field(default_factory=set)


def merge(rules: Rules, ours: Half, theirs: Half, resolved: Map[int, str] | None = None) -> Merged:
    """Bring both sides together by the rules; `resolved`: {mapping: winning side} for what a person has decided.

    What a person has decided goes as it is, even where it empties the other side.
    """
    work = _Work(ours, theirs, resolved or {}, dict(ours.base or {}), dict(theirs.base or {}))
    mine, others = ours.values, theirs.values
    linked = ours.base is not None and theirs.base is not None
    for pair in _pairs(rules):
        one, other = mine.get(pair.prop), others.get(pair.field)
        if not linked:
            if one is None and other is None:
                continue
            if one is None and pair.into_ours and not resolved and not empty(other):
                # Most of an initial sync: nothing is here yet.
                _take(work, pair, other)
                continue
            before = None, None
        else:
            before = _bases(work, pair.prop, pair.field)
            # Most of everything else: nothing has changed.
            if pair.plain and one == before[0] and other == before[1]:
                continue
        _field(work, pair, one, other, before)
    _keep(work.held_ours, work.base_ours, ours.base or {})
    _keep(work.held_theirs, work.base_theirs, theirs.base or {})
    return Merged(
        work.ours_writes,
        work.theirs_writes,
        work.base_ours,
        work.base_theirs,
        tuple(work.conflicts),
        tuple(work.problems),
    )


def _keep(held: set[str], into: dict[str, Any], base: Values) -> None:
    """A name may stand in several mappings: what one of them has not settled is not settled."""
    for name in held:
        if name in base:
            into[name] = base[name]
        else:
            into.pop(name, None)


def _take(work: _Work, pair: _Pair, theirs: Any) -> None:
    """Let our side, which has nothing, take theirs."""
    if pair.known.same_theirs(theirs, None):
        # As good as nothing.
        return
    _carry(work, pair.known, Side.THEIRS, None, theirs)


def _field(work: _Work, pair: _Pair, ours: Any, theirs: Any, before: tuple[Any, Any]) -> None:
    known = pair.known
    ours_changed = not known.same_ours(ours, before[0])
    theirs_changed = not known.same_theirs(theirs, before[1])
    if not ours_changed and not theirs_changed:
        return
    mapping = known.mapping
    if known.alike(ours, theirs):
        _settle(work, mapping, ours, theirs)
        return
    into = pair.into_ours, pair.into_theirs
    winner = _winner(work, mapping, into, (ours_changed, theirs_changed), (ours, theirs))
    if winner is None:
        _hold(work, mapping)
        if all(into):
            work.conflicts.append(Conflict(mapping.id, ours, known.shown(theirs), before[0]))
    else:
        _carry(work, known, winner, ours, theirs)


def _bases(work: _Work, prop: str, field: str) -> tuple[Any, Any]:
    """What was agreed on of this pair; a name may have got its base by another pair."""
    ours, theirs = work.ours.base, work.theirs.base
    if ours is None or theirs is None or prop not in ours or field not in theirs:
        return None, None
    return ours[prop], theirs[field]


def _winner(
    work: _Work,
    mapping: Mapping,
    into: tuple[bool, bool],
    changed: tuple[bool, bool],
    values: tuple[Any, Any],
) -> Side | None:
    """Whose value the other side is to take; None: nobody's. Each pair is of ours and theirs; they are not alike."""
    none = {Side.OURS: empty(values[0]), Side.THEIRS: empty(values[1])}
    if not all(into):
        source = Side.THEIRS if into[0] else Side.OURS
        there, at_the_end = changed if source is Side.OURS else (changed[1], changed[0])
        return source if there and not (at_the_end and none[source]) else None
    if (decided := work.resolved.get(mapping.id)) is not None:
        return Side(decided)
    if not all(changed):
        return Side.OURS if changed[0] else Side.THEIRS
    match mapping.policy:
        case Policy.ASK:
            return None
        case Policy.OURS:
            winner, other = Side.OURS, Side.THEIRS
        case Policy.THEIRS:
            winner, other = Side.THEIRS, Side.OURS
        case Policy.MOST_RECENT:
            latest = _later(work.theirs.changed_at, work.ours.changed_at)
            winner, other = (Side.THEIRS, Side.OURS) if latest else (Side.OURS, Side.THEIRS)
        case _:
            assert_never(mapping.policy)
    return other if none[winner] else winner


def _later(theirs: datetime | None, ours: datetime | None) -> bool:
    """Whether theirs is the more recent one. What is not known is not recent; at one moment, ours stands."""
    return theirs is not None and (ours is None or theirs > ours)


def _carry(work: _Work, known: Translation, winner: Side, ours: Any, theirs: Any) -> None:
    """Let one side take the other's value, or tell why it cannot."""
    mapping, into = known.mapping, Side.OURS if winner is Side.THEIRS else Side.THEIRS
    try:
        value = known.to_ours(theirs) if into is Side.OURS else known.to_theirs(ours)
    except Untranslated as fault:
        _hold(work, mapping)
        work.problems.append(Untranslatable(mapping.id, fault.category.value, fault.message, into.value))
        return
    if into is Side.OURS:
        if not known.same_ours(value, ours):
            work.ours_writes[mapping.property.name] = value
        _settle(work, mapping, value, theirs)
    else:
        if not known.same_theirs(value, theirs):
            work.theirs_writes[mapping.field.name] = value
        _settle(work, mapping, ours, value)


def _settle(work: _Work, mapping: Mapping, ours: Any, theirs: Any) -> None:
    work.base_ours[mapping.property.name] = ours
    work.base_theirs[mapping.field.name] = theirs


def _hold(work: _Work, mapping: Mapping) -> None:
    work.held_ours.add(mapping.property.name)
    work.held_theirs.add(mapping.field.name)
