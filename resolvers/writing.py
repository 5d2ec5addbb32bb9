"""The one place where a mutation's transaction is opened, and done again when others were in the way."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from resolvers.context import Context
from storage.database import Transaction
from storage.faults import Fault, fault

T = TypeVar("T")

ATTEMPTS = 6
# Doubled with each attempt; each waits a random part of it.
PAUSE_SECONDS = 0.01


async def write(
    context: Context,
    work: Callable[[Transaction], Awaitable[T]],
    *,
    defining: bool = False,
    holding: Iterable[int] = (),
) -> T:
    """Do `work` in a transaction of the account, and commit; `defining` holds the definitions alone.

    `holding` are the records that the work will hold first of all.

    After a deadlock or a serialization failure everything is done again, at most `ATTEMPTS` times. What the
    request remembers is brought up to date, so that the answer shows what was written.
    """

    async def attempt() -> T:
        async with context.db.transaction(
            context.account_id,
            now=context.now,
            actor=context.principal.actor,
            defining=defining,
            holding=holding,
        ) as tx:
            answer = await work(tx)
        context.catalogue = tx.catalogue
        context.loaders.clear()
        return answer

    return await again(attempt)


async def again(attempt: Callable[[], Awaitable[T]]) -> T:
    """Do a whole transaction; after a deadlock or a serialization failure once more, at most `ATTEMPTS` times."""
    for number in range(ATTEMPTS):
        try:
            return await attempt()
        except Exception as error:
            if fault(error) is not Fault.COLLIDED or number + 1 == ATTEMPTS:
                raise
            await asyncio.sleep(random.uniform(0, PAUSE_SECONDS * 2**number))
    raise AssertionError("the last attempt returns or raises")
