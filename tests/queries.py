"""A small graph to ask about, and a client that asks for everything in each of the ways in which we answer."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from graphql import ExecutionResult, execute, get_operation_ast, parse, validate

from engine import accounts, associations, labels, properties, records
from engine.access import SCOPES, Principal, Role
from engine.associations import Pair
from engine.batches import Mode
from engine.ids import encode
from engine.properties import Option
from resolvers.context import Context
from schema.errors import formatted
from schema.root import SCHEMA
from server.graphql.fast import FastPath
from server.graphql.splicing import SplicingExecutor
from storage.database import Actor, Database

T0 = datetime(2026, 3, 1, 12, 30, 15, 123987, tzinfo=UTC)
ACTOR = Actor("API", "key_1", None)


@dataclass(slots=True)
class Asker:
    """One account, and whoever asks about it."""

    db: Database
    account: int
    principal: Principal
    fast: FastPath
    # Record ids by a name of the story.
    ids: dict[str, str] = field(default_factory=dict)

    async def compiled(self, text: str, variables: dict[str, Any] | None = None) -> Any:
        """The data of a query as one statement answers it; None where it does not compile."""
        document = parse(text)
        assert not validate(SCHEMA, document)
        operation = get_operation_ast(document)
        assert operation is not None
        found = await self.fast.answer(text, document, operation, variables, self.principal, T0)
        return None if found is None else orjson.loads(orjson.dumps(found))

    async def executed(
        self, text: str, variables: dict[str, Any] | None = None, *, compiles: bool
    ) -> dict[str, Any]:
        """The whole answer of an ordinary execution, with root fields spliced in or all resolved one by one."""
        document = parse(text)
        wrong = validate(SCHEMA, document)
        if wrong:
            return {"errors": formatted(wrong)}
        context = Context(
            self.db, self.principal, T0, await self.db.catalogue(self.account), compiles=compiles
        )
        told: Any = execute(
            SCHEMA,
            document,
            context_value=context,
            variable_values=variables,
            executor_class=SplicingExecutor,
        )
        result: ExecutionResult = told if isinstance(told, ExecutionResult) else await told
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = formatted(result.errors)
        loaded: dict[str, Any] = orjson.loads(orjson.dumps(answer))
        return loaded

    async def both(self, text: str, variables: dict[str, Any] | None = None) -> Any:
        """The data of a query that compiles: the same in every way, keys in the same order."""
        compiled = await self.compiled(text, variables)
        assert compiled is not None, "the query does not compile"
        for compiles in (False, True):
            ordinary = await self.executed(text, variables, compiles=compiles)
            assert "errors" not in ordinary, ordinary["errors"]
            assert in_order(compiled) == in_order(ordinary["data"])
        return compiled

    async def codes(self, text: str, variables: dict[str, Any] | None = None) -> list[str]:
        """What is wrong with a query: the codes of its errors; and that it is never answered compiled."""
        assert await self.compiled(text, variables) is None
        answer = await self.executed(text, variables, compiles=True)
        assert not answer.get("data") or not any(answer["data"].values())
        return [error["extensions"]["code"] for error in answer["errors"]]

    async def create(self, object_type: str, **given: dict[str, Any]) -> None:
        """New records by their names in the story."""
        async with self.db.transaction(self.account, now=T0, actor=ACTOR) as tx:
            made = await records.create(
                tx, tx.catalogue.by_name[object_type], list(given.values()), Mode.ATOMIC
            )
        for name, outcome in zip(given, made, strict=True):
            assert outcome.value is not None, outcome.problems
            self.ids[name] = encode("record", outcome.value.id)

    async def associate(self, *pairs: tuple[str, ...], now: datetime = T0) -> None:
        """Associate records of the story: (from, to, label, …)."""
        async with self.db.transaction(self.account, now=now, actor=ACTOR) as tx:
            asked = [Pair(self.number(one), self.number(other), tuple(held)) for one, other, *held in pairs]
            await associations.associate(tx, asked, Mode.ATOMIC)

    async def archive(self, *names: str) -> None:
        """Put records of the story away."""
        async with self.db.transaction(self.account, now=T0, actor=ACTOR) as tx:
            await records.archive(tx, [self.number(name) for name in names], Mode.ATOMIC)

    def number(self, name: str) -> int:
        """The number behind a record of the story."""
        return int(self.ids[name].removeprefix("rec_"))


def in_order(value: Any) -> Any:
    """A value in which the order of keys counts."""
    if isinstance(value, dict):
        return [(key, in_order(part)) for key, part in value.items()]
    return [in_order(part) for part in value] if isinstance(value, list) else value


async def asker(db: Database, role: Role = Role.VIEWER, name: str = "demo") -> Asker:
    """A new, empty account."""
    account = await accounts.create(db, name, now=T0)
    return Asker(
        db,
        account,
        Principal(account, name, 1, None, role, SCOPES[role]),
        FastPath(SCHEMA, db),
    )


async def story(db: Database) -> Asker:
    """Ann, Bob and Cy with their companies and deals: every type of property, labels both ways, odd texts."""
    of = await asker(db)
    async with db.transaction(of.account, now=T0, actor=ACTOR, defining=True) as tx:
        for name, kind in (("points", "NUMBER"), ("vip", "BOOLEAN"), ("born", "DATE"), ("seen", "DATETIME")):
            await properties.create(tx, "contacts", name=name, label=name, type=kind)
        await properties.create(tx, "contacts", name="extra", label="Extra", type="JSON")
        await properties.create(
            tx,
            "contacts",
            name="colors",
            label="Colors",
            type="ENUMERATION",
            multiple=True,
            options=[Option("red", "Red"), Option("blue", "Blue")],
        )
        await labels.create(
            tx,
            "contacts",
            "companies",
            label="Billing contact",
            name="billing",
            inverse_name="bills",
            inverse_label="Billed through",
        )
        await labels.create(tx, "contacts", "companies", label="Adviser; or so", name="adviser")
        await labels.create(
            tx,
            "contacts",
            "contacts",
            label="Manager",
            name="manager",
            inverse_label="Employee",
            inverse_name="employee",
        )
    await of.create(
        "contacts",
        ann={
            "firstname": 'Ann "Q"',
            "lastname": "Ö\\\n\u2028😀",
            "email": "ann@x.example",
            "points": 12.5,
            "vip": True,
            "born": "1990-01-31",
            "seen": "2026-01-31T09:30:00+01:00",
            "extra": {"b": [1, 2.50, None, {"ü": "\u0001/"}], "a": False},
            "colors": ["blue", "red"],
        },
        bob={"firstname": "Bob", "email": "bob@x.example", "points": -3, "vip": False, "extra": "text"},
        cy={"email": "cy@x.example", "points": 12.5, "extra": 1e-7},
        nobody={},
        gone={"firstname": "Gone", "points": 5},
    )
    await of.create(
        "companies",
        acme={"name": "Acme", "domain": "acme.example"},
        bolt={"name": "Bolt", "domain": "bolt.example"},
        core={"name": "Core"},
    )
    await of.create("deals", d1={"name": "One"}, d2={"name": "Two"}, d3={"name": "Three"})
    await of.associate(
        ("ann", "acme", "billing", "adviser"),
        ("ann", "bolt", "adviser"),
        ("ann", "core"),
        ("bob", "acme"),
        ("cy", "bolt", "billing"),
        ("gone", "acme"),
        ("ann", "bob", "manager"),
        ("bob", "cy", "manager"),
        ("acme", "d1"),
        ("acme", "d2"),
        ("bolt", "d3"),
        ("ann", "d1"),
        ("ann", "gone"),
    )
    await of.archive("gone")
    return of
