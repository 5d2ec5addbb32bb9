"""What went wrong with PostgreSQL itself, named by what can be done next."""

import enum

import asyncpg


class Fault(enum.Enum):
    """A failure of the database, not of the request's content."""

    # Two transactions met (deadlock, serialization): the same work may well succeed when it is done again.
    COLLIDED = "COLLIDED"
    # A statement ran longer than it may.
    TIMED_OUT = "TIMED_OUT"
    # No connection, or it was lost on the way: whether a transaction was committed is not known.
    DISCONNECTED = "DISCONNECTED"


_COLLIDED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
_DISCONNECTED = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    OSError,
)


def fault(error: BaseException | None) -> Fault | None:
    """The fault that `error` tells of; None where it is none of PostgreSQL's."""
    match error:
        case asyncpg.QueryCanceledError() | TimeoutError():
            return Fault.TIMED_OUT
        case _ if isinstance(error, _COLLIDED):
            return Fault.COLLIDED
        case _ if isinstance(error, _DISCONNECTED):
            return Fault.DISCONNECTED
        # The driver has one class for wrong use (a defect of ours) and for connections that are gone: closed, or, where
        # that happened between two statements, already taken back by its pool.
        case asyncpg.InterfaceError() if "clos" in str(error) or "released back" in str(error):
            return Fault.DISCONNECTED
        # What it says when a connection is lost in the middle of its own clearing up.
        case asyncpg.InternalClientError():
            return Fault.DISCONNECTED
        case _:
            return None
