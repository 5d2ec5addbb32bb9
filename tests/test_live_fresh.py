"""What has just been written is told without reading it twice, and as it would be told at leisure."""

import asyncio
import inspect
from contextlib import aclosing
from typing import Any

import pytest
from graphql import GraphQLError
from graphql.execution import create_source_event_stream

from engine import cursors, feed, filters, keys
from resolvers.streams import EventStream
from schema.errors import formatted
from schema.root import SCHEMA
from server.graphql.repeating import RepeatingExecutor
from server.graphql.splicing import SplicingExecutor
from server.operations import Operations
from storage import changes, records
from storage.changes import Event, EventKind
from storage.database import Database
from storage.filters import facts
from tests.crm import Crm
from tests.face import T0, Client, opened
from tests.processes import PATIENCE
from tests.statements import counted

TOLD = """subscription ($where: FilterInput) { changes(objectType: "contacts", where: $where, kinds: [RECORD_UPDATED]) {
    recordId properties { property new } record { displayName property(name: "city") }
} }"""
IN_ROME = {"property": {"name": "city", "operator": "EQUALS", "value": "Rome"}}

# Whatever an executor may come across: fragments, aliases, variables, lists, what has to be awaited, and errors both
# where null may stand and where it may not.
ASKED = """subscription ($yes: Boolean!, $name: String!, $after: String) { told: changes(after: $after) {
    __typename ...Told kind record { ...Named again: property(name: $name) @include(if: $yes) }
    properties @include(if: $yes) { property old new __typename } otherId @skip(if: $yes) other { id }
    label { name } wrong: record { property(name: "nothing") } userId objectType
} }
fragment Told on ChangeEvent { cursor at record { id } recordId source }
fragment Named on Record { id displayName properties(names: ["city"]) 
    associationCount(to: "companies") }"""
REFUSED = (
    'subscription ($after: String) { changes(after: $after) { record { properties(names: ["nothing"]) } } }'
)


@pytest.fixture
async def told_to_crm(db: Database) -> Any:
    async with opened(db) as client:
        yield Crm(db, client.account_id), client


async def operations_of(db: Database, client: Client) -> tuple[Operations, Any]:
    principal = await keys.authenticate(db, client.key)
    assert principal is not None
    return Operations(SCHEMA, db, clock=lambda: T0, forget_key=lambda *_: None), principal


async def test_an_update_is_filtered_and_told_with_the_one_statement_that_reads_the_log(
    db: Database, told_to_crm: tuple[Crm, Client]
) -> None:
    crm, client = told_to_crm
    ann, bob = await crm.contact(city="Rome"), await crm.contact(city="Oslo")
    operations, principal = await operations_of(db, client)
    answers = operations.stream(operations.prepare(TOLD, None), {"where": IN_ROME}, principal)
    async with asyncio.timeout(PATIENCE), aclosing(answers):  # type: ignore[type-var]
        hearing = asyncio.ensure_future(anext(answers))
        # From then on the feed hands over what it reads; before, some of it may be read from the log.
        while not any(one._followers for one in feed._feeds.values()):  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.005)
        # Having read little, it reads the next as what has just been written.
        await crm.update((ann, {"jobtitle": "Clerk"}))
        assert (await hearing)["data"]["changes"]["properties"][0]["new"] == "Clerk"
        with counted() as run:
            await crm.update((bob, {"jobtitle": "Boss"}))
            await crm.update((ann, {"jobtitle": "Boss"}))
            told = (await anext(answers))["data"]["changes"]
        assert told["properties"][0]["new"] == "Boss"
        assert (told["recordId"], told["record"]["property"]) == (f"rec_{ann}", "Rome")
        assert changes.FRESH in run
        assert not {changes.READ, facts.VISIBLE, records.READ} & set(run)


async def test_the_first_few_rows_say_what_pages_say_and_bring_records_that_are_what_they_were(
    told_to_crm: tuple[Crm, Client],
) -> None:
    crm, _ = told_to_crm
    ann, bob, cid = await crm.contact(city="Rome"), await crm.contact(), await crm.contact()
    async with crm.db.transaction(crm.account, now=T0, actor=crm.actor) as tx:
        for one in (ann, bob, cid):
            # One row for all three.
            tx.happened(Event(EventKind.RECORD_UPDATED, 1, one))
    await crm.merge(bob, cid)
    await crm.archive(ann)
    seen = set()
    async with crm.db.read(crm.account) as reader:
        for after in range(await changes.last(reader) + 1):
            fresh = await changes.fresh(reader, after)
            page = await changes.page(reader, after, 1_000)
            assert fresh.events == page.events[: len(fresh.events)]
            assert fresh.more or fresh.events == page.events
            assert fresh.version == page.version
            for record_id, row in fresh.records.items():
                assert row == await crm.row(record_id)
                assert row.merged_into_id is None
                seen.add(record_id)
    assert seen == {ann, bob}


async def test_records_at_hand_meet_filters_as_those_do_that_are_read(
    told_to_crm: tuple[Crm, Client],
) -> None:
    crm, _ = told_to_crm
    rome = await crm.contact(city="Rome", firstname="Ann")
    oslo, gone, bare = await crm.contact(city="Oslo"), await crm.contact(city="Rome"), await crm.contact()
    await crm.archive(gone)
    everybody = [rome, oslo, gone, bare]
    catalogue = await crm.db.catalogue(crm.account)
    contacts = catalogue.by_name["contacts"]
    known = {"property": {"name": "city", "operator": "KNOWN"}}
    met = []
    for where in (IN_ROME, {"not": IN_ROME}, known, {"or": [IN_ROME, {"not": known}]}):
        bound = filters.bind(where, contacts, catalogue)
        own = filters.of_own(bound)
        assert own is not None
        async with crm.db.read(crm.account) as reader:
            read = await filters.matches(reader, bound, everybody, contacts.id, now=T0)
        assert {one: own(await crm.row(one)) for one in everybody} == read
        met.append({one for one, truth in read.items() if truth})
    assert met == [{rome}, {oslo, bare}, {rome, oslo}, {rome, bare}]
    associated = {"associated": {"to": "companies"}}
    assert filters.of_own(filters.bind(associated, contacts, catalogue)) is None


@pytest.mark.parametrize("query", [ASKED, REFUSED])
async def test_answers_event_after_event_are_those_of_an_executor_that_begins_anew(
    db: Database, told_to_crm: tuple[Crm, Client], query: str
) -> None:
    crm, client = told_to_crm
    ann, bob, cid = await crm.contact(city="Rome"), await crm.contact(), await crm.contact()
    await crm.update((ann, {"city": "Oslo", "jobtitle": "Boss"}))
    await crm.merge(bob, cid)
    operations, principal = await operations_of(db, client)
    document = operations.prepare(query, None).document
    variables = {"yes": True, "name": "jobtitle", "after": cursors.encode(crm.account, 0)}

    async def built(kind: type[SplicingExecutor]) -> Any:
        executor: Any = kind.build(
            SCHEMA,
            document,
            context_value=await operations.context(principal),
            raw_variable_values=variables,
            hide_suggestions=True,
        )
        return executor

    repeating = await built(RepeatingExecutor)
    source: Any = create_source_event_stream(repeating)
    stream = await source if inspect.isawaitable(source) else source
    assert isinstance(stream, EventStream)
    events = [event async for batch in stream.replay(0, await stream.newest()) for _, event in batch.events]
    assert len(events) >= 5
    failed, kept = 0, 0
    # Twice: what it has found out by then must be as good, and must not become more.
    for n, event in enumerate([*events, *events]):
        if n == len(events):
            kept = len(repeating._relevant_sub_fields)
        anew = (await built(SplicingExecutor)).build_per_event_executor(event).execute_operation(False)
        expected = await anew if inspect.isawaitable(anew) else anew
        repeating.context_value = await operations.context(principal)
        again = repeating.execute_event(event)
        answer = await again if inspect.isawaitable(again) else again
        assert answer.data == expected.data
        assert worded(answer.errors) == worded(expected.errors)
        failed += bool(answer.errors)
    assert failed
    assert 0 < kept == len(repeating._relevant_sub_fields)


def worded(errors: list[GraphQLError] | None) -> list[dict[str, Any]]:
    return sorted(formatted(errors or []), key=repr)
