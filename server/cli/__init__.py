"""The command line: `relata COMMAND`. Each command is words over a function of the product.

Commands import what they need when they run, so that `relata --help` answers at once.
"""

import typer

from server.cli import accounts, data, exporting, importing, keys, processes, troubles

app = typer.Typer(
    name="relata",
    help="Relata: a self-hosted CRM graph over GraphQL.\n\n"
    "Start with [bold]relata serve --demo[/], then open the address that it prints. "
    "Settings come from the environment; docs/settings.md lists them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(processes.serve)
app.command()(processes.work)
app.command()(processes.migrate)
app.command()(data.demo)
app.command("import")(importing.import_file)
app.command("export")(exporting.export_file)
app.command()(data.schema)
app.command()(troubles.troubles)
app.add_typer(keys.app, name="keys")
app.add_typer(accounts.app, name="accounts")
