"""Filters: one language for queries, triggers and segments, and what it means.

A definition (JSON, by name) is bound to an account's definitions; the bound tree (`storage.filters.tree`) has
two folds, SQL and Python, which a differential test holds together.
"""

from engine.filters.at_hand import Own, of_own
from engine.filters.deciding import Deciders, deciders, matters
from engine.filters.definition import LEAVES_LIMIT, bind, bind_of_event, explicit, leaves, problems
from engine.filters.foreseeing import Foreseen, moving, next_change
from engine.filters.matching import foreseen, matches, matches_many
from engine.filters.references import Reference, references

__all__ = [
    "LEAVES_LIMIT",
    "Deciders",
    "Foreseen",
    "Own",
    "Reference",
    "bind",
    "bind_of_event",
    "deciders",
    "explicit",
    "foreseen",
    "leaves",
    "matches",
    "matches_many",
    "matters",
    "moving",
    "next_change",
    "of_own",
    "problems",
    "references",
]
