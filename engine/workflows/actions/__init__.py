"""Actions: what a whole batch of enrollments does to the account's own data, through the same commands as the API."""

from typing import Any

from engine.workflows.actions import branches, delays, labels, properties, value_branches
from engine.workflows.actions.handler import Batch, Handler, Handlers, told
from engine.workflows.advance import Result
from engine.workflows.definition.actions import (
    Action,
    ApplyLabel,
    Branch,
    Delay,
    End,
    GoTo,
    SetProperty,
    ValueBranch,
)
from storage.catalogue import Catalogue, ObjectTypeRow

__all__ = ["HANDLERS", "Batch", "Handler", "bind", "carry_out", "told"]

HANDLERS: Handlers = {
    ApplyLabel: labels.APPLY,
    Branch: branches.BRANCH,
    Delay: delays.DELAY,
    End: branches.END,
    GoTo: branches.GO_TO,
    SetProperty: properties.SET,
    ValueBranch: value_branches.VALUE_BRANCH,
}


def bind(action: Action, object_type: ObjectTypeRow, catalogue: Catalogue) -> Any:
    """An action with what it names; raises `Problem` or `Refused` where that is not there or does not fit."""
    return HANDLERS[type(action)].bind(action, object_type, catalogue)


async def carry_out(batch: Batch, bound: Any) -> list[Result]:
    """Carry out a batch's action; a result for each enrollment, in order."""
    return await HANDLERS[type(batch.node.action)].carry_out(batch, bound)
