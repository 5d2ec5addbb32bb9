"""Use cases that write records: batches of them, each in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import ids, object_types, records
from engine.associations import Pair, associate
from engine.batches import BatchTooLarge, Mode, Outcome
from engine.problems import Problem, Refused, at
from engine.records import Restored, Upserted
from resolvers import loaders
from resolvers.batches import Batch, Item, Told, malformed, run, told_json
from resolvers.context import Context
from resolvers.records import Found, found
from resolvers.writing import write
from storage.database import Transaction
from storage.records import RecordRow


@dataclass(frozen=True, slots=True)
class Link:
    """An association that a new record is to have; `labels` stand at the new record."""

    to: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class New:
    """A record to create."""

    properties: Any
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """Changes of one record."""

    id: str
    properties: Any


@dataclass(frozen=True, slots=True)
class Survived:
    """The survivor of a merge, and what could not move to it."""

    record_id: int
    problems: list[Told] = field(default_factory=list)


async def create(context: Context, object_type: str, batch: Batch[New]) -> list[Item[Any]]:
    """New records, each with its associations; `value` is {"id", "created"}.

    An association that is refused leaves its record in place and is told with it (in atomic mode: nothing stands).
    """
    links = sum(len(new.links) for new in batch.inputs)
    if links > context.batch_limit:
        raise BatchTooLarge(size=links, limit=context.batch_limit)

    async def work(tx: Transaction, news: list[New]) -> list[Outcome[RecordRow]]:
        kind = object_types.get(tx.catalogue, object_type)
        outcomes = await records.create(tx, kind, [new.properties for new in news], batch.mode)
        return await _linked(tx, news, outcomes, batch.mode)

    def understand(new: New) -> Problem | None:
        found = (malformed("record", link.to, "associations", n, "toId") for n, link in enumerate(new.links))
        return next((problem for problem in found if problem), None)

    _known(context, object_type)
    return await run(context, batch, work, understand, _made)


async def _linked(
    tx: Transaction, news: Sequence[New], outcomes: list[Outcome[RecordRow]], mode: Mode
) -> list[Outcome[RecordRow]]:
    places: list[tuple[int, int]] = []
    pairs: list[Pair] = []
    for index, (new, outcome) in enumerate(zip(news, outcomes, strict=True)):
        for n, link in enumerate(new.links if outcome.value else ()):
            assert outcome.value is not None
            places.append((index, n))
            pairs.append(Pair(outcome.value.id, ids.decode("record", link.to), link.labels))
    if not pairs:
        return outcomes
    try:
        made = await associate(tx, pairs, mode)
    except Refused as refused:
        raise Refused([_placed(problem, places) for problem in refused.problems]) from None
    told: dict[int, list[Problem]] = {}
    for (index, n), joined in zip(places, made, strict=True):
        told.setdefault(index, []).extend(problem.at("associations", n) for problem in joined.problems)
    return [
        Outcome(outcome.value, problems[0], tuple(problems[1:])) if (problems := told.get(index)) else outcome
        for index, outcome in enumerate(outcomes)
    ]


def _placed(problem: Problem, places: Sequence[tuple[int, int]]) -> Problem:
    """A problem of the nth pair, told from the record that the pair belongs to."""
    if problem.path and isinstance(problem.path[0], int):
        index, n = places[problem.path[0]]
        problem.path = (index, "associations", n, *problem.path[1:])
    return problem


async def update(context: Context, batch: Batch[Change]) -> list[Item[Any]]:
    """Changes of records."""

    async def work(tx: Transaction, changes: list[Change]) -> list[Outcome[RecordRow]]:
        asked = [(ids.decode("record", change.id), change.properties) for change in changes]
        return await records.update(tx, asked, batch.mode)

    return await run(context, batch, work, lambda change: malformed("record", change.id, "id"), _kept)


async def upsert(context: Context, object_type: str, by: str, batch: Batch[Any]) -> list[Item[Any]]:
    """Records found by a unique property and changed, or made."""

    async def work(tx: Transaction, inputs: list[Any]) -> list[Outcome[Upserted]]:
        return await records.upsert(tx, object_types.get(tx.catalogue, object_type), by, inputs, batch.mode)

    _known(context, object_type)
    return await run(context, batch, work, value=lambda done: {"id": done.row.id, "created": done.created})


async def archive(context: Context, batch: Batch[str]) -> list[Item[Any]]:
    """Records out of sight."""

    async def work(tx: Transaction, inputs: list[str]) -> list[Outcome[RecordRow]]:
        return await records.archive(tx, [ids.decode("record", text) for text in inputs], batch.mode)

    return await run(context, batch, work, _understood, _kept)


async def restore(context: Context, batch: Batch[str]) -> list[Item[Any]]:
    """Archived records back; `value` also tells which associations did not come with them, as "refused"."""

    async def work(tx: Transaction, inputs: list[str]) -> list[Outcome[Restored]]:
        return await records.restore(tx, [ids.decode("record", text) for text in inputs], batch.mode)

    def back(restored: Restored) -> dict[str, Any]:
        refused = [told_json(problem) for problem in restored.refused]
        return {"id": restored.row.id, "created": False, "refused": refused}

    return await run(context, batch, work, _understood, back)


async def merge(context: Context, survivor: str, merged: str) -> Survived:
    """One record merged into another."""
    kept = ids.decode_at("record", survivor, "survivorId")
    gone = ids.decode_at("record", merged, "mergedId")
    merger = await write(context, lambda tx: records.merge(tx, kept, gone))
    return Survived(merger.row.id, [Told.of(problem) for problem in merger.refused])


async def after(context: Context, record_id: int) -> Found | None:
    """A record as it stands after the mutation."""
    row = await loaders.record(context).load(record_id)
    return None if row is None else found(context, row)


def _known(context: Context, object_type: str) -> None:
    """Refuse an object type that is not there before anything is opened, with its place in the input."""
    with at("objectType"):
        object_types.get(context.catalogue, object_type)


def _made(row: RecordRow) -> dict[str, Any]:
    return {"id": row.id, "created": True}


def _kept(row: RecordRow) -> dict[str, Any]:
    return {"id": row.id, "created": False}


def _understood(text: str) -> Problem | None:
    return malformed("record", text)
