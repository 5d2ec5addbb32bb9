"""What people do with workflows: write a draft, publish it, turn it on and off."""

from collections.abc import Mapping
from typing import Any

from engine import ids, naming
from engine.evaluation import listening
from engine.problems import NotFound, Problem, Refused, UnknownObjectType
from engine.workflows import checking, triggers
from engine.workflows.definition import load
from storage import backfills
from storage import workflows as stored
from storage.catalogue import ObjectTypeRow
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.workflows import WorkflowRow


class WorkflowNameTaken(Problem):
    """There is already a workflow called "{name}"."""


class StaleDraft(Problem):
    """The draft has been changed since version {read}: it is at version {version} now. Read it again."""


class NotPublished(Problem):
    """The workflow "{name}" has never been published; publish it before turning it on."""


class WorkflowBroken(Problem):
    """The workflow "{name}" names what is not there (any more): {reason}"""


async def create(tx: Transaction, name: str, object_type: str, definition: Mapping[str, Any]) -> WorkflowRow:
    """A new workflow, with a draft, off. `definition` has the keys of the API's input.

    Raises `Refused` with every problem of the definition, `UnknownObjectType`, `WorkflowNameTaken`.
    """
    name = _name(name)
    found = tx.catalogue.by_name.get(object_type)
    if found is None:
        raise UnknownObjectType(name=object_type, path=("objectType",))
    # Filters name workflows: the catalogue has them.
    await tx.redefine()
    draft = checking.checked(definition, found, tx.catalogue)
    (workflow_id,) = await tx.new_ids(1)
    if not await stored.insert(tx, workflow_id, name, found.id, draft):
        raise WorkflowNameTaken(name=name, path=("name",))
    await tx.reload()
    _tell(tx, EventKind.WORKFLOW_CREATED, workflow_id, found.id, {"name": name})
    return await _read(tx, workflow_id)


async def update(
    tx: Transaction,
    workflow_id: int,
    version: int,
    *,
    name: str | None = None,
    definition: Mapping[str, Any] | None = None,
) -> WorkflowRow:
    """Write the draft that was read at `version`; what is not given stays, triggers and actions each as a whole.

    The published revision stays, too.

    Raises `StaleDraft`, and what `create` raises.
    """
    held = await _hold(tx, workflow_id)
    if held.draft_version != version:
        raise StaleDraft(read=version, version=held.draft_version, path=("version",))
    name = held.name if name is None else _name(name)
    if await stored.named(tx, name) not in (None, workflow_id):
        raise WorkflowNameTaken(name=name, path=("name",))
    draft = held.draft
    if definition:
        draft = checking.checked({**held.draft, **definition}, _type(tx, held), tx.catalogue, held.draft)
    await stored.update(tx, workflow_id, name, draft)
    details = {"name": name, "version": version + 1}
    _tell(tx, EventKind.WORKFLOW_UPDATED, workflow_id, held.object_type_id, details)
    return await _read(tx, workflow_id)


async def publish(tx: Transaction, workflow_id: int, version: int | None) -> WorkflowRow:
    """Let new enrollments run on the draft that was read at `version` (None: any); running ones keep theirs.

    Raises `StaleDraft`, and `Refused` where the draft names what is not there any more.
    """
    held = await _hold(tx, workflow_id)
    if version not in (None, held.draft_version):
        raise StaleDraft(read=version, version=held.draft_version, path=("version",))
    object_type = _type(tx, held)
    definition = load(held.draft)
    found = list(checking.problems(definition, object_type, tx.catalogue))
    if found:
        raise Refused(found)
    bound = [triggers.bind(trigger, object_type, tx.catalogue) for trigger in definition.triggers]
    revision = (held.published_revision or 0) + 1
    refs = listening.refs(bound, object_type.id, tx.catalogue)
    await stored.publish(tx, workflow_id, revision, held.draft, refs)
    _tell(tx, EventKind.WORKFLOW_PUBLISHED, workflow_id, held.object_type_id, {"revision": revision})
    return await _read(tx, workflow_id)


async def set_enabled(
    tx: Transaction, workflow_id: int, enabled: bool, *, enroll_existing: bool = False
) -> WorkflowRow:
    """Turn a workflow on or off; the transaction must be a `defining` one.

    On: changes made from now on enroll, and with `enroll_existing` also who meets the triggers already. Off:
    nobody enrolls, enrollments stay and skip their actions. What is on stays on: `enroll_existing` then only
    enrolls. Raises `NotPublished` and `WorkflowBroken`.
    """
    held = await _hold(tx, workflow_id)
    if not enabled:
        if held.enabled:
            await stored.disable(tx, workflow_id)
            await backfills.end(tx, workflow_id)
            _tell(tx, EventKind.WORKFLOW_TURNED_OFF, workflow_id, held.object_type_id, {})
        return await _read(tx, workflow_id)
    await _runnable(tx, held)
    if not held.enabled:
        # Exclusive: writers that are under way end first, later ones see the new version. So each change is
        # clearly from before, and none of the evaluator's business, or from after.
        await tx.redefine()
        await stored.enable(tx, workflow_id, tx.catalogue.version)
    if enroll_existing:
        await backfills.begin(tx, workflow_id)
    if not held.enabled or enroll_existing:
        details = {"revision": held.published_revision, "enrollExisting": enroll_existing}
        _tell(tx, EventKind.WORKFLOW_TURNED_ON, workflow_id, held.object_type_id, details)
    return await _read(tx, workflow_id)


async def _runnable(tx: Transaction, held: WorkflowRow) -> None:
    if held.published_revision is None:
        raise NotPublished(name=held.name)
    (row,) = await stored.revisions(tx, [(held.id, held.published_revision)])
    assert row is not None  # a revision is never deleted
    definition = load(row.definition)
    found = next(checking.problems(definition, _type(tx, held), tx.catalogue), None)
    if found is not None:
        raise WorkflowBroken(name=held.name, reason=found.message)


async def _hold(tx: Transaction, workflow_id: int) -> WorkflowRow:
    held = await stored.lock(tx, workflow_id)
    if held is None:
        raise NotFound(kind="workflow", name=ids.encode("workflow", workflow_id), path=("id",))
    return held


async def _read(tx: Transaction, workflow_id: int) -> WorkflowRow:
    (row,) = await stored.by_ids(tx, [workflow_id])
    assert row is not None  # it was written, or held, by this transaction
    return row


def _type(tx: Transaction, held: WorkflowRow) -> ObjectTypeRow:
    return tx.catalogue.object_types[held.object_type_id]


def _name(name: str) -> str:
    try:
        return naming.text(name, "workflow's name")
    except Problem as problem:
        raise problem.at("name") from None


def _tell(
    tx: Transaction, kind: EventKind, workflow_id: int, object_type_id: int, details: dict[str, Any]
) -> None:
    tx.happened(Event(kind, object_type_id, None, workflow_id, details))
