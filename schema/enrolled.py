"""What records say of workflows. Apart, since enrollments speak of records in turn."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import workflows as reads
from schema.access import Requires
from schema.context import Info
from schema.nodes import Node

if TYPE_CHECKING:
    from schema.enrollments import EnrollmentConnection, EnrollmentStatus


@strawberry.type
class Enrolled(Node):
    """A record, as far as workflows are concerned."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def enrollments(
        self,
        info: Info,
        status: Annotated[
            Annotated["EnrollmentStatus", strawberry.lazy("schema.enrollments")] | None,
            strawberry.argument(description="Only those that stand here."),
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> Annotated["EnrollmentConnection", strawberry.lazy("schema.enrollments")]:
        """Its enrollments in workflows, newest first."""
        from schema.enrollments import EnrollmentConnection

        wanted = reads.asked(None if status is None else status.value, first, after)
        return EnrollmentConnection.of(
            await reads.page(info.context, None, ids.decode("record", self.id), wanted)
        )
