"""Previews of syncs: what each would do, item by item, and what became of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from storage.tables.columns import big, document, key, moment, text


class SyncPlan(SQLModel, table=True):
    """A preview: everything that a sync would do, as it stood when it was looked at."""

    __tablename__ = "sync_plan"
    __table_args__ = (Index("sync_plan_sync", "account_id", "sync_id", "id"),)

    account_id: int = key()
    id: int = key()
    sync_id: int = big()
    # The sync's revision that it was made by.
    revision: int = big()
    # WANTED, MAKING, READY, APPLYING, APPLIED or FAILED.
    state: str = text()
    cursors: dict[str, Any] = document()
    # {kind: number of items}, and {"ADDED OURS" and the like: number of associations}
    counts: dict[str, Any] = document()
    # Whether the sync starts once it is applied.
    then_start: bool = Field(default=True)
    message: str | None = text(nullable=True)
    made_at: datetime = moment()
    ready_at: datetime | None = moment(nullable=True)
    applied_at: datetime | None = moment(nullable=True)
    user_id: int | None = big(nullable=True)


class SyncPlanItem(SQLModel, table=True):
    """What a plan would do with one record, item or both."""

    __tablename__ = "sync_plan_item"
    __table_args__ = (
        Index("sync_plan_item_kind", "account_id", "plan_id", "kind", "id"),
        # A record and an item stand in a plan once.
        Index(
            "sync_plan_item_record",
            "account_id",
            "plan_id",
            "record_id",
            unique=True,
            postgresql_where="record_id IS NOT NULL",
        ),
        Index(
            "sync_plan_item_external",
            "account_id",
            "plan_id",
            "external_id",
            unique=True,
            postgresql_where="external_id IS NOT NULL",
        ),
        Index(
            "sync_plan_item_key",
            "account_id",
            "plan_id",
            "match_key",
            postgresql_where="match_key IS NOT NULL",
        ),
    )

    account_id: int = key()
    plan_id: int = key()
    id: int = key()
    # CREATE_OURS, CREATE_THEIRS, UPDATE, MATCH, CONFLICT, FAIL, EXCLUDE or NONE.
    kind: str = text()
    record_id: int | None = big(nullable=True)
    external_id: str | None = text(nullable=True)
    # How both looked: what was decided by.
    record_version: int | None = big(nullable=True)
    version: str | None = text(nullable=True)
    # {"ours": {property: [before, after]}, "theirs": {field: [before, after]}, "matchedBy"?, "conflicts"?, "problem"?,
    # "associations"?: see engine.sync.plan_ends}
    effect: dict[str, Any] = document()
    # Of a record that would be created: what no other can have, see engine.sync.matching.
    match_key: str | None = text(nullable=True)
    # None, APPLIED, OVERTAKEN (one of the sides had changed) or FAILED.
    outcome: str | None = text(nullable=True)
    message: str | None = text(nullable=True)
