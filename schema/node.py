"""Anything by its id alone."""

from typing import Annotated

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import imports, records, reports, segments, workflows
from schema.access import Requires
from schema.context import Info
from schema.enrollments import Enrollment
from schema.imports import Import
from schema.nodes import Node
from schema.records import Record
from schema.reports import Report
from schema.segments import Segment
from schema.syncs import Sync
from schema.workflows import Workflow


@strawberry.type
class NodeQuery:
    """Reading by an id alone."""

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id.")]
    ) -> Node | None:
        """A record, segment, report, import, workflow, enrollment or sync by its id alone; null where there is none.

        Workflows, enrollments and syncs need the scope automation:read, too.
        """
        match ids.kind_of(id):
            case "record":
                found = await records.record(info.context, None, id, None)
                return None if found is None else Record.of(found)
            case "segment":
                segment = await segments.by_id(info.context, ids.decode("segment", id))
                return None if segment is None else Segment.of(info.context, segment)
            case "import":
                imported = await imports.by_id(info.context, ids.decode("import", id))
                return None if imported is None else Import.of(imported)
            case "workflow":
                info.context.principal.require(Scope.AUTOMATION_READ)
                workflow = await workflows.by_id(info.context, ids.decode("workflow", id))
                return None if workflow is None else Workflow.of(info.context, workflow)
            case "enrollment":
                info.context.principal.require(Scope.AUTOMATION_READ)
                enrollment = await workflows.enrollment(info.context, ids.decode("enrollment", id))
                return None if enrollment is None else Enrollment.of(enrollment)
            case "report":
                report = await reports.by_id(info.context, ids.decode("report", id))
                return None if report is None else Report.of(info.context, report)
            case "sync":
                info.context.principal.require(Scope.AUTOMATION_READ)
                return await Sync.found(info.context, ids.decode("sync", id))
            case _:
                return None
