"""Batches: commands take lists and answer in the order asked; one key does its work once."""

import enum
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from engine.problems import Problem, Refused
from storage import idempotency
from storage.database import Transaction

# How many inputs one request may carry, unless a setting says otherwise.
BATCH_LIMIT = 1_000

# The longest idempotency key; it is part of an index.
KEY_LIMIT = 255

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Mode(enum.StrEnum):
    """What a problem with one input means for the others."""

    # All or nothing.
    ATOMIC = "ATOMIC"
    # What fails is left out and told.
    PER_ITEM = "PER_ITEM"


# Made by the thousand, and never changed: freezing costs four times as much as making them.
@dataclass(slots=True)
class Outcome(Generic[T_co]):
    """What became of one input: a value, or the problems for which it was left out.

    `problem` is the first one; paths start at the input.
    """

    value: T_co | None
    problem: Problem | None = None
    others: tuple[Problem, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems of this input; none where it succeeded."""
        return () if self.problem is None else (self.problem, *self.others)


def failed(problems: Sequence[Problem]) -> Outcome[Any]:
    """The outcome of an input with (at least one of) these problems."""
    return Outcome(None, problems[0], tuple(problems[1:]))


def settle(outcomes: list[Outcome[T]], mode: Mode) -> list[Outcome[T]]:
    """The outcomes, unless one problem is everybody's.

    Raises `Refused` in atomic mode; each problem's path then starts with its input's index.
    """
    if mode is Mode.ATOMIC:
        problems = [problem.at(n) for n, outcome in enumerate(outcomes) for problem in outcome.problems]
        if problems:
            raise Refused(problems)
    return outcomes


def check_size(inputs: Sequence[Any], limit: int = BATCH_LIMIT) -> None:
    """Raise `BatchTooLarge` where there are more than `limit` inputs."""
    if len(inputs) > limit:
        raise BatchTooLarge(size=len(inputs), limit=limit)


async def once(
    tx: Transaction, key: str | None, operation: str, request: Any, work: Callable[[], Awaitable[Any]]
) -> Any:
    """Do `work` unless `key` has done it before, and give its answer (JSON), now or as it was then.

    `request` (JSON) is what was asked: the same key for something else raises `IdempotencyKeyReused`.
    Whoever comes second waits until the first one's transaction has ended. The key stands only if that
    transaction commits: what was refused, or failed, can be tried again under the same key.
    """
    if key is None:
        return await work()
    if not 0 < len(key) <= KEY_LIMIT or not key.isprintable():
        raise MalformedIdempotencyKey(limit=KEY_LIMIT, path=("idempotencyKey",))
    asked = _fingerprint(operation, request)
    while not await idempotency.claim(tx, key, asked):
        known = await idempotency.find(tx, key)
        # None: the key was taken back between the two statements.
        if known is not None:
            if known.request_hash != asked:
                raise IdempotencyKeyReused(key=key, path=("idempotencyKey",))
            return known.answer
    answer = await work()
    await idempotency.answer(tx, key, answer)
    return answer


def _fingerprint(operation: str, request: Any) -> str:
    # The standard library's encoder: it takes any text and any number that a request can hold.
    text = json.dumps([operation, request], sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class BatchTooLarge(Problem):
    """This batch has {size} inputs; at most {limit} are taken at once: send it in parts."""


class MalformedIdempotencyKey(Problem):
    """An idempotency key has 1 to {limit} printable characters."""


class IdempotencyKeyReused(Problem):
    """The idempotency key "{key}" has been used for another request; take a new one for each request."""
