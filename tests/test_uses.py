"""Who names a thing in a definition: what is asked before it is deleted or archived."""

import pytest

from engine import ids
from engine.uses import Named, of
from storage.database import Database
from tests.flows import associated, equals, set_property
from tests.segments import Segments, segments
from tests.stories import leaf, met, telling


@pytest.fixture
async def crm(db: Database) -> Segments:
    return await segments(db)


async def places(crm: Segments, kind: Named, one: int) -> list[tuple[str, int, str]]:
    """(segment or workflow, its id, where in its definition) of all uses."""
    catalogue = await crm.db.catalogue(crm.account)
    async with crm.db.read(crm.account) as reader:
        found = await of(reader, catalogue, kind, [one])
    return [(use.kind, use.id, "/".join(map(str, use.path))) for use in found[one]]


async def test_a_property_is_used_where_it_is_said_of_its_own_object_type(crm: Segments) -> None:
    near = await crm.segment("contacts", equals("city", "Boston"))
    far = await crm.segment("contacts", associated("companies", {"and": [equals("city", "Boston")]}))
    # A value is no name.
    await crm.segment("contacts", equals("jobtitle", "city"))
    acts = await crm.make("contacts", equals("jobtitle", "CEO"), set_property("city", "Paris"), name="acts")
    catalogue = await crm.db.catalogue(crm.account)

    def prop(object_type: str) -> int:
        return catalogue.by_name[object_type].properties["city"].id

    assert await places(crm, Named.PROPERTY, prop("companies")) == [
        ("segment", far, "associated/where/and/0/property/name")
    ]
    found = await places(crm, Named.PROPERTY, prop("contacts"))
    assert ("segment", near, "property/name") in found
    assert {(kind, one) for kind, one, _ in found} == {("segment", near), ("workflow", acts)}


async def test_segments_and_workflows_are_used_by_each_other_and_not_by_themselves(crm: Segments) -> None:
    base = await crm.segment("contacts", equals("city", "Boston"))
    named = {"inSegment": {"segment": ids.encode("segment", base)}}
    upon = await crm.segment("contacts", {"not": named})
    flow = await crm.make("contacts", named, set_property("jobtitle", "x"), name="flow")
    again = await crm.segment("contacts", {"inWorkflow": {"workflow": ids.encode("workflow", flow)}})
    assert {found[:2] for found in await places(crm, Named.SEGMENT, base)} == {
        ("segment", upon),
        ("workflow", flow),
    }
    assert {found[:2] for found in await places(crm, Named.WORKFLOW, flow)} == {("segment", again)}
    assert await places(crm, Named.SEGMENT, upon) == []
    assert await places(crm, Named.SEGMENT, 10**9) == []


async def test_who_names_a_thing_is_told_through_the_api(db: Database) -> None:
    async with telling(db) as story:
        filled = {"setProperty": {"property": "jobtitle", "value": "Bostonian"}}
        flow = await story.workflow("contacts", met(leaf("city", "ANY_OF", "Boston")), filled)
        where = {"inWorkflow": {"workflow": flow}}
        await story.done(
            "createSegment", "segment { id }", name="Were in it", objectType="contacts", where=where
        )
        found = await story.client.get(
            """query ($flow: ID!) {
                objectType(name: "contacts") { properties { name uses { kind id revision path } } }
                eventType(name: "page_viewed") { uses { id } }
                workflow(id: $flow) { uses { kind name path } }
            }""",
            flow=flow,
        )
    uses = {prop["name"]: prop["uses"] for prop in found["objectType"]["properties"]}
    place = ["triggers", 0, "filterMet", "where", "property", "name"]
    # The draft, and what was published.
    assert uses["city"] == [
        {"kind": "WORKFLOW", "id": flow, "revision": revision, "path": place} for revision in (None, 1)
    ]
    assert [use["path"][0] for use in uses["jobtitle"]] == ["actions", "actions"]
    assert uses["country"] == found["eventType"]["uses"] == []
    named = {"kind": "SEGMENT", "name": "Were in it", "path": ["inWorkflow", "workflow"]}
    assert found["workflow"]["uses"] == [named]
