"""The leaf on what occurred to a record, as SQL: a range of the index of a record's events of one type, by time."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from storage.filters.times import FIRST, Form, Timed
from storage.filters.tree import EventLeaf, Filter

if TYPE_CHECKING:
    from storage.filters.values import Add


def condition(
    leaf: EventLeaf, ident: str, alias: str, add: "Add", nested: Callable[[Filter, str], str]
) -> str:
    """The condition that the record with id `ident` meets a leaf; `alias` is free here.

    `nested` says what an event must be like: events hold their properties as records do.
    """
    occurred = (
        f"FROM record_event AS {alias} WHERE {alias}.account_id = $1 AND {alias}.record_id = {ident}"
        f" AND {alias}.event_type_id = {int(leaf.event_type_id)}"
    )
    for sign, given in _window(leaf):
        occurred += f" AND {alias}.occurred_at {sign} {add(given, 'timestamptz')}"
    if leaf.where is not None:
        occurred += f" AND {nested(leaf.where, alias)}"
    if leaf.negated:
        return f"(NOT EXISTS (SELECT {occurred}))"
    if leaf.some:
        return f"EXISTS (SELECT {occurred})"
    place = add(leaf.count, "bigint")
    # One more than asked about decides every comparison: nobody's events are counted to their end.
    counted = f"SELECT count(*) FROM (SELECT {occurred} LIMIT greatest({place}, 0) + 1) AS {alias}_s"
    return f"(({counted}) {leaf.comparison.value} {place})"


def values(leaf: EventLeaf, nested: Callable[[Filter], Iterator[Any]]) -> Iterator[Any]:
    """The parameters of a leaf, in the order in which `condition` adds them."""
    yield from (given for _, given in _window(leaf))
    if leaf.where is not None:
        yield from nested(leaf.where)
    if not leaf.negated and not leaf.some:
        yield leaf.count


def shape(leaf: EventLeaf, where: Filter | None, since: Any) -> EventLeaf:
    """The leaf without its literal values; `where` and `since` are shapes already."""
    return replace(
        leaf,
        where=where,
        since=since,
        after=leaf.after and FIRST,
        before=leaf.before and FIRST,
        count=leaf.count if leaf.some else 0,
    )


def _window(leaf: EventLeaf) -> Iterator[tuple[str, Any]]:
    if leaf.since is not None:
        yield ">", Timed(leaf.since, Form.MOMENT)
    if leaf.after is not None:
        yield ">", leaf.after
    if leaf.before is not None:
        yield "<", leaf.before
