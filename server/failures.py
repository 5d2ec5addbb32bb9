"""Work that failed and is tried again: how long it rests, and how loudly that is told."""

import structlog

from storage.faults import Fault, fault

# Between attempts, in seconds: twice as long each time, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0


def tell_failure(log: structlog.stdlib.BoundLogger, duty: str, error: Exception, pause: float) -> None:
    """Say that a piece of work failed and is tried again in `pause` seconds: as loudly as somebody must look at it."""
    match fault(error):
        case Fault.DISCONNECTED:
            log.warning("the database cannot be reached", duty=duty, error=repr(error), pause=pause)
        case Fault.COLLIDED | Fault.TIMED_OUT:
            log.info("another transaction was in the way", duty=duty, error=repr(error), pause=pause)
        case None:
            log.error("unexpected error", duty=duty, pause=pause, exc_info=error)
