"""How long things are kept: each account chooses; months that nobody needs go as a whole, the rest in small lots."""

from datetime import datetime, timedelta

from engine import accounts
from engine.accounts import Settings
from storage import log_partitions, retention
from storage.database import Database
from storage.log_partitions import Month

# Partitions there are beforehand, counting the present month.
AHEAD = 3
# Rows of one transaction.
LOT = 5_000
# A transaction may be older than what was committed before it: by no more than this.
MARGIN = timedelta(days=1)


async def keep_log(db: Database, *, now: datetime) -> None:
    """Make the partitions of the coming months, and drop those that lie behind what any account keeps."""
    await log_partitions.tidy(db)
    known = set(await log_partitions.months(db))
    month = Month.of(now)
    for _ in range(AHEAD):
        if month not in known:
            await log_partitions.make(db, month, begun=month.begin <= now + MARGIN)
        month = month.next
    chosen = [accounts.merged(Settings(), one.settings) for one in await retention.accounts(db)]
    longest = timedelta(days=max((one.event_days for one in chosen), default=Settings().event_days))
    for month in sorted(known):
        if month.next.begin <= now - longest - MARGIN:
            await log_partitions.drop(db, month)


async def account_ids(db: Database) -> list[int]:
    """The accounts to look through."""
    return [one.account_id for one in await retention.accounts(db)]


async def run_once(db: Database, account_id: int, *, now: datetime) -> bool:
    """Take away a lot of what the account does not keep; whether there may be more."""
    async with db.read(account_id) as reader:
        settings = (await accounts.read(reader)).settings
    async with db.single(account_id) as writer:
        gone = await retention.events(writer, now - timedelta(days=settings.event_days), LOT)
        keys = await retention.keys(writer, now - timedelta(days=settings.idempotency_days), LOT)
    return max(gone, keys) == LOT
