"""Workflows as users of labels: drafts, published definitions, and those on which enrollments are still under way."""

from collections.abc import Sequence
from itertools import groupby

from engine.labels import Label
from engine.uses.kinds import Exchange, Use, UseKind
from engine.workflows import labels as named
from storage import workflow_labels, workflows
from storage.catalogue import AssociationTypeRow, Catalogue
from storage.changes import Event, EventKind
from storage.database import Queryable, Transaction
from storage.workflow_labels import Naming


async def uses(reader: Queryable, catalogue: Catalogue, labels: Sequence[Label]) -> list[Use]:
    """Every place in a definition in force that names one of the labels, in either direction."""
    rows = {row.id: row for label in labels for row in (label.there, label.back)}
    definitions = await _naming(reader, list(rows.values()))
    return [use for one in definitions for use in _uses(one, catalogue) if use.pair_id in _pairs(labels)]


async def replace(tx: Transaction, asked: Exchange) -> list[Use]:
    """Let definitions name the new label. Drafts are edited; published ones are followed by another revision."""
    definitions = await _naming(tx, (asked.old.there, asked.old.back))
    moved: list[Use] = []
    for _, group in groupby(definitions, key=lambda one: one.workflow_id):
        several = [one for one in group if any(_concerned(one, tx.catalogue, asked))]
        for one in several:
            moved += _concerned(one, tx.catalogue, asked)
            if one.revision is None:
                await _edit(tx, one, asked)
        await _publish(tx, [one for one in several if one.revision is not None], asked)
    if moved:
        await workflow_labels.refer(tx, asked.types)
    return moved


async def _naming(reader: Queryable, rows: Sequence[AssociationTypeRow]) -> list[Naming]:
    names = {row.name for row in rows if row.name is not None}
    return await workflow_labels.naming(reader, names) if names else []


def _uses(one: Naming, catalogue: Catalogue) -> list[Use]:
    mentions = named.mentions(one.definition, catalogue.object_types[one.object_type_id], catalogue)
    found = [
        Use(
            mention.type.pair_id,
            UseKind.WORKFLOW_TRIGGER if mention.path[0] == "triggers" else UseKind.WORKFLOW_ACTION,
            subject_id=one.workflow_id,
            name=one.name,
            revision=one.revision,
            path=mention.path,
        )
        for mention in mentions
    ]
    # As people read a workflow; JSON has an order of its own.
    return sorted(found, key=lambda use: use.kind is not UseKind.WORKFLOW_TRIGGER)


def _concerned(one: Naming, catalogue: Catalogue, asked: Exchange) -> list[Use]:
    return [use for use in _uses(one, catalogue) if use.pair_id == asked.old.there.pair_id]


def _pairs(labels: Sequence[Label]) -> set[int]:
    return {label.there.pair_id for label in labels}


def _rewritten(tx: Transaction, one: Naming, asked: Exchange) -> dict[str, object]:
    object_type = tx.catalogue.object_types[one.object_type_id]
    return named.exchanged(one.definition, object_type, tx.catalogue, asked.types)


async def _edit(tx: Transaction, draft: Naming, asked: Exchange) -> None:
    await workflows.update(tx, draft.workflow_id, draft.name, _rewritten(tx, draft, asked))
    details = {"name": draft.name, "version": draft.draft_version + 1}
    tx.happened(Event(EventKind.WORKFLOW_UPDATED, draft.object_type_id, None, draft.workflow_id, details))


async def _publish(tx: Transaction, revisions: Sequence[Naming], asked: Exchange) -> None:
    """Let each of a workflow's revisions be followed by one that names the new label, in the same order.

    The published revision is always the last: where it does not name the label itself, it is repeated.
    """
    if not revisions:
        return
    one = revisions[-1]
    published = one.published_revision
    assert published is not None  # it has revisions
    last = published
    followers = {row.revision: _rewritten(tx, row, asked) for row in revisions}
    if published not in followers:
        (row,) = await workflows.revisions(tx, [(one.workflow_id, published)])
        assert row is not None  # a revision is never deleted
        followers[published] = row.definition
    for revision, definition in followers.items():
        assert revision is not None  # drafts were left out
        last += 1
        await workflow_labels.succeed(tx, one.workflow_id, revision, last, definition)
    await workflow_labels.publish(tx, one.workflow_id, last)
    tx.happened(
        Event(EventKind.WORKFLOW_PUBLISHED, one.object_type_id, None, one.workflow_id, {"revision": last})
    )
