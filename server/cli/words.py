"""What all commands share: how they read settings, open the database, and say what went wrong."""

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from server.settings import BadSetting, Settings, unknown

if TYPE_CHECKING:
    from storage.database import Database

T = TypeVar("T")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class UnknownAccount(Exception):
    """There is no such account; the message names those that there are."""


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Expected failures as one clear message and exit code 1; anything else is a defect and shows its traceback."""
    from engine.problems import Problem, Refused
    from server.database import CannotOpen
    from server.processes import Ended

    try:
        yield
    except Ended:
        raise typer.Exit(130) from None
    except Problem as problem:
        fail(problem.message)
    except (Refused, CannotOpen, BadSetting, UnknownAccount) as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """Say what is wrong, and end with exit code 1."""
    err.print(f"[bold red]Error:[/] {escape(message)}")
    raise typer.Exit(1)


def settings() -> Settings:
    """The settings of this run; misspelt ones are pointed out."""
    for name in unknown():
        err.print(f"[yellow]There is no setting {escape(name)}; docs/settings.md lists them.[/]")
    return Settings.from_environment()


def warn(doubts: Iterable[str]) -> None:
    """Point out what may not be meant."""
    for doubt in doubts:
        err.print(f"[yellow]{escape(doubt)}[/]")


def with_database(work: "Callable[[Database], Awaitable[T]]") -> T:
    """The outcome of `work(db)` on the open, migrated database."""
    from server.database import opened
    from server.processes import run

    async def working() -> T:
        async with opened(settings()) as db:
            return await work(db)

    with plainly():
        return run(working())
    raise AssertionError("plainly() ends the process")


async def account_id(db: "Database", name: str, *, make: bool = False) -> int:
    """The account called `name`, made when `make` says so. Raises UnknownAccount, and what making one raises."""
    from engine import accounts
    from server.clock import now

    found = await accounts.find(db, name)
    if found is not None:
        return found
    if make:
        return await accounts.create(db, name, now=now())
    there_are = ", ".join(await accounts.names(db)) or "none yet"
    raise UnknownAccount(f'There is no account "{name}"; there are: {there_are}.')
