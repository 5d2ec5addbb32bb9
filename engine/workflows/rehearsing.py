"""What a dry run is about: a published workflow, its draft, or a definition that is nowhere kept; and its rules."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from engine import filters, ids
from engine.evaluation.listening import Cause
from engine.problems import NotFound, Problem, Refused, UnknownObjectType
from engine.workflows import checking, published
from engine.workflows.bound import ByHand, Met
from engine.workflows.definition import kind
from engine.workflows.enough import AN_HOUR
from engine.workflows.happenings import Happening
from engine.workflows.looking import Beside, Look
from engine.workflows.published import Published
from engine.workflows.rules import Verdict
from storage import dry_runs, passes, standings, trigger_states
from storage import workflows as stored
from storage.catalogue import ObjectTypeRow
from storage.database import Transaction
from storage.filters.tree import And, Filter, Not, Or
from storage.records import RecordRow
from storage.workflows import RunningRow, WorkflowRow


@dataclass(frozen=True, slots=True)
class Tested:
    """A definition as it would run, on. `of`: the workflow whose history counts, if it is one's."""

    published: Published
    of: int | None

    @property
    def running(self) -> RunningRow:
        """As the stepper knows it."""
        one = self.published
        return RunningRow(one.id, one.object_type_id, one.revision, True, one.enabled_version)

    def kind_of(self, n: int) -> str:
        """The key of action number `n` in a definition."""
        return kind(self.published.program[n].action)


async def of_workflow(
    tx: Transaction, workflow_id: int, *, revision: int | None = None, draft: bool = False
) -> Tested | list[Problem]:
    """A workflow's published revision (None: the last one), or its draft, also before it was ever published.

    Its problems, where it is broken. Raises `NotFound`.
    """
    (row,) = await stored.by_ids(tx, [workflow_id])
    if row is None or row.deleted_at is not None:
        raise NotFound(kind="workflow", name=ids.encode("workflow", workflow_id), path=("workflow",))
    wanted = revision or row.published_revision
    if draft or wanted is None:
        return await _of_document(tx, row.draft, tx.catalogue.object_types[row.object_type_id], row.id)
    (kept,) = await stored.revisions(tx, [(row.id, wanted)])
    if kept is None:
        raise NotFound(kind="revision", name=str(wanted), path=("revision",))
    return await _of_revision(tx, row, wanted)


async def of_definition(
    tx: Transaction, object_type: str, document: Mapping[str, Any]
) -> Tested | list[Problem]:
    """A definition for records of a type, as `createWorkflow` takes it; its problems, where it has any.

    Raises `UnknownObjectType`.
    """
    found = tx.catalogue.by_name.get(object_type)
    if found is None:
        raise UnknownObjectType(name=object_type, path=("definition", "objectType"))
    return await _of_document(tx, document, found, None)


async def _of_revision(tx: Transaction, row: WorkflowRow, revision: int) -> Tested | list[Problem]:
    object_type = tx.catalogue.object_types[row.object_type_id]
    (bound,) = await published.definitions_of(tx, tx.catalogue, [(row.id, revision, object_type.id)])
    if problems := list(checking.problems(bound[0], object_type, tx.catalogue)):
        return problems
    (running,) = await stored.running(tx, [row.id])
    known = running.state_version or 0 if revision == row.published_revision else tx.catalogue.version + 1
    return Tested(Published(row.id, revision, object_type.id, True, 0, None, known, *bound), row.id)


async def _of_document(
    tx: Transaction, document: Mapping[str, Any], object_type: ObjectTypeRow, of: int | None
) -> Tested | list[Problem]:
    """It stands for a workflow of its own, made here and never kept."""
    try:
        checked = checking.checked(document, object_type, tx.catalogue)
    except (Problem, Refused) as error:
        return error.problems if isinstance(error, Refused) else [error]
    (number,) = await tx.new_ids(1)
    # No `redefine`: nobody else is to wait for what is never committed.
    await stored.insert(tx, number, f"dry run {number}", object_type.id, checked)
    await stored.publish(tx, number, 1, checked, ())
    tx.catalogue = replace(tx.catalogue, workflows={**tx.catalogue.workflows, number: object_type.id})
    made = published.of_document(number, object_type.id, checked, tx.catalogue)
    never = tx.catalogue.version + 1
    return Tested(replace(made, revision=1, enabled=True, state_version=never), of)


async def verdicts(
    tx: Transaction, tested: Tested, found: Mapping[int, RecordRow], *, called: bool
) -> dict[int, Verdict]:
    """What the rules say of each record, as if something that concerns it had just happened."""
    running = tested.published
    conditions = running.conditions
    assert conditions is not None  # it has no problems
    if not found:
        return {}
    pairs = [] if tested.of is None else [(tested.of, one) for one in sorted(found)]
    most = running.definition.guards.reenrollments_per_hour
    known = await standings.of_pairs(tx, pairs, tx.now - AN_HOUR, most) if pairs else {}
    wanted = [(*pair, running.state_version) for pair in pairs] if conditions.met_anew else []
    held = await trigger_states.held(tx, wanted) if wanted else {}
    makers = await passes.makers(tx, found)
    cause = Cause({"kind": "DRY_RUN"}, tx.now, 0, tx.catalogue.version)
    occurring = [
        Happening(n, cause) for n in conditions.events if not isinstance(conditions.numbered[n], ByHand)
    ]
    look = Look(
        running,
        conditions,
        dict.fromkeys(found, cause),
        dict.fromkeys(found, occurring),
        {pair[1]: one for pair, one in known.items()},
        {pair[1]: one for pair, one in held.items()},
        {},
    )
    answers = await filters.foreseen(tx, tx.catalogue, list(look.asked()), now=tx.now)
    look.take(iter(answers))
    beside = Beside(tx.now, ZoneInfo(tx.catalogue.time_zone), {}, {})
    return {
        record_id: look.again(
            look.seen(record_id, beside),
            called=called,
            living=row.archived_at is None,
            own=tested.of is not None and makers.get(record_id) == tested.of,
        ).verdict
        for record_id, row in found.items()
    }


async def count(tx: Transaction, tested: Tested) -> int:
    """How many records meet a trigger that is a filter now, and nothing that keeps them out."""
    conditions = tested.published.conditions
    assert conditions is not None  # it has no problems
    met: list[Filter] = [
        one.own for one in (conditions.numbered[n] for n in conditions.met) if isinstance(one, Met)
    ]
    against = [Not(one) for one in (conditions.suppress, conditions.goal) if one is not None]
    meant = And((Or(tuple(met)), *against))
    return await dry_runs.count(tx, meant, tested.published.object_type_id, now=tx.now) if met else 0
