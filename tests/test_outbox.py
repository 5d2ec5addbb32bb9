"""The outbox: asked for once, taken by one, finished by whoever has it, and then the enrollment goes on."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from engine import accounts
from engine.outbox import Next
from storage import outbox, outbox_sending
from storage.changes import EventKind, read
from storage.database import Actor, Database
from storage.outbox_sending import Claimed, Finished
from tests.crm import waiting
from tests.graph import T0
from tests.outside import Outside

URL = "https://hooks.example/in"
LEASE = timedelta(minutes=5)


@pytest.fixture
async def crm(db: Database) -> Outside:
    return Outside(db, await accounts.create(db, "demo", now=T0))


async def claim(
    crm: Outside,
    limit: int = 100,
    *,
    token: str = "mine",
    a_host: int = 100,
    places: dict[str, int] | None = None,
) -> list[Claimed]:
    async with crm.db.transaction(crm.account, now=crm.at, actor=Actor("OUTBOX")) as tx:
        return await outbox_sending.claim(
            tx, limit, token=token, until=crm.at + LEASE, a_host=a_host, places=places
        )


DELIVERED = Next("DELIVERED", None, {"statusCode": 200})
FAILED = Next("FAILED", None, {"error": {"code": "NO", "message": "No."}})


async def finish(crm: Outside, claimed: list[Claimed], then: Next = DELIVERED) -> list[int]:
    async with crm.db.transaction(crm.account, now=crm.at, actor=Actor("OUTBOX")) as tx:
        return await outbox_sending.finish(
            tx, [Finished(one, then.status, then.next_attempt_at, then.outcome) for one in claimed]
        )


async def enrollment(crm: Outside, number: int = 1, *, status: str = "ACTIVE", steps: int = 0) -> None:
    """An enrollment that waits for the outside, before line number `steps` of its history."""
    async with crm.writing() as tx:
        await tx.execute(
            """
            INSERT INTO enrollment (account_id, id, workflow_id, revision, record_id, epoch, status, next_step, steps,
                                    depth, due_at, attempts, reason, enrolled_at)
            VALUES ($1, $2, 7, 1, $2, 1, $3, 0, $4, 0, NULL, 0, '{}', $5)
            """,
            number,
            status,
            steps,
            T0,
        )


async def due_at(crm: Outside, number: int = 1) -> Any:
    async with crm.db.read(crm.account) as reader:
        return await reader.fetchval(
            "SELECT e.due_at FROM enrollment AS e WHERE e.account_id = $1 AND e.id = $2", number
        )


async def test_what_is_asked_for_twice_is_asked_for_once(crm: Outside) -> None:
    first = await crm.put(crm.call(URL, 1), crm.call(URL, 2))
    again = await crm.put(crm.call(URL, 2), crm.call(URL, 3), crm.call(URL, 3), crm.call(URL, 1))
    assert again == [first[1], again[1], again[1], first[0]]
    assert [row.id for row in await crm.rows()] == sorted({*first, *again})


async def test_two_who_ask_for_the_same_at_once_are_told_of_one(crm: Outside) -> None:
    told = await asyncio.gather(*(crm.put(crm.call(URL, 1), crm.call(URL, 2)) for _ in range(8)))
    assert len({tuple(ids) for ids in told}) == 1


async def test_what_one_has_taken_no_other_takes_until_the_lease_ends(crm: Outside) -> None:
    await crm.put(*(crm.call(URL, n) for n in range(20)))
    both = await asyncio.gather(claim(crm, 12, token="a"), claim(crm, 12, token="b"))
    # Who comes at the same moment may find all that he saw taken; then the rest is the next one's.
    rest = await claim(crm, token="rest")
    taken = [one.id for claimed in (*both, rest) for one in claimed]
    assert len(taken) == len(set(taken)) == 20
    assert await claim(crm) == []
    crm.later(minutes=5)
    again = await claim(crm, token="c")
    assert sorted(one.id for one in again) == sorted(taken)
    assert {one.attempts for one in again} == {2}


async def test_who_has_lost_the_lease_changes_nothing(crm: Outside) -> None:
    await crm.put(crm.call(URL))
    slow = await claim(crm, token="slow")
    crm.later(minutes=6)
    quick = await claim(crm, token="quick")
    assert await finish(crm, slow, FAILED) == []
    assert (await crm.row()).status == "SENDING"
    assert await finish(crm, quick) == [quick[0].id]
    assert await finish(crm, quick, FAILED) == []
    row = await crm.row()
    assert (row.status, row.outcome, row.finished_at) == ("DELIVERED", {"statusCode": 200}, crm.at)


async def test_the_longest_due_comes_first_and_nothing_before_its_time(crm: Outside) -> None:
    [first] = await crm.put(crm.call(URL, 1))
    crm.later(seconds=1)
    [second] = await crm.put(crm.call(URL, 2))
    assert [one.id for one in await claim(crm, 1)] == [first]
    [taken] = await claim(crm, 5)
    assert taken.id == second
    await finish(crm, [taken], Next("PENDING", crm.at + timedelta(hours=1), {}))
    assert await claim(crm) == []
    assert await outbox_sending.due_accounts(crm.db, crm.at) == []
    crm.later(hours=1)
    assert await outbox_sending.due_accounts(crm.db, crm.at) == [crm.account]
    assert second in [one.id for one in await claim(crm)]


async def test_of_each_host_no_more_are_taken_than_it_has_places(crm: Outside) -> None:
    hosts = ["https://a.example/", "https://b.example/", "https://c.example/"]
    await crm.put(*(crm.call(url, f"{n}.{url}") for url in hosts for n in range(10)))
    await crm.put(crm.mail("ann@example.com"))
    taken = await claim(crm, a_host=3, places={"a.example:443": 0, "b.example:443": 1})
    assert sorted(one.host for one in taken) == ["", "b.example:443", *["c.example:443"] * 3]


async def test_an_enrollment_goes_on_when_the_last_of_its_step_has_ended(crm: Outside) -> None:
    await enrollment(crm)
    await crm.put(crm.call(URL, 1), crm.call(URL, 2), crm.call(URL, 3))
    one, two, three = await claim(crm)
    await finish(crm, [one])
    await finish(crm, [two], Next("PENDING", crm.at + timedelta(hours=1), {}))
    await finish(crm, [three], FAILED)
    assert await due_at(crm) is None
    crm.later(hours=1)
    await finish(crm, await claim(crm))
    assert await due_at(crm) == crm.at


async def test_two_senders_that_finish_the_last_of_a_step_together_let_it_go_on(crm: Outside) -> None:
    """Each would see the other's as open, did the second not wait for the first."""
    await enrollment(crm)
    await crm.put(crm.call(URL, 1), crm.call(URL, 2))
    one, two = await claim(crm)
    async with crm.db.transaction(crm.account, now=crm.at, actor=Actor("OUTBOX")) as tx:
        await outbox_sending.finish(tx, [Finished(one, "DELIVERED", None, {})])
        second = asyncio.create_task(finish(crm, [two]))
        blocked = asyncio.create_task(waiting(crm.db))
        await asyncio.wait({second, blocked}, return_when=asyncio.FIRST_COMPLETED)
        blocked.cancel()
    await second
    assert await due_at(crm) == crm.at


@pytest.mark.parametrize(("status", "steps"), [("ACTIVE", 1), ("FAILED", 0)])
async def test_an_enrollment_that_waits_for_something_else_is_left_alone(
    crm: Outside, status: str, steps: int
) -> None:
    await enrollment(crm, status=status, steps=steps)
    await crm.put(crm.call(URL, step=0))
    await finish(crm, await claim(crm))
    assert await due_at(crm) is None


async def test_watchers_are_told_of_every_end(crm: Outside) -> None:
    await crm.put(crm.call(URL, 1), crm.call(URL, 2))
    one, two = await claim(crm)
    await finish(crm, [one])
    await finish(crm, [two], FAILED)
    async with crm.db.read(crm.account) as reader:
        told = [event for event in await read(reader, 0, 1_000) if event.kind.startswith("OUTBOX")]
    assert [(event.kind, event.subject_id, event.record_id) for event in told] == [
        (EventKind.OUTBOX_DELIVERED, 7, 1),
        (EventKind.OUTBOX_FAILED, 7, 2),
    ]
    assert told[1].payload["error"] == {"code": "NO", "message": "No."}
    assert told[1].payload["enrollment"] == 1


async def test_what_has_failed_is_sent_again_by_one_call_with_its_key(crm: Outside) -> None:
    ids = await crm.put(crm.call(URL, 1), crm.call(URL, 2))
    one, two = await claim(crm)
    await finish(crm, [one], FAILED)
    await finish(crm, [two])
    async with crm.writing() as tx:
        assert await outbox.retry(tx, ids, crm.at) == [one.id]
    [again] = await claim(crm)
    assert (again.key, again.created_at, again.attempts) == (one.key, one.created_at, 1)


async def test_what_is_cancelled_is_not_sent_and_what_is_under_way_not_again(crm: Outside) -> None:
    await crm.put(crm.call(URL, 1))
    [under_way] = await claim(crm)
    await crm.put(crm.call(URL, 2), crm.call(URL, 3, enrollment=2))
    async with crm.writing() as tx:
        await outbox.cancel(tx, [1])
    assert [one.enrollment_id for one in await claim(crm)] == [2]
    await finish(crm, [under_way], Next("PENDING", crm.at, {}))
    assert [row.status for row in await crm.rows()] == ["CANCELLED", "CANCELLED"]


async def test_who_cancels_while_a_sender_is_taking_it_is_heard(crm: Outside) -> None:
    """The sender's row lies elsewhere when it has been waited for."""
    await crm.put(crm.call(URL, 1))

    async def cancel() -> None:
        async with crm.writing() as tx:
            await outbox.cancel(tx, [1])

    async with crm.db.transaction(crm.account, now=crm.at, actor=Actor("OUTBOX")) as tx:
        [taken] = await outbox_sending.claim(tx, 100, token="mine", until=crm.at + LEASE, a_host=100)
        cancelling = asyncio.create_task(cancel())
        blocked = asyncio.create_task(waiting(crm.db))
        await asyncio.wait({cancelling, blocked}, return_when=asyncio.FIRST_COMPLETED)
        blocked.cancel()
    await cancelling
    await finish(crm, [taken], Next("PENDING", crm.at, {}))
    assert [row.status for row in await crm.rows()] == ["CANCELLED"]


async def test_nobody_reads_a_secret(crm: Outside) -> None:
    await crm.put(crm.call(URL, secret="whisper"))
    assert "whisper" not in repr(await crm.row())
    [claimed] = await claim(crm)
    assert claimed.request["secret"] == "whisper"


async def test_one_account_s_outbox_is_its_own(crm: Outside) -> None:
    other = Outside(crm.db, await accounts.create(crm.db, "other", now=T0))
    await crm.put(crm.call(URL))
    assert await claim(other) == []
    assert await other.rows() == []
    async with other.writing() as tx:
        assert await outbox.retry(tx, [row.id for row in await crm.rows()], crm.at) == []
