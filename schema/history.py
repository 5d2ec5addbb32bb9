"""The history of a record's properties: every change with its time and its maker."""

from datetime import datetime

import strawberry

from engine import ids
from schema.nodes import PageInfo
from schema.scalars import JSON
from storage.records import HistoryRow


@strawberry.type
class PropertyChange:
    """A change of a record's properties."""

    row: strawberry.Private[HistoryRow]
    name: strawberry.Private[str | None]

    @strawberry.field
    def version(self) -> int:
        """Counts the changes of the record; its creation is 1."""
        return self.row.version

    @strawberry.field
    def at(self) -> datetime:
        """When it was made."""
        return self.row.at

    @strawberry.field
    def changed(self) -> JSON:
        """New values by property name, null where a value was cleared; of the property asked for, if one was."""
        if self.name is None:
            return JSON(self.row.changed)
        return JSON({self.name: self.row.changed[self.name]})

    @strawberry.field
    def source(self) -> str:
        """What kind of thing made it: API, IMPORT, WORKFLOW, MERGE …"""
        return self.row.source

    @strawberry.field
    def source_id(self) -> str | None:
        """Which of its kind."""
        return self.row.source_id

    @strawberry.field
    def user_id(self) -> strawberry.ID | None:
        """The user on whose behalf it was made."""
        return None if self.row.user_id is None else strawberry.ID(ids.encode("user", self.row.user_id))


@strawberry.type
class PropertyChangeEdge:
    """A change in a history."""

    cursor: str = strawberry.field(description="Where it stands in this history.")
    node: PropertyChange = strawberry.field(description="The change.")


@strawberry.type
class PropertyChangeConnection:
    """A page of a history, newest first."""

    edges: list[PropertyChangeEdge] = strawberry.field(description="The changes with their cursors.")
    nodes: list[PropertyChange] = strawberry.field(description="The changes.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
