"""Orders and cursors: what to sort by, what lies behind a position, and cursors as text, both ways.

Records without a value come last in both directions; texts compare by their first 256 characters; the id breaks ties.
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

import orjson

from storage.property_values import TEXT_KEPT
from storage.selection.sql import Params, Text, literal
from storage.selection.tree import Kind, Order, Page, Position, Term, Value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CASTS = {Kind.TEXT: 'text COLLATE "C"', Kind.NUMBER: "numeric", Kind.MOMENT: "timestamptz"}
CURSOR = re.compile(r"([0-9a-f]{8})_([1-9][0-9]{0,18})(?:_([A-Za-z0-9_-]+))?", re.ASCII)
LARGEST = 2**63 - 1
# Columns of which every record has a value: where it is said nowhere that some have none, an index gives their order.
ALWAYS = ("created_at", "updated_at")
LONGEST = 100_000


class CursorMalformed(ValueError):
    """This is no cursor of ours."""


class CursorOfAnotherQuery(ValueError):
    """A cursor of a list with another order or filter."""


def expression(term: Term, record: str) -> str:
    """The value of `term` for the record at alias `record`; NULL where there is none."""
    if term.column:
        return f"{record}.{term.name}"
    name = literal(term.name)
    if term.kind is Kind.NUMBER:
        # Guarded: a cast must not raise, whatever stands there.
        return (
            f"CASE jsonb_typeof({record}.properties->{name}) WHEN 'number' "
            f"THEN ({record}.properties->{name})::numeric END"
        )
    # As much of a text as its index keeps; the id breaks ties.
    return f'left({record}.properties->>{name}, {TEXT_KEPT}) COLLATE "C"'


def order_by(order: Order, record: str, *, ident: str | None = None, backward: bool = False) -> str:
    """What comes after ORDER BY; `backward` for the exact reverse.

    `ident` is the expression of the id, where an index knows it by another name.
    """
    words = []
    for term in order.terms:
        way = "DESC" if term.descending is not backward else "ASC"
        missing = "" if _always(term) else f" NULLS {'FIRST' if backward else 'LAST'}"
        words.append(f"{expression(term, record)} {way}{missing}")
    words.append(f"{ident or f'{record}.id'}{' DESC' if order.id_descending is not backward else ''}")
    return ", ".join(words)


def beyond(
    order: Order,
    position: Position,
    record: str,
    params: Params,
    *,
    ident: str | None = None,
    before: bool = False,
) -> str:
    """The condition that a record stands after `position` (or before it)."""
    sign = "<" if order.id_descending is not before else ">"
    if _one_place(order, position):
        return _compared(order, position, record, params, sign, ident)
    condition = f"{ident or f'{record}.id'} {sign} {params.big(position.id)}"
    for term, value in reversed(list(zip(order.terms, position.values, strict=True))):
        found = expression(term, record)
        if value is None:
            condition = f"({found} IS NULL AND {condition})"
            if before:
                condition = f"({found} IS NOT NULL OR {condition})"
            continue
        given = params.add(value, CASTS[term.kind])
        sign = "<" if term.descending is not before else ">"
        missing = "" if before else f" OR {found} IS NULL"
        condition = f"({found} {sign} {given}{missing} OR ({found} = {given} AND {condition}))"
    return condition


def at_or_before(
    order: Order,
    position: Position,
    record: str,
    params: Params,
    *,
    ident: str | None = None,
    mirrored: bool = False,
) -> str:
    """The condition that a record stands at `position` or before it (`mirrored`: or after it)."""
    sign = ">=" if order.id_descending is not mirrored else "<="
    if not order.terms:
        return f"{ident or f'{record}.id'} {sign} {params.big(position.id)}"
    if _one_place(order, position):
        return _compared(order, position, record, params, sign, ident)
    return f"({beyond(order, position, record, params, ident=ident, before=mirrored)}) IS NOT TRUE"


def by_creation(order: Order) -> bool:
    """Whether there is an index of records in this order, be it read forward or backward."""
    return len(order.terms) == 1 and order.terms[0].column and order.terms[0].name == "created_at"


def _always(term: Term) -> bool:
    return term.column and term.name in ALWAYS


def _one_place(order: Order, position: Position) -> bool:
    """Whether what lies beyond a position lies beyond one place of an index: rows are compared, then."""
    terms = order.terms
    return (
        len(terms) == 1
        and _always(terms[0])
        and terms[0].descending is order.id_descending
        and position.values[0] is not None
    )


def _compared(
    order: Order, position: Position, record: str, params: Params, sign: str, ident: str | None
) -> str:
    (term,), (value,) = order.terms, position.values
    mine = f"{expression(term, record)}, {ident or f'{record}.id'}"
    return f"({mine}) {sign} ({params.add(value, CASTS[term.kind])}, {params.big(position.id)})"


def cursor(page: Page, record: str) -> Text:
    """The cursor of the record at alias `record`, as text that JSON needs not escape."""
    text = Text(f"{page.fingerprint}_").put(f"{record}.id")
    if not page.order.terms:
        return text
    values = ", ".join(_spoken(term, record) for term in page.order.terms)
    # base64url in one line; without a name for it in SQL.
    packed = f"encode(convert_to(json_build_array({values})::text, 'UTF8'), 'base64')"
    return text.say("_").put(f"translate({packed}, E'+/=\\n', '-_')")


def _spoken(term: Term, record: str) -> str:
    found = expression(term, record)
    if term.kind is Kind.MOMENT:
        return f"(extract(epoch FROM {found}) * 1000000)::bigint::text"
    return f"({found})::text"


def position(text: str, fingerprint: str, order: Order) -> Position:
    """Where a cursor points to; raises `CursorMalformed` and `CursorOfAnotherQuery`."""
    found = CURSOR.fullmatch(text) if len(text) <= LONGEST else None
    if found is None or int(found[2]) > LARGEST:
        raise CursorMalformed(text[:100])
    if found[1] != fingerprint:
        raise CursorOfAnotherQuery(text[:100])
    spoken = _unpacked(found[3]) if found[3] else []
    if len(spoken) != len(order.terms):
        raise CursorMalformed(text[:100])
    try:
        values = tuple(
            None if value is None else READ[term.kind](value)
            for term, value in zip(order.terms, spoken, strict=True)
        )
    except (ValueError, OverflowError, InvalidOperation):
        raise CursorMalformed(text[:100]) from None
    return Position(values, int(found[2]))


def _unpacked(packed: str) -> Sequence[str | None]:
    try:
        content = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        values = orjson.loads(content)
    except (ValueError, binascii.Error):
        raise CursorMalformed(packed[:100]) from None
    if not isinstance(values, list) or not all(value is None or isinstance(value, str) for value in values):
        raise CursorMalformed(packed[:100])
    return values


def _text(value: str) -> Value:
    if "\0" in value:
        raise ValueError(value[:100])
    return value


def _number(value: str) -> Value:
    number = Decimal(value)
    # PostgreSQL's numeric holds no more, and its NaN is a number; ours are finite.
    if not number.is_finite() or abs(number.adjusted()) > 1_000:
        raise ValueError(value[:100])
    return number


def _moment(value: str) -> Value:
    return EPOCH + timedelta(microseconds=int(value))


READ: dict[Kind, Callable[[str], Value]] = {Kind.TEXT: _text, Kind.NUMBER: _number, Kind.MOMENT: _moment}
