"""`relata serve`, `relata work`, `relata migrate`: the processes of an installation."""

from dataclasses import replace
from typing import Annotated

import typer

from server.cli.words import err, fail, out, plainly, settings, warn


def serve(
    host: Annotated[
        str | None, typer.Option(help="The address to listen on (RELATA_HOST, 127.0.0.1).")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The port to listen on (RELATA_PORT, 8000).", min=0, max=65535)
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Make a demo account with lifelike data on the first start.")
    ] = False,
) -> None:
    """Serve the API, with a worker beside it.

    Starts its own PostgreSQL in RELATA_DATA_DIR, unless DATABASE_URL names one. Ctrl-C stops everything.
    """
    from server.doubts import doubts
    from server.listening import CannotListen
    from server.logs import set_up
    from server.processes import run
    from server.serve import serve
    from server.welcome import Welcome

    with plainly():
        chosen = settings()
        chosen = replace(chosen, host=host or chosen.host, port=chosen.port if port is None else port)
        set_up(chosen)
        warn(doubts(chosen, listens=True))
        welcome = Welcome(chosen, out, demo=demo)
        try:
            run(serve(chosen, prepare=welcome.prepare, ready=welcome.ready))
        except CannotListen as error:
            fail(str(error))
    err.print("Relata has stopped.")


def work(
    metrics_port: Annotated[
        int | None,
        typer.Option(
            help="The port of /metrics, /healthz and /readyz (RELATA_METRICS_PORT; none).", min=0, max=65535
        ),
    ] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Run a worker: it evaluates changes and moves workflow enrollments. Any number may run at once."""
    from server.doubts import doubts
    from server.listening import CannotListen
    from server.logs import set_up
    from server.processes import run
    from server.work import work

    with plainly():
        chosen = settings()
        port = chosen.metrics_port if metrics_port is None else metrics_port
        chosen = replace(chosen, metrics_port=port)
        set_up(chosen)
        if not with_parent:
            warn(doubts(chosen, listens=False))
        try:
            run(work(chosen, with_parent=with_parent))
        except CannotListen as error:
            fail(str(error))


def migrate() -> None:
    """Bring the database's tables up to this version. Quick when there is nothing to do."""
    from server.database import migrated
    from server.processes import run

    with plainly():
        changed = run(migrated(settings()))
        out.print("The database is migrated." if changed else "The database is up to date.")
