"""Definitions of workflows that may name a label: found by the name, written anew, with what hangs on them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement

# Drafts, published definitions, and older ones on which enrollments still run. A definition that does not hold the
# name anywhere as a text cannot mean the label.
NAMING = Statement(
    "workflow_labels.naming",
    """
    SELECT w.id, w.name, w.object_type_id, w.draft_version, w.published_revision, NULL::bigint AS revision,
           w.draft AS definition
      FROM workflow AS w
     WHERE w.account_id = $1 AND w.deleted_at IS NULL
       AND jsonb_path_exists(w.draft, '$.** ? (@ == $names[*])', $2)
    UNION ALL
    SELECT w.id, w.name, w.object_type_id, w.draft_version, w.published_revision, r.revision, r.definition
      FROM workflow_revision AS r
           JOIN workflow AS w ON w.account_id = $1 AND w.id = r.workflow_id
     WHERE r.account_id = $1 AND w.deleted_at IS NULL
       AND jsonb_path_exists(r.definition, '$.** ? (@ == $names[*])', $2)
       AND (r.revision = w.published_revision
            OR EXISTS (SELECT FROM enrollment AS e
                        WHERE e.account_id = $1 AND e.workflow_id = r.workflow_id AND e.revision = r.revision
                          AND e.status = 'ACTIVE'))
     ORDER BY 1, 6 NULLS FIRST
    """,
)

# Revisions never change: enrollments that are under way go on with a later one, step by step the same.
GO_ON_WITH = Statement(
    "workflow_labels.go_on_with",
    """
    UPDATE enrollment AS e SET revision = $4
     WHERE e.account_id = $1 AND e.workflow_id = $2 AND e.revision = $3 AND e.status = 'ACTIVE'
    """,
)

INSERT_REVISION = Statement(
    "workflow_labels.insert_revision",
    """
    INSERT INTO workflow_revision (account_id, workflow_id, revision, definition, published_at, published_by)
    VALUES ($1, $2, $3, $4, $5, $6)
    """,
)

PUBLISHED = Statement(
    "workflow_labels.published",
    """
    UPDATE workflow AS w SET published_revision = $3, updated_at = $4
     WHERE w.account_id = $1 AND w.id = $2
    """,
)

# What leads from a change to a workflow names types by their ids: the new ones in the places of the old ones lead
# wherever the definition does that was written anew in the same way.
REFER = Statement(
    "workflow_labels.refer",
    """
    UPDATE trigger_ref AS t
       SET ref_id = CASE WHEN t.kind = 'ASSOCIATION'
                         THEN coalesce(($3::jsonb ->> t.ref_id::text)::bigint, t.ref_id) ELSE t.ref_id END,
           path = coalesce((SELECT jsonb_agg(coalesce($3::jsonb -> u.id, to_jsonb(u.id::bigint)) ORDER BY u.n)
                              FROM jsonb_array_elements_text(t.path) WITH ORDINALITY AS u(id, n)), '[]'::jsonb)
     WHERE t.account_id = $1
       AND ((t.kind = 'ASSOCIATION' AND t.ref_id = ANY($2::bigint[]))
            OR EXISTS (SELECT FROM jsonb_array_elements_text(t.path) AS u(id) WHERE u.id::bigint = ANY($2::bigint[])))
    """,
)


@dataclass(frozen=True, slots=True)
class Naming:
    """A definition that may name a label; `revision` is None for a draft."""

    workflow_id: int
    name: str
    object_type_id: int
    draft_version: int
    published_revision: int | None
    revision: int | None
    definition: dict[str, Any]


async def naming(reader: Queryable, names: Collection[str]) -> list[Naming]:
    """All definitions in force that hold one of `names`, workflow by workflow, drafts first."""
    return [Naming(*row) for row in await reader.fetch(NAMING, {"names": sorted(names)})]


async def succeed(
    tx: Transaction, workflow_id: int, old: int, new: int, definition: Mapping[str, Any]
) -> None:
    """Let the revision `new` take the place of `old` for enrollments that are under way."""
    await tx.execute(INSERT_REVISION, workflow_id, new, dict(definition), tx.now, tx.actor.user_id)
    await tx.execute(GO_ON_WITH, workflow_id, old, new)


async def publish(tx: Transaction, workflow_id: int, revision: int) -> None:
    """Let new enrollments run on a revision. What leads to the workflow stays as it is: see `refer`."""
    await tx.execute(PUBLISHED, workflow_id, revision, tx.now)


async def refer(tx: Transaction, exchange: Mapping[int, int]) -> None:
    """Let changes under new types lead to the workflows that changes under old ones led to ({old: new})."""
    await tx.execute(REFER, list(exchange), {str(old): new for old, new in exchange.items()})
