"""What is known of items that come in, and what is decided about them: one by one, each seeing what others took."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from engine.problems import Problem
from engine.sync import finding
from engine.sync.conflicts import resolved
from engine.sync.connectors.protocol import Item
from engine.sync.decide import Decision, Kind, Known, best, decide
from engine.sync.rules import Rules
from storage.database import Transaction
from storage.filters import facts
from storage.records import RecordRow
from storage.sync import conflicts, links
from storage.sync.conflicts import ConflictRow
from storage.sync.links import LinkRow

# Behind everything.
LAST = 2**63 - 1


@dataclass(slots=True)
class Case:
    """An item, with what is known of it, and what becomes of it."""

    item: Item
    link: LinkRow | None
    record: RecordRow | None = None
    found: tuple[tuple[str, frozenset[int]], ...] = ()
    # Once it is decided.
    decision: Decision = field(init=False)
    conflicts: Sequence[ConflictRow] = ()
    # A link of the record without an item, which the item's takes the place of.
    half: LinkRow | None = None
    # What our commands refused.
    problem: Problem | None = None
    # Since when it waits for the other end of an association, where it does.
    waits: datetime | None = None
    # Where it stands among what records are promised to, see `gather`.
    place: int = LAST


async def gather(
    tx: Transaction,
    rules: Rules,
    cases: Sequence[Case],
    besides: Callable[[Sequence[int]], Awaitable[Mapping[int, int]]] | None = None,
) -> None:
    """Read what the cases are decided on, and decide them one by one: each sees what the ones before it took.

    `besides` says which records count as linked although they are not, and from which place on: for previews.
    """
    single = [case for case in cases if _alone(case) and not case.item.deleted]
    found = await finding.holders(tx, rules, [case.item for case in single]) if single else []
    for case, keys in zip(single, found, strict=True):
        case.found = keys
    wanted = {
        case.link.record_id for case in cases if case.link is not None and case.link.record_id is not None
    }
    maybe = {record_id for case in single for _, ids in case.found for record_id in ids}
    held = await finding.lock(tx, sorted(wanted | maybe))
    taken: set[int] = set()
    if maybe:
        ids = sorted({row.id for record_id in maybe if (row := held.get(record_id)) is not None})
        known = await links.of_records(tx, rules.sync_id, ids)
        taken = {record_id for record_id, link in known.items() if link.external_id is not None}
        halves = {record_id: link for record_id, link in known.items() if link.external_id is None}
        promised = await besides(ids) if besides is not None else {}
    else:
        halves, promised = {}, {}
    open_ = await conflicts.of_links(tx, (case.link for case in cases if case.link is not None))
    within = await _within(tx, rules, held)
    for case in cases:
        if case.link is not None:
            case.conflicts = open_.get(case.link.id, ())
        others = _promised(case, held, promised) if promised else None
        _decide(rules, case, held, taken | others if others else taken, within)
        if case.decision.kind is Kind.MATCH and case.record is not None and _alone(case):
            taken.add(case.record.id)
            _join(case, halves.get(case.record.id))


def _promised(case: Case, held: Mapping[int, RecordRow], promised: Mapping[int, int]) -> set[int]:
    """Records that match the case, and are promised to one before it."""
    found = {row.id for _, ids in case.found for one in ids if (row := held.get(one)) is not None}
    return {one for one in found if promised.get(one, LAST) < case.place}


def _alone(case: Case) -> bool:
    return case.link is None or case.link.record_id is None


async def _within(tx: Transaction, rules: Rules, held: Mapping[int, RecordRow]) -> set[int] | None:
    """Which records meet our filter; None where that is not asked."""
    if rules.filter_ours is None or not rules.options.pause_outside_filter:
        return None
    ids = sorted({row.id for row in held.values()})
    return await facts.met(tx, rules.filter_ours, rules.object_type.id, ids, now=tx.now)


def _decide(
    rules: Rules,
    case: Case,
    held: Mapping[int, RecordRow],
    taken: set[int],
    within: set[int] | None,
) -> None:
    link, match = case.link, None
    found: tuple[tuple[int, ...], ...] = ()
    if link is not None and link.record_id is not None:
        record = held.get(link.record_id)
        # Merged away: who moves the link is told by the change itself.
        case.record = record if record is not None and record.id == link.record_id else None
    elif case.found and any(ids for _, ids in case.found):
        found = finding.candidates(rules, case.found, held, taken)
        _, fitting = best(rules, found)
        if len(fitting) == 1:
            match = held[int(fitting[0])]
    known = Known(
        link,
        case.record,
        case.item,
        found,
        match,
        within is None or case.record is None or case.record.id in within,
        frozenset(one.mapping_id for one in case.conflicts) if case.conflicts else _NONE,
        _NOBODY,
    )
    case.decision = decide(rules, known)
    if case.conflicts and (chosen := resolved(case.conflicts, case.decision.merged)):
        case.decision = decide(rules, replace(known, resolved=chosen))
    if case.decision.kind is Kind.MATCH and match is not None:
        case.record = match


_NONE: frozenset[int] = frozenset()
_NOBODY: Mapping[int, str] = {}


def _join(case: Case, half: LinkRow | None) -> None:
    """The record has a link of its own, without an item: it becomes the item's, or the item's takes its place."""
    if half is not None and case.link is None:
        case.link = half
        half.external_id = case.item.external_id
    else:
        case.half = half
