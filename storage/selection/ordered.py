"""A page in the order of a searchable property: read along the index of its values instead of sorting all records.

Records without a value stand in no index and come last (on a page that is read backward, first): they are read in the
order of their ids, and only where those with a value do not fill the page.

Along an index a filter that holds for nobody would be asked of everybody, record by record in the order of values: 17
to 30 seconds with two million contacts, where to read all of them and sort those who meet it takes one. So a page goes
a piece of that way, and where it is not full by then, it is `scanned`.
"""

from collections.abc import Callable, Iterable

from storage.filters.compile import compile as condition
from storage.selection.orders import CASTS, expression, order_by
from storage.selection.sql import Params
from storage.selection.tree import Kind, Listing, Page, Position, Records, Source

# So many rows of the index are looked at for a page of what meets a filter, in some tenths of a second: where one of
# a thousand meets it, the page is full by then.
WALKED = 50_000

# Conditions on the rows with a value and on those without; None where there can be none.
Parts = tuple[list[str] | None, list[str] | None]


def follows_index(source: Source, page: Page) -> bool:
    """Whether the records of a page can be read along an index of their values."""
    terms = page.order.terms
    return isinstance(source, Records) and len(terms) == 1 and terms[0].index is not None


def rows(
    listing: Listing,
    params: Params,
    record: str,
    columns: Iterable[str],
    *,
    more: int,
    scanned: Callable[[], str] | None = None,
) -> str:
    """The rows of a page in reading order, `more` rows longer than it; see `sources.limited`.

    `scanned`: the same rows with the same columns, read from all records of the type; for a source with a filter.
    """
    page = listing.page
    both = _both(
        _beyond(page, page.after, record, params, ahead=True),
        _beyond(page, page.before, record, params, ahead=False),
    )
    size = page.size + more
    wanted = ", ".join(f"{record}.{name}" for name in named(columns))
    order = page.order
    way, id_way = (
        " DESC" if turned is not page.backward else ""
        for turned in (order.terms[0].descending, order.id_descending)
    )
    sorts = f"{_column(page, record)}{way}, {record}_v.record_id{id_way}", f"{record}.id{id_way}"
    walk = None
    if scanned is not None and both[0] is not None:
        values = f"FROM property_value AS {record}_v WHERE {' AND '.join([*_mine(page, record), *both[0]])}"
        walk = f"SELECT {record}_v.* {values} ORDER BY {sorts[0]} LIMIT {WALKED}"
    parts = [
        f"SELECT {wanted} {_from(listing, params, record, conditions, valued, walk)} ORDER BY {sort}"
        for valued, conditions, sort in zip((True, False), both, sorts, strict=True)
        if conditions is not None
    ]
    if not parts:
        return _none(listing, record, wanted)
    # Behind where the walk was broken off nothing is known, of those without a value neither.
    ended = f"(SELECT count(*) FROM ({walk}) AS {record}_k) < {WALKED}" if walk else "true"
    sort = order_by(order, f"{record}_u", backward=page.backward)
    found = f"{parts[0]} LIMIT {size}"
    if len(parts) > 1:
        found = _one_after_the_other(parts, record, size, sort, "true" if page.backward else ended, page)
    if walk is None or scanned is None:
        return found
    known = f"((SELECT count(*) FROM {record}_t AS {record}_c) >= {size} OR {ended})"
    return (
        f"WITH {record}_t AS MATERIALIZED ({found}) SELECT {record}_u.* FROM ("
        f"SELECT {record}_s.* FROM {record}_t AS {record}_s WHERE {known} UNION ALL "
        f"(SELECT {record}_w.* FROM ({scanned()}) AS {record}_w WHERE NOT {known})"
        f") AS {record}_u ORDER BY {sort} LIMIT {size}"
    )


def named(columns: Iterable[str]) -> list[str]:
    """What is wanted, and beside it what the order is made of."""
    return list(dict.fromkeys([*columns, "id", "properties"]))


def _one_after_the_other(parts: list[str], record: str, size: int, sort: str, ended: str, page: Page) -> str:
    """Those with a value and, if the first have `ended`, those without; read backward, the other way round."""
    first, second = reversed(parts) if page.backward else parts
    head, mine = second.rsplit(" ORDER BY ", 1)
    # The first part is known before the second one begins, which is not begun where the first fills the page.
    return (
        f"WITH {record}_f AS MATERIALIZED ({first} LIMIT {size}) SELECT {record}_u.* FROM ("
        f"SELECT {record}_g.* FROM {record}_f AS {record}_g UNION ALL "
        f"({head} AND (SELECT count(*) FROM {record}_f AS {record}_h) < {size} AND {ended} "
        f"ORDER BY {mine} LIMIT {size})"
        f") AS {record}_u ORDER BY {sort} LIMIT {size}"
    )


def rows_beyond(listing: Listing, params: Params, record: str, position: Position, *, following: bool) -> str:
    """Whether rows stand at a position or, `following` it, after it (else before it)."""
    both = _beyond(listing.page, position, record, params, ahead=following, inclusive=True)
    found = [
        f"EXISTS (SELECT 1 {_from(listing, params, record, conditions, valued)})"
        for valued, conditions in zip((True, False), both, strict=True)
        if conditions is not None
    ]
    return f"({' OR '.join(found)})"


def _column(page: Page, record: str) -> str:
    return f"{record}_v.{'number_value' if page.order.terms[0].kind is Kind.NUMBER else 'text_value'}"


def _from(
    listing: Listing,
    params: Params,
    record: str,
    conditions: list[str],
    valued: bool,
    walk: str | None = None,
) -> str:
    """FROM and WHERE of those with a value, or without; of a `walk` along the index where there is one."""
    source, term = listing.source, listing.page.order.terms[0]
    assert isinstance(source, Records)
    visible = [f"{record}.account_id = $1", f"{record}.archived_at IS NULL", *conditions]
    if source.where is not None:
        visible.append(condition(source.where, record, params.add))
    if not valued:
        of_type = f"{record}.object_type_id = {params.big(source.object_type_id)}"
        missing = f"{expression(term, record)} IS NULL"
        return f"FROM record AS {record} WHERE {' AND '.join([of_type, missing, *visible])}"
    table = f"({walk})" if walk else "property_value"
    mine = [] if walk else _mine(listing.page, record)
    # Fenced, as in `storage.filters.ways`.
    return (
        f"FROM {table} AS {record}_v CROSS JOIN LATERAL (SELECT {record}_q.* FROM record AS {record}_q "
        f"WHERE {record}_q.account_id = $1 AND {record}_q.id = {record}_v.record_id LIMIT 1) AS {record} "
        f"WHERE {' AND '.join([*mine, *visible])}"
    )


def _mine(page: Page, record: str) -> list[str]:
    """The conditions that a row is of the index that is followed."""
    return [
        f"{record}_v.account_id = $1",
        # In the text, as in filters: the planner knows how many values a property has.
        f"{record}_v.property_id = {int(page.order.terms[0].index or 0)}",
        f"{record}_v.position = 0",
        f"{_column(page, record)} IS NOT NULL",
    ]


def _beyond(
    page: Page,
    position: Position | None,
    record: str,
    params: Params,
    *,
    ahead: bool,
    inclusive: bool = False,
) -> Parts:
    """The conditions that a row stands after a position (`ahead`) or before it."""
    if position is None:
        return [], []
    order, (value,) = page.order, position.values
    term, column, same = order.terms[0], _column(page, record), "=" if inclusive else ""
    number = params.big(position.id)
    sign, id_sign = (">" if ahead is not turned else "<" for turned in (term.descending, order.id_descending))
    if value is None:
        return None if ahead else [], [f"{record}.id {id_sign}{same} {number}"]
    given = params.add(value, CASTS[term.kind])
    if sign == id_sign:
        # One place in the index.
        found = [f"({column}, {record}_v.record_id) {sign}{same} ({given}, {number})"]
    else:
        found = [
            f"{column} {sign}= {given}",
            f"({column} {sign} {given} OR {record}_v.record_id {id_sign}{same} {number})",
        ]
    return found, [] if ahead else None


def _both(one: Parts, other: Parts) -> Parts:
    valued, missing = (None if a is None or b is None else [*a, *b] for a, b in zip(one, other, strict=True))
    return valued, missing


def _none(listing: Listing, record: str, wanted: str) -> str:
    """No rows at all: after a record without a value, and before one with a value."""
    return f"SELECT {wanted} FROM record AS {record} WHERE {record}.account_id = $1 AND false"
