"""Exports: the address at which records can be fetched as a file."""

from enum import Enum
from typing import Annotated

import strawberry

from engine.access import Scope
from resolvers import exports
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.filters import asked
from schema.records import OrderBy, Where


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
            strawberry.argument(
                description='Properties; "id", "displayName" and the like; associated records by name, as "companies" '
                'or "companies (Billing)", by id or unique property, as "companies.id (Billing)". '
                "Null: every property that an import can write."
            ),
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
