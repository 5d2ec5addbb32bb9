"""Join tables: what they hold of some rows, and the associations in them, made and taken away."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from engine.sync.connectors.protocol import Links
from engine.sync.connectors.sql import many
from engine.sync.connectors.sql.entering import end
from engine.sync.connectors.sql.tables import Bound, Join, Joined, compared, raw


def joined(connection: sa.Connection, bound: Bound, rows: Sequence[Any]) -> Joined | None:
    """What join tables hold of these rows, which begin with their keys; None where there is nothing to ask."""
    if not bound.joins or not rows:
        return None
    own = [row[0] for row in rows]
    return {join.role: _others(connection, join, own) for join in bound.joins}


def _others(connection: sa.Connection, join: Join, own: Sequence[Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    asked = sa.select(raw(join.own), raw(join.other))
    for lot in many.lots(own):
        for one, other in connection.execute(asked.where(many.is_one_of_keys(connection, join.own, lot))):
            found.setdefault(str(one), []).append(str(other))
    return {one: tuple(sorted(others)) for one, others in found.items()}


def concerned(bound: Bound, links: Links) -> bool:
    """Whether anything changes in join tables."""
    return any(links.added.get(join.role) or links.removed.get(join.role) for join in bound.joins)


def associate(connection: sa.Connection, bound: Bound, own: Any, links: Links) -> None:
    """Add and remove the associations of the row with this key; those that stand already stay."""
    for join in bound.joins:
        added, removed = links.added.get(join.role, ()), links.removed.get(join.role, ())
        here = join.own == sa.bindparam(None, own, type_=compared(join.own))
        if gone := [end(join.other, each) for each in removed]:
            leads = many.is_one_of_keys(connection, join.other, gone)
            connection.execute(sa.delete(join.table).where(here, leads))
        if wanted := list(dict.fromkeys(end(join.other, each) for each in added)):
            leads = many.is_one_of_keys(connection, join.other, wanted)
            there = set(map(str, connection.scalars(sa.select(join.other).where(here, leads))))
            new = [each for each in wanted if str(each) not in there]
            if new:
                rows = [{join.own.name: own, join.other.name: each} for each in new]
                connection.execute(sa.insert(join.table), rows)


def dissociate(connection: sa.Connection, bound: Bound, own: Sequence[Any]) -> None:
    """Remove all associations of the rows with these keys."""
    for join in bound.joins:
        connection.execute(sa.delete(join.table).where(many.is_one_of_keys(connection, join.own, own)))
