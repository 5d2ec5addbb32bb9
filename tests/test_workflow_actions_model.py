"""Actions on data beside a plain model: dictionaries, and one enrollment after the other."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine import accounts
from storage.database import connect
from tests.flows import Flows, apply_label, equals, set_property
from tests.graph import T0, laws
from tests.test_workflow_actions_laws import COMPANIES, CONTACTS, WORLDS, Story
from tests.workflow_actions import copy, create_associations, increment, remove_labels, update_labels

FIRMS, PEOPLE = {"to": "companies"}, {"to": "contacts"}
# Each with what the model makes of it: a method and its arguments.
KNOWN: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
    (set_property("city", "Rome"), ("set", None, None, "city", lambda own, old: "Rome")),
    (set_property("city", None, of=FIRMS), ("set", "companies", None, "city", lambda own, old: None)),
    (
        set_property("city", "Rome", of=FIRMS | {"labels": ["chief", "deputy"]}),
        ("set", "companies", {"chief", "deputy"}, "city", lambda own, old: "Rome"),
    ),
    (
        set_property("city", "Rome", of=FIRMS | {"labels": []}),
        ("set", "companies", set(), "city", lambda own, old: "Rome"),
    ),
    (
        set_property("city", "Rome", of=FIRMS | {"where": equals("city", "Boston")}),
        ("set", "companies", None, "city", lambda own, old: "Rome" if old == "Boston" else old),
    ),
    (
        increment("numberofemployees", by=2, of=FIRMS),
        ("set", "companies", None, "numberofemployees", lambda own, old: (old or 0) + 2),
    ),
    (
        copy("city", "city", target=FIRMS),
        ("set", "companies", None, "city", lambda own, old: own.get("city") or old),
    ),
    (
        copy("city", "city", target=PEOPLE, copyEmpty=True),
        ("set", "contacts", None, "city", lambda own, old: own.get("city")),
    ),
    (apply_label("companies", "chief"), ("label", "chief")),
    (
        apply_label("companies", "deputy", match={"own": "city", "other": "city"}),
        ("label", "deputy", lambda own, other: bool(own) and own == other),
    ),
    (
        apply_label("companies", "chief", match={"own": "city", "other": "city", "negated": True}),
        ("label", "chief", lambda own, other: bool(own and other) and own != other),
    ),
    (update_labels("companies", "chief", "deputy", replace=True), ("update", "chief", "deputy", True)),
    (update_labels("companies", "deputy", "chief", replace=True), ("update", "deputy", "chief", True)),
    (update_labels("companies", "chief", "deputy"), ("update", "chief", "deputy", False)),
    (remove_labels("companies", "chief", "deputy"), ("remove", {"chief", "deputy"}, False)),
    (remove_labels("companies", "chief", withAssociation=True), ("remove", {"chief"}, True)),
    (remove_labels("companies", withAssociation=True), ("remove", set(), True)),
    (create_associations("companies", "city", "city"), ("create", ())),
    (create_associations("companies", "city", "city", label="chief"), ("create", ("chief",))),
]
for known, _ in KNOWN:
    next(iter(known.values()))["onError"] = "CONTINUE"
HEADS = {"chief", "deputy"}
INVERSE = {"chief": "led_by", "deputy": "deputies", "primary": "primary", None: None}


class Model:
    """What stands: values by record, and between a contact and a company the labels at the contact."""

    def __init__(self, values: dict[str, dict[str, Any]], edges: set[tuple[str, str, str | None]]) -> None:
        self.values = values
        self.people = sorted(values, key=lambda name: int(name[1:]))[:CONTACTS]
        self.firms = [f"#{CONTACTS + n}" for n in range(COMPANIES)]
        self.friends = {edge[:2] for edge in edges if edge[0] in self.people and edge[1] in self.people}
        self.rest = {edge for edge in edges if edge[:2] in self.friends}
        self.held: dict[tuple[str, str], set[str]] = {}
        for one, other, label in edges:
            if one in self.people and other in self.firms:
                self.held.setdefault((one, other), set()).update(() if label is None else (label,))

    def state(self) -> tuple[dict[str, dict[str, Any]], set[tuple[str, str, str | None]]]:
        edges = set(self.rest)
        for (one, firm), labels in self.held.items():
            for label in (None, *labels):
                edges |= {(one, firm, label), (firm, one, INVERSE[label])}
        return self.values, edges

    def at(self, one: str) -> Iterator[str]:
        return (firm for firm in self.firms if (one, firm) in self.held)

    def fits(self, one: str, firm: str, label: str, going: set[str]) -> bool:
        labels = self.held.get((one, firm), set()) - going
        if label in labels:
            return True
        if labels & HEADS:
            return False
        of_one = sum(label in self.held[one, other] for other in self.at(one))
        of_firm = sum(label in held for (_, other), held in self.held.items() if other == firm)
        return label != "chief" or (of_one < 2 and of_firm < 2)

    def set(self, one: str, to: str | None, labels: Any, name: str, new: Any) -> None:
        if to is None:
            whom = [one]
        elif to == "contacts":
            whom = [other for other in self.people if (one, other) in self.friends]
        else:
            whom = [
                firm
                for firm in self.at(one)
                if labels is None or (self.held[one, firm] & labels if labels else not self.held[one, firm])
            ]
        own = dict(self.values[one])
        for record in whom:
            value = new(own, self.values[record].pop(name, None))
            if value is not None:
                self.values[record][name] = value

    def label(self, one: str, label: str, match: Any = lambda own, other: True) -> None:
        for firm in self.at(one):
            if match(self.values[one].get("city"), self.values[firm].get("city")) and self.fits(
                one, firm, label, set()
            ):
                self.held[one, firm].add(label)

    def update(self, one: str, label: str, new: str, replace: bool) -> None:
        going = {label} if replace else set()
        for firm in self.at(one):
            if label in self.held[one, firm] and self.fits(one, firm, new, going):
                self.held[one, firm] = (self.held[one, firm] - going) | {new}

    def remove(self, one: str, labels: Any, whole: bool) -> None:
        for firm in list(self.at(one)):
            held = self.held[one, firm]
            if held & labels or not (labels or held):
                self.held[one, firm] = held - labels
                if whole:
                    del self.held[one, firm]

    def create(self, one: str, labels: tuple[str, ...]) -> None:
        city = self.values[one].get("city")
        for firm in self.firms:
            same = city is not None and self.values[firm].get("city") == city
            if same and all(self.fits(one, firm, label, set()) for label in labels):
                # The first company is the primary one.
                first = set() if any(self.at(one)) else {"primary"}
                self.held.setdefault((one, firm), set()).update(first, labels)


async def beside_the_model(url: str, world: dict[str, Any], chosen: list[int]) -> None:
    async with connect(url) as db:
        story = Story(Flows(db, await accounts.create(db, uuid4().hex, now=T0)))
        await story.begin(world)
        model = Model(*await story.state())
        for n, number in enumerate(chosen):
            action, (verb, *arguments) = KNOWN[number]
            await story.one(f"go {n}", action)
            for one in model.people:
                model.values[one]["started_by"] = f"go {n}"
            for one in model.people:
                getattr(model, verb)(one, *arguments)
            assert await story.state() == model.state(), action
        await laws(story.crm)


@settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(world=WORLDS, chosen=st.lists(st.sampled_from(range(len(KNOWN))), min_size=3, max_size=6))
def test_the_actions_do_what_the_model_does(
    database_url: str, world: dict[str, Any], chosen: list[int]
) -> None:
    asyncio.run(beside_the_model(database_url, world, chosen))
