"""Who made the change for which an enrollment began, found in the histories that outlive the event log."""

from dataclasses import dataclass
from datetime import datetime

from storage.database import Queryable
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class CauseRow:
    """A change: when, by what kind of source and which of it, and by which user."""

    at: datetime
    source: str
    source_id: str | None
    user_id: int | None


# The newest line of a record's history until then that came from that source: one range of the primary key, from its
# newest end.
OF_RECORD = Statement(
    "causes.of_record",
    """
    SELECT h.at, h.source, h.source_id, h.user_id
      FROM property_history AS h
     WHERE h.account_id = $1 AND h.record_id = $2 AND h.at <= $3 AND h.source = $4
       AND h.source_id IS NOT DISTINCT FROM $5
     ORDER BY h.version DESC LIMIT 1
    """,
)

# What stands of a record's associations, and what is gone: both tables begin their keys with the record.
OF_ASSOCIATION = Statement(
    "causes.of_association",
    """
    SELECT c.at, c.source, c.source_id, c.user_id
      FROM (SELECT a.created_at AS at, a.source, a.source_id, a.user_id
              FROM association AS a
             WHERE a.account_id = $1 AND a.from_id = $2 AND $6
            UNION ALL
            SELECT h.created_at, h.source, h.source_id, h.user_id
              FROM association_history AS h
             WHERE h.account_id = $1 AND h.from_id = $2 AND $6
            UNION ALL
            SELECT h.removed_at, h.removed_source, h.removed_source_id, h.removed_user_id
              FROM association_history AS h
             WHERE h.account_id = $1 AND h.from_id = $2 AND NOT $6) AS c
     WHERE c.at <= $3 AND c.source = $4 AND c.source_id IS NOT DISTINCT FROM $5
     ORDER BY c.at DESC LIMIT 1
    """,
)


async def of_record(
    reader: Queryable, record_id: int, until: datetime, source: str, source_id: str | None
) -> CauseRow | None:
    """The last change of a record's properties until then, by that source."""
    row = await reader.fetchrow(OF_RECORD, record_id, until, source, source_id)
    return None if row is None else CauseRow(**row)


async def of_association(
    reader: Queryable, record_id: int, until: datetime, source: str, source_id: str | None, *, added: bool
) -> CauseRow | None:
    """The last association of a record that came, or went, until then, by that source."""
    row = await reader.fetchrow(OF_ASSOCIATION, record_id, until, source, source_id, added)
    return None if row is None else CauseRow(**row)
