"""A property, of records or of events, as definitions describe it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class PropertyRow:
    """A property. `type` is one of STRING NUMBER BOOLEAN DATE DATETIME ENUMERATION PHONE JSON.

    Its values are indexed in `property_value` where it is searchable, else in `property_key`. From one to the other
    it goes online, by `index_state`: FILLING (both are written, the old one is read), RETIRING (both are written,
    the new one is read: whoever still reads the old one has time to end), CLEARING (the old one is being
    emptied), READY.
    """

    id: int
    object_type_id: int
    name: str
    label: str
    group_name: str
    description: str | None
    type: str
    field: str
    multiple: bool
    is_unique: bool
    required: bool
    searchable: bool
    read_only: bool
    calculated: bool
    options: tuple[dict[str, Any], ...]
    created_at: datetime
    archived_at: datetime | None
    index_state: str = "READY"
    index_changed_at: datetime | None = None

    @property
    def writes_values(self) -> bool:
        """Whether its values are kept in `property_value`."""
        return self.searchable or self.index_state in ("FILLING", "RETIRING")

    @property
    def writes_keys(self) -> bool:
        """Whether its values are kept in `property_key`."""
        return self.type != "JSON" and (not self.searchable or self.index_state in ("FILLING", "RETIRING"))

    @property
    def reads_values(self) -> bool:
        """Whether `property_value` has all of its values; if not, `property_key` has (JSON is in neither)."""
        return self.searchable is (self.index_state != "FILLING")
