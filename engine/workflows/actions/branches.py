"""Branches by filters: which way an enrollment goes; and jumps, and ends."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import filters
from engine.problems import Problem, Refused
from engine.workflows.actions.handler import Batch, Handler
from engine.workflows.actions.tally import gone
from engine.workflows.advance import Chose, Done, Result
from engine.workflows.definition.actions import Branch, End, GoTo
from storage import records
from storage.catalogue import Catalogue, ObjectTypeRow
from storage.filters.tree import And, Filter, Not, Or, PropertyLeaf
from storage.records import RecordRow

BRANCHES_LIMIT = 20


class NoBranches(Problem):
    """A branch needs at least one way beside the default one."""


class TooManyBranches(Problem):
    """This branch has {count} ways; at most {limit} are possible."""


@dataclass(frozen=True, slots=True)
class BoundBranch:
    """The filters of the ways, in order, and the own properties that they look at."""

    action: Branch
    filters: tuple[Filter, ...]
    seen: tuple[str, ...]


def _bind_branch(action: Branch, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundBranch:
    if not action.branches:
        raise NoBranches(path=("branches",))
    if len(action.branches) > BRANCHES_LIMIT:
        raise TooManyBranches(count=len(action.branches), limit=BRANCHES_LIMIT, path=("branches",))
    bound: list[Filter] = []
    wrong: list[Problem] = []
    for n, one in enumerate(action.branches):
        try:
            bound.append(filters.bind(one.where, object_type, catalogue))
        except Refused as refused:
            wrong += [problem.at("branches", n, "where") for problem in refused.problems]
    if wrong:
        raise Refused(wrong)
    seen = dict.fromkeys(name for filter_ in bound for name in _own_properties(filter_))
    return BoundBranch(action, tuple(bound), tuple(seen))


def _own_properties(filter_: Filter) -> Iterator[str]:
    match filter_:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _own_properties(part)
        case Not(part):
            yield from _own_properties(part)
        case PropertyLeaf(prop) if prop.column is None:
            yield prop.name
        case _:
            pass


async def _branch(batch: Batch, bound: BoundBranch) -> list[Result]:
    ids = [one.record_id for one in batch.standing]
    rows = await records.rows(batch.tx, ids)
    asked = [(filter_, ids, batch.object_type.id) for filter_ in bound.filters]
    answers = await filters.matches_many(batch.tx, batch.tx.catalogue, asked, now=batch.tx.now)
    return [_way(bound, row, answers) for row in rows]


def _way(bound: BoundBranch, row: RecordRow | None, answers: Sequence[Mapping[int, bool]]) -> Result:
    assert row is not None  # records are never deleted
    if row.archived_at is not None:
        return gone(row)
    default = len(bound.filters)
    way = next((n for n, answer in enumerate(answers) if answer[row.id]), default)
    name = bound.action.branches[way].name if way < default else None
    seen = {one: row.properties.get(one) for one in bound.seen}
    return Chose(way, told_of(way, default, name) | {"seen": seen})


def told_of(way: int, default: int, name: str | None) -> dict[str, Any]:
    """What histories say of the way that was chosen: its name or number, `otherwise` for the default one."""
    return {"branch": name or ("otherwise" if way == default else way), "way": way}


def _bind_plain(action: GoTo | End, _object_type: ObjectTypeRow, _catalogue: Catalogue) -> GoTo | End:
    """Whether the target is there, the program knows."""
    return action


async def _pass(batch: Batch, _bound: GoTo | End) -> list[Result]:
    """What follows stands in the program."""
    return [Done() for _ in batch.standing]


BRANCH = Handler(_bind_branch, _branch, control=True)
GO_TO = Handler(_bind_plain, _pass, control=True)
END = Handler(_bind_plain, _pass, control=True)
