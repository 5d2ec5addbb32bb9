"""Association types and labels, associations, their counters and histories."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import SQLModel

from storage.tables.columns import big, document, key, moment, text


class AssociationType(SQLModel, table=True):
    """A directed association type: what the edge says, and how many, when standing at the `from` record.

    The unlabelled type of an object pair has neither name nor label. A symmetric type (same object type on
    both sides, one text) is its own inverse. Two directions of one label share `pair_id`.
    """

    __tablename__ = "association_type"
    __table_args__ = (
        UniqueConstraint("account_id", "from_object_type_id", "to_object_type_id", "name"),
        ForeignKeyConstraint(
            ["account_id", "from_object_type_id"], ["object_type.account_id", "object_type.id"]
        ),
        ForeignKeyConstraint(
            ["account_id", "to_object_type_id"], ["object_type.account_id", "object_type.id"]
        ),
        Index(
            "association_type_unlabelled",
            "account_id",
            "from_object_type_id",
            "to_object_type_id",
            unique=True,
            postgresql_where="name IS NULL",
        ),
    )

    account_id: int = key()
    id: int = key()
    from_object_type_id: int = big()
    to_object_type_id: int = big()
    inverse_id: int = big()
    pair_id: int = big()
    # The internal name; None for the unlabelled type.
    name: str | None = text(nullable=True)
    label: str | None = text(nullable=True)
    # SYSTEM or USER_DEFINED.
    category: str = text()
    # How many `to` records a `from` record may have under this type; None: many.
    max_count: int | None = big(nullable=True)
    # At most one type of a group on one pair of records.
    exclusivity_group: str | None = text(nullable=True)
    created_at: datetime = moment()
    created_by: int | None = big(nullable=True)


class Association(SQLModel, table=True):
    """A directed fact. Both directions are stored; a labelled row always has its unlabelled one beside it.

    The order of the primary key is the order in which pages are read: a record's neighbours of one object
    type by id, each with its types.
    """

    account_id: int = key()
    from_id: int = key()
    to_object_type_id: int = key()
    to_id: int = key()
    type_id: int = key()
    created_at: datetime = moment()
    source: str = text()
    source_id: str | None = text(nullable=True)
    user_id: int | None = big(nullable=True)


class AssociationCount(SQLModel, table=True):
    """How many visible (not archived) records a record has under a type.

    No row: never had one. The row is also the lock under which limits are checked.
    """

    __tablename__ = "association_count"
    __table_args__ = ({"postgresql_with": {"fillfactor": "80"}},)

    account_id: int = key()
    record_id: int = key()
    type_id: int = key()
    n: int = big()


class AssociationHistory(SQLModel, table=True):
    """Associations and labels that are no more, both directions, with who made and who removed them.

    What still stands is history too: its row in `association` says since when. So adding writes nothing here,
    and a record's associations as of a time are those rows of both tables whose span holds it.
    """

    __tablename__ = "association_history"

    account_id: int = key()
    from_id: int = key()
    to_object_type_id: int = key()
    to_id: int = key()
    type_id: int = key()
    # Tells one span from the next.
    id: int = key()
    created_at: datetime = moment()
    source: str = text()
    source_id: str | None = text(nullable=True)
    user_id: int | None = big(nullable=True)
    # Never before `created_at`, whatever the clocks of two processes say.
    removed_at: datetime = moment()
    removed_source: str = text()
    removed_source_id: str | None = text(nullable=True)
    removed_user_id: int | None = big(nullable=True)


class LabelHistory(SQLModel, table=True):
    """Every change of a label's definition: field, old, new, by whom, when."""

    __tablename__ = "label_history"

    account_id: int = key()
    pair_id: int = key()
    id: int = key()
    type_id: int = big()
    at: datetime = moment()
    # What kind of thing made the change (API, IMPORT …), and which of its kind.
    source: str = text()
    source_id: str | None = text(nullable=True)
    user_id: int | None = big(nullable=True)
    # CREATED, UPDATED, REPLACED or DELETED.
    kind: str = text()
    # {"field": [old, new]}
    changed: dict[str, Any] = document()
