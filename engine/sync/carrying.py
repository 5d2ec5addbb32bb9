"""Pages of a plan's items, carried out as far as the world is still as it was. A page is one transaction.

Each item is decided by both sides as they are now, and written; where anything comes otherwise than the plan says, all
of it is undone and begun again without that. What became of an item is noted beside its effects, so whoever begins a
page anew finds what is done.
"""

import contextlib
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from engine.crew import Hand
from engine.sync import effects, inbound, plan_ends
from engine.sync.book import OURS, Book
from engine.sync.cases import Case, gather
from engine.sync.connectors.protocol import Item
from engine.sync.decide import Kind
from engine.sync.effects import refused_ends, told_of
from engine.sync.plan_ends import Told
from engine.sync.rehearsing import cases_of, planned, refused
from engine.sync.rules import Rules
from engine.sync.travelling import Plain
from engine.sync.turns import Share
from storage.database import Transaction
from storage.faults import Fault, fault
from storage.records import RecordRow
from storage.sync import links, plan_work
from storage.sync.plan_items import PlanItemRow
from storage.sync.plan_work import DONE, OVERTAKEN, SENT_ON

# So often a page is begun again without what has been overtaken; then its halves are looked at, one after the other.
TRIES = 3

# (id, outcome, message)
Became: TypeAlias = tuple[int, str, str | None]


@dataclass(frozen=True, slots=True)
class PlanPage:
    """Items of a plan (by their ids), to be carried out by a hand, with the runner's own rules (pickled).

    `present`: their items as they were just read.
    """

    share: Share
    rules: bytes
    now: datetime
    plan_id: int
    ids: list[int]
    present: list[Plain]

    async def __call__(self, hand: Hand) -> datetime | None:
        """Carry them out; when it was done, None: others were in the way."""
        rules: Rules = hand.remembered(self.share, lambda: pickle.loads(self.rules))
        present = {one[0]: Item(*one) for one in self.present}
        for _ in range(TRIES):
            try:
                async with self.share.hold(hand.db, rules, self.now) as tx:
                    await carry_out(tx, rules, self.plan_id, self.ids, present)
            except Exception as error:
                if not isinstance(error, links.Taken) and fault(error) is not Fault.COLLIDED:
                    raise
            else:
                return hand.clock()
        return None


async def carry_out(
    tx: Transaction, rules: Rules, plan_id: int, ids: Sequence[int], present: Mapping[str, Item]
) -> None:
    """Do with items over there what was planned, where that is what would be done now. The sync is held.

    `present`: the items as they are now; those that are gone are left out.
    """
    items = await plan_work.page(tx, plan_id, ids)
    there = [item for item in items if item.external_id in present]
    became: list[Became] = [
        (item.id, OVERTAKEN, "Their item is gone.") for item in items if item.external_id not in present
    ]
    became += await _agree(tx, rules, plan_id, there, present)
    await plan_work.note(tx, plan_id, became)


async def _agree(
    tx: Transaction, rules: Rules, plan_id: int, items: Sequence[PlanItemRow], present: Mapping[str, Item]
) -> list[Became]:
    """Carry items out in their order until nothing comes otherwise than planned; what became of each.

    Without what was overtaken others may be, too: whose unique value that would have had, for one.
    """
    became: list[Became] = []
    left = list(items)
    for _ in range(TRIES):
        if not left:
            return became
        attempt = _Attempt(tx, rules, plan_id, left, present)
        if await attempt.carried_out():
            return became + attempt.became
        became += attempt.became
        left = [item for item in left if item.id not in attempt.overtaken]
    middle = (len(left) + 1) // 2
    for half in (left[:middle], left[middle:]):
        became += await _agree(tx, rules, plan_id, half, present)
    return became


class _Undone(Exception):
    """Something came otherwise."""


class _Attempt:
    """Items of a plan, carried out all or not at all. `became` says what is known of them afterwards."""

    def __init__(
        self,
        tx: Transaction,
        rules: Rules,
        plan_id: int,
        items: Sequence[PlanItemRow],
        present: Mapping[str, Item],
    ) -> None:
        self.tx, self.rules, self.plan_id = tx, rules, plan_id
        self.items, self.present = items, present
        self.overtaken: dict[int, str] = {}
        self.became: list[Became] = []

    async def carried_out(self) -> bool:
        """Whether all of it came as planned, and is written."""
        with contextlib.suppress(_Undone):
            async with self.tx.attempt():
                sent = await self._carry_out()
            self.became = [(item.id, SENT_ON if item.id in sent else DONE, None) for item in self.items]
            return True
        self.became = [(number, OVERTAKEN, why) for number, why in self.overtaken.items()]
        return False

    async def _carry_out(self) -> set[int]:
        """Write it; the items for which something is to go out."""
        tx, rules = self.tx, self.rules
        cases = await cases_of(tx, rules, [self.present[item.external_id or ""] for item in self.items])
        for case, item in zip(cases, self.items, strict=True):
            case.place = item.id
        await gather(tx, rules, cases, self._promised)
        before = [case.record for case in cases]
        for item, case, record in zip(self.items, cases, before, strict=True):
            # What our commands are to refuse is not known before they are asked; nor what becomes of associations.
            shown = told_of(item.effect)
            alone = item.kind == Kind.UPDATE and case.decision.kind is Kind.NONE and shown
            if not alone and (item.kind != Kind.FAIL or case.decision.kind is Kind.FAIL):
                self._compare(item, case, record, refused_ends(item.effect), shown)
        self._all_agree()
        book = Book(tx, rules)
        await inbound.carry_out(tx, rules, cases, book)
        await book.write()
        sent = {int(row[2]) for row in book.dirty if row[1] == OURS}
        more, told = await self._associate(cases)
        sent |= more
        for item, case, record, now in zip(self.items, cases, before, told, strict=True):
            problem = refused(case)
            if problem is not None or item.kind == Kind.FAIL or rules.roles:
                self._compare(item, case, record, problem, now)
        self._all_agree()
        return {
            item.id
            for item, case in zip(self.items, cases, strict=True)
            if case.record is not None and case.record.id in sent
        }

    async def _associate(self, cases: Sequence[Case]) -> tuple[set[int], list[Sequence[Told]]]:
        """Merge associations as far as the plan shows them: records to be sent then, and what has become of each."""
        planned = [told_of(item.effect) for item in self.items]
        waiting = {
            case.item.external_id: later
            for case, some in zip(cases, planned, strict=True)
            if (later := plan_ends.later(some)) is not None
        }
        sent, told = await plan_ends.associate(self.tx, self.rules, cases, waiting)
        now = [told.get(case.item.external_id, []) for case in cases]
        so = await plan_ends.reached(self.tx, list(zip(cases, planned, now, strict=True)))
        return sent, [[*some, *more] for some, more in zip(now, so, strict=True)]

    async def _promised(self, record_ids: Sequence[int]) -> dict[int, int]:
        return await plan_work.promised(self.tx, self.plan_id, record_ids)

    def _compare(
        self,
        item: PlanItemRow,
        case: Case,
        record: RecordRow | None,
        problem: dict[str, Any] | None,
        told: Sequence[Told],
    ) -> None:
        why = overtaken(item, planned(self.rules, case, record, problem, told))
        if why is not None:
            self.overtaken[item.id] = why

    def _all_agree(self) -> None:
        if self.overtaken:
            raise _Undone


def overtaken(item: PlanItemRow, now: PlanItemRow) -> str | None:
    """What has changed since an item was planned, in words; None: the same would be done."""
    other = item.record_id != now.record_id
    if other and item.record_id is not None:
        return "It belongs to another record now."
    found = effects.overtaken(item.kind, item.effect, now.kind, now.effect)
    return "It belongs to a record now." if other and found is None else found
