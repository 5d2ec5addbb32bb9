"""An account to tell stories about records in: each call is one command in a transaction of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine import accounts, properties, records
from engine.batches import Mode, Outcome
from engine.problems import Problem, Refused
from engine.records import Merged, Restored, Upserted
from storage import changes
from storage import records as stored
from storage.catalogue import ObjectTypeRow, PropertyRow
from storage.changes import LoggedEvent, QueuedChange
from storage.database import Actor, Database, Transaction
from storage.records import HistoryRow, RecordRow
from tests.processes import PATIENCE

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
API = Actor("API", "key_1", 7)


@dataclass(slots=True)
class Crm:
    """One account, and commands on its records."""

    db: Database
    account: int
    now: datetime = T0
    actor: Actor = API

    async def define(self, object_type: str = "contacts", **words: Any) -> PropertyRow:
        """Add a property."""
        given = {"label": str(words["name"]), "type": "STRING"} | words
        async with self.db.transaction(self.account, now=self.now, actor=self.actor, defining=True) as tx:
            return await properties.create(tx, object_type, **given)

    async def tamper(self, sql: str) -> None:
        """Change definitions in a way that has no command."""
        async with self.db.pool.acquire() as connection:
            await connection.execute(sql)
            await connection.execute("UPDATE catalogue_version SET version = version + 1")

    async def create(
        self, *inputs: Mapping[str, Any], kind: str = "contacts", mode: Mode = Mode.PER_ITEM
    ) -> list[Outcome[RecordRow]]:
        """New records."""
        async with self.db.transaction(self.account, now=self.now, actor=self.actor) as tx:
            return await records.create(tx, tx.catalogue.by_name[kind], inputs, mode)

    async def contact(self, **given: Any) -> int:
        """A new contact's id."""
        row: RecordRow = made(await self.create(given))[0]
        return row.id

    async def update(
        self, *given: tuple[int, Mapping[str, Any]], mode: Mode = Mode.PER_ITEM
    ) -> list[Outcome[RecordRow]]:
        """Changes of records."""
        async with self.db.transaction(self.account, now=self.now, actor=self.actor) as tx:
            return await records.update(tx, given, mode)

    async def upsert(
        self, *inputs: Mapping[str, Any], by: str = "email", mode: Mode = Mode.PER_ITEM
    ) -> list[Outcome[Upserted]]:
        """Contacts by a unique property."""
        async with self.db.transaction(self.account, now=self.now, actor=self.actor) as tx:
            return await records.upsert(tx, tx.catalogue.by_name["contacts"], by, inputs, mode)

    async def archive(self, *ids: int, mode: Mode = Mode.PER_ITEM) -> list[Outcome[RecordRow]]:
        """Archive records."""
        async with self.db.transaction(self.account, now=self.now, actor=self.actor) as tx:
            return await records.archive(tx, ids, mode)

    async def restore(self, *ids: int, mode: Mode = Mode.PER_ITEM) -> list[Outcome[Restored]]:
        """Restore records."""
        async with self.db.transaction(self.account, now=self.now, actor=self.actor) as tx:
            return await records.restore(tx, ids, mode)

    async def merge(self, survivor: int, merged: int) -> Merged:
        """Merge one record into another."""
        async with self.db.transaction(self.account, now=self.now, actor=self.actor) as tx:
            return await records.merge(tx, survivor, merged)

    async def rows(self, *ids: int) -> list[RecordRow | None]:
        """The records as they stand."""
        async with self.db.read(self.account) as reader:
            return await stored.rows(reader, ids)

    async def row(self, record_id: int) -> RecordRow:
        """One record that is there."""
        (found,) = await self.rows(record_id)
        assert found is not None
        return found

    async def resolved(self, record_id: int) -> RecordRow | None:
        """The record that an id leads to."""
        async with self.db.read(self.account) as reader:
            return (await stored.resolve(reader, [record_id]))[0]

    async def history(self, record_id: int, prop: str | None = None) -> Sequence[HistoryRow]:
        """A record's whole history, newest first."""
        async with self.db.read(self.account) as reader:
            return (await records.history(reader, record_id, prop, first=10_000)).changes

    async def events(self) -> list[LoggedEvent]:
        """All that watchers were told."""
        async with self.db.read(self.account) as reader:
            return await changes.read(reader, 0, 100_000)

    async def queue(self) -> list[QueuedChange]:
        """What waits for the evaluators, taken off the queue."""
        async with self.db.transaction(self.account, now=self.now, actor=self.actor) as tx:
            return await changes.claim(tx, 100_000)

    async def table(self, sql: str) -> list[tuple[Any, ...]]:
        """What a table holds; `$1` is the account."""
        async with self.db.read(self.account) as reader:
            return [tuple(row) for row in await reader.fetch(sql)]

    async def unique_values(self) -> dict[str, int]:
        """Who holds which unique value."""
        sql = "SELECT u.value, u.record_id FROM unique_value AS u WHERE u.account_id = $1"
        return {str(value): int(record_id) for value, record_id in await self.table(sql)}


class ThoughtBetter(Exception):
    """Nothing came of it."""


@contextlib.asynccontextmanager
async def somebody_creates(crm: Crm, email: str) -> AsyncIterator[None]:
    """Somebody is about to create this contact, and thinks better of it at the end: till then, others wait for him."""
    with contextlib.suppress(ThoughtBetter):
        async with crm.db.transaction(crm.account, now=crm.now, actor=crm.actor) as tx:
            made(await records.create(tx, tx.catalogue.by_name["contacts"], [{"email": email}], Mode.ATOMIC))
            yield
            raise ThoughtBetter


async def waiting(db: Database, n: int = 1) -> None:
    """Until `n` statements of this database wait for other transactions."""
    async with asyncio.timeout(PATIENCE):
        while await _waiting(db) < n:  # noqa: ASYNC110 (PostgreSQL tells nobody that a lock is waited for)
            await asyncio.sleep(0.005)


async def done_or_waiting(db: Database, task: asyncio.Future[Any]) -> None:
    """Until a task is through, or has come to where it waits for another transaction."""
    async with asyncio.timeout(PATIENCE):
        while not task.done() and not await _waiting(db):  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.005)


async def _waiting(db: Database) -> int:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with db.pool.acquire() as connection:
        return int(await connection.fetchval(sql))


async def crm(db: Database) -> Crm:
    """A new account with the standard object types."""
    return Crm(db, await accounts.create(db, "demo", now=T0))


def made(outcomes: Sequence[Outcome[Any]]) -> list[Any]:
    """The values of inputs that all succeeded."""
    assert [outcome.problems for outcome in outcomes] == [()] * len(outcomes)
    return [outcome.value for outcome in outcomes]


def codes(wrong: Sequence[Outcome[Any]] | Refused | Outcome[Any]) -> list[str]:
    """The codes of all problems, input by input."""
    if isinstance(wrong, Refused):
        return [problem.code for problem in wrong.problems]
    outcomes = [wrong] if isinstance(wrong, Outcome) else wrong
    return [problem.code for outcome in outcomes for problem in outcome.problems]


def problem_of(outcome: Outcome[Any]) -> Problem:
    """The problem of an input that has one."""
    assert outcome.problem is not None
    return outcome.problem


async def rows_alone(
    tx: Transaction, object_type: ObjectTypeRow, records: Iterable[tuple[int, dict[str, Any]]]
) -> None:
    """Records as rows, (id, properties), without the command that makes them: nothing goes to any side table."""
    columns = (
        *("id", "object_type_id", "properties"),
        *("created_at", "updated_at", "created_source", "updated_source"),
    )
    rows = [(number, object_type.id, held, T0, T0, "API", "API") for number, held in records]
    await tx.copy("record", columns, rows)
