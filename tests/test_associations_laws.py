"""Random operations against a plain model: inverse in step, limits, one primary, counts and history add up."""

import asyncio
import contextlib
from datetime import datetime
from typing import Any
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import associations, records
from engine.associations import Pair
from engine.batches import Mode
from engine.problems import Problem, Refused
from storage.database import connect
from tests.graph import Graph, as_of, graph, laws, standing

COMMANDS = {
    "associate": associations.associate,
    "add": associations.add_labels,
    "set": associations.set_labels,
    "remove": associations.remove_labels,
    "dissociate": associations.dissociate,
}
# Labels by their internal name at the first of the two object types; the second is the inverse.
INVERSE = {
    ("contacts", "contacts"): {"manager": "employee", "employee": "manager", "partner": "partner"},
    ("contacts", "companies"): {"billing": "billing", "owner": "owned", "primary": "primary"},
    ("companies", "contacts"): {"billing": "billing", "owned": "owner", "primary": "primary"},
    ("companies", "companies"): {"parent": "child", "child": "parent"},
}
LIMITS = {
    ("contacts", "contacts", "employee"): 2,
    ("contacts", "contacts", "partner"): 1,
    ("contacts", "contacts", None): 3,
    ("contacts", "companies", "billing"): 1,
    ("companies", "contacts", "owned"): 2,
    ("companies", "companies", "parent"): 1,
}
SYSTEM = {"primary", "parent", "child"}
Edge = tuple[int, int]


class Model:
    """What should stand: for each directed pair of records its labels, told in the simplest words."""

    def __init__(self, types: dict[int, str]) -> None:
        self.types = types
        self.edges: dict[Edge, set[str]] = {}
        self.inverses = INVERSE
        self.limits: dict[tuple[str, str, str | None], int] = dict(LIMITS)
        # Labels by name: at most one of a group on a pair of records.
        self.groups: dict[str, str] = {}

    def number(self, one: int, other_type: str, name: str | None) -> int:
        return sum(
            a == one and self.types[b] == other_type and (name is None or name in held)
            for (a, b), held in self.edges.items()
        )

    def carry_out(self, command: str, a: int, b: int, labels: tuple[str, ...]) -> bool:
        """Do what is asked of one pair; False, and nothing done, where it is refused."""
        known = self.inverses[self.types[a], self.types[b]]
        if a == b or not all(label in known for label in labels):
            return False
        if (command in ("add", "remove") and not labels) or (command == "dissociate" and labels):
            return False
        before = {edge: set(held) for edge, held in self.edges.items()}
        if command == "dissociate":
            self.edges.pop((a, b), None)
            self.edges.pop((b, a), None)
        elif command == "remove":
            for label in labels:
                self.put(a, b, label, False)
        elif not self.arrive(command, a, b, labels):
            self.edges = before
            return False
        return True

    def arrive(self, command: str, a: int, b: int, labels: tuple[str, ...]) -> bool:
        if (a, b) not in self.edges:
            holder, company = (b, a) if self.types[a] == "companies" else (a, b)
            first = "primary" in self.inverses[self.types[a], self.types[b]] and not self.number(
                holder, self.types[company], None
            )
            if not (self.room(a, b, None) and self.room(b, a, None)):
                return False
            self.edges[a, b], self.edges[b, a] = set(), set()
            labels = (*labels, "primary") if first else labels
        elif command == "set":
            for label in self.edges[a, b] - set(labels) - SYSTEM:
                self.put(a, b, label, False)
        for label in dict.fromkeys(labels):
            if label in self.edges[a, b]:
                continue
            if label == "primary":
                holder = b if self.types[a] == "companies" else a
                for one, other in list(self.edges):
                    if one == holder:
                        self.put(one, other, "primary", False)
            elif not (self.room(a, b, label) and self.room(b, a, self.inverse(a, b, label))) or (
                label in self.groups
                and any(self.groups.get(held) == self.groups[label] for held in self.edges[a, b])
            ):
                return False
            self.put(a, b, label, True)
        return True

    def inverse(self, a: int, b: int, label: str) -> str:
        return self.inverses[self.types[a], self.types[b]][label]

    def room(self, a: int, b: int, label: str | None) -> bool:
        limit = self.limits.get((self.types[a], self.types[b], label))
        return limit is None or self.number(a, self.types[b], label) < limit

    def put(self, a: int, b: int, label: str, there: bool) -> None:
        if (a, b) in self.edges and label in self.inverses[self.types[a], self.types[b]]:
            for edge, name in (((a, b), label), ((b, a), self.inverse(a, b, label))):
                (self.edges[edge].add if there else self.edges[edge].discard)(name)


async def prepared(name: str, url: str, stack: Any) -> tuple[Graph, list[int], dict[int, str]]:
    crm = await graph(await stack.enter_async_context(connect(url)), name)
    await crm.label("contacts", "contacts", "Manager", inverse_label="Employee", inverse_max_count=2)
    await crm.label("contacts", "contacts", "Partner", max_count=1)
    await crm.label("contacts", "companies", "Billing", max_count=1)
    await crm.label("contacts", "companies", "Owner", inverse_label="Owned", inverse_max_count=2)
    await crm.limit("contacts", "contacts", None, max_count=3)
    contacts, companies = await crm.records("contacts", 5), await crm.records("companies", 3)
    types = dict.fromkeys(contacts, "contacts") | dict.fromkeys(companies, "companies")
    return crm, [*contacts, *companies], types


PLACES = st.integers(0, 7)
NAMES = st.lists(
    st.sampled_from(
        ["manager", "employee", "partner", "billing", "owner", "owned", "primary", "parent", "child"]
    ),
    max_size=2,
)
BATCHES = st.lists(
    st.tuples(
        st.sampled_from(sorted(COMMANDS)),
        st.sampled_from(list(Mode)),
        st.lists(st.tuples(PLACES, PLACES, NAMES), min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=8,
)


def fitting(types: dict[int, str], a: int, b: int, names: list[str]) -> tuple[str, ...]:
    """Mostly labels that the two object types have, so that most items mean something."""
    known = INVERSE[types[a], types[b]]
    return tuple(name for name in names if name in known)


@settings(max_examples=60)
@given(batches=BATCHES)
def test_the_commands_do_what_the_model_does(database_url: str, batches: list[Any]) -> None:
    asyncio.run(against_the_model(database_url, batches))


async def against_the_model(url: str, batches: list[Any]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        crm, ids, types = await prepared(uuid4().hex, url, stack)
        model = Model(types)
        stood: dict[datetime, set[Any]] = {}
        for command, mode, items in batches:
            asked = [(ids[a], ids[b], fitting(types, ids[a], ids[b], names)) for a, b, names in items]
            before = {edge: set(held) for edge, held in model.edges.items()}
            expected = [model.carry_out(command, *one) for one in asked]
            if mode is Mode.ATOMIC and not all(expected):
                model.edges = before
            pairs = [Pair(*one) for one in asked]
            refused = await attempted(crm, command, mode, pairs)
            assert refused == {n for n, fine in enumerate(expected) if not fine}
            await holds(crm, model)
            stood[crm.now] = await standing(crm)
        for then, edges in stood.items():
            assert await as_of(crm, then) == edges


async def attempted(crm: Graph, command: str, mode: Mode, pairs: list[Pair]) -> set[Any]:
    """Which items were refused."""
    try:
        async with crm.writing() as tx:
            outcomes = await COMMANDS[command](tx, pairs, mode)
    except Refused as refused:
        return {problem.path[0] for problem in refused.problems}
    return {n for n, outcome in enumerate(outcomes) if outcome.problem is not None}


async def holds(crm: Graph, model: Model) -> None:
    """The account stands as the model says."""
    for a in model.types:
        for b in model.types:
            if a < b:
                assert await crm.labels_of(a, b) == model.edges.get((a, b))
    await laws(crm)


LIVES = st.lists(
    st.one_of(
        st.tuples(st.just("associate"), PLACES, PLACES, NAMES),
        st.tuples(st.just("set"), PLACES, PLACES, NAMES),
        st.tuples(st.just("dissociate"), PLACES, PLACES, st.just([])),
        st.tuples(st.sampled_from(["archive", "restore", "merge"]), PLACES, PLACES, st.just([])),
    ),
    min_size=5,
    max_size=25,
)


@settings(max_examples=60)
@given(lives=LIVES)
def test_the_laws_hold_through_archiving_restoring_and_merging(database_url: str, lives: list[Any]) -> None:
    asyncio.run(lived(database_url, lives))


async def lived(url: str, lives: list[Any]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        crm, ids, types = await prepared(uuid4().hex, url, stack)
        for verb, first, second, names in lives:
            a, b = ids[first], ids[second]
            async with crm.writing() as tx:
                if verb == "archive":
                    await records.archive(tx, [a, b], Mode.PER_ITEM)
                elif verb == "restore":
                    await records.restore(tx, [a, b], Mode.PER_ITEM)
                elif verb == "merge":
                    with contextlib.suppress(Problem):
                        await records.merge(tx, a, b)
                else:
                    pair = Pair(a, b, fitting(types, a, b, names))
                    await COMMANDS[verb](tx, [pair], Mode.PER_ITEM)
            await laws(crm)
            await within_limits(crm)


async def within_limits(crm: Graph) -> None:
    """No limit of these stories was ever raised or lowered, so none may be passed."""
    catalogue = await crm.db.catalogue(crm.account)
    for row in catalogue.association_types.values():
        if row.max_count is not None:
            counts = await crm.read(
                "SELECT max(c.n) FROM association_count AS c WHERE c.account_id = $1 AND c.type_id = $2",
                row.id,
            )
            assert (counts[0][0] or 0) <= row.max_count, row.name
