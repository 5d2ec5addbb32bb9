"""Create, update and upsert: one way for all three, set by set, whatever the number of records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import values
from engine.batches import Mode, Outcome, failed, settle
from engine.problems import Problem
from engine.records import problems as told
from engine.records.drafts import SYSTEM, Draft, Form, Item
from engine.records.keeping import keep
from engine.records.uniqueness import Ledger
from storage import records, unique_values
from storage.catalogue import ObjectTypeRow, PropertyRow
from storage.database import Transaction
from storage.records import RecordRow

# How often an upsert begins anew because another one took a key in the meantime. Each time somebody else got on.
ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class Upserted:
    """A record, and whether this input made it."""

    row: RecordRow
    created: bool


async def create(
    tx: Transaction,
    object_type: ObjectTypeRow,
    inputs: Sequence[Mapping[str, Any]],
    mode: Mode,
    *,
    checked: bool = False,
) -> list[Outcome[RecordRow]]:
    """New records with these properties, in the order asked. `checked`: the values are in their stored form."""
    form = _form(tx, object_type)
    _require_active(object_type)
    items = []
    for record_id, given in zip(await tx.new_ids(len(inputs)), inputs, strict=True):
        changes, wrong = form.read(given, {}, checked=checked)
        items.append(Item(Draft(record_id, form, None, {}), changes, wrong))
    ledger = Ledger()
    await ledger.claim(tx, items)
    rows = await _carry_out(tx, items, ledger, mode)
    return [_outcome(item, rows) for item in items]


async def update(
    tx: Transaction,
    changes: Sequence[tuple[int, Mapping[str, Any]]],
    mode: Mode,
    *,
    held: Mapping[int, RecordRow] | None = None,
) -> list[Outcome[RecordRow]]:
    """Change properties of records of any object types: (id, {name: new value; null or "" clears}).

    An id that was merged away changes the survivor. Several inputs may be about one record. `held`: the records, where
    the caller holds them already, as they stand; none of them merged away.
    """
    locked = held
    if locked is None:
        locked = await records.lock_survivors(tx, [record_id for record_id, _ in changes])
    drafts: dict[int, Draft] = {}
    forms: dict[int, Form] = {}
    items = []
    for record_id, _ in changes:
        row = locked.get(record_id)
        if row is None:
            items.append(Item(None, problems=[told.missing(record_id, "id")]))
        elif row.archived_at is not None:
            items.append(Item(None, problems=[told.archived(row, "id")]))
        else:
            if row.object_type_id not in forms:
                forms[row.object_type_id] = _form(tx, tx.catalogue.object_types[row.object_type_id])
            items.append(Item(_draft(drafts, forms[row.object_type_id], row)))
    _read(items, [given for _, given in changes])
    ledger = Ledger()
    await ledger.claim(tx, items)
    rows = await _carry_out(tx, items, ledger, mode)
    return [_outcome(item, rows) for item in items]


async def upsert(
    tx: Transaction, object_type: ObjectTypeRow, by: str, inputs: Sequence[Mapping[str, Any]], mode: Mode
) -> list[Outcome[Upserted]]:
    """Create or update records of one object type, looked up by the unique property `by`.

    Inputs with the same key are about one record, one after the other. A key that a merged record held leads
    to the survivor, which keeps its own value.
    """
    form = _form(tx, object_type)
    _require_active(object_type)
    prop = _lookup(object_type, by)
    keys = [_key(prop, given) for given in inputs]
    for _ in range(ATTEMPTS):
        try:
            async with tx.attempt():
                items = await _match(tx, form, prop, inputs, keys)
                ledger = Ledger()
                holders = await ledger.claim(tx, items)
                if any((prop.id, key) in holders for key in _new_keys(items, keys)):
                    raise _Overtaken
            break
        except _Overtaken:
            continue
    else:
        raise told.LostTooManyRaces
    rows = await _carry_out(tx, items, ledger, mode)
    return [_outcome(item, rows, lambda row, item: Upserted(row, item.created)) for item in items]


class _Overtaken(Exception):
    """Another transaction created, renamed or merged a record that this one was about to match."""


def _form(tx: Transaction, object_type: ObjectTypeRow) -> Form:
    return Form(object_type, guarded=tx.actor.source != SYSTEM)


def _require_active(object_type: ObjectTypeRow) -> None:
    if not object_type.active:
        raise told.ObjectTypeInactive(path=("objectType",), object_type=object_type.name)


def _lookup(object_type: ObjectTypeRow, by: str) -> PropertyRow:
    prop = object_type.live(by)
    if prop is None:
        raise told.UnknownProperty(path=("by",), property=values.tidy(by), object_type=object_type.name)
    if not prop.is_unique:
        raise told.PropertyNotUnique(path=("by",), property=by, object_type=object_type.name)
    return prop


def _key(prop: PropertyRow, given: Any) -> str | Problem:
    """The canonical text by which an input is looked up, or what is wrong with it."""
    if not isinstance(given, Mapping):
        return told.MalformedProperties(path=("properties",), value=values.shown(given))
    try:
        value = values.normalize(prop, given.get(prop.name))
    except Problem as problem:
        return problem.at("properties")
    if value is None:
        return told.UniqueKeyMissing(path=("properties", prop.name), property=prop.name)
    return values.canonical(prop, value)


async def _match(
    tx: Transaction,
    form: Form,
    prop: PropertyRow,
    inputs: Sequence[Mapping[str, Any]],
    keys: Sequence[str | Problem],
) -> list[Item]:
    """Each input with the record that it is about: one that holds its key, locked, or a new one."""
    wanted = sorted({key for key in keys if isinstance(key, str)})
    found = await unique_values.find(tx, prop.id, wanted)
    locked = await records.lock_survivors(tx, list(found.values()))
    matched = {key: locked[record_id] for key, record_id in found.items()}
    aliases = {key for key, record_id in found.items() if matched[key].id != record_id}
    if any(_holds(prop, matched[key]) != key for key in matched.keys() - aliases):
        raise _Overtaken
    if aliases and await unique_values.find(tx, prop.id, sorted(aliases)) != {
        key: found[key] for key in aliases
    }:
        raise _Overtaken
    new = list(dict.fromkeys(key for key in keys if isinstance(key, str) and key not in matched))
    ids = await tx.new_ids(len(new))
    fresh = {key: Draft(record_id, form, None, {}) for key, record_id in zip(new, ids, strict=True)}
    drafts: dict[int, Draft] = {}
    items, asked = [], []
    for key, given in zip(keys, inputs, strict=True):
        if isinstance(key, Problem):
            items.append(Item(None, problems=[key]))
        elif key in fresh:
            items.append(Item(fresh[key]))
        elif matched[key].archived_at is not None:
            items.append(Item(None, problems=[told.archived(matched[key], "properties", prop.name)]))
        else:
            items.append(Item(_draft(drafts, form, matched[key])))
        asked.append({name: given[name] for name in given if name != prop.name} if key in aliases else given)
    _read(items, asked)
    return items


def _holds(prop: PropertyRow, row: RecordRow) -> str | None:
    value = row.properties.get(prop.name)
    return None if value is None else values.canonical(prop, value)


def _new_keys(items: Sequence[Item], keys: Sequence[str | Problem]) -> list[str]:
    return [
        key
        for item, key in zip(items, keys, strict=True)
        if isinstance(key, str) and item.draft is not None and item.draft.before is None
    ]


def _draft(drafts: dict[int, Draft], form: Form, row: RecordRow) -> Draft:
    """The one draft of an existing record."""
    if row.id not in drafts:
        drafts[row.id] = Draft(row.id, form, row, dict(row.properties), exists=True)
    return drafts[row.id]


def _read(items: Sequence[Item], inputs: Sequence[Mapping[str, Any]]) -> None:
    """Check what the inputs ask of their records."""
    once: set[int] = set()
    several: set[int] = set()
    for item in items:
        if item.draft is not None:
            (several if item.draft.record_id in once else once).add(item.draft.record_id)
    for item, given in zip(items, inputs, strict=True):
        if item.draft is not None:
            present = None if item.draft.record_id in several else item.draft.properties
            item.changes, item.problems = item.draft.form.read(given, present)


async def _carry_out(
    tx: Transaction, items: Sequence[Item], ledger: Ledger, mode: Mode
) -> dict[int, RecordRow]:
    """Apply the inputs one after the other, then write what came of it; the records by id."""
    drafts: dict[int, Draft] = {}
    for item in items:
        draft = item.draft
        if draft is None:
            continue
        if not draft.exists:
            item.problems += draft.form.lacking(item.changes, item.problems)
        item.problems = item.problems or ledger.take(item)
        if not item.problems:
            item.created = not draft.exists
            draft.apply(item.changes)
            drafts[draft.record_id] = draft
    settle([failed(item.problems) if item.problems else Outcome(None) for item in items], mode)
    await ledger.write(tx)
    return await keep(tx, list(drafts.values()))


def _outcome(item: Item, rows: Mapping[int, RecordRow], answer: Any = None) -> Outcome[Any]:
    if item.problems or item.draft is None:
        return failed(item.problems)
    row = rows[item.draft.record_id]
    return Outcome(row if answer is None else answer(row, item))
