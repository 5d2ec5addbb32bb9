"""What an app tells us of changes, at an address with a secret; of the secret only a hash is kept.

A hint says where to look, and nothing of what is there: what is read then counts, so it does not matter how often one
comes, or in which order.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence

from engine import ids
from engine.keys import LARGEST_ACCOUNT, SECRET_BYTES, base36
from engine.problems import NotFound, Problem
from engine.sync import apps
from engine.sync.connectors.protocol import Hint
from engine.sync.rules import Side
from storage.database import Transaction
from storage.sync import dirty, hints, holding, syncs
from storage.sync.syncs import CONFIGURED

FORM = re.compile(r"([0-9a-z]{1,13})_([A-Za-z0-9_-]{43})", re.ASCII)
# Of more items than these, everything that has changed is read instead.
MOST = 1_000


class HintUnknown(Problem):
    """There is no connection at this address."""


class HintNotGenuine(Problem):
    """The app's connector does not take this request for one of the app: {reason}"""


class HintsUnsupported(Problem):
    """The app "{app}" does not tell of changes by calling an address."""


async def renew(tx: Transaction, connection_id: int) -> str:
    """A new secret for the address at which a connection's app tells of changes: shown once; the former ends.

    The address is `{public_url}/sync-hints/{secret}`. Raises `NotFound`, `HintsUnsupported` and `UnknownApp`.
    """
    secret = f"{base36(tx.account_id)}_{secrets.token_urlsafe(SECRET_BYTES)}"
    name = await _set(tx, connection_id, hash_of(secret))
    app = apps.get(name)
    if not app.capabilities.hints:
        raise HintsUnsupported(app=app.title)
    return secret


async def close(tx: Transaction, connection_id: int) -> None:
    """Let the address end. Raises `NotFound`."""
    await _set(tx, connection_id, None)


async def _set(tx: Transaction, connection_id: int, hint_hash: str | None) -> str:
    name = await hints.set_hash(tx, connection_id, hint_hash)
    if name is None:
        raise NotFound(kind="connection", name=ids.encode("connection", connection_id), path=("id",))
    return name


def account_of(secret: str) -> int | None:
    """The account that an address names; None where it is none of ours."""
    found = FORM.fullmatch(secret)
    if found is None or not 0 < (account_id := int(found[1], 36)) <= LARGEST_ACCOUNT:
        return None
    return account_id


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def take(tx: Transaction, connection_id: int, told: Sequence[Hint]) -> int:
    """Let what an app has told of be looked at; how many items and lists that is."""
    rows = [row for row in await syncs.listing(tx, connection_id) if row.enabled and row.phase != CONFIGURED]
    items: set[tuple[int, str]] = set()
    everything: set[int] = set()
    for hint in told:
        meant = [row.id for row in rows if hint.object in (None, row.remote_object)]
        if hint.external_id is None:
            everything.update(meant)
        else:
            items.update((sync_id, hint.external_id) for sync_id in meant)
    if len(items) > MOST:
        everything |= {sync_id for sync_id, _ in items}
        items = set()
    await dirty.add_to_many(
        tx, [(sync_id, Side.THEIRS.value, item, tx.now, 0) for sync_id, item in sorted(items)]
    )
    if everything:
        await holding.hurry(tx, sorted(everything))
    tx.news = bool(items or everything)
    return len(items) + len(everything)
