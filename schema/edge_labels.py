"""Labels as associations hold them."""

import strawberry

from engine import ids
from storage.catalogue import AssociationTypeRow
from storage.labels import Deleted


@strawberry.type
class EdgeLabel:
    """A label that an association holds, as it stands at the record from which the edge is seen."""

    row: strawberry.Private[AssociationTypeRow | Deleted]

    @strawberry.field
    def name(self) -> str:
        """The internal name; it never changes."""
        return str(self.row.name)

    @strawberry.field
    def label(self) -> str:
        """The text that people read."""
        return str(self.row.label)

    @strawberry.field
    def type_id(self) -> strawberry.ID:
        """The id of the directed association type."""
        return strawberry.ID(ids.encode("association type", self.row.id))

    @strawberry.field
    def category(self) -> str:
        """SYSTEM, or USER_DEFINED."""
        return self.row.category
