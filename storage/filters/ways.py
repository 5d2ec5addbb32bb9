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
from storage.filters.indexes import from_the_other_end, lookup, selective
from storage.filters.tree import And, AssociatedLeaf, Filter, Index, OneOf, Or, PropertyLeaf
from storage.filters.values import Add

# So many ids that are found before a page is made are begun with; where there are more, one is full after some thousand
# records at most. To collect associations of a far end takes a millisecond or two.
FEW = 1_000
# The same for texts that are found by their parts: as many are collected as soon as others are met, of two million.
FEW_BY_PARTS = 5_000
# Of so many records it is looked at how many have a text before all that have its parts are collected, which takes a
# third of a second where two million have them. Where so many of these do, a page is soon full.
SAMPLE = 1_000
COMMON = 20
# So many ids at hand are looked for one by one in no more time than as a list, which version 16 of PostgreSQL may take
# for a filter on all records of an account that its statistics do not know. Of 10,000 a list takes half the time.
PROBED = 1_000


@dataclass(frozen=True, slots=True)
class BothWays:
    """A condition in two ways, for whoever can find out which one is short.

    `near` is a SELECT of the ids (`id`) that the far end of one leaf leads to; where those are at hand under the name
    that was told, `probed` looks for them one by one, in the order of ids, and `given` for all of them. The other way:
    `asked`, with this leaf decided.
    """

    near: str
    probed: "Asked"
    given: "Asked"
    decided: AssociatedLeaf | None
    # Leaves of which more records than `few` meet any, where the other way is gone; of parts of texts alone.
    common: Sequence[PropertyLeaf]
    # So many ids are worth to begin a page with that is read in their order.
    few: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Records that meet a filter: what follows FROM, the record's id as its index knows it, and the condition.

    Whether they are living ones of their type remains to be asked.
    """

    tables: str
    ident: str
    condition: str


def asked(
    filter_: Filter,
    record: str,
    add: Add,
    *,
    decided: AssociatedLeaf | None = None,
    common: Sequence[PropertyLeaf] = (),
) -> Asked:
    """The records that meet `filter_`, begun with an index of their own values where it leads to them in order of ids.

    Not with a range: to look for each of its records by itself takes ten times as long as to read all of them, where
    it is not short (see `both_ways`). Fenced: as a mere join, on tables of which nothing is known yet, every record
    may be compared with every row of the index.
    """
    writer = Writer(record, add, decided, common=common)
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
    found = [each for part in parts if (each := _range(part))]
    # Parts of texts first: few records have them, and no more of these are begun with than are worth it.
    ranges = next(filter(_of_parts, found), found[0] if found and (ordered or not led) else None)
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
    few = FEW
    common: Sequence[PropertyLeaf] = ()
    if leaf and leaf.where and not (ordered and ranges):
        near = Writer(f"{record}_n", add).far(leaf.reach, leaf.where)
    elif ranges:
        near, leaf = far.range_of(ranges, Writer(f"{record}_n", add).alias, add), None
        if _of_parts(ranges):
            near, few, common = _by_parts(near, ranges, f"{record}_s", add), FEW_BY_PARTS, ranges
    else:
        return None
    return BothWays(near, *_at_hand(filter_, record, add, name, leaf), leaf, common, few)


def _at_hand(
    filter_: Filter, record: str, add: Add, name: str, decided: AssociatedLeaf | None
) -> tuple[Asked, Asked]:
    """The records of the ids at hand that meet the rest of a filter: one by one, in the order of ids; and as a list."""
    rest = Writer(record, add, decided, "true").condition(filter_, record)
    ident = f"{record}_i.id"
    # Fenced, as everywhere; a page stops when it is full. A range of one, in the order of ids: only the key has it.
    probes = (
        f"(SELECT DISTINCT {name}.id FROM {name} ORDER BY {name}.id) AS {record}_i CROSS JOIN LATERAL"
        f" (SELECT {record}_q.* FROM record AS {record}_q"
        f" WHERE {record}_q.account_id = $1 AND {record}_q.id BETWEEN {ident} AND {ident}"
        f" ORDER BY {record}_q.id LIMIT 1) AS {record}"
    )
    listed = f"{record}.account_id = $1 AND {these(f'{record}.id', name)} AND {rest}"
    return Asked(probes, ident, rest), Asked(f"record AS {record}", f"{record}.id", listed)


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
        f"(WITH {near} AS MATERIALIZED ({ways.near} LIMIT {FAR + 1}),"
        f" {record}_k AS MATERIALIZED (SELECT count(*) AS n FROM {near})"
        f" SELECT CASE WHEN (SELECT {record}_k.n FROM {record}_k) <= {min(PROBED, FAR)} THEN {count(ways.probed)}"
        f" WHEN (SELECT {record}_k.n FROM {record}_k) <= {FAR} THEN {count(ways.given)} ELSE {other} END)"
    )


def _by_parts(near: str, ranges: Sequence[PropertyLeaf], record: str, add: Add) -> str:
    """Those of the ids of `near` that truly meet any of some leaves; where there are too many, too many of none.

    Whoever has all parts of a text need not have them in its order: `near` may have many more than meet the leaves,
    and how many ids there are decides how a page is made. Too many are told by a sample, and by counting.
    """
    met, name = Or(tuple(ranges)), record
    sample = (
        f"SELECT {name}_q.* FROM record AS {name}_q WHERE {name}_q.account_id = $1"
        f" AND {name}_q.object_type_id = {int(ranges[0].property.object_type_id)}"
        f" ORDER BY {name}_q.id LIMIT {SAMPLE}"
    )
    having = f"SELECT count(*) > {COMMON} AS many FROM ({sample}) AS {name} WHERE {compile(met, name, add)}"
    # Fenced, as everywhere: each is looked for by its id.
    probed = (
        f"SELECT {name}_r.id FROM record AS {name}_r WHERE {name}_r.account_id = $1 AND {name}_r.id = {name}_f.id"
        f" AND {compile(met, f'{name}_r', add)} LIMIT 1"
    )
    many = f"((SELECT {name}_d.many FROM {name}_c AS {name}_d) OR (SELECT count(*) FROM {name}_n AS {name}_m) > {FAR})"
    return (
        f"WITH {name}_c AS MATERIALIZED ({having}), {name}_n AS MATERIALIZED ("
        f"SELECT {name}_p.id FROM ({near}) AS {name}_p"
        f" WHERE NOT (SELECT {name}_d.many FROM {name}_c AS {name}_d) LIMIT {FAR + 1})"
        f" SELECT {name}_t.id FROM {name}_n AS {name}_f CROSS JOIN LATERAL ({probed}) AS {name}_t WHERE NOT {many}"
        f" UNION ALL SELECT 0 FROM generate_series(0, {FAR}) WHERE {many}"
    )


def _range(filter_: Filter) -> Sequence[PropertyLeaf] | None:
    """The leaves, any of which will do, whose rows in indexes find all who meet a part."""
    match filter_:
        case PropertyLeaf(index=index) if index is not None:
            return (filter_,)
        case Or(parts) if parts:
            leaves = [part for part in parts if isinstance(part, PropertyLeaf)]
            found = len(leaves) == len(parts) and all(selective(one) or _of_parts([one]) for one in leaves)
            return leaves if found else None
        case _:
            return None


def _of_parts(ranges: Sequence[PropertyLeaf]) -> bool:
    """Whether any of the leaves of a range is found by parts of its text."""
    return any(leaf.index is Index.PARTS for leaf in ranges)


def _leads(filter_: Filter) -> bool:
    """Whether a leaf has one row in a side table for each record that meets it, all of them in one place."""
    if not isinstance(filter_, PropertyLeaf) or filter_.index is None:
        return False
    # One value of one property; booleans are looked up as a list.
    one = isinstance(filter_.test, OneOf) and len(filter_.test.values) == 1
    return one and not isinstance(lookup(filter_), list)
