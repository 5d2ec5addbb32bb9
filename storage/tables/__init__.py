"""The tables, one module a noun. They declare; hot paths never build instances of them."""

from sqlmodel import SQLModel

from storage.tables import (
    accounts,
    associations,
    changes,
    events,
    imports,
    outbox,
    records,
    reports,
    segments,
    sync,
    sync_plans,
    workflows,
)

metadata = SQLModel.metadata

__all__ = [
    "accounts",
    "associations",
    "changes",
    "events",
    "imports",
    "metadata",
    "outbox",
    "records",
    "reports",
    "segments",
    "sync",
    "sync_plans",
    "workflows",
]
