"""Refusals in words: which limit, how many there are, and who they are."""

from collections.abc import Iterable, Mapping

from engine.associations.kinds import Kinds
from engine.associations.plan import Book, Decision, Full, PairKey
from engine.associations.problems import AssociationLimitReached, LabelLimitReached
from engine.ids import encode
from engine.naming import counted
from engine.problems import Problem
from storage import associations
from storage.database import Queryable

# How many of the records that fill a limit a refusal names.
NAMED = 10


async def explain(
    reader: Queryable, decisions: Mapping[int, Decision], book: Book, kinds: Kinds
) -> dict[int, Problem]:
    """The problem of each refused item, by its index; asked before the batch's own facts are written."""
    problems = {index: found for index, found in decisions.items() if isinstance(found, Problem)}
    full = {index: found for index, found in decisions.items() if isinstance(found, Full)}
    if full:
        filling = await fillers(reader, full.values(), book)
        for index, found in full.items():
            problems[index] = in_words(found, filling[found.record_id, found.kind.id], kinds)
    return problems


async def fillers(reader: Queryable, full: Iterable[Full], book: Book) -> dict[PairKey, list[int]]:
    """By (record, type) the first visible records that fill the limit, those of this batch included."""
    keys = sorted({(one.record_id, one.kind.to_object_type_id, one.kind.id) for one in full})
    # Some may go in this batch: so many more are asked for.
    leaving = sum(not added for _, _, added in book.facts.values())
    found = await associations.filling(reader, keys, NAMED + leaving)
    filling = {(key[0], key[2]): set(ids) for key, ids in zip(keys, found, strict=True)}
    for (low, high, _), (kind, _, added) in book.facts.items():
        for place, other in (((low, kind.id), high), ((high, kind.inverse_id), low)):
            if place in filling:
                (filling[place].add if added else filling[place].discard)(other)
    return {place: sorted(ids)[:NAMED] for place, ids in filling.items()}


def in_words(full: Full, records: Iterable[int], kinds: Kinds, path: tuple[str, ...] = ()) -> Problem:
    """The problem that tells of a limit, naming the records that fill it."""
    kind = full.kind
    limit = kind.limit
    object_type = kinds.catalogue.object_types[kind.to_object_type_id]
    details = {
        "record": encode("record", full.record_id),
        "count": full.count,
        "object_type": object_type.name,
        "counted": counted(full.count, object_type.singular, object_type.plural),
        "limit": limit,
        "records": [encode("record", number) for number in records],
    }
    if kind.name is None:
        return AssociationLimitReached(path=path, **details)
    return LabelLimitReached(path=path, label=kind.label, **details)
