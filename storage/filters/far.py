"""Beginning a nested filter at its far end: few records from an index, and whom they reach.

Each step is fenced (OFFSET 0, LIMIT 1), so that the order is this one whatever the planner believes. Free to turn it
round, and planning before anything was known of freshly loaded tables (97,605 records, 1.3 million associations), it
began anew at the far end for every one of 10,000 records: minutes, where a few milliseconds do.
"""

from collections.abc import Callable, Sequence

from storage.filters.indexes import lead, lookup
from storage.filters.shape import looked_up
from storage.filters.tree import AssociatedLeaf, Filter, Holds, Index, PropertyLeaf, Reach
from storage.filters.values import Add, compared

# A free alias of a kind; the condition that the record at an alias meets a filter.
Alias = Callable[[str], str]
Condition = Callable[[Filter, str], str]

# Rows of an index that are counted to find the shortest of several ranges.
COUNTED = 1_000


def ids(reach: Reach, where: Filter, alias: Alias, add: Add, condition: Condition) -> str:
    """SELECT of the ids (`id`) of those that reach a record which meets `where`, some more than once."""
    begin, rest = lead(where)
    if isinstance(begin, AssociatedLeaf):
        assert begin.where is not None
        found = ids(begin.reach, begin.where, alias, add, condition)
    else:
        found = _shortest([range_of(leaves, alias, add) for leaves in begin], alias)
    led, neighbour, edge, mine = alias("l"), alias("r"), alias("a"), alias("q")
    return (
        f"SELECT {edge}.to_id AS id FROM ({found} OFFSET 0) AS {led}"
        f" CROSS JOIN LATERAL (SELECT {neighbour}.id FROM record AS {neighbour}"
        f" WHERE {neighbour}.account_id = $1 AND {neighbour}.id = {led}.id"
        f" AND {neighbour}.object_type_id = {int(reach.to_object_type_id)} AND {neighbour}.archived_at IS NULL"
        f" AND {condition(rest, neighbour)} LIMIT 1) AS {mine}"
        f" CROSS JOIN LATERAL (SELECT {edge}.to_id FROM association AS {edge}"
        f" WHERE {edge}.account_id = $1 AND {edge}.from_id = {mine}.id"
        f" AND {edge}.to_object_type_id = {int(reach.from_object_type_id)}"
        f" AND {edge}.type_id {among(reach.inverse_type_ids)}"
        f"{unlabelled(reach.only, edge, reach.from_object_type_id, reach.inverse_type_ids, alias)}"
        f" OFFSET 0) AS {edge}"
    )


def range_of(leaves: Sequence[PropertyLeaf], alias: Alias, add: Add) -> str:
    """SELECT of the ids that an index has under any of some leaves."""
    found = []
    for leaf in leaves:
        name = alias("v")
        table, rows, _ = indexed(leaf, name, add)
        found.append(f"SELECT {name}.record_id AS id FROM {table} WHERE {rows}")
    return " UNION ALL ".join(found)


def _shortest(ranges: Sequence[str], alias: Alias) -> str:
    """The shortest of several ranges, all of which hold whom we look for; found by counting."""
    if len(ranges) == 1:
        return f"SELECT {(name := alias('u'))}.id FROM ({ranges[0]}) AS {name}"
    counts = [
        f"(SELECT count(*) FROM (SELECT FROM ({one}) AS {alias('u')} LIMIT {COUNTED}) AS {alias('n')})"
        for one in ranges
    ]
    chosen = []
    for n, (one, mine) in enumerate(zip(ranges, counts, strict=True)):
        others = enumerate(counts)
        first = " AND ".join(f"{mine} {'<' if m < n else '<='} {other}" for m, other in others if m != n)
        chosen.append(f"SELECT {(name := alias('u'))}.id FROM ({one}) AS {name} WHERE {first}")
    return " UNION ALL ".join(chosen)


def indexed(leaf: PropertyLeaf, alias: str, add: Add) -> tuple[str, str, bool]:
    """The side table of an indexed leaf, the condition on its rows, and whether these answer it alone."""
    mine = f"{alias}.account_id = $1 AND {alias}.property_id = {int(leaf.property.id)}"
    wanted = lookup(leaf)
    if leaf.index is Index.PARTS:
        # Fenced, so that each is a look-up of its own: together they would be a join. Said twice, the planner takes it
        # for rare, as it is: said once, it may rather read all rows of the account.
        found = (
            f"SELECT {alias}_p.account_id, {alias}_p.property_id, {alias}_p.record_id FROM property_part AS {alias}_p"
            f" WHERE {alias}_p.account_id = $1 AND {alias}_p.property_id = {int(leaf.property.id)}"
            f" AND {alias}_p.parts @> {alias}_w.parts::int[] AND {alias}_w.parts::int[] <@ {alias}_p.parts OFFSET 0"
        )
        each = f"unnest({add(wanted, 'text[]')}) AS {alias}_w(parts)"
        return f"{each} CROSS JOIN LATERAL ({found}) AS {alias}", mine, False
    if wanted is not None:
        table, column, kind = (
            ("property_key", "value_hash", "bigint")
            if leaf.index is Index.KEYS
            else ("property_value", "text_value", "text")
        )
        several = isinstance(wanted, list)
        place = add(wanted, f"{kind}[]" if several else kind)
        equal = f"{alias}.{column} = {f'ANY({place})' if several else place}"
        return f"{table} AS {alias}", f"{mine} AND {equal}", False
    column = f"{alias}.{'number_value' if leaf.property.type == 'NUMBER' else 'text_value'}"
    # Position 0, the only one of a single value, makes the row unique, so that the planner may join instead:
    # along the index, records of one value come in the order of their ids, and a page stops early.
    if isinstance(leaf.test, Holds):
        low, high = (add(one, "text") for one in looked_up(leaf))
        test = f"{column} >= {low} AND {column} < {high}"
    else:
        test = compared(leaf.property, leaf.test, column, add)
    return f"property_value AS {alias}", f"{mine} AND {alias}.position = 0 AND {test}", True


def unlabelled(only: bool, edge: str, to_object_type_id: int, type_ids: tuple[int, ...], alias: Alias) -> str:
    """For a reach of what has no label: that the association at `edge` has none beside it."""
    if not only:
        return ""
    beside = alias("a")
    return (
        f" AND NOT EXISTS (SELECT FROM association AS {beside} WHERE {beside}.account_id = $1"
        f" AND {beside}.from_id = {edge}.from_id AND {beside}.to_object_type_id = {int(to_object_type_id)}"
        f" AND {beside}.to_id = {edge}.to_id AND {beside}.type_id <> {int(type_ids[0])})"
    )


def among(type_ids: tuple[int, ...]) -> str:
    """The comparison with any of some ids."""
    if len(type_ids) == 1:
        return f"= {int(type_ids[0])}"
    return f"IN ({', '.join(str(int(one)) for one in type_ids)})"
