"""What a runner makes of its steps: what it rested for is over, it waits for the next one, or it goes. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

# A connector is kept open as long as something is due within this time.
KEPT = timedelta(seconds=60)
# Looks that commits ask for come no closer than this.
CLOSEST = timedelta(seconds=0.01)
# Whoever has done nothing for longer goes where others wait for its place.
IDLE = timedelta(seconds=1)
# Steps after which what a sync rested for is over, should there be more to do.
SURE = 20


@dataclass(frozen=True, slots=True)
class Stay:
    """What a runner knows of its sync between two steps."""

    # Whether the connection rested, and the app has not answered since.
    paused: bool = False
    # Whether the sync rested, and it has not been seen to work since.
    rested: bool = False
    # Whether all that was due was done, at some time: what fails later is another trouble.
    settled: bool = False
    steps: int = 0


def busy(at: datetime | None, now: datetime) -> bool:
    """Whether there is more to do at once: what is next is due `at`, as a step at `now` has told."""
    return at is not None and at <= now


def stepped(stay: Stay, at: datetime | None, now: datetime, *, answered: bool) -> Stay:
    """After another step, at `now`, behind which the next is due `at`. `answered`: whether the app ever has."""
    steps = stay.steps + 1
    settled = stay.settled or steps >= SURE or not busy(at, now)
    return Stay(
        paused=stay.paused and not answered,
        rested=stay.rested and not settled,
        settled=settled,
        steps=steps,
    )


def waits(
    at: datetime | None, now: datetime, *, idle: timedelta, push: bool, crowded: bool
) -> timedelta | None:
    """How long a runner waits for news, at most, before it looks again; None: it closes its connector and goes.

    `idle`: how long it has done nothing; `push`: whether its connector listens to the app; `crowded`: whether others
    wait for its place.
    """
    if not push and (at is None or at - now > KEPT or (crowded and idle > IDLE)):
        return None
    return KEPT if at is None else min(max(at - now, CLOSEST), KEPT)
