"""Who listens to which change: one inverted index over the workflows that are on and the active segments."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.database import Queryable
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class Ref:
    """A kind of change that may concern a listener, and the way back from the changed record to the examined one.

    `kind` and `ref_id` name what changes; `path` holds association types, each standing at the record that
    the one before led to. An empty path: the changed record is the one to examine.
    """

    kind: str
    ref_id: int
    path: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Listener:
    """A published workflow, or an active segment, which has asked to hear of `ref`.

    `since`: the definitions' version from which on changes concern it; None: it is off. `loses`: whether it is told
    of records that come to be out of reach, as a segment is, which they leave; nobody enrolls for that.
    """

    ref: Ref
    listener_id: int
    since: int | None = 0
    loses: bool = False


# From what changed to who listens: probes of the primary keys, so the cost follows those that name it and not
# those that exist. An id is of one kind only, so kinds and ids need not be paired. A workflow that is off
# is told with that: enrollments in it may wait for what it refers to.
LISTENING = Statement(
    "listeners.listening",
    """
    SELECT t.kind, t.ref_id, t.path, t.workflow_id AS listener_id, w.since, false AS loses
      FROM trigger_ref AS t
     CROSS JOIN LATERAL (
           SELECT CASE WHEN w.enabled THEN w.enabled_version END AS since FROM workflow AS w
            WHERE w.account_id = $1 AND w.id = t.workflow_id
            LIMIT 1
           ) AS w
     WHERE t.account_id = $1 AND t.kind = ANY($2::text[]) AND t.ref_id = ANY($3::bigint[])
     UNION ALL
    SELECT f.kind, f.ref_id, f.path, f.segment_id AS listener_id, 0 AS since, true AS loses
      FROM segment_ref AS f
     WHERE f.account_id = $1 AND f.kind = ANY($2::text[]) AND f.ref_id = ANY($3::bigint[])
    """,
)


async def listening(reader: Queryable, keys: Sequence[tuple[str, int]]) -> list[Listener]:
    """Who listens to any of these (kind, what changed)."""
    kinds, ids = {key[0] for key in keys}, {key[1] for key in keys}
    rows = await reader.fetch(LISTENING, sorted(kinds), sorted(ids))
    return [
        Listener(
            Ref(row["kind"], row["ref_id"], tuple(row["path"])),
            row["listener_id"],
            row["since"],
            row["loses"],
        )
        for row in rows
    ]
