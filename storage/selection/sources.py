"""Where a page's rows come from: one limited subselect over records or over a record's associations.

Its shape decides the speed. A page of associations is read in the order of the primary key
(account, from, to type, to, type): the default order stops after a page, however many there are.
"""

from collections.abc import Iterable

from storage.filters import ways as begun
from storage.filters.compile import FAR
from storage.filters.compile import compile as condition
from storage.filters.ways import Asked
from storage.selection import ordered, past
from storage.selection.orders import at_or_before, beyond, by_creation, order_by
from storage.selection.sql import Params
from storage.selection.tree import Associated, Listing, Order, Page, Records, Source

# So many rows of an index of its own a page in the order of another index begins with: to look for each of them and to
# sort them takes no longer than to walk along the other until the page is full, with some millions of records.
SEVERAL = 10_000


def limited(
    listing: Listing, params: Params, record: str, columns: Iterable[str], *, of: str = "", more: int = 0
) -> str:
    """The rows of a page in reading order (a backward page's last row first), `more` rows longer.

    `record` is an alias that is free here; `of` the expression of the source record's id, for associations.
    `columns` are the record's, and `associated_at`, `association_source`, `association_to` of the association.
    """
    page = listing.page
    indexed = ordered.follows_index(listing.source, page)
    either = _either_way(listing, params, record, columns, more, indexed)
    if either is not None:
        return either
    if indexed:
        return _ordered(listing, params, record, columns, more)
    conditions = _between(page, params, record, _ident(listing.source, record))
    # In the order of an index of records, these could be walked in place of the associations.
    fenced = not page.order.terms or by_creation(page.order)
    body = _body(listing.source, params, record, of, conditions, fenced=fenced)
    wanted = ", ".join(_column(listing.source, params, name, record, of) for name in dict.fromkeys(columns))
    return (
        f"SELECT {wanted} {body} "
        f"ORDER BY {order_by(page.order, record, ident=_ident(listing.source, record), backward=page.backward)} "
        f"LIMIT {page.size + more}"
    )


def _either_way(
    listing: Listing,
    params: Params,
    record: str,
    columns: Iterable[str],
    more: int,
    indexed: bool,
) -> str | None:
    """The rows of a page of records, begun at the far end of a filter where that leads to few, else record by record.

    Which of the two is short, a hundred times so, nobody knows before looking: how many records have a value, and
    how many are associated with these. None where there is no such filter.
    """
    source, page, near = listing.source, listing.page, f"{record}_near"
    if not isinstance(source, Records) or source.where is None:
        return None
    # What is read in the order of ids follows the index of a value anyway.
    ways = begun.both_ways(source.where, record, params.add, near, ordered=bool(page.order.terms))
    if ways is None:
        return None
    names = _named(page, columns)
    size = page.size + more
    # Unless it must see all of them before it knows its first one.
    few = ways.few
    if page.order.terms and not indexed:
        few = FAR
    elif indexed and ways.decided is None:
        few = SEVERAL
    counted = f"(SELECT count(*) FROM {near} AS {record}_c)"

    def rows(way: Asked) -> str:
        return _read(way, source, page, params, record, names, size)

    asked = (
        _ordered(listing, params, record, columns, more)
        if indexed
        else rows(begun.asked(source.where, record, params.add, decided=ways.decided, common=ways.common))
    )
    # In the order of ids a page stops when it is full; else all of them are read.
    probed = min(few, begun.PROBED) if page.order.terms else few
    wanted = [(rows(ways.probed), f"{counted} <= {probed}"), (asked, f"{counted} > {few}")]
    if probed < few:
        wanted.append((rows(ways.given), f"{counted} > {probed} AND {counted} <= {few}"))
    # Only one of them is carried out: whether depends on no row.
    chosen = ", ".join(f"{record}_w.{name}" for name in names)
    parts = " UNION ALL ".join(
        f"(SELECT {chosen} FROM ({way}) AS {record}_w WHERE {which})" for way, which in wanted
    )
    return (
        f"WITH {near} AS MATERIALIZED ({ways.near} LIMIT {few + 1}) SELECT {record}_u.* FROM ({parts}) AS {record}_u "
        f"ORDER BY {order_by(page.order, f'{record}_u', backward=page.backward)} LIMIT {size}"
    )


def _ordered(listing: Listing, params: Params, record: str, columns: Iterable[str], more: int) -> str:
    """The rows of a page along the index of its order; of all records where a filter leaves too few of them."""
    source, page = listing.source, listing.page
    if not isinstance(source, Records) or (where := source.where) is None:
        return ordered.rows(listing, params, record, columns, more=more)

    def scanned() -> str:
        way = begun.asked(where, record, params.add)
        return _read(way, source, page, params, record, ordered.named(columns), page.size + more)

    return ordered.rows(listing, params, record, columns, more=more, scanned=scanned)


def _named(page: Page, columns: Iterable[str]) -> list[str]:
    """What is wanted, and beside it what the order is made of."""
    ordering = [term.name if term.column else "properties" for term in page.order.terms]
    return list(dict.fromkeys([*columns, "id", *ordering]))


def _read(
    way: Asked, source: Records, page: Page, params: Params, record: str, names: list[str], size: int
) -> str:
    """The records of one way in the order of a page: as many as it holds."""
    wanted = ", ".join(f"{record}.{name}" for name in names)
    living = _living(source.object_type_id, params, record, way, _between(page, params, record, way.ident))
    order = order_by(page.order, record, ident=way.ident, backward=page.backward)
    return f"SELECT {wanted} {living} ORDER BY {order} LIMIT {size}"


def rows_beyond(
    listing: Listing, params: Params, record: str, *, of: str = "", following: bool
) -> str | None:
    """Whether rows stand at the position where the page was told to stop, or behind it.

    None when the page was told no such position.
    """
    page = listing.page
    position = page.before if following else page.after
    if position is None:
        return None
    if ordered.follows_index(listing.source, page):
        return ordered.rows_beyond(listing, params, record, position, following=following)
    ident = _ident(listing.source, record)
    behind = at_or_before(page.order, position, record, params, ident=ident, mirrored=following)
    if page.order.terms:
        return f"EXISTS (SELECT 1 {_body(listing.source, params, record, of, [behind])})"
    # The nearest one, by the index: what EXISTS looks at first is the planner's choice, perhaps the whole table.
    body = _body(listing.source, params, record, of, [behind], fenced=True)
    nearest = order_by(page.order, record, ident=ident, backward=not following)
    return f"(SELECT 1 {body} ORDER BY {nearest} LIMIT 1) IS NOT NULL"


def every(source: Records, order: Order, params: Params, record: str) -> str:
    """The ids of all records of a source, in an order."""
    ident = _ident(source, record)
    return f"SELECT {ident} {_body(source, params, record, '', [])} ORDER BY {order_by(order, record, ident=ident)}"


def total(source: Source, params: Params, record: str, *, of: str = "") -> str:
    """The number of all rows of a source; a counter's, where one counts exactly them."""
    if isinstance(source, Associated) and source.where is None and (type_id := _counted(source)) is not None:
        return f"coalesce({counter(params, of, type_id)}, 0)"
    if isinstance(source, Records) and source.where is not None:
        return begun.counted(source.where, params.big(source.object_type_id), record, params.add)
    return f"(SELECT count(*) {_body(source, params, record, of, [])})"


def counted(source: Associated, params: Params, record: str, *, of: str) -> str:
    """The number of associated records, NULL where there never was one."""
    type_id = _counted(source)
    if type_id is not None:
        return counter(params, of, type_id)
    # A counter row is left behind by the first association of its type, and stays.
    kinds = params.add(list(source.labels or [source.unlabelled_id]), "bigint[]")
    return (
        f"CASE WHEN EXISTS (SELECT 1 FROM association_count AS c WHERE c.account_id = $1 "
        f"AND c.record_id = {of} AND c.type_id = ANY({kinds})) THEN {total(source, params, record, of=of)} END"
    )


def counter(params: Params, of: str, type_id: int) -> str:
    """The counter of a record under a type; NULL where it never had one."""
    return (
        f"(SELECT c.n FROM association_count AS c WHERE c.account_id = $1 "
        f"AND c.record_id = {of} AND c.type_id = {params.big(type_id)})"
    )


def _counted(source: Associated) -> int | None:
    """The type whose counter counts exactly the rows of an unfiltered source; counters tell of the present."""
    if source.as_of is not None:
        return None
    if source.labels is None:
        return source.unlabelled_id
    return source.labels[0] if len(source.labels) == 1 else None


def _driving(source: Associated) -> int:
    """The type whose rows are walked: there is exactly one a neighbour."""
    return source.labels[0] if source.labels is not None and len(source.labels) == 1 else source.unlabelled_id


def _ident(source: Source, record: str) -> str:
    """The id as the index knows it that is walked; PostgreSQL does not carry a range over an equality."""
    return f"{record}_a.to_id" if isinstance(source, Associated) else begun.ident(source.where, record)


def _between(page: Page, params: Params, record: str, ident: str) -> list[str]:
    """The conditions that a row stands where the page was told to begin and to stop."""
    return [
        beyond(page.order, position, record, params, ident=ident, before=before)
        for position, before in ((page.after, False), (page.before, True))
        if position is not None
    ]


def _living(object_type_id: int, params: Params, record: str, some: Asked, conditions: list[str]) -> str:
    """FROM and WHERE of living records of a type."""
    mine = f"{record}.object_type_id = {params.big(object_type_id)} AND {record}.archived_at IS NULL"
    return f"FROM {some.tables} WHERE {' AND '.join([mine, some.condition, *conditions])}"


def _column(source: Source, params: Params, name: str, record: str, of: str) -> str:
    match name:
        case "association_to":
            return f"{record}_a.to_id AS association_to"
        case "associated_at" | "association_source":
            assert isinstance(source, Associated)
            column = "created_at" if name == "associated_at" else "source"
            if _driving(source) == source.unlabelled_id:
                return f"{record}_a.{column} AS {name}"
            # The edge's time and origin are the plain association's, whatever label led here.
            return (
                f"(SELECT u.{column} FROM {past.associations(source, params)} AS u "
                f"WHERE u.account_id = $1 AND u.from_id = {of} "
                f"AND u.to_object_type_id = {params.big(source.object_type_id)} AND u.to_id = {record}.id "
                f"AND u.type_id = {params.big(source.unlabelled_id)}) AS {name}"
            )
        case _:
            return f"{record}.{name}"


def _body(
    source: Source, params: Params, record: str, of: str, conditions: list[str], *, fenced: bool = False
) -> str:
    """FROM and WHERE of a source; `fenced` for associations that are to be walked in the order of ids."""
    match source:
        case Records(object_type_id, where):
            every = Asked(f"record AS {record}", f"{record}.id", f"{record}.account_id = $1")
            some = every if where is None else begun.asked(where, record, params.add)
            return _living(object_type_id, params, record, some, conditions)
        case Associated(object_type_id, unlabelled_id, labels):
            edge = f"{record}_a"
            if source.where is not None:
                asked = condition(source.where, record, params.add)
                conditions = [*conditions, asked]
            # LIMIT 1 is a fence: left alone, the planner may walk all records by id beside the associations
            # instead of stopping after a page.
            table = past.associations(source, params)
            tables = f"{table} AS {edge} " + (
                f"CROSS JOIN LATERAL (SELECT q.* FROM record AS q WHERE q.account_id = $1 "
                f"AND q.id = {edge}.to_id LIMIT 1) AS {record}"
                if fenced
                else f"JOIN record AS {record} ON {record}.account_id = $1 AND {record}.id = {edge}.to_id"
            )
            conditions = [
                f"{edge}.account_id = $1",
                f"{edge}.from_id = {of}",
                f"{edge}.to_object_type_id = {params.big(object_type_id)}",
                f"{edge}.type_id = {params.big(_driving(source))}",
                past.visible(source, params, record),
                *conditions,
            ]
            if labels is not None and len(labels) != 1:
                chosen = (
                    f"l.type_id = ANY({params.add(list(labels), 'bigint[]')})"
                    if labels
                    else f"l.type_id <> {params.big(unlabelled_id)}"
                )
                conditions.append(
                    f"{'' if labels else 'NOT '}EXISTS (SELECT 1 FROM {table} AS l WHERE l.account_id = $1 "
                    f"AND l.from_id = {of} AND l.to_object_type_id = {params.big(object_type_id)} "
                    f"AND l.to_id = {edge}.to_id AND {chosen})"
                )
    return f"FROM {tables} WHERE {' AND '.join(conditions)}"
