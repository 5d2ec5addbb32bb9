"""Hands that share one worker's piece of work: processes of this machine, or this process itself, each with a database.

An import or a first sync is cut into pieces by whoever holds it. A piece travels to a hand and is carried out there in
transactions of its own, which see for themselves that the work is still its holder's: a hand may outlive him.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from storage.database import Database

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# Pieces that are under way at a time where one process does them all: while one waits for PostgreSQL, another is
# put into words.
ALONE = 4
# What a hand remembers between pieces, such as bound plans.
REMEMBERED = 64


@dataclass(slots=True)
class Hand:
    """Who carries pieces out: its own pool of connections, its clock, and what it remembers from earlier pieces."""

    db: Database
    clock: Callable[[], datetime]
    _memory: dict[Hashable, Any] = field(default_factory=dict)

    def remembered(self, key: Hashable, made: Callable[[], T]) -> T:
        """What is known under `key`, or what `made` makes. Nothing may be lost when it is forgotten."""
        if key in self._memory:
            # What was used last stays longest.
            found: T = self._memory.pop(key)
        else:
            found = made()
        self._memory[key] = found
        while len(self._memory) > REMEMBERED:
            del self._memory[next(iter(self._memory))]
        return found

    def forget(self, key: Hashable) -> None:
        """Let go of what is known under `key`."""
        self._memory.pop(key, None)


class Piece(Protocol[T_co]):
    """A piece of work as a value that can be pickled, and so can what it returns and raises.

    It may be carried out twice, where a hand was lost before it answered: then the second time finds what is done.
    """

    async def __call__(self, hand: Hand) -> T_co:
        """Carry it out."""
        ...


class Crew(Protocol):
    """Hands by the number."""

    @property
    def size(self) -> int:
        """How many pieces it is worth having under way at once."""
        ...

    async def do(self, piece: Piece[T]) -> T:
        """Let a hand carry the piece out; what it returns or raises. Raises `HandLost` where the hand has gone."""
        ...

    def prepare(self) -> None:
        """Sooner or later there is going to be much: what no hand can do without may be loaded now."""
        ...

    def expect(self, pieces: int, kind: type) -> None:
        """About so many pieces of a kind are to come soon: what has to be started for them may be started now."""
        ...


class HandLost(Exception):
    """A process ended in the middle of a piece: whether it was carried out is not known."""


class Alone:
    """This process as its own and only hand."""

    size = ALONE

    def __init__(self, db: Database, clock: Callable[[], datetime]) -> None:
        self._hand = Hand(db, clock)

    async def do(self, piece: Piece[T]) -> T:
        """Carry it out here."""
        return await piece(self._hand)

    def prepare(self) -> None:
        """See `Crew`: it is there already."""

    def expect(self, pieces: int, kind: type) -> None:
        """See `Crew`: it is there already."""
