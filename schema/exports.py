"""Exports: the addresses at which records, and what reports say, can be fetched as files."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry

from engine.access import Scope
from engine.sync.categories import Category
from engine.sync.rules import Side
from resolvers import export_links, exports
from resolvers.export_links import Instead, Link
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.errors import UserError, told
from schema.filters import FilterInput, OrderBy, OrderInput, Where, asked, filter_definition, plain
from schema.sync_words import SyncState


class ExportFormat(Enum):
    """What records are written as."""

    CSV = "CSV"
    XLSX = "XLSX"
    JSONL = "JSONL"


enum(
    ExportFormat,
    "ExportFormat",
    "What records are written as.",
    {
        "CSV": "Comma-separated values, in UTF-8 with a byte order mark.",
        "XLSX": "A workbook, in sheets of a million rows.",
        "JSONL": "JSON lines: an object a record.",
    },
)


class ExportHeaders(Enum):
    """What columns of properties are headed by."""

    NAMES = "NAMES"
    LABELS = "LABELS"


enum(
    ExportHeaders,
    "ExportHeaders",
    "What columns of properties are headed by.",
    {"NAMES": "Their internal names.", "LABELS": "What people call them."},
)


COLUMNS = (
    'Properties; "id", "displayName" and the like; associated records by name, as "companies" '
    'or "companies (Billing)", by id or unique property, as "companies.id (Billing)". '
    "Null: every property that an import can write."
)


@strawberry.input
class SyncRecordsExportInput:
    """Which records of syncs a file holds, as `syncRecords` has them."""

    sync: strawberry.ID | None = strawberry.field(
        default=None, description="Only of this sync; null: of all."
    )
    object_type: str | None = strawberry.field(
        default=None, description="Only of syncs of this object type; null: of any."
    )
    state: SyncState | None = strawberry.field(
        default=None, description="Only those that stand so; null: all."
    )
    category: Category | None = strawberry.field(
        default=None, description="Only those with this cause; null: any."
    )
    side: Side | None = strawberry.field(
        default=None, description="Only those that were to be written here; null: any."
    )
    record: strawberry.ID | None = strawberry.field(default=None, description="Only this record; null: any.")
    since: datetime | None = strawberry.field(
        default=None, description="Only those whose standing changed then or later."
    )
    until: datetime | None = strawberry.field(
        default=None, description="Only those whose standing changed before."
    )

    @property
    def parameters(self) -> dict[str, str]:
        """What of it is said, as an address has it."""
        said = {
            "sync": self.sync,
            "objectType": self.object_type,
            "state": None if self.state is None else self.state.value,
            "category": None if self.category is None else self.category.value,
            "side": None if self.side is None else self.side.value,
            "record": self.record,
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
        }
        return {name: value for name, value in said.items() if value is not None}


@strawberry.input
class CreateExportInput:
    """Records, what a report says, errors of an import or records of syncs, as a file."""

    object_type: str | None = strawberry.field(
        default=None, description='The object type, such as "contacts"; null: that of the segment.'
    )
    segment: strawberry.ID | None = strawberry.field(
        default=None, description="Only members of this segment."
    )
    where: FilterInput | None = strawberry.field(default=None, description="What the records must be like.")
    order_by: list[OrderInput] | None = strawberry.field(
        default=None,
        description="The order, the most important part first; without it, the order of ids.",
    )
    columns: list[str] | None = strawberry.field(default=None, description=COLUMNS)
    headers: ExportHeaders = strawberry.field(
        default=ExportHeaders.NAMES, description="What columns of properties are headed by."
    )
    report: strawberry.ID | None = strawberry.field(
        default=None, description="A saved report instead of records; of the rest, only the format counts."
    )
    import_errors: strawberry.ID | None = strawberry.field(
        default=None, description="Instead of records, all errors of this import that are kept, as CSV."
    )
    sync_records: SyncRecordsExportInput | None = strawberry.field(
        default=None,
        description="Instead of records, how they stand in syncs, as CSV or XLSX; needs automation:read, too.",
    )
    format: ExportFormat = strawberry.field(default=ExportFormat.CSV, description="What is written.")
    minutes: int = strawberry.field(
        default=60, description="How long the address is good; a week (10,080) at most."
    )


@strawberry.type
class CreateExportPayload:
    """An address that needs no key: whoever has it can open it, as a browser does with a link."""

    url: str | None = strawberry.field(
        description="Where the file can be fetched, with what it holds then; null where nothing is to be had."
    )
    filename: str | None = strawberry.field(description="How the file will be called.")
    format: ExportFormat | None = strawberry.field(description="What it will be written as.")
    expires_at: datetime | None = strawberry.field(
        description="Until when it can be opened; it ends before, with the key that asked for it."
    )
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with the request; empty when all went well."
    )

    @classmethod
    def of(cls, link: Link | None, errors: list[UserError]) -> "CreateExportPayload":
        """The answer with this address, or with what was wrong."""
        if link is None:
            return cls(url=None, filename=None, format=None, expires_at=None, user_errors=errors)
        format_ = ExportFormat(link.format.value.upper())
        return cls(
            url=link.url,
            filename=link.filename,
            format=format_,
            expires_at=link.expires_at,
            user_errors=errors,
        )


@strawberry.type
class ExportMutation:
    """Files for those who have no key, such as a browser."""

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_READ)])
    async def create_export(self, info: Info, input: CreateExportInput) -> CreateExportPayload:
        """Make an address that opens these records, or what stands for them, as a file: without a key, for a while.

        Nothing is kept: the file is read when it is fetched, with what the key may do that asked for it.
        """
        wanted = {
            "objectType": input.object_type,
            "segment": input.segment,
            "where": filter_definition(input.where),
            "orderBy": [plain(order) for order in input.order_by or ()],
            "columns": input.columns,
            "headers": input.headers.value.lower(),
            "format": input.format.value.lower(),
        }
        instead = Instead(
            input.report,
            input.import_errors,
            None if input.sync_records is None else input.sync_records.parameters,
        )
        made = export_links.create(info.context, wanted, input.minutes, instead)
        return CreateExportPayload.of(*await told(made))


@strawberry.type
class ExportQuery:
    """Records as files."""

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    def export_url(
        self,
        info: Info,
        object_type: Annotated[
            str | None,
            strawberry.argument(
                description='The object type, such as "contacts"; null: that of the segment.'
            ),
        ] = None,
        segment: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only members of this segment.")
        ] = None,
        where: Where = None,
        order_by: OrderBy = None,
        columns: Annotated[
            list[str] | None,
            strawberry.argument(description=COLUMNS),
        ] = None,
        headers: Annotated[
            ExportHeaders, strawberry.argument(description="What columns of properties are headed by.")
        ] = ExportHeaders.NAMES,
        format: Annotated[
            ExportFormat, strawberry.argument(description="What records are written as.")
        ] = ExportFormat.CSV,
    ) -> str:
        """Where these records can be fetched as a file, with a key as everywhere; read when it is fetched."""
        page = asked(where, order_by, None, None, None, None)
        wanted = {
            "objectType": object_type,
            "segment": segment,
            "where": page.where,
            "orderBy": page.order_by,
            "columns": columns,
            "headers": headers.value.lower(),
            "format": format.value.lower(),
        }
        return exports.address(info.context, wanted)
