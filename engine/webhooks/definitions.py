"""Webhook events: an address with a secret, which record a payload is about, and which of its values an event keeps."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine import accounts, ids
from engine.events import types
from engine.events.types import EventProperty
from engine.keys import LARGEST_ACCOUNT, base36
from engine.object_types import KEEP, Keep, get
from engine.problems import NotFound, Problem, at
from engine.records.problems import PropertyNotUnique, UnknownProperty
from engine.values import tidy
from engine.webhooks.payloads import checked_path
from engine.webhooks.problems import (
    MatchIncomplete,
    SigningSecretTooWeak,
    TooManyWebhooks,
    WebhookArchived,
)
from storage import webhooks
from storage.catalogue import Catalogue, EventTypeRow
from storage.database import Queryable, Transaction
from storage.webhooks import WebhookRow

# account in base 36, 256 random bits. As with keys, the account stands in it, so that looking it up is a statement of
# that account.
FORM = re.compile(r"([0-9a-z]{1,13})_[A-Za-z0-9_-]{43}", re.ASCII)
SECRET_BYTES = 32
SIGNING_LENGTH = (16, 200)


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where a payload has the value of which property of the event."""

    path: str
    property: EventProperty


@dataclass(frozen=True, slots=True)
class Match:
    """Where a payload names the record, and the unique property that it names."""

    path: str
    property: str


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A webhook with the type of its events."""

    row: WebhookRow
    type: EventTypeRow


async def create(
    tx: Transaction,
    *,
    name: str,
    label: str,
    object_type: str,
    match: Match | None = None,
    mapping: Sequence[Mapped] = (),
    signing_secret: str | None = None,
) -> WebhookEvent:
    """A webhook event; without a match it waits for its sample, and triggers nothing.

    Raises `TooManyWebhooks`, problems of this package, of `engine.events.types`, and `UnknownObjectType`.
    """
    await tx.redefine()
    with at("objectType"):
        of = get(tx.catalogue, object_type)
    limit = (await accounts.read(tx)).settings.webhook_events
    if sum(row.archived_at is None for row in await webhooks.listing(tx)) >= limit:
        raise TooManyWebhooks(limit=limit)
    _check(tx.catalogue, of.id, match, mapping, signing_secret)
    (number,) = await tx.new_ids(1)
    try:
        type_ = await types.create(
            tx,
            name=name,
            label=label,
            object_type=object_type,
            properties=_properties(mapping),
            webhook_id=number,
        )
    except Problem as problem:
        raise _of_mapping(problem) from None
    row = WebhookRow(
        number,
        type_.id,
        of.id,
        _secret(tx.account_id),
        signing_secret,
        None if match is None else match.path,
        None if match is None else match.property,
        _paths(mapping),
        match is None,
        None,
        None,
        tx.now,
        tx.now,
        tx.actor.user_id,
        None,
    )
    await webhooks.insert(tx, row)
    return WebhookEvent(row, type_)


async def update(
    tx: Transaction,
    number: int,
    *,
    label: str | None = None,
    match: Match | None = None,
    mapping: Sequence[Mapped] | None = None,
    signing_secret: str | Keep | None = KEEP,
    new_address: bool = False,
) -> WebhookEvent:
    """Change a webhook event; what is left out stays. `new_address`: deliveries to the old one are not taken any more.

    Raises `NotFound`, `WebhookArchived` and what `create` raises.
    """
    await tx.redefine()
    held = await _live(tx, number)
    row = held.row
    given = None if isinstance(signing_secret, Keep) else signing_secret
    _check(tx.catalogue, row.object_type_id, match, mapping or (), given)
    try:
        type_ = await types.rewrite(
            tx, held.type, label=label, properties=None if mapping is None else _properties(mapping)
        )
    except Problem as problem:
        raise _of_mapping(problem) from None
    changed = replace(
        row,
        secret=_secret(tx.account_id) if new_address else row.secret,
        signing_secret=row.signing_secret if isinstance(signing_secret, Keep) else signing_secret,
        match_path=row.match_path if match is None else match.path,
        match_property=row.match_property if match is None else match.property,
        mapping=row.mapping if mapping is None else _paths(mapping),
        updated_at=tx.now,
    )
    await webhooks.update(tx, changed)
    return WebhookEvent(changed, type_)


async def wait_for_sample(tx: Transaction, number: int) -> WebhookEvent:
    """Let the next delivery be kept as the sample; it triggers nothing. Raises `NotFound` and `WebhookArchived`."""
    await tx.redefine()
    held = await _live(tx, number)
    changed = replace(held.row, capturing=True, updated_at=tx.now)
    await webhooks.update(tx, changed)
    return WebhookEvent(changed, held.type)


async def archive(tx: Transaction, number: int) -> WebhookEvent:
    """Put a webhook event away, and the type of its events: nothing is taken at its address any more.

    What was delivered stays. Archiving it again changes nothing. Raises `NotFound`.
    """
    await tx.redefine()
    held = await get_one(tx, tx.catalogue, number)
    if held.row.archived_at is not None:
        return held
    type_ = await types.put_away(tx, held.type)
    changed = replace(held.row, archived_at=tx.now, updated_at=tx.now, capturing=False)
    await webhooks.update(tx, changed)
    return WebhookEvent(changed, type_)


async def get_one(reader: Queryable, catalogue: Catalogue, number: int) -> WebhookEvent:
    """One webhook event, archived or not. Raises `NotFound`."""
    row = await webhooks.by_id(reader, number)
    if row is None:
        raise NotFound(kind="webhook event", name=ids.encode("webhook", number), path=("id",))
    return WebhookEvent(row, catalogue.event_types[row.event_type_id])


async def listing(reader: Queryable, catalogue: Catalogue) -> list[WebhookEvent]:
    """All webhook events, archived ones included, oldest first."""
    return [
        WebhookEvent(row, catalogue.event_types[row.event_type_id])
        for row in await webhooks.listing(reader)
        if row.event_type_id in catalogue.event_types
    ]


def account_of(secret: str) -> int | None:
    """The account that an address names; None where it is none of ours."""
    found = FORM.fullmatch(secret)
    if found is None or not 0 < (account_id := int(found[1], 36)) <= LARGEST_ACCOUNT:
        return None
    return account_id


async def _live(tx: Transaction, number: int) -> WebhookEvent:
    held = await get_one(tx, tx.catalogue, number)
    if held.row.archived_at is not None:
        raise WebhookArchived(name=held.type.name, path=("id",))
    return held


def _check(
    catalogue: Catalogue,
    object_type_id: int,
    match: Match | None,
    mapping: Sequence[Mapped],
    signing_secret: str | None,
) -> None:
    if match is not None:
        _check_match(catalogue, object_type_id, match)
    for n, one in enumerate(mapping):
        with at("mapping", n, "path"):
            checked_path(one.path)
    least, most = SIGNING_LENGTH
    if signing_secret is not None and not (
        least <= len(signing_secret) <= most and signing_secret.isprintable()
    ):
        raise SigningSecretTooWeak(least=least, most=most, path=("signingSecret",))


def _check_match(catalogue: Catalogue, object_type_id: int, match: Match) -> None:
    of = catalogue.object_types[object_type_id]
    if not match.path or not match.property:
        raise MatchIncomplete(object_type=of.name, path=("match",))
    with at("match", "path"):
        checked_path(match.path)
    prop = of.live(match.property)
    if prop is None:
        told = tidy(match.property)
        raise UnknownProperty(property=told, object_type=of.name, path=("match", "property"))
    if not prop.is_unique:
        raise PropertyNotUnique(property=prop.name, object_type=of.name, path=("match", "property"))


def _of_mapping(problem: Problem) -> Problem:
    """A problem with the properties of events, told of what is mapped to them."""
    match problem.path:
        case ("properties", n, *rest):
            problem.path = ("mapping", n, "property", *rest)
        case ("properties",):
            problem.path = ("mapping",)
    return problem


def _properties(mapping: Sequence[Mapped]) -> list[EventProperty]:
    return [one.property for one in mapping]


def _paths(mapping: Sequence[Mapped]) -> list[dict[str, str]]:
    return [{"path": one.path, "property": one.property.name} for one in mapping]


def _secret(account_id: int) -> str:
    return f"{base36(account_id)}_{secrets.token_urlsafe(SECRET_BYTES)}"
