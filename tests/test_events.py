"""Events: recorded once a key, for the right record, and told to whoever listens."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from engine import events, records
from engine.batches import Mode, Outcome
from engine.events import ByUnique, EventInput, RecordedEvent, types
from engine.events.types import EventProperty
from engine.problems import Problem, Refused
from engine.properties import Option
from storage import record_events
from storage.changes import ChangeKind, EventKind
from storage.database import Database
from storage.record_events import RecordEventRow
from tests.crm import T0, Crm, codes, crm, made, waiting
from tests.statements import counted

VIEW = "page_viewed"


async def record(story: Crm, *inputs: EventInput, mode: Mode = Mode.PER_ITEM) -> list[Outcome[RecordedEvent]]:
    """Record in a transaction of its own."""
    async with story.db.transaction(story.account, now=story.now, actor=story.actor) as tx:
        return await events.record(tx, inputs, mode)


def viewed(record_id: Any, key: str | None = None, **properties: Any) -> EventInput:
    """A page view."""
    return EventInput(VIEW, record_id, properties, None, key)


async def of(story: Crm, *record_ids: int) -> list[list[RecordEventRow]]:
    """All events of records, newest first."""
    types_ = list((await story.db.catalogue(story.account)).event_types)
    async with story.db.read(story.account) as reader:
        return await record_events.pages(
            reader, record_ids, types=types_, before=(T0 + timedelta(days=1_000), 2**62), limit=100
        )


async def bought(story: Crm) -> None:
    """An event type of the account's own."""
    async with story.db.transaction(story.account, now=story.now, actor=story.actor, defining=True) as tx:
        await types.create(
            tx,
            name="bought",
            label="Bought something",
            object_type="contacts",
            properties=[
                EventProperty("amount", "NUMBER"),
                EventProperty("on", "DATE"),
                EventProperty("how", "ENUMERATION", options=[Option("CARD"), Option("CASH")]),
            ],
        )


async def test_an_event_is_recorded_for_a_record_by_id_or_by_a_unique_value(db: Database) -> None:
    story = await crm(db)
    ann, bob = await story.contact(email="ann@acme.example"), await story.contact(email="bob@acme.example")
    outcomes = made(
        await record(
            story,
            viewed(ann, url="/pricing", seconds=12.0),
            viewed(ByUnique("contacts", "email", " Bob@Acme.example "), url="/"),
        )
    )
    assert [(one.row.record_id, one.row.properties, one.new) for one in outcomes] == [
        (ann, {"url": "/pricing", "seconds": 12}, True),
        (bob, {"url": "/"}, True),
    ]
    assert [[row.id for row in rows] for rows in await of(story, bob, ann)] == [
        [outcomes[1].row.id],
        [outcomes[0].row.id],
    ]


async def test_each_event_is_a_change_of_its_own_and_told_to_watchers(db: Database) -> None:
    story = await crm(db)
    ann, bob = await story.contact(), await story.contact()
    await story.queue()
    outcomes = made(await record(story, viewed(ann), viewed(ann), viewed(bob), viewed(ann)))
    queued = [change for change in await story.queue() if change.kind is ChangeKind.OCCURRED]
    assert [(one.record_id, one.type_ids, one.other_ids) for one in queued] == [
        (one.row.record_id, (one.row.event_type_id,), (one.row.id,)) for one in outcomes
    ]
    told = [event for event in await story.events() if event.kind is EventKind.EVENT_OCCURRED]
    assert [event.record_id for event in told] == [ann, ann, bob, ann]
    assert {event.payload["type"] for event in told} == {VIEW}


async def test_a_key_records_once_and_answers_the_same(db: Database) -> None:
    story = await crm(db)
    ann = await story.contact()
    first, again = made(await record(story, viewed(ann, "k", url="/"), viewed(ann, "k", url="/")))
    story.now += timedelta(hours=1)
    (later,) = made(await record(story, viewed(ann, "k", url="/")))
    assert (first.new, again.new, later.new) == (True, False, False)
    assert first.row == again.row == later.row
    (rows,) = await of(story, ann)
    assert [row.id for row in rows] == [first.row.id]
    # Of another type it is another key.
    other = EventInput("form_submitted", ann, {}, None, "k")
    assert made(await record(story, other))[0].new
    assert codes((await record(story, viewed(ann, "k", url="/other")))[0]) == ["EVENT_KEY_REUSED"]
    assert len([one for one in await story.events() if one.kind is EventKind.EVENT_OCCURRED]) == 2


async def test_two_that_bring_one_key_at_once_record_one_event(db: Database) -> None:
    story = await crm(db)
    ann, bob = await story.contact(), await story.contact()
    async with db.transaction(story.account, now=story.now, actor=story.actor) as tx:
        (mine,) = await events.record(tx, [viewed(ann, "k")], Mode.PER_ITEM)
        # The other is about another record, so that only the key is in its way.
        other = asyncio.create_task(record(story, viewed(bob, "k")))
        await waiting(db)
    assert mine.problem is None
    assert codes((await other)[0]) == ["EVENT_KEY_REUSED"]
    assert [len(rows) for rows in await of(story, ann, bob)] == [1, 0]


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"type": "nothing"}, "UNKNOWN_EVENT_TYPE", ("type",)),
        ({"properties": {"colour": "red"}}, "UNKNOWN_EVENT_PROPERTY", ("properties", "colour")),
        ({"properties": {"seconds": "ten"}}, "INVALID_VALUE", ("properties", "seconds")),
        ({"properties": ["url"]}, "MALFORMED_PROPERTIES", ("properties",)),
        ({"occurred_at": T0 + timedelta(minutes=6)}, "EVENT_IN_FUTURE", ("occurredAt",)),
        ({"idempotency_key": "\n"}, "MALFORMED_IDEMPOTENCY_KEY", ("idempotencyKey",)),
        ({"record": 999_999}, "NOT_FOUND", ("record", "id")),
        ({"record": ByUnique("contacts", "email", "x@x.x")}, "NO_SUCH_RECORD", ("record", "by", "value")),
        (
            {"record": ByUnique("contacts", "city", "Rome")},
            "PROPERTY_NOT_UNIQUE",
            ("record", "by", "property"),
        ),
        ({"record": ByUnique("ghosts", "email", "x")}, "UNKNOWN_OBJECT_TYPE", ("record", "by", "objectType")),
        ({"record": ByUnique("contacts", "email", 7)}, "INVALID_VALUE", ("record", "by", "value")),
    ],
)
async def test_what_cannot_be_recorded_is_told_at_its_path(
    db: Database, given: dict[str, Any], code: str, path: tuple[str, ...]
) -> None:
    story = await crm(db)
    words: dict[str, Any] = {"type": VIEW, "record": await story.contact(), "properties": {}} | given
    good = viewed(words["record"] if "record" not in given else await story.contact())
    wrong, fine = await record(story, EventInput(**words), good)
    assert wrong.problem is not None
    assert (wrong.problem.code, wrong.problem.path) == (code, path)
    assert fine.problem is None
    with pytest.raises(Refused) as refused:
        await record(story, good, EventInput(**words), mode=Mode.ATOMIC)
    assert [problem.path for problem in refused.value.problems] == [(1, *path)]
    assert [len(rows) for rows in await of(story, int(good.record))] == [1]  # type: ignore[arg-type]


async def test_a_clock_that_is_a_little_ahead_means_now(db: Database) -> None:
    story = await crm(db)
    ann = await story.contact()
    ahead = EventInput(VIEW, ann, {}, story.now + timedelta(minutes=4))
    past = EventInput(VIEW, ann, {}, story.now - timedelta(days=9, microseconds=1))
    now, then = made(await record(story, ahead, past))
    assert now.row.occurred_at == story.now
    assert then.row.occurred_at == story.now - timedelta(days=9, milliseconds=1)


async def test_a_type_of_ones_own_is_about_its_object_type_and_typed(db: Database) -> None:
    story = await crm(db)
    await bought(story)
    ann = await story.contact()
    (company,) = made(await story.create({"name": "Acme"}, kind="companies"))
    fits = EventInput("bought", ann, {"amount": 3.0, "on": "2026-02-01", "how": "CARD"})
    assert made(await record(story, fits))[0].row.properties["amount"] == 3
    wrong, unfit = await record(
        story,
        EventInput("bought", company.id, {}),
        EventInput("bought", ann, {"amount": True, "on": "yesterday", "how": "IOU"}),
    )
    assert codes(wrong) == ["EVENT_OF_ANOTHER_TYPE"]
    assert codes(unfit) == ["INVALID_VALUE"] * 3


async def test_types_change_in_their_texts_and_grow_but_what_was_typed_stays(db: Database) -> None:
    story = await crm(db)
    await bought(story)

    async def change(**words: Any) -> Any:
        async with db.transaction(story.account, now=story.now, actor=story.actor, defining=True) as tx:
            return await types.update(tx, "bought", **words)

    changed = await change(
        label="Bought", properties=[EventProperty("amount", "NUMBER"), EventProperty("shop", "STRING")]
    )
    assert [name for name in changed.properties if changed.live(name)] == ["amount", "shop"]
    assert changed.live("on") is None
    with pytest.raises(Problem) as fixed:
        await change(properties=[EventProperty("shop", "NUMBER")])
    assert (fixed.value.code, fixed.value.path) == ("EVENT_PROPERTY_FIXED", ("properties", 0, "type"))
    back = await change(properties=[EventProperty("on", "DATE")])
    assert [name for name in back.properties if back.live(name)] == ["on"]


async def test_names_are_taken_for_good_and_those_of_every_account_are_no_ones(db: Database) -> None:
    story = await crm(db)
    await bought(story)
    async with db.transaction(story.account, now=story.now, actor=story.actor, defining=True) as tx:
        await types.archive(tx, "bought")
        assert (await types.archive(tx, "bought")).archived_at == story.now
        assert tx.catalogue.event_type("bought") is None
        for name in ("bought", VIEW):
            with pytest.raises(Problem) as taken:
                await types.create(tx, name=name, label="Again")
            assert taken.value.code == "NAME_TAKEN"
        with pytest.raises(Problem) as fixed:
            await types.update(tx, VIEW, label="Seen")
        assert fixed.value.code == "BUILT_IN_EVENT_TYPE"
    ann = await story.contact()
    assert codes((await record(story, EventInput("bought", ann, {})))[0]) == ["UNKNOWN_EVENT_TYPE"]


async def test_what_occurred_to_a_merged_record_occurred_to_its_survivor(db: Database) -> None:
    story = await crm(db)
    ann, anne = await story.contact(), await story.contact()
    made(await record(story, viewed(anne, "k", url="/a"), viewed(ann, url="/b")))
    await story.queue()
    await story.merge(ann, anne)
    queued = await story.queue()
    assert [len(rows) for rows in await of(story, ann, anne)] == [2, 0]
    # Filters hear of it; nothing occurs anew.
    assert [(one.record_id, len(one.type_ids)) for one in queued if one.kind is ChangeKind.EVENTS_MOVED] == [
        (ann, 1)
    ]
    assert not [one for one in queued if one.kind is ChangeKind.OCCURRED]
    # The old id and the old key mean the same as before.
    (again,) = made(await record(story, viewed(anne, "k", url="/a")))
    assert (again.row.record_id, again.new) == (ann, False)


async def test_nothing_is_lost_between_a_merge_and_what_is_recorded_meanwhile(db: Database) -> None:
    story = await crm(db)
    ann, anne = await story.contact(), await story.contact()
    async with db.transaction(story.account, now=story.now, actor=story.actor) as tx:
        await records.merge(tx, ann, anne)
        # It waits for the merge, and then finds whom the record was merged into.
        recording = asyncio.create_task(record(story, viewed(anne)))
        await waiting(db)
    (event,) = made(await recording)
    assert event.row.record_id == ann
    async with db.transaction(story.account, now=story.now, actor=story.actor) as tx:
        bob = await story.contact()
        await events.record(tx, [viewed(ann)], Mode.ATOMIC)
        merging = asyncio.create_task(story.merge(bob, ann))
        await waiting(db)
    await merging
    assert [len(rows) for rows in await of(story, bob, ann, anne)] == [2, 0, 0]


async def test_an_archived_record_is_told(db: Database) -> None:
    story = await crm(db)
    ann = await story.contact()
    await story.archive(ann)
    assert codes((await record(story, viewed(ann)))[0]) == ["RECORD_ARCHIVED"]


async def test_who_must_get_no_mail(db: Database) -> None:
    story = await crm(db)
    people = [await story.contact(firstname=str(n)) for n in range(6)]
    property_, left, back, hard, soft, fine = people
    await story.update((property_, {"unsubscribed": True}))

    def subscription(who: int, status: str, days: int) -> EventInput:
        at = story.now - timedelta(days=days)
        return EventInput("email_subscription_changed", who, {"status": status}, at)

    made(
        await record(
            story,
            # Recorded in another order than they occurred in.
            subscription(left, "UNSUBSCRIBED", 1),
            subscription(left, "SUBSCRIBED", 2),
            subscription(back, "SUBSCRIBED", 1),
            subscription(back, "UNSUBSCRIBED", 2),
            EventInput("email_bounced", hard, {"kind": "HARD"}),
            EventInput("email_bounced", soft, {"kind": "SOFT"}),
        )
    )
    async with db.read(story.account) as reader:
        assert await events.mail_refused(reader, people) == {
            property_: "UNSUBSCRIBED",
            left: "UNSUBSCRIBED",
            hard: "BOUNCED",
        }
    assert fine not in (property_, left, back, hard, soft)


async def test_a_batch_takes_as_many_statements_as_one(db: Database) -> None:
    story = await crm(db)
    people = [await story.contact(email=f"p{n}@x.example") for n in range(30)]
    await story.db.catalogue(story.account)
    counts = []
    for some in (people[:1], people):
        with counted() as run:
            inputs = [
                viewed(ByUnique("contacts", "email", f"p{people.index(one)}@x.example")) for one in some
            ]
            made(await record(story, *inputs))
        counts.append(len(run))
    assert counts[0] == counts[1]
