"""The conditions of a workflow as they stand for one record, for those who ask why it is not enrolled."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.workflows.needed import Way


class Role(enum.StrEnum):
    """What a condition is for."""

    TRIGGER = "TRIGGER"
    REENROLLMENT = "REENROLLMENT"
    SUPPRESSION = "SUPPRESSION"
    GOAL = "GOAL"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a workflow, and what it says of the record now.

    `number` and `kind` are a trigger's. `tree` explains what is asked of the record, as
    `engine.filters.explaining.told` does; None: nothing is asked, the record is not there, or so much is looked at that
    it is not shown. `way`: the smallest change to have a trigger met, or the others not; None: there is none.
    """

    role: Role
    number: int | None
    kind: str | None
    holds: bool
    tree: Mapping[str, Any] | None = None
    way: Way | None = None
