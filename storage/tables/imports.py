"""Imports: what was read from files, how far it got, what it touched, and what was wrong with it."""

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel

from storage.tables.columns import big, document, key, moment, text


class Import(SQLModel, table=True):
    """One import of one file."""

    # What workers look for, again and again: few of many.
    __table_args__ = (
        Index(
            "import_work",
            "account_id",
            "id",
            postgresql_where="status IN ('CHECKING', 'RUNNING', 'UNDOING') OR chunks > 0",
        ),
    )

    account_id: int = key()
    id: int = key()
    # Of the file.
    name: str = text()
    # RECORDS, ASSOCIATIONS, or RECORDS_AND_ASSOCIATIONS.
    kind: str = text()
    # CREATED, UPLOADED, CHECKING, CHECKED, RUNNING, PAUSED, DONE, FAILED, CANCELLED, UNDOING or UNDONE.
    status: str = text()
    # The plan (see engine.imports.plan), or what older versions noted of theirs.
    mapping: dict[str, Any] = document()
    rows_read: int = big()
    rows_created: int = big()
    rows_updated: int = big()
    rows_unchanged: int = big()
    rows_failed: int = big()
    started_at: datetime = moment()
    ended_at: datetime | None = moment(nullable=True)
    user_id: int | None = big(nullable=True)
    # How the file is written, once it is there: format, encoding, delimiter, header, size …
    file: dict[str, Any] = document(sa_column_kwargs={"server_default": "{}"})
    # Pieces of the file in `import_chunk`; none where a process reads it from its own disk.
    chunks: int = big(sa_column_kwargs={"server_default": "0"})
    # The last row of the file that the check, or the run, has done.
    position: int = big(sa_column_kwargs={"server_default": "0"})
    # Where several hands bring it in: how the file is cut for them, and the last row that each lane has done (see
    # engine.imports.cutting). `position` is then the least of these.
    lanes: dict[str, Any] = document(sa_column_kwargs={"server_default": "{}"})
    # How much of the file that is, from 0 to 1.
    share: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    # Errors that were found; those beyond a bound are counted and not kept.
    errors: int = big(sa_column_kwargs={"server_default": "0"})
    # By part and by code: what was done, and what a check foresees. See engine.imports.tally.
    figures: dict[str, Any] = document(sa_column_kwargs={"server_default": "{}"})
    # What the check has found.
    findings: dict[str, Any] | None = document(nullable=True)
    # Why it failed.
    reason: str | None = text(nullable=True)
    # What became of taking it back.
    undone: dict[str, Any] | None = document(nullable=True)
    lease_token: str | None = text(nullable=True)
    leased_until: datetime | None = moment(nullable=True)


class ImportChunk(SQLModel, table=True):
    """A piece of an uploaded file, so that any worker can read it; gone when the import has ended."""

    __tablename__ = "import_chunk"

    account_id: int = key()
    import_id: int = key()
    n: int = key()
    data: bytes = Field(sa_type=LargeBinary)


class ImportKey(SQLModel, table=True):
    """A key that a check has met, to find those that come twice; gone when the check has ended."""

    __tablename__ = "import_key"

    account_id: int = key()
    import_id: int = key()
    # Of the part and the canonical key.
    digest: bytes = Field(sa_type=LargeBinary, primary_key=True)
    row: int = big()


class ImportRecord(SQLModel, table=True):
    """A record that an import's rows were about, whether they changed it or not. What it did stands in its history."""

    __tablename__ = "import_record"

    account_id: int = key()
    import_id: int = key()
    record_id: int = key()
    # The first row that was about it.
    row: int = big()
    # Properties that rows gave, where several rows may be about one record.
    given: list[str] | None = Field(default=None, sa_type=ARRAY(Text), nullable=True)


class ImportPair(SQLModel, table=True):
    """Two records that a row of an import associated or labelled. What it added, the associations themselves tell."""

    __tablename__ = "import_pair"
    # Whether a record was at either end of what an import associated: workflows ask for that.
    __table_args__ = (Index("import_pair_to", "account_id", "import_id", "to_id"),)

    account_id: int = key()
    import_id: int = key()
    from_id: int = key()
    to_id: int = key()


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
