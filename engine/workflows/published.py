"""Published workflows as they run: what decides on who is enrolled, bound to the account's definitions."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.problems import Problem, Refused
from engine.workflows import conditions
from engine.workflows.conditions import Conditions
from engine.workflows.definition import Definition, Program, compiled
from engine.workflows.definition import load as loaded
from storage import workflows as stored
from storage.catalogue import Catalogue
from storage.database import Queryable
from storage.workflows import RevisionRow, RunningRow

# How many published definitions one process keeps in their bound form.
KEPT = 5_000


@dataclass(frozen=True, slots=True)
class Published:
    """A workflow with its published revision. `conditions` None: they name what is not there, as `broken` says.

    `program` is what its actions make. What was noted of triggers before `state_version` says nothing.
    """

    id: int
    revision: int
    object_type_id: int
    enabled: bool
    enabled_version: int
    enabled_at: datetime | None
    state_version: int
    definition: Definition
    program: Program
    conditions: Conditions | None
    broken: tuple[Problem, ...]


_Bound = tuple[Definition, Program, Conditions | None, tuple[Problem, ...]]
# By account, workflow and revision, with the version of the account's definitions to whose names it is bound: of
# another version it is bound anew.
_kept: OrderedDict[tuple[int, int, int], tuple[int, _Bound]] = OrderedDict()


async def load(reader: Queryable, catalogue: Catalogue, workflow_ids: Sequence[int]) -> list[Published]:
    """The published workflows among these, in id order."""
    rows = await stored.running(reader, workflow_ids)
    wanted = [(row.id, row.published_revision, row.object_type_id) for row in rows]
    found = await definitions_of(reader, catalogue, wanted)
    return [_published(row, one) for row, one in zip(rows, found, strict=True)]


def _published(row: RunningRow, one: _Bound) -> Published:
    return Published(
        row.id,
        row.published_revision,
        row.object_type_id,
        row.enabled,
        row.enabled_version or 0,
        row.enabled_at,
        row.state_version or 0,
        *one,
    )


async def definitions_of(
    reader: Queryable, catalogue: Catalogue, wanted: Sequence[tuple[int, int, int]]
) -> list[_Bound]:
    """The definitions of (workflow, revision, object type), in the order asked, bound to `catalogue`."""
    keys = [(reader.account_id, workflow, revision) for workflow, revision, _ in wanted]
    missing = sorted({key[1:] for key in keys if key not in _kept})
    rows = dict(zip(missing, await stored.revisions(reader, missing), strict=True)) if missing else {}
    answer = []
    for key, (workflow, revision, object_type_id) in zip(keys, wanted, strict=True):
        known = _kept.get(key)
        if known is None:
            row = rows[workflow, revision]
            assert row is not None  # a revision is never deleted
            known = _kept[key] = (catalogue.version, _bind(row, object_type_id, catalogue))
        elif known[0] != catalogue.version:
            known = _kept[key] = (catalogue.version, _anew(known[1], object_type_id, catalogue))
        _kept.move_to_end(key)
        answer.append(known[1])
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return answer


def of_document(
    workflow_id: int, object_type_id: int, document: Mapping[str, Any], catalogue: Catalogue
) -> Published:
    """A definition that was never published, as it would run: off, of no revision."""
    definition = loaded(document)
    bound = _anew((definition, compiled(definition.actions), None, ()), object_type_id, catalogue)
    return Published(workflow_id, 0, object_type_id, False, 0, None, 0, *bound)


def _bind(row: RevisionRow, object_type_id: int, catalogue: Catalogue) -> _Bound:
    definition = loaded(row.definition)
    return _anew((definition, compiled(definition.actions), None, ()), object_type_id, catalogue)


def _anew(known: _Bound, object_type_id: int, catalogue: Catalogue) -> _Bound:
    """A definition, which never changes, bound to the names as they are now."""
    definition, program = known[:2]
    try:
        bound = conditions.bind(definition, catalogue.object_types[object_type_id], catalogue)
    except Problem as problem:
        return definition, program, None, (problem,)
    except Refused as refused:
        return definition, program, None, tuple(refused.problems)
    return definition, program, bound, ()
