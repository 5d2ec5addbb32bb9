"""Use cases of imports: made, sent a file, planned, checked, run, stopped, taken back; and what is read of them."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine import ids, tables
from engine.batches import once
from engine.imports import commands, proposals
from engine.imports.files import Reading
from engine.imports.problems import ImportNotReady
from engine.imports.proposals import Proposal
from engine.problems import InvalidInput, Problem, Refused, at
from engine.tables import Cell, Format
from resolvers import listings, loaders
from resolvers.context import Context
from resolvers.downloads import File
from resolvers.listings import MalformedCursor
from resolvers.writing import write
from storage import imports as stored
from storage.database import Queryable, Transaction
from storage.imports import ErrorGroupRow, ImportRow, RowErrorRow

# Where an import takes its file, and where all its errors are a file.
FILE_PATH, ERRORS_PATH = "/imports/{id}/file", "/imports/{id}/errors"
# Errors that are read at a time for a file of them.
PIECE = 1_000
# Groups of errors that are told.
GROUPS = 100
CURSOR = re.compile(r"error_([1-9]\d{0,17})_([1-9]\d{0,8})", re.ASCII)
LARGEST = 2**63 - 1
# What has its file, and has not begun.
READABLE = ("UPLOADED", "CHECKED")


class Sent(Protocol):
    """A file that came with a request."""

    name: str

    def pieces(self) -> AsyncIterator[bytes]:
        """What is in it."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a list, and whether there is more of it."""

    rows: Sequence[Any]
    has_next: bool
    has_previous: bool


Step = Callable[[Transaction, int], Awaitable[ImportRow]]
STEPS: Mapping[str, Step] = {
    "checkImport": commands.check,
    "startImport": commands.start,
    "pauseImport": commands.pause,
    "resumeImport": commands.resume,
    "cancelImport": commands.cancel,
    "undoImport": commands.undo,
}


# --- reading --------------------------------------------------------------------------------------------------


async def by_id(context: Context, number: int) -> ImportRow | None:
    """One import."""
    return await loaders.loader(context, "import", stored.rows).load(number)


async def listing(
    context: Context, statuses: Sequence[str] | None, first: int | None, after: str | None
) -> Page:
    """Imports, the newest first; only in these states."""
    size = listings.page_size(first)
    before = None if after is None else _number(after)
    async with context.db.read(context.account_id) as reader:
        rows = await commands.page(reader, before=before, first=size + 1, statuses=statuses)
    return Page(rows[:size], len(rows) > size, after is not None)


async def errors(
    context: Context, number: int, codes: Sequence[str] | None, first: int | None, after: str | None
) -> Page:
    """What was wrong with rows, in the order of the file; only of these codes."""
    size = listings.page_size(first)
    behind = (0, 0) if after is None else _place(after)
    async with context.db.read(context.account_id) as reader:
        rows = await commands.errors(reader, number, after=behind, first=size + 1, codes=codes)
    return Page(rows[:size], len(rows) > size, after is not None)


async def error_groups(context: Context, number: int) -> list[ErrorGroupRow]:
    """What is kept of errors, by code and column, the most frequent first."""
    found = await loaders.loader(context, "import_error_groups", stored.error_groups).load(number)
    return found[:GROUPS]


def error_cursor(error: RowErrorRow) -> str:
    """The cursor of an error."""
    return f"error_{error.row}_{error.n}"


def errors_name(number: int) -> str:
    """How a file of an import's errors is called."""
    return f"{ids.encode('import', number)}-errors.csv"


async def errors_file(context: Context, number: int) -> File:
    """All errors of an import that are kept, as CSV. Raises `NotFound`."""
    async with context.db.read(context.account_id) as reader:
        await commands.get(reader, number)
    header = ("row", "column", "value", "code", "message")
    content = tables.written(Format.CSV, header, _error_rows(context, number))
    return File(errors_name(number), tables.MEDIA[Format.CSV], content)


async def _error_rows(context: Context, number: int) -> AsyncGenerator[list[list[Cell]], None]:
    after = (0, 0)
    while True:
        async with context.db.read(context.account_id) as reader:
            rows = await commands.errors(reader, number, after=after, first=PIECE)
        yield [[row.row, row.column_name, row.value, row.code, row.message] for row in rows]
        if len(rows) < PIECE:
            return
        after = rows[-1].row, rows[-1].n


# --- writing --------------------------------------------------------------------------------------------------


async def create(
    context: Context, name: str | None, plan: Mapping[str, Any] | None, sent: Sent | None, key: str | None
) -> ImportRow:
    """A new import; with a file that was sent along it is UPLOADED. What is wrong with that is told at "file"."""
    called = name or (sent.name if sent is not None else None)
    if not called or not called.strip():
        raise InvalidInput(path=("name",), reason="Name the file, or send it along.")
    document = dict(plan or {})

    async def work(tx: Transaction) -> int:
        async def make() -> int:
            row = await commands.create(tx, name=tables.unguarded(called).strip(), plan=document)
            return row.id

        number: int = await once(tx, key, "createImport", [called, document, sent is not None], make)
        return number

    number = await write(context, work)
    row = await _found(context, number)
    # Under a key that has done its work, the file is there.
    if sent is not None and row.status == "CREATED":
        with at("file"):
            row = await upload(context, number, sent.pieces())
    return row


async def upload(context: Context, number: int, pieces: AsyncIterator[bytes]) -> ImportRow:
    """Keep the file of an import, however large it is; see `engine.imports.commands.upload`."""
    row = await commands.upload(
        context.db,
        context.account_id,
        number,
        pieces,
        now=context.now,
        user_id=context.principal.actor.user_id,
        largest=context.import_bytes,
    )
    context.loaders.clear()
    return row


async def propose(
    context: Context, ident: str, object_types: Sequence[str] | None, reading: Mapping[str, Any] | None
) -> tuple[ImportRow, Proposal]:
    """What columns of an uploaded file seem to hold; its header is noted with it."""
    number = ids.decode_at("import", ident, "id")
    for n, name in enumerate(object_types or ()):
        with at("objectTypes", n):
            listings.object_type(context.catalogue, name)
    row = await _found(context, number)
    if row.status not in READABLE:
        raise ImportNotReady(
            status=row.status, verb="propose a plan for", wanted=list(READABLE), path=("id",)
        )
    proposal = await proposals.propose_for(
        context.db,
        context.account_id,
        number,
        now=context.now,
        reading=Reading.of({"file": dict(reading)}) if reading else None,
        object_types=list(object_types) if object_types else None,
        user_id=context.principal.actor.user_id,
    )
    context.loaders.clear()
    return await _found(context, number), proposal


async def step(
    context: Context, name: str, ident: str, plan: Mapping[str, Any] | None, key: str | None
) -> ImportRow:
    """Take a step of an import's life; with a plan, that is set first (see `STEPS`)."""
    number = ids.decode_at("import", ident, "id")
    if plan is not None:
        await _known_header(context, number, plan)

    async def work(tx: Transaction) -> int:
        async def do() -> int:
            if plan is not None:
                await _set(tx, number, plan)
            if name in STEPS:
                await STEPS[name](tx, number)
            return number

        done: int = await once(tx, key, name, [ident, plan], do)
        return done

    await write(context, work)
    return await _found(context, number)


async def _set(tx: Transaction, number: int, plan: Mapping[str, Any]) -> None:
    try:
        await commands.set_plan(tx, number, dict(plan))
    except Refused as refused:
        raise Refused([problem.at("plan") for problem in refused.problems]) from None


async def _known_header(context: Context, number: int, plan: Mapping[str, Any]) -> None:
    """Let the header be known, as the plan says that the file is to be read."""
    row = await _found(context, number)
    if row.status in READABLE and ("header" not in row.file or plan.get("file")):
        await proposals.propose_for(
            context.db,
            context.account_id,
            number,
            now=context.now,
            reading=Reading.of(plan),
            user_id=context.principal.actor.user_id,
        )


async def _found(context: Context, number: int) -> ImportRow:
    reader: Queryable
    async with context.db.read(context.account_id) as reader:
        return await commands.get(reader, number)


def _number(cursor: str) -> int:
    try:
        number = ids.decode("import", cursor)
    except Problem:
        raise MalformedCursor(path=("after",), argument="after") from None
    return number


def _place(cursor: str) -> tuple[int, int]:
    match = CURSOR.fullmatch(cursor)
    if match is None:
        raise MalformedCursor(path=("after",), argument="after")
    return int(match[1]), int(match[2])
