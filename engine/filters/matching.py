"""Which records meet which filters: the Python fold over facts that were fetched for all of them at once."""

from collections.abc import Collection, Sequence
from typing import TypeAlias

from engine.filters.facts import TooWide, fetch
from engine.filters.predicates import Predicate, predicate
from storage.catalogue import Catalogue
from storage.database import Queryable
from storage.filters import facts as stored
from storage.filters.tree import Filter

# Records that are looked at together: bounds memory, and how long one batch holds the interpreter.
CHUNK = 500

# A filter, the records to examine, and their object type.
Asked: TypeAlias = tuple[Filter, Collection[int], int]


async def matches(
    reader: Queryable, filter_: Filter, ids: Collection[int], object_type_id: int
) -> dict[int, bool]:
    """{id: whether that record meets the filter}; archived, missing and foreign ones do not."""
    (answer,) = await _matches(reader, [(filter_, ids, object_type_id)])
    return answer


async def matches_many(
    reader: Queryable, catalogue: Catalogue, asked: Sequence[Asked]
) -> list[dict[int, bool]]:
    """For each filter {id: whether that record meets it}, in the order asked.

    A few statements for each `CHUNK` records, whatever the number of filters; `catalogue` holds the definitions
    that they are bound to. Read on a snapshot where all facts must be of one moment.
    """
    return await _matches(reader, asked)


async def _matches(reader: Queryable, asked: Sequence[Asked]) -> list[dict[int, bool]]:
    predicates = [predicate(filter_) for filter_, _, _ in asked]
    answers = [dict.fromkeys(ids, False) for _, ids, _ in asked]
    everyone = sorted({record_id for _, ids, _ in asked for record_id in ids})
    for at in range(0, len(everyone), CHUNK):
        await _chunk(reader, asked, predicates, answers, everyone[at : at + CHUNK])
    return answers


async def _chunk(
    reader: Queryable,
    asked: Sequence[Asked],
    predicates: Sequence[Predicate],
    answers: list[dict[int, bool]],
    ids: Sequence[int],
) -> None:
    """Fill in the answers for some records; hubs among them are found by halving, and left to SQL."""
    here = [[record_id for record_id in ids if record_id in answer] for answer in answers]
    wanted = [(filter_, some) for (filter_, _, _), some in zip(asked, here, strict=True) if some]
    try:
        facts, types = await fetch(reader, wanted)
    except TooWide:
        if len(ids) > 1:
            half = len(ids) // 2
            await _chunk(reader, asked, predicates, answers, ids[:half])
            await _chunk(reader, asked, predicates, answers, ids[half:])
            return
        for (filter_, _, object_type_id), some, answer in zip(asked, here, answers, strict=True):
            if some:
                answer.update(dict.fromkeys(await stored.met(reader, filter_, object_type_id, some), True))
        return
    for (_, _, object_type_id), holds, some, answer in zip(asked, predicates, here, answers, strict=True):
        for record_id in some:
            if types.get(record_id) == object_type_id:
                answer[record_id] = holds(record_id, facts)
