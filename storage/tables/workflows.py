"""Workflows, their revisions, what triggers them, and the enrollments that walk through them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from storage.tables.columns import big, bigs, document, key, moment, text


class Workflow(SQLModel, table=True):
    """A workflow: a draft, the published revision that new enrollments run on, and whether it is on."""

    __table_args__ = (
        # A deleted workflow stays, for its history, but gives its name back.
        Index("workflow_name", "account_id", "name", unique=True, postgresql_where="deleted_at IS NULL"),
        ForeignKeyConstraint(["account_id", "object_type_id"], ["object_type.account_id", "object_type.id"]),
    )

    account_id: int = key()
    id: int = key()
    name: str = text()
    object_type_id: int = big()
    draft: dict[str, Any] = document()
    # Counts the edits of the draft: an update names the one that it read.
    draft_version: int = big()
    published_revision: int | None = big(nullable=True)
    enabled: bool
    enabled_at: datetime | None = moment(nullable=True)
    # The definitions' version at which it was turned on: a change that was made under an earlier one came
    # before. Clocks cannot tell, since a request's time is older than its commit.
    enabled_version: int | None = big(nullable=True)
    # From which version on `TriggerState` tells of the triggers that are published now.
    state_version: int | None = big(nullable=True)
    created_at: datetime = moment()
    updated_at: datetime = moment()
    created_by: int | None = big(nullable=True)
    deleted_at: datetime | None = moment(nullable=True)


class WorkflowRevision(SQLModel, table=True):
    """A published definition; never changes, since enrollments run on it."""

    __tablename__ = "workflow_revision"

    account_id: int = key()
    workflow_id: int = key()
    revision: int = key()
    definition: dict[str, Any] = document()
    published_at: datetime = moment()
    published_by: int | None = big(nullable=True)


class TriggerRef(SQLModel, table=True):
    """The inverted index from a kind of change to the workflows that it may concern.

    `kind` and `ref_id` name what changed: a property, an association type, an object type (created).
    `path` holds the association types that lead from the changed record back to the enrolled one.
    """

    __tablename__ = "trigger_ref"

    account_id: int = key()
    kind: str = text(primary_key=True)
    ref_id: int = key()
    workflow_id: int = key()
    n: int = key()
    path: list[int] = document()


class TriggerWalk(SQLModel, table=True):
    """A walk back from a changed record to those to be examined, as far as one transaction did not get.

    A hub's neighbours are worked off in bounded parts: the part that is done commits together with the
    row for what is left.
    """

    __tablename__ = "trigger_walk"

    account_id: int = key()
    id: int = key()
    # Where the walk stands, the association types that are still to be walked, and the last neighbour
    # along the first of them that was seen.
    record_id: int = big()
    path: list[int] = bigs()
    after_id: int = big()
    # Workflows and segments.
    listener_ids: list[int] = bigs()
    # The change that it began with: {"kind", "record", "source", "source_id"}.
    cause: dict[str, Any] = document()
    at: datetime = moment()
    depth: int = Field(default=0)
    version: int = big()


class WorkflowBackfill(SQLModel, table=True):
    """The enrolling of records that met the triggers when the workflow was turned on, and how far it got."""

    __tablename__ = "workflow_backfill"

    account_id: int = key()
    workflow_id: int = key()
    # Records up to this id are done.
    after_id: int = big()
    enrolled: int = big()
    started_at: datetime = moment()


class WorkflowPass(SQLModel, table=True):
    """A going through many records for a workflow that is under way, and how far it got.

    `kind` SCHEDULE: a schedule's time has come; IMPORT: an import has finished; STATE: all who were ever enrolled are
    looked at again, and what holds of the re-enrollment triggers is noted; CLOCK: it is noted when the clock may let
    somebody in. `key` names the trigger and its time, so that each is gone through once.
    """

    __tablename__ = "workflow_pass"

    account_id: int = key()
    workflow_id: int = key()
    kind: str = text(primary_key=True)
    key: str = text(primary_key=True)
    # Records up to this id are done.
    after_id: int = big()
    enrolled: int = big()
    started_at: datetime = moment()
    details: dict[str, Any] = document()


class WorkflowSchedule(SQLModel, table=True):
    """When a schedule trigger of a workflow that is on comes next."""

    __tablename__ = "workflow_schedule"
    __table_args__ = (Index("workflow_schedule_due", "account_id", "next_at"),)

    account_id: int = key()
    workflow_id: int = key()
    # The number of the trigger: re-enrollment triggers count on behind the others.
    trigger: int = key()
    next_at: datetime = moment()


class TriggerState(SQLModel, table=True):
    """Which re-enrollment triggers held when a record was last examined: only one that newly holds re-enrolls.

    Read and written under the lock of the workflow's row, so that looks at one record follow each other.
    """

    __tablename__ = "trigger_state"
    __table_args__ = ({"postgresql_with": {"fillfactor": "80"}},)

    account_id: int = key()
    workflow_id: int = key()
    record_id: int = key()
    # Numbers of triggers.
    held: list[int] = bigs()
    # The definitions' version under which it was noted. What was noted before the triggers were published, or before
    # the workflow was turned on, says nothing.
    version: int = big()


class EnrollmentDiagnosis(SQLModel, table=True):
    """Why a record was enrolled, as it was seen then: the tree of filters with values and records looked at."""

    __tablename__ = "enrollment_diagnosis"

    account_id: int = key()
    enrollment_id: int = key()
    tree: dict[str, Any] = document()


class Enrollment(SQLModel, table=True):
    """A record's walk through one revision of a workflow."""

    __table_args__ = (
        # A record is active in a workflow at most once.
        Index(
            "enrollment_active",
            "account_id",
            "workflow_id",
            "record_id",
            unique=True,
            postgresql_where="status = 'ACTIVE'",
        ),
        # First time only, and each re-enrollment once, however often the trigger is evaluated.
        UniqueConstraint("account_id", "workflow_id", "record_id", "epoch"),
        # What is due: one range of an index that holds active enrollments only.
        Index("enrollment_due", "account_id", "due_at", "id", postgresql_where="status = 'ACTIVE'"),
        # The same by workflow: where much has piled up, each still gets its turn.
        Index(
            "enrollment_due_of",
            "account_id",
            "workflow_id",
            "due_at",
            "id",
            postgresql_where="status = 'ACTIVE'",
        ),
        Index("enrollment_page", "account_id", "workflow_id", "id"),
        Index("enrollment_record", "account_id", "record_id", "id"),
        # Who waits for an event, by the record to which it may occur.
        Index(
            "enrollment_awaiting",
            "account_id",
            "record_id",
            postgresql_where="status = 'ACTIVE' AND waiting = 'EVENT'",
        ),
        # One occasion (a date that came, a schedule's time) enrolls a record once.
        Index(
            "enrollment_occasion",
            "account_id",
            "workflow_id",
            "record_id",
            "occasion",
            unique=True,
            postgresql_where="occasion IS NOT NULL",
        ),
        # Each step writes its rows anew, most of a page in one transaction: with room for as much again the new ones
        # stay beside the old, and of the indexes none is written.
        {"postgresql_with": {"fillfactor": "50"}},
    )

    account_id: int = key()
    id: int = key()
    workflow_id: int = big()
    revision: int = big()
    record_id: int = big()
    epoch: int = big()
    # ACTIVE, COMPLETED, FAILED, UNENROLLED, MERGED, GOAL_MET …
    status: str = text()
    # The index of the action that comes next.
    next_step: int = Field(default=0)
    # How many lines of history it has.
    steps: int = Field(default=0)
    # How many workflow steps led here; what its own steps change is one deeper.
    depth: int = Field(default=0)
    # Where the next action goes on, when its first part is done: the last neighbour that was worked off.
    resume_after: int | None = big(nullable=True)
    due_at: datetime | None = moment(nullable=True)
    attempts: int = Field(default=0)
    # What an active one waits for: null (its turn), DELAY, EVENT, OUTSIDE (the outbox; `due_at` is null then).
    waiting: str | None = text(nullable=True)
    # What ended the wait: the event that came, if it was one.
    arrived: dict[str, Any] | None = document(nullable=True)
    # The occasion that may enroll a record once: trigger and time.
    occasion: str | None = text(nullable=True)
    undone_at: datetime | None = moment(nullable=True)
    # Why it enrolled: {"trigger", "change", …}
    reason: dict[str, Any] = document()
    error: dict[str, Any] | None = document(nullable=True)
    enrolled_at: datetime = moment()
    ended_at: datetime | None = moment(nullable=True)


class EnrollmentStep(SQLModel, table=True):
    """One action that was carried out (or failed) for one enrollment, with what it changed."""

    __tablename__ = "enrollment_step"

    account_id: int = key()
    enrollment_id: int = key()
    n: int = key()
    # The action's id in the definition.
    action: str = text()
    at: datetime = moment()
    # DONE, UNCHANGED, FAILED, SKIPPED …
    outcome: str = text()
    changes: list[Any] = document()
    error: dict[str, Any] | None = document(nullable=True)
