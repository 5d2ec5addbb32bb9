"""Who uses a segment: filters of other segments, and drafts and published definitions of workflows."""

from dataclasses import dataclass

from engine import ids
from engine.named import Named, of
from storage.catalogue import Catalogue
from storage.database import Queryable


@dataclass(frozen=True, slots=True)
class SegmentUse:
    """A segment or workflow whose definition names a segment."""

    kind: str
    id: str
    name: str


async def uses(reader: Queryable, catalogue: Catalogue, segment_id: int) -> list[SegmentUse]:
    """Who uses a segment, segments first; each once."""
    found = (await of(reader, catalogue, Named.SEGMENT, [segment_id]))[segment_id]
    return list(dict.fromkeys(SegmentUse(one.kind, ids.encode(one.kind, one.id), one.name) for one in found))
