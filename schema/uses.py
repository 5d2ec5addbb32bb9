"""Places in definitions that name something: what breaks when it is put away, and what keeps it from being deleted."""

from enum import Enum

import strawberry

from engine import ids
from engine.named import Named, NamedUse
from resolvers import uses
from resolvers.context import Context
from schema.documentation import enum
from schema.scalars import JSON


class DefinitionUseKind(Enum):
    """What names something."""

    SEGMENT = "segment"
    WORKFLOW = "workflow"
    SYNC = "sync"
    REPORT = "report"


enum(
    DefinitionUseKind,
    "DefinitionUseKind",
    "What names something.",
    {
        "SEGMENT": "The filter of a segment.",
        "WORKFLOW": "A trigger, a condition or an action of a workflow.",
        "SYNC": "A mapping or the filter of a data sync.",
        "REPORT": "An axis, a measure or a filter of a saved report.",
    },
)


@strawberry.type
class DefinitionUse:
    """A place in the definition of a segment, a workflow, a data sync or a saved report that names something."""

    kind: DefinitionUseKind = strawberry.field(description="What names it.")
    id: strawberry.ID = strawberry.field(description="The id of the segment, workflow, sync or report.")
    name: str = strawberry.field(
        description="The name of the segment, workflow or report; of a sync, those of its connection and object."
    )
    revision: int | None = strawberry.field(
        description="Which published definition of the workflow names it, published now or still under way; "
        "null: the draft, or no workflow."
    )
    path: list[JSON] = strawberry.field(
        description='Where in the definition: names and indexes, such as ["actions", 0, "setProperty", "property"].'
    )

    @classmethod
    def of(cls, use: NamedUse) -> "DefinitionUse":
        """The use as clients see it."""
        return cls(
            kind=DefinitionUseKind(use.kind),
            id=strawberry.ID(ids.encode(use.kind, use.id)),
            name=use.name,
            revision=use.revision,
            path=[JSON(part) for part in use.path],
        )


async def uses_of(context: Context, kind: Named, number: int) -> list[DefinitionUse]:
    """Every place that names something."""
    return [DefinitionUse.of(use) for use in await uses.of(context, kind, number)]
