"""Object types, their properties, and records with what keeps them honest."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, ForeignKeyConstraint, Index, Integer, Numeric, UniqueConstraint
from sqlmodel import Field, SQLModel

from storage.tables.columns import big, document, key, moment, text


class ObjectType(SQLModel, table=True):
    """A kind of record. `name` is the internal plural name and never changes."""

    __tablename__ = "object_type"
    __table_args__ = (UniqueConstraint("account_id", "name"),)

    account_id: int = key()
    id: int = key()
    name: str = text()
    singular: str = text()
    plural: str = text()
    description: str | None = text(nullable=True)
    # STANDARD, ACTIVITY or CUSTOM.
    category: str = text()
    active: bool
    # Names of properties; None: the built-in display rule (see storage.catalogue).
    primary_display_property: str | None = text(nullable=True)
    created_at: datetime = moment()


class Property(SQLModel, table=True):
    """A property of an object type. Name and type never change; an archived one keeps its name taken."""

    __table_args__ = (
        UniqueConstraint("account_id", "object_type_id", "name"),
        ForeignKeyConstraint(["account_id", "object_type_id"], ["object_type.account_id", "object_type.id"]),
        # Whose index is being changed: few, looked for again and again.
        Index(
            "property_changing",
            "account_id",
            "id",
            postgresql_where="index_state <> 'READY' OR (parts_state <> 'NONE' AND parts_state <> 'READY')",
        ),
    )

    account_id: int = key()
    id: int = key()
    object_type_id: int = big()
    name: str = text()
    label: str = text()
    group_name: str = text()
    description: str | None = text(nullable=True)
    # STRING, NUMBER, BOOLEAN, DATE, DATETIME, ENUMERATION, PHONE or JSON.
    type: str = text()
    field: str = text()
    # Enumerations only: several values at once.
    multiple: bool
    is_unique: bool
    required: bool
    searchable: bool
    read_only: bool
    calculated: bool
    # Enumerations only: [{"value", "label", "archived"?}] in display order.
    options: list[dict[str, Any]] = document()
    created_at: datetime = moment()
    archived_at: datetime | None = moment(nullable=True)
    # READY, FILLING, RETIRING or CLEARING: see storage.catalogue.
    index_state: str = text(sa_column_kwargs={"server_default": "READY"})
    index_changed_at: datetime | None = moment(nullable=True)
    # How far a fill has come: the last record that it has seen.
    index_last: int = big(sa_column_kwargs={"server_default": "0"})
    # NONE, FILLING, READY, RETIRING or CLEARING, with the same beside it: see storage.catalogue.
    parts_state: str = text(sa_column_kwargs={"server_default": "NONE"})
    parts_changed_at: datetime | None = moment(nullable=True)
    parts_last: int = big(sa_column_kwargs={"server_default": "0"})
    # Mixed into the hashes of its parts.
    parts_seed: int = big(sa_column_kwargs={"server_default": "0"})


class Record(SQLModel, table=True):
    """A record. `properties` holds known values only, by property name; a cleared property is absent."""

    __table_args__ = (
        # Keyset pages of one object type in the default order. That it says who is archived lets it count the living
        # alone: two million in 0.2 s, where to read them all takes 0.7 to 1.3 s.
        # Each record has a type: that both indexes say so hides them from whoever asks by the id alone. In an account
        # that statistics do not know, planners up to version 17 take any index that begins with the account for as good
        # as the key, the youngest first, and go through all of the account in it.
        Index(
            "record_pages",
            "account_id",
            "object_type_id",
            "id",
            postgresql_include=["archived_at"],
            postgresql_where="object_type_id IS NOT NULL",
        ),
        # Pages by the moment of creation, which never changes: it costs a new record half a microsecond, and an
        # update nothing. One of `updated_at` would end heap-only updates.
        Index(
            "record_created",
            "account_id",
            "object_type_id",
            "created_at",
            "id",
            postgresql_where="object_type_id IS NOT NULL",
        ),
        # Who was merged into a record, so that chains stay one step long. Merged records are few.
        Index("record_merged", "account_id", "merged_into_id", postgresql_where="merged_into_id IS NOT NULL"),
        # No index reads `properties`: updates stay heap-only, and the pages leave room for them.
        {"postgresql_with": {"fillfactor": "80"}},
    )

    account_id: int = key()
    id: int = key()
    object_type_id: int = big()
    properties: dict[str, Any] = document()
    created_at: datetime = moment()
    updated_at: datetime = moment()
    archived_at: datetime | None = moment(nullable=True)
    last_association_change_at: datetime | None = moment(nullable=True)
    # The survivor, once this record was merged into another; such a record stays archived for ever.
    merged_into_id: int | None = big(nullable=True)
    created_source: str = text()
    updated_source: str = text()
    # Counts the changes of its properties; numbers the rows of its history.
    version: int = big(sa_column_kwargs={"server_default": "1"})


class UniqueValue(SQLModel, table=True):
    """Who holds a unique value. The primary key is what makes uniqueness safe under concurrency.

    `value` is the canonical text of `engine.values`; archived records keep their row.
    """

    __tablename__ = "unique_value"

    account_id: int = key()
    property_id: int = key()
    value: str = text(primary_key=True)
    record_id: int = big()


class PropertyValue(SQLModel, table=True):
    """Values of searchable properties, typed, so that filters and orders can use an index.

    Text-like values stand in `text_value` (cut to 256 characters: compare the rest in the record), numbers
    in `number_value`. A multiple-choice property has a row for each choice.
    """

    __tablename__ = "property_value"
    __table_args__ = (
        # A row is in one of them: each further index costs a batch of new records a tenth of its time.
        Index(
            "property_value_text",
            "account_id",
            "property_id",
            "text_value",
            "record_id",
            postgresql_where="text_value IS NOT NULL",
        ),
        Index(
            "property_value_number",
            "account_id",
            "property_id",
            "number_value",
            "record_id",
            postgresql_where="number_value IS NOT NULL",
        ),
    )

    account_id: int = key()
    record_id: int = key()
    property_id: int = key()
    position: int = key()
    text_value: str | None = text(nullable=True)
    number_value: Decimal | None = Field(default=None, sa_type=Numeric, nullable=True)


class PropertyKey(SQLModel, table=True):
    """Who holds which value of a property that is not searchable: equality, and nothing else, finds it here.

    `value_hash` is of `storage.property_keys`; readers look at the record, too, for hashes can be equal by chance.
    A multiple-choice property has a row for each choice. The primary key is the only index: records of one value
    come in the order of their ids, and whoever removes a row knows the value that it was about.
    """

    __tablename__ = "property_key"

    account_id: int = key()
    property_id: int = key()
    value_hash: int = key()
    record_id: int = key()


class PropertyPart(SQLModel, table=True):
    """Which parts the texts of a property have that is told to be found by parts; see storage.property_parts.

    The primary key does not begin with the property: along it the planner would rather read all values of one.
    """

    __tablename__ = "property_part"
    # It cannot begin with the account; each hash is made of it. What was just written waits in a list, which whoever
    # looks something up reads as well: 1 MB of it is 128 pages. With none, a row costs six times as much.
    __table_args__ = (
        Index(
            "property_part_parts",
            "parts",
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": "1024"},
        ),
    )

    account_id: int = key()
    record_id: int = key()
    property_id: int = key()
    parts: list[int] = Field(sa_type=ARRAY(Integer))


class PropertyHistory(SQLModel, table=True):
    """One row a record and change. `changed` is {name: new value}, null where it was cleared.

    Numbered by the record's version, not by an id: processes take ids in blocks, so ids do not tell which
    of two changes came first.
    """

    __tablename__ = "property_history"

    account_id: int = key()
    record_id: int = key()
    version: int = key()
    at: datetime = moment()
    changed: dict[str, Any] = document()
    source: str = text()
    source_id: str | None = text(nullable=True)
    user_id: int | None = big(nullable=True)


class IdempotencyKey(SQLModel, table=True):
    """What a caller's key has already done: the same key twice answers the same."""

    __tablename__ = "idempotency_key"
    # Which are old enough to go.
    __table_args__ = (Index("idempotency_key_age", "account_id", "created_at"),)

    account_id: int = key()
    key: str = text(primary_key=True)
    # SHA-256 of operation and input: the same key for other work is refused.
    request_hash: str = text()
    answer: Any = document()
    created_at: datetime = moment()
