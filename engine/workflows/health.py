"""How a workflow fares: whether what it names is there, what fails, what waits, and since when it is silent."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine import ids
from engine.problems import NotFound, Problem
from engine.workflows import checking
from engine.workflows.definition import load
from storage import workflow_health
from storage import workflows as stored
from storage.catalogue import Catalogue
from storage.database import Queryable
from storage.workflow_health import FailureRow, StandingRow
from storage.workflows import WorkflowRow

DAYS_LIMIT = 90
# How many workflows are looked through at once for broken ones.
PAGE = 200


class DaysUnfit(Problem):
    """Health is told of 1 to {limit} days, not of {given}."""


class State(enum.StrEnum):
    """How it fares, the worst first."""

    OFF = "OFF"
    BROKEN = "BROKEN"
    FAILING = "FAILING"
    SILENT = "SILENT"
    OK = "OK"


@dataclass(frozen=True, slots=True)
class Health:
    """How a workflow fares. `silent_since`: its last enrollment, or, if it never had one, when it was turned on."""

    workflow: WorkflowRow
    state: State
    problems: Sequence[Problem]
    standing: StandingRow
    failures: Sequence[FailureRow]
    silent_since: datetime | None


async def of(
    reader: Queryable, catalogue: Catalogue, workflow_id: int, *, days: int, now: datetime
) -> Health:
    """How a workflow has fared in the last days. Raises `NotFound` and `DaysUnfit`."""
    if not 1 <= days <= DAYS_LIMIT:
        raise DaysUnfit(limit=DAYS_LIMIT, given=days, path=("days",))
    (row,) = await stored.by_ids(reader, [workflow_id])
    if row is None or row.deleted_at is not None:
        raise NotFound(kind="workflow", name=ids.encode("workflow", workflow_id), path=("workflow",))
    since = now - timedelta(days=days)
    (problems,) = await problems_of(reader, catalogue, [row])
    standing = await workflow_health.standing(reader, row.id, now)
    failures = await workflow_health.failures(reader, row.id, since)
    silent = silent_since(row, standing)
    failing = bool(failures or standing.aside)
    state = state_of(enabled=row.enabled, broken=bool(problems), failing=failing, silent=silent, since=since)
    return Health(row, state, problems, standing, failures, silent)


def silent_since(row: WorkflowRow, standing: StandingRow) -> datetime | None:
    """Since when nobody was enrolled while it was on; None: it is off. Pure."""
    if not row.enabled or row.enabled_at is None:
        return None
    return max(row.enabled_at, standing.last_enrolled_at or row.enabled_at)


def state_of(
    *, enabled: bool, broken: bool, failing: bool, silent: datetime | None, since: datetime
) -> State:
    """The worst of what there is. Pure."""
    if not enabled:
        return State.OFF
    if broken:
        return State.BROKEN
    if failing:
        return State.FAILING
    return State.SILENT if silent is not None and silent < since else State.OK


async def problems_of(
    reader: Queryable, catalogue: Catalogue, rows: Sequence[WorkflowRow]
) -> list[list[Problem]]:
    """What is broken in what is published of each; of what never was, in its draft."""
    keys = [(row.id, row.published_revision or 0) for row in rows]
    revisions = await stored.revisions(reader, keys)
    return [
        list(
            checking.problems(
                load(row.draft if revision is None else revision.definition),
                catalogue.object_types[row.object_type_id],
                catalogue,
            )
        )
        for row, revision in zip(rows, revisions, strict=True)
    ]


async def broken(reader: Queryable, catalogue: Catalogue, after: int, limit: int) -> list[WorkflowRow]:
    """Up to `limit` workflows behind the id `after` that were published and name what is not there any more."""
    found: list[WorkflowRow] = []
    while rows := await stored.listing(reader, after, PAGE):
        published = [row for row in rows if row.published_revision is not None]
        problems = await problems_of(reader, catalogue, published)
        found += [row for row, wrong in zip(published, problems, strict=True) if wrong]
        after = rows[-1].id
        if len(found) >= limit or len(rows) < PAGE:
            break
    return found[:limit]
