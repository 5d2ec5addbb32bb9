"""Filters: one language for queries, triggers and segments, and what it means.

A definition (JSON, by name) is bound to an account's definitions; the bound tree (`storage.filters.tree`) has
two folds, SQL and Python, which a differential test holds together.
"""

from engine.filters.definition import LEAVES_LIMIT, bind, explicit, leaves
from engine.filters.matching import matches, matches_many
from engine.filters.references import Reference, references

__all__ = [
    "LEAVES_LIMIT",
    "Reference",
    "bind",
    "explicit",
    "leaves",
    "matches",
    "matches_many",
    "references",
]
