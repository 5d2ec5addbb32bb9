"""The two folds say the same of every record under every filter, whatever the values."""

import asyncio
import random
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

import engine.filters.facts as fetching
from engine import filters
from storage.database import Database
from storage.filters import compile as compiling
from storage.filters import facts, shape, tree
from tests.filtering import (
    DATES,
    MISSHAPEN,
    MOMENTS,
    POOLS,
    TEXTS,
    World,
    associated,
    leaf,
    some_values,
    world,
)
from tests.filtering_past import ZONES, clocks, event_leaves, live, moving_leaves, named, past_leaves
from tests.statements import counted

# --- random definitions -------------------------------------------------------------------------------------

EMPTY: Any = st.sampled_from([{}, {"includeEmpty": True}, {"includeEmpty": False}])
TEXT_LIST = ("ANY_OF", "NONE_OF", "CONTAINS", "NOT_CONTAINS", "STARTS_WITH", "ENDS_WITH")
ORDER = ("LESS_THAN", "LESS_THAN_OR_EQUAL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL", "EQUALS", "NOT_EQUALS")
COUNT = {"quantifier": "COUNT"}
# Properties whose equality an index answers: nested under ANY, SQL begins at the other end.
LONG = tuple("x" * n for n in (255, 256, 257, 300))
INDEXED: dict[str, Any] = {
    "contacts": [("found", LONG), ("found", TEXTS), ("points", POOLS["points"]), ("died", POOLS["died"])],
    "companies": [("domain", LONG), ("domain", TEXTS[:8])],
}
# Operators, by the number of values they take, of each property.
ONE: dict[str, tuple[str, ...]] = {
    "text": ("EQUALS", "NOT_EQUALS"),
    "found": ("EQUALS", "NOT_EQUALS"),
    "mobile": ("EQUALS", "NOT_EQUALS"),
    "grade": ORDER,
    "points": ORDER,
    "active": ("EQUALS", "NOT_EQUALS"),
    "born": ("BEFORE", "AFTER", "ON"),
    "died": ("BEFORE", "AFTER", "ON"),
    "seen": ("BEFORE", "AFTER", "ON"),
    "left": ("BEFORE", "AFTER", "ON"),
    "color": ("EQUALS", "NOT_EQUALS", "EXACTLY", "CONTAINS_ALL"),
    "name": ("EQUALS", "NOT_EQUALS"),
}
MANY: dict[str, tuple[str, ...]] = {
    "text": TEXT_LIST,
    "found": TEXT_LIST,
    "name": TEXT_LIST,
    "grade": ("ANY_OF", "NONE_OF"),
    "points": ("ANY_OF", "NONE_OF"),
    "color": ("ANY_OF", "NONE_OF"),
    "tags": ("ANY_OF", "NONE_OF", "EXACTLY", "CONTAINS_ALL"),
}
PARTS = ("EQUALS", "NOT_EQUALS", "CONTAINS", "NOT_CONTAINS", "STARTS_WITH", "ENDS_WITH")
OTHERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "text": ("found", PARTS),
    "found": ("mobile", PARTS),
    "grade": ("points", ORDER),
    "born": ("died", ("BEFORE", "AFTER", "ON")),
    "died": ("seen", ("BEFORE", "AFTER", "ON")),
    "seen": ("left", ("BEFORE", "AFTER", "ON")),
    "left": ("born", ("BEFORE", "AFTER", "ON")),
}
LABELS: dict[tuple[str, str], tuple[str, ...]] = {
    ("contacts", "companies"): ("billing", "advisor", "primary"),
    ("companies", "contacts"): ("pays", "advisor"),
    ("contacts", "contacts"): ("manager", "report", "colleague"),
    ("contacts", "deals"): (),
    ("companies", "deals"): (),
    ("deals", "contacts"): (),
    ("deals", "companies"): (),
}
POOL = {**POOLS, "name": TEXTS, "seen": (*MOMENTS, *DATES), "left": (*MOMENTS, *DATES)}
# Those that a filter asks for, beside the ones that records hold.
ASKED = {
    "text": ("n", "1", "\u0308", "\\%"),
    "found": ("x" * 256, "1"),
    "grade": (0.2, 7),
    "points": (1, 1.0),
}


def pool(name: str) -> Any:
    """A value that a filter on the property may ask for."""
    return st.sampled_from([*POOL[name], *ASKED.get(name, ())])


@st.composite
def property_leaves(draw: Any, kind: str) -> Any:
    """A property leaf about records of `kind`."""
    name = draw(st.sampled_from([*POOLS, "extra"] if kind == "contacts" else ["name"]))
    empty = draw(EMPTY)
    ways: list[str] = ["presence"]
    ways += ["one"] * 2 * (name in ONE) + ["many"] * 2 * (name in MANY) + ["other"] * (name in OTHERS)
    ways += ["between"] * (name in ("grade", "points", "born", "died"))
    match draw(st.sampled_from(ways)):
        case "one":
            return leaf(name, draw(st.sampled_from(ONE[name])), draw(pool(name)), **empty)
        case "many":
            values = draw(st.lists(pool(name), min_size=1, max_size=4))
            operator = draw(st.sampled_from(MANY[name]))
            return leaf(name, operator, *values, **empty)
        case "other":
            other, operators = OTHERS[name]
            return leaf(name, draw(st.sampled_from(operators)), other=other, **empty)
        case "between":
            return leaf(name, "BETWEEN", *sorted(draw(st.tuples(pool(name), pool(name)))), **empty)
        case _:
            return leaf(name, draw(st.sampled_from(["KNOWN", "UNKNOWN"])), **empty)


@st.composite
def associated_leaves(draw: Any, kind: str, depth: int) -> Any:
    """An associated leaf about records of `kind`."""
    to = draw(st.sampled_from([to for one, to in LABELS if one == kind]))
    words = draw(EMPTY) | draw(st.sampled_from([{}, {"quantifier": "ALL"}, {"quantifier": "NONE"}, COUNT]))
    if words.get("quantifier") == "COUNT":
        words |= {"operator": draw(st.sampled_from(ORDER)), "count": draw(st.integers(0, 4))}
    labels = draw(st.sampled_from(["any", "none", "some"]))
    if labels == "some" and LABELS[kind, to]:
        words |= {"labels": draw(st.lists(st.sampled_from(LABELS[kind, to]), min_size=1, max_size=3))}
    elif labels == "none":
        words |= {"labels": []}
    where = draw(trees(to, depth - 1)) if draw(st.integers(0, 3)) else None
    return associated(to, where, **words)


@st.composite
def trees(draw: Any, kind: str, depth: int, width: int = 3) -> Any:
    """A definition about records of `kind`, with associated leaves nested up to `depth`."""
    kinds = ["leaf", "index", "associated", "associated", "and", "or", "not", "moving", "past", "event"]
    match draw(st.sampled_from(kinds)):
        case "moving" if kind == "contacts":
            return draw(moving_leaves())
        case "past" if kind == "contacts":
            return draw(past_leaves())
        case "event" if kind == "contacts":
            return draw(event_leaves())
        case "index" if kind in INDEXED:
            name, values = draw(st.sampled_from(INDEXED[kind]))
            asked = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
            return leaf(name, "ON" if name == "died" else "ANY_OF", *(asked[:1] if name == "died" else asked))
        case "associated" if depth > 0:
            return draw(associated_leaves(kind, depth))
        case "and" | "or" as key if width > 0:
            parts = draw(st.integers(1, 3))
            return {key: [draw(trees(kind, depth, width - 1)) for _ in range(parts)]}
        case "not" if width > 0:
            return {"not": draw(trees(kind, depth, width - 1))}
        case _:
            return draw(property_leaves(kind))


# --- random records -----------------------------------------------------------------------------------------


def domain(chance: random.Random) -> str:
    """A text, often as long as what the side table keeps of it, or a little longer."""
    return chance.choice(LONG if chance.random() < 0.5 else TEXTS[:8])


async def populated(db: Database, seed: int) -> World:
    """Records with odd values and odd neighbours: archived, several labels, some that were there once."""
    chance = random.Random(seed)
    found = await world(db)
    contacts = [f"c{n}" for n in range(40)]
    people = {name: some_values(chance) for name in contacts}
    for name in contacts[::4]:
        people[name]["found"] = domain(chance)
    await found.make(**people)
    for n, values in enumerate(MISSHAPEN):
        await found.make(**{f"odd{n}": {}})
        await found.misshape(f"odd{n}", values)
        contacts.append(f"odd{n}")
    companies, deals = [f"o{n}" for n in range(12)], [f"d{n}" for n in range(6)]
    await found.make(
        "companies", **{name: {"name": chance.choice(TEXTS), "domain": domain(chance)} for name in companies}
    )
    await found.make("deals", **{name: {"name": chance.choice(TEXTS)} for name in deals})
    asked: set[tuple[str, ...]] = set()
    for one in contacts:
        for other in chance.sample(companies, chance.choice([0, 1, 1, 2, 5])):
            asked.add((one, other, *chance.sample(["billing", "advisor"], chance.randint(0, 2))))
        for other in chance.sample(contacts, chance.choice([0, 0, 1, 3])):
            if one != other:
                asked.add((one, other, *chance.sample(["manager", "colleague"], chance.randint(0, 2))))
    for one in deals:
        for other in chance.sample(contacts + companies, 3):
            asked.add((one, other))
    pairs = sorted(asked)
    await found.join(*pairs)
    await found.part(*{(pair[0], pair[1]) for pair in pairs if chance.random() < 0.15})
    gone = chance.sample(contacts, 5) + chance.sample(companies, 3) + chance.sample(deals, 1)
    await live(found, contacts, chance)
    await found.archive(*(found.ids[name] for name in gone))
    # As in any account that is a minute old: without statistics a deep tree is read from its wrong end, for seconds.
    await db.pool.execute("ANALYZE")
    return found


async def check(found: World, kind: str, definition: Any, now: datetime, zone: ZoneInfo) -> None:
    """Both folds agree on every record; the text depends on the shape alone, its parameters on the values."""
    definition, found.now = named(found, definition), now
    bound = await found.bind(definition, kind, time_zone=zone)
    catalogue = await found.catalogue()
    object_type = catalogue.by_name[kind]
    spelled = filters.explicit(definition, object_type)
    assert filters.bind(spelled, object_type, catalogue, time_zone=zone) == bound
    ids = sorted(found.ids.values())
    met = await found.folds(bound, kind, ids)
    visible = await found.folds(tree.And(()), kind, ids)
    assert met <= visible
    assert await found.folds(tree.Not(bound), kind, ids) == visible - met
    texts, given = zip(_compiled(bound), _compiled(shape.shape(bound)), strict=True)
    assert texts[0] == texts[1]
    assert given[0] == shape.values(bound)


def _compiled(bound: tree.Filter) -> tuple[str, list[Any]]:
    given: list[Any] = []

    def add(value: Any, cast: str) -> str:
        given.append(value)
        return f"${len(given) + 1}::{cast}"

    return compiling.compile(bound, "r", add), given


@pytest.mark.parametrize("kind", ["contacts", "companies"])
async def test_the_folds_agree_on_random_trees_and_records(db: Database, kind: str) -> None:
    found = await populated(db, seed=7 if kind == "contacts" else 11)
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=250,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(trees(kind, depth=3), clocks(), st.sampled_from(ZONES))
    def agree(definition: Any, now: datetime, zone: ZoneInfo) -> None:
        asyncio.run_coroutine_threadsafe(check(found, kind, definition, now, zone), loop).result()

    await asyncio.to_thread(agree)


@pytest.mark.parametrize(
    "leaves", [moving_leaves(), past_leaves(), event_leaves()], ids=["moving", "past", "event"]
)
async def test_the_folds_agree_on_each_leaf_alone(db: Database, leaves: Any) -> None:
    """In trees most leaves are outvoted; alone, each one's answer is seen."""
    found = await populated(db, seed=17)
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=250,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(leaves, clocks(), st.sampled_from(ZONES))
    def agree(definition: Any, now: datetime, zone: ZoneInfo) -> None:
        asyncio.run_coroutine_threadsafe(check(found, "contacts", definition, now, zone), loop).result()

    await asyncio.to_thread(agree)


async def test_a_record_that_reaches_too_much_to_hold_is_answered_by_sql(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await populated(db, seed=3)
    definition = associated("companies", associated("contacts", leaf("text", "KNOWN")))
    bound = await found.bind(definition)
    ids, contacts = sorted(found.ids.values()), (await found.catalogue()).by_name["contacts"].id
    expected = await found.folds(bound, "contacts", ids)
    assert expected
    monkeypatch.setattr(fetching, "FACTS_HELD", 3)
    with counted() as ran:
        async with db.read(found.account) as reader:
            met = await filters.matches(reader, bound, ids, contacts, now=found.now)
    assert {record_id for record_id, holds in met.items() if holds} == expected
    assert any("EXISTS" in sql for sql in ran), "nothing was too wide"


async def test_many_filters_and_records_take_as_many_statements_as_one(db: Database) -> None:
    found = await populated(db, seed=5)
    catalogue = await found.catalogue()
    contacts = catalogue.by_name["contacts"].id
    definitions = [
        associated("companies", associated("deals", leaf("name", "KNOWN")), labels=labels)
        for labels in (None, [], ["billing"], ["advisor"], ["primary"])
    ]
    definitions += [leaf("text", "CONTAINS", text) for text in "abcdef"]
    bound = [await found.bind(definition) for definition in definitions]
    ids = sorted(found.ids.values())

    async def statements(asked: list[tree.Filter], ids: list[int]) -> int:
        with counted() as ran:
            async with db.read(found.account) as reader:
                answers = await filters.matches_many(
                    reader, catalogue, [(one, ids, contacts) for one in asked], now=found.now
                )
        assert len(answers) == len(asked)
        return len(ran)

    one = await statements(bound[:1], ids[:30])
    assert await statements(bound, ids) <= one + 1
    # Records; then counters, associations and records of each of two levels.
    assert one <= 7
    async with db.read(found.account) as reader:
        together = await filters.matches_many(
            reader, catalogue, [(each, ids, contacts) for each in bound], now=found.now
        )
        for each, answer in zip(bound, together, strict=True):
            assert answer == await filters.matches(reader, each, ids, contacts, now=found.now)
            by_sql = await facts.met(reader, each, contacts, ids, now=found.now)
            assert {record_id for record_id, holds in answer.items() if holds} == by_sql
