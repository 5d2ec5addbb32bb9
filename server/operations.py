"""One GraphQL operation: its document known by text, its context of the moment, its answer as a dictionary."""

import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from datetime import datetime
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationType,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from graphql.execution import create_source_event_stream, execute

from engine.access import Principal
from engine.problems import Problem, Refused
from engine.signing import Signer
from engine.sync.connectors.protocol import Surroundings
from engine.sync.credentials import Vault
from resolvers.context import Context
from resolvers.streams import EventStream, StateStream
from schema import errors
from server.deadlines import Deadlines
from server.documents import DEEPEST, Known, Operation, endless, nested, too_deep, too_long, worded
from server.graphql.fast import FastPath
from server.graphql.repeating import RepeatingExecutor
from server.graphql.splicing import SplicingExecutor
from server.limits import CostLimitExceeded, Limits, Weigher, check, check_tokens
from server.live import Groups, Listening, Teller, cut
from server.persisted import Documents
from storage.database import Database

Answer = dict[str, Any]

# How long a mutation may take that keeps files which came with it.
FILES_SECONDS = 3_600.0


class Invalid(Exception):
    """A request that cannot be executed; `errors` are ready for the response."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self.errors = entries
        super().__init__(entries[0]["message"] if entries else "invalid")


class Operations:
    """Prepares operations and runs them, with everything that is the same for HTTP, events and WebSocket.

    `kept` and `kept_characters` bound the documents kept.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        db: Database,
        *,
        clock: Callable[[], datetime],
        forget_key: Callable[[int, int], None],
        limits: Limits | None = None,
        documents: Documents | None = None,
        public_url: str = "",
        vault: Vault | None = None,
        surroundings: Surroundings = Surroundings(),  # noqa: B008 - it never changes
        signer: Signer | None = None,
        kept: int = 1_000,
        kept_characters: int = 20_000,
    ) -> None:
        self.schema = schema
        self.db = db
        self.public_url = public_url
        self.vault = vault or Vault()
        self.surroundings = surroundings
        self.signer = signer or Signer()
        self.clock = clock
        self.forget_key = forget_key
        self.limits = limits or Limits()
        self.documents = documents or Documents()
        self.kept = kept
        self.kept_characters = kept_characters
        self._fast = FastPath(schema, db)
        self._deadlines = Deadlines(self.limits.seconds)
        self._patience = Deadlines(max(self.limits.seconds, FILES_SECONDS))
        self._rules = list(specified_rules)
        if not self.limits.introspection:
            self._rules.append(NoSchemaIntrospectionCustomRule)
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._groups = Groups()

    def prepare(
        self, text: str | None, name: str | None, digest: str | None = None, ident: str | None = None
    ) -> Operation:
        """The operation `name` of a document (None: its only one); raises `Invalid`.

        The document is its `text`, or one that is known by its SHA-256 (`digest`) or by its id in a list (`ident`).
        """
        try:
            found = self.documents.text(text, digest, ident)
            known = self._document(found)
        except Problem as problem:
            raise Invalid(errors.outside(problem)) from None
        if text is not None and digest is not None:
            self.documents.keep(found, digest)
        operation = known.operations.get(name)
        if operation is None:
            operation = known.operations[name] = self._operation(found, known.document, name)
        return operation

    def _operation(self, text: str, document: DocumentNode, name: str | None) -> Operation:
        node = get_operation_ast(document, name)
        if node is None:
            wanted = (
                f'There is no operation "{name}" in the document.'
                if name
                else ("The document holds several operations; say which with operationName.")
            )
            raise Invalid([{"message": wanted, "extensions": {"code": "OPERATION_NOT_FOUND"}}])
        return Operation(text, document, node, Weigher(self.schema, document, node, self.limits))

    def _document(self, text: str) -> Known:
        known = self._known.get(text)
        if known is not None:
            self._known.move_to_end(text)
            return known
        if nested(text) > DEEPEST:
            raise Invalid([too_deep()])
        if endless(text):
            raise Invalid([too_long()])
        try:
            document = parse(text, no_location=False, max_tokens=self.limits.tokens)
            check(document, self.limits)
            # No suggestions: what is there tells introspection, to those who may ask.
            found = validate(self.schema, document, self._rules, max_errors=20, hide_suggestions=True)
        except GraphQLSyntaxError as error:
            check_tokens(text, self.limits)
            raise Invalid(errors.formatted([error], valid=False)) from None
        except GraphQLError as error:
            raise Invalid(errors.formatted([error], valid=False)) from None
        except RecursionError:
            raise Invalid([too_deep()]) from None
        if found:
            raise Invalid([worded(entry) for entry in errors.formatted(found, valid=False)])
        known = Known(document)
        if len(text) <= self.kept_characters:
            self._known[text] = known
            while len(self._known) > self.kept:
                self._known.popitem(last=False)
        return known

    def _reported(self, operation: Operation, variables: dict[str, Any]) -> orjson.Fragment:
        """The `extensions` of an answer: what the operation may cost. Raises the problem of what is too much."""
        cost = operation.weigher.cost(variables)
        return orjson.Fragment(b'{"cost":{"requested":%d,"limit":%d}}' % (cost, self.limits.cost))

    async def context(self, principal: Principal, version: int | None = None) -> Context:
        """The context of an operation that begins now. `version`: of the definitions, where that has just been read."""
        return Context(
            self.db,
            principal,
            self.clock(),
            await self.db.catalogue(principal.account_id, version),
            forget_key=self.forget_key,
            clock=self.clock,
            batch_limit=self.limits.batch,
            import_bytes=self.limits.files,
            public_url=self.public_url,
            vault=self.vault,
            surroundings=self.surroundings,
            signer=self.signer,
        )

    async def run(
        self, operation: Operation, variables: dict[str, Any], principal: Principal, *, patient: bool = False
    ) -> Answer:
        """Execute a query or a mutation; whatever happens, an answer. What it may cost is known before.

        `patient`: files came with it, which are still to be kept.
        """
        try:
            extensions = self._reported(operation, variables)
        except Problem as problem:
            return self._too_much(problem)
        except RecursionError:
            return {"errors": [too_deep()]}
        answer = await self._run(
            operation, variables, principal, self._patience if patient else self._deadlines
        )
        answer["extensions"] = extensions
        return answer

    def _too_much(self, problem: Problem) -> Answer:
        answer: Answer = {"errors": errors.outside(problem)}
        if isinstance(problem, CostLimitExceeded):
            told = problem.details
            answer["extensions"] = {"cost": {"requested": told["cost"], "limit": told["limit"]}}
        return answer

    async def _run(
        self, operation: Operation, variables: dict[str, Any], principal: Principal, deadlines: Deadlines
    ) -> Answer:
        try:
            # Cancels what runs in the database, too: the driver asks the server to end it.
            async with deadlines.next():
                found = await self._fast.answer(
                    operation.text, operation.document, operation.node, variables, principal, self.clock()
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
                    hide_suggestions=True,
                )
                return _answer(result if isinstance(result, ExecutionResult) else await result)
        except RecursionError:
            return {"errors": [too_deep()]}
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
        listening = await self.listen(operation, variables, principal)
        try:
            async with contextlib.aclosing(listening.batches()) as batches:
                async for pieces in batches:
                    for piece in pieces:
                        yield orjson.loads(piece.body)
        except (Problem, Refused) as problem:
            raise Invalid(cut(problem, listening.cursor)) from None

    async def listen(
        self, operation: Operation, variables: dict[str, Any], principal: Principal
    ) -> Listening:
        """A subscription that is in order, with all that were asked for the same before. Raises `Invalid`."""
        try:
            extensions = self._reported(operation, variables)
            executor = RepeatingExecutor.build(
                self.schema,
                operation.document,
                context_value=await self.context(principal),
                raw_variable_values=variables,
                operation_name=operation.name,
                hide_suggestions=True,
            )
            if isinstance(executor, list):
                raise Invalid(errors.formatted(executor))
            assert isinstance(executor, RepeatingExecutor)  # what builds one makes its own kind
            source: Any = create_source_event_stream(executor)
            if not isinstance(source, EventStream | StateStream | ExecutionResult):
                source = await source
            if isinstance(source, ExecutionResult):
                raise Invalid(errors.formatted(source.errors or []))
        except Invalid:
            raise
        except GraphQLError as error:
            raise Invalid(errors.formatted([error])) from None
        except (Problem, Refused) as problem:
            raise Invalid(errors.outside(problem)) from None
        except Exception as error:
            raise Invalid([_entry_of(error)]) from error
        teller = Teller(
            executor, lambda version: self.context(principal, version), extensions, self._deadlines
        )
        return Listening(self._groups, _alike(operation, variables, principal), source, teller)


def _alike(operation: Operation, variables: dict[str, Any], principal: Principal) -> Hashable:
    """What subscriptions have in common that are told the same: all but the place from which they begin."""
    asked = {name: value for name, value in variables.items() if name != operation.resumed_by}
    values = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return principal.account_id, principal.role, principal.scopes, operation.text, operation.name, values


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
