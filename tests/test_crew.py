"""Pieces of work in processes of their own: what they answer, what goes wrong in them, and who ends when."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import pytest

from engine import accounts
from engine.crew import ALONE, Alone, Hand, HandLost
from engine.problems import InvalidInput, Refused, UnknownObjectType
from server.clock import now
from server.crew import IDLE, MUCH, Processes
from storage.changes import Event, EventKind
from storage.database import Actor, Database
from tests.hurry import later

T0 = datetime(2026, 3, 20, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Where:
    """The process that it is carried out in."""

    async def __call__(self, hand: Hand) -> int:
        return os.getpid()


@dataclass(frozen=True)
class Count:
    """How often this hand has been asked."""

    async def __call__(self, hand: Hand) -> tuple[int, int]:
        seen: list[None] = hand.remembered("seen", list)
        seen.append(None)
        return os.getpid(), len(seen)


@dataclass(frozen=True)
class Tell:
    """An event of an account."""

    account_id: int

    async def __call__(self, hand: Hand) -> None:
        async with hand.db.transaction(self.account_id, now=T0, actor=Actor("TEST")) as tx:
            tx.happened(Event(EventKind.ENROLLED, 1, 1, 1, {}))


@dataclass(frozen=True)
class Fail:
    """Something goes wrong."""

    kind: str

    async def __call__(self, hand: Hand) -> None:
        match self.kind:
            case "problem":
                raise UnknownObjectType(name="cats").at("objectType", 0)
            case "refused":
                raise Refused([InvalidInput(reason="so"), UnknownObjectType(name="cats")])
            case "database":
                async with hand.db.pool.acquire() as connection:
                    await connection.execute("SELECT 1 / 0")
            case _:
                os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
async def crew(db: Database) -> AsyncIterator[Processes]:
    """Two processes that are there."""
    async with aclosing(Processes(db, now, 2)) as made:
        await there(made)
        yield made


async def there(crew: Processes) -> None:
    """Ask until another process answers."""
    while await crew.do(Where()) == os.getpid():  # noqa: ASYNC110 (it is asked, not waited for)
        await asyncio.sleep(0.02)


async def test_few_pieces_are_carried_out_here_and_many_elsewhere(db: Database) -> None:
    # Those that were killed in other tests may still be on their way out.
    before = children()
    async with aclosing(Processes(db, now, 2)) as crew:
        for _ in range(MUCH - 1):
            assert await crew.do(Where()) == os.getpid()
        assert children() <= before
        await there(crew)
        assert crew.size >= 2
        # One may be done before the other has begun: who has two pieces at once needs both.
        hands = set[int]()
        while len(hands) < 2:
            hands |= set(await asyncio.gather(*(crew.do(Where()) for _ in range(4))))
        assert children() - before == hands
    assert children() <= before


def children() -> set[int | None]:
    """The processes that this one has started, and that are alive."""
    return {child.pid for child in multiprocessing.active_children()}


@pytest.mark.parametrize("hands", [0, 2])
async def test_who_has_no_hands_carries_all_out_himself(db: Database, hands: int) -> None:
    alone = Processes(db, now, 0) if hands == 0 else Alone(db, now)
    assert {await alone.do(Where()) for _ in range(2 * MUCH)} == {os.getpid()}
    assert alone.size == ALONE
    assert [(await alone.do(Count()))[1] for _ in range(3)] == [1, 2, 3]


async def test_each_hand_remembers_and_news_reach_this_process(db: Database, crew: Processes) -> None:
    told = await asyncio.gather(*(crew.do(Count()) for _ in range(20)))
    for process in {pid for pid, _ in told}:
        assert [n for pid, n in told if pid == process] == sorted(n for pid, n in told if pid == process)
    assert max(n for _, n in told) >= 10
    account = await accounts.create(db, "demo", now=T0)
    heard: list[int] = []
    db.wake.listen(heard.append)
    await crew.do(Tell(account))
    assert heard == [account]


async def test_what_goes_wrong_is_told_as_it_would_be_here(crew: Processes) -> None:
    with pytest.raises(UnknownObjectType) as problem:
        await crew.do(Fail("problem"))
    assert (problem.value.path, problem.value.details) == (("objectType", 0), {"name": "cats"})
    assert problem.value.message == 'There is no object type "cats" in this account.'
    with pytest.raises(Refused) as refused:
        await crew.do(Fail("refused"))
    assert [one.code for one in refused.value.problems] == ["INVALID_INPUT", "UNKNOWN_OBJECT_TYPE"]
    with pytest.raises(asyncpg.DivisionByZeroError):
        await crew.do(Fail("database"))
    assert await crew.do(Where()) != os.getpid()


async def test_a_hand_that_is_killed_is_told_and_replaced(db: Database, crew: Processes) -> None:
    with pytest.raises(HandLost):
        await crew.do(Fail("kill"))
    account = await accounts.create(db, "demo", now=T0)
    await crew.do(Tell(account))
    await there(crew)


async def test_hands_without_work_end(db: Database) -> None:
    async with aclosing(Processes(db, now, 2)) as crew:
        for _ in range(MUCH):
            await crew.do(Where())
        await there(crew)
        assert multiprocessing.active_children() != []
        later(IDLE)
        while multiprocessing.active_children():  # noqa: ASYNC110 (processes tell nobody)
            await asyncio.sleep(0.05)
        assert await crew.do(Where()) == os.getpid()


async def test_what_hands_need_may_be_loaded_before_there_are_any(db: Database) -> None:
    """Prepared as often as anybody likes, whoever comes then is started; where there are no hands, nothing is."""
    async with aclosing(Processes(db, now, 2)) as made, aclosing(Processes(db, now, 0)) as none:
        for one in (made, none, made):
            one.prepare()
        assert (made.size, none.size) == (ALONE, ALONE)
        await there(made)
        assert await made.do(Where()) != os.getpid()


async def test_who_is_still_loading_does_not_hold_up_the_end(db: Database) -> None:
    """A crew that was only prepared ends like any other, and pieces are done here meanwhile."""
    async with aclosing(Processes(db, now, 2)) as made:
        made.prepare()
        assert await made.do(Where()) == os.getpid()
