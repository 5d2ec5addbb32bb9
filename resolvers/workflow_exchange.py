"""Use cases of workflows as wholes: revisions, what differs between them, copies, files."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine import ids
from engine.problems import NotFound, Problem, Refused, at
from engine.workflows import commands, exchange
from engine.workflows.exchange import Difference
from resolvers import workflows as reads
from resolvers.context import Context
from resolvers.writing import write
from storage import workflows as stored
from storage.catalogue import Catalogue
from storage.database import Queryable, Transaction
from storage.workflows import RevisionRow, WorkflowRow


async def workflow(context: Context, ident: str) -> WorkflowRow:
    """The workflow; raises `NotFound`."""
    row = await reads.by_id(context, ids.decode_at("workflow", ident, "id"))
    if row is None:
        raise NotFound(kind="workflow", name=ident, path=("id",))
    return row


async def revisions(
    context: Context, row: WorkflowRow, first: int | None, after: int | None
) -> tuple[list[RevisionRow], bool]:
    """A page of what was published, newest first, and whether more follow."""
    size = reads.size(first)
    newest = min((row.published_revision or 0) + 1, after or 2**31)
    wanted = [(row.id, number) for number in range(newest - 1, max(newest - 2 - size, 0), -1)]
    async with context.db.read(context.account_id) as reader:
        found = [one for one in await stored.revisions(reader, wanted) if one is not None]
    return found[:size], len(found) > size


async def differences(
    context: Context, ident: str, before: int | None, after: int | None
) -> list[Difference]:
    """What differs between two revisions; None is the draft. Raises `NotFound`."""
    row = await workflow(context, ident)
    one, other = await _definition(context, row, before), await _definition(context, row, after)
    return exchange.differences(one, other)


async def file(context: Context, ident: str, revision: int | None, *, as_yaml: bool) -> str:
    """A workflow's file; `revision` None: the draft. Raises `NotFound`."""
    row = await workflow(context, ident)
    definition = await _definition(context, row, revision)
    async with context.db.read(context.account_id) as reader:
        numbers = [
            ids.decode(kind, text)
            for kind, text in exchange.names_in(definition, named=False)
            if kind == "workflow"
        ]
        named = {one.id: one.name for one in await stored.by_ids(reader, numbers) if one is not None}
    told = exchange.exported(
        row.name, reads.of(context, row).name, definition, _name_of(context.catalogue, named)
    )
    return exchange.as_yaml(told) if as_yaml else exchange.as_json(told)


async def take_in(context: Context, file: Mapping[str, Any], name: str | None) -> WorkflowRow:
    """A new workflow from a file that fits the input's form; `name` in place of the one in the file.

    Raises `UnknownName` and what `engine.workflows.commands.create` raises.
    """

    async def work(tx: Transaction) -> WorkflowRow:
        with at("content"):
            given = exchange.imported(file, await _number_of(tx, tx.catalogue, file))
        definition = {key: part for key, part in given.items() if key not in ("name", "objectType")}
        with _within("content", named=bool(name)):
            return await commands.create(tx, name or given["name"], given["objectType"], definition)

    return await write(context, work, defining=True)


async def clone(context: Context, ident: str, name: str) -> WorkflowRow:
    """A new workflow with the draft of another; off. Secrets go with it. Raises `NotFound`."""
    row = await workflow(context, ident)
    object_type = reads.of(context, row).name

    async def work(tx: Transaction) -> WorkflowRow:
        with _within("id", named=True):
            return await commands.create(tx, name, object_type, row.draft)

    return await write(context, work, defining=True)


@contextlib.contextmanager
def _within(field: str, *, named: bool) -> Iterator[None]:
    """What is wrong with a definition is told at the field that it came by; `named`: its name came by its own."""
    try:
        yield
    except (Problem, Refused) as error:
        for problem in error.problems if isinstance(error, Refused) else [error]:
            if not named or problem.path != ("name",):
                problem.at(field)
        raise


async def _definition(context: Context, row: WorkflowRow, revision: int | None) -> dict[str, Any]:
    if revision is None:
        return row.draft
    async with context.db.read(context.account_id) as reader:
        (found,) = await stored.revisions(reader, [(row.id, revision)])
    if found is None:
        raise NotFound(kind="revision", name=str(revision), path=("revision",))
    return found.definition


def _name_of(catalogue: Catalogue, workflows: Mapping[int, str]) -> Callable[[str, int], str | None]:
    def name(kind: str, number: int) -> str | None:
        match kind:
            case "segment":
                segment = catalogue.segments.get(number)
                return None if segment is None else segment.name
            case "workflow":
                return workflows.get(number)
            case _:
                return next(
                    (one.name for one in catalogue.event_types.values() if one.webhook_id == number), None
                )

    return name


async def _number_of(
    reader: Queryable, catalogue: Catalogue, file: Mapping[str, Any]
) -> Callable[[str, str], int | None]:
    found: dict[tuple[str, str], int | None] = {}
    for kind, name in exchange.names_in(file, named=True):
        match kind:
            case "segment":
                numbers = [one.id for one in catalogue.segments.values() if one.name == name]
                found[kind, name] = numbers[0] if numbers else None
            case "workflow":
                found[kind, name] = await stored.named(reader, name)
            case _:
                event_type = catalogue.event_type(name)
                found[kind, name] = None if event_type is None else event_type.webhook_id
    return lambda kind, name: found.get((kind, name))
