"""Filters and explanations through the face: each condition can be written, and plans outlive their moment."""

# ruff: noqa: E501 - a query reads best in few lines

from datetime import datetime, timedelta
from typing import Any

import pytest

from engine import ids, records
from engine.batches import Mode
from engine.segments import commands as segments
from engine.segments import hand
from engine.workflows import commands as workflows
from storage.database import Database
from tests import queries
from tests.queries import ACTOR, T0, Asker, story
from tests.statements import counted

WHERE = 'query ($where: FilterInput) { records(objectType: "contacts", where: $where) { nodes { id } totalCount } }'
EXPLAIN = """query ($record: ID!, $where: FilterInput!) { explainFilter(record: $record, where: $where) {
    kind holds path expected actual window { start end } tree
    parts { kind holds path expected actual window { start end } lookedAtCount
        lookedAt { labels holds record { id displayName } where { kind holds actual path } } } } }"""


async def asked(of: Asker, where: Any) -> set[str]:
    """The names of those that meet a filter, however it is asked."""
    data = await of.both(WHERE, {"where": where})
    found = {node["id"] for node in data["records"]["nodes"]}
    assert data["records"]["totalCount"] == len(found)
    return {name for name, ident in of.ids.items() if ident in found}


async def test_every_condition_can_be_asked_for(db: Database) -> None:
    of = await story(db)
    async with db.transaction(of.account, now=T0, actor=ACTOR, defining=True) as tx:
        vip = await segments.create(tx, "VIP", "contacts", "STATIC", None)
        draft: dict[str, Any] = {
            "triggers": [{"filterMet": {"where": {"property": {"name": "email", "operator": "KNOWN"}}}}],
            "actions": [],
        }
        flow = await workflows.create(tx, "Flow", "contacts", draft)
    async with db.transaction(of.account, now=T0, actor=ACTOR) as tx:
        await hand.add(tx, vip.id, [of.number("ann")], Mode.ATOMIC)
        await records.update(tx, [(of.number("bob"), {"points": 7})], Mode.ATOMIC)
    everybody = {"ann", "bob", "cy", "nobody"}
    for where, expected in (
        ({"property": {"name": "seen", "operator": "LESS_THAN_AGO", "value": 2, "unit": "MONTH"}}, {"ann"}),
        ({"property": {"name": "seen", "operator": "IN_LAST", "unit": "MONTH"}}, set()),
        ({"property": {"name": "born", "operator": "MORE_THAN_AGO", "value": 36, "unit": "YEAR"}}, {"ann"}),
        ({"property": {"name": "points", "operator": "HAS_EVER_BEEN", "values": [-3, 5]}}, {"bob"}),
        (
            {"property": {"name": "points", "operator": "UPDATED_IN_LAST", "value": 1, "unit": "DAY"}},
            {"ann", "bob", "cy"},
        ),
        ({"field": {"name": "CREATED_AT", "operator": "IN_THIS", "unit": "YEAR"}}, everybody),
        ({"field": {"name": "LAST_ASSOCIATION_CHANGE_AT", "operator": "UNKNOWN"}}, {"nobody"}),
        ({"source": {"change": "CREATED", "sources": ["API"]}}, everybody),
        ({"source": {"import": "imp_1", "negated": True}}, everybody),
        ({"inSegment": {"segment": ids.encode("segment", vip.id)}}, {"ann"}),
        (
            {
                "inWorkflow": {
                    "workflow": ids.encode("workflow", flow.id),
                    "status": "ACTIVE",
                    "negated": True,
                }
            },
            everybody,
        ),
        (
            {"and": [{"not": {"inSegment": {"segment": ids.encode("segment", vip.id), "negated": True}}}]},
            {"ann"},
        ),
    ):
        assert await asked(of, where) == expected, where
    assert await of.codes(WHERE, {"where": {"inSegment": {"segment": "seg_1"}}}) == ["UNKNOWN_SEGMENT"]


async def test_a_plan_that_is_kept_goes_with_the_clock(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    of = await story(db)
    where = {"property": {"name": "seen", "operator": "LESS_THAN_AGO", "value": 30, "unit": "DAY"}}

    async def at(now: datetime) -> tuple[set[str], list[str]]:
        monkeypatch.setattr(queries, "T0", now)
        with counted() as told:
            found = await asked(of, where)
        return found, told

    early, first = await at(T0)
    late, second = await at(T0 + timedelta(days=2))
    assert (early, late) == ({"ann"}, set())
    # Word for word the same statements.
    assert set(second) == set(first)


async def test_an_explanation_reads_well(db: Database) -> None:
    of = await story(db)
    where = {"and": [
        {"property": {"name": "seen", "operator": "LESS_THAN_AGO", "value": 30, "unit": "DAY"}},
        {"associated": {"to": "companies", "labels": ["adviser"], "where": {"property": {"name": "name", "operator": "EQUALS", "value": "Bolt"}}}},
    ]}  # fmt: skip
    told = (await of.executed(EXPLAIN, {"record": of.ids["ann"], "where": where}, compiles=True))["data"][
        "explainFilter"
    ]
    assert (told["kind"], told["holds"], told["path"]) == ("and", True, [])
    seen, company = told["parts"]
    assert seen["actual"] == "2026-01-31T08:30:00.000Z"
    assert seen["window"] == {"start": "2026-01-30T12:30:15.123Z", "end": "2026-03-01T12:30:15.123Z"}
    assert seen["expected"]["unit"] == "DAY"
    assert (company["holds"], company["actual"], company["lookedAtCount"]) == (True, 2, 2)
    assert company["lookedAt"][0] == {
        "labels": ["adviser"],
        "holds": True,
        "record": {"id": of.ids["bolt"], "displayName": "Bolt"},
        "where": {
            "kind": "property",
            "holds": True,
            "actual": "Bolt",
            "path": ["and", 1, "associated", "where"],
        },
    }
    assert told["tree"]["parts"][1]["lookedAt"][1]["where"]["actual"] == "Acme"


async def test_what_cannot_be_explained_is_said(db: Database) -> None:
    of = await story(db)

    async def told(record: str, where: Any) -> tuple[Any, list[str]]:
        answer = await of.executed(EXPLAIN, {"record": record, "where": where}, compiles=True)
        return answer["data"]["explainFilter"], [
            error["extensions"]["code"] for error in answer.get("errors", ())
        ]

    known = {"property": {"name": "email", "operator": "KNOWN"}}
    assert await told(of.ids["gone"], known) == (None, [])
    assert await told("rec_999999", known) == (None, [])
    assert await told("seg_1", known) == (None, ["MALFORMED_ID"])
    assert await told(of.ids["ann"], {"property": {"name": "nix", "operator": "KNOWN"}}) == (
        None,
        ["UNKNOWN_PROPERTY"],
    )
    assert await told(of.ids["acme"], {"property": {"name": "vip", "operator": "KNOWN"}}) == (
        None,
        ["UNKNOWN_PROPERTY"],
    )
