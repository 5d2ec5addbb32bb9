"""What people do with workflows: write a draft, publish it, turn it on and off, delete it."""

from collections.abc import Mapping
from typing import Any

from engine import ids, naming
from engine.problems import NotFound, Problem, Refused, UnknownObjectType, at
from engine.segments.uses import SegmentUse
from engine.workflows import awaiting, checking, conditions, leaving, published, starting
from engine.workflows.by_hand import enroll, unenroll
from engine.workflows.conditions import Conditions
from engine.workflows.definition import compiled, load
from storage import backfills, segment_uses, standings
from storage import workflows as stored
from storage.catalogue import ObjectTypeRow
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.listeners import Ref
from storage.standings import Leaving
from storage.workflows import WorkflowRow

__all__ = ["create", "delete", "enroll", "publish", "set_enabled", "unenroll", "update"]


class WorkflowNameTaken(Problem):
    """There is already a workflow called "{name}"."""


class StaleDraft(Problem):
    """The draft has been changed since version {read}: it is at version {version} now. Read it again."""


class NotPublished(Problem):
    """The workflow "{name}" has never been published; publish it before turning it on."""


class WorkflowBroken(Problem):
    """The workflow "{name}" names what is not there (any more): {reason}"""


class WorkflowUsed(Problem):
    """The workflow "{name}" is used by {uses}; remove it there first."""


# How many enrollments of a workflow that is deleted end with one statement.
ENDED_AT_ONCE = 5_000


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
    # What is noted of triggers from now on is noted of the new ones.
    await tx.redefine()
    if version not in (None, held.draft_version):
        raise StaleDraft(read=version, version=held.draft_version, path=("version",))
    object_type = _type(tx, held)
    definition = load(held.draft)
    found = list(checking.problems(definition, object_type, tx.catalogue))
    if found:
        raise Refused(found)
    bound = conditions.bind(definition, object_type, tx.catalogue)
    revision = (held.published_revision or 0) + 1
    refs = conditions.refs(bound, object_type.id, tx.catalogue)
    refs |= awaiting.refs(compiled(definition.actions), object_type, tx.catalogue)
    refs |= await _awaited(tx, held)
    await stored.publish(tx, workflow_id, revision, held.draft, conditions.ordered(refs))
    # Some changes of properties tell more when somebody waits for them.
    await tx.reload()
    if held.enabled:
        await starting.start(tx, workflow_id, bound)
    _tell(tx, EventKind.WORKFLOW_PUBLISHED, workflow_id, held.object_type_id, {"revision": revision})
    return await _read(tx, workflow_id)


async def set_enabled(
    tx: Transaction, workflow_id: int, enabled: bool, *, enroll_existing: bool | None = None
) -> WorkflowRow:
    """Turn a workflow on or off; the transaction must be a `defining` one.

    On: changes made from now on enroll, and with `enroll_existing` also who meets the triggers already, from the first
    record on. Where that had not come to its end when the workflow was turned off, it goes on from there (None), or
    ends (False). Off: nobody enrolls, enrollments stay and skip their actions. What is on stays on: `enroll_existing`
    then only begins it, or ends it. Raises `NotPublished` and `WorkflowBroken`.
    """
    held = await _hold(tx, workflow_id)
    if not enabled:
        if held.enabled:
            await stored.disable(tx, workflow_id)
            await starting.stop(tx, workflow_id)
            _tell(tx, EventKind.WORKFLOW_TURNED_OFF, workflow_id, held.object_type_id, {})
        return await _read(tx, workflow_id)
    bound = await _runnable(tx, held)
    if not held.enabled:
        # Exclusive: writers that are under way end first, later ones see the new version. So each change is
        # clearly from before, and none of the evaluator's business, or from after.
        await tx.redefine()
        await stored.enable(tx, workflow_id, tx.catalogue.version)
        await starting.start(tx, workflow_id, bound)
    if enroll_existing:
        await backfills.begin(tx, workflow_id)
    elif enroll_existing is False:
        await backfills.end(tx, workflow_id)
    if not held.enabled or enroll_existing:
        details = {"revision": held.published_revision, "enrollExisting": bool(enroll_existing)}
        _tell(tx, EventKind.WORKFLOW_TURNED_ON, workflow_id, held.object_type_id, details)
    return await _read(tx, workflow_id)


async def delete(tx: Transaction, workflow_id: int) -> WorkflowRow:
    """Delete a workflow; what it was. Its active enrollments end; its history stays. For a `defining` transaction.

    Raises `NotFound`, and `WorkflowUsed` with everybody whose definition names it.
    """
    held = await _hold(tx, workflow_id)
    await tx.redefine()
    found = [
        SegmentUse(kind, ids.encode(kind, number), name)
        for kind, number, name in await segment_uses.naming(tx, ids.encode("workflow", workflow_id))
        if (kind, number) != ("workflow", workflow_id)
    ]
    if found:
        raise WorkflowUsed(
            name=held.name,
            uses=[f'the {use.kind} "{use.name}"' for use in found],
            used_by=[{"kind": use.kind, "id": use.id, "name": use.name} for use in found],
            path=("id",),
        )
    error = {"code": "WORKFLOW_DELETED", "message": "The workflow was deleted."}
    while some := await standings.active_in(tx, workflow_id, ENDED_AT_ONCE):
        await leaving.end(tx, [Leaving(one, "UNENROLLED", error) for one in some])
    await stored.refer(tx, workflow_id, ())
    await starting.stop(tx, workflow_id)
    await backfills.end(tx, workflow_id)
    await stored.delete(tx, workflow_id)
    _tell(tx, EventKind.WORKFLOW_DELETED, workflow_id, held.object_type_id, {"name": held.name})
    await tx.reload()
    return held


async def _awaited(tx: Transaction, held: WorkflowRow) -> set[Ref]:
    """What enrollments that are under way on earlier revisions may wait for."""
    under_way = await standings.running_on(tx, held.id)
    keys = [(held.id, revision, held.object_type_id) for revision in under_way]
    known = await published.definitions_of(tx, tx.catalogue, keys)
    object_type = _type(tx, held)
    return {ref for one in known for ref in awaiting.refs(one[1], object_type, tx.catalogue)}


async def _runnable(tx: Transaction, held: WorkflowRow) -> Conditions:
    if held.published_revision is None:
        raise NotPublished(name=held.name, path=("id",))
    (row,) = await stored.revisions(tx, [(held.id, held.published_revision)])
    assert row is not None  # a revision is never deleted
    definition = load(row.definition)
    found = next(checking.problems(definition, _type(tx, held), tx.catalogue), None)
    if found is not None:
        raise WorkflowBroken(name=held.name, reason=found.message, path=("id",))
    return conditions.bind(definition, _type(tx, held), tx.catalogue)


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
    with at("name"):
        return naming.text(name, "workflow's name")


def _tell(
    tx: Transaction, kind: EventKind, workflow_id: int, object_type_id: int, details: dict[str, Any]
) -> None:
    tx.happened(Event(kind, object_type_id, None, workflow_id, details))
