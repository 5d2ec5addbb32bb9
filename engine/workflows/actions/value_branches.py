"""Branches by a property's value: the enrolled record's, or that of one associated with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.problems import NotFound, Problem, at
from engine.values import InvalidValue, canonical, normalize, shown
from engine.workflows.actions import targets
from engine.workflows.actions.branches import NoBranches, told_of
from engine.workflows.actions.handler import Batch, Handler
from engine.workflows.actions.tally import gone
from engine.workflows.advance import Chose, Result
from engine.workflows.definition.actions import ValueBranch
from storage import records
from storage.catalogue import Catalogue, ObjectTypeRow, PropertyRow
from storage.records import RecordRow

VALUES_LIMIT = 250


class TooManyBranchValues(Problem):
    """This branch tells {count} values apart; at most {limit} are possible."""


class ValueTwice(Problem):
    """The value {value} leads two ways; name it once."""


class NotBranchable(Problem):
    """The property "{property}" holds JSON: its values cannot be told apart by a branch."""


@dataclass(frozen=True, slots=True)
class BoundValueBranch:
    """The property, the way of each value (by its canonical text; None: of no value), and whose property it is."""

    action: ValueBranch
    property: PropertyRow
    ways: Mapping[str | None, int]
    of: targets.BoundOne | None


def _bind_values(action: ValueBranch, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundValueBranch:
    if not action.cases:
        raise NoBranches(path=("cases",))
    count = sum(len(case.values) for case in action.cases)
    if count > VALUES_LIMIT or len(action.cases) > VALUES_LIMIT:
        raise TooManyBranchValues(count=max(count, len(action.cases)), limit=VALUES_LIMIT, path=("cases",))
    of, holder = None, object_type
    if action.of is not None:
        with at("of"):
            of = targets.bind_one(action.of, object_type, catalogue)
        holder = of.to
    prop = holder.live(action.property)
    if prop is None:
        raise NotFound(kind=f"property of {holder.name}", name=action.property, path=("property",))
    if prop.type == "JSON":
        raise NotBranchable(property=prop.name, path=("property",))
    ways: dict[str | None, int] = {}
    for way, case in enumerate(action.cases):
        for n, value in enumerate(case.values):
            path = ("cases", way, "values", n)
            try:
                keys = _keys(prop, normalize(prop, value)) or [None]
                if len(keys) > 1:
                    raise InvalidValue(property=prop.name, value=shown(value), expected="one choice a value")
            except Problem as problem:
                problem.path = path
                raise
            found = keys[0]
            if found in ways:
                raise ValueTwice(value=shown(value), path=path)
            ways[found] = way
    return BoundValueBranch(action, prop, ways, of)


def _keys(prop: PropertyRow, value: Any) -> list[str | None]:
    """The values that a stored value is of, several for a multiple choice, as texts to be compared."""
    if value is None:
        return []
    if isinstance(value, list):
        return [str(one) for one in value]
    return [canonical(prop, value)]


async def _values(batch: Batch, bound: BoundValueBranch) -> list[Result]:
    rows = await records.rows(batch.tx, [one.record_id for one in batch.standing])
    holders: Sequence[RecordRow | None] = rows
    if bound.of is not None:
        picked = await targets.pick(batch.tx, bound.of, list({one.record_id for one in batch.standing}))
        found = await records.rows(batch.tx, list(set(picked.values())))
        by_id = {row.id: row for row in found if row is not None}
        holders = [by_id.get(picked.get(one.record_id, 0)) for one in batch.standing]
    return [_case(bound, row, holder) for row, holder in zip(rows, holders, strict=True)]


def _case(bound: BoundValueBranch, row: RecordRow | None, holder: RecordRow | None) -> Result:
    assert row is not None  # records are never deleted
    if row.archived_at is not None:
        return gone(row)
    value = None if holder is None else holder.properties.get(bound.property.name)
    cases = bound.action.cases
    # Of several choices, the first way that one of them leads.
    ways = [bound.ways[one] for one in (_keys(bound.property, value) or [None]) if one in bound.ways]
    way = min(ways, default=len(cases))
    seen: dict[str, Any] = {"property": bound.property.name, "value": value}
    if bound.of is not None:
        seen["record"] = None if holder is None else holder.id
    return Chose(way, told_of(way, len(cases), cases[way].name if ways else None) | {"seen": seen})


VALUE_BRANCH = Handler(_bind_values, _values, control=True)
