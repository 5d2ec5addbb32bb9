"""`relata export`: records out, as a file."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer
from rich.markup import escape

from server.cli.words import account_id, fail, out, with_database

if TYPE_CHECKING:
    from storage.database import Database

# Instead of a file: what is written goes on to the next program.
STDOUT = "-"


def export_file(
    file: Annotated[
        str,
        typer.Argument(
            help="The file to write: .csv, .xlsx or .jsonl; - for the output.", show_default=False
        ),
    ],
    account: Annotated[str, typer.Option("--account", "-a", help="The account's name.")],
    object_type: Annotated[
        str | None, typer.Option("--type", "-t", help="Export records of this object type, such as contacts.")
    ] = None,
    segment: Annotated[
        str | None, typer.Option("--segment", "-s", help="Only members of this segment: its id.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            "-c",
            help='A property, id, "companies (Billing)" or "companies.id (Billing)"; may be given several times.',
        ),
    ] = None,
    where: Annotated[str | None, typer.Option("--where", help="A filter, as JSON.")] = None,
    order_by: Annotated[
        list[str] | None,
        typer.Option("--order-by", help="PROPERTY or PROPERTY:DESC; may be given several times."),
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="Head columns by what people call the properties.")
    ] = False,
    format_: Annotated[
        str | None,
        typer.Option("--format", "-f", help="csv, xlsx or jsonl, where the file's name does not say."),
    ] = None,
) -> None:
    """Export records, with chosen properties and associated records by label. An import reads the file back.

    relata export people.csv -a demo --type contacts -c email -c lastname -c "companies (Billing contact)"
    """
    suffix = Path(file).suffix.lstrip(".").lower()
    given: list[tuple[str, str]] = [
        ("format", format_ or suffix or "csv"),
        ("headers", "labels" if labels else "names"),
        *(("column", each) for each in column or []),
        *(("orderBy", each) for each in order_by or []),
    ]
    given += [
        (name, text)
        for name, text in (("objectType", object_type), ("segment", segment), ("where", where))
        if text is not None
    ]

    async def exporting(db: "Database") -> int:
        from engine.exports import run
        from resolvers import exports
        from server.clock import now

        number = await account_id(db, account)
        wanted = exports.from_parameters(given)
        export = exports.bound(await db.catalogue(number), wanted)
        content = run.file(db, number, export, exports.format_of(wanted), now=now())
        async with contextlib.aclosing(content):
            # What cannot be read leaves no file behind.
            first = await anext(content, b"")
            size = len(first)
            with _opened(file) as target:
                target.write(first)
                async for piece in content:
                    target.write(piece)
                    size += len(piece)
        return size

    size = with_database(exporting)
    if file != STDOUT:
        out.print(f"{escape(file)}: {size:,} bytes.")


@contextlib.contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    """The file, under its name once it is whole; half a one is removed."""
    if file == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(file)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as target:
            yield target
        part.replace(path)
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror or error}.")
    finally:
        part.unlink(missing_ok=True)
