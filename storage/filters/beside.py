"""Leaves on what is kept beside the record, as SQL: its history, its segments, its workflows.

Each is a look-up by the record's id along an index that begins with it.
"""

from typing import assert_never

from storage.filters.times import Form, Timed
from storage.filters.tree import (
    Authorship,
    Beside,
    HistoryLeaf,
    SegmentLeaf,
    SourceLeaf,
    UpdatedLeaf,
    WorkflowLeaf,
)
from storage.filters.values import Add, in_document, passes


def condition(leaf: Beside, ident: str, alias: str, add: Add) -> str:
    """The condition that the record with id `ident` meets a leaf; `alias` is free here."""
    match leaf:
        case HistoryLeaf():
            return _history(leaf, ident, alias, add)
        case UpdatedLeaf():
            named = f"{alias}.changed ? {add(leaf.property.name, 'text')}"
            since = add(Timed(leaf.since, Form.MOMENT), "timestamptz")
            recent = _ever(ident, alias, f"{named} AND {alias}.at > {since}")
            return _met(recent, _ever(ident, alias, named), leaf.negated, leaf.include_empty)
        case SourceLeaf():
            return _negated(leaf.negated, _source(leaf, ident, alias, add))
        case SegmentLeaf(segment_id):
            member = (
                f"EXISTS (SELECT FROM segment_member AS {alias} WHERE {alias}.account_id = $1"
                f" AND {alias}.segment_id = {int(segment_id)} AND {alias}.record_id = {ident})"
            )
            return _negated(leaf.negated, member)
        case WorkflowLeaf(workflow_id, statuses):
            any_of = f" AND {alias}.status = ANY({add(list(statuses), 'text[]')})" if statuses else ""
            enrolled = (
                f"EXISTS (SELECT FROM enrollment AS {alias} WHERE {alias}.account_id = $1"
                f" AND {alias}.workflow_id = {int(workflow_id)} AND {alias}.record_id = {ident}{any_of})"
            )
            return _negated(leaf.negated, enrolled)
        case _:
            assert_never(leaf)


def _history(leaf: HistoryLeaf, ident: str, alias: str, add: Add) -> str:
    value = in_document(leaf.property, f"{alias}.changed", add)
    passed = passes(leaf.property, leaf.test, value, "", add)
    some = _ever(ident, alias, f"{passed} IS TRUE")
    return _met(some, _ever(ident, alias, f"{value} IS NOT NULL"), leaf.negated, leaf.include_empty)


def _source(leaf: SourceLeaf, ident: str, alias: str, add: Add) -> str:
    which = f"{alias}.source = ANY({add(list(leaf.sources), 'text[]')})"
    if leaf.source_id is not None:
        which += f" AND {alias}.source_id = {add(leaf.source_id, 'text')}"
    match leaf.authorship:
        case Authorship.CREATED:
            which += f" AND {alias}.version = 1"
        case Authorship.UPDATED:
            which += f" AND {alias}.version > 1"
        case Authorship.EITHER:
            pass
        case _:
            assert_never(leaf.authorship)
    return _ever(ident, alias, which)


def _ever(ident: str, alias: str, which: str) -> str:
    return (
        f"EXISTS (SELECT FROM property_history AS {alias} WHERE {alias}.account_id = $1"
        f" AND {alias}.record_id = {ident} AND {which})"
    )


def _met(some: str, had: str, negated: bool, include_empty: bool) -> str:
    """From whether something passes, and whether there is anything that could."""
    if negated:
        return f"(NOT {some})" if include_empty else f"({had} AND NOT {some})"
    return f"({some} OR NOT {had})" if include_empty else some


def _negated(negated: bool, condition: str) -> str:
    return f"(NOT {condition})" if negated else condition
