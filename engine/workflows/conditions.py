"""What of a definition decides on who enters a workflow and who leaves it, bound to the account's definitions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from engine import filters, ids
from engine.evaluation import listening
from engine.filters.problems import UnknownWorkflow, WorkflowOfAnotherType
from engine.problems import Problem, Refused
from engine.values import tidy
from engine.workflows import bound as triggers_bound
from engine.workflows import triggers
from engine.workflows.bound import Bound, Dated, Met
from engine.workflows.definition import Definition, kind
from engine.workflows.definition.parts import Where
from engine.workflows.rules import Policy
from storage.catalogue import Catalogue, ObjectTypeRow
from storage.filters.tree import And, Filter
from storage.listeners import Ref

# What every living record of the type meets.
EVERYBODY = And(())


# More than that within an hour is no re-enrollment that anybody means.
REENROLLMENTS_LIMIT = 1_000


class GuardUnfit(Problem):
    """A record may be enrolled again at most 1 to {limit} times within an hour, not {given}."""


@dataclass(frozen=True)
class Conditions:
    """Triggers by their numbers, re-enrollment triggers counting on behind the others, and what keeps or takes out.

    `filters` are the different ones that the enrolled record is asked, `EVERYBODY` first; `own` says which of them
    belongs to each trigger. `kinds` are the triggers' keys in the definition. Workflows in `leaves` (None: all) are
    left by whoever enters this one.
    """

    triggers: tuple[Bound, ...]
    reentry: tuple[Bound, ...]
    kinds: tuple[str, ...]
    suppress: Filter | None
    goal: Filter | None
    policy: Policy
    leaves: tuple[int, ...] | None = ()
    filters: tuple[Filter, ...] = field(init=False)
    own: tuple[int | None, ...] = field(init=False)
    suppress_at: int | None = field(init=False)
    goal_at: int | None = field(init=False)

    def __post_init__(self) -> None:
        different: dict[Filter, int] = {EVERYBODY: 0}

        def place(filter_: Filter | None) -> int | None:
            return None if filter_ is None else different.setdefault(filter_, len(different))

        for name, value in (
            ("own", tuple(place(trigger.own) for trigger in self.numbered)),
            ("suppress_at", place(self.suppress)),
            ("goal_at", place(self.goal)),
            ("filters", tuple(different)),
        ):
            object.__setattr__(self, name, value)

    @cached_property
    def numbered(self) -> tuple[Bound, ...]:
        """All triggers by their numbers."""
        return self.triggers + self.reentry

    @cached_property
    def met(self) -> tuple[int, ...]:
        """The enrollment triggers that are filters."""
        return tuple(n for n, trigger in enumerate(self.triggers) if isinstance(trigger, Met))

    @cached_property
    def met_anew(self) -> tuple[int, ...]:
        """The re-enrollment triggers that are filters."""
        first = len(self.triggers)
        return tuple(first + n for n, trigger in enumerate(self.reentry) if isinstance(trigger, Met))

    @cached_property
    def events(self) -> tuple[int, ...]:
        """The triggers that may occur with a change."""
        return tuple(n for n, trigger in enumerate(self.numbered) if not isinstance(trigger, Met))

    @cached_property
    def dated(self) -> tuple[int, ...]:
        """The triggers that wait for a date."""
        return tuple(n for n, trigger in enumerate(self.numbered) if isinstance(trigger, Dated))

    @cached_property
    def moving(self) -> tuple[bool, ...]:
        """Which of `filters` the clock alone can change."""
        return tuple(filters.moving(one) for one in self.filters)

    @cached_property
    def timed(self) -> bool:
        """Whether the clock alone may let somebody in or out."""
        return bool(self.dated) or any(self.moving)

    @cached_property
    def leaving(self) -> bool:
        """Whether active records may have to leave for what they are like."""
        return self.goal is not None or self.suppress is not None or self.policy.unenroll_when_not_met

    @cached_property
    def guarded(self) -> bool:
        """Whether looks at one record must follow each other: their answers hang on what the last one left."""
        return self.leaving or self.timed or bool(self.met_anew)


def bind(definition: Definition, object_type: ObjectTypeRow, catalogue: Catalogue) -> Conditions:
    """The conditions of a definition; raises the first `Problem`, or `Refused`."""
    enrolling = tuple(triggers.bind(one, object_type, catalogue) for one in definition.triggers)
    again = tuple(triggers.bind(one, object_type, catalogue) for one in definition.reenrollment_triggers)
    return Conditions(
        enrolling,
        again,
        tuple(kind(one) for one in (*definition.triggers, *definition.reenrollment_triggers)),
        _own(definition.suppress_when, object_type, catalogue),
        _own(definition.goal, object_type, catalogue),
        Policy(
            holding=any(isinstance(one, Met) for one in enrolling),
            reentry=bool(again),
            unenroll_when_not_met=definition.unenroll_when_not_met,
            reenrollments_per_hour=definition.guards.reenrollments_per_hour,
        ),
        None
        if definition.unenroll_from_all
        else tuple(_workflow(one, object_type, catalogue) for one in definition.unenroll_from),
    )


def problems(definition: Definition, object_type: ObjectTypeRow, catalogue: Catalogue) -> Iterator[Problem]:
    """What is wrong with a definition's conditions, each at its path."""
    for key, several in (
        ("triggers", definition.triggers),
        ("reenrollmentTriggers", definition.reenrollment_triggers),
    ):
        for n, trigger in enumerate(several):
            try:
                triggers.bind(trigger, object_type, catalogue)
            except Problem as problem:
                yield problem.at(key, n, kind(trigger))
            except Refused as refused:
                yield from (problem.at(key, n, kind(trigger)) for problem in refused.problems)
    for key, where in (("suppressWhen", definition.suppress_when), ("goal", definition.goal)):
        if where is not None:
            yield from (problem.at(key) for problem in filters.problems(where, object_type, catalogue))
    given = definition.guards.reenrollments_per_hour
    if not 1 <= given <= REENROLLMENTS_LIMIT:
        path = ("guards", "reenrollmentsPerHour")
        yield GuardUnfit(limit=REENROLLMENTS_LIMIT, given=given, path=path)
    for n, workflow in enumerate(definition.unenroll_from):
        try:
            _workflow(workflow, object_type, catalogue)
        except Problem as problem:
            yield problem.at("unenrollFrom", n)


def refs(conditions: Conditions, object_type_id: int, catalogue: Catalogue) -> set[Ref]:
    """What a workflow with these conditions has to hear of."""
    found = set[Ref]()
    looked = [one.own for one in conditions.numbered if isinstance(one, Met)]
    looked += [one for one in (conditions.suppress, conditions.goal) if one is not None]
    if looked:
        found.update(listening.refs(looked, object_type_id, catalogue))
    for one in conditions.numbered:
        found.update(triggers_bound.refs(one, object_type_id))
    return found


def ordered(found: set[Ref]) -> Sequence[Ref]:
    """References in a fixed order."""
    return sorted(found, key=lambda ref: (ref.kind, ref.ref_id, ref.path))


def _own(where: Where | None, object_type: ObjectTypeRow, catalogue: Catalogue) -> Filter | None:
    return None if where is None else filters.bind(where, object_type, catalogue)


def _workflow(text: str, object_type: ObjectTypeRow, catalogue: Catalogue) -> int:
    number = ids.decode("workflow", text)
    of = catalogue.workflows.get(number)
    if of is None:
        raise UnknownWorkflow(workflow=tidy(text))
    if of != object_type.id:
        raise WorkflowOfAnotherType(
            workflow=tidy(text), of=catalogue.object_types[of].name, object_type=object_type.name
        )
    return number
