"""What cannot be evaluated is sought out by halves and put aside, so that nothing else waits for it.

It is put aside in the transaction that takes it off the queue: never lost, whatever happens to the process. It is tried
again, ever more rarely, until it succeeds.
"""

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeAlias, TypeVar, assert_never

from engine.evaluation.listening import Candidates, Cause, offer
from storage import changes, match_states, troubles
from storage.changes import ChangeKind, QueuedChange
from storage.database import Transaction
from storage.faults import Fault, fault
from storage.troubles import TroubleRow
from storage.walks import WalkRow

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(hours=1)
LONGEST_ERROR = 2_000

T = TypeVar("T")
Do: TypeAlias = Callable[[Sequence[T]], Awaitable[None]]
Single: TypeAlias = Callable[[T, Exception], Awaitable[None]]


class Kind(enum.StrEnum):
    """What is to be done again."""

    # A change, of which nothing has been done.
    CHANGE = "CHANGE"
    # A walk from a changed record to those that it concerns.
    WALK = "WALK"
    # The look of one listener at one record.
    LOOK = "LOOK"
    # What a change does to segments that are made by hand, and to enrollments; the rest of it has been done.
    BY_HAND = "BY_HAND"


@dataclass(frozen=True, slots=True)
class Look:
    """A record that a listener is to examine, and why."""

    listener_id: int
    record_id: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """Work, and how often it has failed since when."""

    work: T
    attempts: int = 0
    first_at: datetime | None = None


@dataclass(slots=True)
class Work:
    """What one transaction is to do."""

    changes: list[Item[QueuedChange]] = field(default_factory=list)
    walks: list[Item[WalkRow]] = field(default_factory=list)
    looks: list[Item[Look]] = field(default_factory=list)
    by_hand: list[Item[QueuedChange]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changes or self.walks or self.looks or self.by_hand)


# Told of everything that is put aside: the account, and what it is. The server's floor logs and counts.
on_trouble: list[Callable[[int, TroubleRow], None]] = []


def wait(attempts: int) -> timedelta:
    """How long to leave alone what has failed so often (once or more)."""
    doubled: int = 2 ** min(attempts - 1, 20)
    return min(FIRST_WAIT * doubled, LONGEST_WAIT)


def passing(error: BaseException) -> bool:
    """Whether an error is the database's alone, says nothing of what was being done, and passes by itself."""
    return fault(error) in (Fault.COLLIDED, Fault.DISCONNECTED)


class Careful:
    """Does work in one transaction, whole where it can be, and notes what is to be put aside."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        self._aside: list[TroubleRow] = []
        self._looks: dict[tuple[int, int], None] = {}

    async def each(
        self, items: Sequence[T], do: Do[T], single: Single[T], *, patience: int | None = None
    ) -> None:
        """Do with all items at once; where that fails, with halves of them. Who fails alone is left to `single`.

        After `patience` of them, so are all the others, with the same error and untried. Raises what `passing` names.
        """
        failed: list[Exception] = []

        async def part(some: Sequence[T]) -> None:
            if patience is not None and len(failed) >= patience:
                for one in some:
                    await single(one, failed[-1])
                return
            error = await self._attempt(some, do)
            if error is None:
                return
            if len(some) == 1:
                failed.append(error)
                await single(some[0], error)
                return
            middle = len(some) // 2
            await part(some[:middle])
            await part(some[middle:])

        if items:
            await part(items)

    async def _attempt(self, items: Sequence[T], do: Do[T]) -> Exception | None:
        try:
            async with self.tx.attempt():
                await do(items)
                # What cannot be told fails here, and not with everything else at the end.
                await changes.append(self.tx)
        except Exception as error:
            if passing(error):
                raise
            return error
        self.tx.changes.clear()
        self.tx.events.clear()
        return None

    async def put(self, kind: Kind, item: Item[Any], error: Exception) -> None:
        """Note that an item is put aside."""
        attempts = item.attempts + 1
        told = f"{type(error).__name__}: {error}".replace("\x00", "")[:LONGEST_ERROR]
        self._aside.append(
            TroubleRow(
                0,
                kind,
                to_json(item.work),
                attempts,
                told.encode(errors="replace").decode(),
                item.first_at or self.tx.now,
                self.tx.now + wait(attempts),
            )
        )
        if isinstance(item.work, Look):
            self._looks[item.work.listener_id, item.work.record_id] = None

    def putting(self, kind: Kind) -> Single[Item[Any]]:
        """`put` for items of one kind."""

        async def single(item: Item[Any], error: Exception) -> None:
            await self.put(kind, item, error)

        return single

    async def keep(self) -> None:
        """Write what was put aside; the clock does not ask for it meanwhile."""
        await troubles.put(self.tx, self._aside)
        if self._looks:
            await match_states.note(self.tx, self._looks)

    def tell(self) -> None:
        """Tell of it, once it is committed."""
        for row in self._aside:
            for told in on_trouble:
                told(self.tx.account_id, row)


def merge(found: Candidates, more: Candidates) -> None:
    """Note further candidates."""
    for listener_id, causes in more.items():
        for record_id, cause in causes.items():
            offer(found, listener_id, record_id, cause)


def work(rows: Sequence[TroubleRow]) -> Work:
    """What was put aside, as it is done again."""
    found = Work()
    for row in rows:
        match Kind(row.kind):
            case Kind.CHANGE:
                found.changes.append(Item(change(row.work), row.attempts, row.first_at))
            case Kind.WALK:
                found.walks.append(Item(walk(row.work), row.attempts, row.first_at))
            case Kind.LOOK:
                found.looks.append(Item(look(row.work), row.attempts, row.first_at))
            case Kind.BY_HAND:
                found.by_hand.append(Item(change(row.work), row.attempts, row.first_at))
            case unknown:
                assert_never(unknown)
    return found


def to_json(work: QueuedChange | WalkRow | Look) -> dict[str, Any]:
    """Work as it is kept."""
    match work:
        case QueuedChange() | WalkRow():
            return asdict(work) | {"at": work.at.isoformat()}
        case Look(listener_id, record_id, cause):
            kept: dict[str, Any] = {"told": dict(cause.told), "depth": cause.depth, "version": cause.version}
            kept["at"] = cause.at.isoformat()
            kept["changes"] = [to_json(one) for one in cause.changes]
            kept["due"] = None if cause.due is None else cause.due.isoformat()
            return {"listener_id": listener_id, "record_id": record_id, "cause": kept}


def change(work: Mapping[str, Any]) -> QueuedChange:
    """A change, as it was kept."""
    lists = {name: tuple(work[name]) for name in ("properties", "type_ids", "other_ids")}
    at = datetime.fromisoformat(work["at"])
    return QueuedChange(**{**work, **lists, "kind": ChangeKind(work["kind"]), "at": at})


def walk(work: Mapping[str, Any]) -> WalkRow:
    """A walk, as it was kept."""
    lists = {name: tuple(work[name]) for name in ("path", "listener_ids")}
    return WalkRow(**{**work, **lists, "at": datetime.fromisoformat(work["at"])})


def look(work: Mapping[str, Any]) -> Look:
    """A look, as it was kept."""
    kept = work["cause"]
    at = datetime.fromisoformat(kept["at"])
    due = None if kept.get("due") is None else datetime.fromisoformat(kept["due"])
    changes = tuple(change(one) for one in kept.get("changes", ()))
    cause = Cause(kept["told"], at, kept["depth"], kept["version"], changes, due)
    return Look(work["listener_id"], work["record_id"], cause)
