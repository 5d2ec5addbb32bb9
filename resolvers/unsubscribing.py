"""The door by which people leave: no key, but a link that only their mail has held."""

from datetime import datetime

from engine.events import unsubscribing
from engine.outbox.unsubscribing import Leaving
from resolvers.writing import again
from storage.database import Actor, Database


async def leave(db: Database, leaving: Leaving, *, now: datetime) -> bool:
    """Send no more mails to whom this mail went; whether that is news."""
    actor = Actor(unsubscribing.SOURCE, str(leaving.outbox_id))

    async def attempt() -> bool:
        async with db.transaction(leaving.account_id, now=now, actor=actor) as tx:
            return await unsubscribing.unsubscribe(tx, leaving.record_id)

    return await again(attempt)
