"""Taking back what steps did, a run of changes of one kind at a time, through the same commands as everybody's.

What somebody has changed since is left as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine import associations
from engine import records as commands
from engine.associations import Pair
from engine.batches import BATCH_LIMIT, Mode, Outcome
from engine.problems import Problem, Refused
from engine.segments import hand
from engine.values import same
from engine.workflows import leaving
from engine.workflows.histories import Kind, kind_of
from storage import associations as stored
from storage import enrollment_pages, memberships, records
from storage.database import Transaction
from storage.records import RecordRow
from storage.standings import Leaving

# What became of it.
UNDONE, ALREADY, CONFLICT, IMPOSSIBLE = "UNDONE", "ALREADY", "CONFLICT", "IMPOSSIBLE"

# Why it was left, where no command said so.
CHANGED_SINCE, GONE = "CHANGED_SINCE", "GONE"
SENT, RUN, LEFT = "SENT", "ENROLLMENT_ENDED", "UNENROLLED"

ENDED = {"code": "UNDONE", "message": "What the enrollment did was undone."}


@dataclass(slots=True)
class Change:
    """One thing that step number `step` did at a time, and what has become of it."""

    step: int
    at: datetime
    told: Mapping[str, Any]
    status: str = UNDONE
    reason: str | None = None
    current: Any = None

    @property
    def kind(self) -> Kind:
        """What it did."""
        return kind_of(self.told)

    def left(self, status: str, reason: str | None = None, current: Any = None) -> None:
        """It is left as it is."""
        self.status, self.reason, self.current = status, reason, current

    def refused(self, problem: Problem | None) -> None:
        """The command that would have undone it was refused."""
        self.left(CONFLICT, None if problem is None else problem.code)


@dataclass(slots=True)
class Undoing:
    """Takes back changes; to be given them from the last to the first. `made`: records that were made, as they were."""

    tx: Transaction
    # Until when the enrollment itself changed each record.
    until: Mapping[int, datetime]
    made: Mapping[int, RecordRow]

    async def undo(self, run: Sequence[Change]) -> None:
        """Take back some changes that are of one family."""
        match family(run[0]):
            case "property":
                await self._properties(run)
            case "association":
                await self._associations(run)
            case "created":
                await self._created(run)
            case "segment":
                await self._segment(run)
            case "enrolled":
                await self._enrolled(run)
            case _:
                for one in run:
                    one.left(IMPOSSIBLE, LEFT if one.kind is Kind.UNENROLLED else SENT)

    # --- properties -----------------------------------------------------------------------------------------

    async def _properties(self, run: Sequence[Change]) -> None:
        rows = await records.lock(self.tx, [one.told["record"] for one in run])
        now: dict[tuple[int, str], Any] = {}
        ways: dict[tuple[int, str], list[Change]] = {}
        for one in run:
            record_id, name = one.told["record"], one.told["property"]
            row = rows.get(record_id)
            prop = None if row is None else self.tx.catalogue.object_types[row.object_type_id].live(name)
            if row is None or prop is None or row.archived_at is not None:
                one.left(CONFLICT, GONE)
                continue
            key = (record_id, name)
            current = now.get(key, row.properties.get(name))
            if same(prop, current, one.told["new"]):
                now[key] = one.told["old"]
                ways.setdefault(key, []).append(one)
            elif same(prop, current, one.told["old"]):
                one.left(ALREADY)
            else:
                one.left(CONFLICT, CHANGED_SINCE, current)
        given = [(record_id, {name: now[record_id, name]}) for record_id, name in ways]
        outcomes = await commands.update(self.tx, given, Mode.PER_ITEM) if given else []
        for several, outcome in zip(ways.values(), outcomes, strict=True):
            for one in several if outcome.problem is not None else ():
                one.refused(outcome.problem)

    # --- associations ---------------------------------------------------------------------------------------

    async def _associations(self, run: Sequence[Change]) -> None:
        before = await self._labels(run)
        wanted = dict(before)
        ways: dict[tuple[int, int], list[Change]] = {}
        for one in run:
            pair = _pair(one)
            if self._taken_back(one, wanted):
                ways.setdefault(pair, []).append(one)
        asks = [_Ask(pair, before[pair], wanted[pair]) for pair in ways]
        tx, mode = self.tx, Mode.PER_ITEM
        # What goes makes room for what comes.
        for some, command in (
            ([one for one in asks if one.parted], associations.dissociate),
            ([one for one in asks if one.removed], associations.remove_labels),
        ):
            named = [Pair(*one.pair, () if one.parted else tuple(sorted(one.removed))) for one in some]
            self._answered(some, ways, await command(tx, named, mode) if named else [])
        coming = [one for one in asks if one.added is not None]
        named = [Pair(*one.pair, tuple(sorted(one.added or ()))) for one in coming]
        if named:
            done = await associations.associate(tx, named, mode, first_primary=False)
            self._answered(coming, ways, done)

    async def _labels(self, run: Sequence[Change]) -> dict[tuple[int, int], set[str] | None]:
        """The labels of the pairs now, standing at the first record; None: not associated."""
        pairs = list(dict.fromkeys(_pair(one) for one in run))
        ids = sorted({end for pair in pairs for end in pair})
        rows = {row.id: row for row in await records.rows(self.tx, ids) if row is not None}
        asked = [
            (one, rows[other].object_type_id, other) for one, other in pairs if one in rows and other in rows
        ]
        types = self.tx.catalogue.association_types
        found: dict[tuple[int, int], set[str] | None] = dict.fromkeys(pairs)
        for (one, _, other), held in zip(asked, await stored.held(self.tx, asked), strict=True):
            names = (types[type_id].name for type_id in held)
            found[one, other] = {name for name in names if name is not None} if held else None
        return found

    def _taken_back(self, one: Change, wanted: dict[tuple[int, int], set[str] | None]) -> bool:
        """Note what a pair is to be; False: it is left as it is, which is noted."""
        pair, told = _pair(one), one.told
        labels, named = wanted[pair], set(told.get("labels") or ())
        if labels is None:
            if one.kind is Kind.ASSOCIATION_REMOVED:
                wanted[pair] = named
                return True
            # A label comes back to an association alone; all else is as it was before.
            one.left(*((CONFLICT, GONE) if one.kind is Kind.LABEL_REMOVED else (ALREADY,)))
            return False
        label = {told["label"]} if "label" in told else set()
        match one.kind:
            case Kind.LABEL_ADDED if label <= labels:
                wanted[pair] = labels - label
                return True
            case Kind.LABEL_REMOVED if not label <= labels:
                wanted[pair] = labels | label
                return True
            # The first company is `primary` unasked.
            case Kind.ASSOCIATION_ADDED if labels <= named | {"primary"}:
                wanted[pair] = None
                return True
            case Kind.ASSOCIATION_ADDED:
                one.left(CONFLICT, CHANGED_SINCE, sorted(labels - named))
            case Kind.ASSOCIATION_REMOVED if not named <= labels:
                one.left(CONFLICT, CHANGED_SINCE, sorted(labels))
            case _:
                one.left(ALREADY)
        return False

    @staticmethod
    def _answered(
        asks: Sequence["_Ask"],
        ways: Mapping[tuple[int, int], Sequence[Change]],
        outcomes: Sequence[Outcome[Any]],
    ) -> None:
        for ask, outcome in zip(asks, outcomes, strict=True):
            for one in ways[ask.pair] if outcome.problem is not None else ():
                one.refused(outcome.problem)

    # --- records, segments, enrollments ---------------------------------------------------------------------

    async def _created(self, run: Sequence[Change]) -> None:
        going = []
        for one in run:
            number = one.told["created"]
            row, until = self.made.get(number), self.until[number]
            touched = None if row is None else max(row.updated_at, row.last_association_change_at or until)
            if row is None or row.archived_at is not None:
                one.left(ALREADY)
            elif touched is not None and touched > until:
                one.left(CONFLICT, CHANGED_SINCE)
            else:
                going.append(one)
        outcomes = await commands.archive(self.tx, [one.told["created"] for one in going], Mode.PER_ITEM)
        for one, outcome in zip(going, outcomes, strict=True):
            if outcome.problem is not None:
                one.refused(outcome.problem)

    async def _segment(self, run: Sequence[Change]) -> None:
        number, joined = run[0].told["segment"], run[0].kind is Kind.SEGMENT_JOINED
        whom = [one.told["record"] for one in run]
        if number not in self.tx.catalogue.segments:
            for one in run:
                one.left(CONFLICT, GONE)
            return
        since = await memberships.joined_at(self.tx, number, whom)
        moving = []
        for one, at in zip(run, since, strict=True):
            if (at is not None) is not joined:
                one.left(ALREADY)
            elif joined and at is not None and at > one.at:
                one.left(CONFLICT, CHANGED_SINCE)
            else:
                moving.append(one)
        ids = [one.told["record"] for one in moving]
        try:
            if joined:
                outcomes = await hand.remove(self.tx, number, ids)
            else:
                outcomes = await hand.add(self.tx, number, ids, Mode.PER_ITEM)
        except (Problem, Refused) as error:
            problem = error.problems[0] if isinstance(error, Refused) else error
            outcomes = [Outcome(None, problem)] * len(moving)
        for one, outcome in zip(moving, outcomes, strict=True):
            if outcome.problem is not None:
                one.refused(outcome.problem)

    async def _enrolled(self, run: Sequence[Change]) -> None:
        rows = await enrollment_pages.by_ids(self.tx, [one.told["enrollment"] for one in run])
        active = {row.id for row in rows if row is not None and row.status == "ACTIVE"}
        left = await leaving.end(self.tx, [Leaving(one, "UNENROLLED", ENDED) for one in sorted(active)])
        ended = {row.id for row in left}
        for one in run:
            if one.told["enrollment"] not in ended:
                one.left(IMPOSSIBLE, RUN)


@dataclass(frozen=True, slots=True)
class _Ask:
    """A pair, with its labels before and as they are to be; None: not associated."""

    pair: tuple[int, int]
    before: set[str] | None
    wanted: set[str] | None

    @property
    def parted(self) -> bool:
        return self.before is not None and self.wanted is None

    @property
    def removed(self) -> set[str]:
        return set() if self.wanted is None else (self.before or set()) - self.wanted

    @property
    def added(self) -> set[str] | None:
        """Labels that come, with the association or without; None: nothing comes."""
        if self.wanted is None:
            return None
        if self.before is None:
            return self.wanted
        return self.wanted - self.before or None


def family(one: Change) -> str:
    """Changes of one family in a row are taken back together; empty: nothing is to be taken back."""
    match one.kind:
        case Kind.PROPERTY:
            return "property"
        case Kind.LABEL_ADDED | Kind.LABEL_REMOVED | Kind.ASSOCIATION_ADDED | Kind.ASSOCIATION_REMOVED:
            return "association"
        case Kind.RECORD_CREATED:
            return "created"
        case Kind.SEGMENT_JOINED | Kind.SEGMENT_LEFT:
            return "segment"
        case Kind.ENROLLED:
            return "enrolled"
        case Kind.UNENROLLED | Kind.MAIL | Kind.CALL:
            return "outside"
        case _:
            return ""


def runs(changes: Sequence[Change]) -> list[list[Change]]:
    """Changes, from the last to the first, in runs of one family, of a bounded size each."""
    found: list[list[Change]] = []
    last: tuple[Any, ...] = ()
    for one in changes:
        segment = (one.told["segment"], one.kind) if family(one) == "segment" else ()
        key = (family(one), *segment)
        if key != last or len(found[-1]) >= BATCH_LIMIT:
            found.append([])
        found[-1].append(one)
        last = key
    return found


def _pair(one: Change) -> tuple[int, int]:
    return one.told["record"], one.told["associated"]
