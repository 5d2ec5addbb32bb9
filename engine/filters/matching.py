"""Which records meet which filters, and until when: the Python fold over facts fetched for all of them at once."""

from collections.abc import Callable, Collection, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeAlias, TypeVar

from engine.filters.facts import Needs, TooWide, fetch, needs
from engine.filters.foreseeing import Foreseeing, Foreseen, moving
from engine.filters.predicates import Fold, Predicate, fold, predicate
from storage.catalogue import Catalogue
from storage.database import Queryable
from storage.filters import facts as stored
from storage.filters.tree import Filter

# Records that are looked at together: bounds memory, and how long one batch holds the interpreter.
CHUNK = 500
# When a record is looked at again of which it is too much to say until when its answer stands.
SOON = timedelta(minutes=15)

T = TypeVar("T")

# A filter, the records to examine, and their object type.
Asked: TypeAlias = tuple[Filter, Collection[int], int]


async def matches(
    reader: Queryable, filter_: Filter, ids: Collection[int], object_type_id: int, *, now: datetime
) -> dict[int, bool]:
    """{id: whether that record meets the filter at `now`}; archived, missing and foreign ones do not."""
    (answer,) = await _truths(reader, [(filter_, ids, object_type_id)], now)
    return answer


async def matches_many(
    reader: Queryable, catalogue: Catalogue, asked: Sequence[Asked], *, now: datetime
) -> list[dict[int, bool]]:
    """For each filter {id: whether that record meets it at `now`}, in the order asked.

    A few statements for each `CHUNK` records, whatever the number of filters; `catalogue` holds the definitions
    that they are bound to. Read on a snapshot where all facts must be of one moment.
    """
    return await _truths(reader, asked, now)


async def foreseen(
    reader: Queryable, catalogue: Catalogue, asked: Sequence[Asked], *, now: datetime
) -> list[dict[int, Foreseen]]:
    """As `matches_many`, and with each answer the moment at which it may become another one by the clock alone."""
    nobody = Foreseen(False, None)
    if not any(moving(filter_) for filter_, _, _ in asked):
        truths = await _truths(reader, asked, now)
        told = {truth: Foreseen(truth, None) for truth in (False, True)}
        return [{one: told[met] for one, met in answer.items()} for answer in truths]
    folds = [
        fold(filter_, now, Foreseeing(now)) if moving(filter_) else _for_good(predicate(filter_, now))
        for filter_, _, _ in asked
    ]
    # SQL does not tell until when: who is left to it is looked at again soon.
    later = [now + SOON if moving(filter_) else None for filter_, _, _ in asked]
    return await _answers(
        reader, asked, now, folds, nobody, lambda n, met: Foreseen(met, later[n]), watched=True
    )


def _for_good(met: Predicate) -> Fold[Foreseen]:
    """The answer of a filter that the clock does not change."""
    answers = {truth: Foreseen(truth, None) for truth in (False, True)}
    return lambda record_id, facts: answers[met(record_id, facts)]


async def _truths(reader: Queryable, asked: Sequence[Asked], now: datetime) -> list[dict[int, bool]]:
    predicates = [predicate(filter_, now) for filter_, _, _ in asked]
    return await _answers(reader, asked, now, predicates, False, lambda _, met: met)


async def _answers(
    reader: Queryable,
    asked: Sequence[Asked],
    now: datetime,
    folds: Sequence[Fold[T]],
    nobody: T,
    by_sql: Callable[[int, bool], T],
    *,
    watched: bool = False,
) -> list[dict[int, T]]:
    """What folds answer for each filter's records; `nobody` for those that are not there.

    `by_sql` makes an answer for filter number n of what SQL says. `watched`: answers tell until when they stand,
    for which everything that the clock may change is looked at.
    """
    answers = [dict.fromkeys(ids, nobody) for _, ids, _ in asked]
    everyone = sorted(set[int]().union(*answers))
    asks = [needs(filter_, now=None if watched and moving(filter_) else now) for filter_, _, _ in asked]
    batch = _Batch(reader, asked, asks, [set(answer) for answer in answers], now, folds, answers, by_sql)
    for at in range(0, len(everyone), CHUNK):
        await batch.chunk(everyone[at : at + CHUNK])
    return answers


@dataclass(slots=True)
class _Batch(Generic[T]):
    reader: Queryable
    asked: Sequence[Asked]
    # What each filter asks for, and of whom.
    asks: Sequence[Needs]
    wanted: Sequence[Set[int]]
    now: datetime
    folds: Sequence[Fold[T]]
    answers: list[dict[int, T]]
    by_sql: Callable[[int, bool], T]

    async def chunk(self, ids: Sequence[int]) -> None:
        """Fill in the answers for some records; hubs among them are found by halving, and left to SQL."""
        some_ids = set(ids)
        here = [wanted & some_ids for wanted in self.wanted]
        wanted = [(asks, some) for asks, some in zip(self.asks, here, strict=True) if some]
        try:
            facts, types = await fetch(self.reader, wanted)
        except TooWide:
            if len(ids) == 1:
                await self._ask_sql(ids[0])
                return
            half = len(ids) // 2
            await self.chunk(ids[:half])
            await self.chunk(ids[half:])
            return
        for (_, _, object_type_id), answer_of, some, answer in zip(
            self.asked, self.folds, here, self.answers, strict=True
        ):
            for record_id in some:
                if types.get(record_id) == object_type_id:
                    answer[record_id] = answer_of(record_id, facts)

    async def _ask_sql(self, record_id: int) -> None:
        for n, (filter_, _, object_type_id) in enumerate(self.asked):
            if record_id in self.answers[n]:
                found = await stored.met(self.reader, filter_, object_type_id, [record_id], now=self.now)
                self.answers[n][record_id] = self.by_sql(n, record_id in found)
