"""Accounts, their users and API keys, and the counters that every account has one of."""

from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlmodel import SQLModel

from storage.tables.columns import big, document, key, moment, text, texts


class Account(SQLModel, table=True):
    """A tenant."""

    # The only unique constraint that spans accounts: operators name accounts, clients never do.
    __table_args__ = (UniqueConstraint("name"),)

    account_id: int = key()
    name: str = text()
    settings: dict[str, Any] = document()
    created_at: datetime = moment()


class CatalogueVersion(SQLModel, table=True):
    """Counts the changes of an account's definitions (object types, properties, association types).

    Writers hold its row FOR SHARE, whoever changes a definition FOR UPDATE: a rule that stands when a
    write starts stands until it commits.
    """

    __tablename__ = "catalogue_version"

    account_id: int = key()
    version: int = big()


class IdBlock(SQLModel, table=True):
    """The next free id of an account. Processes take blocks of ids, so the row is seldom touched."""

    __tablename__ = "id_block"

    account_id: int = key()
    next_id: int = big()


class AccountUser(SQLModel, table=True):
    """A person who works in an account."""

    __tablename__ = "account_user"
    __table_args__ = (UniqueConstraint("account_id", "email"),)

    account_id: int = key()
    id: int = key()
    name: str = text()
    email: str = text()
    role: str = text()
    created_at: datetime = moment()


class ApiKey(SQLModel, table=True):
    """A bearer key. Only the SHA-256 of its secret is kept; keys are random, so no slow hash is needed."""

    __tablename__ = "api_key"
    __table_args__ = (UniqueConstraint("account_id", "secret_hash"),)

    account_id: int = key()
    id: int = key()
    user_id: int | None = big(nullable=True)
    name: str = text()
    secret_hash: str = text()
    prefix: str = text()
    role: str = text()
    scopes: list[str] = texts()
    created_at: datetime = moment()
    revoked_at: datetime | None = moment(nullable=True)
