"""Rehearsals: what would be done with items and records as they stand now; previews are made of it, and applied by it.

What comes in goes the runner's own way, in a part of a transaction that is undone: so it is known, too, what our own
commands would refuse.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from engine.sync import effects, finding, inbound, plan_ends, refusals
from engine.sync.book import Book
from engine.sync.cases import Case, gather
from engine.sync.connectors.protocol import Item
from engine.sync.decide import Decision, Kind, Known, best, decide
from engine.sync.ends import Ends, Later
from engine.sync.plan_ends import Told
from engine.sync.rules import Rules, Side
from engine.sync.turns import Turn
from storage import records
from storage.database import Queryable, Transaction
from storage.filters import facts
from storage.records import RecordRow
from storage.sync import links, plan_items
from storage.sync.links import FAILED as FAILING
from storage.sync.plan_items import PlanItemRow

# --- what comes in -----------------------------------------------------------------------------------------------


async def cases_of(tx: Transaction, rules: Rules, given: Sequence[Item]) -> list[Case]:
    """Items with their links, each with all that is known."""
    known = await links.of_items(tx, rules.sync_id, [(item.external_id, None) for item in given])
    return [Case(item, known.get(item.external_id)) for item in given]


class _Undone(Exception):
    """Ends a rehearsal."""


async def rehearse(tx: Transaction, rules: Rules, cases: Sequence[Case], plan_id: int) -> list[PlanItemRow]:
    """What would be done with each case, in their order; all of it is undone.

    Records that plan `plan_id` speaks of already count as linked.
    """

    async def besides(record_ids: Sequence[int]) -> dict[int, int]:
        return dict.fromkeys((await plan_items.taken(tx, plan_id, record_ids, []))[0], 0)

    rows: list[PlanItemRow] = []
    with contextlib.suppress(_Undone):
        async with tx.attempt():
            await gather(tx, rules, cases, besides)
            before = [case.record for case in cases]
            book = Book(tx, rules)
            await inbound.carry_out(tx, rules, cases, book)
            told: dict[str, list[Told]] = {}
            if rules.roles:
                await book.write()
                _, told = await plan_ends.associate(tx, rules, cases, plan_ends.within(rules, cases))
            rows = [
                planned(rules, case, record, refused(case), told.get(case.item.external_id, ()))
                for case, record in zip(cases, before, strict=True)
            ]
            raise _Undone
    return rows


def refused(case: Case) -> dict[str, Any] | None:
    """What our own commands had against a case that was carried out, as `effects.effect` is told."""
    if case.problem is not None:
        return {
            "category": refusals.category(case.problem).value,
            "message": case.problem.message,
            "side": Side.OURS.value,
        }
    link = case.link
    if link is not None and link.state == FAILING and case.decision.state != FAILING:
        return {"category": link.category, "message": link.message, "side": link.failed_side, "ends": True}
    return None


def planned(
    rules: Rules,
    case: Case,
    record: RecordRow | None,
    problem: dict[str, Any] | None = None,
    associations: Sequence[Told] = (),
) -> PlanItemRow:
    """What a plan says of a case. `record`: as it is before anything is written; None: there is none."""
    return _row(rules, case.decision, None, record, case.item, problem, associations)


def _row(
    rules: Rules,
    decision: Decision,
    link: links.LinkRow | None,
    record: RecordRow | None,
    item: Item | None,
    refused: dict[str, Any] | None = None,
    associations: Sequence[Told] = (),
) -> PlanItemRow:
    return PlanItemRow(
        0,
        effects.kind_of(decision, refused, associations).value,
        None if record is None else record.id,
        None if item is None else item.external_id,
        None if record is None else record.version,
        None if item is None else item.version,
        effects.effect(rules, decision, link, record, item, refused, associations),
    )


# --- what goes out -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Looked:
    """A record that nothing is linked with, as it stands."""

    record: RecordRow
    link: links.LinkRow | None
    candidates: tuple[tuple[int | str, ...], ...]
    within: bool
    # What would be said of its associations, were it created over there.
    associations: Sequence[Told] = ()

    @property
    def match(self) -> str | None:
        """The one item that matches, if exactly one does."""
        found = next((some for some in self.candidates if some), ())
        return str(found[0]) if len(set(found)) == 1 else None


async def look(
    reader: Queryable,
    rules: Rules,
    record_ids: Sequence[int],
    now: datetime,
    later: Mapping[int, Later | None] | None = None,
) -> list[Looked]:
    """What is known of records that no item is linked with; those that are gone are left out.

    `later`: by record, what its associations are to wait for.
    """
    rows = [row for row in await records.rows(reader, record_ids) if row is not None]
    known = await links.of_records(reader, rules.sync_id, [row.id for row in rows])
    candidates, _ = await finding.items_of(reader, rules, rows)
    within = None
    if rules.filter_ours is not None:
        numbers = [row.id for row in rows]
        within = await facts.met(reader, rules.filter_ours, rules.object_type.id, numbers, now=now)
    waiting = later or {}
    new = [Ends(links.LinkRow(0, rules.sync_id, row.id), row, later=waiting.get(row.id)) for row in rows]
    told = await plan_ends.going_out(reader, rules, new, now)
    return [
        Looked(row, known.get(row.id), tuple(some), within is None or row.id in within, told[row.id])
        for row, some in zip(rows, candidates, strict=True)
    ]


async def complete(turn: Turn, looked: Sequence[Looked]) -> list[PlanItemRow]:
    """What would be done with each of these records, with the items that match them as they are now."""
    rules = turn.rules
    wanted = sorted({one.match for one in looked if one.match is not None})
    found = await turn.connector.get(rules.remote, wanted) if wanted else []
    there = {item.external_id: item for item in found if not item.deleted}
    rows = []
    for one in looked:
        match = there.get(one.match or "")
        candidates = one.candidates if one.match is None or match is not None else ()
        _, fitting = best(rules, candidates)
        known = Known(
            one.link,
            one.record,
            None,
            candidates,
            match if len(fitting) == 1 else None,
            one.within,
        )
        decision = decide(rules, known)
        told = one.associations if decision.kind is Kind.CREATE_THEIRS else ()
        row = _row(rules, decision, one.link, one.record, match, None, told)
        rows.append(replace(row, effect=row.effect | {"out": True}))
    return rows
