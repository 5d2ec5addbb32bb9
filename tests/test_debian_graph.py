"""A real graph: it loads whole, answers from a leaf to its hubs, and a workflow marks it by its labelled neighbours."""

import csv
import gzip
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from engine import cursors, imports
from engine.evaluation import run as evaluate
from engine.imports import Report
from engine.imports.labels import split_labels
from engine.segments import fill
from engine.workflows import backfill, steps
from server.app import create_app
from server.limits import Limits
from storage import changes
from storage.database import Database
from tests.face import T0, Client, opened
from tests.served import Talk, served, talk

FILES = Path(__file__).parent.parent / "examples" / "debian-graph"
QUERY = (FILES / "query.graphql").read_text()
LABELS = [
    ("Depends on", "Required by"),
    ("Pre-depends on", "Pre-required by"),
    ("Recommends", "Recommended by"),
    ("Suggests", "Suggested by"),
]
NEEDED = {"Depends on", "Pre-depends on"}
PACKAGES: dict[str, Any] = {"from_type": "packages", "from_key": "package_name"}
TO_PACKAGES: dict[str, Any] = {"to_type": "packages", "to_key": "package_name"}
TO_SOURCES: dict[str, Any] = {"to_type": "sources", "to_key": "source_name", "to_column": "source_name"}

# Every association and label stands in both directions, and every counter tells the truth.
AT_ODDS = """
    SELECT (SELECT count(*) FROM association AS a
              JOIN association_type AS t ON t.account_id = $1 AND t.id = a.type_id
              JOIN record AS f ON f.account_id = $1 AND f.id = a.from_id
              LEFT JOIN association AS b ON b.account_id = $1 AND b.from_id = a.to_id
               AND b.to_object_type_id = f.object_type_id AND b.to_id = a.from_id AND b.type_id = t.inverse_id
             WHERE a.account_id = $1 AND b.from_id IS NULL),
           (SELECT count(*) FROM (
              SELECT a.from_id, a.type_id, count(*) AS n FROM association AS a
               WHERE a.account_id = $1 GROUP BY a.from_id, a.type_id) AS held
              FULL JOIN (SELECT c.record_id, c.type_id, c.n FROM association_count AS c
                          WHERE c.account_id = $1) AS told
                ON told.record_id = held.from_id AND told.type_id = held.type_id
             WHERE held.n IS DISTINCT FROM told.n),
           (SELECT count(*) FROM association AS a WHERE a.account_id = $1)
"""

HUB = """
query ($after: String) {
  record(objectType: "packages", by: {property: "package_name", value: "libc6"}) {
    associations(to: "packages", labels: ["required_by"], first: 500, after: $after) {
      pageInfo { hasNextPage endCursor }
      edges { node { displayName } }
    }
  }
}
"""

WATCH = """
subscription ($workflow: ID!, $after: String!) {
  enrollmentEvents(workflow: $workflow, after: $after) { kind record { displayName } }
}
"""

GAMES = {
    "triggers": [
        {
            "filterMet": {
                "where": {
                    "and": [
                        {"property": {"name": "section", "operator": "ANY_OF", "values": ["games"]}},
                        {
                            "associated": {
                                "to": "packages",
                                "labels": ["depends_on"],
                                "where": {
                                    "property": {
                                        "name": "package_name",
                                        "operator": "ANY_OF",
                                        "values": ["libgl1"],
                                    }
                                },
                            }
                        },
                    ]
                }
            }
        }
    ],
    "actions": [{"setProperty": {"property": "priority", "value": "graphics"}}],
}


def rows(name: str) -> Iterator[dict[str, str]]:
    with gzip.open(FILES / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


class Facts:
    """The same files, read by nothing of ours."""

    def __init__(self) -> None:
        self.packages = {row["package_name"]: row for row in rows("packages")}
        self.relations = {
            (row["from_package"], row["to_package"]): row["labels"].split(";") for row in rows("relations")
        }
        self.depends: dict[str, set[str]] = defaultdict(set)
        self.needs: dict[str, set[str]] = defaultdict(set)
        self.dependents: dict[str, set[str]] = defaultdict(set)
        for (near, far), labels in self.relations.items():
            if "Depends on" in labels:
                self.depends[near].add(far)
                self.dependents[far].add(near)
            if NEEDED & set(labels):
                self.needs[near].add(far)


@pytest.mark.slow
async def test_the_real_graph_loads_answers_and_works(db: Database) -> None:
    facts = Facts()
    # How long a slow machine counts all of it decides nothing here.
    async with opened(db, limits=Limits(seconds=600)) as client:
        await load(db, client.account_id, facts)
        # As autovacuum does within seconds; which it is, decides no clock here.
        await db.pool.execute("ANALYZE")
        await ask(client, facts)
        await page_through_the_hub(client, facts)
        await let_a_report_count(client, facts)
        await let_a_workflow_mark(db, client, facts)
        await let_segments_follow(db, client, facts)


async def load(db: Database, account: int, facts: Facts) -> None:
    """All files, as the example's script loads them; a second time changes nothing."""
    moments = (T0 + timedelta(seconds=n) for n in itertools.count())

    def clock() -> datetime:
        return next(moments)

    async def records(name: str, key: str) -> Report:
        return await imports.records(
            db, account, FILES / f"{name}.csv.gz", object_type=name, key=key, create=True, clock=clock
        )

    async def relations(name: str, ends: dict[str, Any], **words: Any) -> Report:
        return await imports.associations(
            db, account, FILES / f"{name}.csv.gz", clock=clock, **PACKAGES, **ends, **words
        )

    sources = await records("sources", "source_name")
    packages = await records("packages", "package_name")
    built_from = await relations("packages", TO_SOURCES)
    related = await relations("relations", TO_PACKAGES, create_labels=LABELS)
    assert [report.errors for report in (sources, packages, built_from, related)] == [[]] * 4
    assert (sources.created, packages.created, built_from.created) == (34_169, 63_436, 63_436)
    assert (related.read, related.unchanged) == (len(facts.relations), 0)
    pairs = {frozenset(pair) for pair in facts.relations}
    labelled = sum(len(labels) for labels in facts.relations.values())
    async with db.read(account) as reader:
        one_way, false_counters, associations = next(iter(await reader.fetch(AT_ODDS)))
    assert (one_way, false_counters) == (0, 0)
    assert associations == 2 * (63_436 + len(pairs) + labelled)
    again = await records("sources", "source_name")
    assert (again.unchanged, again.created, again.updated, again.failed) == (34_169, 0, 0, 0)


async def ask(client: Client, facts: Facts) -> None:
    """One request: a package, what it depends on three levels deep, its source, and a page of a hub's dependents."""
    answer = await client.get(QUERY, name="curl")
    package, libc = answer["package"], answer["libc"]
    assert package["properties"]["version"] == facts.packages["curl"]["version"]
    assert names(package["source"]) == [facts.packages["curl"]["source_name"]]
    assert package["dependencies"]["totalCount"] == len(facts.needs["curl"])
    assert set(names(package["dependencies"])) == facts.needs["curl"]
    deep = 0
    for edge in package["dependencies"]["edges"]:
        near = edge["node"]["displayName"]
        told = {label["label"] for label in edge["labels"]}
        assert told == set(facts.relations["curl", near])
        for second in edge["node"]["associations"]["edges"]:
            assert second["node"]["displayName"] in facts.depends[near]
            third = names(second["node"]["associations"])
            assert len(third) == min(10, len(facts.depends[second["node"]["displayName"]]))
            assert set(third) <= facts.depends[second["node"]["displayName"]]
            deep += len(third)
    assert deep > 0, "the story needs a third level"
    assert libc["dependents"] == sum(far == "libc6" for _, far in facts.relations) == 21_809
    assert len(libc["associations"]["edges"]) == 50


async def page_through_the_hub(client: Client, facts: Facts) -> None:
    """Page by page, every dependent of the largest hub comes once."""
    seen: list[str] = []
    after: str | None = None
    while True:
        page = (await client.get(HUB, after=after))["record"]["associations"]
        seen += names(page)
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert len(seen) == len(set(seen))
    assert set(seen) == facts.dependents["libc6"]


async def let_a_report_count(client: Client, facts: Facts) -> None:
    """Packages by section and by the label of their relations; one with several labels once in its section's total."""
    held: dict[str, set[str]] = defaultdict(set)
    back = dict(LABELS)
    for (near, far), labels in facts.relations.items():
        held[near] |= set(labels)
        held[far] |= {back[label] for label in labels}
    groups: Counter[tuple[str, str]] = Counter()
    for name, row in facts.packages.items():
        groups.update((row["section"] or "(No value)", label) for label in held[name] or {"(No value)"})
    sections = Counter(row["section"] or "(No value)" for row in facts.packages.values())
    told = (await client.get(REPORT))["runReport"]
    assert {tuple(key["label"] for key in row["keys"]): row["measures"] for row in told["rows"]} == {
        key: [count] for key, count in groups.items()
    }
    whole = {tuple(key and key["label"] for key in row["keys"]): row["measures"][0] for row in told["totals"]}
    assert {key[0]: count for key, count in whole.items() if key[0] and not key[1]} == sections
    assert whole[None, None] == 63_436 < sum(groups.values())


REPORT = """{ runReport(definition: {
    objectType: "packages", joins: [{to: "packages", as: "related"}]
    axes: [{property: {name: "section"}}, {label: {source: "related"}}]
  }) { rows { keys { label } measures } totals { keys { label } measures } } }"""


async def let_a_workflow_mark(db: Database, client: Client, facts: Facts) -> None:
    """Games that depend on a graphics library are marked, while a subscriber watches."""
    workflow = (
        await client.do(
            "createWorkflow",
            "workflow { id version } userErrors { message path }",
            {"name": "Games that need graphics", "objectType": "packages", **GAMES},
        )
    )["workflow"]
    await client.do(
        "publishWorkflow",
        "userErrors { message path }",
        {"id": workflow["id"], "version": workflow["version"]},
    )
    async with db.read(client.account_id) as reader:
        here = cursors.encode(client.account_id, await changes.last(reader))
    async with served(create_app(db)) as path, talk(path, key=client.key) as socket:
        await socket.subscribe("games", WATCH, workflow=workflow["id"], after=here)
        await mark(db, client, facts, workflow["id"], socket)


async def mark(db: Database, client: Client, facts: Facts, workflow: str, watcher: Talk) -> None:
    """Turn it on; then let one more package come to depend on the library. The watcher hears of each once."""
    await client.do(
        "setWorkflowEnabled",
        "userErrors { message path }",
        {"id": workflow, "enabled": True, "enrollExisting": True},
    )
    await work(db)
    games = {name for name, row in facts.packages.items() if row["section"] == "games"}
    expected = games & facts.dependents["libgl1"]
    assert len(expected) > 100
    assert await marked(client) == expected
    assert sorted([await completed(watcher) for _ in expected]) == sorted(expected)
    newcomer = min(games - expected)
    ends = [
        (await client.get("query ($name: JSON!) { record(objectType: \"packages\", "
         "by: {property: \"package_name\", value: $name}) { id } }", name=name))["record"]["id"]
        for name in (newcomer, "libgl1")
    ]  # fmt: skip
    await client.do(
        "addLabels",
        "userErrors { message path }",
        {"associations": [{"fromId": ends[0], "toId": ends[1], "labels": ["depends_on"]}]},
    )
    await work(db)
    assert await marked(client) == expected | {newcomer}
    assert await completed(watcher) == newcomer


async def let_segments_follow(db: Database, client: Client, facts: Facts) -> None:
    """Segments over one level and over two, of labels: filled, and right after a change at a hub far away."""
    hub, library = "python3", "libgl1"
    sections = {name: facts.packages[name]["section"] for name in (hub, library)}
    near = facts.dependents[hub]
    far = set().union(*(facts.dependents[name] for name in facts.dependents[library]))
    assert min(len(near), len(far)) > 500
    two_levels = {"associated": DEPENDS | {"where": on(library, sections[library])}}
    segments = {
        await segment(client, "near the hub", on(hub, sections[hub])): near,
        await segment(client, "two from the library", two_levels): far,
    }
    await work(db)
    for ident, expected in segments.items():
        assert await members(client, ident) == expected
    for section in ("elsewhere", None):
        for name, old in sections.items():
            await client.do(
                "upsertRecords",
                "userErrors { message path }",
                {
                    "objectType": "packages",
                    "by": "package_name",
                    "records": [{"properties": {"package_name": name, "section": section or old}}],
                },
            )
        await work(db)
        for ident, expected in segments.items():
            assert await members(client, ident) == (set() if section else expected)


DEPENDS: dict[str, Any] = {"to": "packages", "labels": ["depends_on"]}


def on(name: str, section: str) -> dict[str, Any]:
    """The filter: depends on the package of this name while it is in this section."""
    named = {"property": {"name": "package_name", "operator": "EQUALS", "value": name}}
    placed = {"property": {"name": "section", "operator": "EQUALS", "value": section}}
    return {"associated": DEPENDS | {"where": {"and": [named, placed]}}}


async def segment(client: Client, name: str, where: dict[str, Any]) -> str:
    """A new active segment's id."""
    made = await client.do(
        "createSegment",
        "segment { id } userErrors { message path }",
        {"name": name, "objectType": "packages", "where": where},
    )
    return str(made["segment"]["id"])


async def members(client: Client, ident: str) -> set[str]:
    """The names of all members, page by page; as many as the segment says that there are."""
    found: list[str] = []
    after: str | None = None
    while True:
        page = await client.get(
            """query ($id: ID!, $after: String) { segment(id: $id) { size filling members(first: 500, after: $after) {
                 pageInfo { hasNextPage endCursor } nodes { displayName } } } }""",
            id=ident,
            after=after,
        )
        found += [node["displayName"] for node in page["segment"]["members"]["nodes"]]
        if not page["segment"]["members"]["pageInfo"]["hasNextPage"]:
            break
        after = page["segment"]["members"]["pageInfo"]["endCursor"]
    assert len(found) == len(set(found)) == page["segment"]["size"]
    assert page["segment"]["filling"] is False
    return set(found)


async def completed(watcher: Talk) -> str:
    """The next package of which the watcher hears that it went through the workflow."""
    while True:
        event = (await watcher.hear())["payload"]["data"]["enrollmentEvents"]
        if event["kind"] == "ENROLLMENT_COMPLETED":
            return str(event["record"]["displayName"])


async def work(db: Database) -> None:
    """What workers do until nothing is left."""
    now = T0 + timedelta(days=1)
    while True:
        evaluated = await evaluate.run_all(db, now=now)
        await backfill.run_all(db, now=now)
        filled = await fill.run_all(db, now=now)
        if not await steps.run_due(db, now=now) and not evaluated and not filled:
            return


async def marked(client: Client) -> set[str]:
    """The packages that the workflow has marked."""
    page = (
        await client.get(
            """
            query ($where: FilterInput) {
              records(objectType: "packages", where: $where, first: 500) {
                pageInfo { hasNextPage } edges { node { displayName } } } }
            """,
            where={"property": {"name": "priority", "operator": "EQUALS", "value": "graphics"}},
        )
    )["records"]
    assert not page["pageInfo"]["hasNextPage"]
    return set(names(page))


def names(connection: dict[str, Any]) -> list[str]:
    return [edge["node"]["displayName"] for edge in connection["edges"]]


def test_the_files_use_labels_as_imports_read_them() -> None:
    assert all(split_labels(row["labels"]) == row["labels"].split(";") for row in rows("relations"))


def test_what_the_example_tells_people_to_send_fits_the_schema() -> None:
    documents = re.findall(r"```graphql\n(.*?)```", (FILES / "README.md").read_text(), re.DOTALL)
    assert len(documents) == 4
    schema = build_schema((FILES.parent.parent / "schema.graphql").read_text())
    for document in (*documents, QUERY):
        assert validate(schema, parse(document)) == []
