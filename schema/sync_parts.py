"""The parts of a sync as clients see them: how far it is, how it stands, what its rules are made of."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import strawberry

from engine import ids
from engine.naming import counted
from engine.sync import resting
from engine.sync.categories import Again, Category
from engine.sync.health import Standing, advice
from engine.sync.rules import Deletes, Direction, Policy, Side, Test
from engine.sync.standing import Progress
from schema.apps import Field as RemoteField
from schema.apps import Role as RemoteRole
from schema.labels import AssociationType
from schema.properties import Property


@strawberry.type
class SyncProgress:
    """How far an initial sync is, or a preview that is being applied."""

    done: int = strawberry.field(
        description="How many items and records were looked at; of a preview: how many of its items were dealt with."
    )
    total: int | None = strawberry.field(
        description="How many there are in all; null: the app does not say beforehand."
    )
    per_second: float | None = strawberry.field(
        description="How many are looked at a second; null: none yet."
    )
    seconds_left: float | None = strawberry.field(
        description="For how long it will go on, at this rate; null: it is over, or nobody knows."
    )
    started_at: datetime | None = strawberry.field(description="When it began.")
    ended_at: datetime | None = strawberry.field(description="When it was over; null: it is not.")

    @classmethod
    def of(cls, found: Progress | None) -> "SyncProgress | None":
        """The progress as clients see it."""
        if found is None:
            return None
        return cls(
            done=found.done,
            total=found.total,
            per_second=None if found.per_second is None else round(found.per_second, 1),
            seconds_left=None if found.left is None else round(found.left.total_seconds(), 1),
            started_at=found.started_at,
            ended_at=found.ended_at,
        )


@strawberry.type
class SyncHold:
    """Why a sync has stopped by itself."""

    category: str = strawberry.field(
        description="DELETES_HELD: it would delete more than it may without asking (see `confirmSyncDeletes`); "
        "else a SyncCategory."
    )
    message: str = strawberry.field(description="The same in words.")
    tip: str | None = strawberry.field(description="What a person can do about it.")
    until: datetime | None = strawberry.field(
        description="When it is tried again by itself; null: it waits for a person."
    )
    side: Side | None = strawberry.field(description="The side on which records would be deleted.")
    count: int | None = strawberry.field(description="How many would be deleted.")
    of_records: int | None = strawberry.field(name="of", description="Of how many.")

    @classmethod
    def of(cls, held: Mapping[str, Any] | None) -> "SyncHold | None":
        """What is kept of it, as clients see it."""
        if held is None:
            return None
        side, known = held.get("side"), advice(held["category"])
        return cls(
            tip=None if known is None else known.tip,
            until=resting.until(held),
            category=held["category"],
            message=held.get("message") or _told(held),
            side=None if side is None else Side(side),
            count=held.get("count"),
            of_records=held.get("of"),
        )


def _told(held: Mapping[str, Any]) -> str:
    if held["category"] == "DELETES_HELD" and "count" in held and "of" in held:
        return (
            f"{held['count']:,} of {counted(held['of'], 'record', 'records')} would be deleted, more than this sync "
            "may without asking: confirm or refuse it with confirmSyncDeletes."
        )
    return f"It has stopped: {held['category']}."


@strawberry.type
class SyncCategoryCount:
    """Records and items for which one cause is known."""

    category: Category = strawberry.field(description="The cause.")
    count: int = strawberry.field(description="How many.")
    retry_class: Again = strawberry.field(description="What that means for trying again.")
    tip: str = strawberry.field(description="What can be done about it.")


@strawberry.type
class SyncCounts:
    """Numbers of a sync's records and items, linked or not."""

    records: int = strawberry.field(description="How many there are.")
    in_sync: int = strawberry.field(description="How many hold the same on both sides.")
    pending: int = strawberry.field(description="How many have something still to be done.")
    failed: int = strawberry.field(description="How many could not be brought into sync.")
    excluded: int = strawberry.field(description="How many are left out.")
    conflicted: int = strawberry.field(description="How many wait for a person's choice.")
    open_conflicts: int = strawberry.field(description="How many fields a person is asked about.")
    by_category: list[SyncCategoryCount] = strawberry.field(
        description="The causes, the most frequent first."
    )

    @classmethod
    def of(cls, found: Standing) -> "SyncCounts":
        """The counts as clients see them."""
        causes = [
            (Category(name), n) for name, n in found.by_category.items() if name in Category.__members__
        ]
        state = found.by_state
        return cls(
            records=found.total,
            in_sync=state.get("IN_SYNC", 0),
            pending=state.get("PENDING", 0),
            failed=state.get("FAILED", 0),
            excluded=state.get("EXCLUDED", 0),
            conflicted=state.get("CONFLICT", 0),
            open_conflicts=found.conflicts,
            by_category=[_cause(one, n) for one, n in sorted(causes, key=lambda each: (-each[1], each[0]))],
        )


def _cause(category: Category, count: int) -> SyncCategoryCount:
    what = advice(category)
    assert what is not None  # it is one of ours
    return SyncCategoryCount(category=category, count=count, retry_class=what.again, tip=what.tip)


@strawberry.type
class SyncOptionPair:
    """Two options that stand for the same."""

    ours: str = strawberry.field(description="The value of the option of our property.")
    theirs: str = strawberry.field(description="The value of the option of their field.")


@strawberry.type
class SyncMapping:
    """A property of ours and a field of theirs that hold the same."""

    id: strawberry.ID | None = strawberry.field(description="The mapping's id; null: it is a proposal.")
    property: Property | None = strawberry.field(description="The property; null: it is not there any more.")
    field: str = strawberry.field(description="The name of the field of the other app.")
    remote_field: RemoteField | None = strawberry.field(
        description="The field as the app describes it; null: it is not there any more."
    )
    direction: Direction = strawberry.field(description="Which way changes of it go.")
    policy: Policy | None = strawberry.field(
        description="Who wins where both sides have changed it; null: as the sync says."
    )
    options: list[SyncOptionPair] = strawberry.field(
        description="Which options stand for each other, where they are not called alike."
    )
    enabled: bool = strawberry.field(description="Whether it is kept in sync.")
    custom: bool = strawberry.field(
        description="Whether a person has added it: it is none of the app's defaults."
    )
    required: bool = strawberry.field(description="Whether one of the sides takes no new record without it.")

    @classmethod
    def made(
        cls,
        property: Property | None,
        field: str,
        remote: RemoteField | None,
        row: Any,
        ident: int | None,
    ) -> "SyncMapping":
        """The mapping as clients see it; `row` has what was chosen for it."""
        return cls(
            id=None if ident is None else strawberry.ID(ids.encode("mapping", ident)),
            property=property,
            field=field,
            remote_field=remote,
            direction=Direction(row.direction),
            policy=None if row.policy is None else Policy(row.policy),
            options=[SyncOptionPair(ours=ours, theirs=theirs) for ours, theirs in row.options.items()],
            enabled=row.enabled,
            custom=row.custom,
            required=bool((property and property.required) or (remote and remote.required)),
        )


@strawberry.type
class SyncRole:
    """An association type of ours and a role of theirs that say the same."""

    association_type: AssociationType | None = strawberry.field(
        description="The association type, read at the synced record; null: it is not there any more."
    )
    role: str = strawberry.field(description="The name of the role in the other app.")
    remote_role: RemoteRole | None = strawberry.field(
        description="The role as the app describes it; null: it is not there any more."
    )
    direction: Direction = strawberry.field(description="Which way changes of it go.")
    other_sync_id: strawberry.ID | None = strawberry.field(
        description="The sync of the records at the other end; null: those are not synced, so nothing is done."
    )


@strawberry.type
class SyncMatcher:
    """A property and a field by which a record and an item that do not know each other are found to be the same."""

    property: str = strawberry.field(description="The internal name of the property.")
    field: str = strawberry.field(description="The name of the field of the other app.")


@strawberry.type
class RemoteCondition:
    """Something that a field of theirs must be like."""

    field: str = strawberry.field(description="The name of the field of the other app.")
    test: Test = strawberry.field(description="What it must be like.")
    values: list[str] = strawberry.field(description="What it is compared with.")


@strawberry.type
class SyncOptions:
    """What else is chosen for a sync."""

    without_email: bool = strawberry.field(
        description="Whether contacts without a valid e-mail address are synced, too."
    )
    pause_outside_filter: bool = strawberry.field(
        description="Whether a record that leaves the filter is not kept in sync until it is back."
    )
    deletes: Deletes = strawberry.field(
        description="What becomes of a record or item whose other half was deleted."
    )
    delete_share: float = strawberry.field(
        description="The largest share of linked records that one run may delete without asking."
    )
    all_companies: bool = strawberry.field(
        description="Whether all associated companies are synced; else the primary one alone."
    )
    pace_seconds: float | None = strawberry.field(
        description="How often the app is asked for changes; null: at its own pace."
    )
    sweep_seconds: float | None = strawberry.field(
        description="How often everything is read; null: as the app needs it."
    )
