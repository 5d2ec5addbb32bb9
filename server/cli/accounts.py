"""`relata accounts`: the accounts of an installation."""

from typing import Annotated

import typer

from server.cli.words import out, with_database

app = typer.Typer(help="Make and list accounts (tenants).", no_args_is_help=True)


@app.command("create")
def create(name: Annotated[str, typer.Argument(help="The new account's name.")]) -> None:
    """Make an account, with all standard object types."""
    from engine import accounts
    from server.clock import now

    with_database(lambda db: accounts.create(db, name, now=now()))
    out.print(f'There is now an account "{name}".', markup=False)


@app.command("list")
def listing() -> None:
    """List the accounts' names, one a line."""
    from engine import accounts

    for name in with_database(accounts.names):
        out.print(name, markup=False)
