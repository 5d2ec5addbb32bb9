"""Reports told as stories: what counts where, by label and direction, once in a group and once in a total."""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from engine import accounts, label_removal, object_types, records
from engine.batches import Mode
from engine.problems import Problem, Refused
from engine.reports import commands, problems
from engine.reports import run as running
from engine.reports.commands import Chart
from engine.reports.definition import bind
from engine.reports.run import NO_VALUE, OTHERS, Result, run
from storage.catalogue import Catalogue
from storage.changes import EventKind
from storage.database import Database
from storage.reports import compile as compiling
from tests.graph import ANN_WHO_CLICKS, T0, Graph


@pytest.fixture
async def graph(db: Database) -> Graph:
    """An account with nothing in it."""
    return Graph(db, await accounts.create(db, "reports", now=T0))


async def report(graph: Graph, **definition: Any) -> Result:
    """What a report says."""
    catalogue = await graph.db.catalogue(graph.account)
    async with graph.db.read(graph.account) as reader:
        return await run(reader, bind(definition, catalogue), now=graph.now)


async def make(graph: Graph, object_type: str, *given: dict[str, Any]) -> list[int]:
    """New records with these properties; their ids."""
    async with graph.writing() as tx:
        made = await records.create(tx, tx.catalogue.by_name[object_type], given, Mode.ATOMIC)
        return [one.value.id for one in made if one.value is not None]


def groups(result: Result) -> dict[tuple[str, ...], tuple[float | None, ...]]:
    """{labels of the keys: measures}."""
    return {tuple(key.label for key in row.keys if key is not None): row.measures for row in result.groups}


def totals(result: Result) -> dict[tuple[str | None, ...], tuple[float | None, ...]]:
    """{labels of the keys, None where an axis is not told apart: measures}."""
    return {
        tuple(None if key is None else key.label for key in row.keys): row.measures for row in result.totals
    }


async def lettings(graph: Graph) -> None:
    """Contacts by traffic source, and listings with how long they are rented."""
    async with graph.writing(defining=True) as tx:
        await object_types.update(tx, "listings", active=True)
    await graph.label("contacts", "listings", "Short-term", name="short_term")
    await graph.label("contacts", "listings", "Long-term", name="long_term")
    ann, bob, cid, dan = await make(
        graph,
        "contacts",
        {"firstname": "Ann", "original_source": "events"},
        {"firstname": "Bob", "original_source": "referrals"},
        {"firstname": "Cid", "original_source": "events"},
        {"firstname": "Dan"},
    )
    flat, house = await graph.records("listings", 2)
    # Ann rents one both ways, and Bob two short-term; Cid has an eye on one; Dan has none.
    await graph.associate((ann, flat, "short_term", "long_term"), (bob, flat, "short_term"))
    await graph.associate((bob, house, "short_term"), (cid, house))
    assert dan


BY_LABEL = {"label": {"source": "listings"}}


async def test_contacts_by_listing_label_broken_down_by_source(graph: Graph) -> None:
    await lettings(graph)
    told = await report(
        graph,
        objectType="contacts",
        joins=[{"to": "listings"}],
        axes=[BY_LABEL, {"property": {"name": "original_source"}}],
        measures=[{"function": "COUNT"}],
    )
    assert groups(told) == {
        ("Short-term", "Events"): (1,),
        ("Short-term", "Referrals"): (1,),
        ("Long-term", "Events"): (1,),
        # Cid has a listing without a label, Dan none at all.
        (NO_VALUE, "Events"): (1,),
        (NO_VALUE, NO_VALUE): (1,),
    }
    # Ann counts under both labels, and once in what they come to.
    assert totals(told)[None, None] == (4,)
    assert totals(told)[None, "Events"] == (2,)
    assert totals(told)["Short-term", None] == (2,)


async def test_only_the_short_term_ones(graph: Graph) -> None:
    await lettings(graph)
    told = await report(
        graph,
        objectType="contacts",
        joins=[{"to": "listings", "labels": ["short_term"], "required": True}],
        axes=[{"property": {"name": "original_source"}}],
        measures=[{"function": "COUNT"}, {"function": "COUNT", "source": "listings"}],
    )
    assert groups(told) == {("Events",): (1, 1), ("Referrals",): (1, 2)}
    assert totals(told) == {(None,): (2, 2)}


async def test_the_direction_of_a_paired_label_changes_the_answer(graph: Graph) -> None:
    parent, one, two = await make(
        graph,
        "companies",
        {"name": "Parent", "annualrevenue": 900},
        {"name": "One", "annualrevenue": 100},
        {"name": "Two", "annualrevenue": 20},
    )
    await graph.associate((parent, one, "child"), (parent, two, "child"))
    asked: dict[str, Any] = {
        "objectType": "companies",
        "axes": [{"property": {"name": "name"}}],
        "measures": [{"function": "SUM", "source": "other", "property": "annualrevenue"}],
    }
    children = await report(
        graph, **asked, joins=[{"to": "companies", "as": "other", "labels": ["child"], "required": True}]
    )
    parents = await report(
        graph, **asked, joins=[{"to": "companies", "as": "other", "labels": ["parent"], "required": True}]
    )
    assert groups(children) == {("Parent",): (120,)}
    assert groups(parents) == {("One",): (900,), ("Two",): (900,)}
    # The parent once, however many children lead to it.
    assert totals(parents) == {(None,): (900,)}


async def test_the_first_values_of_an_axis_and_all_others_together(graph: Graph) -> None:
    cities = ["Rome"] * 4 + ["Oslo"] * 3 + ["Bern"] * 2 + ["Kyiv"]
    await make(graph, "contacts", *({"city": city, "score": n} for n, city in enumerate(cities)), {})
    top = {"property": {"name": "city", "top": {"n": 2}}}
    told = await report(
        graph,
        objectType="contacts",
        axes=[top],
        measures=[{"function": "COUNT"}, {"function": "MAXIMUM", "property": "score"}],
        order={"measure": 0, "descending": True},
    )
    assert groups(told) == {("Rome",): (4, 3), (OTHERS,): (4, 9), ("Oslo",): (3, 6)}
    assert totals(told) == {(None,): (11, 9)}
    alone = await report(
        graph, objectType="contacts", axes=[{"property": {"name": "city", "top": {"n": 2, "others": False}}}]
    )
    assert groups(alone) == {("Oslo",): (3,), ("Rome",): (4,)}


async def test_dates_by_their_buckets_and_numbers_by_steps(graph: Graph) -> None:
    born = ["2026-01-01", "2026-01-31", "2026-02-28", "2025-12-29"]
    await make(graph, "contacts", *({"date_of_birth": one, "score": n * 7} for n, one in enumerate(born)))

    async def by(**axis: Any) -> dict[tuple[str, ...], tuple[float | None, ...]]:
        return groups(await report(graph, objectType="contacts", axes=[{"property": axis}]))

    assert await by(name="date_of_birth", bucket="MONTH") == {
        ("2025-12",): (1,),
        ("2026-01",): (2,),
        ("2026-02",): (1,),
    }
    assert await by(name="date_of_birth", bucket="QUARTER") == {("2025-Q4",): (1,), ("2026-Q1",): (3,)}
    assert await by(name="date_of_birth", bucket="WEEK") == {
        ("2026-W01",): (2,),
        ("2026-W05",): (1,),
        ("2026-W09",): (1,),
    }
    assert await by(name="score", step=10) == {("0",): (2,), ("10",): (1,), ("20",): (1,)}
    assert await by(name="createdAt", bucket="YEAR") == {("2026",): (4,)}


async def test_what_is_wrong_is_told_at_its_place(graph: Graph) -> None:
    with pytest.raises(Refused) as refused:
        await report(
            graph,
            objectType="contacts",
            joins=[{"to": "companies", "labels": ["nobody"]}],
            axes=[
                {"label": {}},
                {"property": {"source": "deals", "name": "city"}},
                {"property": {"name": "nothing"}},
            ],
            measures=[{"function": "SUM"}, {"function": "SUM", "property": "city"}],
        )
    assert [(problem.code, problem.path) for problem in refused.value.problems] == [
        ("UNKNOWN_LABEL", ("joins", 0, "labels", 0)),
        ("MEASURE_NEEDS_PROPERTY", ("measures", 0, "property")),
        ("PROPERTY_DOES_NOT_SUIT", ("measures", 1, "property")),
        ("NO_LABEL_OF_PRIMARY", ("axes", 0, "label", "source")),
        ("UNKNOWN_SOURCE", ("axes", 1, "property", "source")),
        ("UNKNOWN_PROPERTY", ("axes", 2, "property", "name")),
    ]


JUNK: list[Any] = [
    None,
    "",
    "x",
    "\0",
    "\ud800",
    0,
    -1,
    10**400,
    1.5,
    math.nan,
    math.inf,
    True,
    [],
    [1],
    [[]],
    {},
    {"x": 1},
]
WHOLE: dict[str, Any] = {
    "objectType": "contacts",
    "where": {"property": {"name": "city", "operator": "KNOWN"}},
    "joins": [{"as": "c", "from": "contacts", "to": "companies", "labels": ["primary"], "where": None}],
    "axes": [
        {"label": {"source": "c", "top": {"n": 2, "measure": 0, "others": True}}},
        {"property": {"source": "contacts", "name": "score", "step": 5}},
        {"property": {"name": "createdAt", "bucket": "WEEK"}},
    ],
    "measures": [{"function": "SUM", "source": "c", "property": "annualrevenue", "name": "Revenue"}],
    "having": [{"measure": 0, "operator": "GREATER_THAN", "value": 1}],
    "order": {"measure": 0, "descending": True},
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every part of a definition."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def wrong(definition: Any, catalogue: Catalogue) -> Sequence[Problem]:
    """What is wrong with a definition."""
    try:
        bind(definition, catalogue)
    except Refused as refused:
        return refused.problems
    return []


async def test_no_definition_is_too_malformed_to_be_told_what_is_wrong(graph: Graph) -> None:
    catalogue = await graph.db.catalogue(graph.account)
    bind(WHOLE, catalogue)
    refused = 0
    for path in places(WHOLE):
        for junk in JUNK:
            definition = copy.deepcopy(WHOLE)
            inside = definition
            for key in path[:-1]:
                inside = inside[key]
            inside[path[-1]] = junk
            found = wrong(definition, catalogue)
            refused += bool(found)
            # Told where it stands, in words that can be sent.
            assert all(problem.code and problem.message.encode() for problem in found)
            assert all(problem.path for problem in found)
    assert refused > 300


async def test_the_first_axis_is_ordered_by_what_it_comes_to(graph: Graph) -> None:
    await lettings(graph)
    told = await report(
        graph,
        objectType="contacts",
        joins=[{"to": "listings"}],
        axes=[BY_LABEL, {"property": {"name": "original_source"}}],
        order={"measure": 0, "descending": True},
    )
    # Two rent short-term, though no single group has more than one; then by name.
    assert [key.label for key in told.categories] == ["Short-term", NO_VALUE, "Long-term"]
    assert [(one.key and one.key.label, one.values) for one in told.series] == [
        # Choices in the order of their options.
        ("Referrals", (1, None, None)),
        ("Events", (1, 1, 1)),
        (NO_VALUE, (None, 1, None)),
    ]


async def test_a_chart_of_too_many_values_is_refused_and_its_rows_are_had_all_the_same(graph: Graph) -> None:
    # Each city has a value in the series of each name: 600 groups, 360,000 values.
    await make(graph, "contacts", *({"city": str(n), "firstname": str(n)} for n in range(600)))
    axes = [{"property": {"name": name}} for name in ("city", "firstname")]
    result = await report(graph, objectType="contacts", axes=axes)
    assert (len(result.groups), len(result.categories)) == (600, 600)
    with pytest.raises(problems.ReportChartTooLarge, match="360000"):
        _ = result.series
    top = {"property": {"name": "firstname", "top": {"n": 3}}}
    assert len((await report(graph, objectType="contacts", axes=[axes[0], top])).series) == 4


async def test_a_report_of_too_many_groups_is_told_to_be_that(graph: Graph, monkeypatch: Any) -> None:
    monkeypatch.setattr(compiling, "GROUPS", 3)
    monkeypatch.setattr(running, "GROUPS", 3)
    await make(graph, "contacts", *({"city": str(n)} for n in range(4)))
    with pytest.raises(problems.ReportTooLarge):
        await report(graph, objectType="contacts", axes=[{"property": {"name": "city"}}])


async def test_the_log_holds_who_saved_edited_and_deleted_a_report(graph: Graph) -> None:
    label = await graph.label("contacts", "companies", "Buyer")
    other = await graph.label("contacts", "companies", "Purchaser")
    definition = {"objectType": "contacts", "joins": [{"to": "companies", "labels": ["buyer"]}]}
    async with graph.writing() as tx:
        saved = await commands.create(tx, "Buyers", definition, Chart.BAR)
    async with graph.writing() as tx:
        await commands.update(tx, saved.id, 1, name="All buyers")
    async with graph.writing(defining=True) as tx:
        await label_removal.take_place(tx, label.there.id, other.there.id)
    async with graph.writing() as tx:
        await commands.delete(tx, saved.id)
    log = await graph.read(
        "SELECT e.kind, e.payload, e.source, e.user_id FROM event_log AS e"
        " WHERE e.account_id = $1 AND e.subject_id = $2 ORDER BY e.seq",
        saved.id,
    )
    by = (ANN_WHO_CLICKS.source, ANN_WHO_CLICKS.user_id)
    assert [tuple(row) for row in log] == [
        (EventKind.REPORT_CREATED, {"name": "Buyers"}, *by),
        (EventKind.REPORT_UPDATED, {"name": "All buyers", "version": 2}, *by),
        (EventKind.REPORT_UPDATED, {"name": "All buyers", "version": 3}, *by),
        (EventKind.REPORT_DELETED, {"name": "All buyers"}, *by),
    ]
