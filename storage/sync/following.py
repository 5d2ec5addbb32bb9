"""Which syncs look at changes of which records: read with every batch of changes, by object type."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from storage.database import Queryable
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class Following:
    """A sync that has begun, on or off. `properties` are mapped; `filtered`: it asks something of records first."""

    id: int
    object_type_id: int
    filtered: bool
    properties: frozenset[str]
    # Association types, as its definition names them.
    roles: tuple[dict[str, Any], ...]


# Syncs are few; most accounts have none of most object types.
OF_TYPES = Statement(
    "sync_following.of_types",
    """
    SELECT s.id, s.object_type_id, s.definition -> 'filterOurs' IS NOT NULL AS filtered,
           ARRAY(SELECT p.name FROM sync_mapping AS m
                   JOIN property AS p ON p.account_id = $1 AND p.id = m.property_id
                  WHERE m.account_id = $1 AND m.sync_id = s.id) AS properties,
           s.definition -> 'roles' AS roles
      FROM sync AS s
     WHERE s.account_id = $1 AND s.object_type_id = ANY($2::bigint[]) AND s.phase <> 'CONFIGURED'
     ORDER BY s.id
    """,
)


async def of_types(reader: Queryable, object_type_ids: Sequence[int]) -> list[Following]:
    """Syncs of these object types that have begun."""
    return [
        Following(row[0], row[1], row[2], frozenset(row[3]), tuple(row[4] or ()))
        for row in await reader.fetch(OF_TYPES, list(object_type_ids))
    ]
