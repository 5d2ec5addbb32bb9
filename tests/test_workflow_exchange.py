"""Workflows as wholes: what differs between revisions, copies, and files that another account reads."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.workflows import exchange
from storage.database import Database
from tests.face import Client, opened

FIELDS = """userErrors { code message path } workflow { id name version enabled
  draft { triggers { __typename } actions { __typename ... on SetPropertyAction { id property value }
          ... on UnenrollAction { workflow } ... on CallWebhookAction { signed } } suppressWhen
          guards { steps reenrollmentsPerHour } } }"""
FILE = "query($id: ID!, $format: FileFormat!) { workflowFile(id: $id, format: $format) }"
DIFF = (
    "query($id: ID!, $b: Int, $a: Int) { workflowDiff(id: $id, before: $b, after: $a) { path before after } }"
)
KNOWN = {"property": {"name": "email", "operator": "KNOWN"}}

keys = st.sampled_from(["a", "b", "where", "id"])
documents = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(keys, documents), st.dictionaries(keys, documents))
def test_nothing_differs_exactly_where_the_same_is_said(one: dict[str, Any], other: dict[str, Any]) -> None:
    told = exchange.differences(one, other)
    assert exchange.differences(one, one) == []
    assert {(each.path, repr(each.after), repr(each.before)) for each in told} == {
        (each.path, repr(each.before), repr(each.after)) for each in exchange.differences(other, one)
    }
    if not told:
        assert exchange._leaves is not None
        assert dict(exchange._leaves(one, ())) == dict(exchange._leaves(other, ()))


@given(st.dictionaries(keys, documents))
def test_a_file_says_in_json_and_yaml_what_it_was_made_of(body: dict[str, Any]) -> None:
    file = {"relata": "workflow", "form": 1, **body}
    assert exchange.parsed(exchange.as_json(file)) == file
    assert exchange.parsed(exchange.as_yaml(file)) == file


async def made(client: Client, name: str, **more: Any) -> dict[str, Any]:
    given = {
        "name": name,
        "objectType": "contacts",
        "triggers": [{"filterMet": {"where": KNOWN}}],
        "actions": [{"setProperty": {"property": "jobtitle", "value": "A"}}],
    }
    answer = await client.do("createWorkflow", FIELDS, given | more)
    assert answer["userErrors"] == []
    found: dict[str, Any] = answer["workflow"]
    return found


async def test_a_copy_is_off_and_goes_its_own_way(db: Database) -> None:
    async with opened(db) as client:
        flow = await made(client, "One")
        copied = await client.do("cloneWorkflow", FIELDS, {"id": flow["id"], "name": "Two"})
        assert copied["userErrors"] == []
        assert copied["workflow"]["draft"] == flow["draft"]
        assert (copied["workflow"]["name"], copied["workflow"]["enabled"]) == ("Two", False)
        taken = await client.do("cloneWorkflow", FIELDS, {"id": flow["id"], "name": "Two"})
        assert [error["code"] for error in taken["userErrors"]] == ["WORKFLOW_NAME_TAKEN"]


async def test_what_an_edit_changed_is_told_by_the_actions_own_ids(db: Database) -> None:
    async with opened(db) as client:
        flow = await made(client, "One")
        await client.do("publishWorkflow", FIELDS, {"id": flow["id"]})
        edited = {
            "id": flow["id"],
            "version": flow["version"],
            "actions": [
                {"setProperty": {"id": "first", "property": "city", "value": "Bonn"}},
                {"setProperty": {"id": "a1", "property": "jobtitle", "value": "B"}},
            ],
        }
        assert (await client.do("updateWorkflow", FIELDS, edited))["userErrors"] == []
        told = (await client.get(DIFF, id=flow["id"], b=1, a=None))["workflowDiff"]
        found = {tuple(one["path"]): (one["before"], one["after"]) for one in told}
        assert found["actions", "order"] == (["a1"], ["first", "a1"])
        assert found["actions", "a1", "value"] == ("A", "B")
        assert found["actions", "first", "property"] == (None, "city")
        assert ("actions", "a1", "property") not in found


async def test_a_file_travels_by_names_without_secrets(db: Database) -> None:
    async with opened(db) as client, opened(db, "other") as there:
        other = await made(client, "Other")
        flow = await made(
            client,
            "Mine",
            actions=[
                {"unenroll": {"workflow": other["id"]}},
                {"callWebhook": {"url": "https://example.com/hook", "secret": "s3cret"}},
            ],
            settings={"suppressWhen": KNOWN, "guards": {"steps": 7}},
        )
        for form in ("JSON", "YAML"):
            text = (await client.get(FILE, id=flow["id"], format=form))["workflowFile"]
            assert "s3cret" not in text
            assert "name:Other" in text
            refused = await there.do("importWorkflow", FIELDS, {"content": text, "name": form})
            assert [error["code"] for error in refused["userErrors"]] == ["UNKNOWN_NAME"]
        await made(there, "Other")
        taken = await there.do("importWorkflow", FIELDS, {"content": text})
        assert taken["userErrors"] == []
        assert taken["workflow"]["name"] == "Mine"
        assert taken["workflow"]["draft"]["guards"] == {"steps": 7, "reenrollmentsPerHour": 30}
        assert taken["workflow"]["draft"]["suppressWhen"] == flow["draft"]["suppressWhen"]
        assert taken["workflow"]["draft"]["actions"][1]["signed"] is False


async def test_what_is_no_file_is_told_where(db: Database) -> None:
    async with opened(db) as client:
        flow = await made(client, "One")
        text = (await client.get(FILE, id=flow["id"], format="YAML"))["workflowFile"]
        bad = {
            "nonsense": "WORKFLOW_FILE_UNREADABLE",
            "{": "WORKFLOW_FILE_UNREADABLE",
            f"a: {'9' * 5_000}": "WORKFLOW_FILE_UNREADABLE",
            "a: &x [1]\nb: *x": "WORKFLOW_FILE_UNREADABLE",
            text.replace("actions:", "acts:"): "WORKFLOW_FILE_UNREADABLE",
            text.replace("setProperty:", "explode:"): "WORKFLOW_FILE_UNREADABLE",
            text.replace("jobtitle", "nothing"): "NOT_FOUND",
        }
        for content, code in bad.items():
            answer = await client.do("importWorkflow", FIELDS, {"content": content, "name": "New"})
            assert [error["code"] for error in answer["userErrors"]] == [code]
            assert answer["userErrors"][0]["path"][:2] == ["input", "content"]
            assert "set_int_max_str_digits" not in answer["userErrors"][0]["message"]
