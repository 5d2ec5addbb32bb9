"""Webhook events: an address, a match, a mapping; every delivery is kept, and each is taken once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from engine.access import Role
from engine.webhooks import payloads
from engine.webhooks.receiving import sign
from storage.database import Database
from tests.face import T0, Client, new_key, opened

FIELDS = """
    userErrors { code path message }
    webhookEvent { id name label url signed signingSecret capturing samplePayload archivedAt
                   match { path property } mapping { path property } eventType { name webhookId } }
"""
ORDER = {
    "name": "order_placed",
    "label": "Order placed",
    "objectType": "contacts",
    "match": {"path": "customer.email", "property": "email"},
    "mapping": [
        {"path": "order.total", "property": {"name": "total", "type": "NUMBER"}},
        {"path": "order.items[0].sku", "property": {"name": "first_item", "type": "STRING"}},
        {"path": "order.paid", "property": {"name": "paid", "type": "BOOLEAN"}},
    ],
}
PAYLOAD = {
    "customer": {"email": "Ann@Acme.example"},
    "order": {"total": "12.50", "items": [{"sku": 4711}], "paid": "yes"},
}
SIGNED = "a signing secret of some length"


class Clock:
    """The server's clock."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(db: Database, clock: Clock) -> AsyncIterator[Client]:
    async with opened(db, now=clock) as found:
        given = {"objectType": "contacts", "records": [{"properties": {"email": "ann@acme.example"}}]}
        await found.do("createRecords", "userErrors { code }", given)
        yield found


async def created(client: Client, **words: Any) -> dict[str, Any]:
    answer = await client.do("createWebhookEvent", FIELDS, ORDER | words)
    assert answer["userErrors"] == []
    found: dict[str, Any] = answer["webhookEvent"]
    return found


async def post(client: Client, url: str, body: Any, **headers: str) -> httpx.Response:
    """Post JSON to an address; no key is sent."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.http.post(url, content=content, headers={"Content-Type": "application/json", **named})


async def kept(client: Client, webhook: str) -> list[dict[str, Any]]:
    """What was delivered, newest first."""
    text = """query ($id: ID!) { webhookEvent(id: $id) { deliveries { nodes {
        outcome payload error receivedAt record { id } event { type { name } properties source } } } } }"""
    found: list[dict[str, Any]] = (await client.get(text, id=webhook))["webhookEvent"]["deliveries"]["nodes"]
    return found


async def events(client: Client) -> list[dict[str, Any]]:
    """What occurred to ann."""
    text = """{ record(objectType: "contacts", by: {property: "email", value: "ann@acme.example"}) {
        events { nodes { type { name } properties source occurredAt } } } }"""
    found: list[dict[str, Any]] = (await client.get(text))["record"]["events"]["nodes"]
    return found


async def test_a_delivery_that_names_a_record_is_recorded_as_its_event(client: Client) -> None:
    hook = await created(client)
    response = await post(client, hook["url"], PAYLOAD)
    assert (response.status_code, response.json()["outcome"]) == (200, "TRIGGERED")
    (event,) = await events(client)
    # What others write as text is a number here, and the other way round.
    assert event["properties"] == {"total": 12.5, "first_item": "4711", "paid": True}
    assert (event["type"]["name"], event["source"]) == ("order_placed", "WEBHOOK")
    (delivery,) = await kept(client, hook["id"])
    assert (delivery["outcome"], delivery["payload"], delivery["error"]) == ("TRIGGERED", PAYLOAD, None)
    assert delivery["event"]["properties"] == event["properties"]
    assert delivery["record"] is not None


async def test_a_delivery_that_matches_nobody_is_kept_and_triggers_nothing(client: Client) -> None:
    hook = await created(client)
    stranger = PAYLOAD | {"customer": {"email": "who@nowhere.example"}}
    bodies: list[Any] = [stranger, {"order": {}}, PAYLOAD | {"customer": []}, [], "text", None]
    for body in bodies:
        response = await post(client, hook["url"], body)
        assert (response.status_code, response.json()["outcome"]) == (200, "UNMATCHED"), body
    assert await events(client) == []
    found = await kept(client, hook["id"])
    assert {one["outcome"] for one in found} == {"UNMATCHED"}
    assert found[-1]["payload"] == stranger
    assert {one["error"]["code"] for one in found} == {"RECORD_UNMATCHED", "MATCH_VALUE_MISSING"}


async def test_what_does_not_fit_is_kept_as_invalid(client: Client) -> None:
    hook = await created(client)
    wrong = PAYLOAD | {"order": {"total": "a lot"}}
    response = await post(client, hook["url"], wrong)
    assert response.status_code == 422
    assert response.json()["errors"][0]["extensions"]["code"] == "INVALID_VALUE"
    broken = await post(client, hook["url"], b"{")
    assert broken.status_code == 400
    found = await kept(client, hook["id"])
    assert [(one["outcome"], one["payload"]) for one in found] == [("INVALID", None), ("INVALID", wrong)]
    assert await events(client) == []


async def test_the_sample_triggers_nothing_and_the_next_delivery_does(client: Client) -> None:
    hook = await created(client)
    captured = await client.do("captureWebhookSample", FIELDS, {"id": hook["id"]})
    assert captured["webhookEvent"]["capturing"] is True
    responses = await asyncio.gather(*(post(client, hook["url"], PAYLOAD) for _ in range(4)))
    outcomes = sorted(response.json()["outcome"] for response in responses)
    assert outcomes == ["SAMPLE", "TRIGGERED", "TRIGGERED", "TRIGGERED"]
    text = "query ($id: ID!) { webhookEvent(id: $id) { capturing samplePayload sampledAt } }"
    found = (await client.get(text, id=hook["id"]))["webhookEvent"]
    assert (found["capturing"], found["samplePayload"]) == (False, PAYLOAD)


async def test_without_a_match_it_waits_for_its_sample(client: Client) -> None:
    hook = await created(client, match=None, mapping=[])
    assert hook["capturing"] is True
    assert (await post(client, hook["url"], PAYLOAD)).json()["outcome"] == "SAMPLE"
    second = await post(client, hook["url"], PAYLOAD)
    assert second.json()["errors"][0]["extensions"]["code"] == "MATCH_UNDEFINED"
    change = {"id": hook["id"], "match": ORDER["match"], "mapping": ORDER["mapping"]}
    assert (await client.do("updateWebhookEvent", FIELDS, change))["userErrors"] == []
    assert (await post(client, hook["url"], PAYLOAD)).json()["outcome"] == "TRIGGERED"


async def test_a_key_is_taken_once_and_unsigned_deliveries_without_one_are_each_their_own(
    client: Client,
) -> None:
    hook = await created(client)
    outcomes = [
        (await post(client, hook["url"], PAYLOAD, Idempotency_Key="order 7")).json()["outcome"]
        for _ in range(2)
    ]
    assert outcomes == ["TRIGGERED", "DUPLICATE"]
    other = PAYLOAD | {"order": {"total": 1}}
    reused = await post(client, hook["url"], other, Idempotency_Key="order 7")
    assert reused.json()["errors"][0]["extensions"]["code"] == "EVENT_KEY_REUSED"
    for _ in range(2):
        assert (await post(client, hook["url"], PAYLOAD)).json()["outcome"] == "TRIGGERED"
    assert len(await events(client)) == 3


async def test_what_matched_nobody_can_be_sent_again_under_its_key(client: Client) -> None:
    hook = await created(client)
    body = PAYLOAD | {"customer": {"email": "bob@acme.example"}}
    first = await post(client, hook["url"], body, Idempotency_Key="k")
    given = {"objectType": "contacts", "records": [{"properties": {"email": "bob@acme.example"}}]}
    await client.do("createRecords", "userErrors { code }", given)
    again = await post(client, hook["url"], body, Idempotency_Key="k")
    assert [one.json()["outcome"] for one in (first, again)] == ["UNMATCHED", "TRIGGERED"]


async def test_signed_deliveries_are_taken_within_the_window_and_once(client: Client, clock: Clock) -> None:
    hook = await created(client, signingSecret=SIGNED)
    assert (hook["signed"], hook["signingSecret"]) == (True, SIGNED)
    body = orjson.dumps(PAYLOAD)

    async def sent(stamp: str, signature: str, content: bytes = body) -> tuple[int, str]:
        response = await post(
            client, hook["url"], content, Relata_Timestamp=stamp, Relata_Signature=signature
        )
        told = response.json()
        errors = told.get("errors")
        return response.status_code, errors[0]["extensions"]["code"] if errors else told["outcome"]

    stamp = str(int(clock.now.timestamp()))
    good = sign(SIGNED, stamp, body)
    assert await sent(stamp, good) == (200, "TRIGGERED")
    # The same request again, however its signature is written.
    assert await sent(stamp, f"sha256={good.upper()}") == (200, "DUPLICATE")
    assert await sent(stamp, sign("another secret entirely", stamp, body)) == (401, "SIGNATURE_INVALID")
    assert await sent(stamp, good, orjson.dumps({"order": 1})) == (401, "SIGNATURE_INVALID")
    assert await sent("soon", good) == (401, "SIGNATURE_INVALID")
    later = str(int(clock.now.timestamp()) + 1)
    assert await sent(later, good) == (401, "SIGNATURE_INVALID")
    assert await sent(later, sign(SIGNED, later, body)) == (200, "TRIGGERED")
    for away in (301, -301):
        stamp = str(int(clock.now.timestamp()) + away)
        assert await sent(stamp, sign(SIGNED, stamp, body)) == (401, "SIGNATURE_EXPIRED")
    bare = await post(client, hook["url"], PAYLOAD)
    assert (bare.status_code, bare.json()["errors"][0]["extensions"]["code"]) == (401, "SIGNATURE_MISSING")
    # What nobody signed is not kept, only that it came.
    assert {
        one["payload"] is None for one in await kept(client, hook["id"]) if one["outcome"] == "INVALID"
    } == {True}
    await client.do("updateAccountSettings", "userErrors { code }", {"webhookReplaySeconds": 600})
    stamp = str(int(clock.now.timestamp()) - 301)
    assert await sent(stamp, sign(SIGNED, stamp, body)) == (200, "TRIGGERED")


async def test_an_address_that_is_none_tells_nothing(client: Client, db: Database) -> None:
    hook = await created(client)
    secret = hook["url"].rsplit("/", 1)[1]
    account, rest = secret.split("_", 1)
    wrong = [
        "nothing",
        f"{account}_{'x' * 43}",
        f"1_{rest}",
        f"zzzzzzzzzzzzz_{rest}",
        rest,
        secret + "x",
        "%00",
    ]
    answers = {
        (response.status_code, response.text)
        for path in wrong
        for response in [await post(client, f"/hooks/{path}", PAYLOAD)]
    }
    assert {status for status, _ in answers} == {404}
    assert len({text for _, text in answers}) == 1
    renewed = await client.do("updateWebhookEvent", FIELDS, {"id": hook["id"], "newUrl": True})
    assert (await post(client, hook["url"], PAYLOAD)).status_code == 404
    assert (await post(client, renewed["webhookEvent"]["url"], PAYLOAD)).status_code == 200
    await client.do("archiveWebhookEvent", FIELDS, {"id": hook["id"]})
    assert (await post(client, renewed["webhookEvent"]["url"], PAYLOAD)).status_code == 404
    assert [one["outcome"] for one in await kept(client, hook["id"])] == ["TRIGGERED"]


async def test_bodies_of_other_kinds_and_sizes_are_refused(client: Client) -> None:
    hook = await created(client)
    form = await client.http.post(hook["url"], data={"a": "b"})
    assert form.status_code == 415
    large = await post(client, hook["url"], {"a": "x" * 300_000})
    assert (large.status_code, large.json()["errors"][0]["extensions"]["code"]) == (413, "BODY_TOO_LARGE")
    deep = await post(client, hook["url"], b"[" * 200 + b"]" * 200)
    assert deep.status_code == 400
    assert (await client.http.get(hook["url"])).status_code == 405
    # NUL is no text that can be kept; the rest of the payload is.
    strange = PAYLOAD | {"note": "a\0b", "z\0": 1e300}
    assert (await post(client, hook["url"], strange)).json()["outcome"] == "TRIGGERED"
    assert (await kept(client, hook["id"]))[0]["payload"]["note"] == "a\ufffdb"


async def test_there_are_so_many_at_once(client: Client) -> None:
    await client.do("updateAccountSettings", "userErrors { code }", {"webhookEvents": 2})
    for n in range(2):
        hook = await created(client, name=f"hook{n}")
    answer = await client.do("createWebhookEvent", FIELDS, ORDER | {"name": "hook2"})
    assert [error["code"] for error in answer["userErrors"]] == ["TOO_MANY_WEBHOOKS"]
    await client.do("archiveWebhookEvent", FIELDS, {"id": hook["id"]})
    await created(client, name="hook2")


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"name": "Order"}, "MALFORMED_NAME", ["input", "name"]),
        ({"name": "page_viewed"}, "NAME_TAKEN", ["input", "name"]),
        ({"objectType": "ghosts"}, "UNKNOWN_OBJECT_TYPE", ["input", "objectType"]),
        ({"match": {"path": "a", "property": "city"}}, "PROPERTY_NOT_UNIQUE", ["input", "match", "property"]),
        ({"match": {"path": "a", "property": "nope"}}, "UNKNOWN_PROPERTY", ["input", "match", "property"]),
        (
            {"match": {"path": "a..b", "property": "email"}},
            "MALFORMED_PAYLOAD_PATH",
            ["input", "match", "path"],
        ),
        ({"match": {"path": "a", "property": ""}}, "MATCH_INCOMPLETE", ["input", "match"]),
        (
            {"mapping": [{"path": "a[x]", "property": {"name": "a", "type": "STRING"}}]},
            "MALFORMED_PAYLOAD_PATH",
            ["input", "mapping", 0, "path"],
        ),
        (
            {"mapping": [{"path": "a", "property": {"name": "A", "type": "STRING"}}]},
            "MALFORMED_NAME",
            ["input", "mapping", 0, "property", "name"],
        ),
        ({"signingSecret": "short"}, "SIGNING_SECRET_TOO_WEAK", ["input", "signingSecret"]),
    ],
)
async def test_a_definition_that_is_wrong_is_told_at_its_path(
    client: Client, given: dict[str, Any], code: str, path: list[Any]
) -> None:
    answer = await client.do("createWebhookEvent", FIELDS, ORDER | given)
    assert [(error["code"], error["path"]) for error in answer["userErrors"]] == [(code, path)]


async def test_who_may_not_automate_sees_no_secret(client: Client, db: Database) -> None:
    hook = await created(client, signingSecret=SIGNED)
    viewer = Client(client.http, await new_key(db, client.account_id, Role.VIEWER), client.account_id)
    found = await viewer.get("{ webhookEvents { id name capturing deliveries { nodes { outcome } } } }")
    assert [one["name"] for one in found["webhookEvents"]] == ["order_placed"]
    for field in ("url", "signingSecret"):
        answer = await viewer.ask(f"{{ webhookEvents {{ {field} }} }}")
        assert answer["errors"][0]["extensions"]["code"] == "MISSING_SCOPE"
        assert SIGNED not in str(answer)
    refused = await viewer.ask(
        "mutation ($input: CaptureWebhookSampleInput!) { captureWebhookSample(input: $input) { __typename } }",
        input={"id": hook["id"]},
    )
    assert refused["errors"][0]["extensions"]["code"] == "MISSING_SCOPE"


async def test_a_webhooks_events_come_by_it_alone(client: Client) -> None:
    hook = await created(client)
    by = {"objectType": "contacts", "property": "email", "value": "ann@acme.example"}
    answer = await client.do(
        "recordEvents", "userErrors { code }", {"events": [{"type": hook["name"], "record": {"by": by}}]}
    )
    assert [error["code"] for error in answer["userErrors"]] == ["EVENT_TYPE_OF_WEBHOOK"]
    for mutation, given in (
        ("updateEventType", {"name": hook["name"], "properties": []}),
        ("archiveEventType", {"name": hook["name"]}),
    ):
        answer = await client.do(mutation, "userErrors { code }", given)
        assert [error["code"] for error in answer["userErrors"]] == ["EVENT_TYPE_OF_WEBHOOK"]


async def test_addresses_of_one_account_reach_no_other(client: Client, db: Database) -> None:
    hook = await created(client)
    async with opened(db, name="other") as other:
        given = {"objectType": "contacts", "records": [{"properties": {"email": "ann@acme.example"}}]}
        await other.do("createRecords", "userErrors { code }", given)
        assert (await other.get("{ webhookEvents { id } }"))["webhookEvents"] == []
        assert (await other.get("query ($id: ID!) { webhookEvent(id: $id) { id } }", id=hook["id"])) == {
            "webhookEvent": None
        }
        await post(client, hook["url"], PAYLOAD)
        assert await events(other) == []
    assert len(await events(client)) == 1


def test_paths_lead_into_payloads() -> None:
    payload = {"a": {"b": [{"c": 1}, [2, 3]]}, "0": "zero", "list": ["x"]}
    for path, found in (
        ("a.b[0].c", 1),
        ("a.b.0.c", 1),
        ("a.b[1][1]", 3),
        ("a.b[9].c", None),
        ("a.b.c", None),
        ("0", "zero"),
        ("list[0]", "x"),
        ("list[0].x", None),
        ("list.-1", None),
        ("nothing", None),
    ):
        assert payloads.at(payload, payloads.checked_path(path)) == found, path
    for path in ("", ".", "a.", ".a", "a..b", "a[", "a[]", "a[x]", "a]b", "a[-1]", "x" * 501, "a\n"):
        with pytest.raises(Exception, match="leads nowhere"):
            payloads.checked_path(path)


async def test_addresses_begin_where_others_reach_the_server(db: Database) -> None:
    async with opened(db, public_url="https://crm.example.com") as client:
        hook = await created(client)
        assert hook["url"].startswith("https://crm.example.com/hooks/")
        path = hook["url"].removeprefix("https://crm.example.com")
        assert (await post(client, path, PAYLOAD)).json()["outcome"] == "UNMATCHED"


async def test_times_are_the_servers(client: Client, clock: Clock) -> None:
    hook = await created(client)
    clock.now = T0 + timedelta(days=3)
    await post(client, hook["url"], PAYLOAD)
    (event,), (delivery,) = await events(client), await kept(client, hook["id"])
    assert event["occurredAt"] == delivery["receivedAt"] == "2026-03-04T12:00:00.000Z"
