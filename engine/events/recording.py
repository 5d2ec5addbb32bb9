"""Recording events: whom they occurred to, what they hold, each key once; those who listen are told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from engine import batches, ids, values
from engine.batches import Mode, Outcome
from engine.events import types, whom
from engine.events.problems import (
    EventInFuture,
    EventKeyReused,
    EventTypeOfWebhook,
    UnknownEventProperty,
)
from engine.events.whom import Whom
from engine.problems import Problem
from engine.records import problems as of_records
from engine.values import InvalidValue
from storage import record_events
from storage.catalogue import Catalogue, EventTypeRow
from storage.changes import AssociationChanges, ChangeKind, Event, EventKind
from storage.database import Transaction
from storage.record_events import RecordEventRow
from storage.records import RecordRow

# The clocks of those who record may be a little ahead of ours. What they say is then taken for now.
AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class EventInput:
    """An event to record. `occurred_at` None: now."""

    type: str
    record: Whom
    properties: Mapping[str, Any]
    occurred_at: datetime | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as it stands. `new`: this input recorded it; else its key had done so before."""

    row: RecordEventRow
    type: EventTypeRow
    new: bool


@dataclass(slots=True)
class _Draft:
    """One input on its way: what was understood of it, and what is wrong with it."""

    given: EventInput
    type: EventTypeRow | None = None
    properties: dict[str, Any] | None = None
    occurred_at: datetime | None = None
    record: RecordRow | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def key(self) -> tuple[int, str] | None:
        """The key that it records under."""
        text = self.given.idempotency_key
        return None if text is None or self.type is None else (self.type.id, text)


async def record(
    tx: Transaction,
    inputs: Sequence[EventInput],
    mode: Mode,
    *,
    webhook_id: int | None = None,
    archived: bool = False,
) -> list[Outcome[RecordedEvent]]:
    """Record events, in the order asked; a few statements whatever their number.

    The same key, event type and content twice is recorded once and answered the same. `webhook_id` is the webhook that
    records; types of webhooks are recorded by these alone. `archived`: it may have occurred to archived records, too.
    Raises `Refused` in atomic mode.
    """
    drafts = [_understood(tx, given, webhook_id) for given in inputs]
    await _find_records(tx, drafts, archived=archived)
    known = await _known(tx, drafts)
    batches.settle([_refusal(draft) for draft in drafts], mode)
    rows = await _write(tx, drafts, known)
    outcomes: list[Outcome[RecordedEvent]] = []
    for draft, row in zip(drafts, rows, strict=True):
        if row is None:
            outcomes.append(_refusal(draft))
            continue
        answer, new = row
        outcomes.append(_answered(tx.catalogue, draft, answer, new))
    return batches.settle(outcomes, mode)


def _refusal(draft: _Draft) -> Outcome[RecordedEvent]:
    return batches.failed(draft.problems) if draft.problems else Outcome(None)


# --- what is asked ------------------------------------------------------------------------------------------


def _understood(tx: Transaction, given: EventInput, webhook_id: int | None) -> _Draft:
    """What an input says, before anything is looked up."""
    draft, wrong = _Draft(given), list[Problem]()
    for check in (_type, _time, _key):
        try:
            check(tx, draft, webhook_id)
        except Problem as problem:
            wrong.append(problem)
    if draft.type is not None:
        draft.properties, unfit = _properties(draft.type, given.properties)
        wrong += unfit
    draft.problems = tuple(wrong)
    return draft


def _type(tx: Transaction, draft: _Draft, webhook_id: int | None) -> None:
    found = types.live(tx.catalogue, draft.given.type, "type")
    if found.webhook_id != webhook_id and found.webhook_id is not None:
        raise EventTypeOfWebhook(name=found.name, path=("type",))
    draft.type = found


def _time(tx: Transaction, draft: _Draft, _webhook_id: int | None) -> None:
    at = tx.now if draft.given.occurred_at is None else draft.given.occurred_at.astimezone(UTC)
    if at > tx.now + AHEAD:
        raise EventInFuture(moment=at.isoformat(timespec="milliseconds"), path=("occurredAt",))
    at = min(at, tx.now)
    draft.occurred_at = at.replace(microsecond=at.microsecond // 1000 * 1000)


def _key(_tx: Transaction, draft: _Draft, _webhook_id: int | None) -> None:
    key = draft.given.idempotency_key
    if key is not None and (not 0 < len(key) <= batches.KEY_LIMIT or not key.isprintable()):
        raise batches.MalformedIdempotencyKey(limit=batches.KEY_LIMIT, path=("idempotencyKey",))


def _properties(type_: EventTypeRow, given: Any) -> tuple[dict[str, Any], list[Problem]]:
    """The values that an event is to hold, in their stored form; what is null or empty is not held."""
    if not isinstance(given, Mapping):
        return {}, [of_records.MalformedProperties(path=("properties",), value=values.shown(given))]
    held: dict[str, Any] = {}
    wrong: list[Problem] = []
    for name, value in given.items():
        prop = type_.live(name) if isinstance(name, str) else None
        if prop is None:
            wrong.append(_unknown(type_, str(name)))
            continue
        try:
            stored = values.normalize(prop, value)
        except InvalidValue as problem:
            wrong.append(problem.at("properties"))
        else:
            if stored is not None:
                held[prop.name] = stored
    return held, wrong


def _unknown(type_: EventTypeRow, name: str) -> Problem:
    known = [prop.name for prop in type_.properties.values() if prop.archived_at is None]
    told = values.tidy(name)
    return UnknownEventProperty(
        event_type=type_.name, property=told, known=known or "none", path=("properties", told)
    )


async def _find_records(tx: Transaction, drafts: Sequence[_Draft], *, archived: bool) -> None:
    """Hold the records that inputs name."""
    good = [draft for draft in drafts if not draft.problems]
    found = await whom.find(tx, [draft.given.record for draft in good])
    for draft, one in zip(good, found, strict=True):
        if isinstance(one, Problem):
            draft.problems = (one,)
            continue
        assert draft.type is not None  # else there would be a problem
        draft.record = one
        if (problem := whom.unfit(tx.catalogue, one, draft.type, archived=archived)) is not None:
            draft.problems = (problem,)


# --- what is written ----------------------------------------------------------------------------------------


async def _known(tx: Transaction, drafts: Sequence[_Draft]) -> dict[tuple[int, str], RecordEventRow]:
    keys = {draft.key for draft in drafts if not draft.problems}
    return await record_events.keyed(tx, {key for key in keys if key is not None})


async def _write(
    tx: Transaction, drafts: Sequence[_Draft], known: Mapping[tuple[int, str], RecordEventRow]
) -> list[tuple[RecordEventRow, bool] | None]:
    """The event of each input that has nothing wrong with it, and whether this input recorded it."""
    rows = _rows(tx, drafts, await tx.new_ids(len(drafts)))
    # Of inputs with one key the first records.
    first: dict[tuple[int, str], RecordEventRow] = dict(known)
    fresh: list[RecordEventRow] = []
    for draft, row in zip(drafts, rows, strict=True):
        if row is None or (draft.key is not None and draft.key in first):
            continue
        if draft.key is not None:
            first[draft.key] = row
        fresh.append(row)
    written = await record_events.insert(tx, fresh) if fresh else set()
    lost = {
        (row.event_type_id, row.idempotency_key)
        for row in fresh
        if row.id not in written and row.idempotency_key is not None
    }
    # Somebody else took these keys between our looking and our writing.
    first |= await record_events.keyed(tx, lost)
    _tell(tx, [row for row in fresh if row.id in written], drafts)
    answers: list[tuple[RecordEventRow, bool] | None] = []
    for draft, row in zip(drafts, rows, strict=True):
        if row is None:
            answers.append(None)
        else:
            stands = row if draft.key is None else first[draft.key]
            answers.append((stands, stands.id in written and stands.id == row.id))
    return answers


def _rows(tx: Transaction, drafts: Sequence[_Draft], numbers: Sequence[int]) -> list[RecordEventRow | None]:
    actor = tx.actor
    return [
        None
        if draft.problems or draft.type is None or draft.record is None or draft.occurred_at is None
        else RecordEventRow(
            number,
            draft.type.id,
            draft.record.id,
            draft.occurred_at,
            draft.properties or {},
            actor.source,
            actor.source_id,
            actor.user_id,
            tx.now,
            draft.given.idempotency_key,
        )
        for draft, number in zip(drafts, numbers, strict=True)
    ]


def _answered(catalogue: Catalogue, draft: _Draft, row: RecordEventRow, new: bool) -> Outcome[RecordedEvent]:
    """What an input is answered; a key that has recorded something else is refused."""
    if draft.type is None or draft.record is None:
        raise AssertionError("only what was understood is written")
    if not new:
        same = row.record_id == draft.record.id and row.properties == draft.properties
        timed = draft.given.occurred_at is None or row.occurred_at == draft.occurred_at
        if not (same and timed):
            key = values.tidy(draft.given.idempotency_key or "")
            return Outcome(None, EventKeyReused(key=key, path=("idempotencyKey",)))
    return Outcome(RecordedEvent(row, catalogue.event_types[row.event_type_id], new))


def _tell(tx: Transaction, written: Sequence[RecordEventRow], drafts: Sequence[_Draft]) -> None:
    """Each event is a change of its own, for evaluators, and an event for watchers."""
    of = {draft.record.id: draft.record.object_type_id for draft in drafts if draft.record is not None}
    for (object_type_id, type_id), some in groupby(
        written, lambda row: (of[row.record_id], row.event_type_id)
    ):
        rows = list(some)
        tx.changed(
            AssociationChanges(
                ChangeKind.OCCURRED,
                object_type_id,
                type_id,
                [row.record_id for row in rows],
                [row.id for row in rows],
            )
        )
    for row in written:
        told = {
            "event": ids.encode("event", row.id),
            "type": tx.catalogue.event_types[row.event_type_id].name,
            "occurred_at": row.occurred_at.isoformat(timespec="milliseconds"),
        }
        tx.happened(
            Event(EventKind.EVENT_OCCURRED, of[row.record_id], row.record_id, row.event_type_id, told)
        )
