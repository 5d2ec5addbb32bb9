"""How syncs stand: counts, and how far initial syncs are, told anew as they change."""

from collections.abc import AsyncGenerator, Iterable
from datetime import datetime
from typing import Annotated, cast

import strawberry

from engine import ids
from engine.access import Scope
from engine.sync.categories import Category
from engine.sync.standing import Counts, Standing, plan, progress
from resolvers import sync_standing
from resolvers.streams import StateStream
from resolvers.sync_standing import Stood
from schema.access import Requires
from schema.context import Info
from schema.sync_parts import SyncHold, SyncProgress
from schema.sync_words import ConnectionStatus, SyncPhase
from schema.syncs import Sync


@strawberry.type
class SyncTally:
    """Numbers of records and items of syncs."""

    records: int = strawberry.field(description="How many records and items there are, linked or not.")
    in_sync: int = strawberry.field(description="How many hold the same on both sides.")
    pending: int = strawberry.field(description="How many have something still to be done.")
    failed: int = strawberry.field(description="How many could not be brought into sync.")
    excluded: int = strawberry.field(description="How many are left out.")
    conflicted: int = strawberry.field(description="How many wait for a person's choice.")
    open_conflicts: int = strawberry.field(description="How many fields a person is asked about.")


@strawberry.type
class SyncStanding(SyncTally):
    """How one sync stands."""

    number: strawberry.Private[int]
    sync_id: strawberry.ID = strawberry.field(description="The sync's id.")
    phase: SyncPhase = strawberry.field(description="How far it is.")
    enabled: bool = strawberry.field(description="Whether it is on.")
    progress: SyncProgress | None = strawberry.field(
        description="How far the initial sync is, or was; null: it was never started."
    )
    applying: SyncProgress | None = strawberry.field(
        description="How far the preview is that is being applied; null: none is."
    )
    held: SyncHold | None = strawberry.field(description="Why it has stopped by itself; null: it has not.")
    connection_status: ConnectionStatus = strawberry.field(description="Whether its connection works.")
    connection_category: Category | None = strawberry.field(
        description="Why its connection is broken, or pauses; null: it is not, and does not."
    )
    paused_until: datetime | None = strawberry.field(
        description="Nothing is asked of the other app before this moment; null: it does not pause."
    )

    @strawberry.field
    async def sync(self, info: Info) -> Sync | None:
        """The sync as it is now; null where it was deleted since."""
        return await Sync.found(info.context, self.number)

    @classmethod
    def told(cls, standing: Standing, now: datetime) -> "SyncStanding":
        """How a sync stands, as clients see it."""
        row = standing.row
        paused = row.paused_until is not None and row.paused_until > now
        return cls(
            number=row.id,
            sync_id=strawberry.ID(ids.encode("sync", row.id)),
            phase=SyncPhase(row.phase),
            enabled=row.enabled,
            progress=SyncProgress.of(progress(row.progress, now, standing.recently)),
            applying=SyncProgress.of(progress(plan(row), now, standing.applied)),
            held=SyncHold.of(row.held),
            connection_status=ConnectionStatus(row.status),
            connection_category=Category(row.category)
            if row.category and (paused or row.status == "BROKEN")
            else None,
            paused_until=row.paused_until if paused else None,
            **tally([standing.counts]),
        )


@strawberry.type
class SyncStatus(SyncTally):
    """How a sync stands, or all together."""

    cursor: str = strawberry.field(
        description="Of the moment that is counted: passed as `after` to a stream of events, it tells all that "
        "came behind it."
    )
    at: datetime = strawberry.field(description="When it was counted.")
    syncs: list[SyncStanding] = strawberry.field(
        description="Sync by sync, in the order in which they were made."
    )

    @classmethod
    def of(cls, stood: Stood) -> "SyncStatus":
        """The counts as clients see them."""
        return cls(
            cursor=stood.cursor,
            at=stood.at,
            syncs=[SyncStanding.told(one, stood.at) for one in stood.syncs.values()],
            **tally(one.counts for one in stood.syncs.values()),
        )


def tally(several: Iterable[Counts]) -> dict[str, int]:
    """The members of `SyncTally` for these together."""
    found = dict.fromkeys(_STATES.values(), 0) | {"records": 0, "open_conflicts": 0}
    for one in several:
        for state, n in one.by_state.items():
            found[_STATES[state]] += n
            found["records"] += n
        found["open_conflicts"] += one.conflicts
    return found


_STATES = {
    "IN_SYNC": "in_sync",
    "PENDING": "pending",
    "FAILED": "failed",
    "EXCLUDED": "excluded",
    "CONFLICT": "conflicted",
}


@strawberry.type
class SyncStatusSubscription:
    """The stream of counts."""

    @strawberry.subscription(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def sync_status(
        self,
        info: Info,
        sync: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only this sync; null: all.")
        ] = None,
    ) -> AsyncGenerator[SyncStatus, None]:
        """How a sync stands, or how all do: first as it is now, then whenever it changes, a few times a second."""

        async def states() -> AsyncGenerator[SyncStatus, None]:
            async for stood in sync_standing.stream(info.context, sync):
                yield SyncStatus.of(stood)

        return cast("AsyncGenerator[SyncStatus, None]", StateStream(states))
