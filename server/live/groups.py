"""Groups of equal subscriptions: one of them is followed and executed, and all its members are handed the same bytes.

A member that comes with a cursor, or at another moment, catches up alone and is handed over at one number of the log.
A member that does not take what it is handed leaves the group; what waits for one is bounded in number and in bytes.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from resolvers.streams import EventStream, StateStream
from server.live.pieces import Lot, Piece
from server.live.telling import CHUNK, Teller
from storage.faults import Fault, fault

# What may wait for one member.
HELD = 2_000
HELD_BYTES = 4_000_000
# Before a lost connection is tried again, in seconds.
PAUSE = 0.5


@dataclass(eq=False, slots=True)
class Member:
    """One subscription in its group. `position`: everything up to here was handed over.

    `write` sends a lot without waiting, or answers False, and has sent nothing. `sent`: up to here it was sent what
    came while the member was in step with the group.
    """

    write: Callable[[Lot], bool] | None = None
    position: int = 0
    sent: int = 0
    waiting: deque[Piece] = field(default_factory=deque)
    size: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    # There was no room for what was to be handed over; it is no member any more.
    left: bool = False

    def take(self, lot: Lot, position: int) -> None:
        """Be handed what the group was told up to `position`."""
        if self.waiting and (len(self.waiting) + len(lot.pieces) > HELD or self.size + lot.size > HELD_BYTES):
            # What waits is of no use without what follows; the log has both.
            self.left = True
            self.waiting.clear()
            self.size = 0
        else:
            self.waiting.extend(lot.pieces)
            self.size += lot.size
            self.position = position
        self.news.set()

    def replace(self, state: Lot) -> None:
        """Be handed a state, instead of any that still waits."""
        self.waiting.clear()
        self.waiting.extend(state.pieces)
        self.news.set()

    def hand_out(self) -> list[Piece]:
        """Everything that waits."""
        pieces = list(self.waiting)
        self.waiting.clear()
        self.size = 0
        return pieces


class Group:
    """Subscriptions that ask the same of one account. Ends, with `error`, when it can tell no more."""

    def __init__(self, stream: EventStream[Any] | StateStream[Any], teller: Teller) -> None:
        self._stream = stream
        self._teller = teller
        self._members: set[Member] = set()
        # Those who do nothing but wait, and have all that the group was told: what comes is sent in one pass. A dict
        # has them in the order in which they came.
        self._in_step: dict[Member, Callable[[Lot], bool]] = {}
        self.position = 0
        self.users = 0
        self.error: BaseException | None = None
        self.started = asyncio.Event()
        self._state: Lot | None = None
        self._task = asyncio.create_task(self._run())

    def join(self, member: Member) -> int:
        """Hand over to the member what comes behind the answer; with states, the one that stands as well."""
        member.position = self.position
        member.left = False
        self._members.add(member)
        if self._state is not None:
            member.replace(self._state)
        return self.position

    def leave(self, member: Member) -> None:
        """Hand over nothing more."""
        self._members.discard(member)

    @contextlib.contextmanager
    def in_step(self, member: Member, reached: int | None) -> Iterator[None]:
        """While the block lasts, the member does nothing but wait: what comes is sent to it in the group's own pass.

        Not to one who cannot be sent anything so, or was told more than the group (`reached`); who does not take it is
        handed it. Afterwards `sent` says up to where it was told.
        """
        if member.write is not None and (reached is None or reached <= self.position):
            self._members.discard(member)
            self._in_step[member] = member.write
        try:
            yield
        finally:
            if self._in_step.pop(member, None) is not None:
                member.sent = member.position = self.position
                self._members.add(member)

    async def close(self) -> None:
        """Stop following."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while True:
                try:
                    if isinstance(self._stream, EventStream):
                        await self._follow(self._stream)
                    else:
                        await self._watch(self._stream)
                except Exception as error:
                    if fault(error) is not Fault.DISCONNECTED:
                        raise
                    await asyncio.sleep(PAUSE)
        except Exception as error:
            self.error = error
        finally:
            self.started.set()
            for member in (*self._members, *self._in_step):
                member.news.set()

    async def _follow(self, stream: EventStream[Any]) -> None:
        if not self.started.is_set():
            self.position = await stream.newest()
            self.started.set()
        async with contextlib.aclosing(stream.follow(self.position, awake=True)) as batches:
            async for batch in batches:
                for at in range(0, len(batch.events), CHUNK):
                    chunk = batch.events[at : at + CHUNK]
                    records = batch.records if at == 0 else {}
                    bodies = await self._teller.tell([event for _, event in chunk], batch.version, records)
                    pieces = [Piece(body, seq) for body, (seq, _) in zip(bodies, chunk, strict=True)]
                    self._tell(Lot(pieces), pieces[-1].seq)
                if batch.position > self.position:
                    self._tell(Lot(()), batch.position)
                elif not batch.events:
                    self._teller.rehearse()

    def _tell(self, lot: Lot, position: int) -> None:
        # Nobody comes in between: nothing is awaited here. Who is in step is where the group is, so that moves on last:
        # should sending fail, nobody is taken to have what he was not sent.
        for member in self._send(lot):
            member.sent = self.position
        self.position = position
        for member in list(self._members):
            member.take(lot, position)
            if member.left:
                self._members.discard(member)

    def _send(self, lot: Lot) -> list[Member]:
        """Send the lot to all who are in step; those who did not take it, and are in step no more."""
        if not lot.pieces:
            return []
        late = [member for member, write in self._in_step.items() if not write(lot)]
        for member in late:
            del self._in_step[member]
        self._members.update(late)
        return late

    async def _watch(self, stream: StateStream[Any]) -> None:
        self.started.set()
        async with contextlib.aclosing(stream.states()) as states:
            async for state in states:
                (body,) = await self._teller.tell([state])
                self._state = Lot([Piece(body)])
                self._send(self._state)
                for member in self._members:
                    member.replace(self._state)


class Groups:
    """The groups of this process, by what their members have in common."""

    def __init__(self) -> None:
        self._groups: dict[Hashable, Group] = {}

    @contextlib.asynccontextmanager
    async def member(self, key: Hashable, stream: EventStream[Any] | StateStream[Any], teller: Teller) -> Any:
        """The group of `key` for as long as the block lasts; made of `stream` and `teller` by who comes first."""
        group = self._groups.get(key)
        if group is None or group.error is not None:
            group = self._groups[key] = Group(stream, teller)
        group.users += 1
        try:
            await group.started.wait()
            yield group
        finally:
            group.users -= 1
            if group.users == 0:
                if self._groups.get(key) is group:
                    del self._groups[key]
                await group.close()
