"""When what failed is tried again: by category, later each time, and not everything at once. Pure."""

import hashlib
from datetime import datetime, timedelta

from engine.sync.categories import Again, Category, again

# The first pause, and the longest; each is twice the one before.
FIRST, LONGEST = timedelta(seconds=5), timedelta(hours=1)
# After so many attempts the pause is as long as it gets: 5 s * 2^10 is more than an hour.
_STEPS = 10
# A pause is this much shorter or longer, so that a thousand failures of one moment do not come back in one moment.
SPREAD = 0.25
# What waits for another record is told when that is linked: it is only looked at now and then, should that be missed.
WAITING = timedelta(minutes=15)


def retried(category: Category) -> bool:
    """Whether a failure of this category is tried again by itself."""
    return again(category) is Again.RETRY


def pause(attempts: int, key: str, *, after: timedelta | None = None) -> timedelta:
    """How long to wait after attempt number `attempts` (from 1 on) failed.

    `key` names what is tried (a link's or an item's id): it decides how far the pause is from its middle, so the same
    attempt always waits as long. `after`: how long the other side has asked us to wait at least.
    """
    middle: timedelta = min(FIRST * 2 ** min(max(attempts - 1, 0), _STEPS), LONGEST)
    spread: timedelta = middle * (1 + SPREAD * (2 * _share(f"{key}.{attempts}") - 1))
    # What was asked for is the least: the spread goes on top of it.
    return spread if after is None else max(spread, after * (1 + SPREAD * _share(f"{key}+{attempts}")))


def due(
    category: Category, attempts: int, key: str, now: datetime, *, after: timedelta | None = None
) -> datetime | None:
    """When a failure of this category is tried again by itself; None: not before somebody has changed something."""
    if not retried(category):
        return None
    if category is Category.WAITING_FOR_ASSOCIATED_RECORD:
        return now + WAITING * (1 + SPREAD * _share(key))
    return now + pause(attempts, key, after=after)


def _share(text: str) -> float:
    """A number in [0, 1) that looks like chance and is none: the same text has the same."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) / 2**32
