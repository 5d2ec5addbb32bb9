"""Segments as users of labels: the filters by which records belong to them."""

from collections.abc import Sequence

from engine.labels import Label
from engine.problems import Problem, Refused
from engine.segments import commands
from engine.uses.kinds import Exchange, Use, UseKind
from engine.workflows import labels as named
from storage import segment_labels
from storage import segments as stored
from storage.catalogue import Catalogue
from storage.database import Queryable, Transaction
from storage.segment_labels import Naming


async def uses(reader: Queryable, catalogue: Catalogue, labels: Sequence[Label]) -> list[Use]:
    """Every place in a segment's filter that names one of the labels, in either direction."""
    names = {row.name for label in labels for row in (label.there, label.back) if row.name is not None}
    pairs = {label.there.pair_id for label in labels}
    found = await segment_labels.naming(reader, names) if names else []
    return [use for one in found for use in _uses(one, catalogue) if use.pair_id in pairs]


async def replace(tx: Transaction, asked: Exchange) -> list[Use]:
    """Let filters name the new label. Active segments examine all records anew: more of them may belong to it now."""
    found = await uses(tx, tx.catalogue, [asked.old])
    concerned = {use.subject_id for use in found}
    for one in await segment_labels.naming(tx, {asked.old.there.name or "", asked.old.back.name or ""}):
        if one.segment_id not in concerned:
            continue
        where = named.exchanged(
            one.definition, tx.catalogue.object_types[one.object_type_id], tx.catalogue, asked.types
        )
        if one.kind == commands.ACTIVE:
            try:
                await commands.update(tx, one.segment_id, one.version, where=where)
            except (Problem, Refused):
                # It names something else that is not there: it stays as broken as it was, but for the label.
                pass
            else:
                continue
        await stored.update(tx, one.segment_id, one.name, one.kind, where)
    return found


def _uses(one: Naming, catalogue: Catalogue) -> list[Use]:
    mentions = named.mentions(one.definition, catalogue.object_types[one.object_type_id], catalogue)
    return [
        Use(
            mention.type.pair_id,
            UseKind.SEGMENT,
            subject_id=one.segment_id,
            name=one.name,
            path=mention.path,
        )
        for mention in mentions
    ]
