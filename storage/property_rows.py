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

    Where it is told so, the parts of its texts are kept beside that, by `parts_state`: NONE, FILLING (they are written,
    not read), READY, RETIRING (still written, for whoever reads them), CLEARING.
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
    parts_state: str = "NONE"
    parts_changed_at: datetime | None = None
    parts_seed: int = 0

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

    @property
    def parts_searchable(self) -> bool:
        """Whether its texts are to be found by their parts, now or as soon as all of them are kept."""
        return self.parts_state in ("FILLING", "READY")

    @property
    def writes_parts(self) -> bool:
        """Whether the parts of its texts are kept in `property_part`."""
        return self.parts_state in ("FILLING", "READY", "RETIRING")

    @property
    def reads_parts(self) -> bool:
        """Whether `property_part` has all of them."""
        return self.parts_state == "READY"

    @property
    def indexing(self) -> bool:
        """Whether an index of it is being made or given up."""
        return self.index_state != "READY" or self.parts_state not in ("NONE", "READY")
