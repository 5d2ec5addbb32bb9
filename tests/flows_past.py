"""What happened to random workflows, read off the log commit by commit; what they did, they had a reason for."""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import groupby

from engine import ids
from storage import record_events
from storage.changes import EventKind, LoggedEvent, read
from tests.flows_model import Happened, Model
from tests.flows_random import World

ENDS = (EventKind.ENROLLMENT_COMPLETED, EventKind.ENROLLMENT_FAILED, EventKind.UNENROLLED)


@dataclass(slots=True)
class Life:
    """What the log tells of one contact in one workflow. Numbers are those of the log."""

    # Of each trigger: when it occurred, or when a filter came to hold; and whether it holds now.
    occurred: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    holds: dict[int, bool] = field(default_factory=dict)
    entered: dict[int, int] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Past:
    """The log, replayed: the account as it must be now, and the life of each contact in each workflow."""

    model: Model
    lives: dict[tuple[int, int], Life] = field(default_factory=lambda: defaultdict(Life))
    archived: set[int] = field(default_factory=set)
    told: dict[tuple[EventKind, int, int | None], int] = field(default_factory=lambda: defaultdict(int))


async def history(world: World) -> Past:
    """Replay the log. What workflows are said to have done is held to what had happened by then."""
    crm = world.crm
    async with crm.db.read(crm.account) as reader:
        log = await read(reader, 0, 10_000_000)
        views = [event.payload["event"] for event in log if event.kind is EventKind.EVENT_OCCURRED]
        rows = await record_events.by_ids(reader, [ids.decode("event", one) for one in views])
    urls = {one: row.properties["url"] for one, row in zip(views, rows, strict=True) if row is not None}
    past = Past(world.model(records=False))
    contacts = (await crm.db.catalogue(crm.account)).by_name["contacts"].id
    # One transaction's events follow each other, and have one time.
    for _, group in groupby(log, lambda event: event.at):
        events = list(group)
        for event in events:
            _happened(past, event, contacts, urls)
        _look(past, events[-1].seq)
        for event in events:
            _moved(past, event)
    return past


def _happened(  # noqa: C901 - one case a kind
    past: Past, event: LoggedEvent, contacts: int, urls: dict[str, str]
) -> None:
    model, record = past.model, event.record_id
    changed = {name: new for name, (_, new) in event.payload.get("changed", {}).items()}
    if record is None:
        return
    if record in model.companies:
        model.companies[record].update(changed)
        return
    if event.object_type_id != contacts:
        return
    to, label = event.payload.get("to_id", 0), event.payload.get("label")
    match event.kind:
        case EventKind.RECORD_CREATED:
            model.create(record, changed)
        case EventKind.RECORD_UPDATED:
            assert model.set(record, changed)
        case EventKind.RECORD_ARCHIVED:
            past.archived.add(record)
            model.archive(record)
        case EventKind.RECORD_RESTORED:
            model.restore(record)
        case EventKind.EVENT_OCCURRED:
            model.view(record, urls[event.payload["event"]])
        case EventKind.SEGMENT_JOINED | EventKind.SEGMENT_LEFT:
            kind = "JOINED" if event.kind is EventKind.SEGMENT_JOINED else "LEFT"
            model.queue.append(Happened(kind, record, {"segment": event.subject_id}))
        case EventKind.ASSOCIATION_ADDED if to in model.companies:
            assert model.link(record, to)
        case EventKind.ASSOCIATION_ADDED:
            model.deals[record] += 1
        case EventKind.ASSOCIATION_REMOVED if to in model.companies:
            model.unlink(record, to)
        case EventKind.LABEL_ADDED if label in ("customer", "vip"):
            assert model.link(record, to, label)
        case EventKind.LABEL_REMOVED if label in ("customer", "vip"):
            model.unlabel(record, to, label)


def _look(past: Past, seq: int) -> None:
    """Note of every trigger whether it has occurred, or has come to hold, with this commit."""
    model = past.model
    happened, model.queue = model.queue, []
    for flow in model.flows.values():
        for n, kind, words in flow.triggers:
            if kind == "filterMet":
                for record in model.values:
                    life = past.lives[flow.id, record]
                    holds = record not in model.archived and model.holds(words["where"], record)
                    if holds and not life.holds.get(n, False):
                        life.occurred[n].append(seq)
                    life.holds[n] = holds
                continue
            bare = words | {"where": None} if kind == "associationChanged" else words
            for one in happened:
                if model._occurs(kind, bare, one):
                    past.lives[flow.id, one.record].occurred[n].append(seq)


def _moved(past: Past, event: LoggedEvent) -> None:
    """An enrollment began or ended: it had a reason to."""
    if event.kind in (EventKind.STEP_DONE, EventKind.STEP_FAILED):
        past.told[event.kind, event.payload["enrollment"], event.payload["step"]] += 1
    if event.kind is not EventKind.ENROLLED and event.kind not in ENDS:
        return
    assert event.subject_id is not None
    assert event.record_id is not None
    enrollment = event.payload["enrollment"]
    past.told[event.kind, enrollment, None] += 1
    life = past.lives[event.subject_id, event.record_id]
    if event.kind in ENDS:
        assert enrollment not in life.ended, "it has ended twice"
        assert enrollment in life.entered or event.kind is EventKind.ENROLLMENT_FAILED, "it never began"
        life.ended[enrollment] = event.seq
        return
    assert enrollment not in life.entered, "it has begun twice"
    assert set(life.entered) == set(life.ended), "a second one is active"
    life.entered[enrollment] = event.seq
    reason = event.payload["reason"]
    if (trigger := reason["trigger"]) is not None and event.subject_id in past.model.flows:
        assert life.occurred[trigger], "it began without its trigger"
        if (renewed := reason.get("reenrollment")) is not None:
            past.told[EventKind.ENROLLED, event.record_id, renewed + 1000 * event.subject_id] += 1
            times = past.told[EventKind.ENROLLED, event.record_id, renewed + 1000 * event.subject_id]
            assert times <= len(life.occurred[renewed]), "one occurrence has enrolled it twice"
