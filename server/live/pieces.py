"""What is told: answers of a subscription, as finished JSON, with their numbers in the log."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """An answer. `seq`: the number of its event; 0 for a state, which takes the place of those before it."""

    body: bytes
    seq: int = 0


class Lot:
    """Pieces that many are handed at the same moment, in order.

    Whoever makes something of them notes it: `made` is what was made last, for `made_for`. The next one may well
    need the same.
    """

    __slots__ = ("made", "made_for", "pieces", "size")

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = pieces
        self.size = sum([len(piece.body) for piece in pieces])
        self.made_for: object = None
        self.made = b""
