"""Records: created, updated, upserted, archived, restored and merged, in batches; each change with its history."""

from engine.records.archiving import Restored, archive, restore
from engine.records.history import HistoryPage, history
from engine.records.merging import Merged, merge
from engine.records.writing import Upserted, create, update, upsert

__all__ = [
    "HistoryPage",
    "Merged",
    "Restored",
    "Upserted",
    "archive",
    "create",
    "history",
    "merge",
    "restore",
    "update",
    "upsert",
]
