"""Those who associate in `bench.associations`: eight processes, a connection each, and three ways to write a pair."""

import asyncio
import gc
import multiprocessing
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from bench.processes import cpu_seconds
from engine import associations
from engine.associations import Pair
from engine.batches import Mode
from storage.catalogue import Catalogue
from storage.database import Actor, Database, connect

WRITERS = 8
ACTOR = Actor("BENCH")
LABEL = "decision_maker"

PLAIN_TABLE = """
CREATE TABLE plain_association (LIKE association, PRIMARY KEY (account_id, from_id, to_object_type_id, to_id, type_id))
"""
PLAIN = """
INSERT INTO plain_association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source, source_id,
                               user_id)
SELECT $1, e.from_id, e.to_object_type_id, e.to_id, e.type_id, $6, $7, $8, $9
  FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
       AS e(from_id, to_object_type_id, to_id, type_id)
"""

# All that ours writes, as somebody would who checks nothing: what no rule and no reader of rules costs.
HAND_TABLES = (
    "CREATE TABLE hand_association (LIKE association INCLUDING ALL)",
    "CREATE TABLE hand_count (LIKE association_count INCLUDING ALL) WITH (fillfactor = 80)",
    "CREATE TABLE hand_record (LIKE record INCLUDING ALL) WITH (fillfactor = 80)",
    "INSERT INTO hand_record SELECT * FROM record",
    "CREATE TABLE hand_queue (LIKE change_queue INCLUDING ALL)",
    "CREATE TABLE hand_log (LIKE event_log INCLUDING ALL)",
    "CREATE TABLE hand_seq (LIKE account_seq INCLUDING ALL)",
    "INSERT INTO hand_seq SELECT * FROM account_seq",
)
# Records $2 and $3 of types $4 and $5; association types $6 and $7 with their inverses $8 and $9.
HAND = """
WITH edge AS MATERIALIZED (
    SELECT e.* FROM (VALUES ($2::bigint, $5::bigint, $3::bigint, $6::bigint), ($2, $5, $3, $7::bigint),
                            ($3, $4::bigint, $2, $8::bigint), ($3, $4, $2, $9::bigint))
                    AS e(from_id, to_object_type_id, to_id, type_id)
), come AS (
    INSERT INTO hand_association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source)
    SELECT $1, e.from_id, e.to_object_type_id, e.to_id, e.type_id, $10::timestamptz, $11::text FROM edge AS e
), counted AS (
    INSERT INTO hand_count AS c (account_id, record_id, type_id, n)
    SELECT $1, e.from_id, e.type_id, 1 FROM edge AS e
    ON CONFLICT (account_id, record_id, type_id) DO UPDATE SET n = c.n + 1
), ends AS (
    UPDATE hand_record AS r SET last_association_change_at = $10 WHERE r.account_id = $1 AND r.id IN ($2, $3)
), queued AS (
    INSERT INTO hand_queue (account_id, id, object_type_id, kind, properties, before, record_ids, type_ids, other_ids,
                            at, source, depth, version)
    VALUES ($1, $12::bigint, $4, 'ASSOCIATED', '{}', '{}', ARRAY[$2, $2], ARRAY[$6, $7], ARRAY[$3, $3], $10, $11, 0, 1),
           ($1, $12 + 1, $5, 'ASSOCIATED', '{}', '{}', ARRAY[$3, $3], ARRAY[$8, $9], ARRAY[$2, $2], $10, $11, 0, 1)
), taken AS (
    UPDATE hand_seq AS s SET seq = s.seq + 2 WHERE s.account_id = $1 RETURNING s.seq
)
INSERT INTO hand_log (account_id, seq, at, kind, object_type_id, record_ids, to_ids, payload, source)
SELECT $1, t.seq - 2 + f.n, $10, f.kind, $4, ARRAY[$2], ARRAY[$3], f.payload, $11
  FROM taken AS t, (VALUES (1, 'ASSOCIATION_ADDED', $13::jsonb), (2, 'LABEL_ADDED', $14::jsonb)) AS f(n, kind, payload)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """An account with its records, and the types of the rows of a pair: (from contact to deal, back), plain first."""

    account_id: int
    contacts: range
    deals: range
    contact_type: int
    deal_type: int
    types: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Order:
    """What a writer is to do for `seconds` from `begin` (monotonic) on. `side`: "ours", "plain" or "hand"."""

    side: str
    place: Place
    batch: int
    begin: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """Pairs that a writer wrote, and how long it took from the order's beginning."""

    pairs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Pairs a second of all writers together; a pair's processor time, Python's and PostgreSQL's, in microseconds."""

    per_second: float
    python: float
    postgres: float

    @property
    def cpu(self) -> float:
        """Both together."""
        return self.python + self.postgres


def fresh_pairs(place: Place, writer: int, side: str) -> Iterator[tuple[int, int]]:
    """Random pairs of a contact and a deal, none twice; no two writers (0 … WRITERS) have the same."""
    chance = random.Random(f"{writer} {side}")
    used: set[tuple[int, int]] = set()
    apart = WRITERS + 1
    contacts, deals = len(place.contacts), len(place.deals) // apart
    while True:
        pair = (
            place.contacts[chance.randrange(contacts)],
            place.deals[chance.randrange(deals) * apart + writer],
        )
        if pair not in used:
            used.add(pair)
            yield pair


class Writer:
    """One process with one connection; it carries out orders until there are no more."""

    def __init__(self, number: int, db: Database) -> None:
        self.number = number
        self.db = db
        self._pairs: dict[tuple[int, str], Iterator[tuple[int, int]]] = {}
        self._catalogues: dict[int, Catalogue] = {}

    def pairs(self, place: Place, side: str) -> Iterator[tuple[int, int]]:
        """Where this writer's pairs come from."""
        key = (place.account_id, side)
        if key not in self._pairs:
            self._pairs[key] = fresh_pairs(place, self.number, side)
        return self._pairs[key]

    async def carry_out(self, order: Order) -> Done:
        """Write batches until the time is up; one that was begun is ended, and its time counts."""
        pairs = self.pairs(order.place, order.side)
        await asyncio.sleep(max(order.begin - time.monotonic(), 0))
        done = 0
        while time.monotonic() < order.begin + order.seconds:
            await self.write(order.side, order.place, [next(pairs) for _ in range(order.batch)])
            done += order.batch
        return Done(done, time.monotonic() - order.begin)

    async def write(self, side: str, place: Place, batch: Sequence[tuple[int, int]]) -> None:
        """Write one batch."""
        way: Callable[[Place, Sequence[tuple[int, int]]], Awaitable[None]]
        way = {"ours": self._associate, "plain": self._insert, "hand": self._by_hand}[side]
        await way(place, batch)

    async def _associate(self, place: Place, batch: Sequence[tuple[int, int]]) -> None:
        """What the mutation does: one pair at once where it can be, everything else in a transaction."""
        asked = [Pair(contact, deal, (LABEL,)) for contact, deal in batch]
        now = datetime.now(UTC)
        if len(asked) == 1:
            # As a request has it. Nobody defines anything here.
            catalogue = self._catalogues.get(place.account_id)
            if catalogue is None:
                catalogue = self._catalogues[place.account_id] = await self.db.catalogue(place.account_id)
            if await associations.associate_at_once(self.db, catalogue, asked[0], now=now, actor=ACTOR):
                return
        ends = [end for pair in batch for end in pair]
        async with self.db.transaction(place.account_id, now=now, actor=ACTOR, holding=ends) as tx:
            outcomes = await associations.associate(tx, asked, Mode.PER_ITEM)
        if not all(outcome.value is not None and len(outcome.value.added) == 2 for outcome in outcomes):
            raise SystemExit("a pair was refused, or was there already")

    async def _insert(self, place: Place, batch: Sequence[tuple[int, int]]) -> None:
        rows = [
            row
            for contact, deal in batch
            for there, back in place.types
            for row in (
                (contact, place.deal_type, deal, there),
                (deal, place.contact_type, contact, back),
            )
        ]
        async with self.db.pool.acquire() as connection, connection.transaction():
            await connection.execute(
                PLAIN,
                place.account_id,
                *zip(*rows, strict=True),
                datetime.now(UTC),
                ACTOR.source,
                ACTOR.source_id,
                ACTOR.user_id,
            )

    async def _by_hand(self, place: Place, batch: Sequence[tuple[int, int]]) -> None:
        [(contact, deal)] = batch
        (plain, back), (label, inverse) = place.types
        [change_id, _] = await self.db.ids.take(place.account_id, 2)
        async with self.db.pool.acquire() as connection, connection.transaction():
            await connection.execute(
                HAND,
                place.account_id,
                contact,
                deal,
                place.contact_type,
                place.deal_type,
                plain,
                label,
                back,
                inverse,
                datetime.now(UTC),
                ACTOR.source,
                change_id,
                _told(place, plain, back, None),
                _told(place, label, inverse, LABEL),
            )


def _told(place: Place, type_id: int, inverse_id: int, label: str | None) -> dict[str, Any]:
    return {
        "to_object_type_id": place.deal_type,
        "type_id": type_id,
        "inverse_type_id": inverse_id,
        "label": label,
    }


def work(number: int, url: str, orders: "Connection[Done, Order | None]") -> None:
    """A writer's process."""

    async def run() -> None:
        async with connect(url, size=1) as db:
            writer = Writer(number, db)
            # As a server does once it has loaded everything.
            gc.collect()
            gc.freeze()
            orders.send(Done(0, 0))
            while (order := await asyncio.to_thread(orders.recv)) is not None:
                orders.send(await writer.carry_out(order))

    # The event loop that the server runs on.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


class Writers:
    """Eight processes that write together, at a server whose first process is `postmaster`."""

    def __init__(self, url: str, postmaster: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._postmaster = postmaster
        self._ends = []
        self._processes = []
        for number in range(WRITERS):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=work, args=(number, url, theirs), daemon=True)
            process.start()
            theirs.close()
            self._ends.append(ours)
            self._processes.append(process)
        # Each says when it is there.
        for end in self._ends:
            end.recv()

    def pace(self, side: str, places: Sequence[Place], batch: int, seconds: float) -> Pace:
        """How fast they all write, each in the account that falls to it."""
        python, postgres = self._used()
        begin = time.monotonic() + 0.2
        for number, end in enumerate(self._ends):
            end.send(Order(side, places[number % len(places)], batch, begin, seconds))
        finished: list[Done] = [end.recv() for end in self._ends]
        pairs = sum(done.pairs for done in finished)
        used = self._used()
        return Pace(
            sum(done.pairs / done.seconds for done in finished),
            (used[0] - python) / pairs * 1e6,
            (used[1] - postgres) / pairs * 1e6,
        )

    def _used(self) -> tuple[float, float]:
        python = sum(cpu_seconds(process.pid) for process in self._processes if process.pid is not None)
        return python, cpu_seconds(self._postmaster)

    def close(self) -> None:
        """Send them home."""
        for end in self._ends:
            end.send(None)
        for process in self._processes:
            process.join()
