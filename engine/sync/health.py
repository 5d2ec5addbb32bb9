"""How a sync stands: its records by status and category, each with its attempts, and what can be done about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.sync.categories import TIPS, Again, Category, again
from storage.database import Queryable
from storage.sync import health, pages, standing
from storage.sync.health import AttemptRow
from storage.sync.links import LinkRow
from storage.sync.pages import ALL, STATES, Narrow

# What lists are narrowed to and made of is part of what health speaks of.
__all__ = ["NEWEST", "STATES", "Advice", "AttemptRow", "LinkRow", "Narrow", "Standing"]

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
class Advice:
    """What a category means for trying again, and what a person can do."""

    again: Again
    tip: str


def advice(category: str | None) -> Advice | None:
    """What is to be done about a failure of this category; None where it is none of `Category`."""
    known = Category.__members__.get(category or "")
    return None if known is None else Advice(again(known), TIPS[known])


async def standings(reader: Queryable, sync_ids: Sequence[int]) -> list[Standing]:
    """How these syncs stand, in the order asked."""
    found = {sync_id: Standing(dict.fromkeys(STATES, 0), {}) for sync_id in sync_ids}
    for one in await health.counts(reader, list(found)):
        states, categories = found[one.sync_id].by_state, found[one.sync_id].by_category
        states[one.state] = states.get(one.state, 0) + one.n
        if one.category is not None:
            categories[one.category] = categories.get(one.category, 0) + one.n
    open_ = await standing.conflicts(reader, list(found))
    return [
        Standing(found[sync_id].by_state, found[sync_id].by_category, open_.get(sync_id, 0))
        for sync_id in sync_ids
    ]


async def page(
    reader: Queryable,
    sync_ids: Sequence[int],
    narrow: Narrow = ALL,
    *,
    before: int = NEWEST,
    first: int = 50,
) -> list[LinkRow]:
    """Up to `first` links of these syncs with ids below `before`, newest first."""
    return await pages.page(reader, sync_ids, narrow, before=before, limit=first)


async def by_ids(reader: Queryable, link_ids: Sequence[int]) -> list[LinkRow | None]:
    """The links with these ids, in the order asked."""
    return await pages.by_ids(reader, link_ids)


async def of_records(reader: Queryable, record_ids: Sequence[int]) -> list[list[LinkRow]]:
    """All links of each of these records, in the order asked; a record's by id."""
    return await pages.of_records(reader, record_ids)


async def attempts(
    reader: Queryable, link_ids: Sequence[int], *, before: int = NEWEST, first: int = 50
) -> list[list[AttemptRow]]:
    """For each link up to `first` attempts with ids below `before`, newest first."""
    return await health.attempts(reader, link_ids, before=before, limit=first)
