"""The door by which apps tell of changes: whose address it is, whether it is genuine, and what is to be looked at."""

import asyncio
from datetime import datetime

from engine.problems import Problem
from engine.sync import connections, hints
from engine.sync.connectors.protocol import ConnectorError, Delivery, Hint, Rejected, Surroundings
from engine.sync.credentials import Vault
from engine.sync.hints import HintNotGenuine, HintUnknown
from resolvers.writing import again
from storage.database import Actor, Database
from storage.sync import hints as stored

# How long a connector may take to read a hint.
READING_SECONDS = 5.0


class HintUnreadable(Problem):
    """The app's connector could not read this request now; send it again."""


async def receive(
    db: Database,
    vault: Vault,
    surroundings: Surroundings,
    secret: str,
    delivery: Delivery,
    *,
    now: datetime,
) -> int:
    """Take what an app tells at the address that holds `secret`; how many items and lists are looked at for it.

    Raises `HintUnknown`, `HintNotGenuine` and `HintUnreadable`.
    """
    account_id = hints.account_of(secret)
    if account_id is None:
        raise HintUnknown
    async with db.read(account_id) as reader:
        number = await stored.find(reader, hints.hash_of(secret))
        if number is None:
            raise HintUnknown
        _, made_of = await connections.read(reader, vault, number)
    told = await _told(made_of, account_id, number, surroundings, delivery)

    async def attempt() -> int:
        async with db.transaction(account_id, now=now, actor=Actor("SYNC")) as tx:
            return await hints.take(tx, number, told)

    return await again(attempt)


async def _told(
    made_of: connections.Entered,
    account_id: int,
    connection_id: int,
    surroundings: Surroundings,
    delivery: Delivery,
) -> list[Hint]:
    """What the connector makes of a request; no transaction is open meanwhile."""
    try:
        async with asyncio.timeout(READING_SECONDS):
            opening = connections.opening(made_of, account_id, connection_id, surroundings)
            async with opening as connector:
                return list(await connector.hint(delivery))
    except Rejected as refusal:
        raise HintNotGenuine(reason=connections.without(made_of.secrets, refusal.message)) from None
    except (ConnectorError, TimeoutError):
        raise HintUnreadable from None
    except Exception:
        # Whatever a connector stumbles over is its sender's: it came from outside.
        raise HintNotGenuine(reason="it cannot be read.") from None
