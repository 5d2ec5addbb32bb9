"""Actions: what a whole batch of enrollments does to the account's own data, through the same commands as the API."""

from typing import Any

from engine.workflows.actions import (
    associations,
    branches,
    creating,
    delays,
    enrollments,
    labels,
    mails,
    properties,
    segments,
    value_branches,
    webhooks,
)
from engine.workflows.actions.handler import Batch, Handler, Handlers, told
from engine.workflows.advance import Result
from engine.workflows.definition.actions import (
    Action,
    AddToSegment,
    ApplyLabel,
    Branch,
    CallWebhook,
    CopyProperty,
    CreateAssociations,
    CreateRecord,
    CreateTask,
    Delay,
    End,
    EnrollIn,
    GoTo,
    IncrementProperty,
    RemoveFromSegment,
    RemoveLabels,
    SendEmail,
    SetProperty,
    Unenroll,
    UpdateLabels,
    ValueBranch,
)
from storage.catalogue import Catalogue, ObjectTypeRow

__all__ = ["HANDLERS", "Batch", "Handler", "bind", "carry_out", "told"]

HANDLERS: Handlers = {
    ApplyLabel: labels.APPLY,
    Branch: branches.BRANCH,
    AddToSegment: segments.ADD,
    CallWebhook: webhooks.CALL,
    CreateRecord: creating.CREATE_RECORD,
    CreateTask: creating.CREATE_TASK,
    RemoveFromSegment: segments.REMOVE,
    CopyProperty: properties.COPY,
    CreateAssociations: associations.CREATE,
    Delay: delays.DELAY,
    End: branches.END,
    EnrollIn: enrollments.ENROLL,
    GoTo: branches.GO_TO,
    IncrementProperty: properties.INCREMENT,
    RemoveLabels: labels.REMOVE,
    SendEmail: mails.SEND,
    SetProperty: properties.SET,
    Unenroll: enrollments.UNENROLL,
    UpdateLabels: labels.UPDATE,
    ValueBranch: value_branches.VALUE_BRANCH,
}


def bind(action: Action, object_type: ObjectTypeRow, catalogue: Catalogue) -> Any:
    """An action with what it names; raises `Problem` or `Refused` where that is not there or does not fit."""
    return HANDLERS[type(action)].bind(action, object_type, catalogue)


async def carry_out(batch: Batch, bound: Any) -> list[Result]:
    """Carry out a batch's action; a result for each enrollment, in order."""
    return await HANDLERS[type(batch.node.action)].carry_out(batch, bound)
