"""Enrollments as people look at them: by id, page by page, with their histories."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable
from storage.enrollments import COLUMNS, EnrollmentRow, StepRow
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class Narrow:
    """Which enrollments of a list are meant; None: any.

    Those that trigger number `trigger` let in, of which action `failed` has failed, that began in a span of time.
    """

    trigger: int | None = None
    failed: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def arguments(self) -> tuple[Any, ...]:
        """As statements take it."""
        return self.trigger, self.failed, self.since, self.until


ALL = Narrow()

BY_IDS = Statement(
    "enrollments.by_ids",
    f"SELECT {COLUMNS} FROM enrollment AS e WHERE e.account_id = $1 AND e.id = ANY($2::bigint[])",
)

# What lists may be narrowed to, from parameter number {0} on; nothing of it has an index of its own, so it is asked of
# each row on the way along the list's.
_NARROW = """
              AND (${0}::int IS NULL OR (e.reason ->> 'trigger')::int = ${0})
              AND (${1}::text IS NULL OR EXISTS (
                      SELECT FROM enrollment_step AS s
                       WHERE s.account_id = $1 AND s.enrollment_id = e.id AND s.action = ${1} AND s.outcome = 'FAILED'))
              AND (${2}::timestamptz IS NULL OR e.enrolled_at >= ${2})
              AND (${3}::timestamptz IS NULL OR e.enrolled_at < ${3})
"""


def _narrowed(first: int) -> str:
    return _NARROW.format(first, first + 1, first + 2, first + 3)


# Newest first, for several workflows or records at once: for each a range of its own index, which ends after
# $6 rows.
PAGES_OF_WORKFLOWS = Statement(
    "enrollments.pages_of_workflows",
    f"""
    SELECT o.id AS owner, e.*
      FROM unnest($2::bigint[]) AS o(id)
     CROSS JOIN LATERAL (
           SELECT {COLUMNS} FROM enrollment AS e
            WHERE e.account_id = $1 AND e.workflow_id = o.id AND e.id < $3
              AND ($4::bigint IS NULL OR e.record_id = $4) AND ($5::text IS NULL OR e.status = $5)
              {_narrowed(7)}
            ORDER BY e.id DESC LIMIT $6
           ) AS e
    """,
)

PAGES_OF_RECORDS = Statement(
    "enrollments.pages_of_records",
    f"""
    SELECT o.id AS owner, e.*
      FROM unnest($2::bigint[]) AS o(id)
     CROSS JOIN LATERAL (
           SELECT {COLUMNS} FROM enrollment AS e
            WHERE e.account_id = $1 AND e.record_id = o.id AND e.id < $3
              AND ($4::bigint IS NULL OR e.workflow_id = $4) AND ($5::text IS NULL OR e.status = $5)
              {_narrowed(7)}
            ORDER BY e.id DESC LIMIT $6
           ) AS e
    """,
)

PAGE = Statement(
    "enrollments.page",
    f"""
    SELECT {COLUMNS}
      FROM enrollment AS e
     WHERE e.account_id = $1 AND e.id < $2 AND ($3::text IS NULL OR e.status = $3)
              {_narrowed(5)}
     ORDER BY e.id DESC LIMIT $4
    """,
)

STEPS = Statement(
    "enrollments.steps",
    """
    SELECT s.enrollment_id, s.n, s.action, s.at, s.outcome, s.changes, s.error
      FROM enrollment_step AS s
     WHERE s.account_id = $1 AND s.enrollment_id = ANY($2::bigint[])
     ORDER BY s.enrollment_id, s.n
    """,
)


async def by_ids(reader: Queryable, ids: Sequence[int]) -> list[EnrollmentRow | None]:
    """The enrollments with these ids, in the order asked."""
    found = {row["id"]: EnrollmentRow(**row) for row in await reader.fetch(BY_IDS, list(set(ids)))}
    return [found.get(number) for number in ids]


async def pages_of_workflows(
    reader: Queryable,
    ids: Sequence[int],
    *,
    record_id: int | None,
    status: str | None,
    before: int,
    limit: int,
    narrow: Narrow = ALL,
) -> list[list[EnrollmentRow]]:
    """For each workflow up to `limit` enrollments with ids below `before`, newest first."""
    return await _pages(reader, PAGES_OF_WORKFLOWS, ids, before, record_id, status, limit, *narrow.arguments)


async def pages_of_records(
    reader: Queryable,
    ids: Sequence[int],
    *,
    workflow_id: int | None,
    status: str | None,
    before: int,
    limit: int,
    narrow: Narrow = ALL,
) -> list[list[EnrollmentRow]]:
    """For each record up to `limit` enrollments with ids below `before`, newest first."""
    return await _pages(reader, PAGES_OF_RECORDS, ids, before, workflow_id, status, limit, *narrow.arguments)


async def _pages(
    reader: Queryable, statement: Statement, ids: Sequence[int], before: int, *rest: Any
) -> list[list[EnrollmentRow]]:
    found: dict[int, list[EnrollmentRow]] = {number: [] for number in ids}
    for row in await reader.fetch(statement, list(found), before, *rest):
        owner, *columns = row.values()
        found[owner].append(EnrollmentRow(*columns))
    return [sorted(found[number], key=lambda row: -row.id) for number in ids]


async def page(
    reader: Queryable, *, status: str | None, before: int, limit: int, narrow: Narrow = ALL
) -> list[EnrollmentRow]:
    """Up to `limit` enrollments of the account with ids below `before`, newest first."""
    rows = await reader.fetch(PAGE, before, status, limit, *narrow.arguments)
    return [EnrollmentRow(**row) for row in rows]


async def steps(reader: Queryable, enrollment_ids: Sequence[int]) -> list[list[StepRow]]:
    """The histories of these enrollments, in the order asked."""
    found: dict[int, list[StepRow]] = {number: [] for number in enrollment_ids}
    for row in await reader.fetch(STEPS, list(found)):
        found[row["enrollment_id"]].append(StepRow(**row))
    return [found[number] for number in enrollment_ids]
