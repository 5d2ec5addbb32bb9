"""`relata work`: a process that evaluates changes and moves enrollments, beside any number of others like it."""

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from server import worker
from server.clock import now
from server.database import opened
from server.processes import end_with_parent, told_to_end, unless_told
from server.settings import Settings
from server.vault import signer, surroundings, vault
from server.worker import unheard

if TYPE_CHECKING:
    from server.metrics import Metrics


async def work(settings: Settings, *, with_parent: bool) -> None:
    """Work until told to end; with `with_parent`, also until standard input ends.

    Raises what opening the database raises, CannotListen (for figures), and Ended when told to end before it was open.
    """
    with told_to_end() as told:
        if with_parent:
            end_with_parent(told)
        async with contextlib.AsyncExitStack() as stack:
            db = await unless_told(told, stack.enter_async_context(opened(settings)))
            metrics: Metrics | None = None
            # Workers beside the API are several on one machine, and one of them alone would get the port.
            if settings.metrics_port is not None and not with_parent:
                from server import figures  # most workers tell none

                telling = figures.told(db, settings.host, settings.metrics_port)
                metrics = await stack.enter_async_context(telling)
            await worker.run(
                db,
                clock=now,
                stop=told,
                sending=replace(settings.sending(), signer=signer(settings)),
                vault=vault(settings),
                surroundings=surroundings(settings),
                hands=settings.hands,
                worked=unheard if metrics is None else metrics.worked,
            )
