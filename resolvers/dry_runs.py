"""Use cases of dry runs: everything is done in a transaction, and then undone."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import ids
from engine.problems import Problem
from engine.workflows import dry_run, rehearsing
from engine.workflows.dry_run import DryRun
from engine.workflows.rehearsing import Tested
from resolvers.context import Context
from resolvers.writing import again
from storage.database import Transaction

# It holds what it changes until it is over.
SECONDS = 15


class NothingToRun(Problem):
    """A dry run is of a workflow or of a definition: name one of them, not both."""


class DryRunTooLong(Problem):
    """The dry run took longer than {seconds} seconds, and was given up; name fewer records."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be tried. `definition`: (object type, document)."""

    workflow: str | None
    definition: tuple[str, Mapping[str, Any]] | None
    revision: int | None
    draft: bool
    record_ids: Sequence[str]
    called: bool
    events_occur: bool
    count_all: bool


class _RolledBack(Exception):
    """Ends the transaction; nothing of it is kept."""


async def dry(context: Context, asked: Asked) -> DryRun:
    """What a workflow would do; see `engine.workflows.dry_run`. Nothing is written."""
    if (asked.workflow is None) is (asked.definition is None):
        raise NothingToRun
    number = None if asked.workflow is None else ids.decode_at("workflow", asked.workflow, "workflow")
    record_ids = [ids.decode_at("record", one, "recordIds", n) for n, one in enumerate(asked.record_ids)]
    dry_run.check(record_ids)

    async def attempt() -> DryRun:
        found = DryRun()
        try:
            async with context.db.transaction(
                context.account_id, now=context.now, actor=context.principal.actor
            ) as tx:
                found = await _rehearse(tx, asked, number, record_ids)
                raise _RolledBack
        except _RolledBack:
            return found

    try:
        async with asyncio.timeout(SECONDS):
            return await again(attempt)
    except TimeoutError:
        raise DryRunTooLong(seconds=SECONDS) from None


async def _rehearse(tx: Transaction, asked: Asked, number: int | None, record_ids: Sequence[int]) -> DryRun:
    tested: Tested | list[Problem]
    if number is not None:
        tested = await rehearsing.of_workflow(tx, number, revision=asked.revision, draft=asked.draft)
    else:
        assert asked.definition is not None  # one of the two is given
        tested = await rehearsing.of_definition(tx, *asked.definition)
    if isinstance(tested, list):
        front = () if number is not None else ("definition",)
        return DryRun(problems=[problem.at(*front) for problem in tested])
    return await dry_run.rehearse(
        tx,
        tested,
        record_ids,
        called=asked.called,
        events_occur=asked.events_occur,
        count_all=asked.count_all,
    )
