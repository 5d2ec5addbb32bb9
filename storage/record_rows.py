"""A record as a row: what everybody who reads records is handed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


# Made by the thousand, and never changed: freezing would cost more than reading them.
@dataclass(slots=True)
class RecordRow:
    """A record. `properties` is {property name: stored value}, known values only."""

    id: int
    object_type_id: int
    properties: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    last_association_change_at: datetime | None
    # The survivor, where this record was merged away; it is never itself merged away.
    merged_into_id: int | None
    created_source: str
    updated_source: str
    # How often its properties changed, its creation included.
    version: int
