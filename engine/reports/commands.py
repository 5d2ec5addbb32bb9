"""What people do with reports: save, edit and delete them."""

import enum
from collections.abc import Mapping
from typing import Any

from engine import filters, ids, naming
from engine.problems import NotFound, Problem, Refused, at
from engine.reports import problems as told
from engine.reports.definition import Bound, bind
from engine.reports.names import sources
from storage.catalogue import Catalogue
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.reports import saved
from storage.reports.saved import ReportRow

# Reports an account may have.
MOST = 1_000


class Chart(enum.StrEnum):
    """How a report is drawn."""

    BAR = "BAR"
    LINE = "LINE"
    TABLE = "TABLE"


async def create(tx: Transaction, name: str, definition: Mapping[str, Any], chart: Chart) -> ReportRow:
    """A new report. Raises `ReportNameTaken`, `MalformedText`, `TooManyReports`, and `Refused` with every problem."""
    name = _name(name)
    bound = _bind(definition, tx.catalogue)
    if len(await saved.listing(tx, 0, MOST)) == MOST:
        raise told.TooManyReports(limit=MOST)
    (report_id,) = await tx.new_ids(1)
    kept = spelled(definition, tx.catalogue)
    if not await saved.insert(tx, report_id, name, bound.report.object_type_id, kept, chart.value):
        raise told.ReportNameTaken(name=name, path=("name",))
    _tell(tx, EventKind.REPORT_CREATED, report_id, bound.report.object_type_id, {"name": name})
    return await _read(tx, report_id)


async def update(
    tx: Transaction,
    report_id: int,
    version: int,
    *,
    name: str | None = None,
    definition: Mapping[str, Any] | None = None,
    chart: Chart | None = None,
) -> ReportRow:
    """Change what is given of a report that was read at `version`. Raises `StaleReport`, and what `create` raises."""
    held = await _hold(tx, report_id)
    if held.version != version:
        raise told.StaleReport(read=version, version=held.version, path=("version",))
    name = held.name if name is None else _name(name)
    if await saved.named(tx, name) not in (None, report_id):
        raise told.ReportNameTaken(name=name, path=("name",))
    kept, object_type_id = held.definition, held.object_type_id
    if definition is not None:
        object_type_id = _bind(definition, tx.catalogue).report.object_type_id
        kept = spelled(definition, tx.catalogue)
    await saved.update(
        tx, report_id, name, object_type_id, kept, held.chart if chart is None else chart.value
    )
    _tell(tx, EventKind.REPORT_UPDATED, report_id, object_type_id, {"name": name, "version": version + 1})
    return await _read(tx, report_id)


async def delete(tx: Transaction, report_id: int) -> ReportRow:
    """Delete a report; what it was. Raises `NotFound`."""
    held = await _hold(tx, report_id)
    await saved.delete(tx, report_id)
    _tell(tx, EventKind.REPORT_DELETED, report_id, held.object_type_id, {"name": held.name})
    return held


def problems(row: ReportRow, catalogue: Catalogue) -> list[Problem]:
    """What is wrong with a saved report: what it names may be gone since. Empty: nothing."""
    try:
        bind(row.definition, catalogue)
    except Refused as refused:
        return refused.problems
    return []


def spelled(definition: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """A valid definition as it is stored: without what is not given, and with filters that say all that they mean."""
    primary = sources(definition, catalogue)[definition["objectType"]]
    kept: dict[str, Any] = _given(definition)
    for part in (kept, *kept.get("joins", ())):
        if "where" in part:
            part["where"] = filters.explicit(part["where"], primary)
    return kept


def _given(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _given(part) for key, part in value.items() if part is not None}
    return [_given(part) for part in value] if isinstance(value, list | tuple) else value


def _bind(definition: Mapping[str, Any], catalogue: Catalogue) -> Bound:
    with at("definition"):
        return bind(definition, catalogue)


async def _hold(tx: Transaction, report_id: int) -> ReportRow:
    held = await saved.lock(tx, report_id)
    if held is None:
        raise NotFound(kind="report", name=ids.encode("report", report_id), path=("id",))
    return held


async def _read(tx: Transaction, report_id: int) -> ReportRow:
    (row,) = await saved.by_ids(tx, [report_id])
    assert row is not None  # it was written by this transaction
    return row


def _name(name: str) -> str:
    with at("name"):
        return naming.text(name, "report's name")


def _tell(
    tx: Transaction, kind: EventKind, report_id: int, object_type_id: int, details: dict[str, Any]
) -> None:
    """Note in the log what was done, and with that who did it."""
    tx.happened(Event(kind, object_type_id, None, report_id, details))
