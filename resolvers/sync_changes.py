"""Use cases of syncs: made, changed or reviewed, started, switched, deleted."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine import ids
from engine.problems import NotFound, PathPart, Refused
from engine.sync import commands, definition
from engine.sync.definition import Definition, MappingPart
from engine.sync.review import Difference
from resolvers import connections as connected
from resolvers import listings, syncs
from resolvers.context import Context
from resolvers.syncs import Seen
from resolvers.writing import write
from storage.catalogue import Catalogue
from storage.database import Queryable, Transaction
from storage.sync import connections, mappings
from storage.sync.syncs import SyncRow

# A document of `engine.sync.definition`, and mappings beside those that it has.
Document = dict[str, Any]
Added = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Changed:
    """A sync as it is, its rules as they are or would be, and what that changes."""

    sync: Seen
    rules: Seen
    changes: Sequence[Difference]


async def create(
    context: Context,
    connection: str,
    object_type: str,
    remote_object: str | None,
    document: Document,
    added: Added,
) -> Seen:
    """A new sync; see `engine.sync.commands.create`."""
    number = ids.decode_at("connection", connection, "connectionId")

    async def work(tx: Transaction) -> SyncRow:
        (row,) = await connections.by_ids(tx, [number])
        if row is None:
            raise NotFound(kind="connection", name=connection, path=("connectionId",))
        of = listings.object_type(tx.catalogue, object_type)
        found = syncs.remote_of(tx.catalogue, row, connected.objects(row), of, remote_object)

        def base() -> Definition:
            return commands.proposed(tx.catalogue, row, of.name, found.name)

        with _placed(_beside(document, added, base)) as whole:
            return await commands.create(tx, number, of.name, found.name, whole)

    return await _seen(context, (await write(context, work, defining=True)).id)


async def update(
    context: Context, ident: str, revision: int, document: Document, added: Added, *, dry_run: bool
) -> Changed:
    """Change a sync's rules, or see what that would change; see `engine.sync.commands`."""
    number = ids.decode_at("sync", ident, "id")
    if dry_run:
        async with context.db.snapshot(context.account_id) as reader:
            return await _reviewed(context, reader, number, document, added)

    async def work(tx: Transaction) -> Sequence[Difference]:
        row, base = await _as_it_is(tx, tx.catalogue, number)
        with _placed(_beside(document, added, lambda: base)) as whole:
            found = await commands.reviewed(tx, tx.catalogue, row.id, whole)
            await commands.update(tx, number, revision, whole)
        return found.changes

    changes = await write(context, work, defining=True)
    seen = await _seen(context, number)
    return Changed(seen, seen, changes)


async def _reviewed(
    context: Context, reader: Queryable, number: int, document: Document, added: Added
) -> Changed:
    row, base = await _as_it_is(reader, context.catalogue, number)
    with _placed(_beside(document, added, lambda: base)) as whole:
        found = await commands.reviewed(reader, context.catalogue, number, whole)
    (around,) = await syncs.surrounded(reader, [row])
    of = context.catalogue.object_types[row.object_type_id]
    sides = commands.sides(context.catalogue, around.connection, of.name, row.remote_object)
    drafted = syncs.drafted(around.connection, sides, found.after, around.others)
    return Changed(syncs.look(context.catalogue, around), drafted, found.changes)


async def _as_it_is(reader: Queryable, catalogue: Catalogue, number: int) -> tuple[SyncRow, Definition]:
    row = await commands.get(reader, number)
    rows = await mappings.of_syncs(reader, [number])
    return row, definition.of(row, rows[number], catalogue.object_types[row.object_type_id])


@dataclass(frozen=True, slots=True)
class _Whole:
    """A document with all mappings, and where each one stands in the input."""

    document: Document
    places: Sequence[tuple[PathPart, ...]]


def _beside(document: Document, added: Added, base: Callable[[], Definition]) -> _Whole:
    """The document with `added` beside its mappings, or beside those of `base`; the same pair is replaced."""
    if not added:
        return _Whole(document, ())
    given = document.get("mappings")
    parts = [_part(one) for one in base().mappings] if given is None else given
    places: list[tuple[PathPart, ...]] = [("mappings", n) for n in range(len(parts))]
    pairs = {(one["property"], one["field"]) for one in added}
    kept = [
        (part, place)
        for part, place in zip(parts, places, strict=True)
        if (part["property"], part["field"]) not in pairs
    ]
    whole = [*kept, *((one, ("addMappings", n)) for n, one in enumerate(added))]
    return _Whole({**document, "mappings": [part for part, _ in whole]}, [place for _, place in whole])


@contextlib.contextmanager
def _placed(whole: _Whole) -> Iterator[Document]:
    """The document; problems with its mappings are told where those stand in the input."""
    try:
        yield whole.document
    except Refused as refused:
        for problem in refused.problems:
            match problem.path:
                case ("mappings", int(n), *rest) if n < len(whole.places):
                    problem.path = (*whole.places[n], *rest)
        raise


def _part(one: MappingPart) -> dict[str, Any]:
    return {
        "property": one.property,
        "field": one.field,
        "direction": one.direction,
        "policy": one.policy,
        "options": [{"ours": ours, "theirs": theirs} for ours, theirs in one.options.items()],
        "enabled": one.enabled,
    }


async def start(context: Context, ident: str) -> Seen:
    """Begin the initial sync; see `engine.sync.commands.start`."""
    number = ids.decode_at("sync", ident, "id")
    return await _seen(context, (await write(context, lambda tx: commands.start(tx, number))).id)


async def set_enabled(context: Context, ident: str, enabled: bool) -> Seen:
    """Turn a sync on or off; see `engine.sync.commands.set_enabled`."""
    number = ids.decode_at("sync", ident, "id")
    return await _seen(
        context, (await write(context, lambda tx: commands.set_enabled(tx, number, enabled))).id
    )


async def delete(context: Context, ident: str) -> int:
    """Forget a sync and its links; see `engine.sync.commands.delete`."""
    number = ids.decode_at("sync", ident, "id")
    return (await write(context, lambda tx: commands.delete(tx, number), defining=True)).id


async def _seen(context: Context, number: int) -> Seen:
    found = await syncs.by_id(context, number)
    assert found is not None  # it was written just now
    return found
