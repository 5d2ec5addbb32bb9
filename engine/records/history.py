"""What a record's properties were: who changed them, when, and to what."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage import records
from storage.database import Queryable
from storage.records import HistoryRow

# Versions are counted from one, so that all are below this.
NEWEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Changes of one record, newest first, and whether there are older ones. A change's cursor is its version."""

    changes: Sequence[HistoryRow]
    has_next: bool


async def history(
    reader: Queryable, record_id: int, prop: str | None = None, *, first: int = 50, after: int | None = None
) -> HistoryPage:
    """The `first` changes before version `after` (None: the newest); of one property, if it is named."""
    found = await records.history(
        reader, record_id, prop=prop, before=NEWEST if after is None else after, limit=first + 1
    )
    return HistoryPage(found[:first], len(found) > first)
