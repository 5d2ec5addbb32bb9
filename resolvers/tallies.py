"""How workflows stand, as a stream of states."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

from engine import cursors, ids, tallies
from engine.problems import NotFound
from engine.tallies import Standing
from resolvers import workflows
from resolvers.context import Context


@dataclass(frozen=True, slots=True)
class Stood:
    """How some workflows stood at one moment; `cursor` is that of the last event before it."""

    cursor: str
    at: datetime
    workflows: dict[int, Standing]


async def stream(context: Context, workflow: str | None) -> AsyncGenerator[Stood, None]:
    """How one workflow stands, or how all do: now, and whenever it changes. Raises `MalformedId` and `NotFound`."""
    number = None if workflow is None else ids.decode_at("workflow", workflow, "workflow")
    if number is not None and await workflows.by_id(context, number) is None:
        raise NotFound(kind="workflow", name=workflow, path=("workflow",))
    last: dict[int, Standing] | None = None
    async with contextlib.aclosing(
        tallies.watch(context.db, context.account_id, context.clock or (lambda: context.now))
    ) as states:
        async for state in states:
            found = state.value if number is None else {number: state.value.get(number, Standing({}))}
            if found != last:
                last = found
                yield Stood(cursors.encode(context.account_id, state.seq), state.at, found)
