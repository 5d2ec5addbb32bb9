"""Who names a property, an event type or a workflow: asked for many at once."""

from collections.abc import Sequence

from engine import named
from engine.named import Named, NamedUse
from resolvers import loaders
from resolvers.context import Context
from storage.database import Queryable


async def of(context: Context, kind: Named, number: int) -> list[NamedUse]:
    """Every place that names it; see `engine.named.of`."""

    async def read(reader: Queryable, ids: Sequence[int]) -> list[list[NamedUse]]:
        found = await named.of(reader, context.catalogue, kind, ids)
        return [found[one] for one in ids]

    return await loaders.loader(context, ("uses", kind), read).load(number)
