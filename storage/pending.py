"""What is still to be examined of one record for one workflow: whether an answer of today may change by itself."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from storage.database import Queryable
from storage.statements import Statement

# How much of a backlog is looked through.
LOOKED = 20_000


@dataclass(frozen=True, slots=True)
class Pending:
    """Why a record may yet be examined.

    `queued`: a change of it, or of a record that was looked at. `walking`: a walk from a changed record, which may
    lead to it. `passing`: the workflow goes through its records and has not come to this one. `aside`: it was put aside
    after an error. `due`: the clock is to be looked at.
    """

    queued: bool
    walking: bool
    passing: bool
    aside: bool
    due: bool

    @property
    def any(self) -> bool:
        """Whether there is anything of it."""
        return self.queued or self.walking or self.passing or self.aside or self.due


# Each part reads no more than the head of a range of its table's key. Walks and troubles are few.
OF_RECORD = Statement(
    "pending.of_record",
    """
    SELECT EXISTS (SELECT FROM (SELECT q.record_ids FROM change_queue AS q
                                 WHERE q.account_id = $1 ORDER BY q.id LIMIT $5) AS q
                    WHERE q.record_ids && $4::bigint[]) AS queued,
           EXISTS (SELECT FROM (SELECT t.listener_ids FROM trigger_walk AS t
                                 WHERE t.account_id = $1 ORDER BY t.id LIMIT $5) AS t
                    WHERE $2::bigint = ANY(t.listener_ids)) AS walking,
           EXISTS (SELECT FROM workflow_backfill AS b
                    WHERE b.account_id = $1 AND b.workflow_id = $2 AND b.after_id < $3)
        OR EXISTS (SELECT FROM workflow_pass AS p
                    WHERE p.account_id = $1 AND p.workflow_id = $2 AND p.after_id < $3
                      AND p.kind IN ('SCHEDULE', 'IMPORT')) AS passing,
           EXISTS (SELECT FROM (SELECT t.work FROM change_trouble AS t
                                 WHERE t.account_id = $1 ORDER BY t.id LIMIT $5) AS t
                    WHERE ((t.work ->> 'listener_id')::bigint = $2 AND (t.work ->> 'record_id')::bigint = $3)
                       OR (t.work ->> 'record_id')::bigint = ANY($4::bigint[]) AND NOT t.work ? 'listener_id') AS aside,
           EXISTS (SELECT FROM match_state AS s
                    WHERE s.account_id = $1 AND s.listener_id = $2 AND s.record_id = $3
                      AND s.next_check_at <= $6) AS due
    """,
)


async def of_record(
    reader: Queryable, workflow_id: int, record_id: int, around: Collection[int], now: datetime
) -> Pending:
    """What is still to be examined; `around` are the records that the answer hangs on, itself among them."""
    row = await reader.fetchrow(OF_RECORD, workflow_id, record_id, list(around), LOOKED, now)
    assert row is not None  # it has no FROM
    return Pending(**row)
