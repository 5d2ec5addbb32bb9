"""Anything by its id alone: the type follows from the id, and each needs what reading it elsewhere needs."""

from graphql import GraphQLInterfaceType

from engine.access import Role, Scope
from schema.node import FINDERS
from schema.root import SCHEMA
from storage.database import Database
from tests.face import Client, new_key, opened
from tests.test_workflows_face import begun, contact, work

NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"


def test_whatever_is_a_node_is_found_by_its_id() -> None:
    node = SCHEMA.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    called = {"SyncRecord": "link", "SyncPlan": "plan", "WebhookEvent": "webhook"}
    kinds = {called.get(one.name, one.name.lower()) for one in SCHEMA.get_possible_types(node)}
    assert kinds == FINDERS.keys()


async def test_records_segments_workflows_and_enrollments_are_found_by_their_ids(db: Database) -> None:
    async with opened(db) as client:
        ann = await contact(client, city="Boston")
        segment = await client.do(
            "createSegment", "segment { id }", {"name": "By hand", "objectType": "contacts", "kind": "STATIC"}
        )
        flow = await begun(client, existing=True)
        await work(db)
        enrolled = await client.get("{ enrollments { nodes { id } } }")
        (enrollment,) = (node["id"] for node in enrolled["enrollments"]["nodes"])
        kinds = {
            ann: "Record",
            segment["segment"]["id"]: "Segment",
            flow["id"]: "Workflow",
            enrollment: "Enrollment",
        }
        for ident, kind in kinds.items():
            assert (await client.get(NODE, id=ident))["node"] == {"__typename": kind, "id": ident}
        reader = Client(
            client.http, await new_key(db, client.account_id, Role.VIEWER, [Scope.RECORDS_READ]), 0
        )
        for ident, kind in kinds.items():
            answer = await reader.ask(NODE, id=ident)
            if kind in ("Record", "Segment"):
                assert answer["data"]["node"]["__typename"] == kind
            else:
                assert [error["extensions"]["code"] for error in answer["errors"]] == ["MISSING_SCOPE"]
        for nothing in ("rec_999999", "seg_999999", "wfl_999999", "enr_999999", "prp_1"):
            assert (await client.get(NODE, id=nothing))["node"] is None
