"""What is told: one answer of a subscription, as finished JSON, with its number in the log."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """An answer. `seq`: the number of its event; 0 for a state, which takes the place of those before it."""

    body: bytes
    seq: int = 0
