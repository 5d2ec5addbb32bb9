"""Saved reports as users of labels: those that join their sources, and those in their filters."""

from collections.abc import Sequence

from engine.labels import Label
from engine.reports import names
from engine.uses.kinds import Exchange, Use, UseKind
from storage.catalogue import Catalogue
from storage.changes import Event, EventKind
from storage.database import Queryable, Transaction
from storage.reports import saved
from storage.reports.saved import ReportRow


async def uses(reader: Queryable, catalogue: Catalogue, labels: Sequence[Label]) -> list[Use]:
    """Every place in a report that names one of the labels, in either direction."""
    texts = {row.name for label in labels for row in (label.there, label.back) if row.name is not None}
    pairs = {label.there.pair_id for label in labels}
    found = await saved.naming(reader, texts) if texts else []
    return [use for one in found for use in _uses(one, catalogue) if use.pair_id in pairs]


async def replace(tx: Transaction, asked: Exchange) -> list[Use]:
    """Let reports name the new label. A report that names something else that is gone stays as broken as it was."""
    moved: list[Use] = []
    for one in await saved.naming(tx, {asked.old.there.name or "", asked.old.back.name or ""}):
        found = [use for use in _uses(one, tx.catalogue) if use.pair_id == asked.old.there.pair_id]
        if not found:
            continue
        held = await saved.lock(tx, one.id)
        if held is None:
            # Deleted meanwhile: nothing of it is left to name anything.
            continue
        definition = names.exchanged(held.definition, tx.catalogue, asked.types)
        await saved.update(tx, held.id, held.name, held.object_type_id, definition, held.chart)
        details = {"name": held.name, "version": held.version + 1}
        tx.happened(Event(EventKind.REPORT_UPDATED, held.object_type_id, None, held.id, details))
        moved += found
    return moved


def _uses(one: ReportRow, catalogue: Catalogue) -> list[Use]:
    return [
        Use(row.pair_id, UseKind.REPORT, subject_id=one.id, name=one.name, path=path)
        for path, row in names.mentions(one.definition, catalogue)
    ]
