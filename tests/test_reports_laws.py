"""A report says what loops over every record and association say, whatever it is made of and whatever records hold."""

import asyncio
import math
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from engine import accounts
from engine.records import merge
from engine.reports.definition import bind
from engine.reports.run import Key, Result, run
from storage.database import Database
from storage.filters.tree import And
from tests.filtering import World
from tests.reports_model import Model, Told, Value
from tests.test_filters_folds import populated

KINDS = ("contacts", "companies", "deals")
LABELS: dict[tuple[str, str], tuple[str, ...]] = {
    ("contacts", "companies"): ("billing", "advisor", "primary"),
    ("companies", "contacts"): ("pays", "advisor"),
    ("contacts", "contacts"): ("manager", "report", "colleague"),
}
AXES: dict[str, tuple[str, ...]] = {
    "contacts": (
        "text", "found", "mobile", "grade", "points", "active", "born", "died", "seen", "left", "color", "tags",
        "createdAt",
    ),
    "companies": ("name", "domain", "updatedAt"),
    "deals": ("name",),
}  # fmt: skip
TIMES = ("born", "died", "seen", "left", "createdAt", "updatedAt")
NUMBERS = ("grade", "points")
BUCKETS = ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
FILTERS: dict[str, Any] = {
    "contacts": [
        {"property": {"name": "active", "operator": "EQUALS", "value": True}},
        {"not": {"property": {"name": "color", "operator": "ANY_OF", "values": ["red", "green"]}}},
        {"associated": {"to": "companies", "labels": ["billing"]}},
        {"property": {"name": "grade", "operator": "GREATER_THAN", "value": 0}},
    ],
    "companies": [
        {"property": {"name": "domain", "operator": "KNOWN"}},
        {"associated": {"to": "contacts", "quantifier": "COUNT", "operator": "GREATER_THAN", "count": 1}},
    ],
    "deals": [{"property": {"name": "name", "operator": "KNOWN"}}],
}


@st.composite
def definitions(draw: Any) -> dict[str, Any]:
    """Any report there can be of the world."""
    of = [draw(st.sampled_from(KINDS))]
    names = [of[0]]
    joins = []
    for n in range(draw(st.integers(0, 3))):
        near = draw(st.integers(0, len(of) - 1))
        far = draw(st.sampled_from(KINDS))
        labels = draw(st.none() | st.lists(st.sampled_from(LABELS.get((of[near], far), ("",))), max_size=2))
        joins.append(
            {
                "as": f"j{n}",
                "from": names[near],
                "to": far,
                "labels": None if labels is None else [one for one in labels if one],
                "unlabelled": draw(st.booleans()),
                "required": draw(st.booleans()),
                "where": draw(st.none() | st.sampled_from(FILTERS[far])),
            }
        )
        of.append(far)
        names.append(f"j{n}")
    measures = draw(st.lists(measured(of, names), min_size=1, max_size=3))
    exact = [n for n, one in enumerate(measures) if one["function"] != "AVERAGE"]
    return {
        "objectType": of[0],
        "where": draw(st.none() | st.sampled_from(FILTERS[of[0]])),
        "joins": joins,
        "axes": draw(st.lists(axes(of, names, exact), max_size=3)),
        "measures": measures,
        "having": draw(st.none() | conditions(exact)) if exact else None,
        "order": draw(
            st.none()
            | st.fixed_dictionaries(
                {"measure": st.none() | st.integers(0, len(measures) - 1), "descending": st.booleans()}
            )
        ),
    }


@st.composite
def axes(draw: Any, of: list[str], names: list[str], exact: list[int]) -> dict[str, Any]:
    """An axis; ranked by measures that are the same in every arithmetic."""
    top = None
    if exact and draw(st.booleans()):
        top = {
            "n": draw(st.integers(1, 4)),
            "measure": draw(st.sampled_from(exact)),
            "others": draw(st.booleans()),
        }
    if len(of) > 1 and draw(st.booleans()):
        return {"label": {"source": draw(st.sampled_from(names[1:])), "top": top}}
    source = draw(st.integers(0, len(of) - 1))
    name = draw(st.sampled_from(AXES[of[source]]))
    axis = {"source": names[source], "name": name, "top": top}
    if name in TIMES:
        axis["bucket"] = draw(st.none() | st.sampled_from(BUCKETS))
    if name in NUMBERS:
        axis["step"] = draw(st.none() | st.sampled_from([0.1, 10, 0.25, 1e12]))
    return {"property": axis}


@st.composite
def measured(draw: Any, of: list[str], names: list[str]) -> dict[str, Any]:
    """A measure."""
    source = draw(st.integers(0, len(of) - 1))
    function = draw(st.sampled_from(["COUNT", "DISTINCT", "SUM", "AVERAGE", "MINIMUM", "MAXIMUM"]))
    if of[source] != "contacts" and function not in ("COUNT", "DISTINCT"):
        function = "COUNT"
    prop = None
    if function == "DISTINCT":
        prop = draw(st.sampled_from([one for one in AXES[of[source]] if one not in ("tags", "createdAt")]))
    elif function != "COUNT":
        prop = draw(st.sampled_from(NUMBERS))
    return {"function": function, "source": names[source], "property": prop}


def conditions(exact: list[int]) -> Any:
    """Conditions on groups."""
    return st.lists(
        st.fixed_dictionaries(
            {
                "measure": st.sampled_from(exact),
                "operator": st.sampled_from(["EQUALS", "NOT_EQUALS", "LESS_THAN", "GREATER_THAN_OR_EQUAL"]),
                "value": st.sampled_from([0, 1, 2, 1.5]),
            }
        ),
        max_size=2,
    )


# --- what is compared ---------------------------------------------------------------------------------------


def value(key: Key | None, model: Model, axis: int) -> Value | None:
    """A key as the model tells it."""
    if key is None:
        return None
    if key.others:
        return True, "all others"
    asked = model.bound.report.axes[axis]
    if asked.property is None and key.value is not None:
        return False, next(
            row.id for row in model.bound.sources[asked.source].labels if row.name == key.value
        )
    return False, key.value


def comparable(told: Told) -> dict[Any, Any]:
    """Numbers as clients see them."""
    return {
        tuple(
            (one[0], float(one[1])) if one is not None and isinstance(one[1], Fraction | int) else one
            for one in key
        ): measures
        for key, measures in told.items()
    }


def same(one: float | None, other: float | None) -> bool:
    """Whether two measures are equal, but for the last digits of averages."""
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-290)


def compare(model: Model, result: Result) -> None:
    """Every group and total is told, once, with its measures; charts show the same."""
    expected = model.told()
    count = len(model.bound.axes)
    found: dict[int, Told] = {level: {} for level in range(1 << count)}
    for level_rows, least in ((result.groups, 0), (result.totals, 1)):
        for row in level_rows:
            level = sum(1 << n for n, key in enumerate(row.keys) if key is None)
            assert (level >= least) if least else level == 0
            keys = tuple(value(key, model, n) for n, key in enumerate(row.keys))
            assert keys not in found[level]
            found[level][keys] = row.measures
    if count == 0:
        found[0] |= {(): result.groups[0].measures} if result.groups else {}
    for level, told in expected.items():
        mine, theirs = comparable(found[level]), comparable(told)
        assert mine.keys() == theirs.keys()
        for key, measures in theirs.items():
            assert all(map(same, mine[key], measures)), (level, key, mine[key], measures)
    charted(result, len(model.bound.measures))


def charted(result: Result, measures: int) -> None:
    """Charts hold what rows do."""
    if not result.groups or not result.groups[0].keys:
        return
    rows = result.groups
    if len(rows[0].keys) == 3:
        there = {row.keys[:2] for row in rows}
        rows = tuple(row for row in result.totals if row.keys[2] is None and row.keys[:2] in there)
    assert list(result.categories) == list(dict.fromkeys(row.keys[0] for row in rows))
    cells = {
        (result.categories[n], one.key, one.measure): value
        for one in result.series
        for n, value in enumerate(one.values)
        if value is not None
    }
    assert cells == {
        (row.keys[0], row.keys[1] if len(row.keys) > 1 else None, n): row.measures[n]
        for row in rows
        for n in range(measures)
        if row.measures[n] is not None
    }


async def settled(db: Database, seed: int, zone: str) -> World:
    """A world of odd records, some archived and some merged, in a time zone."""
    found = await populated(db, seed)
    async with db.transaction(found.account, now=found.now, actor=found.actor, defining=True) as tx:
        await accounts.change_settings(tx, {"time_zone": zone})
    visible = await found.folds(And(()), "contacts", list(found.ids.values()))
    for survivor, merged in zip(sorted(visible)[:6:2], sorted(visible)[1:6:2], strict=True):
        async with db.transaction(found.account, now=found.now, actor=found.actor) as tx:
            await merge(tx, survivor, merged)
    return found


@pytest.mark.parametrize(("seed", "zone"), [(3, "UTC"), (5, "America/New_York")])
async def test_a_report_says_what_loops_over_everything_say(db: Database, seed: int, zone: str) -> None:
    world = await settled(db, seed, zone)
    loop = asyncio.get_running_loop()

    async def agree(definition: Any) -> None:
        catalogue = await world.catalogue()
        bound = bind(definition, catalogue)
        assert bound.report.time_zone == zone
        model = await Model.read(world, bound)
        async with db.read(world.account) as reader:
            result = await run(reader, bound, now=world.now)
            bare = await run(reader, bound, now=world.now, totals=False)
        compare(model, result)
        assert (bare.groups, bare.totals) == (result.groups, ())
        assert (bare.categories, bare.series) == (result.categories, result.series)

    @settings(
        max_examples=100,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(definitions())
    def law(definition: Any) -> None:
        asyncio.run_coroutine_threadsafe(agree(definition), loop).result()

    await asyncio.to_thread(law)
