"""Associations as they stood at a time: those that still do, and those that were taken away later.

A row in `association` says since when it stands, a row in `association_history` from when until when. Both tables
have the same front of their primary keys, so a record's past is read as its present is: along an index.
"""

from storage.selection.sql import Params
from storage.selection.tree import Associated

_COLUMNS = ("account_id", "from_id", "to_object_type_id", "to_id", "type_id", "created_at", "source")


def associations(source: Associated, params: Params) -> str:
    """What stands in FROM for the table `association`, at the time that the source is about."""
    if source.as_of is None:
        return "association"
    then = params.add(source.as_of, "timestamptz")
    standing, gone = (", ".join(f"{alias}.{name}" for name in _COLUMNS) for alias in ("o", "h"))
    return (
        f"(SELECT {standing} FROM association AS o WHERE o.account_id = $1 AND o.created_at <= {then} "
        f"UNION ALL SELECT {gone} FROM association_history AS h WHERE h.account_id = $1 "
        f"AND h.created_at <= {then} AND h.removed_at > {then})"
    )


def visible(source: Associated, params: Params, record: str) -> str:
    """That the record at the other end is there; what was archived or merged away later was there then."""
    there = f"{record}.archived_at IS NULL"
    if source.as_of is None:
        return there
    return f"({there} OR {record}.archived_at > {params.add(source.as_of, 'timestamptz')})"
