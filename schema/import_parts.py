"""What is told of imports: the file, what became of its rows, and what was wrong with them."""

import strawberry

from schema.nodes import PageInfo
from storage.imports import ErrorGroupRow, RowErrorRow


@strawberry.type
class ImportedFile:
    """A file as it was read."""

    size: float | None = strawberry.field(description="Its bytes.")
    format: str | None = strawberry.field(description="CSV or XLSX; null until it was looked at.")
    encoding: str | None = strawberry.field(description="Its encoding.")
    delimiter: str | None = strawberry.field(description="What divides its cells.")
    sheet: str | None = strawberry.field(description="The sheet that is read.")
    header: list[str] = strawberry.field(
        description="The names of its columns; empty until it was looked at."
    )
    notes: list[str] = strawberry.field(description="What people should know of how it was read.")


@strawberry.type
class ImportErrorCount:
    """How often something was wrong."""

    code: str = strawberry.field(description="What was wrong.")
    count: int = strawberry.field(description="How often.")


@strawberry.type
class ImportFigures:
    """What became of the records of one part of the plan, or of the associations."""

    part: str = strawberry.field(description='The part\'s name; "associations" of associations.')
    created: int = strawberry.field(description="How many were made.")
    updated: int = strawberry.field(description="How many were changed.")
    unchanged: int = strawberry.field(description="How many were so already.")


@strawberry.type
class ImportFindings:
    """What a check has found: what the run would do, if nobody changed anything meanwhile."""

    rows: int = strawberry.field(description="The rows of the file.")
    create: int = strawberry.field(description="Rows that would make something.")
    update: int = strawberry.field(description="Rows that would change something.")
    unchanged: int = strawberry.field(description="Rows that would change nothing.")
    fail: int = strawberry.field(description="Rows that would fail.")
    figures: list[ImportFigures] = strawberry.field(description="The same by part.")
    error_counts: list[ImportErrorCount] = strawberry.field(
        description="What would be wrong, the most frequent first."
    )
    notes: list[str] = strawberry.field(description="What people should know of how the file was read.")


@strawberry.type
class ImportUndone:
    """What became of taking an import back."""

    archived: int = strawberry.field(description="Records that it had made, and that are archived now.")
    restored: int = strawberry.field(description="Records whose values are what they were before.")
    associations: int = strawberry.field(description="Associations that are gone.")
    labels: int = strawberry.field(description="Associations of which labels are gone.")
    kept: int = strawberry.field(description="What was left, since somebody has changed it meanwhile.")


@strawberry.type
class ImportError:
    """What was wrong with one row."""

    row: int = strawberry.field(description="The row: 1 is the first after the header.")
    column: str | None = strawberry.field(description="The column, if it is about one.")
    value: str | None = strawberry.field(description="What stands there, shortened.")
    code: str = strawberry.field(description="What is wrong, as a stable code.")
    message: str = strawberry.field(description="What is wrong and what to do, in words.")


@strawberry.type
class ImportErrorGroup:
    """The same thing wrong in the same column."""

    code: str = strawberry.field(description="What is wrong, as a stable code.")
    column: str | None = strawberry.field(description="The column, if it is about one.")
    count: int = strawberry.field(description="In how many rows, of the errors that are kept.")
    rows: list[int] = strawberry.field(description="The first of these rows, five at most.")
    value: str | None = strawberry.field(description="What stands there in the first of them, shortened.")
    message: str = strawberry.field(
        description="What is wrong with the first of them and what to do, in words."
    )


@strawberry.type
class ImportErrorEdge:
    """An error on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: ImportError = strawberry.field(description="The error.")


@strawberry.type
class ImportErrorConnection:
    """A page of errors, in the order of the file."""

    edges: list[ImportErrorEdge] = strawberry.field(description="The errors with their cursors.")
    nodes: list[ImportError] = strawberry.field(description="The errors.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


def figures_of(told: dict[str, dict[str, int]]) -> list[ImportFigures]:
    """Figures by part, as an import keeps them."""
    return [
        ImportFigures(
            part=part,
            created=counts.get("created", 0),
            updated=counts.get("updated", 0),
            unchanged=counts.get("unchanged", 0),
        )
        for part, counts in told.items()
        if part != "errors"
    ]


def counts_of(told: dict[str, dict[str, int]]) -> list[ImportErrorCount]:
    """Errors by code, the most frequent first."""
    counts = sorted(told.get("errors", {}).items(), key=lambda one: (-one[1], one[0]))
    return [ImportErrorCount(code=code, count=count) for code, count in counts]


def group_of(row: ErrorGroupRow) -> ImportErrorGroup:
    """A group of errors as clients see it."""
    return ImportErrorGroup(
        code=row.code,
        column=row.column_name,
        count=row.count,
        rows=row.rows,
        value=row.value,
        message=row.message,
    )


def error_of(row: RowErrorRow) -> ImportError:
    """An error as clients see it."""
    return ImportError(
        row=row.row, column=row.column_name, value=row.value, code=row.code, message=row.message
    )
