"""Definitions that name a segment or a workflow, wherever in them it stands."""

from storage.database import Queryable
from storage.statements import Statement

# Read whole: definitions are few, and this is asked before a segment is deleted. A revision counts while it is
# published or enrollments are under way on it.
NAMING = Statement(
    "segment_uses.naming",
    """
    SELECT 'segment' AS kind, s.id, s.name FROM segment AS s
     WHERE s.account_id = $1
       AND jsonb_path_exists(s.definition, '$.** ? (@ == $name)', jsonb_build_object('name', $2::text))
     UNION ALL
    SELECT 'workflow' AS kind, w.id, w.name FROM workflow AS w
     WHERE w.account_id = $1 AND w.deleted_at IS NULL
       AND (jsonb_path_exists(w.draft, '$.** ? (@ == $name)', jsonb_build_object('name', $2::text))
            OR EXISTS (
               SELECT FROM workflow_revision AS r
                WHERE r.account_id = $1 AND r.workflow_id = w.id
                  AND jsonb_path_exists(r.definition, '$.** ? (@ == $name)',
                                        jsonb_build_object('name', $2::text))
                  AND (r.revision = w.published_revision
                       OR EXISTS (SELECT FROM enrollment AS e
                                   WHERE e.account_id = $1 AND e.workflow_id = w.id
                                     AND e.revision = r.revision AND e.status = 'ACTIVE'))))
     UNION ALL
    SELECT 'report' AS kind, p.id, p.name FROM report AS p
     WHERE p.account_id = $1
       AND jsonb_path_exists(p.definition, '$.** ? (@ == $name)', jsonb_build_object('name', $2::text))
     ORDER BY kind, id
    """,
)


async def naming(reader: Queryable, name: str) -> list[tuple[str, int, str]]:
    """(kind, id, name) of segments, workflows and reports in which the text `name` stands as a value."""
    return [(row["kind"], row["id"], row["name"]) for row in await reader.fetch(NAMING, name)]
