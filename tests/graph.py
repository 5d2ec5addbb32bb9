"""A small graph to tell stories about: records made by the product's commands, and what stands in the tables."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from engine import accounts, associations, labels, records
from engine.associations import AssociationResult, Pair
from engine.batches import Mode, Outcome
from storage.database import Actor, Database
from storage.statements import Statement

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN_WHO_CLICKS = Actor("API", "7", None)


@dataclass(slots=True)
class Graph:
    """One account of a database, with a clock that goes on by a second with each transaction."""

    db: Database
    account: int
    now: datetime = T0

    def tick(self) -> datetime:
        """The next moment."""
        self.now += timedelta(seconds=1)
        return self.now

    def writing(self, *, defining: bool = False) -> Any:
        """A transaction at the next moment."""
        return self.db.transaction(self.account, now=self.tick(), actor=ANN_WHO_CLICKS, defining=defining)

    async def records(self, object_type: str, n: int) -> list[int]:
        """The ids of `n` new records."""
        async with self.writing() as tx:
            made = await records.create(tx, tx.catalogue.by_name[object_type], [{}] * n, Mode.ATOMIC)
            return [one.value.id for one in made if one.value is not None]

    async def record(self, object_type: str) -> int:
        """The id of a new record."""
        [made] = await self.records(object_type, 1)
        return made

    async def label(self, from_type: str, to_type: str, label: str, **words: Any) -> labels.Label:
        """A new label."""
        async with self.writing(defining=True) as tx:
            return await labels.create(tx, from_type, to_type, label=label, **words)

    async def limit(self, from_type: str, to_type: str, name: str | None, **limits: Any) -> labels.Label:
        """Limits of a label, or of the object pair where no name is given."""
        async with self.writing(defining=True) as tx:
            rows = labels.listing(tx.catalogue, from_type, to_type)
            [row] = [row for row in rows if row.name == name]
            return await labels.set_limits(tx, row.id, **limits)

    async def do(
        self, command: Any, *pairs: Sequence[Any], mode: Mode = Mode.PER_ITEM, **options: Any
    ) -> list[Outcome[AssociationResult]]:
        """Run a command of `engine.associations` on pairs given as (from, to, label, …)."""
        async with self.writing() as tx:
            asked = [Pair(pair[0], pair[1], tuple(pair[2:])) for pair in pairs]
            return list(await command(tx, asked, mode, **options))

    async def associate(self, *pairs: Sequence[Any], **options: Any) -> list[Outcome[AssociationResult]]:
        """Associate, all or nothing."""
        return await self.do(associations.associate, *pairs, mode=Mode.ATOMIC, **options)

    async def labels_of(self, from_id: int, to_id: int) -> set[str] | None:
        """The labels on the edge, standing at `from_id`; None where the two are not associated."""
        names = [row[0] for row in await self.read(LABELS, from_id, to_id)]
        return {name for name in names if name is not None} if None in names else None

    async def count(self, record_id: int, to_type: str, name: str | None = None) -> int | None:
        """What the counter of a record says; None where there is none."""
        catalogue = await self.db.catalogue(self.account)
        row = [row for row in catalogue.association_types.values() if row.name == name]
        ids = [one.id for one in row if one.to_object_type_id == catalogue.by_name[to_type].id]
        found = await self.read(COUNTS, record_id, ids)
        return found[0][0] if found else None

    async def read(self, sql: str, *args: Any) -> list[Any]:
        """Rows as they stand."""
        async with self.db.read(self.account) as reader:
            return await reader.fetch(sql, *args)


LABELS = Statement(
    "tests.labels",
    """
    SELECT t.name FROM association AS a
           JOIN association_type AS t ON t.account_id = $1 AND t.id = a.type_id
     WHERE a.account_id = $1 AND a.from_id = $2 AND a.to_id = $3
    """,
)
COUNTS = Statement(
    "tests.counts",
    """
    SELECT c.n FROM association_count AS c
     WHERE c.account_id = $1 AND c.record_id = $2 AND c.type_id = ANY($3::bigint[])
    """,
)
EDGES = Statement(
    "tests.edges",
    """
    SELECT a.from_id, a.to_object_type_id, a.to_id, a.type_id, r.archived_at IS NOT NULL AS hidden
      FROM association AS a JOIN record AS r ON r.account_id = $1 AND r.id = a.to_id
     WHERE a.account_id = $1
    """,
)
COUNTERS = Statement(
    "tests.counters",
    "SELECT c.record_id, c.type_id, c.n FROM association_count AS c WHERE c.account_id = $1",
)
AS_OF = Statement(
    "tests.as_of",
    """
    SELECT a.from_id, a.to_object_type_id, a.to_id, a.type_id FROM association AS a
     WHERE a.account_id = $1 AND a.created_at <= $2
    UNION ALL
    SELECT h.from_id, h.to_object_type_id, h.to_id, h.type_id FROM association_history AS h
     WHERE h.account_id = $1 AND h.created_at <= $2 AND h.removed_at > $2
    """,
)


async def graph(db: Database, name: str = "demo") -> Graph:
    """A fresh account."""
    return Graph(db, await accounts.create(db, name, now=T0))


async def laws(graph: Graph) -> None:
    """What holds of every account at rest, whatever happened in it."""
    catalogue = await graph.db.catalogue(graph.account)
    types = catalogue.association_types
    # One snapshot: others may be writing.
    async with graph.db.snapshot(graph.account) as reader:
        edges = {row[:4]: row["hidden"] for row in await reader.fetch(EDGES)}
        counters = {(row[0], row[1]): row[2] for row in await reader.fetch(COUNTERS)}
    counted: Counter[tuple[int, int]] = Counter()
    for (from_id, object_type, to_id, type_id), hidden in edges.items():
        kind = types[type_id]
        assert object_type == kind.to_object_type_id
        assert (to_id, kind.from_object_type_id, from_id, kind.inverse_id) in edges, "the inverse is missing"
        plain = catalogue.unlabelled(kind.from_object_type_id, kind.to_object_type_id)
        assert (from_id, object_type, to_id, plain.id) in edges, "a label without its association"
        counted[from_id, type_id] += not hidden
    assert {key: n for key, n in counters.items() if n} == {key: n for key, n in counted.items() if n}
    for (_, type_id), n in counters.items():
        assert not (types[type_id].primary and types[type_id].max_count) or n <= 1, "two primaries"


async def as_of(graph: Graph, then: datetime) -> set[tuple[int, int, int, int]]:
    """The associations that stood at a time, as history tells."""
    rows = [tuple(row) for row in await graph.read(AS_OF, then)]
    assert len(rows) == len(set(rows)), "one span over another"
    return set(rows)


async def standing(graph: Graph) -> set[tuple[int, int, int, int]]:
    """The associations that stand now."""
    return {row[:4] for row in await graph.read(EDGES)}


def problem(outcome: Outcome[AssociationResult]) -> str | None:
    """The code of what is wrong with an item."""
    return None if outcome.problem is None else outcome.problem.code
