"""The first start and every later one: demo data when wanted and missing; then where to go, and with which key."""

import contextlib
import os
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from engine import accounts, keys
from engine.access import Role
from server.clock import now
from server.settings import Settings
from storage.database import Actor, Database

DEMO = "demo"
QUERY = '{ records(objectType: \\"contacts\\", first: 3) { edges { node { displayName } } } }'


class Welcome:
    """What `relata serve` does before it serves, and what it says then."""

    def __init__(self, settings: Settings, console: Console, *, demo: bool) -> None:
        self.settings = settings
        self.console = console
        self.demo = demo
        self.key: str | None = None

    @property
    def key_file(self) -> Path:
        """Where the demo account's key is kept, so that a later start can show it again."""
        return self.settings.data_dir / "demo-key"

    async def prepare(self, db: Database) -> None:
        """With `demo`: the demo account, made on the first start, and a key for it."""
        if not self.demo:
            return
        account_id = await accounts.find(db, DEMO)
        if account_id is None:
            account_id = await make_demo(db, DEMO, self.console)
        self.key = await self._kept_key(db, account_id) or await self._new_key(db, account_id)

    def ready(self, url: str) -> None:
        """Say where the API is. The first line is what scripts wait for."""
        say = self.console.print
        say(f"Relata is ready: {url}", markup=False)
        if self.key is not None:
            say(f"\nA key of the account {DEMO}: {self.key}", markup=False)
            say("\nTry it:", markup=False)
            say(
                f"curl -s {url} -H 'Authorization: Bearer {self.key}' "
                f"-H 'Content-Type: application/json' -d '{{\"query\": \"{QUERY}\"}}'",
                markup=False,
            )
            watch = url.removesuffix("/graphql") + "/dashboard"
            say(
                f"\nOr open the address in a browser, or watch at {watch}. Ctrl-C stops everything.",
                markup=False,
            )
        self.console.file.flush()

    async def _kept_key(self, db: Database, account_id: int) -> str | None:
        """The key of an earlier start, when it still opens this account."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            secret = self.key_file.read_text(encoding="ascii").strip()
            principal = await keys.authenticate(db, secret)
            if principal is not None and principal.account_id == account_id:
                return secret
        return None

    async def _new_key(self, db: Database, account_id: int) -> str:
        async with db.transaction(account_id, now=now(), actor=Actor("SYSTEM")) as tx:
            _, secret = await keys.create(tx, name="first start", role=Role.SUPER_ADMIN)
        self.key_file.parent.mkdir(parents=True, exist_ok=True)
        # For its owner's eyes alone, from the first moment on.
        descriptor = os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret + "\n")
        return secret


async def make_demo(db: Database, name: str, console: Console) -> int:
    """A new account with demo data, and a progress bar while it is made; its id. Raises `AccountExists`."""
    from engine import demo  # its names and words are needed once in an installation's life

    if not console.is_terminal:
        console.print("Making demo data ...")  # there is no bar to be seen
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Making demo data", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return await demo.build(db, name, now=now(), progress=show)
