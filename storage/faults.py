"""What went wrong with PostgreSQL itself, named by what can be done next."""

import enum
import ssl

import asyncpg


class Fault(enum.Enum):
    """A failure of the database, not of the request's content."""

    # Two transactions met (deadlock, serialization): the same work may well succeed when it is done again.
    COLLIDED = "COLLIDED"
    # A statement ran longer than it may.
    TIMED_OUT = "TIMED_OUT"
    # No connection, or it was lost on the way: whether a transaction was committed is not known. Or nothing can be
    # written there. Neither says anything of the work: it is done when the database is back.
    DISCONNECTED = "DISCONNECTED"


_COLLIDED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
_DISCONNECTED = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    # Not all that PostgreSQL can run out of: memory may be one statement's doing.
    asyncpg.DiskFullError,
    # A standby, or a server that was made one.
    asyncpg.ReadOnlySQLTransactionError,
    OSError,
)


class Away(enum.Enum):
    """Why a server takes no connection now, though it may take one soon."""

    # It answers that it starts, recovers what a crash has left, or stops: how long that takes is its own affair.
    BUSY = "BUSY"
    # Nobody answers, or nobody else is let in.
    UNREACHABLE = "UNREACHABLE"


_UNREACHABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    # Nobody listens, a socket or a name that is not there (yet), a connection that breaks.
    OSError,
)
# What waiting does not change: a certificate that is not believed, and files that may not be read.
_FOR_GOOD = (ssl.SSLError, PermissionError, IsADirectoryError, NotADirectoryError)


def away(error: BaseException) -> Away | None:
    """Why connecting failed, if it may work later; None where it fails for good (no such user, no such database)."""
    match error:
        case asyncpg.CannotConnectNowError():
            return Away.BUSY
        case asyncpg.QueryCanceledError():
            return None
        # The driver's own: a server that refuses to encrypt where the address demands it.
        case ConnectionError() if type(error) is ConnectionError:
            return None
        case _ if isinstance(error, _FOR_GOOD):
            return None
        case _ if isinstance(error, _UNREACHABLE):
            return Away.UNREACHABLE
        case _:
            return None


def unreadable(error: BaseException) -> bool:
    """Whether the address of a server says what cannot be, such as a way to encrypt that does not exist."""
    return isinstance(error, asyncpg.exceptions.ClientConfigurationError)


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
