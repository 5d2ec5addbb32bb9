"""Reports that are saved."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, UniqueConstraint
from sqlmodel import SQLModel

from storage.tables.columns import big, document, key, moment, text


class Report(SQLModel, table=True):
    """What is counted, by what, over which associations; and how it is drawn."""

    __table_args__ = (
        UniqueConstraint("account_id", "name"),
        ForeignKeyConstraint(["account_id", "object_type_id"], ["object_type.account_id", "object_type.id"]),
    )

    account_id: int = key()
    id: int = key()
    name: str = text()
    # Of its first source.
    object_type_id: int = big()
    # By name: see engine.reports.definition.
    definition: dict[str, Any] = document()
    # BAR, LINE or TABLE.
    chart: str = text()
    # Counts the edits: an update names the one that it read.
    version: int = big()
    created_at: datetime = moment()
    updated_at: datetime = moment()
    created_by: int | None = big(nullable=True)
