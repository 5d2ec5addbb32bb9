"""Records with a past, for filters that look at it: changes over the years, segments, enrollments, imports."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st

from engine import events, ids
from engine.batches import Mode
from engine.events import EventInput, types
from engine.events.types import EventProperty
from engine.segments import commands as segments
from engine.segments import hand
from engine.workflows import commands as workflows
from storage import enrollments
from storage.database import Actor
from storage.enrollments import Entry
from tests.filtering import POOLS, World, leaf, some_values

ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Asia/Kathmandu", "America/St_Johns",
        "Australia/Lord_Howe",
    )
]  # fmt: skip
# Changes of clocks, leap days, the ends of months and years; moments beside them are the interesting ones.
TURNS = [
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        "2026-03-29T01:00", "2026-10-25T01:00", "2026-03-08T07:00", "2026-11-01T06:00", "2011-12-30T10:00",
        "2024-02-29T12:00", "2024-03-31T22:30", "2025-03-31T12:00", "2026-01-31T23:59", "2025-12-31T18:15",
        "2026-05-31T00:00", "2008-11-02T02:31", "2026-04-04T15:00",
    )
]  # fmt: skip
UNITS = ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
EXACT = ("MINUTE", "HOUR")
SOURCES = [Actor("API"), Actor("IMPORT", "7"), Actor("IMPORT", "8"), Actor("WORKFLOW", "3", depth=1)]
STATUSES = ("ACTIVE", "COMPLETED", "GOAL_MET", "UNENROLLED")
# The names by which definitions speak of what has an id.
NAMED = "segment 1", "segment 2", "workflow 1", "workflow 2"


def near(chance: random.Random, at: datetime) -> datetime:
    """A moment at a turn, or at some natural distance of it."""
    far = chance.choice([0, 0, 1, 3_600_000, 86_400_000, 7 * 86_400_000, 31 * 86_400_000, 366 * 86_400_000])
    return at + timedelta(milliseconds=chance.choice([-1, 1]) * far + chance.choice([-1, 0, 0, 1]))


def times(chance: random.Random) -> dict[str, Any]:
    """Dates and moments about the turns."""
    return {
        "born": near(chance, chance.choice(TURNS)).date().isoformat(),
        "died": near(chance, chance.choice(TURNS)).date().isoformat(),
        "seen": near(chance, chance.choice(TURNS)).isoformat(),
        "left": near(chance, chance.choice(TURNS)).isoformat(),
    }


async def live(found: World, names: list[str], chance: random.Random) -> None:
    """Let contacts change over the years, join segments and be enrolled; `found.ids` then has `NAMED` too."""
    start = found.now
    for n, actor in enumerate(SOURCES):
        found.actor = actor
        await found.make(**{f"late{n}": some_values(chance) | times(chance)})
    names = [*names, *(f"late{n}" for n in range(len(SOURCES)))]
    for at in sorted(near(chance, chance.choice(TURNS)) for _ in range(14)):
        found.now, found.actor = at, chance.choice(SOURCES)
        changed = chance.sample(names, 6)
        await found.update(
            *((found.ids[name], some_values(chance) | times(chance)) for name in changed),
            *((found.ids[chance.choice(names)], {"text": None, "seen": None}),),
        )
    found.now, found.actor = start, SOURCES[0]
    async with found.db.transaction(found.account, now=start, actor=found.actor, defining=True) as tx:
        made = [await segments.create(tx, name, "contacts", "STATIC", None) for name in NAMED[:2]]
        drafts: dict[str, Any] = {
            "triggers": [{"filterMet": {"where": leaf("text", "KNOWN")}}],
            "actions": [],
        }
        flows = [await workflows.create(tx, name, "contacts", drafts) for name in NAMED[2:]]
    numbers = [found.ids[name] for name in names]
    for one in made:
        async with found.db.transaction(found.account, now=start, actor=found.actor) as tx:
            await hand.add(tx, one.id, chance.sample(numbers, 12), Mode.PER_ITEM)
    async with found.db.transaction(found.account, now=start, actor=found.actor) as tx:
        entries = [
            Entry(flow.id, 1, record_id, 0, {}, chance.choice(STATUSES))
            for flow in flows
            for record_id in chance.sample(numbers, 16)
        ]
        await enrollments.enter(tx, sorted(entries, key=lambda one: (one.workflow_id, one.record_id)))
    await occur(found, names, chance)
    numbered = [one.id for one in made] + [one.id for one in flows]
    found.names = {
        name: ids.encode(name.split()[0], number) for name, number in zip(NAMED, numbered, strict=True)
    }


async def occur(found: World, names: list[str], chance: random.Random) -> None:
    """Let things occur to contacts over the years, and in the last moments."""
    inputs = []
    for _ in range(140):
        at = near(chance, chance.choice(TURNS))
        properties = {
            "url": chance.choice(["/", "/pricing", "/pricing/pro", "/docs"]),
            "seconds": chance.choice([0, 1, 1.5, 60]),
        }
        held = {name: value for name, value in properties.items() if chance.random() < 0.7}
        type_ = chance.choice(["page_viewed", "page_viewed", "form_submitted", "visited"])
        held = {} if type_ == "form_submitted" else held
        if type_ == "visited":
            held = {"on": near(chance, chance.choice(TURNS)).date().isoformat()} if held else {}
        inputs.append(EventInput(type_, found.ids[chance.choice(names[:20])], held, at))
    async with found.db.transaction(found.account, now=found.now, actor=found.actor, defining=True) as tx:
        wanted = EventProperty("on", "DATE")
        await types.create(tx, name="visited", label="Visited", object_type="contacts", properties=[wanted])
    latest = max(one.occurred_at for one in inputs if one.occurred_at is not None)
    async with found.db.transaction(found.account, now=latest, actor=found.actor) as tx:
        await events.record(tx, inputs, Mode.ATOMIC)


EMPTY: Any = st.sampled_from([{}, {"includeEmpty": True}, {"includeEmpty": False}])
NEGATED: Any = st.sampled_from([{}, {"negated": True}, {"negated": False}])
AGO = ("LESS_THAN_AGO", "MORE_THAN_AGO", "LESS_THAN_FROM_NOW", "MORE_THAN_FROM_NOW")
FIELDS = ("CREATED_AT", "UPDATED_AT", "LAST_ASSOCIATION_CHANGE_AT")


@st.composite
def clocks(draw: Any) -> datetime:
    """A moment to ask at."""
    return near(draw(st.randoms(use_true_random=False)), draw(st.sampled_from(TURNS)))


@st.composite
def moving_leaves(draw: Any) -> Any:
    """A leaf that looks at the clock."""
    field = draw(st.booleans()) and draw(st.sampled_from(FIELDS))
    name = field or draw(st.sampled_from(["born", "died", "seen", "left"]))
    words = draw(EMPTY)
    if draw(st.integers(0, 2)) == 0:
        operator = draw(st.sampled_from(["IN_THIS", "IN_LAST", "IN_NEXT"]))
        words = words | {"operator": operator, "unit": draw(st.sampled_from(UNITS))}
    else:
        units = UNITS if name in ("born", "died") else UNITS + EXACT
        words = words | {
            "operator": draw(st.sampled_from(AGO)),
            "value": draw(st.sampled_from([1, 1, 2, 3, 12, 31, 1_000])),
            "unit": draw(st.sampled_from(units)),
        }
    return {"field" if field else "property": {"name": name, **words}}


@st.composite
def past_leaves(draw: Any) -> Any:
    """A leaf on what is kept beside a contact."""
    match draw(st.sampled_from(["ever", "contained", "updated", "offset", "source", "segment", "workflow"])):
        case "ever":
            name = draw(st.sampled_from([*POOLS]))
            values = draw(st.lists(st.sampled_from(POOLS[name]), min_size=1, max_size=3))
            return leaf(
                name, draw(st.sampled_from(["HAS_EVER_BEEN", "HAS_NEVER_BEEN"])), *values, **draw(EMPTY)
            )
        case "contained":
            name, values = draw(
                st.sampled_from([("text", "nax1%_"), ("found", "na1"), ("tags", ["a", "b", "a,b"])])
            )
            operator = draw(st.sampled_from(["HAS_EVER_CONTAINED", "HAS_NEVER_CONTAINED"]))
            return leaf(name, operator, draw(st.sampled_from([*values])), **draw(EMPTY))
        case "updated":
            name = draw(st.sampled_from([*POOLS, "extra"]))
            operator = draw(st.sampled_from(["UPDATED_IN_LAST", "NOT_UPDATED_IN_LAST"]))
            unit = draw(st.sampled_from(UNITS + EXACT))
            return leaf(name, operator, draw(st.sampled_from([1, 3, 12, 400])), unit=unit, **draw(EMPTY))
        case "offset":
            one, other, units, operators = draw(
                st.sampled_from(
                    [
                        ("born", "died", UNITS, ["BEFORE", "AFTER", "ON"]),
                        ("seen", "left", UNITS + EXACT, ["BEFORE", "AFTER"]),
                        ("seen", "left", UNITS, ["ON"]),
                        ("died", "born", UNITS, ["BEFORE", "AFTER", "ON"]),
                        ("born", "seen", UNITS, ["BEFORE", "AFTER", "ON"]),
                        ("left", "died", UNITS, ["BEFORE", "AFTER", "ON"]),
                    ]
                )
            )
            words = {
                "offset": draw(st.sampled_from([-3, -1, 0, 1, 2, 12, 31])),
                "unit": draw(st.sampled_from(units)),
            }
            return leaf(one, draw(st.sampled_from(operators)), other=other, **words, **draw(EMPTY))
        case "source":
            of = draw(
                st.sampled_from(
                    [{"sources": ["API", "MERGE"]}, {"sources": ["WORKFLOW"]}, {"import": "imp_7"}]
                )
            )
            change = draw(st.sampled_from([{}, {"change": "CREATED"}, {"change": "UPDATED"}]))
            return {"source": {**of, **change, **draw(NEGATED)}}
        case "segment":
            return {"inSegment": {"segment": draw(st.sampled_from(NAMED[:2])), **draw(NEGATED)}}
        case _:
            status = draw(st.sampled_from(["ENROLLED_EVER", "ACTIVE", "COMPLETED", "GOAL_MET"]))
            return {
                "inWorkflow": {
                    "workflow": draw(st.sampled_from(NAMED[2:])),
                    "status": status,
                    **draw(NEGATED),
                }
            }


@st.composite
def event_leaves(draw: Any) -> Any:
    """A leaf on what occurred to a contact."""
    type_ = draw(st.sampled_from(["page_viewed", "page_viewed", "form_submitted", "visited"]))
    words: dict[str, Any] = {"type": type_}
    window = draw(st.sampled_from(["open", "within", "after", "before", "both"]))
    if window == "within":
        unit = draw(st.sampled_from(UNITS + EXACT))
        words["within"] = {"value": draw(st.sampled_from([1, 1, 3, 12, 400])), "unit": unit}
    moments = sorted(draw(st.lists(st.sampled_from(TURNS), min_size=2, max_size=2, unique=True)))
    if window in ("after", "both"):
        words["after"] = draw(st.sampled_from([moments[0].isoformat(), moments[0].date().isoformat()]))
    if window in ("before", "both"):
        words["before"] = draw(st.sampled_from([moments[1].isoformat(), moments[1].date().isoformat()]))
    if moments[1] - moments[0] < timedelta(days=3):
        words.pop("before", None)
    if draw(st.integers(0, 3)) == 0:
        return {"event": {**words, "negated": True}}
    if draw(st.booleans()):
        words |= {
            "operator": draw(st.sampled_from(COUNTING)),
            "count": draw(st.sampled_from([0, 1, 1, 2, 3])),
        }
    if draw(st.booleans()) and type_ != "form_submitted":
        words["where"] = draw(event_conditions(type_))
    return {"event": words}


COUNTING = (
    "EQUALS",
    "NOT_EQUALS",
    "LESS_THAN",
    "LESS_THAN_OR_EQUAL",
    "GREATER_THAN",
    "GREATER_THAN_OR_EQUAL",
)


@st.composite
def event_conditions(draw: Any, type_: str) -> Any:
    """What an event must be like."""
    some = [
        leaf("on", "LESS_THAN_AGO", 1, unit=draw(st.sampled_from(UNITS)), **draw(EMPTY)),
        leaf("on", "IN_THIS", unit=draw(st.sampled_from(UNITS)), **draw(EMPTY)),
        leaf("on", "KNOWN"),
    ]
    if type_ == "page_viewed":
        some = [
            leaf("url", "STARTS_WITH", "/pricing", **draw(EMPTY)),
            leaf("url", "NOT_EQUALS", "/", **draw(EMPTY)),
            leaf("seconds", "GREATER_THAN", 1, **draw(EMPTY)),
            leaf("url", "UNKNOWN"),
            leaf("seconds", "ANY_OF", 0, 60, **draw(EMPTY)),
        ]
    one, other = draw(st.sampled_from(some)), draw(st.sampled_from(some))
    return draw(st.sampled_from([one, {"not": one}, {"and": [one, other]}, {"or": [one, {"not": other}]}]))


def named(found: World, definition: Any) -> Any:
    """A definition with ids in the places of the names that stand for them."""
    if isinstance(definition, dict):
        return {key: named(found, part) for key, part in definition.items()}
    if isinstance(definition, list):
        return [named(found, part) for part in definition]
    return found.names.get(definition, definition) if isinstance(definition, str) else definition
