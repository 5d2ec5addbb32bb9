"""`relata troubles`: what could not be evaluated for an unexpected reason."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from server.cli.words import account_id, out, with_database

if TYPE_CHECKING:
    from storage.database import Database
    from storage.troubles import TroubleRow

# Listed at once; more are told as such.
SHOWN = 100


def troubles(
    account: Annotated[str, typer.Option("--account", "-a", help="The account's name.")],
    retry: Annotated[bool, typer.Option("--retry", help="Let all of them be tried again at once.")] = False,
) -> None:
    """List evaluations that failed for an unexpected reason. They are tried again by themselves, ever more rarely.

    Once their cause has gone: relata troubles --account demo --retry
    """

    async def working(db: "Database") -> "tuple[list[TroubleRow], int]":
        from server.clock import now
        from storage import troubles as stored
        from storage.database import Actor

        number = await account_id(db, account)
        async with db.read(number) as reader:
            rows = await stored.listing(reader, 0, SHOWN + 1)
        if not retry:
            return rows, 0
        async with db.transaction(number, now=now(), actor=Actor("SYSTEM")) as tx:
            return rows, await stored.retry(tx)

    rows, retried = with_database(working)
    if not rows:
        out.print("Nothing has failed.")
        return
    table = Table("id", "what", "record", "tried", "since", "error", box=None)
    for row in rows[:SHOWN]:
        table.add_row(*_line(row))
    out.print(table)
    if len(rows) > SHOWN:
        out.print(f"… and more than these {SHOWN}.")
    if retry:
        out.print(f"{retried} will be tried again at once.")


def _line(row: "TroubleRow") -> list[str]:
    from engine import ids

    record = ids.encode("record", row.work["record_id"])
    since = f"{row.first_at:%Y-%m-%d %H:%M}"
    return [
        ids.encode("trouble", row.id),
        row.kind,
        record,
        str(row.attempts),
        since,
        escape(row.error[:200]),
    ]
