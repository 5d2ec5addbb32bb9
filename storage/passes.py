"""Passes: goings through many records for a workflow, part by part, over any crash."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.arrays import numbers
from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class PassRow:
    """A pass under way; see the table for its kinds. Records up to `after_id` are done."""

    workflow_id: int
    kind: str
    key: str
    after_id: int
    enrolled: int
    started_at: datetime
    details: dict[str, Any]


# One that is under way under this key begins anew where `again`; else it goes on.
BEGIN = Statement(
    "passes.begin",
    """
    INSERT INTO workflow_pass (account_id, workflow_id, kind, key, after_id, enrolled, started_at, details)
    VALUES ($1, $2, $3, $4, 0, 0, $5, $6)
    ON CONFLICT (account_id, workflow_id, kind, key) DO UPDATE
       SET after_id = 0, started_at = least(workflow_pass.started_at, $5), details = $6
     WHERE $7
    """,
)

# For all workflows that are on and wait for the imports of an object type.
BEGIN_IMPORT = Statement(
    "passes.begin_import",
    """
    INSERT INTO workflow_pass (account_id, workflow_id, kind, key, after_id, enrolled, started_at, details)
    SELECT $1, w.id, 'IMPORT', $2, 0, 0, $3, '{}'
      FROM workflow AS w
     WHERE w.account_id = $1 AND w.enabled
       AND w.id = ANY(ARRAY(SELECT t.workflow_id FROM trigger_ref AS t
                             WHERE t.account_id = $1 AND t.kind = 'IMPORT'))
    ON CONFLICT (account_id, workflow_id, kind, key) DO NOTHING
    """,
)

# The one who works on a pass holds its row until the part and the new place are committed. The least advanced first:
# a long pass does not hold up short ones.
CLAIM = Statement(
    "passes.claim",
    """
    SELECT p.workflow_id, p.kind, p.key, p.after_id, p.enrolled, p.started_at, p.details
      FROM workflow_pass AS p
     WHERE p.account_id = $1 AND p.workflow_id <> ALL($2::bigint[])
     ORDER BY p.after_id, p.workflow_id, p.kind, p.key LIMIT 1
       FOR UPDATE SKIP LOCKED
    """,
)

MOVE = Statement(
    "passes.move",
    """
    UPDATE workflow_pass AS p SET after_id = $5, enrolled = p.enrolled + $6
     WHERE p.account_id = $1 AND p.workflow_id = $2 AND p.kind = $3 AND p.key = $4
    """,
)

END = Statement(
    "passes.end",
    """
    DELETE FROM workflow_pass AS p
     WHERE p.account_id = $1 AND p.workflow_id = $2 AND p.kind = $3 AND p.key = $4
    """,
)

END_ALL = Statement(
    "passes.end_all", "DELETE FROM workflow_pass AS p WHERE p.account_id = $1 AND p.workflow_id = $2"
)

# A range of the primary key of histories for each of a page of records, whatever the planner believes: those that an
# import made or changed; and probes for those that it associated.
OF_IMPORT = Statement(
    "passes.of_import",
    """
    SELECT r.id
      FROM unnest($2::bigint[]) AS r(id)
     CROSS JOIN LATERAL (
           (SELECT FROM property_history AS h
             WHERE h.account_id = $1 AND h.record_id = r.id AND h.source = 'IMPORT' AND h.source_id = $3
             LIMIT 1)
           UNION ALL
           (SELECT FROM import_pair AS p
             WHERE p.account_id = $1 AND p.import_id = $3::text::bigint AND p.from_id = r.id LIMIT 1)
           UNION ALL
           (SELECT FROM import_pair AS p
             WHERE p.account_id = $1 AND p.import_id = $3::text::bigint AND p.to_id = r.id LIMIT 1)
           LIMIT 1
           ) AS h
     ORDER BY r.id
    """,
)

# By the primary key: who made each record, if it was a workflow. Ids come as text, and none comes before the first
# version: of a list that they see, and of "the first" without statistics, planners up to PostgreSQL 16 think that all
# that there is is sooner read.
MAKERS = Statement(
    "passes.makers",
    """
    SELECT h.record_id, h.source_id
      FROM property_history AS h
     WHERE h.account_id = $1 AND h.record_id = ANY((SELECT $2::text)::bigint[]) AND h.version <= 1
       AND h.source = 'WORKFLOW'
    """,
)


async def begin(
    tx: Transaction, workflow_id: int, kind: str, key: str, details: dict[str, Any], *, again: bool = False
) -> None:
    """Let a pass begin; `again`: anew, where it is under way."""
    await tx.execute(BEGIN, workflow_id, kind, key, tx.now, details, again)


async def import_finished(tx: Transaction, import_id: int) -> None:
    """Let the workflows that wait for imports go through what this one made or changed."""
    await tx.execute(BEGIN_IMPORT, str(import_id), tx.now)


async def claim(tx: Transaction, without: Collection[int]) -> PassRow | None:
    """A pass that nobody else works on, held until the commit; none of the workflows `without`."""
    row = await tx.fetchrow(CLAIM, list(without))
    return None if row is None else PassRow(**row)


async def move(tx: Transaction, one: PassRow, after_id: int, enrolled: int) -> None:
    """Records up to `after_id` are done, `enrolled` more of them enrolled."""
    await tx.execute(MOVE, one.workflow_id, one.kind, one.key, after_id, enrolled)


async def end(tx: Transaction, one: PassRow) -> None:
    """A pass has come to its end."""
    await tx.execute(END, one.workflow_id, one.kind, one.key)


async def end_all(tx: Transaction, workflow_id: int) -> None:
    """No pass of a workflow goes on."""
    await tx.execute(END_ALL, workflow_id)


async def of_import(reader: Queryable, record_ids: Sequence[int], import_id: int) -> list[int]:
    """Those of the records that an import made, changed or associated."""
    rows = await reader.fetch(OF_IMPORT, list(record_ids), str(import_id))
    return [row["id"] for row in rows]


async def makers(reader: Queryable, record_ids: Collection[int]) -> dict[int, int]:
    """{record: workflow} of those records that a workflow made."""
    rows = await reader.fetch(MAKERS, numbers(record_ids))
    return {row["record_id"]: int(row["source_id"]) for row in rows if row["source_id"] is not None}
