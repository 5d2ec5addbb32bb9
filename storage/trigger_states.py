"""What held of re-enrollment triggers when a record was last looked at, and why enrollments began."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from storage.arrays import numbers
from storage.database import Queryable, Transaction
from storage.statements import Statement

# A probe of the primary key for each pair; what was noted under other triggers says nothing.
HELD = Statement(
    "trigger_states.held",
    """
    SELECT k.n, s.held
      FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS k(workflow_id, record_id, since, n)
     CROSS JOIN LATERAL (
           SELECT s.held, s.version FROM trigger_state AS s
            WHERE s.account_id = $1 AND s.workflow_id = k.workflow_id AND s.record_id = k.record_id
            LIMIT 1
           ) AS s
     WHERE s.version >= k.since
    """,
)

NOTE = Statement(
    "trigger_states.note",
    """
    INSERT INTO trigger_state (account_id, workflow_id, record_id, held, version)
    SELECT $1, n.workflow_id, n.record_id, n.held::bigint[], $5
      FROM unnest($2::bigint[], $3::bigint[], $4::text[]) AS n(workflow_id, record_id, held)
    ON CONFLICT (account_id, workflow_id, record_id) DO UPDATE SET held = excluded.held, version = excluded.version
    """,
)

# Trees travel as one document that holds them all: the driver would take each by itself.
DIAGNOSE = Statement(
    "trigger_states.diagnose",
    """
    INSERT INTO enrollment_diagnosis (account_id, enrollment_id, tree)
    SELECT $1, d.enrollment_id, d.tree
      FROM ROWS FROM (unnest((SELECT $2::text)::bigint[]), jsonb_array_elements($3)) AS d(enrollment_id, tree)
    """,
)

DIAGNOSES = Statement(
    "trigger_states.diagnoses",
    """
    SELECT d.enrollment_id, d.tree FROM enrollment_diagnosis AS d
     WHERE d.account_id = $1 AND d.enrollment_id = ANY($2::bigint[])
    """,
)


async def held(
    reader: Queryable, wanted: Sequence[tuple[int, int, int]]
) -> dict[tuple[int, int], frozenset[int]]:
    """{(workflow, record): triggers that held} for (workflow, record, version since when it counts)."""
    rows = await reader.fetch(HELD, *([one[n] for one in wanted] for n in range(3)))
    return {wanted[row["n"] - 1][:2]: frozenset(row["held"]) for row in rows}


async def note(tx: Transaction, states: Mapping[tuple[int, int], Collection[int]]) -> None:
    """Keep which triggers hold of each (workflow, record). The transaction holds the workflows."""
    if states:
        pairs = sorted(states)
        await tx.execute(
            NOTE,
            [pair[0] for pair in pairs],
            [pair[1] for pair in pairs],
            ["{" + ",".join(map(str, sorted(states[pair]))) + "}" for pair in pairs],
            tx.catalogue.version,
        )


async def diagnose(tx: Transaction, trees: Mapping[int, dict[str, Any]]) -> None:
    """Keep why enrollments began."""
    if trees:
        await tx.execute(DIAGNOSE, numbers(trees), list(trees.values()))


async def diagnoses(reader: Queryable, enrollment_ids: Sequence[int]) -> list[dict[str, Any] | None]:
    """Why these enrollments began, in the order asked; None where it was not kept."""
    rows = {row["enrollment_id"]: row["tree"] for row in await reader.fetch(DIAGNOSES, list(enrollment_ids))}
    return [rows.get(one) for one in enrollment_ids]
