"""One subscription's way: alone through the log up to where its group is, then with the group."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from typing import Any

from resolvers.streams import EventStream, StateStream
from server.live.groups import Group, Groups, Member
from server.live.pieces import Lot, Piece
from server.live.problems import SlowConsumer
from server.live.telling import CHUNK, Teller


class Listening:
    """A subscription that was found to be in order. `batches` tells it; `cursor` is where to go on behind.

    Whoever can send without waiting sets `write` before. What comes while nothing is waiting to be sent is passed to
    that, and not to `batches`, unless it answers False: then it has sent nothing.
    """

    def __init__(
        self, groups: Groups, key: Hashable, stream: EventStream[Any] | StateStream[Any], teller: Teller
    ) -> None:
        self._groups = groups
        self._key = key
        self._stream = stream
        self._teller = teller
        self._position: int | None = None
        self.write: Callable[[Lot], bool] | None = None

    @property
    def cursor(self) -> str | None:
        """The cursor up to which everything was told; None where nothing is known yet, or there are only states."""
        if isinstance(self._stream, EventStream) and self._position is not None:
            return self._stream.cursor(self._position)
        return None

    async def batches(self) -> AsyncGenerator[list[Piece], None]:
        """What there is to tell, without an end.

        Raises `CursorExpired`, `SlowConsumer` for who does not keep up with the group, and what the group fails of.
        """
        stream = self._stream
        if isinstance(stream, EventStream):
            # Before the group: what happens while that begins is not lost.
            self._position = await stream.beginning()
        async with self._groups.member(self._key, stream, self._teller) as group:
            member = Member(self.write)
            try:
                async with contextlib.aclosing(self._told(stream, group, member)) as told:
                    async for pieces in told:
                        yield pieces
            finally:
                group.leave(member)

    async def _told(
        self, stream: EventStream[Any] | StateStream[Any], group: Group, member: Member
    ) -> AsyncGenerator[list[Piece], None]:
        joined = group.join(member)
        if isinstance(stream, EventStream):
            assert self._position is not None  # it has begun
            while self._position < joined:
                # Alone up to where the group was; what it is told meanwhile waits, as far as there is room.
                async with contextlib.aclosing(self._alone(stream, joined)) as alone:
                    async for pieces in alone:
                        yield pieces
                if member.left:
                    joined = group.join(member)
        async with contextlib.aclosing(self._together(group, member)) as together:
            async for pieces in together:
                yield pieces

    def sent(self, piece: Piece) -> None:
        """Note that the piece is on its way to the client, before the rest of its batch is."""
        self._reached(piece.seq)

    async def _alone(self, stream: EventStream[Any], until: int) -> AsyncGenerator[list[Piece], None]:
        assert self._position is not None  # it has begun
        async with contextlib.aclosing(stream.replay(self._position, until)) as batches:
            async for batch in batches:
                for at in range(0, len(batch.events), CHUNK):
                    chunk = batch.events[at : at + CHUNK]
                    records = batch.records if at == 0 else {}
                    bodies = await self._teller.tell([event for _, event in chunk], batch.version, records)
                    yield [Piece(body, seq) for body, (seq, _) in zip(bodies, chunk, strict=True)]
                self._position = batch.position

    async def _together(self, group: Group, member: Member) -> AsyncGenerator[list[Piece], None]:
        while True:
            if member.waiting:
                position = member.position
                # Who began ahead of the group is not told again what lies behind it.
                pieces = self._fresh(member.hand_out())
                if pieces:
                    yield pieces
                self._reached(position)
            elif member.left:
                raise SlowConsumer
            elif group.error is not None:
                raise group.error
            else:
                self._reached(member.position)
                member.news.clear()
                try:
                    with group.in_step(member, self._position):
                        await member.news.wait()
                finally:
                    self._reached(member.sent)

    def _fresh(self, pieces: Sequence[Piece]) -> list[Piece]:
        return [piece for piece in pieces if self._position is None or piece.seq > self._position]

    def _reached(self, position: int) -> None:
        if self._position is not None:
            self._position = max(self._position, position)
