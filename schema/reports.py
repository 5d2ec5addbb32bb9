"""Reports: saved ones, and what they say now."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

from engine import ids
from engine.access import Scope
from engine.reports.commands import Chart
from engine.reports.run import Key, Row, Series
from resolvers import reports as reads
from resolvers.context import Context
from resolvers.reports import Ran
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.errors import UserError, user_error
from schema.filters import plain
from schema.mirrored import read
from schema.nodes import Node, PageInfo, page_info
from schema.report_definitions import ReportDefinition, ReportDefinitionInput
from schema.scalars import JSON
from storage.reports.saved import ReportRow

enum(
    Chart,
    "ReportChart",
    "How a report is drawn.",
    {
        "BAR": "Bars along the first axis, one colour for each value of the second.",
        "LINE": "Lines along the first axis; for dates.",
        "TABLE": "Rows with their numbers.",
    },
)


@strawberry.type
class ReportKey:
    """A value of an axis."""

    value: JSON | None = strawberry.field(
        description="The value, of a label its internal name; null: there is none, or these are all the others."
    )
    label: str = strawberry.field(description='What people call it; "(No value)" and "(Others)" included.')
    others: bool = strawberry.field(
        description="Whether these are all values beyond the axis's top, together."
    )

    @classmethod
    def of(cls, key: Key) -> "ReportKey":
        """The key as clients see it."""
        return cls(value=None if key.value is None else JSON(key.value), label=key.label, others=key.others)


@strawberry.type
class ReportGroup:
    """A group, or a total."""

    keys: list[ReportKey | None] = strawberry.field(
        description="Its value of each axis; null: the axis is not told apart here."
    )
    measures: list[float | None] = strawberry.field(
        description="Each measure's number; null where there is nothing that it could be made of."
    )

    @classmethod
    def of(cls, row: Row) -> "ReportGroup":
        """The row as clients see it."""
        keys = [None if key is None else ReportKey.of(key) for key in row.keys]
        return cls(keys=keys, measures=list(row.measures))


@strawberry.type
class ReportSeries:
    """A measure along the categories, for one value of the second axis."""

    key: ReportKey | None = strawberry.field(
        description="The value of the second axis; null: there is no second one."
    )
    measure: int = strawberry.field(description="Which measure, counted from 0.")
    values: list[float | None] = strawberry.field(
        description="A number for each category, in their order; null where there is no such group."
    )

    @classmethod
    def of(cls, series: Series) -> "ReportSeries":
        """The series as clients see it."""
        key = None if series.key is None else ReportKey.of(series.key)
        return cls(key=key, measure=series.measure, values=list(series.values))


@strawberry.type
class ReportResult:
    """What a report says at a moment."""

    ran: strawberry.Private[Ran]
    at: datetime = strawberry.field(description="The moment.")
    axes: list[str] = strawberry.field(description="What people call each axis.")
    measures: list[str] = strawberry.field(description="What people call each measure.")

    @strawberry.field
    def rows(self) -> list[ReportGroup]:
        """The groups, in the report's order."""
        return [ReportGroup.of(row) for row in self.ran.result.groups]

    @strawberry.field
    def totals(self) -> list[ReportGroup]:
        """Groups without one or more of the axes, down to the whole; each record counts once in each."""
        return [ReportGroup.of(row) for row in self.ran.result.totals]

    @strawberry.field
    def categories(self) -> list[ReportKey]:
        """For charts: the values of the first axis, in the report's order."""
        return [ReportKey.of(key) for key in self.ran.result.categories]

    @strawberry.field
    def series(self) -> list[ReportSeries]:
        """For charts: each measure along the categories, for each value of the second axis. A third is not told."""
        return [ReportSeries.of(one) for one in self.ran.result.series]

    @classmethod
    def of(cls, context: Context, ran: Ran) -> "ReportResult":
        """The result as clients see it."""
        return cls(ran=ran, at=context.now, axes=list(ran.bound.headings), measures=list(ran.bound.measures))


@strawberry.type
class Report(Node):
    """A saved report."""

    row: strawberry.Private[ReportRow]
    name: str = strawberry.field(description="What people call it; unique in the account.")
    object_type: str = strawberry.field(
        description="The internal name of the object type that it begins with."
    )
    chart: Chart = strawberry.field(description="How it is drawn.")
    version: int = strawberry.field(description="Counts its edits; an update names the version that it read.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")

    @strawberry.field
    def created_by_id(self) -> strawberry.ID | None:
        """The user who made it, if it was one."""
        made = self.row.created_by
        return None if made is None else strawberry.ID(ids.encode("user", made))

    @strawberry.field(graphql_type=ReportDefinition)
    def definition(self) -> Any:
        """What is counted, by what, over which associations."""
        return read(ReportDefinitionInput, self.row.definition)

    @strawberry.field
    def problems(self, info: Info) -> list[UserError]:
        """What it names and is not there any more; empty: it runs."""
        return [user_error(one) for one in reads.problems(info.context, self.row)]

    @classmethod
    def of(cls, context: Context, row: ReportRow) -> "Report":
        """The report as clients see it."""
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("report", row.id)),
            name=row.name,
            object_type=context.catalogue.object_types[row.object_type_id].name,
            chart=Chart(row.chart),
            version=row.version,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


@strawberry.type
class ReportEdge:
    """A report on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: Report = strawberry.field(description="The report.")


@strawberry.type
class ReportConnection:
    """A page of saved reports, in the order in which they were made."""

    edges: list[ReportEdge] = strawberry.field(description="The reports with their cursors.")
    nodes: list[Report] = strawberry.field(description="The reports.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.type
class ReportQuery:
    """Reads of reports. They say what records hold, so whoever reads records may read them."""

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def reports(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> ReportConnection:
        """All saved reports."""
        page = await reads.listing(info.context, first, after)
        nodes = [Report.of(info.context, row) for row in page.rows]
        edges = [ReportEdge(cursor=str(node.id), node=node) for node in nodes]
        return ReportConnection(
            edges=edges, nodes=nodes, page_info=page_info(edges, page.has_next, page.has_previous)
        )

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def report(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Report | None:
        """One saved report."""
        row = await reads.by_id(info.context, ids.decode_at("report", id, "id"))
        return None if row is None else Report.of(info.context, row)

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def run_report(
        self,
        info: Info,
        report: Annotated[
            strawberry.ID | None, strawberry.argument(description="A saved one; or give a definition.")
        ] = None,
        definition: Annotated[
            ReportDefinitionInput | None,
            strawberry.argument(description="What to count; or name a saved report."),
        ] = None,
    ) -> ReportResult:
        """What a report says now, in one look at the data. Totals are worked out only where they are asked for."""
        wanted = any(
            chosen.name == "totals" for one in info.selected_fields for chosen in _flat(one.selections)
        )
        given = None if definition is None else plain(definition)
        ran = await reads.run(info.context, report, given, totals=wanted)
        return ReportResult.of(info.context, ran)


def _flat(selections: Any) -> list[Any]:
    """The fields of a selection, those of its fragments among them."""
    found = []
    for one in selections:
        found += [one] if hasattr(one, "alias") else _flat(one.selections)
    return found
