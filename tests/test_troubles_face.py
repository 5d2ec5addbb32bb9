"""Evaluations that failed, through the API and the command line: told, and tried again when somebody says so."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from engine import accounts, filters
from engine.access import Role
from engine.evaluation import run as evaluate
from engine.workflows import steps
from storage import troubles as stored
from storage.database import Actor, Database, connect
from storage.troubles import TroubleRow
from tests.face import T0, Client, new_key
from tests.stories import Story, leaf, met, telling
from tests.test_commands import Relata

TROUBLES = """query ($first: Int, $after: String) { evaluationTroubles(first: $first, after: $after) {
    nodes { id kind attempts error firstAt retryAt record { id } workflow { id } segment { id } }
    pageInfo { hasNextPage hasPreviousPage endCursor } } }"""


@pytest.fixture
async def story(db: Database) -> AsyncIterator[Story]:
    async with telling(db) as found:
        yield found


LATER = timedelta(days=100_000)


class Poison(Exception):
    """Nobody expected it."""


async def poisoned(story: Story, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A workflow that could not look at any of these contacts; whatever made it fail has gone."""
    flow = await story.workflow(
        "contacts",
        met(leaf("city", "ANY_OF", "Boston")),
        {"setProperty": {"property": "jobtitle", "value": "Bostonian"}},
    )

    async def fails(*_: Any, **__: Any) -> Any:
        raise Poison("nobody knows why")

    people = await story.create("contacts", {"city": "Boston"}, {"city": "Boston"}, {"city": "Boston"})
    # Nothing comes due by itself meanwhile.
    story.clock.step = timedelta()
    now = story.clock()
    with monkeypatch.context() as poison:
        poison.setattr(filters, "foreseen", fails)
        while await evaluate.run_once(story.db, story.client.account_id, now=now):
            pass
    return flow, people


async def troubles(client: Client, **page: Any) -> Any:
    return (await client.get(TROUBLES, **page))["evaluationTroubles"]


async def retry(client: Client, ids: list[str] | None = None) -> dict[str, Any]:
    given = {} if ids is None else {"ids": ids}
    fields = "retriedCount userErrors { code path }"
    answer: dict[str, Any] = await client.do("retryEvaluations", fields, given)
    return answer


async def tried(story: Story) -> None:
    """What a worker does that looks for what is to be tried again at this moment."""
    now = story.clock()
    while await evaluate.retry_once(story.db, story.client.account_id, now=now):
        pass
    while await steps.run_due(story.db, now=now):
        pass


async def test_what_failed_is_told_page_by_page_and_tried_again_when_asked(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow, people = await poisoned(story, monkeypatch)
    first = await troubles(story.client, first=2)
    assert first["pageInfo"]["hasNextPage"] is True
    rest = await troubles(story.client, after=first["pageInfo"]["endCursor"])
    assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)
    found = first["nodes"] + rest["nodes"]
    assert {one["record"]["id"] for one in found} == set(people)
    for one in found:
        assert (one["kind"], one["attempts"], one["error"]) == ("LOOK", 1, "Poison: nobody knows why")
        assert (one["workflow"], one["segment"]) == ({"id": flow}, None)
        assert one["retryAt"] > one["firstAt"]
    await tried(story)
    assert await story.who(flow) == set()  # it is not time yet
    chosen = found[1]
    assert await retry(story.client, [chosen["id"]]) == {"retriedCount": 1, "userErrors": []}
    await tried(story)
    assert await story.who(flow) == {chosen["record"]["id"]}
    # It is no more: others have it done.
    assert (await retry(story.client, [chosen["id"]]))["retriedCount"] == 0
    assert (await retry(story.client))["retriedCount"] == 2
    await tried(story)
    assert await story.who(flow) == set(people)
    assert (await troubles(story.client))["nodes"] == []


async def test_what_is_asked_wrongly_is_told_and_others_must_not(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    await poisoned(story, monkeypatch)
    wrong = await retry(story.client, ["trb_1", "rec_1"])
    assert wrong == {"retriedCount": 0, "userErrors": [{"code": "MALFORMED_ID", "path": ["input", "ids", 1]}]}
    answer = await story.client.ask(TROUBLES, after="rec_1")
    assert answer["errors"][0]["extensions"]["code"] == "MALFORMED_CURSOR"
    # Errors tell of insides: only who may automate sees them.
    key = await new_key(story.db, story.client.account_id, Role.EDITOR)
    editor = Client(story.client.http, key, story.client.account_id)
    answer = await editor.ask(TROUBLES)
    assert answer["errors"][0]["extensions"]["code"] == "MISSING_SCOPE"
    other = await new_key(story.db, await accounts.create(story.db, "other", now=T0))
    stranger = Client(story.client.http, other, 0)
    assert (await troubles(stranger))["nodes"] == []
    assert (await retry(stranger))["retriedCount"] == 0


def test_the_command_line_lists_them_and_has_them_tried_again(database_url: str) -> None:
    async def fail() -> None:
        async with connect(database_url) as db:
            account = await accounts.create(db, "acme", now=T0)
            async with db.transaction(account, now=T0, actor=Actor("SYSTEM")) as tx:
                work = {"record_id": 7, "listener_id": 9}
                await stored.put(tx, [TroubleRow(0, "LOOK", work, 3, "Poison: [why]", T0, T0 + LATER)])

    async def due() -> bool:
        async with connect(database_url) as db:
            [account] = [await accounts.find(db, "acme")]
            assert account is not None
            async with db.read(account) as reader:
                [row] = await stored.listing(reader, 0, 10)
            return row.retry_at < T0 + LATER

    relata = Relata(database_url)
    relata("accounts", "create", "quiet")
    assert relata("troubles", "--account", "quiet").out == "Nothing has failed.\n"
    asyncio.run(fail())
    said = relata("troubles", "--account", "acme")
    assert said.code == 0
    assert {"LOOK", "rec_7", "3", "Poison: [why]"} <= {word.strip() for word in said.out.split("  ")}
    assert not asyncio.run(due())
    assert "1 will be tried again" in relata("troubles", "--account", "acme", "--retry").out
    assert asyncio.run(due())
