"""Use cases of reports: saved, edited and deleted; listed; and run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine import ids
from engine.problems import InvalidInput, NotFound, Problem, Refused, at
from engine.reports import commands
from engine.reports.commands import Chart
from engine.reports.definition import Bound, bind
from engine.reports.problems import ReportBroken
from engine.reports.run import Result
from engine.reports.run import run as run_bound
from resolvers import loaders
from resolvers.context import Context
from resolvers.segments import Page
from resolvers.workflows import place, size
from resolvers.writing import write
from storage.database import Transaction
from storage.reports import saved
from storage.reports.saved import ReportRow


@dataclass(frozen=True, slots=True)
class Ran:
    """A report with what it says."""

    bound: Bound
    result: Result


async def create(context: Context, name: str, definition: Mapping[str, Any], chart: Chart) -> ReportRow:
    """A new report; see `engine.reports.commands.create`."""
    return await write(context, lambda tx: commands.create(tx, name, definition, chart))


async def update(
    context: Context,
    ident: str,
    version: int,
    name: str | None,
    definition: Mapping[str, Any] | None,
    chart: Chart | None,
) -> ReportRow:
    """Change a report; see `engine.reports.commands.update`."""
    number = ids.decode_at("report", ident, "id")

    async def work(tx: Transaction) -> ReportRow:
        return await commands.update(tx, number, version, name=name, definition=definition, chart=chart)

    return await write(context, work)


async def delete(context: Context, ident: str) -> ReportRow:
    """Delete a report; see `engine.reports.commands.delete`."""
    number = ids.decode_at("report", ident, "id")
    return await write(context, lambda tx: commands.delete(tx, number))


async def by_id(context: Context, number: int) -> ReportRow | None:
    """One report."""
    return await loaders.loader(context, "report", saved.by_ids).load(number)


async def listing(context: Context, first: int | None, after: str | None) -> Page:
    """Reports in the order in which they were made."""
    limit = size(first)
    number = 0 if after is None else place("report", after)
    async with context.db.read(context.account_id) as reader:
        rows = await saved.listing(reader, number, limit + 1)
    return Page(rows[:limit], len(rows) > limit, after is not None)


def problems(context: Context, row: ReportRow) -> list[Problem]:
    """What is wrong with a saved report."""
    return commands.problems(row, context.catalogue)


async def run(
    context: Context, report: str | None, definition: Mapping[str, Any] | None, *, totals: bool
) -> Ran:
    """What a report says, a saved one or one that is given.

    Raises `NotFound`, `ReportBroken`, `ReportTooLarge`, and `Refused` with every problem of the definition.
    """
    bound = await bound_of(context, report, definition)
    async with context.db.read(context.account_id) as reader:
        return Ran(bound, await run_bound(reader, bound, now=context.now, totals=totals))


async def bound_of(context: Context, report: str | None, definition: Mapping[str, Any] | None) -> Bound:
    """A report ready to run; see `run`."""
    if (report is None) == (definition is None):
        raise InvalidInput(reason='Give either "report" or "definition".', path=("report",))
    if definition is not None:
        with at("definition"):
            return bind(definition, context.catalogue)
    row = await by_id(context, ids.decode_at("report", str(report), "report"))
    if row is None:
        raise NotFound(kind="report", name=str(report)[:100], path=("report",))
    try:
        return bind(row.definition, context.catalogue)
    except Refused as refused:
        first = refused.problems[0]
        raise ReportBroken(name=row.name, reason=first.message, path=("report",)) from None
