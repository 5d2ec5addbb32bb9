"""Delays: until when an enrollment waits. Where it waits for an event, whoever hears of one brings it back."""

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from engine.problems import NotFound, Problem, at
from engine.workflows import moments, triggers
from engine.workflows.actions.handler import Batch, Handler
from engine.workflows.actions.tally import gone
from engine.workflows.advance import Chose, Done, Result, Waits
from engine.workflows.definition.actions import Delay, UntilProperty, WaitedFor
from engine.workflows.definition.document import key, kind
from engine.workflows.definition.triggers import Trigger
from storage import records
from storage.catalogue import Catalogue, ObjectTypeRow, PropertyRow
from storage.enrollments import EnrollmentRow
from storage.filters.times import first_at, text
from storage.records import RecordRow

KINDS = ("duration", "until", "until_property", "until_time", "until_event")


class DelayUnclear(Problem):
    """A delay waits for exactly one of these, not for {count}: {known}."""


class EventUnclear(Problem):
    """A delay waits for exactly one kind of event, not for {count}: {known}."""


class MalformedMoment(Problem):
    """The text "{value}" is no moment such as 2026-01-31T09:00:00Z, and no day such as 2026-01-31."""


class NoDateProperty(Problem):
    """The property "{property}" of {object_type} holds no dates: a delay cannot wait for it."""


@dataclass(frozen=True, slots=True)
class BoundDelay:
    """A delay with what it needs: the account's zone, and the moment or the property that it names."""

    action: Delay
    zone: ZoneInfo
    until: datetime | None = None
    property: PropertyRow | None = None
    at: time = time()


def event_of(waited: WaitedFor) -> Trigger:
    """The one kind of event that is waited for; raises `EventUnclear`."""
    given = [one for field in fields(waited) if (one := getattr(waited, field.name)) is not None]
    if len(given) != 1:
        raise EventUnclear(count=len(given), known=[key(field.name) for field in fields(waited)])
    found: Trigger = given[0]
    return found


def _bind(action: Delay, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundDelay:
    given = [name for name in KINDS if getattr(action, name) is not None]
    if len(given) != 1:
        raise DelayUnclear(count=len(given), known=[key(name) for name in KINDS])
    zone = ZoneInfo(catalogue.time_zone)
    with at(key(given[0])):
        return _bound(action, object_type, catalogue, zone)


def _bound(action: Delay, object_type: ObjectTypeRow, catalogue: Catalogue, zone: ZoneInfo) -> BoundDelay:
    if action.duration is not None:
        moments.check_duration(action.duration)
        return BoundDelay(action, zone)
    if action.until is not None:
        return BoundDelay(action, zone, until=_moment(action.until, zone))
    if action.until_time is not None:
        return BoundDelay(action, zone, at=_time(action.until_time.at))
    if action.until_property is not None:
        prop = _date_property(action.until_property, object_type)
        return BoundDelay(action, zone, property=prop, at=_time(action.until_property.at))
    assert action.until_event is not None  # exactly one is given
    _check_event(action.until_event.event, object_type, catalogue)
    with at("timeout"):
        moments.check_duration(action.until_event.timeout)
    return BoundDelay(action, zone)


def _check_event(waited: WaitedFor, object_type: ObjectTypeRow, catalogue: Catalogue) -> None:
    with at("event"):
        trigger = event_of(waited)
        with at(kind(trigger)):
            triggers.bind(trigger, object_type, catalogue)


def _date_property(until: UntilProperty, object_type: ObjectTypeRow) -> PropertyRow:
    prop = object_type.live(until.property)
    if prop is None:
        raise NotFound(kind=f"property of {object_type.name}", name=until.property, path=("property",))
    if prop.type not in ("DATE", "DATETIME"):
        raise NoDateProperty(property=prop.name, object_type=object_type.name, path=("property",))
    if until.offset is not None:
        with at("offset"):
            moments.check_duration(until.offset, signed=True)
    return prop


def _time(given: str) -> time:
    with at("at"):
        return moments.time_of_day(given)


def _moment(given: str, zone: ZoneInfo) -> datetime:
    """A moment; without an offset, on the clocks of the account; a day: its beginning there."""
    try:
        if moments.DAY.fullmatch(given) is not None:
            return first_at(datetime.combine(date.fromisoformat(given), time()), zone)
        found = datetime.fromisoformat(given)
        return first_at(found, zone) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedMoment(value=given[:60].encode("utf-8", "replace").decode()) from None


async def _wait(batch: Batch, bound: BoundDelay) -> list[Result]:
    coming = [one for one in batch.standing if one.waiting is None]
    values: dict[int, RecordRow | None] = {}
    if bound.property is not None and coming:
        ids = [one.record_id for one in coming]
        values = dict(zip(ids, await records.rows(batch.tx, ids), strict=True))
    now = batch.tx.now
    return [
        _back(one, bound) if one.waiting is not None else _arrived(bound, values.get(one.record_id), now)
        for one in batch.standing
    ]


def _back(one: EnrollmentRow, bound: BoundDelay) -> Result:
    """What becomes of one that has waited: its time has come, or what it waited for."""
    assert one.due_at is not None  # it was claimed, being due
    if bound.action.until_event is None:
        return Done(({"waited_for": {"until": text(one.due_at)}},))
    if one.arrived is not None:
        return Done(({"waited_for": {"event": one.arrived}},))
    return Chose(0, {"waited_for": {"timedOut": text(one.due_at)}})


def _arrived(bound: BoundDelay, row: RecordRow | None, now: datetime) -> Result:
    """What becomes of one that comes to its delay now."""
    if row is not None and row.archived_at is not None:
        return gone(row)
    if bound.action.until_event is not None:
        return Waits(moments.later(now, bound.action.until_event.timeout, bound.zone), "EVENT")
    until = until_of(bound, None if row is None else row.properties, now)
    if until is None or until <= now:
        told: dict[str, Any] = {"until": None if until is None else text(until)}
        return Done(({"waited_for": told},))
    return Waits(until, "DELAY")


def until_of(bound: BoundDelay, properties: Any, now: datetime) -> datetime | None:
    """Until when one waits that comes to a delay at `now`; None: there is no such moment. Pure."""
    action = bound.action
    if action.duration is not None:
        return moments.later(now, action.duration, bound.zone)
    if bound.until is not None:
        return bound.until
    if action.until_time is not None:
        return moments.next_time(now, bound.at, action.until_time.weekdays, bound.zone)
    assert bound.property is not None
    assert action.until_property is not None
    value = (properties or {}).get(bound.property.name)
    if not isinstance(value, str):
        return None
    return moments.of_value(value, bound.at, action.until_property.offset, bound.zone)


DELAY = Handler(_bind, _wait, control=True)
