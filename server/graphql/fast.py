"""The fast path: a query whose root fields all compile is one statement, and its text the answer.

It only ever tells of success. Whatever it cannot answer (other fields, mutations, wrong arguments, missing
scopes) takes the ordinary way, which words the error; failures of the database pass through.
"""

from collections import OrderedDict
from datetime import datetime
from typing import Any

import orjson
from graphql import DocumentNode, GraphQLSchema, OperationDefinitionNode, OperationType

from engine.access import Principal
from resolvers.selection.answering import Plans, Prepared, prepare
from resolvers.selection.reading import COMPILED
from schema.access import required
from storage.database import Database

PREPARED_KEPT = 1_000
# Documents longer than this are prepared each time: keeping them would cost more than it saves.
LONGEST_TEXT = 20_000


class FastPath:
    """Answers what compiles; one for the process."""

    def __init__(self, schema: GraphQLSchema, db: Database) -> None:
        self._db = db
        self._plans = Plans(schema)
        # Nothing else compiles, so whatever is answered here needs these scopes and no others.
        self._scopes = frozenset(
            scope
            for (kind, name), scope in required(schema).items()
            if kind == "Query" and name in COMPILED and scope is not None
        )
        # By text and operation name.
        self._prepared: OrderedDict[tuple[str, str | None], Prepared] = OrderedDict()

    async def answer(
        self,
        text: str,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: dict[str, Any] | None,
        principal: Principal,
        now: datetime,
    ) -> orjson.Fragment | None:
        """`data` of an operation of a valid document, as finished JSON; None: execute it in the ordinary way.

        The caller has authenticated `principal`, and has kept the limits.
        """
        if operation.operation is not OperationType.QUERY or not self._scopes <= principal.scopes:
            return None
        name = operation.name.value if operation.name else None
        prepared = self._known(text, name, document, operation)
        answer = await self._plans.answer(self._db, principal.account_id, prepared, variables or {}, now=now)
        return None if answer is None else orjson.Fragment(answer)

    def _known(
        self, text: str, name: str | None, document: DocumentNode, operation: OperationDefinitionNode
    ) -> Prepared:
        place = (text, name)
        found = self._prepared.get(place)
        if found is not None:
            self._prepared.move_to_end(place)
            return found
        found = prepare(document, operation, again=len(text) <= LONGEST_TEXT)
        if found.again:
            self._prepared[place] = found
            while len(self._prepared) > PREPARED_KEPT:
                self._prepared.popitem(last=False)
        return found
