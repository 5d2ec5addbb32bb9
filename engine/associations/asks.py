"""Requests in terms of records and types: who is meant, under which types, and what cannot be meant at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.associations.kinds import Kind, Kinds
from engine.associations.pairs import Pair, Verb
from engine.associations.problems import (
    LabelsMissing,
    LabelsNotWanted,
    SelfAssociation,
    UnknownLabel,
    archived,
    unknown,
)
from engine.ids import encode
from engine.problems import Problem
from storage.holding import Held


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of every pair that names the same labels in the same direction; types stand at `low`."""

    verb: Verb
    plain: Kind
    named: tuple[Kind, ...]
    # The plain type and the named labels: what ADD and SET want to be there.
    wanted: tuple[Kind, ...]
    # The label `primary`, where it is named.
    primary: Kind | None
    # The label `primary`, where the first association brings it unasked.
    unasked: Kind | None
    # The label that must be there, where one must.
    where: Kind | None
    # Types whose counters the rules ask for, at the lower and at the higher record.
    counters_low: tuple[int, ...]
    counters_high: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """One pair, its records in id order; `flipped` where it was asked from the higher one."""

    index: int
    low: int
    high: int
    flipped: bool
    wish: Wish


# Where a label must be set, it is named first.
CONDITIONAL = (Verb.ADD_WHERE, Verb.REPLACE)
# How many combinations of labels are remembered for one catalogue and verb.
WISHES_KEPT = 1_000


class Wishes:
    """Turns label names into types, once for each combination."""

    def __init__(self, kinds: Kinds, verb: Verb, *, first_primary: bool, labels_needed: bool = False) -> None:
        self._kinds = kinds
        self._verb = verb
        self._first_primary = first_primary
        self._labels_needed = labels_needed or verb in (Verb.REMOVE, Verb.REMOVE_WITH)
        self._known: dict[tuple[int, int, tuple[str, ...], bool], Wish | Problem] = {}

    def of(
        self, from_object_type_id: int, to_object_type_id: int, labels: tuple[str, ...], flipped: bool
    ) -> Wish | Problem:
        """The wish of a pair of these object types, asked from the first."""
        key = (from_object_type_id, to_object_type_id, labels, flipped)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= WISHES_KEPT:
                self._known.clear()
            known = self._known[key] = self._make(from_object_type_id, to_object_type_id, labels, flipped)
        return known

    def _make(self, near: int, far: int, labels: tuple[str, ...], flipped: bool) -> Wish | Problem:
        if self._verb is Verb.DISSOCIATE and labels:
            return LabelsNotWanted(path=("labels",))
        if self._labels_needed and not labels:
            return LabelsMissing(path=("labels",))
        named: list[Kind] = []
        for n, name in enumerate(dict.fromkeys(labels)):
            kind = self._kinds.label(near, far, name)
            if kind is None:
                return self._unknown_label(near, far, name).at("labels", n)
            named.append(self._kinds[kind.inverse_id] if flipped else kind)
        low, high = (far, near) if flipped else (near, far)
        plain = self._kinds.plain(low, high)
        where = named.pop(0) if self._verb in CONDITIONAL else None
        primary = next((kind for kind in named if kind.primary), None)
        unasked = self._kinds.primary(low, high) if self._first_primary and primary is None else None
        wanted = (plain, *named)
        return Wish(
            self._verb,
            plain,
            tuple(named),
            wanted,
            primary,
            unasked,
            where,
            *self._counters(wanted, plain, unasked),
        )

    def _counters(
        self, wanted: Sequence[Kind], plain: Kind, unasked: Kind | None
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if self._verb not in (Verb.ADD, Verb.SET, *CONDITIONAL):
            return (), ()
        # The one primary is no limit: it moves. Who comes first is told by the plain type's counter.
        limited = [kind for kind in wanted if not kind.primary]
        low = {kind.id for kind in limited if kind.limit is not None}
        high = {kind.inverse_id for kind in limited if kind.inverse_limit is not None}
        if unasked is not None:
            (low if unasked.holder else high).add(plain.id if unasked.holder else plain.inverse_id)
        return tuple(sorted(low)), tuple(sorted(high))

    def _unknown_label(self, near: int, far: int, name: str) -> Problem:
        catalogue = self._kinds.catalogue
        known = [row.name for row in catalogue.between(near, far) if row.name is not None]
        return UnknownLabel(
            label=name[:100],
            from_type=catalogue.object_types[near].name,
            to_type=catalogue.object_types[far].name,
            known=known or "none",
        )


def wishes_of(kinds: Kinds, verb: Verb, *, first_primary: bool, labels_needed: bool = False) -> Wishes:
    """The wishes under a catalogue; the same ones as long as it is the same catalogue."""
    key = (verb, first_primary, labels_needed)
    known = kinds.wishes.get(key)
    if known is None:
        known = kinds.wishes[key] = Wishes(
            kinds, verb, first_primary=first_primary, labels_needed=labels_needed
        )
    return known


def understand(
    pairs: Sequence[Pair], wishes: Wishes, records: Mapping[int, Held], survivors: Mapping[int, int]
) -> tuple[list[Ask], dict[int, Problem]]:
    """What the pairs ask for, and by index the problems of those that cannot be asked.

    `survivors` maps the ids of merged records to the records that they live on in.
    """
    asks: list[Ask] = []
    problems: dict[int, Problem] = {}
    for index, pair in enumerate(pairs):
        from_id, to_id = survivors.get(pair.from_id, pair.from_id), survivors.get(pair.to_id, pair.to_id)
        near, far = records.get(from_id), records.get(to_id)
        if near is None or near.archived or far is None or far.archived or from_id == to_id:
            problems[index] = _impossible(pair, near, far)
            continue
        flipped = from_id > to_id
        wish = wishes.of(near.object_type_id, far.object_type_id, pair.labels, flipped)
        if isinstance(wish, Problem):
            # Each item has its own: whoever passes it on puts the item's place in front of the path.
            problems[index] = type(wish)(path=wish.path, **wish.details)
        elif flipped:
            asks.append(Ask(index, to_id, from_id, True, wish))
        else:
            asks.append(Ask(index, from_id, to_id, False, wish))
    return asks, problems


def _impossible(pair: Pair, near: Held | None, far: Held | None) -> Problem:
    for asked, found, end in ((pair.from_id, near, "fromId"), (pair.to_id, far, "toId")):
        if found is None:
            return unknown(asked).at(end)
        if found.archived:
            return archived(asked).at(end)
    return SelfAssociation(record=encode("record", pair.from_id), path=("toId",))
