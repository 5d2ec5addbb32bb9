"""One GraphQL operation: its document known by text, its context of the moment, its answer as a dictionary."""

import asyncio
import contextlib
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_operation_ast,
    parse,
    validate,
)
from graphql.execution import create_source_event_stream, execute

from engine.access import Principal
from resolvers.context import Context
from schema import errors
from server.graphql.fast import FastPath
from server.graphql.splicing import SplicingExecutor
from storage.database import Database

Answer = dict[str, Any]

# Levels of brackets in a document: two for each level of a connection, and what values have.
DEEPEST = 200


class Invalid(Exception):
    """A request that cannot be executed; `errors` are ready for the response."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self.errors = entries
        super().__init__(entries[0]["message"] if entries else "invalid")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a parsed and validated document."""

    text: str
    document: DocumentNode
    node: OperationDefinitionNode

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.node.operation

    @property
    def name(self) -> str | None:
        """The operation's name in the document."""
        return self.node.name.value if self.node.name else None


class Operations:
    """Prepares operations and runs them, with everything that is the same for HTTP, events and WebSocket.

    `seconds` bounds a query's or a mutation's time; `kept` and `kept_characters` bound the documents kept.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        db: Database,
        *,
        clock: Callable[[], datetime],
        forget_key: Callable[[int, int], None],
        seconds: float = 30.0,
        max_tokens: int = 10_000,
        kept: int = 1_000,
        kept_characters: int = 20_000,
    ) -> None:
        self.schema = schema
        self.db = db
        self.clock = clock
        self.forget_key = forget_key
        self.seconds = seconds
        self.max_tokens = max_tokens
        self.kept = kept
        self.kept_characters = kept_characters
        self._fast = FastPath(schema, db)
        self._documents: OrderedDict[str, DocumentNode] = OrderedDict()

    def prepare(self, text: str, name: str | None) -> Operation:
        """The operation `name` of a document (None: its only one); raises `Invalid`."""
        document = self._document(text)
        node = get_operation_ast(document, name)
        if node is None:
            wanted = (
                f'There is no operation "{name}" in the document.'
                if name
                else ("The document holds several operations; say which with operationName.")
            )
            raise Invalid([{"message": wanted, "extensions": {"code": "OPERATION_NOT_FOUND"}}])
        return Operation(text, document, node)

    def _document(self, text: str) -> DocumentNode:
        known = self._documents.get(text)
        if known is not None:
            self._documents.move_to_end(text)
            return known
        if _nested(text) > DEEPEST:
            raise Invalid([_too_deep()])
        try:
            document = parse(text, no_location=False, max_tokens=self.max_tokens)
            found = validate(self.schema, document, max_errors=20)
        except GraphQLError as error:
            raise Invalid(errors.formatted([error], valid=False)) from None
        except RecursionError:
            raise Invalid([_too_deep()]) from None
        if found:
            raise Invalid(errors.formatted(found, valid=False))
        if len(text) <= self.kept_characters:
            self._documents[text] = document
            while len(self._documents) > self.kept:
                self._documents.popitem(last=False)
        return document

    async def context(self, principal: Principal) -> Context:
        """The context of an operation that begins now."""
        return Context(
            self.db,
            principal,
            self.clock(),
            await self.db.catalogue(principal.account_id),
            forget_key=self.forget_key,
        )

    async def run(self, operation: Operation, variables: dict[str, Any], principal: Principal) -> Answer:
        """Execute a query or a mutation; whatever happens, an answer."""
        try:
            async with asyncio.timeout(self.seconds):
                found = await self._fast.answer(
                    operation.text, operation.document, operation.node, variables, principal
                )
                if found is not None:
                    return {"data": found}
                context = await self.context(principal)
                result = execute(
                    self.schema,
                    operation.document,
                    context_value=context,
                    variable_values=variables,
                    operation_name=operation.name,
                    executor_class=SplicingExecutor,
                )
                return _answer(result if isinstance(result, ExecutionResult) else await result)
        except RecursionError:
            return {"errors": [_too_deep()]}
        except Exception as error:
            # What the executor does not turn into an error of a field: time is up, the database is gone.
            return {"errors": [errors.masked(error)]}

    async def stream(
        self, operation: Operation, variables: dict[str, Any], principal: Principal
    ) -> AsyncIterator[Answer]:
        """The answers of an operation of any kind; a subscription's until it ends. Raises `Invalid`."""
        if operation.kind is not OperationType.SUBSCRIPTION:
            yield await self.run(operation, variables, principal)
            return
        try:
            executor = SplicingExecutor.build(
                self.schema,
                operation.document,
                context_value=await self.context(principal),
                raw_variable_values=variables,
                operation_name=operation.name,
            )
            if isinstance(executor, list):
                raise Invalid(errors.formatted(executor))
            source: Any = create_source_event_stream(executor)
            if not isinstance(source, ExecutionResult) and not hasattr(source, "__aiter__"):
                source = await source
            if isinstance(source, ExecutionResult):
                raise Invalid(errors.formatted(source.errors or []))
            async with contextlib.aclosing(source):
                async for event in source:
                    # Every event is told as of its own moment: fresh definitions, nothing cached from the last.
                    executor.context_value = await self.context(principal)
                    told: Any = executor.build_per_event_executor(event).execute_operation(False)
                    yield _answer(told if isinstance(told, ExecutionResult) else await told)
        except (Invalid, GeneratorExit, asyncio.CancelledError):
            raise
        except GraphQLError as error:
            raise Invalid(errors.formatted([error])) from None
        except Exception as error:
            raise Invalid([_entry_of(error)]) from error


def _entry_of(error: Exception) -> dict[str, Any]:
    located = GraphQLError(str(error), original_error=error, path=[])
    entry = errors.formatted([located])[0]
    entry.pop("path", None)
    return entry


def _answer(result: ExecutionResult) -> Answer:
    if not result.errors:
        return {"data": result.data}
    entries = errors.formatted(result.errors)
    # Variables that do not fit: the operation was not executed, so there is no data, not even null.
    if result.data is None and all(error.path is None for error in result.errors):
        return {"errors": entries}
    return {"errors": entries, "data": result.data}


# Strings and comments are passed over, brackets counted.
_MARKS = re.compile(r'"""(?:\\"""|[^"]|"(?!""))*"""|"(?:\\.|[^"\\\n])*"|#[^\n]*|[\[{(]|[\])}]')


def _nested(text: str) -> int:
    """How deeply a document's brackets are nested, selections and values together."""
    level = deepest = 0
    for mark in _MARKS.findall(text):
        if mark in "[{(":
            level += 1
            deepest = max(deepest, level)
        elif mark in ")]}":
            level -= 1
    return deepest


def _too_deep() -> dict[str, Any]:
    return {
        "message": f"The document is nested deeper than {DEEPEST} levels.",
        "extensions": {"code": errors.VALIDATION_FAILED},
    }
