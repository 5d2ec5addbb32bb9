"""Lines of history, counted: how many actions an enrollment has really taken."""

from collections.abc import Sequence

from storage.database import Queryable
from storage.statements import Statement

# A range of the primary key each. Lines of one action that follow each other are its parts, or its retries: to come to
# an action again, an enrollment goes through another one.
ACTIONS = Statement(
    "step_lines.actions",
    """
    SELECT l.enrollment_id, count(*) FILTER (WHERE l.action IS DISTINCT FROM l.before) AS n
      FROM (SELECT s.enrollment_id, s.action,
                   lag(s.action) OVER (PARTITION BY s.enrollment_id ORDER BY s.n) AS before
              FROM enrollment_step AS s
             WHERE s.account_id = $1 AND s.enrollment_id = ANY($2::bigint[])) AS l
     GROUP BY l.enrollment_id
    """,
)


async def actions(reader: Queryable, enrollment_ids: Sequence[int]) -> dict[int, int]:
    """How many actions each enrollment has taken, however many lines tell of one; without any it is missing."""
    return {row["enrollment_id"]: row["n"] for row in await reader.fetch(ACTIONS, list(enrollment_ids))}
