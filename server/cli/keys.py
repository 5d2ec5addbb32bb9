"""`relata keys`: the bearer keys of an account."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from server.cli.words import account_id, err, fail, out, with_database

if TYPE_CHECKING:
    from storage.database import Database

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)

Account = Annotated[str, typer.Option("--account", "-a", help="The account's name.")]


@app.command("create")
def create(
    account: Account,
    role: Annotated[
        str, typer.Option(help="What the key may do: viewer, editor, automation_manager or super_admin.")
    ] = "viewer",
    scope: Annotated[
        list[str] | None, typer.Option(help="Only this scope of the role's; may be given several times.")
    ] = None,
    name: Annotated[str, typer.Option(help="A name to know the key by.")] = "command line",
    make: Annotated[bool, typer.Option("--create", help="Make the account when there is none.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the key and nothing else.")] = False,
) -> None:
    """Make a key. It is shown once: only its hash is kept."""
    from engine.access import Role, Scope

    if role not in set(Role):
        fail(f'There is no role "{role}"; there are: {", ".join(Role)}.')
    for each in scope or []:
        if each not in set(Scope):
            fail(f'There is no scope "{each}"; there are: {", ".join(Scope)}.')
    scopes = [Scope(each) for each in scope] if scope else None

    async def creating(db: "Database") -> str:
        from engine import keys
        from server.clock import now
        from storage.database import Actor

        number = await account_id(db, account, make=make)
        async with db.transaction(number, now=now(), actor=Actor("SYSTEM")) as tx:
            _, secret = await keys.create(tx, name=name, role=Role(role), scopes=scopes)
            return secret

    secret = with_database(creating)
    if not quiet:
        err.print("[dim]Keep this key; it cannot be shown again. Send it as[/] Authorization: Bearer KEY")
    out.print(secret, markup=False)


@app.command("list")
def listing(account: Account) -> None:
    """List an account's keys. Secrets are not known, only how they begin."""

    async def reading(db: "Database") -> Table:
        from engine import ids, keys

        table = Table("id", "name", "role", "begins with", "made", "revoked", box=None)
        async with db.read(await account_id(db, account)) as reader:
            for row in await keys.listing(reader):
                revoked = f"{row.revoked_at:%Y-%m-%d %H:%M}" if row.revoked_at else ""
                made = f"{row.created_at:%Y-%m-%d %H:%M}"
                table.add_row(ids.encode("key", row.id), row.name, row.role, row.prefix, made, revoked)
        return table

    out.print(with_database(reading))


@app.command("revoke")
def revoke(
    account: Account, key: Annotated[str, typer.Argument(help="The key's id, as `list` shows it.")]
) -> None:
    """End a key at once."""

    async def revoking(db: "Database") -> None:
        from engine import ids, keys
        from server.clock import now
        from storage.database import Actor

        number = await account_id(db, account)
        async with db.transaction(number, now=now(), actor=Actor("SYSTEM")) as tx:
            await keys.revoke(tx, ids.decode("key", key))

    with_database(revoking)
    out.print("The key is revoked.")
