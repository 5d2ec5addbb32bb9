"""Deciding on a batch: what comes and goes for each pair, in the order asked, under all limits. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.associations.asks import Ask
from engine.associations.kinds import Kind, Kinds
from engine.associations.pairs import AssociationResult, Verb
from engine.associations.problems import LabelsExclusive
from engine.problems import Problem

PairKey = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Full:
    """A record that has as many associations under `kind` (standing at it) as the limit allows, or more."""

    record_id: int
    kind: Kind
    count: int


Decision = AssociationResult | Full | Problem


@dataclass(slots=True)
class Book:
    """The state that a batch is decided on; each decision changes it for the ones that follow.

    `held`: types standing at the lower record of a pair. `counts`: (record, type) → visible neighbours, for
    kinds that are counted. `primaries`: (holder, type) → its primary. `facts`: what comes (True) and goes,
    net, told from the higher record where `flipped`.
    """

    held: dict[PairKey, set[int]]
    counts: dict[PairKey, int]
    primaries: dict[PairKey, int]
    facts: dict[tuple[int, int, int], tuple[Kind, bool, bool]] = field(default_factory=dict)

    def enter(self, low: int, high: int, kind: Kind, flipped: bool, added: bool) -> None:
        """Let one type come to, or go from, a pair."""
        types = self.held.get((low, high))
        if types is not None:
            (types.add if added else types.discard)(kind.id)
        key = (low, high, kind.id)
        if key in self.facts:
            # It went (or came) earlier in this batch: the two together are nothing.
            del self.facts[key]
        else:
            self.facts[key] = (kind, flipped, added)
        if kind.counted:
            step = 1 if added else -1
            for end in ((low, kind.id), (high, kind.inverse_id)):
                self.counts[end] = self.counts.get(end, 0) + step
        if kind.primary:
            place, other = ((low, kind.id), high) if kind.holder else ((high, kind.inverse_id), low)
            if added:
                self.primaries[place] = other
            elif self.primaries.get(place) == other:
                del self.primaries[place]


def decide(asks: Sequence[Ask], book: Book, kinds: Kinds) -> dict[int, Decision]:
    """What becomes of each ask, by its index. What is refused leaves the book as it was."""
    decisions: dict[int, Decision] = {}
    for ask in asks:
        held = book.held[ask.low, ask.high]
        verb = ask.wish.verb
        unseated = None
        if verb is Verb.ADD or verb is Verb.SET or verb is Verb.ADD_WHERE or verb is Verb.REPLACE:
            comes, goes = _arriving(ask, held, book, kinds)
            refusal = _refusal(ask, comes, goes, held, book, kinds)
            if refusal is not None:
                decisions[ask.index] = refusal
                continue
            if ask.wish.primary is not None and ask.wish.primary in comes:
                unseated = _unseat(ask, ask.wish.primary, book, kinds)
        else:
            comes, goes = (), _leaving(ask, held, kinds)
        for kind in goes:
            book.enter(ask.low, ask.high, kind, ask.flipped, False)
        for kind in comes:
            book.enter(ask.low, ask.high, kind, ask.flipped, True)
        decisions[ask.index] = _result(ask, held, comes, goes, kinds, unseated)
    return decisions


def _arriving(ask: Ask, held: set[int], book: Book, kinds: Kinds) -> tuple[Sequence[Kind], Sequence[Kind]]:
    wish = ask.wish
    if wish.where is not None and wish.where.id not in held:
        return (), ()
    comes = [kind for kind in wish.wanted if kind.id not in held]
    if wish.unasked is not None and wish.plain.id not in held and _first(ask, wish.unasked, book):
        comes.append(wish.unasked)
    if wish.verb is Verb.REPLACE and wish.where is not None and wish.named:
        return comes, (wish.where,)
    if wish.verb is not Verb.SET or len(held) < 2:
        return comes, ()
    wanted = {kind.id for kind in wish.wanted}
    return comes, [kinds[type_id] for type_id in sorted(held - wanted) if kinds[type_id].user_defined]


def _first(ask: Ask, primary: Kind, book: Book) -> bool:
    """Whether the record that may have a primary has no associations of this object pair yet."""
    plain = ask.wish.plain
    place = (ask.low, plain.id) if primary.holder else (ask.high, plain.inverse_id)
    return book.counts.get(place, 0) <= 0


def _leaving(ask: Ask, held: set[int], kinds: Kinds) -> list[Kind]:
    wish = ask.wish
    named = [kind for kind in wish.named if kind.id in held]
    if wish.verb is Verb.REMOVE:
        return named
    if wish.verb is Verb.DISSOCIATE or named:
        return [kinds[type_id] for type_id in sorted(held)]
    return []


def _refusal(
    ask: Ask, comes: Sequence[Kind], goes: Sequence[Kind], held: set[int], book: Book, kinds: Kinds
) -> Full | Problem | None:
    for kind in comes:
        # The one primary is no limit: it moves.
        if kind.counted and not kind.primary:
            full = reached(ask.low, ask.high, kind, book.counts, kinds)
            if full is not None:
                return full
        if kind.group is not None:
            staying = held - {gone.id for gone in goes}
            beside = (kinds[type_id] for type_id in sorted(staying | {other.id for other in comes}))
            problem = excluded(kind, beside)
            if problem is not None:
                return problem
    return None


def reached(from_id: int, to_id: int, kind: Kind, counts: Mapping[PairKey, int], kinds: Kinds) -> Full | None:
    """The end at which one more association under `kind` would pass the limit, if any."""
    if kind.limit is not None:
        count = counts.get((from_id, kind.id), 0)
        if count >= kind.limit:
            return Full(from_id, kind, count)
    if kind.inverse_limit is not None:
        count = counts.get((to_id, kind.inverse_id), 0)
        if count >= kind.inverse_limit:
            return Full(to_id, kinds[kind.inverse_id], count)
    return None


def excluded(kind: Kind, beside: Iterable[Kind]) -> LabelsExclusive | None:
    """The problem of `kind` where one of `beside` is of the same exclusivity group."""
    if kind.group is None:
        return None
    for other in beside:
        if other.group == kind.group and other.id != kind.id:
            return LabelsExclusive(label=kind.label, other=other.label, group=kind.group, path=("labels",))
    return None


def _unseat(ask: Ask, primary: Kind, book: Book, kinds: Kinds) -> int | None:
    """Take the label from the record that was primary until now, if one was."""
    if primary.holder:
        holder, here = ask.low, primary
    else:
        holder, here = ask.high, kinds[primary.inverse_id]
    other = book.primaries.get((holder, here.id))
    if other is None:
        return None
    # Told from the record whose primary moves.
    if holder < other:
        book.enter(holder, other, here, False, False)
    else:
        book.enter(other, holder, kinds[here.inverse_id], True, False)
    return other


def _result(
    ask: Ask,
    held: set[int],
    comes: Sequence[Kind],
    goes: Sequence[Kind],
    kinds: Kinds,
    unseated: int | None,
) -> AssociationResult:
    if ask.flipped:
        return AssociationResult(
            ask.high,
            ask.low,
            tuple(sorted([kinds[type_id].inverse_id for type_id in held])),
            tuple([kind.inverse_id for kind in comes]),
            tuple([kind.inverse_id for kind in goes]),
            unseated,
        )
    return AssociationResult(
        ask.low,
        ask.high,
        tuple(sorted(held)),
        tuple([kind.id for kind in comes]),
        tuple([kind.id for kind in goes]),
        unseated,
    )
