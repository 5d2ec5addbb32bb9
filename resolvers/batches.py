"""Batches: inputs that cannot even be understood are told with the others, and a key does its work once."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any, Generic, TypeVar

from engine import ids
from engine.batches import Mode, Outcome, check_size, once, settle
from engine.problems import PathPart, Problem
from resolvers.context import Context
from resolvers.writing import write
from storage.database import Transaction

T = TypeVar("T")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Told:
    """A problem as it was told; the same when it is told again under an idempotency key."""

    code: str
    message: str
    path: list[PathPart]
    details: dict[str, Any]

    @classmethod
    def of(cls, problem: Problem) -> "Told":
        """The problem, with what it speaks of as JSON."""
        return cls(problem.code, problem.message, list(problem.path), plain(problem.details))


@dataclass(frozen=True, slots=True)
class Item(Generic[V]):
    """What became of one input. Paths of `problems` start at the input."""

    value: V | None
    problems: list[Told] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """What a client sends: inputs with what a problem means for the others, and perhaps a key."""

    operation: str
    inputs: Sequence[T]
    mode: Mode = Mode.PER_ITEM
    key: str | None = None
    # What else belongs to the request, for its fingerprint.
    about: Any = None


async def run(
    context: Context,
    batch: Batch[T],
    work: Callable[[Transaction, list[T]], Awaitable[list[Outcome[V]]]],
    understand: Callable[[T], Problem | None] = lambda _: None,
    value: Callable[[V], Any] = lambda value: value,
    holding: Callable[[T], Iterable[int]] = lambda _: (),
) -> list[Item[Any]]:
    """Do `work` on the inputs that can be understood, in one transaction; every input's outcome, in order.

    `value` turns what a command answers into JSON, which is what an idempotency key keeps; `holding` names the records
    that the work will hold for an input before anything else. Raises `Refused` (in
    atomic mode), `BatchTooLarge` and what `once` raises.
    """
    check_size(batch.inputs, context.batch_limit)
    faults = [understand(one) for one in batch.inputs]
    settle([Outcome(None, fault) for fault in faults], batch.mode)
    good = [one for one, fault in zip(batch.inputs, faults, strict=True) if fault is None]

    async def done(tx: Transaction) -> list[Any]:
        answers = iter(await work(tx, good) if good else [])
        outcomes = [Outcome(None, fault) if fault else next(answers) for fault in faults]
        return [
            {
                "value": None if outcome.value is None else value(outcome.value),
                "problems": [told_json(problem) for problem in outcome.problems],
            }
            for outcome in outcomes
        ]

    async def once_done(tx: Transaction) -> list[Any]:
        asked = [
            asdict(one) if is_dataclass(one) and not isinstance(one, type) else one for one in batch.inputs
        ]
        request = [batch.mode.value, batch.about, asked]
        answer: list[Any] = await once(tx, batch.key, batch.operation, request, lambda: done(tx))
        return answer

    held = {record_id for one in good for record_id in holding(one)}
    answers = await write(context, once_done, holding=held)
    return [Item(one["value"], [Told(**problem) for problem in one["problems"]]) for one in answers]


def told_json(problem: Problem) -> dict[str, Any]:
    """A problem as JSON, with its path from the input."""
    told = Told.of(problem)
    return {"code": told.code, "message": told.message, "path": told.path, "details": told.details}


def malformed(kind: str, text: str, *path: PathPart) -> Problem | None:
    """What is wrong with an id at `path`, if anything."""
    try:
        ids.decode(kind, text)
    except Problem as problem:
        return problem.at(*path)
    return None


def plain(value: Any) -> Any:
    """`value` as JSON would have it; what JSON has no word for becomes text."""
    match value:
        case None | bool() | int() | float():
            return value
        case dict():
            return {str(name): plain(part) for name, part in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(part) for part in value]
        case _:
            return str(value)
