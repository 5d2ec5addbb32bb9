"""People and firms in an account and in a real Kinto, edited on both sides at random, and what both hold."""

import random
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from storage.sync.links import LinkRow
from tests.kinto import Kinto
from tests.sync_real import Real

PEOPLE = {name: name for name in ("email", "firstname", "lastname")}
FIRMS = {name: name for name in ("name", "domain", "city")}

Seen: TypeAlias = tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], set[tuple[Any, Any]]]


@dataclass(slots=True)
class Both:
    """Two sides that people work on, without regard for each other."""

    it: Real
    kinto: Kinto
    dice: random.Random
    names: int = 0
    edits: int = 0
    mails: list[str] = field(default_factory=list)
    # Ids of records and items that somebody made or changed, and removed; and the e-mails that went with the removed.
    # What was made here, too, may hold what the item that is found to be the same did not live to be told.
    changed: set[Any] = field(default_factory=set)
    removed: set[Any] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    async def edit(self) -> None:
        """Somebody does something somewhere."""
        self.edits += 1
        here = self.dice.random() < 0.5
        match self.dice.choices(
            ("person", "firm", "change", "rename", "employ", "remove", "close"), (5, 2, 9, 4, 5, 2, 1)
        )[0]:
            case "person":
                await self._person(here)
            case "firm":
                values = {"name": f"Firm {self._next()}", "city": self._word()}
                await self._add(here, "companies", values)
            case "change":
                words = {self.dice.choice(("firstname", "lastname")): self._word()}
                await self._change(here, "contacts", words)
            case "rename":
                await self._change(here, "companies", {"city": self._word()})
            case "employ":
                await self._employ(here)
            case "remove":
                await self._remove(here, "contacts")
            case _:
                await self._remove(here, "companies")

    def _next(self) -> int:
        self.names += 1
        return self.names

    def _word(self) -> str:
        return f"w{self.dice.randrange(1_000)}"

    async def _person(self, here: bool) -> None:
        if here or not self.mails or self.dice.random() < 0.7:
            values = {"email": f"p{self._next()}@example.com", "lastname": self._word()}
            if here:
                self.mails.append(values["email"])
        else:
            # Somebody whom the other side has just met, too.
            values = {"email": self.mails.pop(), "firstname": self._word()}
            if values["email"] in {one.get("email") for one in self.kinto.records("contacts").values()}:
                return
        await self._add(here, "contacts", values)

    async def _add(self, here: bool, kind: str, values: dict[str, Any]) -> None:
        if here:
            (one,) = await self.it.crm.create(values, kind=kind)
            self.changed |= {one.value.id} if one.value else set()
        else:
            self.changed.add(self.kinto.insert(kind, values))

    async def _one(self, here: bool, kind: str) -> Any:
        ids: list[Any] = (
            [row.id for row in await self.it.records(kind)] if here else sorted(self.kinto.records(kind))
        )
        return self.dice.choice(ids) if ids else None

    async def _change(self, here: bool, kind: str, values: dict[str, Any]) -> None:
        one = await self._one(here, kind)
        if one is not None:
            self.changed.add(one)
            await self.it.crm.update((one, values)) if here else self.kinto.change(kind, one, values)

    async def _employ(self, here: bool) -> None:
        person, firm = await self._one(here, "contacts"), await self._one(here, "companies")
        if person is None or firm is None:
            return
        if here:
            await self.it.relate(person, firm, "primary")
        else:
            self.kinto.change("contacts", person, {"company": firm})

    async def _remove(self, here: bool, kind: str) -> None:
        one = await self._one(here, kind)
        if one is None:
            return
        self.removed.add(one)
        if here:
            (row,) = await self.it.crm.rows(one)
            self.gone.add(str(row and row.properties.get("email")))
            await self.it.crm.archive(one)
        else:
            self.gone.add(str(self.kinto.records(kind)[one].get("email")))
            self.kinto.remove(kind, one)

    async def told(self) -> tuple[set[str], set[int]]:
        """Items and records that are not in sync, of which it is said why: what the sync leaves to a person."""
        failed = await self._failed()
        return {one.external_id for one in failed if one.external_id}, {
            one.record_id for one in failed if one.record_id
        }

    async def unexplained(self) -> list[LinkRow]:
        """What is not in sync though nobody did anything that would leave it to a person."""
        return [one for one in await self._failed() if not await self._explained(one)]

    async def _failed(self) -> list[LinkRow]:
        return [
            link
            for sync_id in self.it.syncs
            for link in await self.it.links(sync_id)
            if link.state == "FAILED"
        ]

    async def _explained(self, link: LinkRow) -> bool:
        """Whether one side removed what the other changed, or it has the e-mail of a contact that was removed."""
        match link.category:
            case "RECORD_DELETED":
                one, other = link.record_id, link.external_id
                return (one in self.removed and other in self.changed) or (
                    other in self.removed and one in self.changed
                )
            case "UNIQUE_VALUE_CONFLICT":
                return self.kinto.records("contacts")[str(link.external_id)].get("email") in self.gone
            case _:
                return False

    async def ours(self) -> Seen:
        """People, firms, and who works for whom, here, as far as it is in sync."""
        _, failed = await self.told()
        people = {row.id: row.properties for row in await self.it.records("contacts") if row.id not in failed}
        firms = {row.id: row.properties for row in await self.it.records("companies") if row.id not in failed}
        pairs = await self.it.ends("contacts", "primary")
        return (
            _values(people.values(), PEOPLE),
            _values(firms.values(), FIRMS),
            {
                (people[one].get("email"), firms[other].get("name"))
                for one, other in pairs
                if one in people and other in firms
            },
        )

    async def theirs(self) -> Seen:
        """The same, there. Ids of records that are gone say nothing."""
        failed, _ = await self.told()
        people = {id_: one for id_, one in self.kinto.records("contacts").items() if id_ not in failed}
        firms = {id_: one for id_, one in self.kinto.records("companies").items() if id_ not in failed}
        return (
            _values(people.values(), PEOPLE),
            _values(firms.values(), FIRMS),
            {
                (one.get("email"), firms[one["company"]].get("name"))
                for one in people.values()
                if one.get("company") in firms
            },
        )


def _values(rows: Any, names: dict[str, str]) -> list[tuple[Any, ...]]:
    return sorted((tuple(row.get(name) for name in names) for row in rows), key=str)
