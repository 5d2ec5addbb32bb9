"""Where a filter begins: with an index of its own values, at the far end of a part, or with every record of a type.

Nothing here is a join that the planner could turn round: with no statistics, as after an import, it compares every
record with every row of an index. Each range is followed by probes (LATERAL, LIMIT 1), or collected up to a limit
and looked for by id. A page of contacts of one of ten cities that have a decision maker's company of one of eight
industries (200,000 contacts) takes 3 ms along the index of cities, in which the records of one value stand in the
order of their ids; 3-7 by the documents alone. One contact of 200,000 by a rare value: 0.2 ms; by the documents 90.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.filters import far
from storage.filters.compile import FAR, Writer, compile, these
from storage.filters.indexes import all_selective, from_the_other_end, lookup
from storage.filters.tree import And, AssociatedLeaf, Filter, OneOf, Or, PropertyLeaf
from storage.filters.values import Add


@dataclass(frozen=True, slots=True)
class BothWays:
    """A condition in two ways, for whoever can find out which one is short.

    `near` is a SELECT of the ids (`id`) that the far end of one leaf leads to; `given` asks where those are at hand
    under the name that was told. The other way: `asked`, with this leaf decided.
    """

    near: str
    given: "Asked"
    decided: AssociatedLeaf | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Records that meet a filter: what follows FROM, the record's id as its index knows it, and the condition.

    Whether they are living ones of their type remains to be asked.
    """

    tables: str
    ident: str
    condition: str


def asked(filter_: Filter, record: str, add: Add, *, decided: AssociatedLeaf | None = None) -> Asked:
    """The records that meet `filter_`, begun with an index of their own values where it leads to them in order of ids.

    Not with a range: to look for each of its records by itself takes ten times as long as to read all of them, where
    it is not short (see `both_ways`). Fenced: as a mere join, on tables of which nothing is known yet, every record
    may be compared with every row of the index.
    """
    writer = Writer(record, add, decided)
    parts = filter_.parts if isinstance(filter_, And) else (filter_,)
    leaf = next((part for part in parts if _leads(part)), None)
    if not isinstance(leaf, PropertyLeaf):
        condition = writer.condition(filter_, record)
        return Asked(f"record AS {record}", f"{record}.id", f"{record}.account_id = $1 AND {condition}")
    alias = f"{record}_lead"
    table, conditions = writer.led(leaf, parts, record, alias)
    probed = (
        f"SELECT {record}_q.* FROM record AS {record}_q"
        f" WHERE {record}_q.account_id = $1 AND {record}_q.id = {alias}.record_id LIMIT 1"
    )
    tables = f"{table} CROSS JOIN LATERAL ({probed}) AS {record}"
    return Asked(tables, f"{alias}.record_id", " AND ".join(conditions))


def ident(filter_: Filter | None, record: str) -> str:
    """The id of records that `asked` reads page by page, as their index knows it."""
    parts = filter_.parts if isinstance(filter_, And) else (filter_,)
    return f"{record}_lead.record_id" if any(part and _leads(part) for part in parts) else f"{record}.id"


def both_ways(filter_: Filter, record: str, add: Add, name: str, *, ordered: bool = False) -> BothWays | None:
    """The condition in both ways, if one of its parts is begun at its far end, or with an index.

    `ordered`: for whoever reads in another order than that of ids, in which the index of one value has them.
    """
    parts = filter_.parts if isinstance(filter_, And) else (filter_,)
    led = any(_leads(part) for part in parts)
    ranges = next((found for part in parts if (ordered or not led) and (found := _range(part))), None)
    # How many a range has, far away, is looked at before they are begun with; one of the record's own is nearer.
    leaf = next(
        (
            part
            for far_ranges in ((False,) if ranges else (False, True))
            for part in parts
            if isinstance(part, AssociatedLeaf) and from_the_other_end(part, ranges=far_ranges)
        ),
        None,
    )
    if leaf and leaf.where and not (ordered and ranges):
        near = Writer(f"{record}_n", add).far(leaf.reach, leaf.where)
        given = Writer(record, add, leaf, name).condition(filter_, record)
    elif ranges:
        near, leaf = far.range_of(ranges, Writer(f"{record}_n", add).alias, add), None
        given = f"{these(f'{record}.id', name)} AND {compile(filter_, record, add)}"
    else:
        return None
    return BothWays(
        near, Asked(f"record AS {record}", f"{record}.id", f"{record}.account_id = $1 AND {given}"), leaf
    )


def counted(filter_: Filter, object_type: str, record: str, add: Add) -> str:
    """How many living records meet `filter_`, as an expression; `object_type` is the place of their type's id.

    Begun at the far end of a part where that leads to few enough, else record by record.
    """
    near = f"{record}_near"
    ways = both_ways(filter_, record, add, near)

    def count(some: Asked) -> str:
        return (
            f"(SELECT count(*) FROM {some.tables} WHERE {record}.object_type_id = {object_type}"
            f" AND {record}.archived_at IS NULL AND {some.condition})"
        )

    other = count(asked(filter_, record, add, decided=ways.decided if ways else None))
    if ways is None:
        return other
    return (
        f"(WITH {near} AS MATERIALIZED ({ways.near} LIMIT {FAR + 1})"
        f" SELECT CASE WHEN (SELECT count(*) FROM {near} AS {record}_c) <= {FAR}"
        f" THEN {count(ways.given)} ELSE {other} END)"
    )


def _range(filter_: Filter) -> Sequence[PropertyLeaf] | None:
    """The leaves, any of which will do, whose rows in indexes find all who meet a part."""
    match filter_:
        case PropertyLeaf(index=index) if index is not None:
            return (filter_,)
        case Or(parts) if all_selective(parts):
            return [part for part in parts if isinstance(part, PropertyLeaf)]
        case _:
            return None


def _leads(filter_: Filter) -> bool:
    """Whether a leaf has one row in a side table for each record that meets it, all of them in one place."""
    if not isinstance(filter_, PropertyLeaf) or filter_.index is None:
        return False
    # One value of one property; booleans are looked up as a list.
    one = isinstance(filter_.test, OneOf) and len(filter_.test.values) == 1
    return one and not isinstance(lookup(filter_), list)
