"""A new association in two trips: seen without holding anything, decided, and written by a statement that checks.

Most that is associated one by one are two records that had nothing to do with each other, and nobody else is just then
changing. Whatever is not so simple is left, undone, to the command that holds before it looks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from engine.associations.asks import Ask, understand, wishes_of
from engine.associations.kinds import Kind, Kinds, kinds_of
from engine.associations.pairs import AssociationResult, Pair, Verb
from engine.associations.plan import Book, PairKey, decide
from engine.associations.writing import facts_of
from storage import associations_at_once as stored
from storage.associations_at_once import Arrival, Arrivals
from storage.catalogue import Catalogue
from storage.database import Actor, Database
from storage.holding import Held

Counts = Mapping[PairKey, int]


async def associate_at_once(
    db: Database, catalogue: Catalogue, pair: Pair, *, now: datetime, actor: Actor, first_primary: bool = True
) -> AssociationResult | None:
    """Associate two records that are not associated, in a transaction of its own; what `associate` would answer.

    None: nothing was done, and `associate` has to tell. So it is with everything that is refused or already there,
    with the label `primary` (it moves), and where others changed meanwhile what was decided on, definitions included.
    """
    kinds, account_id = kinds_of(catalogue), catalogue.account_id
    ends = pair.from_id, pair.to_id
    async with db.single(account_id) as single:
        seen = await stored.look(single, ends, kinds.counters(pair.labels))
        if seen is None or seen.associated:
            return None
        asked = Newcomers(seen.object_types, pair.labels, ends[0] > ends[1], first_primary)
        arriving = _arriving(kinds, asked, ends, seen.counts)
        if arriving is None or not await stored.add(
            single,
            ends,
            seen.object_types,
            arriving.arrivals,
            version=catalogue.version,
            now=now,
            actor=actor,
        ):
            return None
    db.wake.send(account_id)
    return AssociationResult(*ends, arriving.type_ids, arriving.added, ())


@dataclass(frozen=True, slots=True)
class Newcomers:
    """What tells one request for a new association from another, as far as what comes is concerned."""

    object_types: tuple[int, int]
    labels: tuple[str, ...]
    # Whether the record that is asked from is the later one.
    flipped: bool
    first_primary: bool


@dataclass(frozen=True, slots=True)
class Arriving:
    """What comes to a pair, told from the record that is asked from, as long as the counters lie in their bounds."""

    arrivals: Arrivals
    type_ids: tuple[int, ...]
    added: tuple[int, ...]

    def fits(self, ends: tuple[int, int], counts: Counts) -> bool:
        """Whether each counter, when one is added, is within its bounds."""
        for at, type_id, least, most in self.arrivals.bounds:
            n = counts.get((ends[at], type_id), 0) + 1
            if (least is not None and n < least) or (most is not None and n > most):
                return False
        return True


def _arriving(kinds: Kinds, asked: Newcomers, ends: tuple[int, int], counts: Counts) -> Arriving | None:
    """What comes with these counters, if nothing stands in the way. Requests that are alike are decided once."""
    ways = kinds.remembered(asked, lambda: tuple(_ways(kinds, asked)))
    return next((one for one in ways if one.fits(ends, counts)), None)


def _ways(kinds: Kinds, asked: Newcomers) -> Iterator[Arriving]:
    """What can come: all ways in which counters may make a difference, short of a refusal."""
    # Any two records will do, in this order.
    near, far = (2, 1) if asked.flipped else (1, 2)
    records = {
        end: Held(object_type, False, None)
        for end, object_type in zip((near, far), asked.object_types, strict=True)
    }
    wishes = wishes_of(kinds, Verb.ADD, first_primary=asked.first_primary)
    asks, _ = understand([Pair(near, far, asked.labels)], wishes, records, {})
    if not asks or asks[0].wish.primary is not None:
        return
    [ask] = asks
    # The association of which it depends whether a primary comes unasked: none there yet, or one.
    place = _place_of_first(ask)
    for n in (0,) if place is None else (0, 1):
        book = Book({(ask.low, ask.high): set()}, {place: n} if place is not None else {}, {})
        result = decide(asks, book, kinds)[ask.index]
        if isinstance(result, AssociationResult) and len(result.added) <= stored.MOST_TYPES:
            comes = [kinds[type_id] for type_id in result.added]
            yield Arriving(
                stored.arrivals(_arrival(kind, near, far, (place, n)) for kind in comes),
                result.type_ids,
                result.added,
            )


def _place_of_first(ask: Ask) -> PairKey | None:
    """The counter that tells whether a record has its first association, where that brings a primary."""
    unasked, plain = ask.wish.unasked, ask.wish.plain
    if unasked is None:
        return None
    return (ask.low, plain.id) if unasked.holder else (ask.high, plain.inverse_id)


def _arrival(kind: Kind, near: int, far: int, first: tuple[PairKey | None, int]) -> Arrival:
    """One type that comes, with what its counters may be with it.

    A limit is the most; the one primary is no limit. Who is first has one afterwards, who is not at least two.
    """
    place, before = first
    bounds: list[tuple[int | None, int | None]] = []
    for key, limit in (((near, kind.id), kind.limit), ((far, kind.inverse_id), kind.inverse_limit)):
        most = None if kind.primary else limit
        if key != place:
            bounds.append((None, most))
        else:
            bounds.append((2, most) if before else (None, 1))
    return Arrival(facts_of(kind), *bounds)
