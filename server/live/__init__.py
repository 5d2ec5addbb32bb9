"""Subscriptions as bytes: each selection is executed once for all who ask alike, told to each at its pace."""

from server.live.groups import Groups
from server.live.listening import Listening
from server.live.pieces import Lot, Piece
from server.live.problems import AccessChanged, GoingAway, SlowConsumer, cut
from server.live.telling import Teller

__all__ = [
    "AccessChanged",
    "GoingAway",
    "Groups",
    "Listening",
    "Lot",
    "Piece",
    "SlowConsumer",
    "Teller",
    "cut",
]
