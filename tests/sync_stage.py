"""A sync set up on the tables, so that stories about how records stand can begin where they like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Actor, Database
from storage.sync import attempts, links
from storage.sync.attempts import Attempt
from storage.sync.links import LinkRow
from tests.crm import T0, Crm, crm

RUNNER = Actor("SYNC")


@dataclass(slots=True)
class Stage:
    """An account with a connection and one sync of contacts."""

    crm: Crm
    connection: int
    sync: int
    mapping: int

    @property
    def db(self) -> Database:
        return self.crm.db

    @property
    def account(self) -> int:
        return self.crm.account

    def writing(self, now: datetime = T0) -> Any:
        """A transaction of somebody."""
        return self.db.transaction(self.account, now=now, actor=self.crm.actor)

    async def links(self, *given: Mapping[str, Any], sync: int | None = None) -> list[int]:
        """New links, as a runner would leave them."""
        async with self.db.transaction(self.account, now=T0, actor=RUNNER) as tx:
            ids = await tx.new_ids(len(given))
            rows = [LinkRow(number, sync or self.sync, **one) for number, one in zip(ids, given, strict=True)]
            await links.insert(tx, rows)
        return list(ids)

    async def link(self, number: int) -> LinkRow:
        """One link as it stands."""
        async with self.db.read(self.account) as reader:
            return (await links.read(reader, [number]))[number]

    async def tried(self, number: int, *did: str, sync: int | None = None) -> None:
        """Attempts of a link."""
        for one in did:
            async with self.db.transaction(self.account, now=T0, actor=RUNNER) as tx:
                await attempts.add(tx, sync or self.sync, [Attempt(number, one)])

    async def dirty(self) -> list[tuple[str, str]]:
        """What is to be looked at now: (side, item)."""
        sql = """
            SELECT d.side, d.item FROM sync_dirty AS d
             WHERE d.account_id = $1 AND d.due_at <= '2026-03-01 12:00+00' ORDER BY d.side, d.item
        """
        return [(row[0], row[1]) for row in await self.crm.table(sql)]

    async def free(self) -> None:
        """The runner is gone, and its lease with it."""
        await self._change("lease_token = NULL, leased_until = NULL")

    async def set_phase(self, phase: str) -> None:
        """How far the sync is in its life."""
        await self._change(f"phase = '{phase}', enabled = {'false' if phase == 'CONFIGURED' else 'true'}")

    async def redefine(self) -> None:
        """Somebody changes the sync's definition."""
        await self._change("revision = s.revision + 1")

    async def mended(self) -> None:
        """What has failed until now may work."""
        await self._change("again_before = '2026-03-01 12:00+00'")

    async def phase(self) -> str:
        """How far the sync is."""
        sql = "SELECT s.phase, s.id FROM sync AS s WHERE s.account_id = $1"
        return str({number: phase for phase, number in await self.crm.table(sql)}[self.sync])

    async def _change(self, what: str) -> None:
        async with self.db.single(self.account) as single:
            await single.execute(
                f"UPDATE sync AS s SET {what} WHERE s.account_id = $1 AND s.id = $2", self.sync
            )


async def stage(db: Database) -> Stage:
    """A new account with one sync of contacts, live."""
    it = await crm(db)
    connection, sync, mapping = await _ids(it, 3)
    await put(it, "connection", id=connection, name="Elsewhere", **CONNECTION)
    of = (await db.catalogue(it.account)).by_name["contacts"]
    await put(it, "sync", id=sync, connection_id=connection, object_type_id=of.id, **SYNC)
    email = of.properties["email"].id
    await put(
        it,
        "sync_mapping",
        id=mapping,
        sync_id=sync,
        property_id=email,
        field="email",
        direction="BOTH",
        options={},
        enabled=True,
        custom=False,
    )
    return Stage(it, connection, sync, mapping)


CONNECTION: dict[str, Any] = {
    "app": "elsewhere",
    "settings": {},
    "secrets": b"",
    "secret_names": [],
    "status": "READY",
    "objects": [],
    "created_at": T0,
    "updated_at": T0,
}
SYNC: dict[str, Any] = {
    "remote_object": "people",
    "direction": "BOTH",
    "policy": "OURS",
    "definition": {},
    "phase": "LIVE",
    "enabled": True,
    "cursors": {},
    "progress": {},
    "created_at": T0,
    "updated_at": T0,
}


async def another(it: Stage, kind: str, **words: Any) -> int:
    """A sync of records of another type."""
    (number,) = await _ids(it.crm, 1)
    of = (await it.db.catalogue(it.account)).by_name[kind]
    given = SYNC | {"remote_object": kind} | words
    await put(it.crm, "sync", id=number, connection_id=it.connection, object_type_id=of.id, **given)
    return number


async def put(it: Crm, table: str, **values: Any) -> None:
    """One row of a table."""
    async with it.db.transaction(it.account, now=T0, actor=RUNNER) as tx:
        await tx.copy(table, list(values), [tuple(values.values())])


async def _ids(it: Crm, n: int) -> Sequence[int]:
    async with it.db.transaction(it.account, now=T0, actor=RUNNER) as tx:
        return await tx.new_ids(n)
