"""Links: which record and which item are one, what both were last known to hold, and how they stand."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement

# States of a link.
PENDING, IN_SYNC, FAILED, EXCLUDED, CONFLICT = "PENDING", "IN_SYNC", "FAILED", "EXCLUDED", "CONFLICT"


# Not frozen: read by the thousand, and never changed; freezing would cost more than reading them.
@dataclass(slots=True)
class LinkRow:
    """A link as it stands: see `storage.tables.sync.SyncLink`."""

    id: int
    sync_id: int
    record_id: int | None = None
    external_id: str | None = None
    state: str = PENDING
    base_ours: dict[str, Any] | None = None
    base_theirs: dict[str, Any] | None = None
    base_roles: dict[str, list[str]] = field(default_factory=dict)
    version: str | None = None
    modified_at: datetime | None = None
    create_key: str | None = None
    planned: dict[str, Any] | None = None
    deleted: str | None = None
    category: str | None = None
    message: str | None = None
    failed_side: str | None = None
    details: dict[str, Any] | None = None
    attempts: int = 0
    failed_at: datetime | None = None
    synced_at: datetime | None = None
    url: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


# The fields of LinkRow, in its order.
COLUMNS = """l.id, l.sync_id, l.record_id, l.external_id, l.state, l.base_ours, l.base_theirs, l.base_roles,
           l.version, l.modified_at, l.create_key, l.planned, l.deleted, l.category, l.message, l.failed_side,
           l.details, l.attempts, l.failed_at, l.synced_at, l.url, l.created_at, l.updated_at"""
