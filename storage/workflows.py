"""Workflows: their drafts, published revisions, and what they listen to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Row, Transaction
from storage.listeners import Ref
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """A workflow as it stands. `enabled_version` is the definitions' version at which it was turned on."""

    id: int
    name: str
    object_type_id: int
    draft: dict[str, Any]
    draft_version: int
    published_revision: int | None
    enabled: bool
    enabled_at: datetime | None
    enabled_version: int | None
    created_at: datetime
    updated_at: datetime
    created_by: int | None
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunningRow:
    """What running a published workflow needs to know of it.

    `state_version`: what was noted of its triggers under an earlier version of the definitions says nothing.
    """

    id: int
    object_type_id: int
    published_revision: int
    enabled: bool
    enabled_version: int | None
    enabled_at: datetime | None = None
    state_version: int | None = None


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """A published definition."""

    workflow_id: int
    revision: int
    definition: dict[str, Any]
    published_at: datetime
    published_by: int | None


_WORKFLOW = """
           w.id, w.name, w.object_type_id, w.draft, w.draft_version, w.published_revision, w.enabled,
           w.enabled_at, w.enabled_version, w.created_at, w.updated_at, w.created_by, w.deleted_at
"""

# Whoever comes second with a name finds nothing returned.
INSERT = Statement(
    "workflows.insert",
    """
    INSERT INTO workflow (account_id, id, name, object_type_id, draft, draft_version, enabled, created_at,
                          updated_at, created_by)
    VALUES ($1, $2, $3, $4, $5, 1, false, $6, $6, $7)
    ON CONFLICT (account_id, name) WHERE deleted_at IS NULL DO NOTHING
    RETURNING id
    """,
)

BY_IDS = Statement(
    "workflows.by_ids",
    f"SELECT {_WORKFLOW} FROM workflow AS w WHERE w.account_id = $1 AND w.id = ANY($2::bigint[])",
)

LISTING = Statement(
    "workflows.listing",
    f"""
    SELECT {_WORKFLOW}
      FROM workflow AS w WHERE w.account_id = $1 AND w.id > $2 AND w.deleted_at IS NULL ORDER BY w.id LIMIT $3
    """,
)

NAMED = Statement(
    "workflows.named",
    "SELECT w.id FROM workflow AS w WHERE w.account_id = $1 AND w.name = $2 AND w.deleted_at IS NULL",
)

# Editors of one workflow wait for each other here; the version that they read is then compared.
LOCK = Statement(
    "workflows.lock",
    f"""
    SELECT {_WORKFLOW}
      FROM workflow AS w WHERE w.account_id = $1 AND w.id = $2 AND w.deleted_at IS NULL FOR UPDATE
    """,
)

UPDATE = Statement(
    "workflows.update",
    """
    UPDATE workflow AS w
       SET name = $3, draft = $4, draft_version = w.draft_version + 1, updated_at = $5
     WHERE w.account_id = $1 AND w.id = $2
    """,
)

PUBLISH = Statement(
    "workflows.publish",
    """
    UPDATE workflow AS w SET published_revision = $3, updated_at = $4, state_version = $5
     WHERE w.account_id = $1 AND w.id = $2
    """,
)

INSERT_REVISION = Statement(
    "workflows.insert_revision",
    """
    INSERT INTO workflow_revision (account_id, workflow_id, revision, definition, published_at, published_by)
    VALUES ($1, $2, $3, $4, $5, $6)
    """,
)

ENABLE = Statement(
    "workflows.enable",
    """
    UPDATE workflow AS w
       SET enabled = true, enabled_at = $3, enabled_version = $4, state_version = $4, updated_at = $3
     WHERE w.account_id = $1 AND w.id = $2
    """,
)

DISABLE = Statement(
    "workflows.disable",
    "UPDATE workflow AS w SET enabled = false, updated_at = $3 WHERE w.account_id = $1 AND w.id = $2",
)

ENABLED = Statement(
    "workflows.enabled", "SELECT w.id FROM workflow AS w WHERE w.account_id = $1 AND w.enabled ORDER BY w.id"
)

# What is left is its history, and what that names.
DELETE = Statement(
    "workflows.delete",
    """
    UPDATE workflow AS w SET deleted_at = $3, enabled = false, updated_at = $3
     WHERE w.account_id = $1 AND w.id = $2
    """,
)

# Looks at one workflow whose answers hang on what is kept of it follow each other. In id order, always behind segments.
HOLD = Statement(
    "workflows.hold",
    """
    SELECT w.id FROM workflow AS w
     WHERE w.account_id = $1 AND w.id = ANY($2::bigint[])
     ORDER BY w.id
       FOR NO KEY UPDATE
    """,
)

REVISIONS = Statement(
    "workflows.revisions",
    """
    SELECT r.workflow_id, r.revision, r.definition, r.published_at, r.published_by
      FROM unnest($2::bigint[], $3::bigint[]) AS k(workflow_id, revision)
     CROSS JOIN LATERAL (
           SELECT r.* FROM workflow_revision AS r
            WHERE r.account_id = $1 AND r.workflow_id = k.workflow_id AND r.revision = k.revision
            LIMIT 1
           ) AS r
    """,
)

# What running needs, without the drafts.
RUNNING = Statement(
    "workflows.running",
    """
    SELECT w.id, w.object_type_id, w.published_revision, w.enabled, w.enabled_version, w.enabled_at,
           w.state_version
      FROM workflow AS w
     WHERE w.account_id = $1 AND w.id = ANY($2::bigint[]) AND w.published_revision IS NOT NULL
    """,
)

CLEAR_REFS = Statement(
    "workflows.clear_refs", "DELETE FROM trigger_ref AS t WHERE t.account_id = $1 AND t.workflow_id = $2"
)

# Paths are passed as tuples: the driver would take lists for rows of a matrix.
INSERT_REFS = Statement(
    "workflows.insert_refs",
    """
    INSERT INTO trigger_ref (account_id, kind, ref_id, workflow_id, n, path)
    SELECT $1, f.kind, f.ref_id, $2, f.n, f.path
      FROM unnest($3::text[], $4::bigint[], $5::jsonb[]) WITH ORDINALITY AS f(kind, ref_id, path, n)
    """,
)


async def insert(
    tx: Transaction, workflow_id: int, name: str, object_type_id: int, draft: dict[str, Any]
) -> bool:
    """A new workflow, off; False where the name is taken."""
    return (
        await tx.fetchval(INSERT, workflow_id, name, object_type_id, draft, tx.now, tx.actor.user_id)
        is not None
    )


async def by_ids(reader: Queryable, ids: Sequence[int]) -> list[WorkflowRow | None]:
    """The workflows with these ids, in the order asked; None where there is none."""
    found = {row["id"]: _workflow(row) for row in await reader.fetch(BY_IDS, list(set(ids)))}
    return [found.get(number) for number in ids]


async def running(reader: Queryable, ids: Sequence[int]) -> list[RunningRow]:
    """The published workflows among these, in id order."""
    rows = await reader.fetch(RUNNING, list(ids))
    return sorted((RunningRow(**row) for row in rows), key=lambda row: row.id)


async def listing(reader: Queryable, after: int, limit: int) -> list[WorkflowRow]:
    """Up to `limit` workflows behind the id `after`, in id order."""
    return [_workflow(row) for row in await reader.fetch(LISTING, after, limit)]


async def named(reader: Queryable, name: str) -> int | None:
    """The id of the workflow called `name`."""
    found: int | None = await reader.fetchval(NAMED, name)
    return found


async def lock(tx: Transaction, workflow_id: int) -> WorkflowRow | None:
    """The workflow, held against other editors until the commit."""
    row = await tx.fetchrow(LOCK, workflow_id)
    return None if row is None else _workflow(row)


async def update(tx: Transaction, workflow_id: int, name: str, draft: dict[str, Any]) -> None:
    """Write the draft; its version goes up by one."""
    await tx.execute(UPDATE, workflow_id, name, draft, tx.now)


async def publish(
    tx: Transaction, workflow_id: int, revision: int, definition: dict[str, Any], refs: Sequence[Ref]
) -> None:
    """Write a revision, and let `refs` alone lead to the workflow from now on."""
    await tx.execute(INSERT_REVISION, workflow_id, revision, definition, tx.now, tx.actor.user_id)
    await tx.execute(PUBLISH, workflow_id, revision, tx.now, tx.catalogue.version)
    await refer(tx, workflow_id, refs)


async def refer(tx: Transaction, workflow_id: int, refs: Sequence[Ref]) -> None:
    """Let `refs` alone lead to a workflow from now on."""
    await tx.execute(CLEAR_REFS, workflow_id)
    await tx.execute(
        INSERT_REFS,
        workflow_id,
        [ref.kind for ref in refs],
        [ref.ref_id for ref in refs],
        [tuple(ref.path) for ref in refs],
    )


async def enable(tx: Transaction, workflow_id: int, version: int) -> None:
    """Turn a workflow on, for changes made under `version` of the definitions or a later one."""
    await tx.execute(ENABLE, workflow_id, tx.now, version)


async def disable(tx: Transaction, workflow_id: int) -> None:
    """Turn a workflow off."""
    await tx.execute(DISABLE, workflow_id, tx.now)


async def enabled(reader: Queryable) -> list[int]:
    """The workflows that are on."""
    return [row["id"] for row in await reader.fetch(ENABLED)]


async def delete(tx: Transaction, workflow_id: int) -> None:
    """A workflow is there no more, but in histories."""
    await tx.execute(DELETE, workflow_id, tx.now)


async def hold(tx: Transaction, workflow_ids: Sequence[int]) -> None:
    """Hold workflows until the commit: nobody else looks at their records meanwhile."""
    if workflow_ids:
        await tx.fetch(HOLD, sorted(workflow_ids))


async def revisions(reader: Queryable, keys: Sequence[tuple[int, int]]) -> list[RevisionRow | None]:
    """The published definitions of (workflow, revision), in the order asked."""
    wanted = sorted(set(keys))
    rows = await reader.fetch(REVISIONS, [key[0] for key in wanted], [key[1] for key in wanted])
    found = {(row["workflow_id"], row["revision"]): RevisionRow(**row) for row in rows}
    return [found.get(key) for key in keys]


def _workflow(row: Row) -> WorkflowRow:
    return WorkflowRow(**row)
