"""Segments of which the filter may name a label, found by the name."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from storage.database import Queryable
from storage.statements import Statement

# A filter that does not hold the name anywhere as a text cannot mean the label.
NAMING = Statement(
    "segment_labels.naming",
    """
    SELECT s.id, s.name, s.object_type_id, s.kind, s.version, s.definition
      FROM segment AS s
     WHERE s.account_id = $1 AND jsonb_path_exists(s.definition, '$.** ? (@ == $names[*])', $2)
     ORDER BY s.id
    """,
)


@dataclass(frozen=True, slots=True)
class Naming:
    """A segment whose filter may name a label."""

    segment_id: int
    name: str
    object_type_id: int
    kind: str
    version: int
    definition: dict[str, Any]


async def naming(reader: Queryable, names: Collection[str]) -> list[Naming]:
    """All segments of which the filter holds one of `names`."""
    return [Naming(*row) for row in await reader.fetch(NAMING, {"names": sorted(names)})]
