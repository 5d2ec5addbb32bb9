"""Segments to tell stories about, and the law that they are held to when nothing is left to do."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine import accounts, filters, records
from engine.batches import Mode, Outcome
from engine.evaluation import run as evaluate
from engine.segments import commands, fill, hand
from storage import memberships
from storage import segments as stored
from storage.changes import EventKind
from storage.database import Database
from storage.filters import facts
from storage.memberships import Line
from storage.segments import SegmentDetails
from tests.flows import Flows
from tests.graph import T0

KINDS = (EventKind.SEGMENT_JOINED, EventKind.SEGMENT_LEFT)


@dataclass(slots=True)
class Segments(Flows):
    """An account with segments. `settle` does what workers would do."""

    async def segment(
        self, object_type: str, where: dict[str, Any] | None = None, *, kind: str = "ACTIVE", name: str = ""
    ) -> int:
        """A new segment's id."""
        async with self.writing(defining=True) as tx:
            name = name or f"{kind} {len(tx.catalogue.segments)}"
            return (await commands.create(tx, name, object_type, kind, where)).id

    async def edit(self, segment: int, **words: Any) -> SegmentDetails:
        """Change a segment as it was just read."""
        version = (await self.details(segment)).version
        async with self.writing(defining=True) as tx:
            return await commands.update(tx, segment, version, **words)

    async def delete(self, segment: int) -> None:
        """Delete a segment."""
        async with self.writing(defining=True) as tx:
            await commands.delete(tx, segment)

    async def add(self, segment: int, *ids: int, mode: Mode = Mode.ATOMIC) -> list[Outcome[bool]]:
        """Add by hand."""
        async with self.writing() as tx:
            return await hand.add(tx, segment, ids, mode)

    async def remove(self, segment: int, *ids: int) -> list[Outcome[bool]]:
        """Remove by hand."""
        async with self.writing() as tx:
            return await hand.remove(tx, segment, ids)

    async def restore(self, *ids: int) -> None:
        """Restore records."""
        async with self.writing() as tx:
            await records.restore(tx, list(ids), Mode.ATOMIC)

    async def settle(self, now: datetime | None = None) -> None:
        """Evaluate and fill until nothing is left to do at this moment."""
        now = now or self.tick()
        while await evaluate.run_all(self.db, now=now) or await fill.run_all(self.db, now=now):
            pass

    async def details(self, segment: int) -> SegmentDetails:
        """What a segment is."""
        async with self.db.read(self.account) as reader:
            (found,) = await stored.by_ids(reader, [segment])
        assert found is not None
        return found

    async def members(self, segment: int) -> set[int]:
        """Who is in it."""
        async with self.db.read(self.account) as reader:
            return (await memberships.between(reader, [segment], 0, 2**62))[segment]

    async def lines(self, segment: int) -> list[Line]:
        """Its history, oldest first."""
        async with self.db.read(self.account) as reader:
            return (await memberships.history(reader, segment, 2**62, 1_000_000))[::-1]

    async def meeting(self, segment: int, now: datetime | None = None) -> set[int]:
        """Who meets the filter of a segment, by a fresh evaluation of it in SQL."""
        details = await self.details(segment)
        catalogue = await self.db.catalogue(self.account)
        bound = filters.bind(details.definition, catalogue.object_types[details.object_type_id], catalogue)
        rows = await self.read(
            "SELECT r.id FROM record AS r WHERE r.account_id = $1 AND r.object_type_id = $2",
            details.object_type_id,
        )
        async with self.db.read(self.account) as reader:
            return await facts.met(
                reader, bound, details.object_type_id, [row[0] for row in rows], now=now or self.now
            )

    async def expect_at_rest(self, *, now: datetime | None = None) -> None:
        """At rest: members equal a fresh evaluation, and history and events replay to the same set, line by line."""
        catalogue = await self.db.catalogue(self.account)
        told = await self.events(*KINDS)
        for row in catalogue.segments.values():
            members = await self.members(row.id)
            if row.kind == "ACTIVE":
                assert members == await self.meeting(row.id, now), row.name
            lines = await self.lines(row.id)
            assert replay([(line.record_id, line.joined) for line in lines]) == members, row.name
            assert [line.n for line in lines] == list(range(1, len(lines) + 1))
            assert (await self.details(row.id)).members == len(members)
            events = [
                (event.record_id, event.kind is EventKind.SEGMENT_JOINED)
                for event in told
                if event.subject_id == row.id
            ]
            assert sorted(events) == sorted((line.record_id, line.joined) for line in lines)
            assert replay(events) == members, row.name


def replay(moves: list[tuple[Any, bool]]) -> set[int]:
    """Who is left after these joins and leaves; nobody joins twice, nor leaves who is not there."""
    members: set[int] = set()
    for record_id, joined in moves:
        assert (record_id in members) is not joined
        members ^= {record_id}
    return members


async def segments(db: Database) -> Segments:
    """A new account."""
    return Segments(db, await accounts.create(db, "demo", now=T0))
