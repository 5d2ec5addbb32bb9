"""Data sync: connections to other apps, what is kept in sync, and how each record stands."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from storage.tables.columns import big, document, key, moment, text, texts


class Connection(SQLModel, table=True):
    """One signed-in instance of an app."""

    __table_args__ = (UniqueConstraint("account_id", "name"),)

    account_id: int = key()
    id: int = key()
    # The app's name: see engine.sync.apps.
    app: str = text()
    name: str = text()
    # What is not secret, by name.
    settings: dict[str, str] = document()
    # What is, sealed: see engine.sync.credentials. Its names are known, its values are not.
    secrets: bytes = Field(sa_type=LargeBinary)
    secret_names: list[str] = texts()
    # READY, or BROKEN: it waits for a person.
    status: str = text()
    # Why it is broken, or pauses.
    category: str | None = text(nullable=True)
    message: str | None = text(nullable=True)
    # Nothing is asked of it before.
    paused_until: datetime | None = moment(nullable=True)
    # What the app calls the account that we are signed in to.
    remote_account: str | None = text(nullable=True)
    # What the app has last told of its objects: [{"name", "title", "fields": […], "roles": […], …}]
    objects: list[dict[str, Any]] = document()
    described_at: datetime | None = moment(nullable=True)
    # Part of the address at which the app tells us of changes; only its hash.
    hint_hash: str | None = text(nullable=True)
    created_at: datetime = moment()
    updated_at: datetime = moment()
    created_by: int | None = big(nullable=True)


class SyncBudget(SQLModel, table=True):
    """When a connection's next call is due, so that all workers together keep to its rate."""

    __tablename__ = "sync_budget"

    account_id: int = key()
    connection_id: int = key()
    next_at: datetime = moment()


class Sync(SQLModel, table=True):
    """Records of one object type kept equal to items of one object of a connection."""

    __table_args__ = (
        UniqueConstraint("account_id", "connection_id", "object_type_id", "remote_object"),
        ForeignKeyConstraint(["account_id", "connection_id"], ["connection.account_id", "connection.id"]),
        Index("sync_next", "account_id", "next_at", "id", postgresql_where="enabled"),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    account_id: int = key()
    id: int = key()
    connection_id: int = big()
    object_type_id: int = big()
    remote_object: str = text()
    direction: str = text()
    policy: str = text()
    # {"filterOurs"?, "filterTheirs", "roles", "options"}: see engine.sync.definition.
    definition: dict[str, Any] = document()
    # CONFIGURED, INITIAL or LIVE. Whether it runs is `enabled`.
    phase: str = text()
    enabled: bool = Field(default=False)
    # Counts the changes of its definition: whoever decided by an older one decides again.
    revision: int = big(sa_column_kwargs={"server_default": "1"})
    # Where reading goes on: {"full"?, "changes"?, "ours"?} (cursors), and the number of the pass under way.
    cursors: dict[str, Any] = document()
    pass_number: int = big(sa_column_kwargs={"server_default": "0"})
    # When anything is to be done next: they are asked again, or something is tried again.
    next_at: datetime | None = moment(nullable=True)
    read_at: datetime | None = moment(nullable=True)
    swept_at: datetime | None = moment(nullable=True)
    # Whose turn it is: a runner that lost its lease changes nothing.
    lease_token: str | None = text(nullable=True)
    leased_until: datetime | None = moment(nullable=True)
    # Why it has stopped by itself: a category, or DELETES_HELD (the brake), with {"side", "count", "of"}.
    held: dict[str, Any] | None = document(nullable=True)
    # Of the initial sync: {"total"?, "done", "startedAt", "endedAt"?}
    progress: dict[str, Any] = document()
    # What failed before is tried again, bit by bit: its cause may have gone.
    again_before: datetime | None = moment(nullable=True)
    created_at: datetime = moment()
    updated_at: datetime = moment()
    created_by: int | None = big(nullable=True)


class SyncMapping(SQLModel, table=True):
    """A property and a field that hold the same."""

    __tablename__ = "sync_mapping"
    __table_args__ = (
        UniqueConstraint("account_id", "sync_id", "property_id", "field"),
        ForeignKeyConstraint(["account_id", "sync_id"], ["sync.account_id", "sync.id"]),
        # Who uses a property.
        Index("sync_mapping_property", "account_id", "property_id", "sync_id"),
    )

    account_id: int = key()
    id: int = key()
    sync_id: int = big()
    property_id: int = big()
    field: str = text()
    direction: str = text()
    # None: the sync's.
    policy: str | None = text(nullable=True)
    # {our option: theirs}
    options: dict[str, str] = document()
    enabled: bool
    # Not one of the app's defaults.
    custom: bool


class SyncLink(SQLModel, table=True):
    """A record, an item, or both as one, and what is known of how they stand. At least one of them is there.

    `base_*`: what each side was last known to hold, in the values of the mappings; what differs from it is a change.
    """

    __tablename__ = "sync_link"
    __table_args__ = (
        # A record is linked with one item, and an item with one record.
        Index(
            "sync_link_record",
            "account_id",
            "sync_id",
            "record_id",
            unique=True,
            postgresql_where="record_id IS NOT NULL",
        ),
        Index(
            "sync_link_external",
            "account_id",
            "sync_id",
            "external_id",
            unique=True,
            postgresql_where="external_id IS NOT NULL",
        ),
        # Pages of one status, newest first; and the counts, with those by category.
        Index("sync_link_state", "account_id", "sync_id", "state", "id", postgresql_include=["category"]),
        # Pages of one category. What is in sync has none.
        Index(
            "sync_link_category",
            "account_id",
            "sync_id",
            "category",
            "id",
            postgresql_where="category IS NOT NULL",
        ),
        # All that a record is linked with.
        Index("sync_link_of_record", "account_id", "record_id", postgresql_where="record_id IS NOT NULL"),
        # Creations over there of which it is not known whether they were done.
        Index("sync_link_creating", "account_id", "sync_id", "id", postgresql_where="create_key IS NOT NULL"),
        # Deletions that wait to be carried out.
        Index("sync_link_deleting", "account_id", "sync_id", "id", postgresql_where="deleting"),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    account_id: int = key()
    id: int = key()
    sync_id: int = big()
    record_id: int | None = big(nullable=True)
    external_id: str | None = text(nullable=True)
    # PENDING, IN_SYNC, FAILED, EXCLUDED or CONFLICT.
    state: str = text()
    base_ours: dict[str, Any] | None = document(nullable=True)
    base_theirs: dict[str, Any] | None = document(nullable=True)
    # {role: ids of theirs}: those that both sides had when they last agreed.
    base_roles: dict[str, list[str]] = document(sa_column_kwargs={"server_default": "{}"})
    # Their version of `base_theirs`.
    version: str | None = text(nullable=True)
    modified_at: datetime | None = moment(nullable=True)
    # A creation over there was begun under this key; `planned` are the values of both sides that it is to have.
    create_key: str | None = text(nullable=True)
    planned: dict[str, Any] | None = document(nullable=True)
    # Which half was deleted: OURS, THEIRS or None.
    deleted: str | None = text(nullable=True)
    # Whether the other half is to go, too, as soon as the brake has looked at all that are to go.
    deleting: bool = Field(default=False)
    # Why it failed, is excluded or waits; `failed_side`: where it was to be written.
    category: str | None = text(nullable=True)
    message: str | None = text(nullable=True)
    failed_side: str | None = text(nullable=True)
    # Records or items that match, where several do: {"side", "ids"}; the property or field at fault.
    details: dict[str, Any] | None = document(nullable=True)
    attempts: int = Field(default=0)
    failed_at: datetime | None = moment(nullable=True)
    synced_at: datetime | None = moment(nullable=True)
    url: str | None = text(nullable=True)
    created_at: datetime = moment()
    updated_at: datetime = moment()


class SyncKey(SQLModel, table=True):
    """What an item without a record can be matched by: see engine.sync.matching."""

    __tablename__ = "sync_key"
    __table_args__ = (Index("sync_key_link", "account_id", "sync_id", "link_id"),)

    account_id: int = key()
    sync_id: int = key()
    value: str = text(primary_key=True)
    link_id: int = key()


class SyncWait(SQLModel, table=True):
    """A link that waits until the other end of an association is linked in the sync of that end.

    `side` and `item` name that end as SyncDirty does.
    """

    __tablename__ = "sync_wait"

    account_id: int = key()
    # The sync of the other end.
    other_sync_id: int = key()
    side: str = text(primary_key=True)
    item: str = text(primary_key=True)
    sync_id: int = key()
    link_id: int = key()


class SyncDirty(SQLModel, table=True):
    """What is to be looked at: a record of ours that changed, an item that is to be read again, when it is time.

    Whatever makes it dirty again moves the token: who has looked meanwhile leaves the row.
    """

    __tablename__ = "sync_dirty"
    __table_args__ = (Index("sync_dirty_due", "account_id", "sync_id", "side", "due_at"),)

    account_id: int = key()
    sync_id: int = key()
    # OURS or THEIRS.
    side: str = text(primary_key=True)
    # The record's id, or the item's.
    item: str = text(primary_key=True)
    token: int = big()
    due_at: datetime = moment()
    attempts: int = Field(default=0)


class SyncSeen(SQLModel, table=True):
    """Items that a pass over all of them has met; those that it has not met are looked for one by one."""

    __tablename__ = "sync_seen"

    account_id: int = key()
    sync_id: int = key()
    pass_number: int = key()
    external_id: str = text(primary_key=True)


class SyncAttempt(SQLModel, table=True):
    """What was tried with a link, and what came of it."""

    __tablename__ = "sync_attempt"
    __table_args__ = (Index("sync_attempt_link", "account_id", "sync_id", "link_id", "id"),)

    account_id: int = key()
    id: int = key()
    sync_id: int = big()
    link_id: int = big()
    at: datetime = moment()
    # LINKED, CREATED, UPDATED, DELETED, FAILED, EXCLUDED, CONFLICT or RESOLVED.
    did: str = text()
    # Where: OURS or THEIRS.
    side: str | None = text(nullable=True)
    category: str | None = text(nullable=True)
    message: str | None = text(nullable=True)
    # {field or property: [before, after]} that was written.
    changed: dict[str, Any] | None = document(nullable=True)


class SyncConflict(SQLModel, table=True):
    """A field that both sides changed, and about which a person is asked."""

    __tablename__ = "sync_conflict"
    __table_args__ = (
        UniqueConstraint("account_id", "link_id", "mapping_id"),
        Index("sync_conflict_open", "account_id", "sync_id", "id"),
    )

    account_id: int = key()
    id: int = key()
    sync_id: int = big()
    link_id: int = big()
    mapping_id: int = big()
    # {"ours", "theirs", "agreed"}: values in our terms.
    held: dict[str, Any] = document()
    at: datetime = moment()
    # The side that a person has chosen: OURS or THEIRS; the conflict goes when that is carried out.
    winner: str | None = text(nullable=True)
