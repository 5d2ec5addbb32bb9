"""Random workflows, and what random writers do to contacts that may enroll in them.

What workflows write, only later ones look at: so no circle of them, and an increment is one of one enrollment alone.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import associations, events, ids, properties, records
from engine.associations import Pair
from engine.batches import Mode
from engine.events import EventInput
from engine.workflows import commands
from storage.database import Transaction
from tests.flows import associated, equals
from tests.flows_model import Flow, Model
from tests.segments import Segments

CITIES = ("Boston", "Paris", "Rome")
NAMES = ("Lee", "Low", "Lot")
PAGES = ("/", "/pricing")
# So many random ones; behind them one that another one enrolls in.
FLOWS = 5

Op = tuple[Any, ...]


@dataclass(slots=True)
class World:
    """An account of random workflows: their definitions by id, and who may be written to."""

    crm: Segments
    chance: random.Random
    flows: dict[int, dict[str, Any]] = field(default_factory=dict)
    # The workflow that others enroll in, and the number of each of the others.
    called: int = 0
    of_deals: int = 0
    numbers: dict[int, int] = field(default_factory=dict)
    contacts: list[int] = field(default_factory=list)
    companies: list[int] = field(default_factory=list)
    active: int = 0
    by_hand: int = 0
    active_where: dict[str, Any] = field(default_factory=dict)

    # --- definitions ----------------------------------------------------------------------------------------

    async def begin(
        self, contacts: int = 6, companies: int = 3, given: Sequence[dict[str, Any]] | None = None
    ) -> None:
        """Labels, properties, segments, workflows (random ones, or those given) that are on, and the first records."""
        crm = self.crm
        await crm.label("contacts", "companies", "Customer of", name="customer", inverse_name="supplier")
        await crm.label("contacts", "companies", "Important to", name="vip", inverse_name="dear")
        async with crm.writing(defining=True) as tx:
            for n in range(FLOWS + 1):
                for name, kind in ((f"score{n}", "NUMBER"), (f"text{n}", "STRING")):
                    await properties.create(tx, "contacts", name=name, label=name, type=kind)
            await properties.create(tx, "deals", name="turns", label="turns", type="NUMBER")
        self.active_where = self.where()
        self.active = await crm.segment("contacts", self.active_where)
        self.by_hand = await crm.segment("contacts", kind="STATIC")
        self.of_deals = await crm.flow("deals", [{"recordCreated": {}}], count("turns"), name="deals")
        await self._make(FLOWS, {"triggers": [{"manual": {}}], "actions": [count(f"score{FLOWS}")]})
        self.called = next(iter(self.flows))
        for n in range(FLOWS if given is None else len(given)):
            await self._make(n, self._definition(n) if given is None else given[n])
        self.companies = await crm.create("companies", *[{} for _ in range(companies)])
        self.contacts = await crm.create("contacts", *[{} for _ in range(contacts)])

    async def _make(self, n: int, definition: dict[str, Any]) -> None:
        async with self.crm.writing(defining=True) as tx:
            row = await commands.create(tx, f"flow {n}", "contacts", definition)
            await commands.publish(tx, row.id, row.draft_version)
        await self.crm.switch(row.id, True)
        self.flows[row.id], self.numbers[row.id] = definition, n

    def _definition(self, n: int) -> dict[str, Any]:
        chance = self.chance
        made: dict[str, Any] = {
            "triggers": [self._trigger(n) for _ in range(chance.randint(1, 2))],
            "actions": self._actions(n),
            "guards": {"reenrollmentsPerHour": 1000},
        }
        if chance.random() < 0.65:
            same = chance.random() < 0.4
            made["reenrollmentTriggers"] = made["triggers"] if same else [self._trigger(n)]
        if chance.random() < 0.25:
            made["suppressWhen"] = equals("lastname", "Low")
        if chance.random() < 0.25:
            made["goal"] = equals("lastname", "Lee")
        if chance.random() < 0.3:
            made["unenrollWhenNotMet"] = True
        if n == 2:
            made["unenrollFrom"] = [ids.encode("workflow", one) for one, k in self.numbers.items() if k == 1]
        return made

    def where(self, depth: int = 2) -> dict[str, Any]:
        """A filter of contacts by what people write."""
        chance = self.chance
        roll = chance.random()
        if depth and roll < 0.3:
            parts = [self.where(depth - 1) for _ in range(2)]
            return {chance.choice(["and", "or"]): parts}
        if depth and roll < 0.4:
            return {"not": self.where(depth - 1)}
        if roll < 0.6:
            inner = equals("city", chance.choice(CITIES)) if chance.random() < 0.6 else None
            more = {
                "labels": chance.choice([None, ["customer"]]),
                "quantifier": chance.choice(["ANY", "NONE"]),
            }
            return associated("companies", inner, **more)
        if roll < 0.7:
            viewed = {"negated": True} if chance.random() < 0.5 else self._page()
            return {"event": {"type": "page_viewed", **viewed}}
        return equals("city", *chance.sample(CITIES, chance.randint(1, 2)))

    def _page(self) -> dict[str, Any]:
        if self.chance.random() < 0.5:
            return {}
        page = self.chance.choice(PAGES)
        return {"where": {"property": {"name": "url", "operator": "EQUALS", "value": page}}}

    def _trigger(self, n: int) -> dict[str, Any]:
        chance = self.chance
        own = self.where(1) if chance.random() < 0.4 else None
        match chance.randrange(9):
            case 0 | 1:
                return {"filterMet": {"where": self.where()}}
            case 2:
                return {"recordCreated": {"where": own}}
            case 3 | 4:
                name = chance.choice(["city", "lastname"])
                values = CITIES if name == "city" else NAMES
                some = chance.choice([None, [chance.choice(values)]])
                return {"propertyChanged": {"property": name, "values": some, "where": own}}
            case 5 if n:
                earlier = chance.choice([f"score{chance.randrange(n)}", f"text{chance.randrange(n)}"])
                return {"propertyChanged": {"property": earlier, "where": own}}
            case 6:
                labels = chance.choice([None, ["customer"]] + ([["vip"]] if n > 2 else []))
                change = chance.choice(["ADDED", "ADDED", "REMOVED"])
                inner = equals("city", chance.choice(CITIES)) if chance.random() < 0.4 else None
                words = {"to": "companies", "labels": labels, "change": change, "where": inner}
                return {"associationChanged": {**words, "ownWhere": own}}
            case 7:
                segment = chance.choice([self.active, self.active, self.by_hand])
                change = chance.choice(["JOINED", "JOINED", "LEFT"])
                words = {"segment": ids.encode("segment", segment), "change": change}
                return {"segmentChanged": {**words, "where": own}}
            case _:
                return {"eventOccurred": {"type": "page_viewed", "ownWhere": own, **self._page()}}

    def _actions(self, n: int) -> list[dict[str, Any]]:
        """First an increment, so that each enrollment leaves its trace; then this and that."""
        chance = self.chance
        text = {"setProperty": {"property": f"text{n}", "value": chance.choice(CITIES)}}
        ways = [{"where": self.where(1), "actions": [text]}]
        empty: list[dict[str, Any]] = []
        more: list[dict[str, Any]] = [
            text,
            {"branch": {"branches": ways, "otherwise": empty}},
            {"addToSegment": {"segment": ids.encode("segment", self.by_hand)}},
            {"createRecord": {"to": "deals", "properties": [{"property": "name", "value": f"{n}"}]}},
            {"delay": {"duration": {"value": 1, "unit": "DAY"}}},
        ]
        if n == 1:
            more.append({"enrollIn": {"workflow": ids.encode("workflow", self.called)}})
        always = [count(f"score{n}")]
        if n in (1, 2):
            # One sets the label, the other takes it off.
            words = {"label": "vip"} if n == 1 else {"labels": ["vip"]}
            always.append({"applyLabel" if n == 1 else "removeLabels": {"to": "companies", **words}})
        return named([*always, *chance.sample(more, chance.randint(1, 3))])

    def model(self, *, records: bool = True) -> Model:
        """The same, as the plain model has it; with the first contacts, or none."""
        made = Model(self.crm.now)
        made.flows = {one: Flow(one, self.flows[one]) for one in self.flows}
        made.companies = {one: {} for one in self.companies}
        made.active_segments, made.by_hand = {self.active: self.active_where}, {self.by_hand: set()}
        for one in self.contacts if records else ():
            made.create(one, {})
        return made

    # --- what people do -------------------------------------------------------------------------------------

    def ops(self, chance: random.Random) -> list[Op]:
        """What somebody does in one transaction: mostly to the same contact."""
        some = [chance.choice(self.contacts)]
        return [
            self.op(chance, some if chance.random() < 0.7 else self.contacts)
            for _ in range(chance.choice([1, 1, 2, 3]))
        ]

    def op(self, chance: random.Random, whom: list[int]) -> Op:
        """Something that somebody does."""
        one, other = chance.choice(whom), chance.choice(self.companies)
        match chance.randrange(17):
            case 0 | 1 | 2 | 3:
                return "set", one, {"city": chance.choice(CITIES)}
            case 4:
                return "set", one, {"lastname": chance.choice(NAMES)}
            case 5:
                city = {"city": chance.choice(CITIES)} if chance.random() < 0.6 else {}
                return "create", city
            case 6 | 7:
                return "link", one, other, *(["customer"] if chance.random() < 0.6 else [])
            case 8:
                return "unlink", one, other
            case 9:
                return "unlabel", one, other, "customer"
            case 10:
                return "archive", one
            case 11 | 12:
                return "restore", one
            case 13:
                return "company", other, chance.choice(CITIES)
            case 14:
                return chance.choice(["enroll", "unenroll"]), chance.choice(list(self.flows)), one
            case _:
                return "view", one, chance.choice(PAGES)


async def perform(tx: Transaction, op: Op) -> int | None:
    """Do it with the product's commands; the record that was made, if one was."""
    kind, *given = op
    match kind:
        case "set":
            await records.update(tx, [(given[0], given[1])], Mode.PER_ITEM)
        case "create":
            made = await records.create(tx, tx.catalogue.by_name["contacts"], [given[0]], Mode.ATOMIC)
            assert made[0].value is not None
            return made[0].value.id
        case "link":
            pair = Pair(given[0], given[1], tuple(given[2:]))
            await associations.associate(tx, [pair], Mode.PER_ITEM)
        case "unlink":
            await associations.dissociate(tx, [Pair(given[0], given[1])], Mode.PER_ITEM)
        case "unlabel":
            pair = Pair(given[0], given[1], (given[2],))
            await associations.remove_labels(tx, [pair], Mode.PER_ITEM)
        case "archive":
            await records.archive(tx, [given[0]], Mode.PER_ITEM)
        case "restore":
            await records.restore(tx, [given[0]], Mode.PER_ITEM)
        case "company":
            await records.update(tx, [(given[0], {"city": given[1]})], Mode.PER_ITEM)
        case "enroll":
            await commands.enroll(tx, given[0], [given[1]])
        case "unenroll":
            await commands.unenroll(tx, given[0], [given[1]])
        case _:
            await events.record(tx, [EventInput("page_viewed", given[0], {"url": given[1]})], Mode.PER_ITEM)
    return None


def mirror(model: Model, op: Op, made: int | None) -> None:
    """Do it in the model. What cannot be done to an archived contact is not done."""
    kind, *given = op
    if kind == "create":
        assert made is not None
        model.create(made, given[0])
        return
    whom = given[1] if kind in ("enroll", "unenroll") else given[0]
    if kind != "restore" and whom in model.archived:
        return
    doing: dict[str, Callable[..., Any]] = {"company": model.company, "view": model.view}
    if kind == "restore" and whom not in model.archived:
        return
    doing.get(kind, getattr(model, kind))(*given)


def count(name: str) -> dict[str, Any]:
    """The action: one more."""
    return {"incrementProperty": {"property": name, "by": 1, "id": "count"}}


def named(actions: list[dict[str, Any]], before: str = "") -> list[dict[str, Any]]:
    """The same with ids, those within branches included."""
    found = []
    for n, action in enumerate(actions):
        ((kind, words),) = action.items()
        own = f"{before}{kind}{n}"
        words = {"id": own, "onError": "CONTINUE", **words}
        if kind == "branch":
            ways = [
                {**way, "actions": named(way["actions"], f"{own}-{k}-")}
                for k, way in enumerate(words["branches"])
            ]
            words |= {"branches": ways, "otherwise": named(words["otherwise"], f"{own}-o-")}
        found.append({kind: words})
    return found
