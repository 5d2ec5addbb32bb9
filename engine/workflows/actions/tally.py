"""What one action did for each enrollment of a batch: what it changed, what was refused, where it goes on."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine import ids
from engine.associations import AssociationResult
from engine.problems import Problem
from engine.workflows.actions.handler import told
from engine.workflows.advance import Done, Failed, Gone, Partly, Result
from storage.catalogue import Catalogue
from storage.enrollments import EnrollmentRow
from storage.records import RecordRow

# How many refusals of one step are told one by one.
TOLD = 100


class Tally:
    """Notes per enrollment; `results` makes of them what `advance` takes."""

    def __init__(self, standing: Sequence[EnrollmentRow], rows: Mapping[int, RecordRow]) -> None:
        self._standing = standing
        self._rows = rows
        self._changes: dict[int, list[dict[str, Any]]] = {one.id: [] for one in standing}
        self._refused: dict[int, list[tuple[Problem | None, int]]] = {}

    def changed(self, one: EnrollmentRow, *changes: dict[str, Any]) -> None:
        """What it changed, in the shapes of histories."""
        self._changes[one.id] += changes

    def refused(self, one: EnrollmentRow, problem: Problem | None, record_id: int) -> None:
        """What was refused, and of which record."""
        self._refused.setdefault(one.id, []).append((problem, record_id))

    def results(self, after: Sequence[int | None] | None = None) -> list[Result]:
        """A result for each enrollment; `after` tells behind which record each one goes on, if it does."""
        return [
            self._result(one, None if after is None else after[n]) for n, one in enumerate(self._standing)
        ]

    def _result(self, one: EnrollmentRow, after: int | None) -> Result:
        row = self._rows[one.record_id]
        if row.archived_at is not None:
            return gone(row)
        changes, error = tuple(self._changes[one.id]), self._error(one)
        if after is not None:
            return Partly(after, changes, error)
        return Done(changes) if error is None else Failed(error, changes)

    def _error(self, one: EnrollmentRow) -> dict[str, Any] | None:
        """The first refusal in words; of the others who, and for what reason."""
        refused = self._refused.get(one.id)
        if not refused:
            return None
        problem, record_id = refused[0]
        error = told(problem)
        if record_id != one.record_id:
            error["associated"] = ids.encode("record", record_id)
        if len(refused) > 1:
            error["refused"] = len(refused)
            error["others"] = [
                {"associated": ids.encode("record", other), "code": told(why)["code"]}
                for why, other in refused[1:TOLD]
            ]
        return error


def gone(row: RecordRow) -> Gone:
    """What becomes of the enrollment of a record that is archived or merged away."""
    return Gone(merged=row.merged_into_id is not None)


def of_pair(
    record_id: int, other: int, result: AssociationResult, catalogue: Catalogue
) -> list[dict[str, Any]]:
    """What happened between an enrolled record and another one, in the shapes of histories."""
    pair = {"record": record_id, "associated": other}
    came = [catalogue.association_types[type_id] for type_id in result.added]
    went = [catalogue.association_types[type_id] for type_id in result.removed]
    labels = [row.name for row in went if row.name is not None]
    changes: list[dict[str, Any]] = []
    if any(row.unlabelled for row in went):
        changes.append({**pair, "association": "REMOVED", "labels": labels})
    else:
        changes += [{**pair, "label": label, "removed": True} for label in labels]
    if any(row.unlabelled for row in came):
        changes.append({**pair, "association": "ADDED"})
    changes += [{**pair, "label": row.name} for row in came if row.name is not None]
    if result.unseated is not None:
        changes.append(_unseated(record_id, other, result, catalogue))
    return changes


def _unseated(record_id: int, other: int, result: AssociationResult, catalogue: Catalogue) -> dict[str, Any]:
    """The primary that gave way, told from the record that has one."""
    added = [catalogue.association_types[type_id] for type_id in result.added]
    holds = any(row.primary and row.max_count is not None for row in added)
    holder = record_id if holds else other
    return {"record": holder, "associated": result.unseated, "label": "primary", "removed": True}
