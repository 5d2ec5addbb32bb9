"""Connections: what was entered is looked at by the app first, outside any transaction, and then kept, sealed.

Create: `entered`, `look` (network), `create(tx)`. Change: `changing`, `look`, `update(tx)`. Check: `read`, `look`,
`checked(tx)`. Only super admins may (Scope.ACCOUNT_MANAGE).
"""

import asyncio
import contextlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any

from engine import ids, naming
from engine.problems import NotFound, Problem, Refused, at
from engine.sync import apps, remote
from engine.sync.categories import Category
from engine.sync.connectors.protocol import App, Connector, ConnectorError, Setting, Surroundings
from engine.sync.credentials import Vault, owner
from engine.sync.problems import (
    ConnectionChanged,
    ConnectionInUse,
    ConnectionNameTaken,
    ConnectionRefused,
    SecretsUnreadable,
    SettingMissing,
    SettingNotPossible,
    SettingUnknown,
)
from storage.changes import Event, EventKind
from storage.database import Queryable, Transaction
from storage.sync import connections as stored
from storage.sync import syncs
from storage.sync.connections import BROKEN, READY, ConnectionRow, Described

# How long an app may take to say what it is.
LOOKING_SECONDS = 20.0
LONGEST_SETTING = 20_000
# What waits for a person, not for time.
FOR_PEOPLE = frozenset({Category.AUTHENTICATION_EXPIRED, Category.MISSING_PERMISSION})
# Shorter ones are told as they are: what is replaced would be half of every message.
SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True, repr=False)
class Entered:
    """What a connection is made of, sorted: what may be shown, and what may not."""

    app: App
    settings: dict[str, str]
    secrets: dict[str, str]

    def __repr__(self) -> str:
        return f"Entered({self.app.name})"

    @property
    def all(self) -> dict[str, str]:
        """Everything, as the app's connector takes it."""
        return {**self.settings, **self.secrets}


def entered(app_name: str, given: Mapping[str, str]) -> Entered:
    """What somebody has entered for a new connection. Raises `UnknownApp`, and `Refused` with all that is wrong."""
    return _sorted(apps.get(app_name), given)


def changed(row: ConnectionRow, secrets: Mapping[str, str], given: Mapping[str, str | None]) -> Entered:
    """What a connection is made of once `given` is changed; null forgets a setting. Raises as `entered`."""
    app = apps.get(row.app)
    known = {one.name for one in app.settings}
    # What a former version of the app has asked for is no longer asked for.
    before = {name: value for name, value in {**row.settings, **secrets}.items() if name in known}
    after = {**before, **given}
    return _sorted(app, {name: value for name, value in after.items() if value is not None})


def _sorted(app: App, given: Mapping[str, str]) -> Entered:
    known = {one.name: one for one in app.settings}
    problems: list[Problem] = [
        SettingUnknown(app=app.title, setting=name[:100], known=list(known), path=("settings", name[:100]))
        for name in given
        if name not in known
    ]
    settings: dict[str, str] = {}
    secrets: dict[str, str] = {}
    for one in app.settings:
        value = given.get(one.name) or one.default
        problem = _problem(app, one, value)
        if problem is not None:
            problems.append(problem.at("settings", one.name))
        elif value is not None and value != "":
            (secrets if one.secret else settings)[one.name] = value
    if problems:
        raise Refused(problems)
    return Entered(app, settings, secrets)


def _problem(app: App, one: Setting, value: str | None) -> Problem | None:
    if value is None or value == "":
        return SettingMissing(app=app.title, setting=one.name, about=one.about) if one.required else None
    if one.options and value not in one.options:
        return SettingNotPossible(setting=one.name, options=list(one.options))
    if len(value) > LONGEST_SETTING or not naming.storable(value):
        return naming.MalformedText(what=f'setting "{one.name}"', reason="it is too long, or no text")
    return None


# --- the app's word ----------------------------------------------------------------------------------------------


def opening(
    made_of: Entered, account_id: int, connection_id: int, surroundings: Surroundings
) -> AbstractAsyncContextManager[Connector]:
    """The connector of a connection, to be opened outside any transaction."""
    origin = f"{surroundings.origin}-{account_id}-{connection_id}"
    return made_of.app.open(made_of.all, replace(surroundings, origin=origin))


async def look(made_of: Entered, surroundings: Surroundings) -> Described:
    """What the app says of itself and of its objects: it works. No transaction is open meanwhile.

    Raises `ConnectionRefused`, whose `details` have the category.
    """
    try:
        async with asyncio.timeout(LOOKING_SECONDS):
            async with made_of.app.open(made_of.all, surroundings) as connector:
                account = await connector.check()
                objects = await connector.describe()
    except ConnectorError as error:
        raise refused(made_of, error.category, error.message) from None
    except TimeoutError:
        raise refused(made_of, Category.REMOTE_UNAVAILABLE, "it did not answer in time.") from None
    except Exception as error:
        # Whatever a connector stumbles over may hold what was entered.
        reason = f"the connector stumbled ({type(error).__name__})."
        raise refused(made_of, Category.UNKNOWN, reason) from None
    return Described(account[: naming.LONGEST_TEXT], remote.to_json(objects))


def refused(made_of: Entered, category: Category, reason: str) -> ConnectionRefused:
    """Why an app did not accept a connection, without anything secret."""
    return ConnectionRefused(
        app=made_of.app.title, category=category.value, reason=without(made_of.secrets, reason)
    )


def without(secrets: Mapping[str, str], text: str) -> str:
    """A message without any of the secrets."""
    for secret in sorted(secrets.values(), key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "…")
    return text.replace("\0", "")[:1_000]


# --- what is kept ------------------------------------------------------------------------------------------------


async def create(
    tx: Transaction, vault: Vault, name: str, made_of: Entered, described: Described
) -> ConnectionRow:
    """A new connection, which the app has accepted. Raises `ConnectionNameTaken`, `SecretKeyMissing`."""
    name = _name(name)
    (number,) = await tx.new_ids(1)
    sealed = vault.seal(owner(tx.account_id, number), made_of.secrets)
    names = sorted(made_of.secrets)
    if not await stored.insert(
        tx, number, made_of.app.name, name, made_of.settings, sealed, names, described
    ):
        raise ConnectionNameTaken(name=name, path=("name",))
    return await get(tx, number)


async def update(
    tx: Transaction,
    vault: Vault,
    read: ConnectionRow,
    made_of: Entered,
    described: Described,
    name: str | None = None,
) -> ConnectionRow:
    """Change the connection that was `read`, as the app has accepted it. What waited for it goes on.

    Raises `NotFound`, `ConnectionChanged`, `ConnectionNameTaken`, `SecretKeyMissing`.
    """
    name = read.name if name is None else _name(name)
    held = await _hold(tx, read.id)
    if (held.settings, held.secret_names, held.name) != (read.settings, read.secret_names, read.name):
        raise ConnectionChanged(name=held.name, path=("id",))
    if await stored.named(tx, name) not in (None, held.id):
        raise ConnectionNameTaken(name=name, path=("name",))
    sealed = vault.seal(owner(tx.account_id, held.id), made_of.secrets)
    await stored.update(tx, held.id, name, made_of.settings, sealed, sorted(made_of.secrets), described)
    if held.objects != described.objects:
        await syncs.rebind(tx, held.id)
    await _go_on(tx, held)
    return await get(tx, held.id)


async def checked(
    tx: Transaction, vault: Vault, connection_id: int, outcome: Described | ConnectionRefused
) -> ConnectionRow:
    """Keep what the app has told now, or why it does not work. What waited for it goes on, if it works.

    Its secrets are sealed anew, with the key that seals now. Raises `NotFound`.
    """
    held = await _hold(tx, connection_id)
    if isinstance(outcome, ConnectionRefused):
        category = Category(outcome.details["category"])
        status = BROKEN if category in FOR_PEOPLE else held.status
        await stored.fail(
            tx,
            held.id,
            status=status,
            category=category.value,
            message=outcome.details["reason"],
            until=None if status == BROKEN else held.paused_until,
        )
        return await get(tx, held.id)
    await stored.describe(tx, held.id, outcome)
    before = await stored.sealed(tx, held.id)
    assert before is not None  # the row is held
    # Whoever has looked at the app had read them: they were entered anew since, or the key is gone since.
    with contextlib.suppress(SecretsUnreadable):
        await stored.reseal(tx, held.id, before, vault.anew(owner(tx.account_id, held.id), before))
    if held.objects != outcome.objects:
        await syncs.rebind(tx, held.id)
    await _go_on(tx, held)
    return await get(tx, held.id)


async def delete(tx: Transaction, connection_id: int) -> ConnectionRow:
    """Forget a connection and its credentials; what it was. Raises `NotFound` and `ConnectionInUse`."""
    held = await _hold(tx, connection_id)
    rows = await syncs.listing(tx, connection_id)
    if rows:
        types = tx.catalogue.object_types
        raise ConnectionInUse(
            name=held.name,
            syncs=[types[row.object_type_id].name for row in rows],
            used_by=[{"kind": "sync", "id": ids.encode("sync", row.id)} for row in rows],
            path=("id",),
        )
    await stored.delete(tx, connection_id)
    return held


async def get(reader: Queryable, connection_id: int) -> ConnectionRow:
    """The connection. Raises `NotFound`."""
    (row,) = await stored.by_ids(reader, [connection_id])
    if row is None:
        raise NotFound(kind="connection", name=ids.encode("connection", connection_id), path=("id",))
    return row


async def secrets_of(reader: Queryable, vault: Vault, connection_id: int) -> dict[str, str]:
    """A connection's secrets, for its connector alone. Raises `NotFound` and `SecretsUnreadable`."""
    sealed = await stored.sealed(reader, connection_id)
    if sealed is None:
        raise NotFound(kind="connection", name=ids.encode("connection", connection_id), path=("id",))
    return vault.open(owner(reader.account_id, connection_id), sealed)


async def read(reader: Queryable, vault: Vault, connection_id: int) -> tuple[ConnectionRow, Entered]:
    """A connection with all that it is made of. Raises `NotFound`, `UnknownApp`, `SecretsUnreadable`, `Refused`."""
    row = await get(reader, connection_id)
    return row, changed(row, await secrets_of(reader, vault, connection_id), {})


async def changing(
    reader: Queryable, vault: Vault, connection_id: int, given: Mapping[str, str | None]
) -> tuple[ConnectionRow, Entered]:
    """A connection, and what it is made of once `given` is changed; secrets that cannot be read are entered anew.

    Raises `NotFound`, `UnknownApp`, `SecretsUnreadable`, and `Refused` with what is wrong or missing.
    """
    row = await get(reader, connection_id)
    try:
        secrets = await secrets_of(reader, vault, connection_id)
    except SecretsUnreadable:
        if not set(row.secret_names) <= {name for name, value in given.items() if value}:
            raise
        secrets = {}
    return row, changed(row, secrets, given)


async def _hold(tx: Transaction, connection_id: int) -> ConnectionRow:
    """Hold a connection and its syncs: syncs first, as their runners do."""
    await syncs.lock_of(tx, connection_id)
    held = await stored.lock(tx, connection_id)
    if held is None:
        raise NotFound(kind="connection", name=ids.encode("connection", connection_id), path=("id",))
    return held


async def _go_on(tx: Transaction, held: ConnectionRow) -> None:
    """Wake the syncs of a connection that works again: what failed is tried again, too."""
    if held.status == READY and held.category is None:
        return
    for row in await syncs.try_again(tx, held.id):
        details: dict[str, Any] = {"connection": ids.encode("connection", held.id)}
        tx.happened(Event(EventKind.SYNC_RESUMED, row.object_type_id, None, row.id, details))


def _name(name: str) -> str:
    with at("name"):
        return naming.text(name, "connection's name")
