"""Laws of actions on data: a batch is its enrollments one after the other; limits hold, and both directions agree.

The same story is told in two accounts: in one all enrollments are one batch, in the other each is a batch of its own.
"""

import asyncio
import contextlib
from collections import Counter
from typing import Any
from unittest import mock
from uuid import uuid4

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine import accounts, associations
from engine.workflows import steps
from engine.workflows.actions import targets
from storage.database import connect
from tests.filtering import leaf
from tests.flows import Flows, apply_label, associated, equals, set_property
from tests.graph import T0, laws, standing
from tests.workflow_actions import (
    changes,
    copy,
    create_associations,
    increment,
    prepared,
    remove_labels,
    start,
    update_labels,
)

CONTACTS, COMPANIES = 5, 4
WHOLE = 2_000
CITIES = st.sampled_from(["Boston", " boston", "Paris", None])
NUMBERS = st.sampled_from([None, 0, 1, 2.5])
PEOPLE, FIRMS = st.integers(0, CONTACTS - 1), st.integers(0, COMPANIES - 1)
AT_WORK = st.tuples(PEOPLE, FIRMS, st.sampled_from(["", "", "chief", "deputy", "primary"]))
FRIENDS = st.tuples(PEOPLE, PEOPLE, st.sampled_from(["", "manager", "employee"]))

TO_FIRMS, TO_PEOPLE = {"to": "companies"}, {"to": "contacts"}
BOSTON = equals("city", "Boston")
FEW = leaf("numberofemployees", "LESS_THAN", 2)
UNLED = {"associated": {"to": "contacts", "labels": ["led_by"], "quantifier": "NONE"}}
PICKS = ["MOST_RECENTLY_UPDATED", "LEAST_RECENTLY_UPDATED", "OLDEST", "MOST_RECENTLY_ASSOCIATED"]

# What a contact's workflow may do. Many of these look at what they write themselves.
ACTIONS: list[dict[str, Any]] = [
    set_property("city", "Paris", of=TO_FIRMS | {"where": BOSTON}),
    set_property("city", None, of=TO_FIRMS | {"labels": ["chief"]}),
    set_property("city", None, of=TO_FIRMS | {"labels": []}),
    set_property("jobtitle", None, of=TO_PEOPLE) | {},
    {"setProperty": {"property": "city", "template": "{{ city }}+{{ jobtitle }}", "of": TO_FIRMS}},
    {"setProperty": {"property": "city", "template": "{{ contacts.city }}."}},
    {"setProperty": {"property": "city", "template": "{{ city }}!", "of": TO_PEOPLE}},
    set_property("city", "Rome", of=TO_PEOPLE | {"where": associated("contacts", BOSTON)}),
    increment("score", by=0.1),
    increment("score", of=TO_PEOPLE),
    increment("numberofemployees", of=TO_FIRMS),
    increment("numberofemployees", by=-1, of=TO_FIRMS | {"where": FEW}),
    increment("numberofemployees", by=2**53 - 2, of=TO_FIRMS),
    increment(
        "numberofemployees", of=TO_FIRMS | {"where": associated("contacts", associated("companies", FEW))}
    ),
    copy("city", "city", target=TO_FIRMS),
    copy("city", "city", target=TO_PEOPLE, copyEmpty=True),
    copy("city", "city", source=TO_PEOPLE),
    copy("numberofemployees", "jobtitle", source=TO_FIRMS | {"labels": ["chief"]}, copyEmpty=True),
    copy("city", "jobtitle", source=TO_FIRMS | {"where": FEW}, target=TO_PEOPLE),
    apply_label("companies", "chief"),
    apply_label("companies", "chief", where=UNLED),
    apply_label("companies", "deputy", match={"own": "city", "other": "city", "matching": "TRIMMED"}),
    apply_label("companies", "primary", ownWhere=BOSTON),
    apply_label("contacts", "manager", match={"own": "city", "other": "city", "negated": True}),
    update_labels("companies", "chief", "deputy", replace=True),
    update_labels("companies", "deputy", "chief", replace=True),
    update_labels("companies", "chief", "deputy"),
    update_labels("companies", "primary", "chief", replace=True),
    update_labels("companies", "chief", "primary", where=UNLED),
    update_labels("contacts", "manager", "employee", replace=True),
    update_labels("contacts", "manager", "employee"),
    remove_labels("companies", "chief", "primary"),
    remove_labels("companies", "chief", withAssociation=True),
    remove_labels("companies", withAssociation=True),
    remove_labels("contacts", "manager", where=associated("contacts", labels=["employee"])),
    create_associations("companies", "city", "city", label="chief"),
    create_associations("companies", "city", "city", where=UNLED, label="chief"),
    create_associations("companies", "city", "city", match={"matching": "TRIMMED"}),
    create_associations("contacts", "city", "city", label="manager", match={"matching": "CASE_INSENSITIVE"}),
]
for action in ACTIONS:
    next(iter(action.values()))["onError"] = "CONTINUE"

WORLDS = st.fixed_dictionaries(
    {
        "cities": st.lists(CITIES, min_size=CONTACTS + COMPANIES, max_size=CONTACTS + COMPANIES),
        "numbers": st.lists(NUMBERS, min_size=COMPANIES, max_size=COMPANIES),
        "at work": st.lists(AT_WORK, min_size=3, max_size=14),
        "friends": st.lists(FRIENDS, max_size=6),
        "touched": st.lists(st.integers(0, CONTACTS + COMPANIES - 1), max_size=4),
        "actions": st.lists(st.sampled_from(range(len(ACTIONS))), min_size=2, max_size=4),
        "shared out": st.sampled_from([WHOLE, WHOLE, WHOLE, 5]),
    }
)


class Story:
    """One account in which it is told: the records in the order in which they were made."""

    def __init__(self, crm: Flows) -> None:
        self.crm = crm
        self.ids: list[int] = []
        self.names: dict[int, str] = {}

    async def begin(self, world: dict[str, Any]) -> None:
        """The world as it is before anything is done."""
        crm = self.crm
        await crm.label(
            "contacts", "companies", "Chief of", inverse_label="Led by", name="chief", inverse_name="led_by",
            max_count=2, inverse_max_count=2, exclusivity_group="heads",
        )  # fmt: skip
        await crm.label(
            "contacts",
            "companies",
            "Deputy of",
            name="deputy",
            inverse_name="deputies",
            exclusivity_group="heads",
        )
        await crm.label(
            "contacts", "contacts", "Manager", inverse_label="Employee", name="manager", inverse_name="employee",
            max_count=2,
        )  # fmt: skip
        cities = [{} if city is None else {"city": city} for city in world["cities"]]
        numbers = [{} if n is None else {"numberofemployees": n} for n in world["numbers"]]
        people = await crm.create("contacts", *cities[:CONTACTS])
        firms = await crm.create(
            "companies", *[one | other for one, other in zip(cities[CONTACTS:], numbers, strict=True)]
        )
        self.ids = [*people, *firms]
        self.names = {record_id: f"#{n}" for n, record_id in enumerate(self.ids)}
        for one, other, label in world["at work"]:
            labels = (label,) if label else ()
            await crm.do(associations.associate, (people[one], firms[other], *labels), first_primary=False)
        for one, other, label in world["friends"]:
            await crm.do(associations.associate, (people[one], people[other], *((label,) if label else ())))
        for n, record in enumerate(world["touched"]):
            await crm.set(self.ids[record], country=f"country {n}")

    async def told(self, actions: list[int]) -> list[Any]:
        """Carry out the actions for all contacts; what enrollments say of it, with records by their names."""
        return [
            said for n, action in enumerate(actions) for said in await self.one(f"go {n}", ACTIONS[action])
        ]

    async def one(self, name: str, action: dict[str, Any]) -> list[Any]:
        """Carry out one action. Each change is told once, whether it was made in one part or in several."""
        flow = await prepared(self.crm, "contacts", action, name=name)
        await start(self.crm, name, *self.ids[:CONTACTS])
        await self.crm.work()
        rows = sorted(await self.crm.enrolled(flow), key=lambda row: row.record_id)
        assert [row.record_id for row in rows] == self.ids[:CONTACTS]
        return [(row.status, self.named(await changes(self.crm, row))) for row in rows]

    def named(self, value: Any) -> Any:
        """The same with names of records instead of ids."""
        match value:
            case dict():
                return {
                    key: self.names[part] if key in ("record", "associated") else self.named(part)
                    for key, part in value.items()
                }
            case list():
                return [self.named(part) for part in value]
            case _:
                return value

    async def state(self) -> Any:
        """All values and associations, by name."""
        rows = await self.crm.read("SELECT r.id, r.properties FROM record AS r WHERE r.account_id = $1")
        types = (await self.crm.db.catalogue(self.crm.account)).association_types
        edges = await standing(self.crm)
        return (
            {self.names[row[0]]: row[1] for row in rows},
            {(self.names[edge[0]], self.names[edge[2]], types[edge[3]].name) for edge in edges},
        )


async def limits_hold(crm: Flows) -> None:
    """No record has more under a label than its limit; no pair two labels of one group."""
    types = (await crm.db.catalogue(crm.account)).association_types
    edges = await standing(crm)
    for (_, type_id), n in Counter((edge[0], edge[3]) for edge in edges).items():
        limit = types[type_id].max_count
        assert limit is None or n <= limit
    groups = Counter(
        (edge[0], edge[2], types[edge[3]].exclusivity_group)
        for edge in edges
        if types[edge[3]].exclusivity_group
    )
    assert all(n == 1 for n in groups.values())


async def both_ways(url: str, world: dict[str, Any]) -> None:
    async with connect(url) as db:
        stories = []
        for batch in (1_000, 1):
            story = Story(Flows(db, await accounts.create(db, uuid4().hex, now=T0)))
            await story.begin(world)
            with contextlib.ExitStack() as stack:
                stack.enter_context(mock.patch.object(steps, "BATCH", batch))
                # One after the other: batches that are under way side by side come in any order.
                stack.enter_context(mock.patch.object(steps, "LANES", 1))
                stack.enter_context(mock.patch.object(targets, "PAIRS_A_BATCH", world["shared out"]))
                told = await story.told(world["actions"])
            await laws(story.crm)
            await limits_hold(story.crm)
            stories.append((await story.state(), told))
        if world["shared out"] == WHOLE:
            # Parts of several enrollments take turns: under a limit it may be another one that comes first.
            assert stories[0] == stories[1]


# Not shrunk: an example takes its time, and what fails is read from its actions.
@settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(world=WORLDS)
def test_a_batch_is_its_enrollments_one_after_the_other(database_url: str, world: dict[str, Any]) -> None:
    asyncio.run(both_ways(database_url, world))
