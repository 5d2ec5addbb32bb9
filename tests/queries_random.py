"""Random graphs, and random queries of them that compile: every field, argument, fragment and directive there is."""

import json
import random
import re
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from storage.database import Database
from tests.queries import Asker, story

TEXTS = ["", "a", "B", "ä", "\u2028", "😀", 'q"\\', "zz\n", "\u0007", "12", "null"]
NUMBERS: list[Any] = [0, -1, 2.5, 1e-7, 0.1, 123456789012, -0.30000000000000004, 9007199254740991]
JSONS: list[Any] = [
    {},
    [],
    "x",
    0,
    1.0,
    1e300,
    True,
    {"k": [{"a": None}], "aa": {"": "\u0001"}},
    18446744073709551615,
]
PROPERTIES = {
    "contacts": [
        "firstname",
        "lastname",
        "email",
        "city",
        "points",
        "vip",
        "born",
        "seen",
        "extra",
        "colors",
    ],
    "companies": ["name", "domain", "city"],
    "deals": ["name", "amount"],
}
SORTABLE = {
    name: [one for one in names if one not in ("extra", "colors")] for name, names in PROPERTIES.items()
}
LABELS = {
    ("contacts", "companies"): ["primary", "billing", "adviser"],
    ("companies", "contacts"): ["primary", "bills", "adviser"],
    ("contacts", "contacts"): ["manager", "employee"],
}
TYPES = list(PROPERTIES)


async def random_graph(db: Database, seed: int) -> Asker:
    """The story, and forty records more with values and associations by chance; some are put away."""
    of = await story(db)
    chance = random.Random(seed)
    contacts = {
        f"c{n}": {
            name: value
            for name, value in {
                "firstname": chance.choice(TEXTS),
                "lastname": chance.choice(TEXTS),
                "city": chance.choice(TEXTS),
                "points": chance.choice(NUMBERS),
                "vip": chance.choice([True, False]),
                "born": chance.choice(["1999-12-31", "2000-01-01"]),
                "seen": chance.choice(["2026-01-01T00:00:00Z", "2025-12-31T23:59:59.999-01:00"]),
                "extra": chance.choice(JSONS),
                "colors": chance.choice([["red"], ["blue", "red"], []]),
            }.items()
            if chance.random() < 0.6
        }
        for n in range(20)
    }
    await of.create("contacts", **contacts)
    await of.create(
        "companies",
        **{f"o{n}": {"name": chance.choice(TEXTS), "city": chance.choice(TEXTS)} for n in range(10)},
    )
    await of.create(
        "deals", **{f"e{n}": {"name": "Deal", "amount": chance.choice(NUMBERS)} for n in range(10)}
    )
    pairs: list[tuple[str, ...]] = []
    for n in range(20):
        for other in chance.sample(range(10), chance.choice([0, 1, 3, 6])):
            pairs.append(
                (f"c{n}", f"o{other}", *chance.sample(["billing", "adviser"], chance.choice([0, 0, 1, 2])))
            )
        if n % 3 == 0:
            pairs.append(
                (f"c{n}", f"c{n + 1}", *chance.sample(["manager", "employee"], chance.choice([0, 1, 2])))
            )
    pairs += [(f"o{n}", f"e{other}") for n in range(10) for other in chance.sample(range(10), 3)]
    await of.associate(*pairs)
    await of.archive("c4", "o3", "e5")
    return of


@dataclass
class Writer:
    """One query in the making."""

    draw: Any
    fragments: list[str] = field(default_factory=list)
    variables: dict[str, tuple[str, Any]] = field(default_factory=dict)
    aliases: int = 0

    def of(self, choices: list[Any]) -> Any:
        """One of these."""
        return self.draw(st.sampled_from(choices))

    def maybe(self) -> bool:
        """Yes or no; no is simpler."""
        return bool(self.draw(st.booleans()))

    def some(self, choices: list[Any], least: int = 1) -> list[Any]:
        """A few of these."""
        return list(self.draw(st.lists(st.sampled_from(choices), min_size=least, max_size=3)))

    def called(self, name: str) -> str:
        """A field under a key that nothing else has, for two of a name may differ in their arguments."""
        self.aliases += 1
        return f"k{self.aliases}: {name}"

    def value(self, kind: str, given: Any) -> str:
        """A value as a variable, or as it stands."""
        if self.maybe():
            name = f"v{len(self.variables)}"
            self.variables[name] = (kind, given)
            return f"${name}"
        return literal(given)

    def set(self, kind: str, fields: list[str]) -> str:
        """A selection set of `fields` on the type `kind`, parts of it in fragments or under directives."""
        words: list[str] = []
        for text in [*fields, *(["__typename"] if self.maybe() else [])]:
            match self.of(["plain", "plain", "plain", "inline", "fragment", "include", "skip"]):
                case "inline":
                    words.append(f"... on {kind} {{ {text} }}")
                case "fragment":
                    name = f"F{len(self.fragments)}"
                    self.fragments.append(f"fragment {name} on {kind} {{ {text} }}")
                    words += [f"...{name}", f"...{name}"]
                case "include":
                    words.append(f"... @include(if: {self.value('Boolean!', self.maybe())}) {{ {text} }}")
                case "skip":
                    words.append(
                        f"... on {kind} @skip(if: {self.value('Boolean!', self.maybe())}) {{ {text} }}"
                    )
                case _:
                    words.append(text)
        # A set must not be empty; its first field may be left out by a directive, this one is not.
        return f"{{ {' '.join(words)} {self.called('__typename')} }}"

    def record(self, kind: str, depth: int) -> str:
        """What is wanted of a record."""
        fields = []
        for name in self.some(
            ["id", "objectType", "displayName", "createdAt", "updatedAt", "archivedAt", "lastAssociationChangeAt",
             "properties", "names", "property", "associationCount", "associations", "associations"]
        ):  # fmt: skip
            match name:
                case "properties":
                    fields.append("properties")
                case "names":
                    names = self.value("[String!]", self.some(PROPERTIES[kind], 0))
                    fields.append(self.called(f"properties(names: {names})"))
                case "property":
                    fields.append(self.called(f"property(name: {literal(self.of(PROPERTIES[kind]))})"))
                case "associationCount":
                    to = self.of(TYPES)
                    labels = self.labels(kind, to)
                    fields.append(self.called(f"associationCount(to: {literal(to)}{labels})"))
                case "associations" if depth:
                    fields.append(self.associations(kind, depth))
                case "associations":
                    fields.append("id")
                case _:
                    fields.append(name)
        return self.set("Record", fields)

    def labels(self, near: str, far: str) -> str:
        """An argument that names labels, or none."""
        known = LABELS.get((near, far), [])
        if not self.maybe():
            return ""
        return f", labels: {self.value('[String!]', self.some(known, 0) if known else [])}"

    def associations(self, near: str, depth: int) -> str:
        """A connection of associated records."""
        far = self.of(TYPES)
        arguments = f"to: {literal(far)}{self.labels(near, far)}{self.paging(far)}"
        edge = [
            {
                "cursor": "cursor",
                "createdAt": "createdAt",
                "source": "source",
                "labels": f"labels {self.set('EdgeLabel', self.some(['name', 'label', 'typeId', 'category']))}",
                "node": f"node {self.record(far, depth - 1)}",
            }[name]
            for name in dict.fromkeys(self.some(["cursor", "createdAt", "source", "labels", "node"]))
        ]
        return self.called(f"associations({arguments}) {self.connection('Association', far, edge, depth)}")

    def records(self, kind: str) -> str:
        """A root: a connection of records."""
        edge = ["cursor", f"node {self.record(kind, 2)}"]
        arguments = f"objectType: {literal(kind)}{self.paging(kind)}"
        return self.called(f"records({arguments}) {self.connection('Record', kind, edge, 3)}")

    def one(self, ids: list[str], kind: str) -> str:
        """A root: one record by its id."""
        given = self.value("ID", self.of(ids))
        return self.called(f"record(objectType: {literal(kind)}, id: {given}) {self.record(kind, 2)}")

    def connection(self, name: str, kind: str, edge: list[str], depth: int) -> str:
        """What is wanted of a connection."""
        facts = ["hasNextPage", "hasPreviousPage", "startCursor", "endCursor"]
        fields = []
        for chosen in dict.fromkeys(self.some(["edges", "nodes", "edges", "pageInfo", "totalCount"])):
            match chosen:
                case "edges":
                    fields.append(f"edges {self.set(f'{name}Edge', edge)}")
                case "nodes":
                    fields.append(f"nodes {self.record(kind, depth - 1)}")
                case "pageInfo":
                    fields.append(f"pageInfo {self.set('PageInfo', self.some(facts))}")
                case _:
                    fields.append(chosen)
        return self.set(f"{name}Connection", fields)

    def paging(self, kind: str) -> str:
        """Arguments of a list: a filter, an order, a size."""
        words = []
        if self.maybe():
            words.append(f"where: {self.value('FilterInput', self.filter(kind, 2))}")
        if self.maybe():
            words.append(
                f"orderBy: {self.value('[OrderInput!]', [self.order(kind) for _ in range(self.of([0, 1, 2]))])}"
            )
        if self.maybe():
            words.append(f"{self.of(['first', 'last'])}: {self.value('Int', self.of([0, 1, 2, 3, 500]))}")
        return "".join(f", {word}" for word in words)

    def order(self, kind: str) -> dict[str, Any]:
        """One part of an order."""
        if self.maybe():
            part = {"property": self.of(SORTABLE[kind])}
        else:
            fields = ["ID", "CREATED_AT", "UPDATED_AT", "LAST_ASSOCIATION_CHANGE_AT"]
            part = {"field": Name(self.of(fields))}
        return part | {"direction": Name(self.of(["ASC", "DESC"]))}

    def filter(self, kind: str, depth: int) -> dict[str, Any]:
        """A filter."""
        match self.of(["property", "property", "and", "or", "not", "associated"] if depth else ["property"]):
            case "and" | "or" as key:
                return {key: [self.filter(kind, depth - 1) for _ in range(self.of([1, 2]))]}
            case "not":
                return {"not": self.filter(kind, depth - 1)}
            case "associated":
                to = self.of(TYPES)
                leaf: dict[str, Any] = {"to": to, "quantifier": Name(self.of(["ANY", "ALL", "NONE"]))}
                if self.maybe():
                    leaf["where"] = self.filter(to, depth - 1)
                if self.maybe() and (kind, to) in LABELS:
                    leaf["labels"] = self.some(LABELS[kind, to], 0)
                return {"associated": leaf}
            case _:
                name = self.of(PROPERTIES[kind])
                if name in ("points", "amount"):
                    operator = self.of(["EQUALS", "NOT_EQUALS", "LESS_THAN", "GREATER_THAN_OR_EQUAL"])
                    return {"property": {"name": name, "operator": Name(operator), "value": self.of(NUMBERS)}}
                if name in ("firstname", "lastname", "city", "name"):
                    operator = self.of(["EQUALS", "CONTAINS", "STARTS_WITH", "NOT_CONTAINS"])
                    leaf = {"name": name, "operator": Name(operator), "value": self.of(TEXTS[1:])}
                    return {"property": leaf | ({"includeEmpty": self.maybe()} if self.maybe() else {})}
                return {"property": {"name": name, "operator": Name(self.of(["KNOWN", "UNKNOWN"]))}}


class Name(str):
    """A name of an enumeration: bare in a query, text in variables."""

    __slots__ = ()


def literal(value: Any) -> str:
    """A value as a query writes it."""
    match value:
        case Name():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{key}: {literal(part)}" for key, part in value.items()) + "}"
        case list():
            return "[" + ", ".join(literal(part) for part in value) + "]"
        case _:
            return json.dumps(value)


@st.composite
def queries(draw: Any, ids: list[str]) -> tuple[str, dict[str, Any]]:
    """A query of one to three roots, with its variables."""
    writer = Writer(draw)
    roots = [
        writer.one(ids, writer.of(TYPES)) if writer.maybe() else writer.records(writer.of(TYPES))
        for _ in range(writer.of([1, 1, 2, 3]))
    ]
    parts = [writer.set("Query", roots)]
    # Parts that were drawn and not used leave fragments and variables behind; a fragment names earlier ones only.
    for n in reversed(range(len(writer.fragments))):
        if re.search(rf"\.\.\.F{n}\b", " ".join(parts)):
            parts.append(writer.fragments[n])
    text = " ".join(parts)
    used = {name: told for name, told in writer.variables.items() if re.search(rf"\${name}\b", text)}
    declared = ", ".join(f"${name}: {kind}" for name, (kind, _) in used.items())
    head = f"query ({declared})" if declared else "query"
    return f"{head} {text}", {name: given for name, (_, given) in used.items()}
