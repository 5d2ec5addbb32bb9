"""Executing a subscription's selection for many events: together, as of their moment, until the database answers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from graphql import ExecutionResult, GraphQLError

from resolvers import loaders
from resolvers.context import Context
from schema.errors import formatted
from server.deadlines import Deadlines
from server.graphql.repeating import RepeatingExecutor
from storage.faults import Fault, fault
from storage.record_rows import RecordRow

# Events that are executed together: they share a context, so their records are read in one statement.
CHUNK = 100
# After a lost connection, in seconds.
PAUSE = 0.5
# How often what is merely in the way of others, or slow, is tried again.
TRIES = 3
# How long executions that nobody waits for any more may take to end, in seconds.
GRACE = 1.0

NOBODY: Mapping[int, RecordRow] = {}


class Teller:
    """Makes answers of events. `deadlines`: by when one lot of them must be made.

    `context` makes the context of a lot; it is handed the version of the definitions where that is known.
    """

    def __init__(
        self,
        executor: RepeatingExecutor,
        context: Callable[[int | None], Awaitable[Context]],
        extensions: orjson.Fragment,
        deadlines: Deadlines,
    ) -> None:
        self._executor = executor
        self._context = context
        self._extensions = extensions
        self._deadlines = deadlines
        # An event that was answered at once, and well.
        self._last: Any = None

    def rehearse(self) -> None:
        """Make the last answer once more, for nobody, if nothing had to be awaited for it.

        What the next answer needs is then in the processor's caches.
        """
        if self._last is None:
            return
        again = self._executor.execute_event(self._last)
        if isinstance(again, ExecutionResult) and not again.errors:
            self._body(again)

    async def tell(
        self, events: Sequence[Any], version: int | None = None, records: Mapping[int, RecordRow] = NOBODY
    ) -> list[bytes]:
        """The answer to each event, in order. An answer never tells that the database was away: that is waited for.

        `version`: that of the definitions, and `records`: some that may be asked for; both read a moment ago.
        """
        tries = 0
        while True:
            try:
                async with self._deadlines.next():
                    results = await self._execute(events, version, records)
                failures = [_failure(result) for result in results]
            except Exception as error:
                failures = [fault(error)]
                if failures == [None]:
                    raise
                if tries >= TRIES and failures != [Fault.DISCONNECTED]:
                    raise
                results = []
            # Of a moment that has passed.
            version, records = None, NOBODY
            if Fault.DISCONNECTED in failures:
                await asyncio.sleep(PAUSE)
            elif any(failures) and tries < TRIES:
                tries += 1
                await asyncio.sleep(PAUSE)
            else:
                return [self._body(result) for result in results]

    async def _execute(
        self, events: Sequence[Any], version: int | None, records: Mapping[int, RecordRow]
    ) -> list[ExecutionResult]:
        # Fresh definitions, nothing cached from the last lot.
        context = self._executor.context_value = await self._context(version)
        loaders.know(context, records)
        made = [self._executor.execute_event(event) for event in events]
        ready = all(isinstance(result, ExecutionResult) and not result.errors for result in made)
        self._last = events[-1] if ready and events else None
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
