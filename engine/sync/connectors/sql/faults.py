"""What a database says went wrong, named by what is done next: by SQLSTATE, error number or SQLite's name."""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exc

from engine.sync.categories import Category
from engine.sync.connectors.protocol import (
    ConnectorError,
    Disconnected,
    Exists,
    Rejected,
    Retry,
    Unclear,
)

_POSTGRESQL: tuple[tuple[str, type[ConnectorError], Category], ...] = (
    ("23502", Rejected, Category.REQUIRED_FIELD_MISSING),
    ("23503", Rejected, Category.RECORD_NOT_FOUND),
    ("23505", Exists, Category.UNIQUE_VALUE_CONFLICT),
    ("23P01", Exists, Category.UNIQUE_VALUE_CONFLICT),
    ("23", Rejected, Category.VALIDATION_REJECTED),
    ("22001", Rejected, Category.VALUE_TOO_LONG),
    ("22", Rejected, Category.INVALID_VALUE),
    ("25006", Rejected, Category.MISSING_PERMISSION),
    ("40", Retry, Category.REMOTE_UNAVAILABLE),
    ("55P03", Retry, Category.REMOTE_UNAVAILABLE),
    ("57014", Retry, Category.REMOTE_UNAVAILABLE),
    ("42501", Rejected, Category.MISSING_PERMISSION),
    ("42P01", Rejected, Category.PROPERTY_NOT_FOUND),
    ("42703", Rejected, Category.PROPERTY_NOT_FOUND),
    ("42804", Rejected, Category.TYPE_MISMATCH),
    ("P0", Rejected, Category.VALIDATION_REJECTED),
    ("28", Disconnected, Category.AUTHENTICATION_EXPIRED),
    ("3D", Disconnected, Category.MISSING_PERMISSION),
    ("08", Disconnected, Category.REMOTE_UNAVAILABLE),
    ("53", Disconnected, Category.REMOTE_UNAVAILABLE),
    ("57P", Disconnected, Category.REMOTE_UNAVAILABLE),
)
_MYSQL: dict[int, tuple[type[ConnectorError], Category]] = {
    **dict.fromkeys((1048, 1364), (Rejected, Category.REQUIRED_FIELD_MISSING)),
    **dict.fromkeys((1062, 1586), (Exists, Category.UNIQUE_VALUE_CONFLICT)),
    **dict.fromkeys((1216, 1452), (Rejected, Category.RECORD_NOT_FOUND)),
    **dict.fromkeys((1217, 1451, 1644, 3819, 4025), (Rejected, Category.VALIDATION_REJECTED)),
    1406: (Rejected, Category.VALUE_TOO_LONG),
    **dict.fromkeys((1264, 1265, 1292, 1366, 1411), (Rejected, Category.INVALID_VALUE)),
    **dict.fromkeys((1142, 1143, 1290, 1792, 1836), (Rejected, Category.MISSING_PERMISSION)),
    **dict.fromkeys((1146, 1054), (Rejected, Category.PROPERTY_NOT_FOUND)),
    **dict.fromkeys((1205, 1213, 1969, 3024), (Retry, Category.REMOTE_UNAVAILABLE)),
    **dict.fromkeys((1045, 1698, 1862), (Disconnected, Category.AUTHENTICATION_EXPIRED)),
    **dict.fromkeys((1044, 1049, 1130), (Disconnected, Category.MISSING_PERMISSION)),
    **dict.fromkeys(
        (1040, 1053, 1077, 1927, 2002, 2003, 2006, 2013), (Disconnected, Category.REMOTE_UNAVAILABLE)
    ),
}
_SQLITE: tuple[tuple[str, type[ConnectorError], Category], ...] = (
    ("SQLITE_CONSTRAINT_NOTNULL", Rejected, Category.REQUIRED_FIELD_MISSING),
    ("SQLITE_CONSTRAINT_FOREIGNKEY", Rejected, Category.RECORD_NOT_FOUND),
    ("SQLITE_CONSTRAINT_UNIQUE", Exists, Category.UNIQUE_VALUE_CONFLICT),
    ("SQLITE_CONSTRAINT_PRIMARYKEY", Exists, Category.DUPLICATE_RECORD),
    ("SQLITE_CONSTRAINT_ROWID", Exists, Category.DUPLICATE_RECORD),
    ("SQLITE_CONSTRAINT", Rejected, Category.VALIDATION_REJECTED),
    ("SQLITE_TOOBIG", Rejected, Category.VALUE_TOO_LONG),
    ("SQLITE_MISMATCH", Rejected, Category.TYPE_MISMATCH),
    ("SQLITE_BUSY", Retry, Category.REMOTE_UNAVAILABLE),
    ("SQLITE_LOCKED", Retry, Category.REMOTE_UNAVAILABLE),
    ("SQLITE_READONLY", Rejected, Category.MISSING_PERMISSION),
    ("SQLITE_CANTOPEN", Disconnected, Category.REMOTE_UNAVAILABLE),
    ("SQLITE_IOERR", Disconnected, Category.REMOTE_UNAVAILABLE),
    ("SQLITE_FULL", Disconnected, Category.REMOTE_UNAVAILABLE),
    ("SQLITE_NOTADB", Disconnected, Category.MISSING_PERMISSION),
    ("SQLITE_CORRUPT", Disconnected, Category.REMOTE_UNAVAILABLE),
)
# libpq tells of a refused sign-in in words alone.
_REFUSED = ("authentication", "no password supplied", "pg_hba.conf", 'FATAL:  role "')
# Where the others name the column at fault.
_COLUMN = re.compile(r"(?:Column|Field|column|for column) '([^'.]+)'|constraint failed: [^.\s]+\.(\w+)")


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong. `lost`: the connection is gone, so nobody knows what became of a commit."""

    error: ConnectorError
    lost: bool = False

    def of_all(self) -> ConnectorError:
        """The same where the whole request failed by it: what no item is at fault for."""
        if isinstance(self.error, Disconnected | Retry):
            return self.error
        if self.error.category is Category.MISSING_PERMISSION:
            return Disconnected(self.error.message, Category.MISSING_PERMISSION)
        return self.error

    def of_commit(self) -> ConnectorError:
        """The same where it happened while a commit was under way."""
        return Unclear(self.error.message) if self.lost else self.error


def fault(error: exc.SQLAlchemyError) -> Fault:
    """What an error of the database means."""
    driver: Any = getattr(error, "orig", None)
    lost = bool(getattr(error, "connection_invalidated", False))
    if driver is None:
        return Fault(Rejected(_words(error), Category.INVALID_VALUE), lost)
    message = _words(driver)
    kind, category = _known(driver, message)
    if isinstance(error, exc.DBAPIError) and kind is ConnectorError:
        if lost or isinstance(error, exc.OperationalError | exc.InterfaceError):
            kind, category = Disconnected, Category.REMOTE_UNAVAILABLE
        elif isinstance(error, exc.DataError):
            kind, category = Rejected, Category.INVALID_VALUE
        else:
            kind, category = Rejected, Category.VALIDATION_REJECTED
    if kind is Disconnected and category is Category.REMOTE_UNAVAILABLE:
        lost = True
    if kind is Rejected:
        return Fault(Rejected(message, category, _field(driver, message)), lost)
    if kind is Exists and (diagnosis := getattr(driver, "diag", None)) is not None:
        # PostgreSQL names the columns and what they hold in the detail alone.
        message = f"{message}: {diagnosis.message_detail}"[:500] if diagnosis.message_detail else message
    return Fault(kind(message, category), lost)


def _known(driver: Any, message: str) -> tuple[type[ConnectorError], Category]:
    """By the code that came with it; ConnectorError itself where there is none, or none that we know."""
    if (state := getattr(driver, "sqlstate", None)) is not None:
        for prefix, kind, category in _POSTGRESQL:
            if state.startswith(prefix):
                return kind, category
    elif (name := getattr(driver, "sqlite_errorname", None)) is not None:
        for prefix, kind, category in _SQLITE:
            if name.startswith(prefix):
                return kind, category
    elif driver.args and isinstance(driver.args[0], int):
        return _MYSQL.get(driver.args[0], (ConnectorError, Category.UNKNOWN))
    elif any(words in message for words in _REFUSED):
        return Disconnected, Category.AUTHENTICATION_EXPIRED
    return ConnectorError, Category.UNKNOWN


def _field(driver: Any, message: str) -> str | None:
    """The column at fault, where it is named."""
    if (diagnosis := getattr(driver, "diag", None)) is not None:
        name: str | None = diagnosis.column_name
        return name
    if found := _COLUMN.search(message):
        return found[1] or found[2]
    return None


def _words(error: BaseException) -> str:
    """What is said to people: the driver's first line, without statement and parameters."""
    said = error.args[1] if len(error.args) > 1 and isinstance(error.args[0], int) else error
    lines = str(said).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:500]
