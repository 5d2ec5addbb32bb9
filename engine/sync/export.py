"""Records of a sync as a table, for spreadsheets: CSV or XLSX, piece by piece, whatever their number."""

import enum
from collections.abc import AsyncIterator, Sequence

from engine.sync.health import Narrow
from storage.database import Database


class Format(enum.StrEnum):
    """What a table is written as."""

    CSV = "csv"
    XLSX = "xlsx"


def export(
    db: Database, account_id: int, sync_ids: Sequence[int], narrow: Narrow, format_: Format
) -> AsyncIterator[bytes]:
    """The bytes of a file with the records of these syncs, newest first."""
    raise NotImplementedError
