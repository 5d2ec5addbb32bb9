"""Imports: what is known of each, how far it is, and what was wrong with which row."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import imports as reads
from resolvers.context import Context
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.import_parts import (
    ImportedFile,
    ImportErrorConnection,
    ImportErrorCount,
    ImportErrorEdge,
    ImportErrorGroup,
    ImportFigures,
    ImportFindings,
    ImportUndone,
    counts_of,
    error_of,
    figures_of,
    group_of,
)
from schema.import_plans import ImportPlan
from schema.nodes import Node, PageInfo, page_info
from storage.imports import ImportRow


class ImportKind(Enum):
    """What an import brings in."""

    RECORDS = "RECORDS"
    ASSOCIATIONS = "ASSOCIATIONS"
    RECORDS_AND_ASSOCIATIONS = "RECORDS_AND_ASSOCIATIONS"


enum(
    ImportKind,
    "ImportKind",
    "What an import brings in.",
    {
        "RECORDS": "Records.",
        "ASSOCIATIONS": "Associations between records that are there.",
        "RECORDS_AND_ASSOCIATIONS": "Records, and associations of theirs.",
    },
)


class ImportStatus(Enum):
    """Where an import stands."""

    CREATED = "CREATED"
    UPLOADED = "UPLOADED"
    CHECKING = "CHECKING"
    CHECKED = "CHECKED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNDOING = "UNDOING"
    UNDONE = "UNDONE"


enum(
    ImportStatus,
    "ImportStatus",
    "Where an import stands.",
    {
        "CREATED": "Its file is still to be sent.",
        "UPLOADED": "Its file is there.",
        "CHECKING": "Its file is being checked; nothing is written.",
        "CHECKED": "The check is done: see `findings`.",
        "RUNNING": "Its rows are being written.",
        "PAUSED": "Somebody stopped it for a while.",
        "DONE": "The whole file was read; rows that failed are told.",
        "FAILED": "It broke off: see `reason`. What was in by then stays.",
        "CANCELLED": "Somebody ended it. What was in by then stays.",
        "UNDOING": "It is being taken back.",
        "UNDONE": "It has been taken back, as far as later changes allow: see `undone`.",
    },
)

BACK = ("UNDOING", "UNDONE")
WORKING = ("CHECKING", "RUNNING")


@strawberry.type
class Import(Node):
    """One import of one file."""

    row: strawberry.Private[ImportRow]
    name: str = strawberry.field(description="The name of its file.")
    kind: ImportKind = strawberry.field(description="What it brings in; RECORDS until its plan says more.")
    status: ImportStatus = strawberry.field(description="Where it stands.")
    started_at: datetime = strawberry.field(description="When it was begun; before that, when it was made.")
    ended_at: datetime | None = strawberry.field(
        description="When the check or the run ended; null until then."
    )
    rows: int = strawberry.field(description="How many rows were read, those that failed included.")
    created: int = strawberry.field(description="Rows that made something.")
    updated: int = strawberry.field(description="Rows that changed something.")
    unchanged: int = strawberry.field(description="Rows that changed nothing.")
    failed: int = strawberry.field(description="Rows with errors: they are not in.")
    error_count: int = strawberry.field(description="How many errors there are; the first 10,000 are kept.")
    share: float = strawberry.field(description="The share of the file that is done: 0 to 1.")
    reason: str | None = strawberry.field(description="Why it broke off.")

    @strawberry.field
    def user_id(self) -> strawberry.ID | None:
        """The user on whose behalf it runs."""
        return None if self.row.user_id is None else strawberry.ID(ids.encode("user", self.row.user_id))

    @strawberry.field
    def file(self) -> ImportedFile | None:
        """How its file was read; null until it is there."""
        told = self.row.file
        if "size" not in told and "header" not in told:
            return None
        return ImportedFile(
            size=told.get("size"),
            format=told.get("format"),
            encoding=told.get("encoding"),
            delimiter=told.get("delimiter"),
            sheet=told.get("sheet"),
            header=list(told.get("header") or ()),
            notes=list(told.get("notes") or ()),
        )

    @strawberry.field
    def plan(self) -> ImportPlan | None:
        """Which columns fill what; null until that is said."""
        return ImportPlan.of(self.row.mapping)

    @strawberry.field
    def rate(self, info: Info) -> float | None:
        """Rows a second, of the check or run that goes on or has ended; null where there is no time to speak of."""
        seconds = _seconds(info.context, self.row)
        # Taking back ends later than what is taken back.
        return None if not seconds or self.row.status in BACK else self.row.rows_read / seconds

    @strawberry.field
    def seconds_left(self, info: Info) -> float | None:
        """How long it will take, if it goes on as it did; null where nothing goes on, or nothing is known yet."""
        seconds = _seconds(info.context, self.row)
        if self.row.status not in WORKING or not seconds or self.row.share <= 0:
            return None
        return seconds * (1 - self.row.share) / self.row.share

    @strawberry.field
    def figures(self) -> list[ImportFigures]:
        """What became of the records of each part, and of the associations."""
        return figures_of(self.row.figures)

    @strawberry.field
    def error_counts(self) -> list[ImportErrorCount]:
        """What was wrong, the most frequent first; all errors are counted, also those that are not kept."""
        return counts_of(self.row.figures)

    @strawberry.field
    async def error_groups(self, info: Info) -> list[ImportErrorGroup]:
        """What was wrong by code and column, the most frequent first, 100 at most; of the errors that are kept."""
        return [group_of(row) for row in await reads.error_groups(info.context, self.row.id)]

    @strawberry.field
    def findings(self) -> ImportFindings | None:
        """What the check has found; null until it has ended."""
        told = self.row.findings
        if told is None:
            return None
        return ImportFindings(
            rows=told["rows"],
            create=told["create"],
            update=told["update"],
            unchanged=told["unchanged"],
            fail=told["fail"],
            figures=figures_of(told["figures"]),
            error_counts=counts_of(told["figures"]),
            notes=list(told["notes"]),
        )

    @strawberry.field
    def undone(self) -> ImportUndone | None:
        """What became of taking it back; null where nobody wants that."""
        told = self.row.undone
        if told is None:
            return None
        names = ("archived", "restored", "associations", "labels", "kept")
        return ImportUndone(**{name: told.get(name, 0) for name in names})

    @strawberry.field
    async def errors(
        self,
        info: Info,
        codes: Annotated[
            list[str] | None, strawberry.argument(description="Only errors of these codes; null: of all.")
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> ImportErrorConnection:
        """What was wrong with rows, in the order of the file."""
        page = await reads.errors(info.context, self.row.id, codes, first, after)
        nodes = [error_of(row) for row in page.rows]
        edges = [
            ImportErrorEdge(cursor=reads.error_cursor(row), node=node)
            for row, node in zip(page.rows, nodes, strict=True)
        ]
        return ImportErrorConnection(
            edges=edges, nodes=nodes, page_info=page_info(edges, page.has_next, page.has_previous)
        )

    @strawberry.field
    def errors_url(self, info: Info) -> str:
        """Where all its errors can be fetched as CSV, with a key as everywhere."""
        return info.context.public_url + reads.ERRORS_PATH.format(id=self.id)

    @strawberry.field
    def upload_url(self, info: Info) -> str:
        """Where its file is to be PUT, as it is, with a key as everywhere."""
        return info.context.public_url + reads.FILE_PATH.format(id=self.id)

    @classmethod
    def of(cls, row: ImportRow) -> "Import":
        """The import as clients see it."""
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("import", row.id)),
            name=row.name,
            kind=ImportKind(row.kind),
            status=ImportStatus(row.status),
            started_at=row.started_at,
            ended_at=row.ended_at,
            rows=row.rows_read,
            created=row.rows_created,
            updated=row.rows_updated,
            unchanged=row.rows_unchanged,
            failed=row.rows_failed,
            error_count=row.errors,
            share=row.share,
            reason=row.reason,
        )


@strawberry.type
class ImportEdge:
    """An import on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: Import = strawberry.field(description="The import.")


@strawberry.type
class ImportConnection:
    """A page of imports, the newest first."""

    edges: list[ImportEdge] = strawberry.field(description="The imports with their cursors.")
    nodes: list[Import] = strawberry.field(description="The imports.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.type
class ImportQuery:
    """Reads of imports."""

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def imports(
        self,
        info: Info,
        statuses: Annotated[
            list[ImportStatus] | None, strawberry.argument(description="Only those that stand so; null: all.")
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> ImportConnection:
        """All imports, the newest first."""
        chosen = None if statuses is None else [status.value for status in statuses]
        page = await reads.listing(info.context, chosen, first, after)
        nodes = [Import.of(row) for row in page.rows]
        edges = [ImportEdge(cursor=str(node.id), node=node) for node in nodes]
        return ImportConnection(
            edges=edges, nodes=nodes, page_info=page_info(edges, page.has_next, page.has_previous)
        )

    @strawberry.field(name="import", extensions=[Requires(Scope.RECORDS_READ)])
    async def import_(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Import | None:
        """One import."""
        row = await reads.by_id(info.context, ids.decode_at("import", id, "id"))
        return None if row is None else Import.of(row)


def _seconds(context: Context, row: ImportRow) -> float:
    end = row.ended_at if row.status not in WORKING and row.ended_at is not None else context.now
    return max((end - row.started_at).total_seconds(), 0.0)
