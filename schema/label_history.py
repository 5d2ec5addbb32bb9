"""The history of labels: how each was made, and every change since."""

from datetime import datetime

import strawberry

from engine import ids
from schema.scalars import JSON
from storage.labels import LabelChange as LabelChangeRow


@strawberry.type
class LabelFieldChange:
    """One field of a label that was changed."""

    field: str = strawberry.field(description="Which field.")
    old: JSON | None = strawberry.field(description="What it was.")
    new: JSON | None = strawberry.field(description="What it became.")


@strawberry.type
class LabelChange:
    """A change of a label's definition."""

    at: datetime = strawberry.field(description="When.")
    type_id: strawberry.ID = strawberry.field(description="The direction from which it is told.")
    kind: str = strawberry.field(description="CREATED, UPDATED, REPLACED or DELETED.")
    source: str = strawberry.field(description="What kind of thing did it: API, IMPORT, SYSTEM …")
    source_id: str | None = strawberry.field(
        description="Which of its kind; of the API, the number of the key."
    )
    user_id: strawberry.ID | None = strawberry.field(description="The user who did it, if it was one.")
    changes: list[LabelFieldChange] = strawberry.field(description="What was changed.")

    @classmethod
    def of(cls, row: LabelChangeRow) -> "LabelChange":
        """The change as clients see it."""
        return cls(
            at=row.at,
            type_id=strawberry.ID(ids.encode("association type", row.type_id)),
            kind=row.kind,
            source=row.source,
            source_id=row.source_id,
            user_id=None if row.user_id is None else strawberry.ID(ids.encode("user", row.user_id)),
            changes=[
                LabelFieldChange(field=name, old=old, new=new) for name, (old, new) in row.changed.items()
            ],
        )
