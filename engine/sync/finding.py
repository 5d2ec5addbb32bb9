"""Finding the other half: records that match items, items that match records; none that is linked already."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine import values
from engine.problems import Problem
from engine.sync import matching
from engine.sync.connectors.protocol import Item
from engine.sync.rules import Matcher, Rules
from storage import equal_values, records, unique_values
from storage.database import Queryable, Transaction
from storage.records import RecordRow
from storage.sync import keys, links
from storage.sync.links import LinkRow

# Records that may hold a value; beyond so many it is ambiguous anyway.
MOST = 25


async def holders(
    reader: Queryable, rules: Rules, items: Sequence[Item]
) -> list[tuple[tuple[str, frozenset[int]], ...]]:
    """For each item and matcher: the key, and ids of records that may have it; they are still to be looked at."""
    found: list[list[tuple[str, frozenset[int]]]] = [[] for _ in items]
    for matcher in rules.matchers:
        asked: dict[str, list[Any]] = {}
        wanted: list[str | None] = []
        for item in items:
            value = item.fields.get(matcher.field.name)
            key = matching.key(matcher, value)
            wanted.append(key)
            if key is not None:
                asked.setdefault(key, []).append(value)
        ids = await _records(reader, matcher, asked) if asked else {}
        for n, key in enumerate(wanted):
            found[n].append((key or "", ids.get(key, frozenset()) if key else frozenset()))
    return [tuple(one) for one in found]


async def _records(
    reader: Queryable, matcher: Matcher, asked: Mapping[str, Sequence[Any]]
) -> dict[str, frozenset[int]]:
    """{key: records that may have it}."""
    prop, check = matcher.property, values.checker(matcher.property)
    found: dict[str, set[int]] = {}
    if prop.is_unique and prop.field == "EMAIL" and all(map(_is_plain, asked)):
        # Such a key is what the address is taken under.
        begin = len(matching.key_begin(matcher))
        held = await unique_values.find(reader, prop.id, [key[begin:] for key in asked])
        return {key: frozenset((held[key[begin:]],)) for key in asked if key[begin:] in held}
    spelled = [
        (key, spelling)
        for key, written in asked.items()
        for spelling in dict.fromkeys(_stored(check, s) for one in written for s in _spellings(matcher, one))
        if spelling is not None
    ]
    if prop.is_unique:
        texts = {values.canonical(prop, spelling): key for key, spelling in spelled}
        for text, record_id in (await unique_values.find(reader, prop.id, list(texts))).items():
            found.setdefault(texts[text], set()).add(record_id)
    elif spelled:
        answers = await equal_values.holders(reader, prop, [(spelling, 0) for _, spelling in spelled], MOST)
        for (key, _), ids in zip(spelled, answers, strict=True):
            found.setdefault(key, set()).update(ids)
    return {key: frozenset(ids) for key, ids in found.items()}


def _is_plain(key: str) -> bool:
    """Whether a key is all of what it was made of, and can be stored."""
    return len(key) < matching.LONGEST and key.isascii() and key.isprintable()


def _spellings(matcher: Matcher, value: Any) -> list[Any]:
    """How records may hold it. Unique values of such fields are found whatever their case."""
    prop = matcher.property
    if prop.is_unique and prop.field == "EMAIL":
        return [value]
    return matching.spellings(matcher, value)


def _stored(check: values.Check, value: Any) -> Any:
    """The value as a record would hold it; None where it holds no such."""
    try:
        return check(value)
    except Problem:
        return None


async def lock(tx: Transaction, ids: Sequence[int]) -> dict[int, RecordRow]:
    """Hold records by ids that may be merged away: {id asked for: record that it leads to}."""
    return await records.lock_survivors(tx, ids) if ids else {}


def candidates(
    rules: Rules,
    found: Sequence[tuple[str, frozenset[int]]],
    held: Mapping[int, RecordRow],
    taken: frozenset[int] | set[int],
) -> tuple[tuple[int, ...], ...]:
    """For each matcher those of the records found that have the key indeed, are there, and are not linked."""
    answer: list[tuple[int, ...]] = []
    for matcher, (key, ids) in zip(rules.matchers, found, strict=True):
        fitting = {
            row.id
            for record_id in ids
            if (row := held.get(record_id)) is not None
            and row.archived_at is None
            and row.id not in taken
            and row.object_type_id == rules.object_type.id
            and matching.key(matcher, row.properties.get(matcher.property.name)) == key
        }
        answer.append(tuple(sorted(fitting)))
    return tuple(answer)


async def items_of(
    reader: Queryable, rules: Rules, rows: Sequence[RecordRow]
) -> tuple[list[tuple[tuple[str, ...], ...]], dict[str, LinkRow]]:
    """For each record and matcher the items without a record that match it; and the links of those items."""
    wanted = [matching.keys_of_record(rules.matchers, row) for row in rows]
    known = await keys.find(reader, rules.sync_id, [key for some in wanted for key in some if key])
    link_ids = sorted({link_id for some in known.values() for link_id in some})
    rest = await links.read(reader, link_ids) if link_ids else {}
    free = {
        link.id: link
        for link in rest.values()
        if link.record_id is None and link.external_id is not None and link.deleted is None
    }
    answer = [
        tuple(tuple(free[n].external_id or "" for n in known.get(key or "", ()) if n in free) for key in some)
        for some in wanted
    ]
    return answer, {link.external_id: link for link in free.values() if link.external_id is not None}
