"""Adding records to static segments and removing them: the enrolled one, or those associated with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine import ids
from engine.batches import BATCH_LIMIT, Mode, Outcome
from engine.filters.problems import SegmentOfAnotherType, UnknownSegment
from engine.problems import at
from engine.segments import hand
from engine.segments.problems import SegmentNotByHand
from engine.values import tidy
from engine.workflows.actions import targets
from engine.workflows.actions.handler import Batch, Handler
from engine.workflows.actions.tally import Tally
from engine.workflows.advance import Result
from engine.workflows.definition.actions import AddToSegment, RemoveFromSegment
from storage import records
from storage.catalogue import Catalogue, ObjectTypeRow, SegmentRow
from storage.enrollments import EnrollmentRow


@dataclass(frozen=True, slots=True)
class BoundMembership:
    """A segment made by hand, whether records come or go, and which ones (None: the enrolled ones)."""

    segment: SegmentRow
    joined: bool
    of: targets.BoundAssociated | None


def _bind(
    action: AddToSegment | RemoveFromSegment, object_type: ObjectTypeRow, catalogue: Catalogue
) -> BoundMembership:
    segment = catalogue.segments.get(ids.decode_at("segment", action.segment, "segment"))
    if segment is None:
        raise UnknownSegment(segment=tidy(action.segment), path=("segment",))
    of = None
    if action.of is not None:
        with at("of"):
            of = targets.bind(action.of, object_type, catalogue)
    about = object_type if of is None else of.to
    if segment.object_type_id != about.id:
        kind = catalogue.object_types[segment.object_type_id].name
        raise SegmentOfAnotherType(segment=segment.name, of=kind, object_type=about.name, path=("segment",))
    if segment.kind == "ACTIVE":
        raise SegmentNotByHand(name=segment.name, path=("segment",))
    return BoundMembership(segment, isinstance(action, AddToSegment), of)


async def _move(batch: Batch, bound: BoundMembership) -> list[Result]:
    tx, standing = batch.tx, batch.standing
    if bound.of is None:
        rows = await records.lock(tx, [one.record_id for one in standing])
        tally = Tally(standing, rows)
        meant = [(one, one.record_id) for one in standing if targets.living(rows, one.record_id)]
        await _moved(batch, bound, tally, meant)
        return tally.results()
    found = await targets.find(tx, standing, bound.of)
    tally = Tally(standing, found.rows)
    meant = [(one, other) for one, chosen in zip(standing, found.chosen, strict=True) for other in chosen]
    await _moved(batch, bound, tally, meant)
    return tally.results([found.goes_on(n) for n in range(len(standing))])


async def _moved(
    batch: Batch, bound: BoundMembership, tally: Tally, meant: Sequence[tuple[EnrollmentRow, int]]
) -> None:
    change = "JOINED" if bound.joined else "LEFT"
    # Who is moved for the first of several enrollments stays so for the others.
    first: dict[int, EnrollmentRow] = {}
    for one, record_id in meant:
        first.setdefault(record_id, one)
    wanted = sorted(first)
    for start in range(0, len(wanted), BATCH_LIMIT):
        part = wanted[start : start + BATCH_LIMIT]
        for record_id, outcome in zip(part, await _asked(batch, bound, part), strict=True):
            one = first[record_id]
            if outcome.problem is not None:
                tally.refused(one, outcome.problem, record_id)
            elif outcome.value:
                tally.changed(one, {"record": record_id, "segment": bound.segment.id, "change": change})


async def _asked(batch: Batch, bound: BoundMembership, part: Sequence[int]) -> list[Outcome[bool]]:
    if bound.joined:
        return await hand.add(batch.tx, bound.segment.id, part, Mode.PER_ITEM)
    return await hand.remove(batch.tx, bound.segment.id, part)


ADD = Handler(_bind, _move)
REMOVE = Handler(_bind, _move)
