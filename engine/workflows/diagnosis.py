"""Why an enrollment began: whose change it was, when and by whom, and what the triggers saw at that moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine import ids
from engine.problems import NotFound
from engine.workflows.diagnosing import encoded
from storage import causes, enrollment_pages, trigger_states
from storage.changes import ChangeKind
from storage.database import Queryable
from storage.enrollments import EnrollmentRow


@dataclass(frozen=True, slots=True)
class Cause:
    """What happened. `record` changed; `source`, `source_id` and `user_id` say who did it; `details`: the rest of it.

    `at` is the time of the change, where histories still tell it; else that of the enrollment, which `exact` says.
    """

    kind: str
    at: datetime
    exact: bool
    record: int | None
    source: str | None
    source_id: str | None
    user_id: int | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """An enrollment, its cause, and the trees of the triggers that let it in, as `diagnosing.trees` keeps them.

    `kept` is false where nothing was kept: of enrollments from before diagnoses were.
    """

    row: EnrollmentRow
    cause: Cause
    triggers: Sequence[Mapping[str, Any]]
    kept: bool


_TOLD = ("kind", "record", "source", "sourceId", "user", "trigger", "type", "reenrollment")
_ASSOCIATIONS = (ChangeKind.ASSOCIATED, ChangeKind.DISSOCIATED)
_OF_RECORDS = (ChangeKind.CREATED, ChangeKind.UPDATED)


async def diagnose(reader: Queryable, enrollment_id: int) -> Diagnosed:
    """Why an enrollment began; raises `NotFound`."""
    (row,) = await enrollment_pages.by_ids(reader, [enrollment_id])
    if row is None:
        raise NotFound(kind="enrollment", name=ids.encode("enrollment", enrollment_id), path=("enrollment",))
    (tree,) = await trigger_states.diagnoses(reader, [enrollment_id])
    cause = await _cause(reader, row)
    return Diagnosed(row, cause, () if tree is None else tree["triggers"], tree is not None)


async def _cause(reader: Queryable, row: EnrollmentRow) -> Cause:
    reason = row.reason
    kind, record, source = reason["kind"], reason.get("record"), reason.get("source")
    found = None
    if source is not None and record is not None:
        made = (record, row.enrolled_at, source, reason.get("sourceId"))
        if kind in _OF_RECORDS:
            found = await causes.of_record(reader, *made)
        elif kind in _ASSOCIATIONS:
            added = kind == ChangeKind.ASSOCIATED
            found = await causes.of_association(reader, *made, added=added)
    return Cause(
        kind,
        row.enrolled_at if found is None else found.at,
        found is not None,
        record,
        source,
        reason.get("sourceId"),
        reason.get("user") if found is None else found.user_id,
        encoded({key: value for key, value in reason.items() if key not in _TOLD}),
    )
