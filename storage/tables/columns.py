"""The kinds of column that every table is made of."""

from typing import Any

from sqlalchemy import ARRAY, BigInteger, DateTime, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

# Text compares byte by byte, so that order is the same on every machine and in Python.
COLLATED = Text(collation="C")


def key(**options: Any) -> Any:
    """A bigint that is part of the primary key."""
    return Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False}, **options)


def big(**options: Any) -> Any:
    """A bigint; nullable where the annotation says so."""
    return Field(sa_type=BigInteger, **options)


def text(**options: Any) -> Any:
    """Text in byte order."""
    return Field(sa_type=COLLATED, **options)


def moment(**options: Any) -> Any:
    """A point in time, in UTC, to the microsecond."""
    return Field(sa_type=DateTime(timezone=True), **options)


def document(**options: Any) -> Any:
    """JSON."""
    return Field(sa_type=JSONB, **options)


def texts(**options: Any) -> Any:
    """An array of texts."""
    return Field(sa_type=ARRAY(Text), **options)


def bigs(**options: Any) -> Any:
    """An array of bigints."""
    return Field(sa_type=ARRAY(BigInteger), **options)
