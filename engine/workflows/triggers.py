"""Triggers bound to the account's definitions."""

from typing import TypeAlias

from engine import filters
from engine.problems import Problem, Refused
from engine.workflows.definition.triggers import FilterMet, Trigger
from storage.catalogue import Catalogue, ObjectTypeRow
from storage.filters.tree import Filter

BoundTrigger: TypeAlias = Filter


class TriggerNotYetSupported(Problem):
    """Triggers of this kind cannot be used."""


def bind(trigger: Trigger, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundTrigger:
    """A trigger with what it names; raises `Problem` or `Refused` where that is not there or does not fit."""
    match trigger:
        case FilterMet(where):
            try:
                return filters.bind(where, object_type, catalogue)
            except Refused as refused:
                raise Refused([problem.at("where") for problem in refused.problems]) from None
        case _:
            raise TriggerNotYetSupported
