"""Reports are saved, edited and deleted."""

import strawberry

from engine import ids
from engine.access import Scope
from engine.reports.commands import Chart
from resolvers import reports as reads
from schema.access import Requires
from schema.context import Info
from schema.errors import UserError, told
from schema.filters import plain
from schema.report_definitions import ReportDefinitionInput
from schema.reports import Report
from storage.reports.saved import ReportRow


@strawberry.input
class CreateReportInput:
    """A report to save."""

    name: str = strawberry.field(description="What people call it; unique in the account.")
    definition: ReportDefinitionInput = strawberry.field(
        description="What is counted, by what, over which associations."
    )
    chart: Chart = strawberry.field(default=Chart.BAR, description="How it is drawn.")


@strawberry.input
class UpdateReportInput:
    """What is to change of a report; what is left out stays."""

    id: strawberry.ID = strawberry.field(description="The report.")
    version: int = strawberry.field(description="The version that you have read.")
    name: str | None = strawberry.field(default=None, description="What people call it.")
    definition: ReportDefinitionInput | None = strawberry.field(
        default=None, description="What is counted, as a whole."
    )
    chart: Chart | None = strawberry.field(default=None, description="How it is drawn.")


@strawberry.input
class DeleteReportInput:
    """A report to delete."""

    id: strawberry.ID = strawberry.field(description="The report.")


@strawberry.type
class ReportPayload:
    """A report as it stands after a change."""

    report: Report | None = strawberry.field(description="The report; null where nothing was done.")
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with the request; empty when all went well."
    )


@strawberry.type
class DeleteReportPayload:
    """What became of a report to delete."""

    deleted_id: strawberry.ID | None = strawberry.field(
        description="The report that is gone; null where nothing was done."
    )
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with the request; empty when all went well."
    )


@strawberry.type
class ReportMutation:
    """Changes of saved reports. They are tools of the whole account, as segments and workflows are."""

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def create_report(self, info: Info, input: CreateReportInput) -> ReportPayload:
        """Save a report. From then on it uses the labels and properties that it names."""
        work = reads.create(info.context, input.name, plain(input.definition), input.chart)
        return _payload(info, *await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def update_report(self, info: Info, input: UpdateReportInput) -> ReportPayload:
        """Edit a saved report."""
        definition = None if input.definition is None else plain(input.definition)
        work = reads.update(info.context, input.id, input.version, input.name, definition, input.chart)
        return _payload(info, *await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def delete_report(self, info: Info, input: DeleteReportInput) -> DeleteReportPayload:
        """Delete a saved report. Nobody else is concerned."""
        row, errors = await told(reads.delete(info.context, input.id))
        gone = None if row is None else strawberry.ID(ids.encode("report", row.id))
        return DeleteReportPayload(deleted_id=gone, user_errors=errors)


def _payload(info: Info, row: ReportRow | None, errors: list[UserError]) -> ReportPayload:
    return ReportPayload(report=None if row is None else Report.of(info.context, row), user_errors=errors)
