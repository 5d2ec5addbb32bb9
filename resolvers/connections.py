"""Use cases of apps and connections: the app is asked outside any transaction; what it says decides what is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine import ids
from engine.problems import NotFound, Problem, Refused
from engine.sync import apps as known_apps
from engine.sync import connections, hints, remote
from engine.sync.connectors.protocol import App, RemoteObject
from engine.sync.problems import ConnectionRefused, UnknownApp
from resolvers import loaders
from resolvers.context import Context
from resolvers.writing import write
from storage.database import Transaction
from storage.sync import connections as stored
from storage.sync.connections import ConnectionRow, Described


@dataclass(frozen=True, slots=True)
class Checked:
    """A connection, what its app said (`told`) or why it did not (`problem`), and a new hint address's secret."""

    row: ConnectionRow
    told: str | None = None
    hint: str | None = None
    problem: Problem | None = None


def apps() -> list[App]:
    """All apps that work, by name."""
    return known_apps.all_apps()


def app(name: str) -> App | None:
    """The app with this name; None where its connector is not installed."""
    try:
        return known_apps.get(name)
    except UnknownApp:
        return None


def objects(row: ConnectionRow) -> list[RemoteObject]:
    """What kinds of items the app holds, as it last told."""
    return remote.from_json(row.objects)


async def by_id(context: Context, number: int) -> ConnectionRow | None:
    """One connection."""
    return await loaders.loader(context, "connection", stored.by_ids).load(number)


async def listing(context: Context) -> list[ConnectionRow]:
    """All connections, oldest first."""
    async with context.db.read(context.account_id) as reader:
        return await stored.listing(reader)


async def create(
    context: Context, app_name: str, name: str | None, given: Sequence[tuple[str, str | None]]
) -> Checked:
    """Sign in to an app that accepts it; see `engine.sync.connections`."""
    try:
        made_of = connections.entered(app_name, {key: value for key, value in given if value is not None})
    except UnknownApp as problem:
        raise problem.at("app") from None
    except Refused as refused:
        raise _placed(refused, given) from None
    described = await connections.look(made_of, context.surroundings)
    called = made_of.app.title if name is None else name

    async def work(tx: Transaction) -> ConnectionRow:
        return await connections.create(tx, context.vault, called, made_of, described)

    return Checked(await write(context, work), described.remote_account)


async def update(
    context: Context,
    ident: str,
    name: str | None,
    given: Sequence[tuple[str, str | None]],
    hint: bool | None,
) -> Checked:
    """Change a connection, if its app accepts what it then is; `hint`: a new address (True), or none (False)."""
    number = ids.decode_at("connection", ident, "id")
    described: Described | None = None
    if name is not None or given:
        try:
            async with context.db.read(context.account_id) as reader:
                before, made_of = await connections.changing(reader, context.vault, number, dict(given))
        except Refused as refused:
            raise _placed(refused, given) from None
        described = await connections.look(made_of, context.surroundings)

    async def work(tx: Transaction) -> tuple[ConnectionRow, str | None]:
        if described is not None:
            await connections.update(tx, context.vault, before, made_of, described, name)
        secret = await hints.renew(tx, number) if hint else None
        if hint is False:
            await hints.close(tx, number)
        return await connections.get(tx, number), secret

    row, secret = await write(context, work)
    return Checked(row, None if described is None else described.remote_account, secret)


async def check(context: Context, ident: str) -> Checked:
    """Ask the app whether a connection works, and keep what it says."""
    number = ids.decode_at("connection", ident, "id")
    async with context.db.read(context.account_id) as reader:
        _, made_of = await connections.read(reader, context.vault, number)
    outcome: Described | ConnectionRefused
    try:
        outcome = await connections.look(made_of, context.surroundings)
    except ConnectionRefused as problem:
        outcome = problem

    async def work(tx: Transaction) -> ConnectionRow:
        return await connections.checked(tx, context.vault, number, outcome)

    row = await write(context, work)
    if isinstance(outcome, ConnectionRefused):
        return Checked(row, problem=outcome)
    return Checked(row, outcome.remote_account)


async def delete(context: Context, ident: str) -> int:
    """Forget a connection; see `engine.sync.connections.delete`."""
    number = ids.decode_at("connection", ident, "id")
    return (await write(context, lambda tx: connections.delete(tx, number))).id


async def existing(context: Context, ident: str) -> ConnectionRow:
    """The connection that a client names as "connection"; raises `MalformedId` and `NotFound`."""
    row = await by_id(context, ids.decode_at("connection", ident, "connection"))
    if row is None:
        raise NotFound(kind="connection", name=ident, path=("connection",))
    return row


def _placed(refused: Refused, given: Sequence[tuple[str, str | None]]) -> Refused:
    """Problems at settings by name, at the places where they stand in the input; those that are missing at the list."""
    places: Mapping[str, int] = {name: n for n, (name, _) in enumerate(given)}
    for problem in refused.problems:
        if len(problem.path) == 2 and problem.path[0] == "settings":
            place = places.get(str(problem.path[1]))
            problem.path = ("settings",) if place is None else ("settings", place)
    return refused
