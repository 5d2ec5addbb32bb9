"""Many rows and keys in one statement. With PostgreSQL that is a parameter for each column, where one for each value
costs more to be put into words than the row costs to be written.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine

from engine.sync.connectors.sql.tables import compared

T = TypeVar("T")

# Of which arrays are made as their values are. Enumerations have a type of their own, arrays would lose their shape.
_PLAIN = (sa.String, sa.Integer, sa.Numeric, sa.Boolean, sa.Uuid, sa.Date, sa.DateTime)
# Where the place of a row stands.
PLACE = "place"
# Values that are asked for in one statement.
MOST = 1_000


def lots(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many at a time as one statement asks for."""
    for start in range(0, len(values), MOST):
        yield values[start : start + MOST]


def is_one_of_keys(
    connection: sa.Connection, column: sa.Column[Any], keys: Sequence[Any]
) -> sa.ColumnElement[bool]:
    """Whether a column of a key holds one of these."""
    return is_one_of(connection, column, compared(column), keys)


def is_one_of(
    connection: sa.Connection, compares: sa.ColumnElement[Any], type_: TypeEngine[Any], values: Sequence[Any]
) -> sa.ColumnElement[bool]:
    """Whether something of this type is one of these values."""
    if takes(connection, type_):
        return compares == sa.any_(sa.bindparam(None, list(values), type_=ARRAY(type_)))
    return compares.in_(sa.bindparam(None, list(values), expanding=True, type_=type_))


def takes(connection: sa.Connection, type_: TypeEngine[Any]) -> bool:
    """Whether values of this type go as an array."""
    return (
        connection.dialect.name == "postgresql"
        and isinstance(type_, _PLAIN)
        and not isinstance(type_, sa.Enum)
    )


def rows(
    connection: sa.Connection, types: Mapping[str, TypeEngine[Any]], given: Sequence[Mapping[str, Any]]
) -> TableValuedAlias | None:
    """Rows by the names of `types`, and their `PLACE`, to be selected from; None where they cannot be given so."""
    if len(given) < 2 or not types or not all(takes(connection, type_) for type_ in types.values()):
        return None
    arrays = []
    for name, type_ in types.items():
        values = [one[name] for one in given]
        if len({type(value) for value in values if value is not None}) > 1:
            return None
        arrays.append(sa.bindparam(None, values, type_=ARRAY(type_)))
    columns = [sa.column(name, type_) for name, type_ in types.items()]
    return sa.func.unnest(*arrays).table_valued(*columns, with_ordinality=PLACE).render_derived()
