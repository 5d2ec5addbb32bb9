"""Associations and their labels: always in both directions, under every limit, whoever writes."""

from engine.associations.at_once import associate_at_once
from engine.associations.commands import (
    add_labels,
    associate,
    dissociate,
    remove_labels,
    set_labels,
    update_labels,
)
from engine.associations.lifecycle import before_merge, before_restore, on_archive, on_merge, on_restore
from engine.associations.pairs import AssociationResult, Pair

__all__ = [
    "AssociationResult",
    "Pair",
    "add_labels",
    "associate",
    "associate_at_once",
    "before_merge",
    "before_restore",
    "dissociate",
    "on_archive",
    "on_merge",
    "on_restore",
    "remove_labels",
    "set_labels",
    "update_labels",
]
