"""Receiving: whose address it is, whether the sender may, which record it is about; every delivery is kept.

A delivery without a key of its own is known again by its signature: the same signed request twice, within the window in
which it is taken at all, is one delivery. Unsigned ones without a key are each one of their own: two that are alike may
well be two purchases.
"""

import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from engine import accounts, batches, events, ids, values
from engine.batches import Mode
from engine.events import ByUnique, EventInput
from engine.problems import Problem
from engine.records.problems import RecordArchived
from engine.webhooks import payloads
from engine.webhooks.problems import (
    MatchUndefined,
    MatchValueMissing,
    PayloadMalformed,
    RecordUnmatched,
    SignatureExpired,
    SignatureInvalid,
    SignatureMissing,
    WebhookUnknown,
)
from storage import webhooks
from storage.catalogue import PropertyRow
from storage.database import Transaction
from storage.webhooks import DeliveryRow, WebhookRow

SOURCE = "WEBHOOK"
# Seconds since 1970, as senders write them.
LONGEST_TIMESTAMP = 12


@dataclass(frozen=True, slots=True)
class Posted:
    """What was posted: the body as it came, and what headers said."""

    body: bytes
    timestamp: str | None = None
    signature: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a delivery; `problem` where nothing was triggered for a reason."""

    delivery_id: int
    outcome: str
    problem: Problem | None = None
    record_id: int | None = None
    event_id: int | None = None


async def receive(tx: Transaction, secret: str, posted: Posted) -> Received:
    """Take a delivery at the address that holds `secret`. Raises `WebhookUnknown`; nothing is kept then."""
    row = await webhooks.by_secret(tx, secret)
    if row is None:
        raise WebhookUnknown
    tx.actor = replace(tx.actor, source=SOURCE, source_id=ids.encode("webhook", row.id))
    (number,) = await tx.new_ids(1)
    payload: Any = None
    try:
        await _admit(tx, row, posted)
        # What was not signed by whoever may is not even kept.
        payload = _decoded(posted.body)
        received = await _take(tx, row, number, payload, posted)
    except Problem as problem:
        # To whoever is archived nothing occurs: it is there for nobody.
        unmatched = isinstance(problem, RecordUnmatched | MatchValueMissing | RecordArchived)
        received = Received(number, "UNMATCHED" if unmatched else "INVALID", problem)
    await webhooks.deliver(tx, _delivery(tx.now, row, received, payload))
    return received


def _delivery(now: datetime, row: WebhookRow, received: Received, payload: Any) -> DeliveryRow:
    problem = received.problem
    error = None
    if problem is not None:
        error = {"code": problem.code, "message": problem.message, "path": list(problem.path)}
    return DeliveryRow(
        received.delivery_id,
        row.id,
        now,
        received.outcome,
        payload,
        error,
        received.record_id,
        received.event_id,
    )


async def _admit(tx: Transaction, row: WebhookRow, posted: Posted) -> None:
    """Raise the problem for which a delivery is not taken from its sender."""
    if row.signing_secret is None:
        return
    window = (await accounts.read(tx)).settings.webhook_replay_seconds
    check_signature(row.signing_secret, posted, tx.now, window)


def check_signature(secret: str, posted: Posted, now: datetime, window: int) -> None:
    """Raise the problem with a delivery's signature, if there is one. Pure.

    HMAC-SHA256 over `timestamp.body` in hexadecimal, perhaps with `sha256=` in front; `window` in seconds, either way.
    """
    if posted.timestamp is None or posted.signature is None:
        raise SignatureMissing
    timestamp = posted.timestamp.strip()
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= LONGEST_TIMESTAMP):
        raise SignatureInvalid
    expected = sign(secret, timestamp, posted.body)
    given = posted.signature.strip().removeprefix("sha256=").lower()
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise SignatureInvalid
    if abs(now.astimezone(UTC).timestamp() - int(timestamp)) > window:
        raise SignatureExpired(seconds=window)


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature of a body at a timestamp (seconds since 1970)."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _decoded(body: bytes) -> Any:
    try:
        return payloads.decoded(body)
    except (ValueError, RecursionError):
        raise PayloadMalformed(depth=payloads.DEEPEST) from None


async def _take(tx: Transaction, row: WebhookRow, number: int, payload: Any, posted: Posted) -> Received:
    if row.capturing and await webhooks.capture(tx, row.id, payload):
        return Received(number, "SAMPLE")
    type_ = tx.catalogue.event_types[row.event_type_id]
    whom = _whom(tx, row, payload)
    held = {
        prop.name: payloads.fitted(prop, found)
        for one in row.mapping
        if (prop := type_.live(one["property"])) is not None
        and (found := payloads.at(payload, one["path"])) is not None
    }
    key = _key(posted, signed=row.signing_secret is not None)
    asked = EventInput(type_.name, whom, held, None, key)
    (outcome,) = await events.record(tx, [asked], Mode.PER_ITEM, webhook_id=row.id)
    if outcome.value is None:
        problem = outcome.problem
        if problem is not None and problem.code == "NO_SUCH_RECORD":
            raise RecordUnmatched(**problem.details)
        raise problem or AssertionError("neither recorded nor refused")
    event = outcome.value
    became = "TRIGGERED" if event.new else "DUPLICATE"
    return Received(number, became, None, event.row.record_id, event.row.id)


def _key(posted: Posted, *, signed: bool) -> str | None:
    """By what a delivery is known again."""
    if posted.key is not None:
        if not 0 < len(posted.key) <= batches.KEY_LIMIT or not posted.key.isprintable():
            raise batches.MalformedIdempotencyKey(limit=batches.KEY_LIMIT)
        return posted.key
    if not signed or posted.timestamp is None:
        return None
    # What is signed: a signature can be written in several ways.
    return hashlib.sha256(posted.timestamp.strip().encode() + b"." + posted.body).hexdigest()


def _whom(tx: Transaction, row: WebhookRow, payload: Any) -> ByUnique:
    if row.match_path is None or row.match_property is None:
        raise MatchUndefined
    of = tx.catalogue.object_types[row.object_type_id]
    prop: PropertyRow | None = of.live(row.match_property)
    found = payloads.at(payload, row.match_path)
    if found is None or found == "":
        raise MatchValueMissing(path_text=values.shown(row.match_path))
    return ByUnique(of.name, row.match_property, found if prop is None else payloads.fitted(prop, found))
