"""Who uses a segment: filters of other segments, and drafts and published definitions of workflows."""

from dataclasses import dataclass

from engine import ids
from storage import segment_uses
from storage.database import Queryable


@dataclass(frozen=True, slots=True)
class SegmentUse:
    """A segment or workflow whose definition names a segment."""

    kind: str
    id: str
    name: str


async def uses(reader: Queryable, segment_id: int) -> list[SegmentUse]:
    """Who uses a segment, segments first; each once."""
    rows = await segment_uses.naming(reader, ids.encode("segment", segment_id))
    return [SegmentUse(kind, ids.encode(kind, number), name) for kind, number, name in rows]
