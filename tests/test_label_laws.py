"""A state machine beside a model: batches that race on several connections, limits, replaced and deleted labels."""

import asyncio
import contextlib
import os
import random
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, TypeVar
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from engine import label_removal, labels
from engine.labels import Label
from engine.problems import Problem, Refused
from storage.changes import EventKind, read
from storage.database import connect
from tests.graph import Graph, as_of, graph, laws, standing
from tests.label_races import COMMANDS, Batch, race
from tests.test_associations_laws import Model

# How many random histories; by hand, hundreds: RELATA_TEST_HISTORIES=500.
HISTORIES = int(os.environ.get("RELATA_TEST_HISTORIES", "6"))
T = TypeVar("T")

PEOPLE, FIRMS = ("contacts", "contacts"), ("contacts", "companies")
# The account's own labels: object types, internal name and its inverse, exclusivity group.
OWN = [
    (*PEOPLE, "manager", "employee", None),
    (*PEOPLE, "mentor", "pupil", "stance"),
    (*PEOPLE, "ally", "ally", "stance"),
    (*FIRMS, "billing", "billing", None),
    (*FIRMS, "owner", "owned", None),
]
PLACES = st.integers(0, 6)
BATCH = st.tuples(
    st.sampled_from(sorted(COMMANDS)),
    st.lists(st.tuples(PLACES, PLACES, st.lists(st.integers(0, 11), max_size=2)), min_size=1, max_size=5),
)
EXCHANGES = [(old, new) for old in OWN for new in OWN if old[:2] == new[:2]]
DIRECTIONS = [(near, far, name) for near, far, one, other, _ in OWN for name in {one, other}]


def inverses() -> dict[tuple[str, str], dict[str, str]]:
    """By the two object types, each label's inverse."""
    known: dict[tuple[str, str], dict[str, str]] = {
        PEOPLE: {},
        FIRMS: {"primary": "primary"},
        FIRMS[::-1]: {"primary": "primary"},
        ("companies", "companies"): {"parent": "child", "child": "parent"},
    }
    for near, far, one, other, _ in OWN:
        known[near, far][one] = other
        known[far, near][other] = one
    return known


class Labels(RuleBasedStateMachine):
    """One account with seven records beside another one; everything is also done to the model."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = contextlib.AsyncExitStack()
        self.run(self.begin())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it, on the machine's own loop."""
        return self.loop.run_until_complete(work)

    async def begin(self) -> None:
        """Two accounts with the same labels; limits that are soon reached."""
        db = await self.stack.enter_async_context(connect(self.url, size=6))
        self.crm, self.other = await graph(db, uuid4().hex), await graph(db, uuid4().hex)
        for one in (self.crm, self.other):
            for label in OWN:
                await self.make(one, *label)
        people, firms = await self.crm.records("contacts", 4), await self.crm.records("companies", 3)
        self.ids = [*people, *firms]
        self.model = Model(dict.fromkeys(people, "contacts") | dict.fromkeys(firms, "companies"))
        self.model.inverses, self.model.limits = inverses(), {("companies", "companies", "parent"): 1}
        self.model.groups = {name: group for *_, one, two, group in OWN if group for name in (one, two)}
        await self.begin_with(people, firms)
        others = await self.other.records("contacts", 2)
        await self.other.associate((*others, "manager", "ally"))
        self.untouched = await standing(self.other)
        self.stood: dict[datetime, set[Any]] = {}

    async def begin_with(self, people: list[int], firms: list[int]) -> None:
        """Associations that every history begins with."""
        every = [(a, b, name) for a in people for b in people for name in ("manager", "mentor") if a < b]
        every += [(a, b, "billing") for a in people[:2] for b in firms] + [(firms[0], people[3], "owned")]
        await self.crm.associate(*every)
        for a, b, name in every:
            assert self.model.carry_out("associate", a, b, (name,))

    async def make(self, crm: Graph, near: str, far: str, one: str, other: str, group: str | None) -> Label:
        """A label; single where both names are the same."""
        inverse = {} if one == other else {"inverse_label": other, "inverse_name": other}
        return await crm.label(near, far, one, name=one, exclusivity_group=group, **inverse)

    async def named(self, near: str, far: str, name: str) -> Label:
        """A label as it is now, told from the direction that has this name."""
        catalogue = await self.crm.db.catalogue(self.crm.account)
        for one, two in ((near, far), (far, near)):
            row = catalogue.label(catalogue.by_name[one].id, catalogue.by_name[two].id, name)
            if row is not None:
                return labels.both(catalogue, row.id)
        raise AssertionError(name)

    def teardown(self) -> None:
        """Look back at every moment, and leave."""
        try:
            for then, edges in self.stood.items():
                assert self.run(as_of(self.crm, then)) == edges
            self.run(self.events_add_up())
        finally:
            self.run(self.stack.aclose())
            self.loop.close()

    @rule(batches=st.lists(BATCH, min_size=1, max_size=4), seed=st.integers(0, 2**20))
    def batches_race(self, batches: list[Any], seed: int) -> None:
        """Several connections at once do what they would have done in the order of their commits."""
        asked = []
        for command, items in batches:
            pairs = [(self.ids[a], self.ids[b], numbers) for a, b, numbers in items]
            asked.append(Batch(command, [(a, b, *self.fitting(a, b, numbers)) for a, b, numbers in pairs]))
        for batch in self.run(race(self.crm, asked, random.Random(seed))):
            for n, (a, b, *names) in enumerate(batch.pairs):
                fine = self.model.carry_out(batch.command, a, b, tuple(names))
                assert fine is (n not in batch.refused), batch

    def fitting(self, a: int, b: int, numbers: list[int]) -> tuple[str, ...]:
        """The labels that two records can have; of an unknown one nothing is learnt here."""
        known = sorted(self.model.inverses[self.model.types[a], self.model.types[b]])
        return tuple(dict.fromkeys(known[number % len(known)] for number in numbers))

    @rule(direction=st.sampled_from(DIRECTIONS), limit=st.none() | st.integers(1, 3))
    def a_limit_is_set(self, direction: tuple[str, str, str], limit: int | None) -> None:
        """What is there stays; the next one is refused."""
        near, far, name = direction
        label = self.run(self.named(near, far, name))
        self.run(self.crm_limit(label, limit))
        self.note_limit(name, near, far, limit)

    def note_limit(self, name: str, near: str, far: str, limit: int | None) -> None:
        """The same in the model."""
        own = (near, far) if name in self.model.inverses[near, far] else (far, near)
        if limit is None:
            self.model.limits.pop((*own, name), None)
        else:
            self.model.limits[*own, name] = limit

    async def crm_limit(self, label: Label, limit: int | None) -> None:
        async with self.crm.writing(defining=True) as tx:
            await labels.set_limits(tx, label.there.id, max_count=limit)

    @rule(labels=st.sampled_from(EXCHANGES), back=st.booleans(), delete=st.booleans())
    def a_label_takes_anothers_place(self, labels: Any, back: bool, delete: bool) -> None:
        """In every use or in none; and a deleted one can be made anew."""
        old, new = labels
        old_name, new_name = old[3 if back else 2], new[2]
        expected = self.replaced(old, new, old_name)
        done = self.run(self.replace(old, new, old_name, new_name, delete))
        assert done is (expected is not None)
        if expected is not None:
            self.model.edges = expected
            if delete:
                near, far = old[:2]
                for name in {old[2], old[3]}:
                    self.note_limit(name, near, far, None)
                self.run(self.make(self.crm, *old))

    def replaced(self, old: Any, new: Any, old_name: str) -> dict[tuple[int, int], set[str]] | None:
        """The edges afterwards; None where it cannot be."""
        if old[:2] != new[:2] or old is new or (old[2] == old[3] and new[2] != new[3] and old[:2] == PEOPLE):
            return None
        near, far = old[:2]
        other_name = old[3] if old_name == old[2] else old[2]
        # Between people the direction is told; from contacts to companies it is that of the names.
        names = (
            {old_name: new[2], other_name: new[3]} if old[:2] == PEOPLE else {old[2]: new[2], old[3]: new[3]}
        )
        model = self.model
        after = {edge: set(held) for edge, held in model.edges.items()}
        for (a, b), held in after.items():
            types = (model.types[a], model.types[b])
            if types not in ((near, far), (far, near)):
                continue
            gone = {name for name in held if name in names}
            if types == FIRMS and old[:2] == FIRMS:
                gone &= {old[2]}
            elif types == FIRMS[::-1]:
                gone &= {old[3]}
            came = {
                new[3] if types == FIRMS[::-1] else new[2] if types == FIRMS else names[one] for one in gone
            }
            if not gone:
                continue
            held -= gone
            groups = [model.groups.get(name) for name in held | came]
            if any(model.groups.get(name) and groups.count(model.groups[name]) > 1 for name in came):
                return None
            held |= came
        return after if self.within_limits(after) else None

    def within_limits(self, after: dict[tuple[int, int], set[str]]) -> bool:
        """Whether nobody has more than is allowed who did not have it before."""
        model = self.model
        for (near, far, name), limit in model.limits.items():
            for one in model.types:
                if model.types[one] != near:
                    continue
                new, old = (
                    {
                        b
                        for (a, b), held in edges.items()
                        if a == one and model.types[b] == far and name in held
                    }
                    for edges in (after, model.edges)
                )
                if new - old and len(new) > limit:
                    return False
        return True

    async def replace(self, old: Any, new: Any, old_name: str, new_name: str, delete: bool) -> bool:
        first, second = await self.named(old[0], old[1], old_name), await self.named(new[0], new[1], new_name)
        try:
            async with self.crm.writing(defining=True) as tx:
                await label_removal.take_place(tx, first.there.id, second.there.id, deleting=delete)
        except (Problem, Refused):
            return False
        return True

    @rule(label=st.sampled_from(OWN))
    def a_label_is_deleted_if_nobody_holds_it(self, label: Any) -> None:
        """And made anew, without limits."""
        near, far, one, other, _ = label
        held = any(
            one in names or other in names
            for (a, b), names in self.model.edges.items()
            if {self.model.types[a], self.model.types[b]} == {near, far}
        )
        assert self.run(self.delete(label)) is not held
        if not held:
            for name in {one, other}:
                self.note_limit(name, near, far, None)
            self.run(self.make(self.crm, *label))

    async def delete(self, label: Any) -> bool:
        found = await self.named(label[0], label[1], label[2])
        try:
            async with self.crm.writing(defining=True) as tx:
                await label_removal.delete(tx, found.back.id)
        except label_removal.LabelInUse:
            return False
        return True

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        """And as the laws say; nothing of the other account has moved."""
        self.run(self.compare())

    async def compare(self) -> None:
        for a in self.ids:
            for b in self.ids:
                if a < b:
                    assert await self.crm.labels_of(a, b) == self.model.edges.get((a, b)), (a, b)
        await laws(self.crm)
        assert await standing(self.other) == self.untouched
        self.stood[self.crm.now] = await standing(self.crm)

    async def events_add_up(self) -> None:
        """What the log says came and went, each pair told once, is what stands."""
        async with self.crm.db.read(self.crm.account) as reader:
            events = await read(reader, 0, 1_000_000)
        told: set[tuple[int, int, int]] = set()
        coming = {EventKind.ASSOCIATION_ADDED, EventKind.LABEL_ADDED}
        going = {EventKind.ASSOCIATION_REMOVED, EventKind.LABEL_REMOVED}
        for event in events:
            if event.kind in coming | going:
                one, other = event.record_id or 0, event.payload["to_id"]
                for fact in (
                    (one, other, event.payload["type_id"]),
                    (other, one, event.payload["inverse_type_id"]),
                ):
                    assert (fact in told) is (event.kind in going), event
                    (told.add if event.kind in coming else told.discard)(fact)
        assert told == {(edge[0], edge[2], edge[3]) for edge in await standing(self.crm)}


def test_labels_through_random_histories(database_url: str) -> None:
    machine = type("Machine", (Labels,), {"url": database_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
