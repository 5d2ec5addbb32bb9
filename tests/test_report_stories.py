"""Reports as people use them, over GraphQL: asked once, saved, watched over; and what becomes of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.access import Role, Scope
from storage.database import Database
from tests.face import Client, new_key, opened

RUN = """query ($report: ID, $definition: ReportDefinitionInput) { runReport(report: $report, definition: $definition) {
    at axes measures rows { keys { value label others } measures } totals { keys { label } measures }
    categories { label } series { key { label } measure values } } }"""
SAVED = """report { id name objectType chart version definition { objectType
    joins { as from to labels unlabelled required where }
    axes { __typename ... on ReportPropertyAxis { name source bucket step top { n measure others } }
           ... on ReportLabelAxis { source top { n } } }
    measures { function source property name }
    having { measure operator value } order { measure descending } } problems { code message path } }
    userErrors { code message path details }"""


@dataclass
class Story:
    """An account that people let flats in, and its companies."""

    client: Client
    ids: dict[str, str] = field(default_factory=dict)

    async def create(self, kind: str, **given: dict[str, Any]) -> None:
        """Records, by their names in the story."""
        records = [{"properties": one} for one in given.values()]
        made = await self.client.do(
            "createRecords",
            "results { record { id } } userErrors { code message path }",
            {"objectType": kind, "records": records},
        )
        assert not made["userErrors"], made
        self.ids |= {name: one["record"]["id"] for name, one in zip(given, made["results"], strict=True)}

    async def join(self, *pairs: tuple[str, ...]) -> None:
        """Associate (from, to, label, …)."""
        asked = [
            {"fromId": self.ids[one], "toId": self.ids[other], "labels": list(labels)}
            for one, other, *labels in pairs
        ]
        made = await self.client.do("associate", "userErrors { code message path }", {"associations": asked})
        assert not made["userErrors"], made

    async def label(self, near: str, far: str, text: str, name: str) -> str:
        """A new label's id."""
        made = await self.client.do(
            "createAssociationLabel",
            "associationLabel { id } userErrors { code message }",
            {"from": near, "to": far, "label": text, "name": name},
        )
        return str(made["associationLabel"]["id"])

    async def run(self, report: str | None = None, **definition: Any) -> dict[str, Any]:
        """What a report says."""
        found = await self.client.get(RUN, report=report, definition=definition or None)
        result: dict[str, Any] = found["runReport"]
        return result

    async def save(self, name: str, **definition: Any) -> dict[str, Any]:
        """A saved report."""
        made = await self.client.do("createReport", SAVED, {"name": name, "definition": definition})
        assert not made["userErrors"], made
        report: dict[str, Any] = made["report"]
        return report


@pytest.fixture
async def story(db: Database) -> AsyncIterator[Story]:
    """Contacts by traffic source, listings with how long they are rented; a parent company and its children."""
    async with opened(db) as client:
        told = Story(client)
        await client.do("updateObjectType", "userErrors { code }", {"name": "listings", "active": True})
        await told.label("contacts", "listings", "Short-term", "short_term")
        await told.label("contacts", "listings", "Long-term", "long_term")
        await told.create(
            "contacts",
            ann={"firstname": "Ann", "original_source": "events"},
            bob={"firstname": "Bob", "original_source": "referrals"},
            cid={"firstname": "Cid", "original_source": "events"},
            dan={"firstname": "Dan"},
        )
        await told.create("listings", flat={"name": "Flat"}, house={"name": "House"})
        # Ann rents one both ways, and Bob two short-term; Cid has an eye on one; Dan has none.
        await told.join(("ann", "flat", "short_term", "long_term"), ("bob", "flat", "short_term"))
        await told.join(("bob", "house", "short_term"), ("cid", "house"))
        await told.create(
            "companies",
            parent={"name": "Parent", "annualrevenue": 900},
            one={"name": "One", "annualrevenue": 100},
            two={"name": "Two", "annualrevenue": 20},
            other={"name": "Other", "annualrevenue": 7},
        )
        await told.join(("parent", "one", "child"), ("parent", "two", "child"))
        yield told


def groups(result: dict[str, Any]) -> dict[tuple[str, ...], list[float | None]]:
    """{labels of the keys: measures}."""
    return {tuple(key["label"] for key in row["keys"]): row["measures"] for row in result["rows"]}


def totals(result: dict[str, Any]) -> dict[tuple[str | None, ...], list[float | None]]:
    """{labels of the keys, None where an axis is not told apart: measures}."""
    return {
        tuple(None if key is None else key["label"] for key in row["keys"]): row["measures"]
        for row in result["totals"]
    }


LISTINGS: dict[str, Any] = {
    "objectType": "contacts",
    "joins": [{"to": "listings"}],
    "axes": [{"label": {"source": "listings"}}, {"property": {"name": "original_source"}}],
}


async def test_all_child_companies_of_a_parent_with_their_yearly_revenue(story: Story) -> None:
    told = await story.run(
        objectType="companies",
        where={"property": {"name": "name", "operator": "EQUALS", "value": "Parent"}},
        joins=[{"to": "companies", "as": "children", "labels": ["child"], "required": True}],
        axes=[{"property": {"source": "children", "name": "name"}}],
        measures=[{"function": "SUM", "source": "children", "property": "annualrevenue"}],
        order={"measure": 0, "descending": True},
    )
    assert told["rows"] == [
        {"keys": [{"value": "One", "label": "One", "others": False}], "measures": [100]},
        {"keys": [{"value": "Two", "label": "Two", "others": False}], "measures": [20]},
    ]
    assert totals(told) == {(None,): [120]}
    assert told["series"] == [{"key": None, "measure": 0, "values": [100, 20]}]


async def test_contacts_by_listing_label_broken_down_by_original_traffic_source(story: Story) -> None:
    told = await story.run(**LISTINGS)
    assert groups(told) == {
        ("Short-term", "Events"): [1],
        ("Short-term", "Referrals"): [1],
        ("Long-term", "Events"): [1],
        # Cid has a listing without a label, Dan none at all.
        ("(No value)", "Events"): [1],
        ("(No value)", "(No value)"): [1],
    }
    # Ann counts under both labels, and once in what they come to.
    assert totals(told) == {
        ("Short-term", None): [2],
        ("Long-term", None): [1],
        ("(No value)", None): [2],
        (None, "Events"): [2],
        (None, "Referrals"): [1],
        (None, "(No value)"): [1],
        (None, None): [4],
    }
    assert told["rows"][0]["keys"][0] == {"value": "short_term", "label": "Short-term", "others": False}
    assert [one["label"] for one in told["categories"]] == ["Short-term", "Long-term", "(No value)"]
    assert [(one["key"]["label"], one["values"]) for one in told["series"]] == [
        ("Referrals", [1, None, None]),
        ("Events", [1, 1, 1]),
        ("(No value)", [None, None, 1]),
    ]


async def test_only_contacts_whose_listing_label_is_short_term(story: Story) -> None:
    asked = {**LISTINGS, "joins": [{"to": "listings", "labels": ["short_term"], "required": True}]}
    told = await story.run(**asked)
    assert groups(told) == {("Short-term", "Events"): [1], ("Short-term", "Referrals"): [1]}
    assert totals(told)[None, None] == [2]
    # The same through a filter, which then counts Ann under her other label as well.
    where = {"associated": {"to": "listings", "labels": ["short_term"]}}
    assert groups(await story.run(**LISTINGS, where=where)) == {
        ("Short-term", "Events"): [1],
        ("Short-term", "Referrals"): [1],
        ("Long-term", "Events"): [1],
    }


async def test_the_direction_of_a_paired_label_changes_the_answer(story: Story) -> None:
    async def through(label: str) -> Any:
        return groups(
            await story.run(
                objectType="companies",
                joins=[{"to": "companies", "as": "other", "labels": [label], "required": True}],
                axes=[{"property": {"name": "name"}}],
                measures=[{"function": "SUM", "source": "other", "property": "annualrevenue"}],
            )
        )

    assert await through("child") == {("Parent",): [120]}
    assert await through("parent") == {("One",): [900], ("Two",): [900]}


async def test_a_saved_report_is_read_again_as_it_was_written(story: Story) -> None:
    made = await story.save(
        "Renters",
        **LISTINGS | {"axes": [{"label": {"source": "listings", "top": {"n": 3}}}]},
        where={"property": {"name": "city", "operator": "NOT_EQUALS", "value": "Rome"}},
        having=[{"operator": "GREATER_THAN", "value": 0}],
        order={"measure": 0, "descending": True},
    )
    assert made["definition"] == {
        "objectType": "contacts",
        "joins": [
            {
                "as": None,
                "from": None,
                "to": "listings",
                "labels": None,
                "unlabelled": False,
                "required": False,
                "where": None,
            }
        ],
        "axes": [{"__typename": "ReportLabelAxis", "source": "listings", "top": {"n": 3}}],
        "measures": [],
        "having": [{"measure": 0, "operator": "GREATER_THAN", "value": 0}],
        "order": {"measure": 0, "descending": True},
    }
    assert (made["version"], made["chart"], made["problems"]) == (1, "BAR", [])
    told = await story.run(made["id"])
    # Contacts without a city are not in Rome.
    assert groups(told) == {("Short-term",): [2], ("(No value)",): [2], ("Long-term",): [1]}
    listed = await story.client.get("{ reports { nodes { id name } pageInfo { hasNextPage } } }")
    assert listed["reports"]["nodes"] == [{"id": made["id"], "name": "Renters"}]


async def test_an_edit_names_the_version_that_it_read(story: Story) -> None:
    made = await story.save("Renters", **LISTINGS)
    edit = {"id": made["id"], "version": 1, "chart": "TABLE"}
    assert (await story.client.do("updateReport", SAVED, edit))["report"]["version"] == 2
    stale = await story.client.do("updateReport", SAVED, edit)
    assert [one["code"] for one in stale["userErrors"]] == ["STALE_REPORT"]
    taken = await story.client.do("createReport", SAVED, {"name": "Renters", "definition": LISTINGS})
    assert [(one["code"], one["path"]) for one in taken["userErrors"]] == [
        ("REPORT_NAME_TAKEN", ["input", "name"])
    ]
    gone = await story.client.do("deleteReport", "deletedId userErrors { code }", {"id": made["id"]})
    assert gone == {"deletedId": made["id"], "userErrors": []}
    answer = await story.client.ask(RUN, report=made["id"])
    assert [one["extensions"]["code"] for one in answer["errors"]] == ["NOT_FOUND"]


async def test_what_is_wrong_with_a_definition_is_told_where_it_stands(story: Story) -> None:
    wrong = LISTINGS | {"axes": [{"property": {"name": "nothing"}}]}
    made = await story.client.do("createReport", SAVED, {"name": "Wrong", "definition": wrong})
    assert made["report"] is None
    assert [(one["code"], one["path"]) for one in made["userErrors"]] == [
        ("UNKNOWN_PROPERTY", ["input", "definition", "axes", 0, "property", "name"])
    ]
    answer = await story.client.ask(RUN, definition=wrong)
    assert [one["extensions"]["code"] for one in answer["errors"]] == ["UNKNOWN_PROPERTY"]
    for both in ({}, {"report": "rpt_1", "definition": LISTINGS}):
        answer = await story.client.ask(RUN, **both)
        assert [one["extensions"]["code"] for one in answer["errors"]] == ["INVALID_INPUT"]


async def test_a_report_uses_its_labels_which_others_may_replace(story: Story) -> None:
    old = await story.label("companies", "contacts", "Old", "old")
    new = await story.label("companies", "contacts", "New", "new")
    made = await story.save(
        "By label",
        objectType="companies",
        joins=[
            {
                "to": "contacts",
                "labels": ["old"],
                "where": {"associated": {"to": "companies", "labels": ["old"]}},
            }
        ],
        where={"associated": {"to": "contacts", "labels": ["old"]}},
    )
    usage = """query ($id: ID!) { labelUsage(id: $id) { reportCount inUse uses { kind id name path } } }"""
    told = (await story.client.get(usage, id=old))["labelUsage"]
    assert told["reportCount"] == 1
    assert [(one["kind"], one["id"], one["path"]) for one in told["uses"]] == [
        ("REPORT", made["id"], ["where", "associated", "labels", 0]),
        ("REPORT", made["id"], ["joins", 0, "labels", 0]),
        ("REPORT", made["id"], ["joins", 0, "where", "associated", "labels", 0]),
    ]
    refused = await story.client.do("deleteAssociationLabel", "userErrors { code message }", {"id": old})
    assert [one["code"] for one in refused["userErrors"]] == ["LABEL_IN_USE"]
    assert 'joins.0.labels.0 in the report "By label"' in refused["userErrors"][0]["message"]
    await story.client.do(
        "replaceAssociationLabel", "userErrors { code message }", {"from": old, "to": new, "delete": True}
    )
    found = await story.client.get(
        "query ($id: ID!) { report(id: $id) { version problems { code } definition { joins { labels where } } } }",
        id=made["id"],
    )
    assert found["report"]["version"] == 2
    assert found["report"]["problems"] == []
    assert found["report"]["definition"]["joins"][0]["labels"] == ["new"]
    assert (await story.client.get(usage, id=new))["labelUsage"]["reportCount"] == 1


async def test_a_report_whose_property_is_put_away_says_so_and_others_go_on(story: Story) -> None:
    await story.client.do(
        "createProperty",
        "userErrors { code }",
        {"objectType": "contacts", "name": "mood", "label": "Mood", "type": "STRING"},
    )
    report = await story.save(
        "Moods", objectType="contacts", axes=[{"property": {"name": "mood"}}], measures=[]
    )
    whole = await story.save("All", objectType="contacts")
    uses = await story.client.get(
        """{ objectType(name: "contacts") { properties { name uses { kind id path } } } }"""
    )
    [mood] = [one for one in uses["objectType"]["properties"] if one["name"] == "mood"]
    assert mood["uses"] == [{"kind": "REPORT", "id": report["id"], "path": ["axes", 0, "property", "name"]}]
    await story.client.do(
        "archiveProperty", "userErrors { code }", {"objectType": "contacts", "name": "mood"}
    )
    answer = await story.client.ask(RUN, report=report["id"])
    assert [one["extensions"]["code"] for one in answer["errors"]] == ["REPORT_BROKEN"]
    listed = await story.client.get("{ reports { nodes { name problems { code path } } } }")
    assert listed["reports"]["nodes"] == [
        {
            "name": "Moods",
            "problems": [{"code": "UNKNOWN_PROPERTY", "path": ["axes", 0, "property", "name"]}],
        },
        {"name": "All", "problems": []},
    ]
    assert (await story.run(whole["id"]))["rows"] == [{"keys": [], "measures": [4]}]


async def test_what_a_report_filters_by_is_not_deleted(story: Story) -> None:
    made = await story.client.do(
        "createSegment",
        "segment { id } userErrors { code }",
        {"name": "Friends", "objectType": "contacts", "kind": "STATIC"},
    )
    segment = made["segment"]["id"]
    report = await story.save("Of friends", objectType="contacts", where={"inSegment": {"segment": segment}})
    node = await story.client.get(
        "query ($id: ID!) { node(id: $id) { id ... on Report { name } } }", id=report["id"]
    )
    assert node["node"] == {"id": report["id"], "name": "Of friends"}
    refused = await story.client.do("deleteSegment", "userErrors { code message }", {"id": segment})
    assert refused["userErrors"] == [
        {
            "code": "SEGMENT_USED",
            "message": 'The segment "Friends" is used by the report "Of friends"; remove it there first.',
        }
    ]
    await story.client.do("deleteReport", "deletedId", {"id": report["id"]})
    assert not (await story.client.do("deleteSegment", "userErrors { code }", {"id": segment}))["userErrors"]


async def test_whoever_reads_records_runs_reports_and_who_manages_automation_saves_them(
    db: Database, story: Story
) -> None:
    made = await story.save("Renters", **LISTINGS)
    http, account = story.client.http, story.client.account_id
    viewer = Client(http, await new_key(db, account, Role.VIEWER), account)
    assert (await viewer.get(RUN, report=made["id"]))["runReport"]["rows"]
    mutation = "mutation ($input: DeleteReportInput!) { deleteReport(input: $input) { deletedId } }"
    refused = await viewer.ask(mutation, input={"id": made["id"]})
    assert refused["errors"][0]["extensions"]["code"] == "MISSING_SCOPE"
    blind = Client(http, await new_key(db, account, Role.VIEWER, [Scope.DEFINITIONS_READ]), account)
    for query in (RUN, "{ reports { nodes { id } } }", '{ report(id: "rpt_1") { id } }'):
        answer = await blind.ask(query, **({"report": made["id"]} if query is RUN else {}))
        assert answer["errors"][0]["extensions"]["code"] == "MISSING_SCOPE"


async def test_reports_of_one_account_are_nothing_to_another(db: Database, story: Story) -> None:
    made = await story.save("Renters", **LISTINGS)
    async with opened(db, "others") as others:
        answer = await others.ask(RUN, report=made["id"])
        assert [one["extensions"]["code"] for one in answer["errors"]] == ["NOT_FOUND"]
        assert (await others.get("{ reports { nodes { id } } }"))["reports"]["nodes"] == []
        told = await others.get(RUN, definition={"objectType": "contacts"})
        assert told["runReport"]["rows"] == [{"keys": [], "measures": [0]}]


async def test_totals_are_worked_out_where_they_are_asked_for(story: Story) -> None:
    query = """query ($definition: ReportDefinitionInput) { runReport(definition: $definition) {
        rows { measures } ...more } } fragment more on ReportResult { totals { measures } }"""
    told = (await story.client.get(query, definition=LISTINGS))["runReport"]
    assert len(told["totals"]) == 7
    bare = await story.client.get(query.split("...more")[0] + "} }", definition=LISTINGS)
    assert bare["runReport"]["rows"] == told["rows"]


async def test_a_request_of_too_many_reports_is_refused_before_any_of_them_runs(story: Story) -> None:
    many = " ".join(f'r{n}: runReport(definition: {{objectType: "contacts"}}) {{ at }}' for n in range(60))
    answer = await story.client.ask(f"{{ {many} }}")
    assert answer["errors"][0]["extensions"]["code"] in ("COST_LIMIT_EXCEEDED", "ALIAS_LIMIT_EXCEEDED")
    one = await story.client.ask('{ runReport(definition: {objectType: "contacts"}) { at } }')
    assert one["extensions"]["cost"]["requested"] >= 5_000
