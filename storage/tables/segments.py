"""Segments, who is in them, who came and went, and what they listen to."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import SQLModel

from storage.tables.columns import big, document, key, moment, text


class Segment(SQLModel, table=True):
    """A set of records of one object type: by a filter (ACTIVE), by hand (STATIC), or filtered once (SNAPSHOT)."""

    __table_args__ = (
        UniqueConstraint("account_id", "name"),
        ForeignKeyConstraint(["account_id", "object_type_id"], ["object_type.account_id", "object_type.id"]),
    )

    account_id: int = key()
    id: int = key()
    name: str = text()
    object_type_id: int = big()
    # ACTIVE, STATIC or SNAPSHOT.
    kind: str = text()
    # The filter, by name; null where members are chosen by hand.
    definition: dict[str, Any] | None = document(nullable=True)
    # Counts the edits: an update names the one that it read.
    version: int = big()
    created_at: datetime = moment()
    updated_at: datetime = moment()
    created_by: int | None = big(nullable=True)


class SegmentTally(SQLModel, table=True):
    """How many members a segment has and how many lines its history; whoever changes members holds this row.

    So evaluations of one segment follow each other, and each sees what the one before has seen.
    """

    __tablename__ = "segment_tally"
    __table_args__ = ({"postgresql_with": {"fillfactor": "50"}},)

    account_id: int = key()
    segment_id: int = key()
    members: int = big()
    lines: int = big()


class SegmentMember(SQLModel, table=True):
    """A record that is in a segment, and since when."""

    __tablename__ = "segment_member"
    # A record's segments.
    __table_args__ = (Index("segment_member_record", "account_id", "record_id", "segment_id"),)

    account_id: int = key()
    segment_id: int = key()
    record_id: int = key()
    joined_at: datetime = moment()


class SegmentHistory(SQLModel, table=True):
    """Joins and leaves, numbered in the order in which they happened; outlives the event log."""

    __tablename__ = "segment_history"
    __table_args__ = (Index("segment_history_record", "account_id", "record_id", "segment_id", "n"),)

    account_id: int = key()
    segment_id: int = key()
    n: int = key()
    record_id: int = big()
    # Whether it joined or left.
    joined: bool
    at: datetime = moment()
    # Why: {"kind": the change's, "record": whose change, "source", "sourceId"}.
    cause: dict[str, Any] = document()


class SegmentRef(SQLModel, table=True):
    """The inverted index from a kind of change to the active segments that it may concern; see `TriggerRef`."""

    __tablename__ = "segment_ref"
    # What a segment refers to: who uses it, and whether its filters lead in a circle.
    __table_args__ = (Index("segment_ref_segment", "account_id", "segment_id"),)

    account_id: int = key()
    kind: str = text(primary_key=True)
    ref_id: int = key()
    segment_id: int = key()
    n: int = key()
    path: list[int] = document()


class SegmentFill(SQLModel, table=True):
    """The examining of all records of an active segment's type after its filter was set, and how far it got."""

    __tablename__ = "segment_fill"

    account_id: int = key()
    segment_id: int = key()
    # Records up to this id are done.
    after_id: int = big()
    started_at: datetime = moment()


class MatchState(SQLModel, table=True):
    """When a record is to be examined again although nothing changes: a filter of `listener_id` looks at the clock.

    The listener is a segment or a workflow; ids are unique over both.
    """

    __tablename__ = "match_state"
    __table_args__ = (Index("match_state_due", "account_id", "next_check_at", "listener_id", "record_id"),)

    account_id: int = key()
    listener_id: int = key()
    record_id: int = key()
    next_check_at: datetime = moment()
