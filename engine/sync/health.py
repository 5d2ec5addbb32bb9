"""How a sync stands: its records by status and category, each with its attempts, and what can be done about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from engine.sync.categories import TIPS, Again, Category, again
from storage.database import Queryable

if TYPE_CHECKING:
    from storage.sync.health import AttemptRow
    from storage.sync.links import LinkRow

# Above every id.
NEWEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Standing:
    """Numbers of a sync's records and items. `by_state` has every state, `by_category` those that occur."""

    by_state: dict[str, int]
    by_category: dict[str, int]
    # Fields about which a person is asked.
    conflicts: int = 0

    @property
    def total(self) -> int:
        """How many records and items there are, linked or not."""
        return sum(self.by_state.values())


@dataclass(frozen=True, slots=True)
class Narrow:
    """Which records of a list are meant; None: any. `since` and `until` are about when they last changed status."""

    states: tuple[str, ...] | None = None
    category: Category | None = None
    # Where it was to be written when it failed: OURS or THEIRS.
    side: str | None = None
    record_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What a category means for trying again, and what a person can do."""

    again: Again
    tip: str


def advice(category: Category) -> Advice:
    """What is to be done about a failure of this category."""
    return Advice(again(category), TIPS[category])


async def standings(reader: Queryable, sync_ids: Sequence[int]) -> list[Standing]:
    """How these syncs stand, in the order asked."""
    raise NotImplementedError


async def page(
    reader: Queryable,
    sync_ids: Sequence[int],
    narrow: Narrow | None = None,
    *,
    before: int = NEWEST,
    first: int = 50,
) -> list["LinkRow"]:
    """Up to `first` links of these syncs with ids below `before`, newest first."""
    raise NotImplementedError


async def by_ids(reader: Queryable, link_ids: Sequence[int]) -> list["LinkRow | None"]:
    """The links with these ids, in the order asked."""
    raise NotImplementedError


async def of_records(reader: Queryable, record_ids: Sequence[int]) -> list[list["LinkRow"]]:
    """All links of each of these records, in the order asked; a record's by id."""
    raise NotImplementedError


async def attempts(
    reader: Queryable, link_ids: Sequence[int], *, before: int = NEWEST, first: int = 50
) -> list[list["AttemptRow"]]:
    """For each link up to `first` attempts with ids below `before`, newest first."""
    raise NotImplementedError
