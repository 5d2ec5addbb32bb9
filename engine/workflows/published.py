"""Published workflows as they run: their triggers bound to the account's definitions, or said to be broken."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.filters.foreseeing import Foreseen
from engine.filters.matching import Asked
from engine.problems import Problem, Refused
from engine.workflows import checking, triggers
from engine.workflows.definition import Definition, Program, compiled
from engine.workflows.definition import load as loaded
from storage import workflows as stored
from storage.catalogue import Catalogue
from storage.database import Queryable
from storage.filters.tree import Filter
from storage.workflows import RevisionRow

# How many published definitions one process keeps in their bound form.
KEPT = 2_000


@dataclass(frozen=True, slots=True)
class Published:
    """A workflow with its published revision. `filters` are its triggers; None: they name what is not there.

    `program` is what its actions make.
    """

    id: int
    revision: int
    object_type_id: int
    enabled: bool
    enabled_version: int
    definition: Definition
    program: Program
    filters: tuple[Filter, ...] | None
    problems: tuple[Problem, ...]


_Bound = tuple[Definition, Program, tuple[Filter, ...] | None, tuple[Problem, ...]]
# Keyed by the version of the account's definitions too, since names are bound to those.
_kept: OrderedDict[tuple[int, int, int, int], _Bound] = OrderedDict()


async def load(reader: Queryable, catalogue: Catalogue, workflow_ids: Sequence[int]) -> list[Published]:
    """The published workflows among these, in id order."""
    rows = await stored.running(reader, workflow_ids)
    bound = await definitions_of(
        reader, catalogue, [(row.id, row.published_revision, row.object_type_id) for row in rows]
    )
    return [
        Published(
            row.id, row.published_revision, row.object_type_id, row.enabled, row.enabled_version or 0, *one
        )
        for row, one in zip(rows, bound, strict=True)
    ]


async def definitions_of(
    reader: Queryable, catalogue: Catalogue, wanted: Sequence[tuple[int, int, int]]
) -> list[_Bound]:
    """The definitions of (workflow, revision, object type), in the order asked, bound to `catalogue`."""
    keys = [(reader.account_id, workflow, revision, catalogue.version) for workflow, revision, _ in wanted]
    missing = sorted(
        {
            (workflow, revision)
            for (_, workflow, revision, _), key in zip(keys, keys, strict=True)
            if key not in _kept
        }
    )
    found = dict(zip(missing, await stored.revisions(reader, missing), strict=True)) if missing else {}
    answer = []
    for key, (workflow, revision, object_type_id) in zip(keys, wanted, strict=True):
        one = _kept.get(key)
        if one is None:
            row = found[workflow, revision]
            assert row is not None  # a revision is never deleted
            one = _kept[key] = _bind(row, object_type_id, catalogue)
        _kept.move_to_end(key)
        answer.append(one)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return answer


def _bind(row: RevisionRow, object_type_id: int, catalogue: Catalogue) -> _Bound:
    definition = loaded(row.definition)
    program = compiled(definition.actions)
    object_type = catalogue.object_types[object_type_id]
    problems = tuple(checking.problems(definition, object_type, catalogue))
    try:
        bound = tuple(triggers.bind(trigger, object_type, catalogue) for trigger in definition.triggers)
    except (Problem, Refused):
        return definition, program, None, problems
    return definition, program, bound, problems


def asked(wanted: Sequence[tuple[Published, Sequence[int]]]) -> list[Asked]:
    """What is to be answered for each workflow and its candidates: its triggers, one after the other."""
    return [
        (filter_, ids, workflow.object_type_id)
        for workflow, ids in wanted
        for filter_ in workflow.filters or ()
    ]


def first_met(
    workflows: Sequence[Published], answers: Sequence[Mapping[int, Foreseen]]
) -> list[dict[int, int]]:
    """For each workflow {record: number of the first trigger that it meets}, from the answers to `asked`."""
    told = iter(answers)
    found: list[dict[int, int]] = []
    for workflow in workflows:
        first: dict[int, int] = {}
        for n, _ in enumerate(workflow.filters or ()):
            for record_id, answer in next(told).items():
                if answer.holds:
                    first.setdefault(record_id, n)
        found.append(first)
    return found
