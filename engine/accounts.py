"""Accounts: one begins with its object types, properties, association types and counters, in one transaction."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine import naming, standard
from engine.association_types import between_all
from engine.problems import NotFound, Problem
from engine.standard import StandardObject
from engine.workflows import starting
from storage import accounts, association_types, object_types, properties
from storage.catalogue import ObjectTypeRow, PropertyRow
from storage.database import Actor, Database, Queryable, Transaction
from storage.ids import FIRST

# Random, so that nobody can count or guess accounts; small enough for ids in any client.
ACCOUNT_BITS = 47

# Settings that are numbers of days, and the most that each may be.
DAYS = {
    "event_days": 3_650,
    "idempotency_days": 365,
    "delivery_days": 3_650,
    "import_days": 3_650,
    "deleted_workflow_days": 36_500,
}


class AccountExists(Problem):
    """There is already an account called "{name}"."""


class UnknownSetting(Problem):
    """There is no account setting "{name}"; there are: {known}."""


class InvalidSetting(Problem):
    """The account setting "{name}" must be {expected}."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an account may choose."""

    time_zone: str = "UTC"
    # Labels per object pair; a paired label counts once.
    labels_per_pair: int = 50
    # Webhook events that are not archived.
    webhook_events: int = 10
    # How far the clock of a sender may be from ours, and how long a signed delivery can be repeated.
    webhook_replay_seconds: int = 300
    # How long the event log is kept, and with it cursors stay good; and how long idempotency keys are remembered.
    event_days: int = 30
    idempotency_days: int = 7
    # How long what webhooks received, and mails and calls that came to an end, are told of.
    delivery_days: int = 90
    # How long the errors of an import stay when it has ended, and a file that nobody starts to import.
    import_days: int = 90
    # How long the histories of a workflow stay when it is deleted.
    deleted_workflow_days: int = 365
    # How long what has occurred to records is kept; 0: for ever, since filters ask for it.
    record_event_days: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """An account as its users see it."""

    id: int
    name: str
    settings: Settings
    created_at: datetime


async def create(db: Database, name: str, *, now: datetime, settings: Mapping[str, Any] | None = None) -> int:
    """A new account with everything that every account has; its id.

    Raises `AccountExists`, `MalformedText`, `UnknownSetting` and `InvalidSetting`.
    """
    name = naming.text(name, "account name", "name")
    chosen = merged(Settings(), settings or {})
    account_id = secrets.randbits(ACCOUNT_BITS) | 1 << ACCOUNT_BITS
    numbers = count(1)
    types, props = _standard(numbers, now)
    joins = between_all(types, types, numbers, now)
    async with accounts.founding(db, account_id, now=now, actor=Actor("SYSTEM")) as tx:
        if not await accounts.insert(tx, name, asdict(chosen), next_id=max(FIRST, next(numbers))):
            raise AccountExists(name=name, path=("name",))
        await object_types.insert(tx, types)
        await properties.insert(tx, props)
        await association_types.insert(tx, joins)
    return account_id


async def find(db: Database, name: str) -> int | None:
    """The account called `name`."""
    return await accounts.find(db, name)


async def names(db: Database) -> list[str]:
    """The names of all accounts of this installation; for operators."""
    return await accounts.names(db)


async def read(reader: Queryable) -> Account:
    """The account that `reader` reads."""
    found = await accounts.read(reader)
    if found is None:
        raise NotFound(kind="account", name=reader.account_id)
    name, settings, created_at = found
    return Account(reader.account_id, name, merged(Settings(), settings), created_at)


async def rename(tx: Transaction, name: str) -> None:
    """Give the account another name. Raises `AccountExists` and `MalformedText`; nothing may follow then."""
    name = naming.text(name, "account name", "name")
    if not await accounts.rename(tx, name):
        raise AccountExists(name=name, path=("name",))


async def change_settings(tx: Transaction, changes: Mapping[str, Any]) -> Settings:
    """Change some settings; raises `UnknownSetting` and `InvalidSetting`."""
    # The time zone is part of the catalogue, by whose version plans of queries are kept.
    await tx.redefine()
    stands = merged(Settings(), await accounts.lock_settings(tx))
    chosen = merged(stands, changes)
    await accounts.write_settings(tx, asdict(chosen))
    await tx.reload()
    if chosen.time_zone != stands.time_zone:
        await starting.in_another_zone(tx)
    return chosen


def merged(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """`settings` with `changes`, checked."""
    known = [field.name for field in fields(Settings)]
    for name in changes:
        if name not in known:
            raise UnknownSetting(name=name[:100], known=known)
    chosen = asdict(settings) | dict(changes)
    if not _time_zone(chosen["time_zone"]):
        raise _invalid("time_zone", 'the name of a time zone, such as "Europe/Berlin"')
    labels = chosen["labels_per_pair"]
    if not isinstance(labels, int) or isinstance(labels, bool) or not 0 <= labels <= 1_000:
        raise _invalid("labels_per_pair", "a whole number from 0 to 1000")
    for name, most in (("webhook_events", 1_000), ("webhook_replay_seconds", 86_400)):
        given = chosen[name]
        if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= most:
            raise _invalid(name, f"a whole number from 0 to {most}")
    for name, most in DAYS.items():
        given = chosen[name]
        if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= most:
            raise _invalid(name, f"a whole number from 1 to {most}")
    given = chosen["record_event_days"]
    if not isinstance(given, int) or isinstance(given, bool) or not (given == 0 or 30 <= given <= 36_500):
        raise _invalid("record_event_days", "0, or a whole number from 30 to 36500")
    return Settings(**chosen)


def _invalid(name: str, expected: str) -> InvalidSetting:
    """What is wrong with a setting, by the name that it has in the API."""
    called = naming.camel(name)
    return InvalidSetting(name=called, expected=expected, path=(called,))


def _time_zone(name: object) -> bool:
    try:
        return isinstance(name, str) and ZoneInfo(name) is not None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def _standard(numbers: Iterator[int], now: datetime) -> tuple[list[ObjectTypeRow], list[PropertyRow]]:
    types = [_object_type(shape, next(numbers), now) for shape in standard.OBJECTS]
    props = [
        _property(prop, object_type.id, next(numbers), now)
        for shape, object_type in zip(standard.OBJECTS, types, strict=True)
        for prop in shape.properties
    ]
    return types, props


def _object_type(shape: StandardObject, number: int, now: datetime) -> ObjectTypeRow:
    return ObjectTypeRow(
        number,
        shape.name,
        shape.singular,
        shape.plural,
        None,
        shape.category,
        shape.active,
        shape.display,
        now,
        {},
    )


def _property(
    shape: standard.StandardProperty, object_type_id: int, number: int, now: datetime
) -> PropertyRow:
    return PropertyRow(
        number,
        object_type_id,
        shape.name,
        shape.label,
        shape.group,
        None,
        shape.type,
        shape.field,
        shape.multiple,
        shape.unique,
        shape.required,
        shape.searchable,
        False,
        False,
        tuple({"value": value, "label": label} for value, label in shape.options),
        now,
        None,
    )
