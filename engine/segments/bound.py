"""Active segments as they are evaluated: their filters bound to the account's definitions, or said to be broken."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from engine import filters
from engine.filters import Deciders
from engine.problems import Problem, Refused
from storage import segments as stored
from storage.catalogue import Catalogue
from storage.database import Queryable
from storage.filters.tree import Filter

# How many filters one process keeps in their bound form.
KEPT = 5_000


@dataclass(frozen=True, slots=True)
class Bound:
    """A segment's filter. None: it names what is not there, or the segment has none; `problems` say what."""

    id: int
    object_type_id: int
    filter: Filter | None
    problems: tuple[Problem, ...] = ()
    # Whether the clock alone can change who meets the filter.
    moving: bool = False
    # What its leaves say of values, so that changes which cannot matter are passed over.
    deciders: Deciders = field(default_factory=dict)


# A segment's filter changes with the version of the account's definitions, and so do the names in it.
_kept: OrderedDict[tuple[int, int, int], Bound] = OrderedDict()


async def load(reader: Queryable, catalogue: Catalogue, segment_ids: Collection[int]) -> dict[int, Bound]:
    """These segments by id, bound to `catalogue`, which the reader's transaction holds still."""
    keys = {one: (reader.account_id, catalogue.version, one) for one in segment_ids}
    missing = [one for one, key in keys.items() if key not in _kept]
    if missing:
        for segment_id, definition in (await stored.definitions(reader, missing)).items():
            _kept[keys[segment_id]] = bind(catalogue, segment_id, definition)
    found = {one: _kept[key] for one, key in keys.items() if key in _kept}
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return found


def bind(catalogue: Catalogue, segment_id: int, definition: dict[str, Any] | None) -> Bound:
    """A segment's filter, bound to the definitions as they are."""
    row = catalogue.segments[segment_id]
    if definition is None or row.kind != "ACTIVE":
        return Bound(segment_id, row.object_type_id, None)
    object_type = catalogue.object_types[row.object_type_id]
    try:
        found = filters.bind(definition, object_type, catalogue)
        return Bound(
            segment_id,
            row.object_type_id,
            found,
            moving=filters.moving(found),
            deciders=filters.deciders(found, catalogue),
        )
    except Problem as problem:
        return Bound(segment_id, row.object_type_id, None, (problem,))
    except Refused as refused:
        return Bound(segment_id, row.object_type_id, None, tuple(refused.problems))
