"""Active segments follow changes: which candidates are to be examined, and who joins or leaves for the answers."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from engine import filters
from engine.evaluation.listening import PROPERTY, Candidates, Key, Matters
from engine.filters.foreseeing import Foreseen
from engine.filters.matching import Asked
from engine.segments import bound, moves
from engine.segments.bound import Bound
from storage import match_states, memberships
from storage.changes import ChangeKind, QueuedChange
from storage.database import Transaction
from storage.filters import facts
from storage.listeners import Listener
from storage.memberships import Move


@dataclass(frozen=True, slots=True)
class Following:
    """Active segments with their candidates; nobody else changes their members until the commit."""

    found: Candidates
    segments: Sequence[Bound]
    held: dict[int, int]

    def asked(self) -> list[Asked]:
        """The filters to be answered, segment by segment."""
        return [
            (segment.filter, self.found[segment.id].keys(), segment.object_type_id)
            for segment in self.segments
            if segment.filter is not None
        ]


async def mattering(
    tx: Transaction, changes: Sequence[QueuedChange], listeners: Iterable[Listener]
) -> Matters:
    """Tells changes of properties that can let somebody join or leave a segment from those that cannot.

    A change is compared with the value as it is now, not as it then became. That passes over nothing: between
    the last look at a record and now, each change leads from a value to one that came later, and the last of them
    to the present one; if each says the same as what it leads to, then so do the first and the present value.
    """
    following = {one.listener_id for one in listeners if one.loses and one.ref.kind == PROPERTY}
    if not following:
        return lambda _change, _key, listeners: listeners
    known = await bound.load(tx, tx.catalogue, following)
    changed = {change.record_id for change in changes if change.kind is ChangeKind.UPDATED}
    values = {row[0]: row[2] for row in await facts.visible(tx, changed)}
    types = tx.catalogue.object_types.values()
    names = {prop.id: prop.name for object_type in types for prop in object_type.properties.values()}
    return _Difference(known, values, names).made


@dataclass(slots=True)
class _Difference:
    """What changes of properties can make a difference to. `values` are the present ones, by record and name."""

    known: Mapping[int, Bound]
    values: Mapping[int, Mapping[str, Any]]
    names: Mapping[int, str]
    # Many changes lead from one value to another that others lead from and to as well.
    same: dict[tuple[int, Any, Any], Sequence[Listener]] = field(default_factory=dict)

    def made(self, change: QueuedChange, key: Key, listeners: Sequence[Listener]) -> Sequence[Listener]:
        """Those to whom the change can matter."""
        held, name = self.values.get(change.record_id), self.names.get(key[1])
        if key[0] != PROPERTY or held is None or name not in change.before:
            return listeners
        before, now = change.before[name], held.get(name)
        if isinstance(before, list | dict) or isinstance(now, list | dict):
            return self._told_apart(listeners, before, now)
        # Numbers and booleans can be equal and say different things.
        values = (key[1], (type(before), before), (type(now), now))
        found = self.same.get(values)
        if found is None:
            found = self.same[values] = self._told_apart(listeners, before, now)
        return found

    def _told_apart(self, listeners: Sequence[Listener], before: Any, now: Any) -> Sequence[Listener]:
        return [one for one in listeners if self._tells_apart(one, before, now)]

    def _tells_apart(self, listener: Listener, before: Any, now: Any) -> bool:
        segment = self.known.get(listener.listener_id)
        if not listener.loses or segment is None or segment.filter is None:
            return True
        return filters.matters(segment.deciders.get((listener.ref.ref_id, listener.ref.path)), before, now)


async def prepare(tx: Transaction, found: Candidates) -> Following:
    """Hold the segments that have candidates. What is broken stands still, and is examined whole once it is mended."""
    if not found:
        return Following({}, (), {})
    known = await bound.load(tx, tx.catalogue, found)
    active = [one for one in known.values() if tx.catalogue.segments[one.id].kind == "ACTIVE"]
    # Before any segment is held: whoever fills a segment takes the two in this order.
    for segment in active:
        if segment.filter is None:
            await match_states.begin_fill(tx, segment.id)
            await match_states.forget(tx, segment.id)
    usable = sorted((one for one in active if one.filter is not None), key=lambda one: one.id)
    held = await memberships.hold(tx, [one.id for one in usable]) if usable else {}
    return Following(found, [one for one in usable if one.id in held], held)


async def members(tx: Transaction, following: Following) -> Mapping[int, Set[int]]:
    """{segment: those of its candidates, and maybe others, who are in it}."""
    examined = {record_id for segment in following.segments for record_id in following.found[segment.id]}
    return await memberships.of_records(tx, examined) if examined else {}


async def settle(
    tx: Transaction,
    following: Following,
    answers: Sequence[Mapping[int, Foreseen]],
    members: Mapping[int, Set[int]],
) -> None:
    """Let join and leave whom the answers to `asked` say, and note when they are to be asked again."""
    if not following.segments:
        return
    moving: list[Move] = []
    nobody = set[int]()
    for segment, answer in zip(following.segments, answers, strict=True):
        causes, inside = following.found[segment.id], members.get(segment.id, nobody)
        for record_id, one in answer.items():
            if one.holds is not (record_id in inside):
                cause = causes[record_id]
                moving.append(Move(segment.id, record_id, one.holds, cause.told, cause.depth))
    await moves.carry_out(tx, following.held, moving)
    await match_states.note(
        tx,
        {
            (segment.id, record_id): one.until
            for segment, answer in zip(following.segments, answers, strict=True)
            if segment.moving
            for record_id, one in answer.items()
        },
    )
