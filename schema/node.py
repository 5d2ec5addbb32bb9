"""Anything by its id alone."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import (
    connections,
    imports,
    records,
    reports,
    segments,
    sync_plans,
    sync_records,
    webhooks,
    workflows,
)
from schema.access import Requires
from schema.connections import Connection
from schema.context import Info
from schema.enrollments import Enrollment
from schema.imports import Import
from schema.nodes import Node
from schema.records import Record
from schema.reports import Report
from schema.segments import Segment
from schema.sync_plans import SyncPlan
from schema.sync_records import SyncRecord
from schema.syncs import Sync
from schema.webhooks import WebhookEvent
from schema.workflows import Workflow


async def _connection(info: Info, id: str) -> Node | None:
    row = await connections.by_id(info.context, ids.decode("connection", id))
    return None if row is None else Connection.of(info.context, row)


async def _enrollment(info: Info, id: str) -> Node | None:
    enrollment = await workflows.enrollment(info.context, ids.decode("enrollment", id))
    return None if enrollment is None else Enrollment.of(enrollment)


async def _import(info: Info, id: str) -> Node | None:
    imported = await imports.by_id(info.context, ids.decode("import", id))
    return None if imported is None else Import.of(imported)


async def _link(info: Info, id: str) -> Node | None:
    row = await sync_records.by_id(info.context, ids.decode("link", id))
    return None if row is None else SyncRecord.of(row)


async def _plan(info: Info, id: str) -> Node | None:
    row = await sync_plans.by_id(info.context, ids.decode("plan", id))
    return None if row is None else SyncPlan.of(row)


async def _record(info: Info, id: str) -> Node | None:
    found = await records.record(info.context, None, id, None)
    return None if found is None else Record.of(found)


async def _report(info: Info, id: str) -> Node | None:
    report = await reports.by_id(info.context, ids.decode("report", id))
    return None if report is None else Report.of(info.context, report)


async def _segment(info: Info, id: str) -> Node | None:
    segment = await segments.by_id(info.context, ids.decode("segment", id))
    return None if segment is None else Segment.of(info.context, segment)


async def _sync(info: Info, id: str) -> Node | None:
    return await Sync.found(info.context, ids.decode("sync", id))


async def _webhook(info: Info, id: str) -> Node | None:
    found = await webhooks.by_id(info.context, ids.decode("webhook", id))
    return None if found is None else WebhookEvent.of(info.context, found)


async def _workflow(info: Info, id: str) -> Node | None:
    workflow = await workflows.by_id(info.context, ids.decode("workflow", id))
    return None if workflow is None else Workflow.of(info.context, workflow)


# By the kind of the id: the scope that reading it elsewhere needs, and how it is found.
FINDERS: Mapping[str, tuple[Scope, Callable[[Info, str], Awaitable[Node | None]]]] = {
    "connection": (Scope.ACCOUNT_MANAGE, _connection),
    "enrollment": (Scope.AUTOMATION_READ, _enrollment),
    "import": (Scope.RECORDS_READ, _import),
    "link": (Scope.AUTOMATION_READ, _link),
    "plan": (Scope.AUTOMATION_READ, _plan),
    "record": (Scope.RECORDS_READ, _record),
    "report": (Scope.RECORDS_READ, _report),
    "segment": (Scope.RECORDS_READ, _segment),
    "sync": (Scope.AUTOMATION_READ, _sync),
    "webhook": (Scope.AUTOMATION_READ, _webhook),
    "workflow": (Scope.AUTOMATION_READ, _workflow),
}


@strawberry.type
class NodeQuery:
    """Reading by an id alone."""

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id.")]
    ) -> Node | None:
        """Whatever has an id and is a Node, by its id alone; null where there is none.

        Workflows, enrollments, syncs, their previews and records, and webhook events need the scope automation:read,
        too; connections account:manage.
        """
        found = FINDERS.get(ids.kind_of(id))
        if found is None:
            return None
        scope, find = found
        info.context.principal.require(scope)
        return await find(info, id)
