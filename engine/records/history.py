"""What a record's properties were: who changed them, when, and to what."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage import record_history
from storage.database import Queryable
from storage.records import HistoryRow


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Changes of one record, newest first, and whether there are older ones. A change's cursor is its version."""

    changes: Sequence[HistoryRow]
    has_next: bool


async def history(
    reader: Queryable, record_id: int, prop: str | None = None, *, first: int = 50, after: int | None = None
) -> HistoryPage:
    """The `first` changes before version `after` (None: the newest); of one property, if it is named."""
    before = record_history.NEWEST if after is None else after
    (found,) = await record_history.pages(reader, [record_id], prop=prop, before=before, limit=first + 1)
    return HistoryPage(found[:first], len(found) > first)
