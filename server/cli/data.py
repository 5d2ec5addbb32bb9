"""`relata demo`, `relata schema`: lifelike data in, and the schema out."""

from typing import Annotated

import typer

from server.cli.words import err, out, with_database


def demo(
    account: Annotated[str, typer.Option("--account", "-a", help="The new account's name.")] = "demo",
) -> None:
    """Make an account with lifelike data: contacts, companies, deals and tickets, linked and labelled.

    Then: relata keys create --account demo --role super_admin
    """
    from server.welcome import make_demo

    with_database(lambda db: make_demo(db, account, err))
    out.print(f'There is now an account "{account}" with demo data.', markup=False)


def schema() -> None:
    """Print the GraphQL schema in its definition language."""
    from schema.root import SDL

    out.print(SDL, markup=False, end="")
