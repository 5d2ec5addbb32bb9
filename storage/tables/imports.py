"""Imports: what was read from files, how far it got, and what was wrong with it."""

from datetime import datetime
from typing import Any

from sqlmodel import SQLModel

from storage.tables.columns import big, document, key, moment, text


class Import(SQLModel, table=True):
    """One run of one file."""

    account_id: int = key()
    id: int = key()
    name: str = text()
    # RECORDS or ASSOCIATIONS.
    kind: str = text()
    # RUNNING, DONE or FAILED.
    status: str = text()
    mapping: dict[str, Any] = document()
    rows_read: int = big()
    rows_created: int = big()
    rows_updated: int = big()
    rows_unchanged: int = big()
    rows_failed: int = big()
    started_at: datetime = moment()
    ended_at: datetime | None = moment(nullable=True)
    user_id: int | None = big(nullable=True)


class ImportRowError(SQLModel, table=True):
    """What was wrong with one row (1 is the first row after the header)."""

    __tablename__ = "import_row_error"

    account_id: int = key()
    import_id: int = key()
    row: int = key()
    n: int = key()
    column_name: str | None = text(nullable=True)
    value: str | None = text(nullable=True)
    code: str = text()
    message: str = text()
