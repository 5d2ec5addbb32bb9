"""Filters on what is kept beside a record; explanations, and that the fold that explains decides as SQL does."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

import engine.filters.facts as fetching
from engine import filters, ids
from engine.batches import Mode
from engine.filters import Reference
from engine.filters.explaining import ExplanationTooWide, explain
from engine.problems import Refused
from engine.segments import commands as segments
from engine.segments import hand
from engine.workflows import commands as workflows
from storage import enrollments
from storage.database import Actor, Database
from storage.enrollments import Entry
from storage.filters import facts
from tests.filtering import World, associated, leaf, world
from tests.filtering_past import clocks, named
from tests.test_filters_folds import populated, trees

T1 = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
async def story(db: Database) -> World:
    """ann went from lead to customer; bob was imported, and is a lead; cat had a color once; dan has nothing."""
    found = await world(db)
    await found.make(ann={"text": "lead", "tags": ["a"]}, cat={"color": "red"}, dan={})
    found.actor = Actor("IMPORT", "7")
    await found.make(bob={"text": "lead", "grade": 1})
    found.now = T1
    await found.update((found.ids["cat"], {"color": None}))
    found.actor = Actor("WORKFLOW", "3", depth=1)
    await found.update((found.ids["ann"], {"text": "customer", "tags": ["b", "c"]}))
    found.now, found.actor = T1 + timedelta(hours=2), Actor("API")
    await segment(found, "VIP", "ann", "bob")
    await workflow(found, "Welcome", ann="COMPLETED", bob="ACTIVE", cat="GOAL_MET")
    return found


async def segment(found: World, name: str, *members: str) -> None:
    """A static segment."""
    async with found.db.transaction(found.account, now=found.now, actor=found.actor, defining=True) as tx:
        made = await segments.create(tx, name, "contacts", "STATIC", None)
    async with found.db.transaction(found.account, now=found.now, actor=found.actor) as tx:
        await hand.add(tx, made.id, [found.ids[member] for member in members], Mode.ATOMIC)
    found.names[name] = ids.encode("segment", made.id)


async def workflow(found: World, name: str, **enrolled: str) -> None:
    """A workflow that has enrolled some."""
    drafts: dict[str, Any] = {"triggers": [{"filterMet": {"where": leaf("text", "KNOWN")}}], "actions": []}
    async with found.db.transaction(found.account, now=found.now, actor=found.actor, defining=True) as tx:
        made = await workflows.create(tx, name, "contacts", drafts)
        entries = [Entry(made.id, 1, found.ids[one], 0, {}, status) for one, status in enrolled.items()]
        await enrollments.enter(tx, entries)
    found.names[name] = ids.encode("workflow", made.id)


async def test_what_a_property_ever_was(story: World) -> None:
    assert await story.met(leaf("text", "HAS_EVER_BEEN", "lead")) == {"ann", "bob"}
    assert await story.met(leaf("text", "HAS_EVER_BEEN", "customer", "other")) == {"ann"}
    assert await story.met(leaf("text", "HAS_EVER_CONTAINED", "ust")) == {"ann"}
    assert await story.met(leaf("text", "HAS_NEVER_CONTAINED", "ust", includeEmpty=False)) == {"bob"}
    assert await story.met(leaf("color", "HAS_EVER_BEEN", "red")) == {"cat"}
    assert await story.met(leaf("color", "KNOWN")) == set()
    # Who never had a value: on contacts a negative condition holds for them unless it says otherwise.
    assert await story.met(leaf("text", "HAS_NEVER_BEEN", "customer")) == {"bob", "cat", "dan"}
    assert await story.met(leaf("text", "HAS_NEVER_BEEN", "customer", includeEmpty=False)) == {"bob"}
    assert await story.met(leaf("text", "HAS_EVER_BEEN", "lead", includeEmpty=True)) == {
        "ann",
        "bob",
        "cat",
        "dan",
    }
    # Several choices: exactly these, or one of them.
    assert await story.met(leaf("tags", "HAS_EVER_BEEN", "c", "b")) == {"ann"}
    assert await story.met(leaf("tags", "HAS_EVER_BEEN", "b")) == set()
    assert await story.met(leaf("tags", "HAS_EVER_CONTAINED", "a")) == {"ann"}


async def test_when_a_property_was_last_set_or_cleared(story: World) -> None:
    assert await story.met(leaf("text", "UPDATED_IN_LAST", 3, unit="HOUR")) == {"ann"}
    assert await story.met(leaf("color", "UPDATED_IN_LAST", 3, unit="HOUR")) == {"cat"}
    assert await story.met(leaf("text", "UPDATED_IN_LAST", 120, unit="MINUTE")) == set()
    assert await story.met(leaf("text", "UPDATED_IN_LAST", 1, unit="MONTH")) == {"ann", "bob"}
    assert await story.met(leaf("text", "NOT_UPDATED_IN_LAST", 1, unit="DAY", includeEmpty=False)) == {"bob"}
    assert await story.met(leaf("text", "NOT_UPDATED_IN_LAST", 1, unit="DAY")) == {"bob", "cat", "dan"}


async def test_who_made_a_record_and_who_changed_it(story: World) -> None:
    async def by(**words: Any) -> set[str]:
        return await story.met({"source": words})

    assert await by(change="CREATED", sources=["IMPORT"]) == {"bob"}
    assert await by(change="CREATED", sources=["IMPORT", "API"]) == {"ann", "bob", "cat", "dan"}
    assert await by(change="UPDATED", sources=["WORKFLOW"]) == {"ann"}
    assert await by(sources=["IMPORT"]) == {"bob", "cat"}
    assert await by(sources=["IMPORT"], negated=True) == {"ann", "dan"}
    assert await by(**{"import": "imp_7"}) == {"bob", "cat"}
    assert await by(change="UPDATED", **{"import": "imp_7"}) == {"cat"}
    assert await by(**{"import": "imp_8"}) == set()


async def test_segments_and_workflows(story: World) -> None:
    vip, welcome = {"segment": story.names["VIP"]}, {"workflow": story.names["Welcome"]}
    assert await story.met({"inSegment": vip}) == {"ann", "bob"}
    assert await story.met({"inSegment": {**vip, "negated": True}}) == {"cat", "dan"}
    assert await story.met({"inWorkflow": welcome}) == {"ann", "bob", "cat"}
    assert await story.met({"inWorkflow": {**welcome, "negated": True}}) == {"dan"}
    for status, who in (("ACTIVE", "bob"), ("COMPLETED", "ann"), ("GOAL_MET", "cat")):
        assert await story.met({"inWorkflow": {**welcome, "status": status}}) == {who}
    await story.archive(story.ids["ann"])
    assert await story.met({"inWorkflow": {**welcome, "status": "COMPLETED"}}) == set()


async def test_what_such_filters_listen_to(story: World) -> None:
    catalogue = await story.catalogue()
    contacts, companies = catalogue.by_name["contacts"], catalogue.by_name["companies"]
    back = catalogue.unlabelled(companies.id, contacts.id).id
    vip, welcome = story.names["VIP"], story.names["Welcome"]

    async def heard(definition: Any) -> set[tuple[str, int]]:
        bound = await story.bind(definition)
        return {(one.kind, one.id) for one in filters.references(bound, contacts.id, catalogue)}

    text = contacts.properties["text"].id
    assert await heard(leaf("text", "HAS_EVER_BEEN", "x")) == {("PROPERTY", text)}
    assert await heard(leaf("text", "UPDATED_IN_LAST", 1, unit="DAY")) == {("PROPERTY", text)}
    assert await heard({"inSegment": {"segment": vip}}) == {("SEGMENT", ids.decode("segment", vip))}
    assert await heard({"inWorkflow": {"workflow": welcome}}) == {
        ("WORKFLOW", ids.decode("workflow", welcome))
    }
    assert await heard({"source": {"sources": ["API"]}}) == {("CHANGED", contacts.id)}
    assert await heard({"source": {"sources": ["API"], "change": "CREATED"}}) == set()
    assert await heard({"field": {"name": "CREATED_AT", "operator": "KNOWN"}}) == set()
    assert await heard({"field": {"name": "UPDATED_AT", "operator": "KNOWN"}}) == {("CHANGED", contacts.id)}
    bound = await story.bind(
        associated("companies", {"field": {"name": "LAST_ASSOCIATION_CHANGE_AT", "operator": "KNOWN"}})
    )
    assert Reference("CONNECTED", companies.id, (back,)) in filters.references(bound, contacts.id, catalogue)


# What is no number of days.
AMOUNTS: tuple[Any, ...] = (0, -1, 1.5, "1", True, 10**9, [1], {})


def made(operator: str, **words: Any) -> dict[str, Any]:
    """A leaf on when a record was made."""
    return {"field": {"name": "CREATED_AT", "operator": operator, **words}}


REFUSED: list[tuple[Any, str, tuple[Any, ...]]] = [
    (leaf("born", "LESS_THAN_AGO", 1), "MALFORMED_LEAF", ("property", "unit")),
    (leaf("born", "LESS_THAN_AGO", 1, unit="HOUR"), "UNKNOWN_UNIT", ("property", "unit")),
    (leaf("seen", "LESS_THAN_AGO", 1, unit="FORTNIGHT"), "UNKNOWN_UNIT", ("property", "unit")),
    (leaf("born", "LESS_THAN_AGO", unit="DAY"), "VALUES_MISSING", ("property", "value")),
    *(
        (leaf("born", "LESS_THAN_AGO", value, unit="DAY"), "MALFORMED_LEAF", ("property", "value"))
        for value in AMOUNTS
    ),
    (leaf("born", "IN_THIS", 1, unit="DAY"), "VALUES_MISSING", ("property", "value")),
    (leaf("seen", "IN_THIS", unit="HOUR"), "UNKNOWN_UNIT", ("property", "unit")),
    (leaf("born", "ON", "2026-01-01", unit="DAY"), "MALFORMED_LEAF", ("property", "unit")),
    (leaf("text", "LESS_THAN_AGO", 1, unit="DAY"), "OPERATOR_DOES_NOT_FIT", ("property", "operator")),
    (leaf("born", "AFTER", other="died", unit="DAY"), "MALFORMED_LEAF", ("property", "unit")),
    (leaf("born", "AFTER", other="died", offset=1), "MALFORMED_LEAF", ("property", "unit")),
    (leaf("born", "AFTER", other="died", offset=1, unit="HOUR"), "UNKNOWN_UNIT", ("property", "unit")),
    (leaf("born", "AFTER", other="died", offset=10**7, unit="DAY"), "MALFORMED_LEAF", ("property", "offset")),
    (leaf("grade", "EQUALS", other="points", offset=1, unit="DAY"), "MALFORMED_LEAF", ("property", "offset")),
    (leaf("extra", "HAS_EVER_BEEN", 1), "OPERATOR_DOES_NOT_FIT", ("property", "operator")),
    (leaf("grade", "HAS_EVER_CONTAINED", 1), "OPERATOR_DOES_NOT_FIT", ("property", "operator")),
    (leaf("color", "HAS_EVER_BEEN", "pink"), "INVALID_VALUE", ("property", "value")),
    (leaf("text", "UPDATED_IN_LAST", 0, unit="DAY"), "MALFORMED_LEAF", ("property", "value")),
    ({"field": {"name": "BORN_AT", "operator": "KNOWN"}}, "UNKNOWN_FIELD", ("field", "name")),
    (made("HAS_EVER_BEEN", value=1), "OPERATOR_DOES_NOT_FIT", ("field", "operator")),
    (made("BEFORE", value="soon"), "INVALID_VALUE", ("field", "value")),
    (made("BEFORE", other="seen"), "MALFORMED_LEAF", ("field",)),
    ({"source": {}}, "MALFORMED_LEAF", ("source",)),
    ({"source": {"sources": [], "import": "imp_1"}}, "MALFORMED_LEAF", ("source",)),
    ({"source": {"sources": []}}, "MALFORMED_LEAF", ("source", "sources")),
    ({"source": {"sources": ["API", 5]}}, "MALFORMED_LEAF", ("source", "sources", 1)),
    ({"source": {"sources": ["API"], "change": "BROKEN"}}, "MALFORMED_LEAF", ("source", "change")),
    ({"source": {"import": "seg_1"}}, "MALFORMED_ID", ("source", "import")),
    ({"inSegment": {"segment": "seg_99"}}, "UNKNOWN_SEGMENT", ("inSegment", "segment")),
    ({"inSegment": {"segment": 5}}, "MALFORMED_LEAF", ("inSegment", "segment")),
    ({"inSegment": {"segment": "nonsense"}}, "MALFORMED_ID", ("inSegment", "segment")),
    ({"inWorkflow": {"workflow": "wfl_99"}}, "UNKNOWN_WORKFLOW", ("inWorkflow", "workflow")),
    (
        associated("companies", {"inSegment": {"segment": "VIP"}}),
        "SEGMENT_OF_ANOTHER_TYPE",
        ("associated", "where", "inSegment", "segment"),
    ),
    (
        associated("companies", {"inWorkflow": {"workflow": "Welcome"}}),
        "WORKFLOW_OF_ANOTHER_TYPE",
        ("associated", "where", "inWorkflow", "workflow"),
    ),
    ({"inWorkflow": {"workflow": "Welcome", "status": "LOST"}}, "MALFORMED_LEAF", ("inWorkflow", "status")),
    ({"inWorkflow": {"workflow": "Welcome", "negated": 1}}, "MALFORMED_LEAF", ("inWorkflow", "negated")),
]  # fmt: skip


async def test_what_is_wrong_is_told_by_code_and_path(story: World) -> None:
    for definition, code, path in REFUSED:
        with pytest.raises(Refused) as refused:
            await story.bind(named(story, definition))
        (problem,) = refused.value.problems
        assert (problem.code, problem.path) == (code, path), definition
        assert problem.message


async def test_a_definition_breaks_with_what_it_names_and_says_so(story: World) -> None:
    definition = {
        "or": [{"inSegment": {"segment": story.names["VIP"]}}, leaf("text", "HAS_EVER_BEEN", "lead")]
    }

    async def broken() -> list[tuple[str, tuple[Any, ...]]]:
        catalogue = await story.catalogue()
        found = filters.problems(definition, catalogue.by_name["contacts"], catalogue)
        return [(problem.message, problem.path) for problem in found]

    assert await broken() == []
    async with story.db.transaction(story.account, now=T1, actor=story.actor, defining=True) as tx:
        await segments.delete(tx, ids.decode("segment", story.names["VIP"]))
    [(message, path)] = await broken()
    assert story.names["VIP"] in message
    assert path == ("or", 0, "inSegment", "segment")


async def test_every_leaf_counts(story: World) -> None:
    parts = [{"inSegment": {"segment": story.names["VIP"]}}, {"source": {"sources": ["API"]}}]
    parts += [{"field": {"name": "CREATED_AT", "operator": "KNOWN"}}, leaf("text", "HAS_EVER_BEEN", "x")]
    parts += [{"inWorkflow": {"workflow": story.names["Welcome"]}}]
    assert filters.leaves({"and": [*parts, associated("companies", {"or": parts[1:4]})]}) == 9
    with pytest.raises(Refused) as refused:
        await story.bind({"and": parts * 51})
    assert refused.value.problems[0].details == {"count": 255, "limit": 250}


# --- explanations -------------------------------------------------------------------------------------------


async def explained(found: World, definition: Any, name: str) -> Any:
    """An explanation, as it comes back from being kept."""
    catalogue = await found.catalogue()
    contacts = catalogue.by_name["contacts"]
    bound, spelled = await found.bind(definition), filters.explicit(definition, contacts)
    async with found.db.snapshot(found.account) as reader:
        told = await explain(reader, catalogue, spelled, bound, found.ids[name], contacts.id, now=found.now)
    return orjson.loads(orjson.dumps(told))


async def test_an_explanation_tells_each_part_with_what_was_seen(story: World) -> None:
    definition = {
        "and": [
            leaf("text", "EQUALS", "lead"),
            {"not": leaf("text", "HAS_NEVER_BEEN", "lead")},
            {
                "or": [
                    leaf("text", "UPDATED_IN_LAST", 1, unit="DAY"),
                    {"inSegment": {"segment": story.names["VIP"]}},
                ]
            },
            {"source": {"change": "CREATED", "sources": ["IMPORT"]}},
            {"inWorkflow": {"workflow": story.names["Welcome"], "status": "ACTIVE"}},
            leaf("text", "EQUALS", other="found"),
        ]
    }
    told = await explained(story, definition, "ann")
    assert (told["kind"], told["holds"], told["path"]) == ("and", False, [])
    equal, never, either, source, flow, pair = told["parts"]
    assert equal == {
        "kind": "property",
        "holds": False,
        "path": ["and", 0],
        "expected": {"name": "text", "operator": "EQUALS", "value": "lead", "includeEmpty": False},
        "actual": "customer",
    }
    assert (never["holds"], never["parts"][0]["holds"]) == (True, False)
    assert sorted(never["parts"][0]["actual"]) == ["customer", "lead"]
    assert never["parts"][0]["path"] == ["and", 1, "not"]
    updated, member = either["parts"]
    assert (updated["holds"], updated["window"]) == (True, {"from": "2026-03-09T14:00:00.000Z"})
    assert updated["actual"] == "2026-03-10T12:00:00.000Z"
    assert (member["holds"], member["actual"]) == (True, {"joinedAt": "2026-03-10T14:00:00.000Z"})
    assert source["holds"] is False
    assert {"change": "UPDATED", "source": "WORKFLOW", "sourceId": "3"} in source["actual"]
    assert (flow["holds"], flow["actual"]) == (False, ["COMPLETED"])
    assert (pair["holds"], pair["actual"]) == (False, {"text": "customer", "found": None})


async def test_an_explanation_shows_who_was_looked_at_the_decisive_ones_first(db: Database) -> None:
    found = await world(db)
    await found.make(ann={}, bob={})
    companies = {f"c{n:02}": {"city": "Rome" if n == 29 else "Oslo"} for n in range(30)}
    await found.make("companies", **companies)
    await found.join(*(("ann", name) for name in companies), ("ann", "c29", "billing"))
    rome = leaf("city", "EQUALS", "Rome")
    told = await explained(found, associated("companies", rome), "ann")
    assert (told["holds"], told["actual"], told["lookedAtCount"], len(told["lookedAt"])) == (True, 30, 30, 20)
    first, second = told["lookedAt"][:2]
    assert first["record"] == ids.encode("record", found.ids["c29"])
    assert (first["labels"], first["holds"]) == (["billing"], True)
    assert first["where"]["actual"] == "Rome"
    assert first["where"]["path"] == ["associated", "where"]
    assert (second["holds"], second["where"]["actual"]) == (False, "Oslo")
    every = await explained(found, associated("companies", rome, quantifier="ALL"), "ann")
    assert every["holds"] is False
    assert {one["holds"] for one in every["lookedAt"]} == {False}
    # What a counter answers is shown all the same; who never had any has no number.
    counted = await explained(found, associated("companies", labels=["billing"]), "ann")
    assert [one["record"] for one in counted["lookedAt"]] == [first["record"]]
    never = await explained(found, associated("companies"), "bob")
    assert (never["holds"], never["actual"], never["lookedAt"]) == (False, None, [])
    await found.archive(found.ids["bob"])
    assert await explained(found, rome, "bob") is None


async def test_of_a_hub_nobody_is_shown_where_counters_answer(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await world(db)
    await found.make(ann={})
    await found.make("companies", **{f"c{n}": {"city": "Rome"} for n in range(6)})
    await found.join(*(("ann", f"c{n}") for n in range(6)))
    monkeypatch.setattr(fetching, "FACTS_HELD", 3)
    told = await explained(found, associated("companies"), "ann")
    assert (told["holds"], told["actual"], told["lookedAt"]) == (True, 6, [])
    with pytest.raises(ExplanationTooWide):
        await explained(found, associated("companies", leaf("city", "KNOWN")), "ann")


async def test_explanations_decide_as_sql_does(db: Database) -> None:
    found = await populated(db, seed=13)
    loop = asyncio.get_running_loop()
    catalogue = await found.catalogue()
    contacts = catalogue.by_name["contacts"]
    numbers = sorted(found.ids.values())

    async def check(definition: Any, now: datetime) -> None:
        definition = named(found, definition)
        bound, spelled = await found.bind(definition), filters.explicit(definition, contacts)
        async with found.db.snapshot(found.account) as reader:
            met = await facts.met(reader, bound, contacts.id, numbers, now=now)
            for record_id in numbers[::7]:
                told = await explain(reader, catalogue, spelled, bound, record_id, contacts.id, now=now)
                assert (told is not None and told["holds"]) is (record_id in met)
                orjson.dumps(told)

    @settings(
        max_examples=60,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(trees("contacts", depth=2), clocks())
    def agree(definition: Any, now: datetime) -> None:
        asyncio.run_coroutine_threadsafe(check(definition, now), loop).result()

    await asyncio.to_thread(agree)
