"""Commands on pairs of records: hold the records, read what stands, decide, write. Each statement is one for all."""

from collections.abc import Iterable, Sequence

from engine.associations.asks import Ask, understand, wishes_of
from engine.associations.kinds import Kinds, kinds_of
from engine.associations.pairs import AssociationResult, Pair, Verb
from engine.associations.plan import Book, Decision, PairKey, decide
from engine.associations.refusals import explain
from engine.associations.writing import write
from engine.batches import Mode, Outcome, settle
from engine.problems import Problem
from storage import associations
from storage.database import Transaction
from storage.holding import Held

Outcomes = list[Outcome[AssociationResult]]


async def associate(
    tx: Transaction, pairs: Sequence[Pair], mode: Mode, *, first_primary: bool = True
) -> Outcomes:
    """Associate pairs of records and add the named labels.

    The first company of a record becomes its `primary`, unless `first_primary` is off. In atomic mode raises
    `Refused`.
    """
    return await _carry_out(tx, Verb.ADD, pairs, mode, first_primary=first_primary)


async def dissociate(tx: Transaction, pairs: Sequence[Pair], mode: Mode) -> Outcomes:
    """Take associations away, with all their labels; pairs that are not associated stay as they are."""
    return await _carry_out(tx, Verb.DISSOCIATE, pairs, mode)


async def add_labels(
    tx: Transaction, pairs: Sequence[Pair], mode: Mode, *, first_primary: bool = True
) -> Outcomes:
    """Add labels (at least one each) to pairs, associating those that are not. See `associate`."""
    return await _carry_out(tx, Verb.ADD, pairs, mode, first_primary=first_primary, labels_needed=True)


async def remove_labels(
    tx: Transaction, pairs: Sequence[Pair], mode: Mode, *, with_association: bool = False
) -> Outcomes:
    """Take the named labels away; `with_association` also the association where it held one of them."""
    return await _carry_out(tx, Verb.REMOVE_WITH if with_association else Verb.REMOVE, pairs, mode)


async def update_labels(tx: Transaction, pairs: Sequence[Pair], mode: Mode, *, replace: bool) -> Outcomes:
    """Where the first of the two labels of a pair is set, add the second, or `replace` the first by it.

    Limits and exclusivity are judged on the result. Pairs without the first label stay as they are.
    """
    return await _carry_out(tx, Verb.REPLACE if replace else Verb.ADD_WHERE, pairs, mode)


async def set_labels(
    tx: Transaction, pairs: Sequence[Pair], mode: Mode, *, first_primary: bool = True
) -> Outcomes:
    """Let pairs be associated and hold exactly the named user-defined labels.

    System labels are added where they are named, and never removed. See `associate`.
    """
    return await _carry_out(tx, Verb.SET, pairs, mode, first_primary=first_primary)


async def _carry_out(
    tx: Transaction,
    verb: Verb,
    pairs: Sequence[Pair],
    mode: Mode,
    *,
    first_primary: bool = False,
    labels_needed: bool = False,
) -> Outcomes:
    kinds = kinds_of(tx.catalogue)
    wishes = wishes_of(kinds, verb, first_primary=first_primary, labels_needed=labels_needed)
    moving = {end for pair in pairs if "primary" in pair.labels for end in (pair.from_id, pair.to_id)}
    records, survivors = await hold(
        tx, {end for pair in pairs for end in (pair.from_id, pair.to_id)}, moving, kinds
    )
    asks, problems = understand(pairs, wishes, records, survivors)
    book = await _open(tx, asks, records, kinds)
    decisions = decide(asks, book, kinds)
    explained = await explain(tx, decisions, book, kinds)
    outcomes = [_outcome(index, decisions, explained | problems) for index in range(len(pairs))]
    settle(outcomes, mode)
    await write(tx, book.facts)
    return outcomes


def _outcome(
    index: int, decisions: dict[int, Decision], problems: dict[int, Problem]
) -> Outcome[AssociationResult]:
    problem = problems.get(index)
    if problem is not None:
        return Outcome(None, problem)
    decision = decisions[index]
    assert isinstance(decision, AssociationResult)  # everything else was explained as a problem
    return Outcome(decision)


async def hold(
    tx: Transaction, ids: set[int], moving: set[int], kinds: Kinds
) -> tuple[dict[int, Held], dict[int, int]]:
    """Hold records until the commit, with the survivors of merged ones; {id: record}, {merged id: survivor}.

    For the records in `moving` also the companies that are now their primary: they change with them.
    """
    wanted = set(ids)
    if moving:
        # Read before anything is held, so that all are held in one go and in order.
        wanted.update((await _primaries(tx, moving, kinds)).values())
    records = await associations.hold(tx, wanted)
    # A record may be merged while it is waited for. Its survivor is then held out of order: should two wait for
    # each other over it, one is told to begin again.
    while missing := {
        row.merged_into_id
        for row in records.values()
        if row.merged_into_id is not None and row.merged_into_id not in records
    }:
        records |= await associations.hold(tx, missing)
    merged = (number for number, row in records.items() if row.merged_into_id is not None)
    return records, {number: _survivor(number, records) for number in merged}


def _survivor(number: int, records: dict[int, Held]) -> int:
    while (into := records[number].merged_into_id) is not None and into in records:
        number = into
    return number


async def _primaries(tx: Transaction, ids: Iterable[int], kinds: Kinds) -> dict[PairKey, int]:
    holders = [row for row in tx.catalogue.association_types.values() if row.primary and kinds[row.id].holder]
    return await associations.primaries(
        tx, sorted(ids), sorted({row.to_object_type_id for row in holders}), [row.id for row in holders]
    )


async def _open(tx: Transaction, asks: Sequence[Ask], records: dict[int, Held], kinds: Kinds) -> Book:
    """Read what the asks are decided on, in a statement that begins after all their records are held."""
    pairs: dict[int, dict[PairKey, None]] = {}
    counters: dict[int, set[int]] = {}
    for ask in asks:
        wish = ask.wish
        pairs.setdefault(wish.plain.to_object_type_id, {})[ask.low, ask.high] = None
        for type_id in wish.counters_low:
            counters.setdefault(type_id, set()).add(ask.low)
        for type_id in wish.counters_high:
            counters.setdefault(type_id, set()).add(ask.high)
    held, counts = await associations.look(tx, {key: list(group) for key, group in pairs.items()}, counters)
    primaries: dict[PairKey, int] = {}
    seats = {ask.low if ask.wish.primary.holder else ask.high for ask in asks if ask.wish.primary is not None}
    if seats:
        primaries = await _primaries(tx, seats, kinds)
        if unheld := set(primaries.values()) - records.keys():
            # It moved between the first look and the lock.
            records |= await associations.hold(tx, unheld)
    return Book(held, counts, primaries)
