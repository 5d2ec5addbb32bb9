"""Use cases of workflows and enrollments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import ids
from engine.problems import MalformedId, Problem
from engine.workflows import checking, commands
from engine.workflows.definition import load
from resolvers import listings, loaders
from resolvers.context import Context
from resolvers.listings import InvalidPageSize, MalformedCursor
from resolvers.writing import write
from storage import backfills, enrollment_pages
from storage import workflows as stored
from storage.backfills import BackfillRow
from storage.catalogue import ObjectTypeRow
from storage.database import Queryable, Transaction
from storage.enrollment_pages import ALL, Narrow
from storage.enrollments import EnrollmentRow, StepRow
from storage.workflows import RevisionRow, WorkflowRow

LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page:
    """Enrollments, newest first."""

    rows: tuple[EnrollmentRow, ...]
    has_next: bool
    has_previous: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of a list of enrollments. `before` is the id that the cursor names."""

    status: str | None
    size: int
    before: int
    continued: bool
    narrow: Narrow = ALL


async def create(context: Context, name: str, object_type: str, definition: Mapping[str, Any]) -> WorkflowRow:
    """A new workflow; see `engine.workflows.commands.create`."""
    return await write(context, lambda tx: commands.create(tx, name, object_type, definition), defining=True)


async def update(
    context: Context, ident: str, version: int, name: str | None, definition: Mapping[str, Any]
) -> WorkflowRow:
    """Write a draft; see `engine.workflows.commands.update`."""
    number = ids.decode_at("workflow", ident, "id")

    async def work(tx: Transaction) -> WorkflowRow:
        return await commands.update(tx, number, version, name=name, definition=definition)

    return await write(context, work, defining=True)


async def publish(context: Context, ident: str, version: int | None) -> WorkflowRow:
    """Publish a draft; see `engine.workflows.commands.publish`."""
    number = ids.decode_at("workflow", ident, "id")
    return await write(context, lambda tx: commands.publish(tx, number, version), defining=True)


async def set_enabled(
    context: Context, ident: str, enabled: bool, enroll_existing: bool | None
) -> WorkflowRow:
    """Turn a workflow on or off; see `engine.workflows.commands.set_enabled`."""
    number = ids.decode_at("workflow", ident, "id")

    async def work(tx: Transaction) -> WorkflowRow:
        return await commands.set_enabled(tx, number, enabled, enroll_existing=enroll_existing)

    return await write(context, work, defining=True)


async def delete(context: Context, ident: str) -> WorkflowRow:
    """Delete a workflow; see `engine.workflows.commands.delete`."""
    number = ids.decode_at("workflow", ident, "id")
    return await write(context, lambda tx: commands.delete(tx, number), defining=True)


async def by_id(context: Context, number: int) -> WorkflowRow | None:
    """One workflow."""
    return await loaders.loader(context, "workflow", stored.by_ids).load(number)


async def listing(context: Context, first: int | None, after: str | None) -> tuple[list[WorkflowRow], bool]:
    """A page of workflows in the order in which they were made, and whether more follow."""
    limit = size(first)
    number = 0 if after is None else place("workflow", after)
    async with context.db.read(context.account_id) as reader:
        rows = await stored.listing(reader, number, limit + 1)
    return rows[:limit], len(rows) > limit


async def revision(context: Context, workflow: WorkflowRow) -> RevisionRow | None:
    """What is published of a workflow."""

    async def read(reader: Queryable, numbers: Sequence[int]) -> list[RevisionRow | None]:
        rows = await stored.by_ids(reader, numbers)
        keys = [(row.id, row.published_revision or 0) for row in rows if row is not None]
        found = dict(zip((key[0] for key in keys), await stored.revisions(reader, keys), strict=True))
        return [found.get(number) for number in numbers]

    return await loaders.loader(context, "workflow revision", read).load(workflow.id)


async def backfill(context: Context, workflow: WorkflowRow) -> BackfillRow | None:
    """The enrolling of existing records, while it goes on."""
    return await loaders.loader(context, "workflow backfill", backfills.of).load(workflow.id)


async def problems(context: Context, workflow: WorkflowRow) -> list[Problem]:
    """What is broken in the published definition, or, before the first publication, in the draft."""
    row = await revision(context, workflow)
    definition = load(workflow.draft if row is None else row.definition)
    return list(checking.problems(definition, of(context, workflow), context.catalogue))


def of(context: Context, workflow: WorkflowRow) -> ObjectTypeRow:
    """The object type of a workflow."""
    return context.catalogue.object_types[workflow.object_type_id]


def size(first: int | None) -> int:
    """How many a page has; raises `InvalidPageSize`."""
    given = listings.PAGE_SIZE if first is None else first
    if not 0 <= given <= listings.LARGEST_PAGE:
        raise InvalidPageSize(path=("first",), argument="first", limit=listings.LARGEST_PAGE, given=given)
    return given


def asked(status: str | None, first: int | None, after: str | None, narrow: Narrow = ALL) -> Asked:
    """The arguments of a list of enrollments, checked."""
    before = LARGEST if after is None else place("enrollment", after)
    return Asked(status, size(first), before, after is not None, narrow)


async def page(context: Context, workflow: int | None, record: int | None, wanted: Asked) -> Page:
    """A page of enrollments: of a workflow, of a record, of both, or of the account."""
    limit = wanted.size + 1
    if workflow is None and record is None:
        async with context.db.read(context.account_id) as reader:
            rows = await enrollment_pages.page(
                reader, status=wanted.status, before=wanted.before, limit=limit, narrow=wanted.narrow
            )
        return _page(rows, wanted)

    async def read(reader: Queryable, numbers: Sequence[int]) -> list[list[EnrollmentRow]]:
        narrow = {
            "status": wanted.status,
            "before": wanted.before,
            "limit": limit,
            "narrow": wanted.narrow,
        }
        if workflow is None:
            return await enrollment_pages.pages_of_records(reader, numbers, workflow_id=None, **narrow)  # type: ignore[arg-type]
        return await enrollment_pages.pages_of_workflows(reader, numbers, record_id=record, **narrow)  # type: ignore[arg-type]

    key = ("enrollments", workflow is None, record if workflow is not None else None, wanted)
    owner = record if workflow is None else workflow
    assert owner is not None  # one of the two is given
    return _page(await loaders.loader(context, key, read).load(owner), wanted)


async def enrollment(context: Context, number: int) -> EnrollmentRow | None:
    """One enrollment."""
    return await loaders.loader(context, "enrollment", enrollment_pages.by_ids).load(number)


async def steps(context: Context, row: EnrollmentRow) -> list[StepRow]:
    """What an enrollment has gone through."""
    return await loaders.loader(context, "enrollment steps", enrollment_pages.steps).load(row.id)


def _page(rows: Sequence[EnrollmentRow], wanted: Asked) -> Page:
    return Page(tuple(rows[: wanted.size]), len(rows) > wanted.size, wanted.continued)


def place(kind: str, cursor: str) -> int:
    """The number that a cursor names; raises `MalformedCursor`."""
    try:
        return ids.decode(kind, cursor)
    except MalformedId:
        raise MalformedCursor(path=("after",), argument="after") from None
