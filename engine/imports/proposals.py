"""A plan proposed from what a file shows: the names of its columns, and what stands in them. People correct it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.exports import columns
from engine.imports import files
from engine.imports.commands import get
from engine.imports.files import Reading, Row
from engine.imports.formats import Typed
from engine.imports.likeness import are_ids, are_labels, property_of, readable, words
from engine.imports.plan import RECORD_ID, Doing
from engine.imports.proposed_links import between_parts
from engine.imports.spooling import spooled
from engine.naming import counted
from engine.problems import Problem
from storage import imports
from storage.catalogue import Catalogue, ObjectTypeRow, PropertyRow
from storage.database import Actor, Database

# How many rows are looked at.
SAMPLE = 500


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan's document, and what is left to people: columns that nothing was found for, and what is unclear."""

    plan: dict[str, Any]
    unmapped: tuple[str, ...]
    notes: tuple[str, ...]
    header: tuple[str, ...]
    # The first rows, as texts.
    sample: tuple[tuple[str, ...], ...]


@dataclass(slots=True)
class _Found:
    """What was found of one object type: columns with the properties (None: the id) that they seem to fill."""

    object_type: ObjectTypeRow
    columns: dict[str, PropertyRow | None] = field(default_factory=dict)


def propose(
    header: Sequence[str],
    sample: Sequence[Sequence[str]],
    catalogue: Catalogue,
    object_types: Sequence[str] | None = None,
) -> Proposal:
    """A plan for a file with this header, of which `sample` are some rows.

    `object_types` are the ones to look among, the most important first; without them, all that are active.
    """
    cells = {name: _column(n, sample) for n, name in enumerate(header)}
    beside = [name for name in header if _associated(name, catalogue)]
    own = [name for name in header if name not in beside]
    labels = next((name for name in own if are_labels(words(name))), None)
    order, unmapped = _owned([name for name in own if name != labels], cells, catalogue, object_types)
    notes: list[str] = []
    parts = [_part(one, cells, notes) for one in order]
    plan: dict[str, Any] = {"parts": parts}
    if len(parts) > 1:
        types = [part["objectType"] for part in parts]
        plan["associations"] = between_parts(catalogue, types, cells, labels, unmapped)
        labels = None
    if labels is not None:
        unmapped.append(labels)
    for name in beside:
        link = _link(name, order[0].object_type, parts[0], catalogue) if order else None
        if link is None:
            unmapped.append(name)
        else:
            plan.setdefault("associations", []).append(link)
    shown = tuple(tuple(row) for row in sample[:10])
    return Proposal(plan, tuple(unmapped), tuple(notes), tuple(header), shown)


def _owned(
    names: Sequence[str],
    cells: Mapping[str, list[str]],
    catalogue: Catalogue,
    object_types: Sequence[str] | None,
) -> tuple[list[_Found], list[str]]:
    """Whose the columns are, the main object type first, and the columns that are nobody's."""
    among = [
        row
        for row in catalogue.object_types.values()
        if row.active and (object_types is None or row.name in object_types)
    ]
    if object_types is not None:
        among.sort(key=lambda row: object_types.index(row.name))
    found: dict[int, _Found] = {}
    rest = [name for name in names if not _named(name, among, cells, found)]
    main = _main(rest, among, cells, found, given=object_types is not None)
    unmapped = []
    for name in rest:
        # What the main records do not have may be told of those beside them.
        beside_main = [one.object_type for one in found.values() if one.object_type is not main]
        owners = [] if main is None else [main, *beside_main]
        if not any(_take(row, name, words(name), cells[name], found) for row in owners):
            unmapped.append(name)
    order = sorted(
        found.values(), key=lambda one: (one.object_type is not main, names.index(next(iter(one.columns))))
    )
    return order, unmapped


def _associated(name: str, catalogue: Catalogue) -> bool:
    """Whether a column is called as exports call those of associated records: `companies.id (Billing)`."""
    match = columns.ASSOCIATED.fullmatch(name)
    return match is not None and match[1] in catalogue.by_name and bool(match[2] or match[3])


def _link(
    name: str, near: ObjectTypeRow, part: Mapping[str, Any], catalogue: Catalogue
) -> dict[str, Any] | None:
    """Associations of the main records with those that such a column names; None where it holds no keys."""
    try:
        column = columns.one(catalogue, near, name)
    except Problem:
        return None
    if not isinstance(column, columns.OfAssociated) or column.by is None:
        return None
    key = RECORD_ID if isinstance(column.by, columns.Fact) else column.by.name
    return {
        "from": {"part": part["objectType"]},
        "to": {"objectType": column.to.name, "property": key, "column": name},
        **({"labels": [column.type.name]} if column.type.name is not None else {}),
    }


async def propose_for(
    db: Database,
    account_id: int,
    number: int,
    *,
    now: datetime,
    reading: Reading | None = None,
    object_types: Sequence[str] | None = None,
    user_id: int | None = None,
) -> Proposal:
    """The proposal for an uploaded file, whose header is noted with the import. Raises what opening a file raises."""
    async with db.read(account_id) as reader:
        row = await get(reader, number)
    reading = reading or Reading.of(row.mapping)
    async with spooled(db, account_id, row, whole=False) as path:
        # Beside the event loop: a workbook's texts are all read first.
        described, sample = await asyncio.to_thread(_looked, path, reading)
    async with db.transaction(account_id, now=now, actor=Actor("API", None, user_id)) as tx:
        held = await imports.hold(tx, number)
        if held is not None and held.status in ("UPLOADED", "CHECKED"):
            held.file = {**held.file, **described}
            await imports.write(tx, held)
    proposal = propose(described["header"], sample, await db.catalogue(account_id), object_types)
    if stated := reading.document():
        proposal.plan["file"] = stated
    return proposal


async def propose_of(db: Database, account_id: int, path: Path, reading: Reading | None = None) -> Proposal:
    """The proposal for a file on this machine's disk. Raises what opening a file raises."""
    with files.opened(path, reading or Reading()) as table:
        return propose(table.header, _sample(table.batches(SAMPLE)), await db.catalogue(account_id))


def _looked(path: Path, reading: Reading) -> tuple[dict[str, Any], list[list[str]]]:
    with files.opened(path, reading) as table:
        return table.described(), _sample(table.batches(SAMPLE))


def _sample(batches: Any) -> list[list[str]]:
    """The cells of the first sound rows; a beginning may end in the middle of a row."""
    try:
        rows: list[Row] = next(batches, [])
    except Problem:
        return []
    return [row.cells for row in rows if row.problem is None]


def _column(n: int, sample: Sequence[Sequence[str]]) -> list[str]:
    cells = [row[n] for row in sample if n < len(row) and row[n].strip()]
    return [cell if isinstance(cell, Typed) else cell.strip() for cell in cells]


def _named(
    name: str,
    among: Sequence[ObjectTypeRow],
    cells: Mapping[str, list[str]],
    found: dict[int, _Found],
) -> bool:
    """Whether a column says itself whose it is, such as "Company name" or "Contact: E-mail"."""
    called = words(name)
    for row in among:
        owners = {words(row.singular), words(row.plural), words(row.name)}
        for owner in sorted(owners, key=len, reverse=True):
            rest = called.removeprefix(owner + " ")
            if rest != called and _take(row, name, rest, cells[name], found):
                return True
    return False


def _main(
    names: Sequence[str],
    among: Sequence[ObjectTypeRow],
    cells: Mapping[str, list[str]],
    found: Mapping[int, _Found],
    *,
    given: bool,
) -> ObjectTypeRow | None:
    """The object type that explains most of the columns which do not say whose they are, with those found already."""
    matched = {
        row.id: {name for name in names if property_of(row, words(name), cells[name]) is not None}
        for row in among
    }
    beside = set[str]().union(*(matched[one] for one in found if one in matched))
    best: tuple[int, int, int, ObjectTypeRow] | None = None
    for n, row in enumerate(among):
        mine = matched[row.id]
        # What is found already, or asked for first, decides between equals.
        rank = (len(mine | beside), len(mine), (row.id in found) * 2 + (given and n == 0))
        if mine and (best is None or rank > best[:3]):
            best = (*rank, row)
    return None if best is None else best[3]


def _take(row: ObjectTypeRow, name: str, called: str, cells: Sequence[str], found: dict[int, _Found]) -> bool:
    """Let a column fill a property of an object type, if it is called so and its cells fit."""
    held = found.get(row.id)
    taken = {None if prop is None else prop.id for prop in held.columns.values()} if held else set()
    if None not in taken and are_ids(called, cells):
        prop = None
    else:
        prop = property_of(row, called, cells)
        if prop is None or prop.id in taken:
            return False
    found.setdefault(row.id, _Found(row)).columns[name] = prop
    return True


def _part(found: _Found, cells: Mapping[str, list[str]], notes: list[str]) -> dict[str, Any]:
    filled = []
    for name, prop in found.columns.items():
        column = {"column": name, "property": RECORD_ID if prop is None else prop.name}
        if prop is not None and cells[name]:
            fitting, unfit = readable(prop, cells[name])
            if unfit:
                do = "does" if unfit == 1 else "do"
                first = counted(len(cells[name]), "cell", "cells")
                notes.append(f'"{name}": {unfit} of the first {first} {do} not fit "{prop.name}".')
            if fitting and fitting[0] is not None:
                column["format"] = fitting[0]
                if prop.type == "DATE" and {"DD/MM/YYYY", "MM/DD/YYYY"} <= set(fitting):
                    notes.append(f'"{name}" may be day first or month first; {fitting[0]} was taken.')
        filled.append(column)
    key = _key(found, cells)
    doing = Doing.CREATE if key is None else Doing.UPSERT
    part: dict[str, Any] = {"objectType": found.object_type.name, "mode": doing.value, "columns": filled}
    if key is None:
        notes.append(
            f"No column tells {found.object_type.plural} apart: each row makes a new one, "
            "and so it does when the file is imported again."
        )
    else:
        part["key"] = key
    return part


def _key(found: _Found, cells: Mapping[str, list[str]]) -> str | None:
    """The column that tells records apart: the ids, else the unique property that most rows have."""
    for name, prop in found.columns.items():
        if prop is None:
            return name
    unique = [name for name, prop in found.columns.items() if prop is not None and prop.is_unique]
    return max(unique, key=lambda name: len(cells[name]), default=None)
