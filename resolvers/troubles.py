"""Use cases of evaluations that failed for an unexpected reason: they are listed, and tried again."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine import ids
from engine.problems import MalformedId
from resolvers import listings
from resolvers.context import Context
from resolvers.listings import MalformedCursor
from resolvers.writing import write
from storage import troubles
from storage.troubles import TroubleRow


@dataclass(frozen=True, slots=True)
class Page:
    """Those put aside, in the order in which they were, and whether there are more on either side."""

    rows: Sequence[TroubleRow]
    has_next: bool
    has_previous: bool


async def listing(context: Context, first: int | None, after: str | None) -> Page:
    """A page of what was put aside."""
    size, behind = listings.page_size(first), 0
    if after is not None:
        try:
            behind = ids.decode("trouble", after)
        except MalformedId:
            raise MalformedCursor(path=("after",), argument="after") from None
    async with context.db.read(context.account_id) as reader:
        rows = await troubles.listing(reader, behind, size + 1)
    return Page(rows[:size], len(rows) > size, after is not None)


async def retry(context: Context, wanted: Sequence[str] | None) -> int:
    """Let these, or all, be tried again at once; how many of them are put aside still."""
    numbers = None
    if wanted is not None:
        numbers = [ids.decode_at("trouble", one, "ids", n) for n, one in enumerate(wanted)]
    return await write(context, lambda tx: troubles.retry(tx, numbers))
