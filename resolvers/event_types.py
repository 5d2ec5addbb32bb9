"""Use cases of event types and events: defined, recorded (by GraphQL and by HTTP), and read newest first."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from engine import events, ids, values
from engine.batches import Mode, Outcome
from engine.events import ByUnique, EventInput, RecordedEvent, types
from engine.events.problems import EventRecordMissing
from engine.events.types import EventProperty
from engine.object_types import Keep
from engine.problems import InvalidInput, Problem
from resolvers import listings, loaders
from resolvers.batches import Batch, Item, malformed, run
from resolvers.context import Context
from resolvers.listings import MalformedCursor
from resolvers.writing import write
from storage import record_events
from storage.catalogue import EventTypeRow
from storage.database import Queryable, Transaction
from storage.event_types import property_row
from storage.record_events import RecordEventRow

CURSOR = re.compile(r"event_(-?\d{1,15})_([1-9]\d{0,18})", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEWEST = datetime.max.replace(tzinfo=UTC), 2**63 - 1
_MOMENT = property_row("occurredAt", "occurredAt", "DATETIME")


# --- event types --------------------------------------------------------------------------------------------


def listing(context: Context, include_archived: bool) -> list[EventTypeRow]:
    """Event types: those that every account has, then its own in the order in which they were made."""
    rows = sorted(context.catalogue.event_types.values(), key=lambda row: (not row.built_in, abs(row.id)))
    return [row for row in rows if include_archived or row.archived_at is None]


def by_name(context: Context, name: str) -> EventTypeRow | None:
    """One event type, archived or not."""
    return next((row for row in context.catalogue.event_types.values() if row.name == name), None)


async def create(context: Context, **definition: Any) -> EventTypeRow:
    """An event type; `definition` as `engine.events.types.create` takes it."""
    return await write(context, lambda tx: types.create(tx, **definition), defining=True)


async def update(
    context: Context,
    name: str,
    *,
    label: str | None,
    description: str | Keep | None,
    properties: Sequence[EventProperty] | None,
) -> EventTypeRow:
    """Change an event type."""
    return await write(
        context,
        lambda tx: types.update(tx, name, label=label, description=description, properties=properties),
        defining=True,
    )


async def archive(context: Context, name: str) -> EventTypeRow:
    """Put an event type away."""
    return await write(context, lambda tx: types.archive(tx, name), defining=True)


# --- recording ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class New:
    """An event to record, as it came in: by GraphQL typed already, by HTTP any JSON."""

    type: Any
    record_id: Any = None
    by: Any = None
    properties: Any = None
    occurred_at: Any = None
    key: Any = None
    # What it was where it could not be read at all.
    problem: str | None = None


def read(given: Any) -> New:
    """An event as JSON: `{type, record: {id} | {by: {objectType, property, value}}, properties, occurredAt, …}`."""
    if not isinstance(given, Mapping):
        return New(None, problem=f"An event is an object, not {values.shown(given)}.")
    unknown = set(given) - {"type", "record", "properties", "occurredAt", "idempotencyKey"}
    if unknown:
        told = ", ".join(sorted(values.shown(name) for name in unknown))
        return New(None, problem=f"An event has no {told}.")
    record = given.get("record")
    if not isinstance(record, Mapping) or set(record) - {"id", "by"}:
        return New(None, problem='"record" is an object that holds either "id" or "by".')
    return New(
        given.get("type"),
        record.get("id"),
        record.get("by"),
        given.get("properties"),
        given.get("occurredAt"),
        given.get("idempotencyKey"),
    )


async def record(context: Context, batch: Batch[New]) -> list[Item[Any]]:
    """Record events; `value` is {"id", "recorded"}."""

    async def work(tx: Transaction, news: list[New]) -> list[Outcome[RecordedEvent]]:
        return await events.record(tx, [_input(new) for new in news], batch.mode)

    return await run(context, batch, work, _fault, _answer)


def _answer(event: RecordedEvent) -> dict[str, Any]:
    return {"id": event.row.id, "recorded": event.new}


def _fault(new: New) -> Problem | None:
    """What is wrong with an input before anything is looked up."""
    if new.problem is not None:
        return InvalidInput(reason=new.problem)
    if not isinstance(new.type, str):
        return InvalidInput(reason='An event needs the name of its "type".', path=("type",))
    if (new.record_id is None) is (new.by is None):
        return EventRecordMissing(path=("record",))
    if new.key is not None and not isinstance(new.key, str):
        return InvalidInput(reason='"idempotencyKey" is a text.', path=("idempotencyKey",))
    return _fault_of_record(new) or _fault_of_time(new.occurred_at)


def _fault_of_record(new: New) -> Problem | None:
    if new.record_id is not None:
        return malformed("record", str(new.record_id), "record", "id")
    by = new.by
    if not isinstance(by, Mapping) or set(by) - {"objectType", "property", "value"}:
        return InvalidInput(
            reason='"by" is an object with "objectType", "property" and "value".', path=("record", "by")
        )
    for name in ("objectType", "property"):
        if not isinstance(by.get(name), str):
            return InvalidInput(reason=f'"by" needs "{name}", a text.', path=("record", "by", name))
    return None


def _fault_of_time(given: Any) -> Problem | None:
    try:
        _moment(given)
    except Problem as problem:
        problem.path = ("occurredAt",)
        return problem
    return None


def _moment(given: Any) -> datetime | None:
    if given is None or isinstance(given, datetime):
        return given
    stored = values.normalize(_MOMENT, given)
    return None if stored is None else datetime.fromisoformat(stored)


def _input(new: New) -> EventInput:
    whom = (
        ids.decode("record", str(new.record_id))
        if new.record_id is not None
        else ByUnique(new.by["objectType"], new.by["property"], new.by.get("value"))
    )
    held = {} if new.properties is None else new.properties
    return EventInput(new.type, whom, held, _moment(new.occurred_at), new.key)


def one_or_many(body: Any) -> tuple[list[Any], Mapping[str, Any]]:
    """The events of an HTTP request, and what was said of all of them. Raises `InvalidInput`."""
    if isinstance(body, list):
        return body, {}
    if isinstance(body, Mapping) and "events" not in body:
        return [body], {}
    if isinstance(body, Mapping) and isinstance(body["events"], list):
        rest = {name: value for name, value in body.items() if name != "events"}
        if set(rest) <= {"mode", "idempotencyKey"}:
            return list(body["events"]), rest
    reason = 'Send an event, a list of events, or {"events": [...], "mode", "idempotencyKey"}.'
    raise InvalidInput(reason=reason)


async def record_json(context: Context, body: Any, key: str | None) -> tuple[list[Item[Any]], bool]:
    """Record what came as JSON; what became of each, and whether it was one event alone.

    Raises `InvalidInput` and what `resolvers.batches.run` raises. `key`: of the whole request, unless the body has one.
    """
    given, said = one_or_many(body)
    mode, inner = said.get("mode") or Mode.PER_ITEM.value, said.get("idempotencyKey")
    if mode not in [one.value for one in Mode]:
        raise InvalidInput(reason=f'"mode" is one of {", ".join(Mode)}.', path=("mode",))
    if inner is not None and not isinstance(inner, str):
        raise InvalidInput(reason='"idempotencyKey" is a text.', path=("idempotencyKey",))
    batch = Batch("recordEvents", [read(one) for one in given], Mode(mode), inner or key)
    return await record(context, batch), isinstance(body, Mapping) and "events" not in body


# --- reading ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """Events, newest first, and whether there are more on either side."""

    rows: Sequence[RecordEventRow]
    has_next: bool
    has_previous: bool


async def of_record(
    context: Context, record_id: int, type_: str | None, first: int | None, after: str | None
) -> Page:
    """A page of what occurred to a record, of one type or of any. Raises `UnknownEventType`."""
    size = listings.page_size(first)
    found = None if type_ is None else by_name(context, type_)
    if type_ is not None and found is None:
        types.live(context.catalogue, type_, "type")
    wanted = tuple(sorted(context.catalogue.event_types)) if found is None else (found.id,)
    before = NEWEST if after is None else _position(after)

    async def read_pages(reader: Queryable, asked: Sequence[int]) -> list[list[RecordEventRow]]:
        return await record_events.pages(reader, asked, types=wanted, before=before, limit=size + 1)

    rows = await loaders.loader(context, ("events", wanted, before, size), read_pages).load(record_id)
    return Page(rows[:size], len(rows) > size, after is not None)


async def by_id(context: Context, number: int) -> RecordEventRow | None:
    """One event."""
    return await loaders.loader(context, "event", record_events.by_ids).load(number)


def cursor(row: RecordEventRow) -> str:
    """Where an event stands among those of its record."""
    return f"event_{(row.occurred_at - EPOCH) // timedelta(milliseconds=1)}_{row.id}"


def _position(text: str) -> tuple[datetime, int]:
    found = CURSOR.fullmatch(text)
    try:
        if found is not None and int(found[2]) < 2**63:
            return EPOCH + timedelta(milliseconds=int(found[1])), int(found[2])
    except OverflowError:
        pass
    raise MalformedCursor(path=("after",), argument="after")
