"""`relata import`: records and labelled associations in, from a file."""

import contextlib
import functools
import gc
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from server.cli.words import account_id, err, fail, out, with_database
from server.settings import Settings

if TYPE_CHECKING:
    from engine import imports
    from engine.imports import Report
    from storage.database import Database

# An import of one kind, told everything but where, when and who helps.
Job: TypeAlias = "Callable[..., Awaitable[Report]]"

# Kinds of errors shown; the import keeps them all.
SHOWN = 20


def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            help="A CSV file with a header, perhaps gzipped, or an XLSX file.", show_default=False
        ),
    ],
    account: Annotated[str, typer.Option("--account", "-a", help="The account's name.")],
    object_type: Annotated[
        str | None, typer.Option("--type", "-t", help="Import records of this object type, such as contacts.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", "-k", help="The column of the unique property that tells records apart."),
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make the object type and the properties that are missing.")
    ] = False,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", "-c", help="COLUMN=property, where a column is called otherwise."),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", help="Import associations from these records: TYPE.PROPERTY, such as contacts.email."
        ),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="… to these records: TYPE.PROPERTY.")] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", help="The column of labels, separated by ; (default: labels).")
    ] = None,
    from_column: Annotated[
        str | None, typer.Option("--from-column", help="The column of --from's keys (default: the first).")
    ] = None,
    to_column: Annotated[
        str | None, typer.Option("--to-column", help="The column of --to's keys (default: the second).")
    ] = None,
    create_label: Annotated[
        list[str] | None,
        typer.Option(
            "--create-label",
            help="TEXT or TEXT=INVERSE of a label to make when it is missing; may be given several times.",
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan", help="A plan in JSON or YAML: which columns fill what, for one or several object types."
        ),
    ] = None,
    propose: Annotated[
        bool, typer.Option("--propose", help="Print a plan proposed for the file, and import nothing.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only tell what the import would do.")] = False,
) -> None:
    """Import records or labelled associations from a file. Wrong rows are told, all others are in.

    Records:  relata import people.csv -a demo --type contacts --key email

    Associations:  relata import jobs.csv -a demo --from contacts.email --to companies.id

    Several object types:  relata import all.xlsx -a demo --propose > plan.json; correct it; then --plan plan.json

    The first column holds the keys of --from, the second those of --to, unless options name others.
    Ends with exit code 1 when any row failed.
    """
    kinds = (object_type is not None, from_ is not None or to is not None, plan is not None, propose)
    if sum(kinds) != 1:
        fail(
            "Say what the file holds: --type and --key for records, --from and --to for associations, "
            "or --plan; --propose proposes a plan."
        )
    if propose:
        with_database(lambda db: _propose(db, account, file))
        return

    from engine import imports

    job: Job
    if plan is not None:
        job = functools.partial(imports.run, plan=_document(plan))
    elif object_type is not None:
        job = functools.partial(
            imports.records,
            object_type=object_type,
            key=key or fail("Which column tells records apart? Name it with --key."),
            create=create,
            columns=_pairs(column or []),
        )
    else:
        from_type, from_key = _end("--from", from_)
        to_type, to_key = _end("--to", to)
        job = functools.partial(
            imports.associations,
            from_type=from_type,
            from_key=from_key,
            to_type=to_type,
            to_key=to_key,
            labels_column=labels,
            from_column=from_column,
            to_column=to_column,
            create_labels=[_texts(each) for each in create_label or []],
        )
    _tell(with_database(lambda db: _import(db, account, file, job, checking=check)))


async def _import(db: "Database", account: str, file: Path, job: Job, *, checking: bool) -> "Report":
    """Do the job, with its progress on the terminal and the hands that the settings allow."""
    from server.clock import now
    from server.crew import Processes

    # Thousands of rows are held at a time, and nothing that they are made of refers back: with the usual thresholds a
    # third of the time goes into looking for that.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)

    number = await account_id(db, account)
    async with contextlib.aclosing(Processes(db, now, Settings.from_environment().hands)) as crew:
        with _shown(file.name) as show:
            return await job(db, number, file, clock=now, checking=checking, progress=show, crew=crew)


@contextlib.contextmanager
def _shown(name: str) -> Iterator[Callable[["imports.Progress"], None]]:
    """A bar on the terminal while it is open; it is told how far the import has come."""
    from engine.naming import counted

    columns = (
        TextColumn(escape(name)),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]}, {task.fields[rate]:,.0f}/s, {task.fields[failed]:,} failed"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("import", total=1.0, rows="", rate=0.0, failed=0)
        began = time.monotonic()

        def show(so_far: "imports.Progress") -> None:
            bar.update(
                task,
                completed=so_far.share,
                rows=counted(so_far.rows, "row", "rows"),
                rate=so_far.rows / max(time.monotonic() - began, 0.001),
                failed=so_far.failed,
            )

        yield show


async def _propose(db: "Database", account: str, file: Path) -> None:
    from engine import imports

    number = await account_id(db, account)
    proposal = await imports.propose_of(db, number, file)
    out.print_json(json.dumps(proposal.plan))
    for column in proposal.unmapped:
        err.print(f'Nothing was found for the column "{column}".', markup=False)
    for note in proposal.notes:
        err.print(note, markup=False)


def _document(path: Path) -> dict[str, Any]:
    import yaml

    try:
        # JSON is YAML, too.
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        fail(f"The plan {path} cannot be read: {error}")
    if not isinstance(document, dict):
        fail(f"The plan {path} is no object.")
    return document


def _pairs(columns: list[str]) -> dict[str, str]:
    pairs = [each.rpartition("=") for each in columns]
    for name, sign, _ in pairs:
        if not sign or not name:
            fail('A column is mapped as --column "Column=property".')
    return {name: name_of_property for name, _, name_of_property in pairs}


def _texts(label: str) -> tuple[str, str | None]:
    text, sign, inverse = label.partition("=")
    return text, inverse if sign else None


def _end(option: str, given: str | None) -> tuple[str, str]:
    object_type, dot, name = (given or "").partition(".")
    if not dot or not object_type or not name:
        fail(f"{option} takes TYPE.PROPERTY, such as contacts.email.")
    return object_type, name


def _tell(report: "Report") -> None:
    """The figures of an import, and the first wrong rows; exit code 1 when there are any."""
    from engine.imports.tally import ERRORS_KEPT
    from engine.naming import counted

    if report.groups:
        table = Table("rows", "column", "value", "what is wrong", box=None)
        for group in report.groups[:SHOWN]:
            rows = ", ".join(f"{row:,}" for row in group.rows)
            if group.count > len(group.rows):
                rows += f" and {group.count - len(group.rows):,} more"
            # Of rows that have the same wrong in the same column, the first tells it for all.
            shown = (rows, group.column_name or "", (group.value or "")[:40], group.message)
            table.add_row(*(escape(text) for text in shown))
        err.print(table)
    for note in report.file.get("notes", []):
        err.print(note, markup=False)
    if len(report.groups) > SHOWN:
        more = counted(len(report.groups) - SHOWN, "more kind of error", "more kinds of errors")
        err.print(f"… and {more}; the import keeps them.", markup=False)
    if report.errors_found > ERRORS_KEPT:
        err.print(f"These are of the first {ERRORS_KEPT:,} errors of {report.errors_found:,}.", markup=False)

    words = ("to create", "to update") if report.status == "CHECKED" else ("created", "updated")
    out.print(
        f"{counted(report.read, 'row', 'rows')}: {report.created:,} {words[0]}, {report.updated:,} {words[1]}, "
        f"{report.unchanged:,} unchanged, {report.failed:,} failed.",
        markup=False,
    )
    if report.status not in ("DONE", "CHECKED"):
        err.print(f"The import is {report.status}: somebody stopped it.", markup=False)
        raise typer.Exit(1)
    if report.failed:
        raise typer.Exit(1)
