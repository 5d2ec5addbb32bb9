"""Executing a subscription's selection for many events: together, as of their moment, until the database answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from graphql import ExecutionResult, GraphQLError
from graphql.execution import Executor

from resolvers.context import Context
from schema.errors import formatted
from storage.faults import Fault, fault

# Events that are executed together: they share a context, so their records are read in one statement.
CHUNK = 100
# After a lost connection, in seconds.
PAUSE = 0.5
# How often what is merely in the way of others, or slow, is tried again.
TRIES = 3
# How long executions that nobody waits for any more may take to end, in seconds.
GRACE = 1.0


class Teller:
    """Makes answers of events. `seconds`: how long one lot of them may take.

    `context` makes the context of a lot; it is handed the version of the definitions where that is known.
    """

    def __init__(
        self,
        executor: Executor[Any],
        context: Callable[[int | None], Awaitable[Context]],
        extensions: orjson.Fragment,
        seconds: float,
    ) -> None:
        self._executor = executor
        self._context = context
        self._extensions = extensions
        self._seconds = seconds

    async def tell(self, events: Sequence[Any], version: int | None = None) -> list[bytes]:
        """The answer to each event, in order. An answer never tells that the database was away: that is waited for.

        `version`: that of the definitions, read a moment ago.
        """
        tries = 0
        while True:
            try:
                async with asyncio.timeout(self._seconds):
                    results = await self._execute(events, version)
                failures = [_failure(result) for result in results]
            except Exception as error:
                failures = [fault(error)]
                if failures == [None]:
                    raise
                if tries >= TRIES and failures != [Fault.DISCONNECTED]:
                    raise
                results = []
            # Of a moment that has passed.
            version = None
            if Fault.DISCONNECTED in failures:
                await asyncio.sleep(PAUSE)
            elif any(failures) and tries < TRIES:
                tries += 1
                await asyncio.sleep(PAUSE)
            else:
                return [self._body(result) for result in results]

    async def _execute(self, events: Sequence[Any], version: int | None) -> list[ExecutionResult]:
        # Fresh definitions, nothing cached from the last lot.
        self._executor.context_value = await self._context(version)
        made: list[Any] = [
            self._executor.build_per_event_executor(event).execute_operation(False) for event in events
        ]
        waiting = [result for result in made if not isinstance(result, ExecutionResult)]
        done = iter(await _together(waiting))
        return [result if isinstance(result, ExecutionResult) else next(done) for result in made]

    def _body(self, result: ExecutionResult) -> bytes:
        answer: dict[str, Any] = {"data": result.data, "extensions": self._extensions}
        if result.errors:
            answer = {"errors": formatted(result.errors), **answer}
        return orjson.dumps(answer)


async def _together(waiting: Sequence[Awaitable[ExecutionResult]]) -> list[ExecutionResult]:
    """The results of executions that have been made.

    One that is broken off before it has begun leaves the coroutines within it unawaited, which Python complains of. So
    where this is cancelled, they get a moment to come to their end.
    """
    if not waiting:
        return []
    tasks = [asyncio.ensure_future(one) for one in waiting]
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        _, late = await asyncio.wait(tasks, timeout=GRACE)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    return [task.result() for task in tasks]


def _failure(result: ExecutionResult) -> Fault | None:
    """What of the database kept an event from being told; the worst of it."""
    found = {_cause(error) for error in result.errors or ()} - {None}
    return Fault.DISCONNECTED if Fault.DISCONNECTED in found else next(iter(found), None)


def _cause(error: GraphQLError) -> Fault | None:
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return fault(cause)
