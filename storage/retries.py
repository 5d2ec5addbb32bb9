"""Do a transaction's work again where it ran into another one."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from storage.database import Actor, Database, Transaction
from storage.faults import Fault, fault

T = TypeVar("T")

ATTEMPTS = 5
# Seconds before the second attempt, doubled for each further one.
PAUSE = 0.01


async def repeated(
    db: Database, account_id: int, work: Callable[[Transaction], Awaitable[T]], *, now: datetime, actor: Actor
) -> T:
    """Run `work` in a transaction of its own; again, from the start, after a deadlock or a serialization failure.

    One command's locks are taken in one order for all. Several commands in a transaction can still meet another
    transaction crosswise; PostgreSQL then undoes one of the two as a whole, so that it can be done again.
    """
    for attempt in range(ATTEMPTS):
        try:
            async with db.transaction(account_id, now=now, actor=actor) as tx:
                return await work(tx)
        except Exception as error:
            if fault(error) is not Fault.COLLIDED or attempt == ATTEMPTS - 1:
                raise
        await asyncio.sleep(PAUSE * 2**attempt)
    raise AssertionError("the last attempt returns or raises")
