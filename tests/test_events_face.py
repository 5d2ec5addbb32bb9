"""Events through GraphQL and HTTP: types, recording, reading, filtering."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from engine.access import Role
from storage.database import Database
from tests.face import T0, Client, new_key, opened
from tests.statements import counted

BY = {"objectType": "contacts", "property": "email", "value": "ann@acme.example"}
TYPE = """userErrors { code path } eventType { name label description objectType builtIn archivedAt
          properties(includeArchived: true) { name label type multiple archived options { value } } }"""
RESULTS = """userErrors { code path } results { recorded userErrors { code path }
             event { id type { name } properties occurredAt source record { id } } }"""


@pytest.fixture
async def client(db: Database) -> AsyncIterator[Client]:
    async with opened(db, now=lambda: T0) as found:
        records = [{"properties": {"email": f"{name}@acme.example"}} for name in ("ann", "bob")]
        given = {"objectType": "contacts", "records": records}
        await found.do("createRecords", "userErrors { code }", given)
        yield found


def view(url: str, **words: Any) -> dict[str, Any]:
    """A page view of ann's."""
    return {"type": "page_viewed", "record": {"by": BY}, "properties": {"url": url}, **words}


async def recorded(client: Client, *events: dict[str, Any], **words: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await client.do("recordEvents", RESULTS, {"events": list(events), **words})
    return answer


async def send(client: Client, body: Any, **headers: str) -> httpx.Response:
    """Post to the door for events."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = {"Content-Type": "application/json"}
    return await client.http.post(
        "/events", content=orjson.dumps(body), headers=client.headers | kind | named
    )


async def test_a_type_is_made_changed_and_put_away(client: Client) -> None:
    given = {
        "name": "bought",
        "label": "Bought something",
        "objectType": "contacts",
        "properties": [
            {"name": "amount", "type": "NUMBER"},
            {"name": "how", "type": "ENUMERATION", "options": [{"value": "CARD"}, {"value": "CASH"}]},
        ],
    }
    made = (await client.do("createEventType", TYPE, given))["eventType"]
    assert (made["name"], made["objectType"], made["builtIn"]) == ("bought", "contacts", False)
    assert [one["name"] for one in made["properties"]] == ["amount", "how"]
    change = {"name": "bought", "description": "In the shop.", "properties": given["properties"][:1]}
    changed = (await client.do("updateEventType", TYPE, change))["eventType"]
    assert changed["description"] == "In the shop."
    assert [(one["name"], one["archived"]) for one in changed["properties"]] == [
        ("amount", False),
        ("how", True),
    ]
    gone = (await client.do("archiveEventType", TYPE, {"name": "bought"}))["eventType"]
    assert gone["archivedAt"] == "2026-03-01T12:00:00.000Z"
    names = [one["name"] for one in (await client.get("{ eventTypes { name } }"))["eventTypes"]]
    assert "page_viewed" in names
    assert "bought" not in names
    text = """{ eventType(name: "page_viewed") { builtIn objectType properties { name type } }
                gone: eventType(name: "bought") { name } none: eventType(name: "nope") { name } }"""
    found = await client.get(text)
    assert found["eventType"]["builtIn"] is True
    assert {"name": "url", "type": "STRING"} in found["eventType"]["properties"]
    assert (found["gone"], found["none"]) == ({"name": "bought"}, None)


async def test_events_are_recorded_and_read_newest_first(client: Client) -> None:
    before = (T0 - timedelta(days=2)).isoformat()
    answer = await recorded(client, view("/a", occurredAt=before), view("/b"), view("/c"))
    assert answer["userErrors"] == []
    form = {"type": "form_submitted", "record": {"id": answer["results"][0]["event"]["record"]["id"]}}
    await recorded(client, form)
    text = """query ($type: String, $first: Int, $after: String) {
        records(objectType: "contacts") { nodes { properties events(type: $type, first: $first, after: $after) {
            nodes { type { name } properties } pageInfo { hasNextPage endCursor } } } } }"""

    async def of_ann(**words: Any) -> Any:
        found = (await client.get(text, **words))["records"]["nodes"]
        assert found[1]["events"]["nodes"] == []
        return found[0]["events"]

    every = await of_ann()
    assert [one["type"]["name"] for one in every["nodes"]] == ["form_submitted", *["page_viewed"] * 3]
    urls = [one["properties"]["url"] for one in (await of_ann(type="page_viewed"))["nodes"]]
    assert urls == ["/c", "/b", "/a"]
    seen: list[str] = []
    page: Any = {"pageInfo": {"hasNextPage": True, "endCursor": None}}
    while page["pageInfo"]["hasNextPage"]:
        page = await of_ann(type="page_viewed", first=1, after=page["pageInfo"]["endCursor"])
        seen += [one["properties"]["url"] for one in page["nodes"]]
    assert seen == urls
    for words, code in (
        ({"type": "nope"}, "UNKNOWN_EVENT_TYPE"),
        ({"after": "event_1"}, "MALFORMED_CURSOR"),
        ({"after": f"event_{'9' * 15}_1"}, "MALFORMED_CURSOR"),
        ({"first": -1}, "INVALID_PAGE_SIZE"),
    ):
        answer = await client.ask(text, **words)
        assert answer["errors"][0]["extensions"]["code"] == code, words


async def test_events_of_many_records_are_read_in_one_statement(client: Client) -> None:
    records = [{"properties": {"email": f"p{n}@acme.example"}} for n in range(20)]
    await client.do("createRecords", "userErrors { code }", {"objectType": "contacts", "records": records})
    text = """query ($first: Int) { records(objectType: "contacts", first: $first) {
        nodes { events { nodes { properties } } } } }"""
    counts = []
    for first in (1, 20):
        with counted() as run:
            await client.get(text, first=first)
        counts.append(sum("record_event" in sql for sql in run))
    assert counts == [1, 1]


async def test_what_is_wrong_stands_at_its_place_and_the_rest_is_done(client: Client) -> None:
    answer = await recorded(client, view("/"), view("/", type="nope"), view("/", record={"id": "rec_99"}))
    assert [one["recorded"] for one in answer["results"]] == [True, False, False]
    assert answer["userErrors"] == [
        {"code": "UNKNOWN_EVENT_TYPE", "path": ["input", "events", 1, "type"]},
        {"code": "NOT_FOUND", "path": ["input", "events", 2, "record", "id"]},
    ]
    refused = await recorded(client, view("/"), view("/", type="nope"), mode="ATOMIC")
    assert [error["path"][:3] for error in refused["userErrors"]] == [["input", "events", 1]]
    malformed = await recorded(client, view("/", record={"id": "nonsense"}))
    assert malformed["userErrors"][0]["path"] == ["input", "events", 0, "record", "id"]


async def test_a_batch_with_a_key_answers_the_same(client: Client) -> None:
    first = await recorded(client, view("/", idempotencyKey="v"), idempotencyKey="batch")
    again = await recorded(client, view("/", idempotencyKey="v"), idempotencyKey="batch")
    assert first == again
    # The event's own key is known outside of the batch, too.
    (result,) = (await recorded(client, view("/", idempotencyKey="v")))["results"]
    assert (result["recorded"], result["event"]) == (False, first["results"][0]["event"])


async def test_filters_ask_for_events(client: Client) -> None:
    await recorded(client, view("/pricing"), view("/pricing/pro"))
    text = """query ($where: FilterInput) { records(objectType: "contacts", where: $where) {
        nodes { properties(names: ["email"]) } } }"""

    async def met(**words: Any) -> list[str]:
        where = {"event": {"type": "page_viewed", **words}}
        return [
            one["properties"]["email"] for one in (await client.get(text, where=where))["records"]["nodes"]
        ]

    prices = {"property": {"name": "url", "operator": "STARTS_WITH", "value": "/pricing"}}
    within = {"value": 1, "unit": "DAY"}
    assert await met(
        where={"and": [prices, {"not": {"property": {"name": "title", "operator": "KNOWN"}}}]},
        within=within,
        operator="GREATER_THAN",
        count=1,
    ) == ["ann@acme.example"]
    assert await met(negated=True) == ["bob@acme.example"]
    assert await met(after="2026-03-02") == []
    where = {"event": {"type": "page_viewed", "negated": True, "count": 2}}
    answer = await client.ask(text, where=where)
    assert answer["errors"][0]["extensions"]["path"] == ["where", "event", "count"]


async def test_one_event_a_list_or_the_mutations_input_come_by_http(client: Client) -> None:
    one = await send(client, view("/a", occurredAt="2026-02-28T13:00:00+01:00"))
    assert (one.status_code, one.json()["recorded"]) == (200, True)
    many = await send(client, [view("/b"), view("/c", type="nope"), 7, {}, view("/d", colour=1)])
    assert many.status_code == 200
    results = many.json()["results"]
    assert ["errors" in result for result in results] == [False, True, True, True, True]
    assert results[1]["errors"][0]["extensions"]["code"] == "UNKNOWN_EVENT_TYPE"
    whole = {"events": [view("/e")], "mode": "ATOMIC", "idempotencyKey": "k"}
    first, again = (await send(client, whole)).json(), (await send(client, whole)).json()
    assert first == again
    by_header = [(await send(client, view("/f"), Idempotency_Key="header")).json() for _ in range(2)]
    assert by_header[0] == by_header[1]
    text = """{ record(objectType: "contacts", by: {property: "email", value: "ann@acme.example"}) {
        events { nodes { properties occurredAt source } } } }"""
    found = (await client.get(text))["record"]["events"]["nodes"]
    assert sorted(event["properties"]["url"] for event in found) == ["/a", "/b", "/e", "/f"]
    assert found[-1]["occurredAt"] == "2026-02-28T12:00:00.000Z"


WRONG: list[tuple[Any, str]] = [
    (view("/", record=None), "INVALID_INPUT"),
    (view("/", record={}), "EVENT_RECORD_MISSING"),
    (view("/", record={"id": "rec_1", "by": BY}), "EVENT_RECORD_MISSING"),
    (view("/", record={"id": ["rec_1"]}), "MALFORMED_ID"),
    (view("/", record={"by": {"objectType": "contacts"}}), "INVALID_INPUT"),
    (view("/", record={"by": BY | {"value": {"a": 1}}}), "INVALID_VALUE"),
    (view("/", type=7), "INVALID_INPUT"),
    (view("/", occurredAt="yesterday"), "INVALID_VALUE"),
    (view("/", occurredAt=5), "INVALID_VALUE"),
    (view("/", occurredAt="2027-01-01T00:00:00Z"), "EVENT_IN_FUTURE"),
    (view("/", idempotencyKey=5), "INVALID_INPUT"),
    (view("/", properties="x"), "MALFORMED_PROPERTIES"),
    (view("/", properties={"url": "a\0"}), "INVALID_VALUE"),
    (view("a", properties={"a\0": 1}), "UNKNOWN_EVENT_PROPERTY"),
    ("text", "INVALID_INPUT"),
    (None, "INVALID_INPUT"),
    ({"events": 5}, "INVALID_INPUT"),
    ({"events": [], "colour": 1}, "INVALID_INPUT"),
    ({"events": [view("/")], "mode": "SOMETIMES"}, "INVALID_INPUT"),
    ({"events": [view("/")], "mode": ["ATOMIC"]}, "INVALID_INPUT"),
    ({"events": [view("/")], "idempotencyKey": 5}, "INVALID_INPUT"),
    ({"events": [view("/", type="nope")], "mode": "ATOMIC"}, "UNKNOWN_EVENT_TYPE"),
    ([view("/")] * 1_001, "BATCH_TOO_LARGE"),
]


@pytest.mark.parametrize(("body", "code"), WRONG)
async def test_what_cannot_be_recorded_is_refused_by_code(client: Client, body: Any, code: str) -> None:
    response = await send(client, body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["extensions"]["code"] == code


async def test_the_door_needs_a_key_that_may_write(client: Client, db: Database) -> None:
    nobody = await client.http.post("/events", json=view("/"))
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    viewer = Client(client.http, await new_key(db, client.account_id, Role.VIEWER), client.account_id)
    answer = await send(viewer, view("/"))
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (403, "MISSING_SCOPE")
    assert (await client.http.get("/events", headers=client.headers)).status_code == 405
    plain = await client.http.post("/events", content="{}", headers=client.headers)
    assert plain.status_code == 415
    headers = client.headers | {"Content-Type": "application/json"}
    for content in (b"{", b"\xff", b"[" * 300 + b"]" * 300):
        assert (await client.http.post("/events", content=content, headers=headers)).status_code == 400
