"""How long things are kept: each account chooses; months that nobody needs go as a whole, the rest in small lots.

What is kept for ever is said in docs/settings.md: records, associations and labels with their histories, joins and
leaves of segments, enrollments of workflows that are there, and what imports have touched.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from engine import accounts
from engine.accounts import Settings
from engine.imports import commands
from storage import imports as stored
from storage import log_partitions, retention
from storage.changes import ChangeKind
from storage.database import Actor, Database, Single
from storage.event_types import BUILT_IN_NAMES
from storage.log_partitions import Month
from storage.notes import AssociationChanges
from storage.retention import Forgotten

KEEPER = Actor("SYSTEM")
# Partitions there are beforehand, counting the present month.
AHEAD = 3
# Rows of one transaction; fewer where much hangs on each.
LOT = 5_000
FEW = 1_000
# A transaction may be older than what was committed before it: by no more than this.
MARGIN = timedelta(days=1)
# What a sync has tried (of each link the newest few are kept anyway), and its plan, applied or not.
ATTEMPTS_KEPT = timedelta(days=365)
PLANS_KEPT = timedelta(days=30)
# What an import is before anybody starts it.
UNSTARTED = ("CREATED", "UPLOADED", "CHECKED")
# Whether a record may be written to, and on what grounds, is known by these alone.
NEVER_FORGOTTEN = frozenset(
    BUILT_IN_NAMES[name].id
    for name in ("email_bounced", "email_subscription_changed", "privacy_consent_changed")
)


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


@dataclass(slots=True)
class Looking:
    """Goes through accounts for what they do not keep. A process that ends in the middle is followed by a new look."""

    # Where the look through an account stands: {account: {what is looked at: the last id, None at the end}}
    _stands: defaultdict[int, dict[str, int | None]] = field(default_factory=lambda: defaultdict(dict))

    async def run_once(self, db: Database, account_id: int, *, now: datetime) -> bool:
        """Take away a lot of each kind that the account does not keep; whether there may be more."""
        async with db.read(account_id) as reader:
            settings = (await accounts.read(reader)).settings
        async with db.single(account_id) as writer:
            more = await _take(writer, settings, now)
            more |= await self._sweep(writer, settings, now)
        more |= await self._record_events(db, account_id, settings, now)
        more |= await _plans(db, account_id, now)
        more |= await _unstarted(db, account_id, settings, now)
        if not more:
            # The next look begins at the beginning.
            self._stands.pop(account_id, None)
        return more

    async def _sweep(self, writer: Single, settings: Settings, now: datetime) -> bool:
        stands, more = self._stands[writer.account_id], False
        delivered = now - timedelta(days=settings.delivery_days)
        for statement, before in (
            (retention.DELIVERIES, delivered),
            (retention.OUTBOX, delivered),
            (retention.ATTEMPTS, now - ATTEMPTS_KEPT),
        ):
            after = stands.get(statement.name, 0)
            if after is not None:
                last = await retention.sweep(writer, statement, before, LOT, after)
                stands[statement.name] = last
                more |= last is not None
        return more

    async def _record_events(self, db: Database, account_id: int, settings: Settings, now: datetime) -> bool:
        name = retention.RECORD_EVENTS.name
        after = self._stands[account_id].get(name, 0)
        if not settings.record_event_days or after is None:
            return False
        before = now - timedelta(days=settings.record_event_days)
        async with db.transaction(account_id, now=now, actor=KEEPER) as tx:
            gone, last = await retention.record_events(tx, before, FEW, after, NEVER_FORGOTTEN)
            for change in _missed(gone):
                tx.changed(change)
        self._stands[account_id][name] = last
        return last is not None


def _missed(gone: Iterable[Forgotten]) -> list[AssociationChanges]:
    """What evaluators are told, so that filters which ask for events ask again; nothing has occurred by it."""

    def alike(one: Forgotten) -> tuple[int, int]:
        return one.object_type_id, one.event_type_id

    changes = []
    for (object_type_id, event_type_id), some in groupby(sorted(gone, key=alike), alike):
        ids = sorted(one.record_id for one in some)
        kind = ChangeKind.EVENTS_MOVED
        changes.append(AssociationChanges(kind, object_type_id, event_type_id, ids, ids))
    return changes


async def _take(writer: Single, settings: Settings, now: datetime) -> bool:
    """What is found by its age alone."""
    more = False
    for statement, days, limit in (
        (retention.EVENTS, settings.event_days, LOT),
        (retention.KEYS, settings.idempotency_days, LOT),
        (retention.IMPORT_ERRORS, settings.import_days, LOT),
        (retention.WALKS, settings.deleted_workflow_days, FEW),
        (retention.STATES, settings.deleted_workflow_days, LOT),
    ):
        more |= await retention.take(writer, statement, now - timedelta(days=days), limit)
    return more


async def _plans(db: Database, account_id: int, now: datetime) -> bool:
    async with db.transaction(account_id, now=now, actor=KEEPER) as tx:
        return await retention.plans(tx, now - PLANS_KEPT, LOT)


async def _unstarted(db: Database, account_id: int, settings: Settings, now: datetime) -> bool:
    """Cancel imports that nobody starts, so that their files go."""
    async with db.read(account_id) as reader:
        old = await retention.unstarted_imports(reader, now - timedelta(days=settings.import_days), FEW)
    for number in old:
        async with db.transaction(account_id, now=now, actor=KEEPER) as tx:
            row = await stored.hold(tx, number)
            # Somebody may have started it just now.
            if row is not None and row.status in UNSTARTED:
                await commands.cancel(tx, number)
    return len(old) == FEW
