"""The change log: a queue for those who evaluate, a sequenced log for those who watch."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from storage.tables.columns import big, bigs, document, key, moment, text, texts


class ChangeQueue(SQLModel, table=True):
    """What a committed transaction changed and nobody has evaluated yet; claimed and deleted at once.

    One row tells of several records that changed alike: see storage.changes.
    """

    __tablename__ = "change_queue"

    account_id: int = key()
    id: int = key()
    object_type_id: int = big()
    # See storage.changes.ChangeKind.
    kind: str = text()
    # Names of the properties that changed, and their values before; under the empty name, which no property has, the
    # values after the change of those that a workflow waits to become something.
    properties: list[str] = texts()
    before: dict[str, Any] = document()
    record_ids: list[int] = bigs()
    # Beside each record an association type (standing at it; one element where all have the same) that was
    # added or removed, and the other end. Empty where the change is not about associations.
    type_ids: list[int] = bigs()
    other_ids: list[int] = bigs()
    at: datetime = moment()
    source: str = text()
    source_id: str | None = text(nullable=True)
    # How many workflow steps led to this change; guards against loops.
    depth: int = Field(default=0)
    # The version of the definitions under which it was made: orders it before or after the turning on of
    # a workflow, which no clock can.
    version: int = big()


class AccountSeq(SQLModel, table=True):
    """An account's last event number; a transaction's last statement takes it, so it follows commit order."""

    __tablename__ = "account_seq"

    account_id: int = key()
    seq: int = big()


class EventLog(SQLModel, table=True):
    """What happened, in commit order per account; partitioned by time: old events go by dropping a table.

    One row tells of several events that are alike but for their records: see storage.changes.
    """

    __tablename__ = "event_log"
    __table_args__ = ({"postgresql_partition_by": "RANGE (at)"},)

    account_id: int = key()
    # The number of the row's last event; its events are numbered without a gap.
    seq: int = key()
    at: datetime = moment(primary_key=True)
    # See storage.changes.EventKind.
    kind: str = text()
    object_type_id: int | None = big(nullable=True)
    # One for each event; null where an event is about no record.
    record_ids: list[int | None] = bigs()
    # The other end of each, where they are about associations; else empty.
    to_ids: list[int] = bigs()
    # The workflow, segment, sync or import that the event belongs to, if any.
    subject_id: int | None = big(nullable=True)
    # What is told of each event; of records that were made together, what each of them holds: see storage.change_rows.
    payload: dict[str, Any] = document()
    source: str = text()
    source_id: str | None = text(nullable=True)
    user_id: int | None = big(nullable=True)


class ChangeTrouble(SQLModel, table=True):
    """Work of the evaluators that failed for an unexpected reason: put aside, so that nothing else waits for it."""

    __tablename__ = "change_trouble"
    __table_args__ = (Index("change_trouble_due", "account_id", "retry_at", "id"),)

    account_id: int = key()
    id: int = key()
    # See engine.evaluation.trouble.Kind.
    kind: str = text()
    work: dict[str, Any] = document()
    # All of which failed; the error is the last one's.
    attempts: int
    error: str = text()
    first_at: datetime = moment()
    # Tried again then.
    retry_at: datetime = moment()
