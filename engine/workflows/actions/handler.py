"""What each kind of action is made of: a binding to the account's definitions, and a carrying out for a whole batch."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.problems import Problem, Refused
from engine.workflows.advance import Result
from engine.workflows.definition import Node
from engine.workflows.definition.actions import Action
from storage.catalogue import Catalogue, ObjectTypeRow
from storage.database import Transaction
from storage.enrollments import EnrollmentRow


@dataclass(frozen=True, slots=True)
class Batch:
    """Enrollments that stand before the same action of the same revision, held until the commit, in id order.

    Their records are of type `object_type`; the node's action is what is to be done.
    """

    tx: Transaction
    workflow_id: int
    revision: int
    object_type: ObjectTypeRow
    node: Node
    standing: Sequence[EnrollmentRow]


@dataclass(frozen=True, slots=True)
class Handler:
    """How a kind of action is bound and carried out.

    `bind(action, object_type, catalogue)` is the action with what it names; it raises `Problem` or `Refused`, with
    paths from the action, where that is not there or does not fit. `carry_out(batch, bound)` answers a result for
    each enrollment, in order: what cannot be done for one is its own result, an error of the database everybody's.
    `control`: it only says where to go on, so it is done also while the workflow is off or outside its windows.
    """

    bind: Callable[[Any, ObjectTypeRow, Catalogue], Any]
    carry_out: Callable[[Batch, Any], Awaitable[list[Result]]]
    control: bool = False


def told(problem: Problem | Refused | None) -> dict[str, Any]:
    """A problem as histories keep it."""
    if isinstance(problem, Refused):
        problem = problem.problems[0]
    assert problem is not None  # an outcome without a value has one
    return {"code": problem.code, "message": problem.message, "path": list(problem.path)}


Handlers = dict[type[Action], Handler]
