"""Answers compiled selections: whole operations from a bounded cache of plans, single root fields beside others."""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    StringValueNode,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.values import VariableValues, get_variable_values

from engine import ids
from engine.problems import Problem, Refused
from resolvers.context import Context
from resolvers.selection.reading import Reading
from resolvers.selection.words import NotCompiled
from storage.catalogue import Catalogue
from storage.database import Database
from storage.records import object_types
from storage.selection.plans import Plan, compile, run
from storage.selection.tree import Constant

PLANS_KEPT = 2_000
TYPES_KEPT = 100_000
# Longer variables are not worth a place in the cache: their like does not come again.
LONGEST_KEY = 4_096
# The definitions may change between planning and running, though hardly three times in a row.
ATTEMPTS = 3


# Compared by identity: as a part of a plan's key, one look-up costs no more than that.
@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An operation of a valid document, and what its plans depend on.

    `open` are the variables that are used once, as the whole of an argument called `id`; `others` are all others.
    `alone` are ids, and variables (with a `$`) for ids, that stand without an object type beside them. `again`: the
    caller keeps it, and comes with it again.
    """

    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    open: frozenset[str]
    others: tuple[str, ...]
    alone: tuple[str, ...]
    again: bool


def prepare(document: DocumentNode, operation: OperationDefinitionNode, *, again: bool = True) -> Prepared:
    """What can be known of an operation without its variables."""
    fragments = {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }
    uses = _Uses()
    for node in (operation, *fragments.values()):
        visit(node, uses)
    declared = [one.variable.name.value for one in operation.variable_definitions or ()]
    # Once where it is declared, once where it is used.
    slots = frozenset(name for name in declared if name in uses.as_id and uses.times[name] == 2)
    others = tuple(sorted(name for name in declared if name not in slots))
    return Prepared(operation, fragments, slots, others, tuple(sorted(uses.alone)), again)


class _Uses(Visitor):
    """How often each variable is named, and which ones are an `id`."""

    def __init__(self) -> None:
        super().__init__()
        self.times: Counter[str] = Counter()
        self.as_id: set[str] = set()
        self.alone: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.times[node.name.value] += 1

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        match given.get("id"):
            case VariableNode(name=name):
                self.as_id.add(name.value)
                asked = f"${name.value}"
            case StringValueNode(value=asked):
                pass
            case _:
                return
        if "objectType" not in given:
            self.alone.add(asked)


@dataclass(slots=True)
class Plans:
    """Plans of whole operations, by what they depend on. None stands for an operation that does not compile."""

    schema: GraphQLSchema
    _known: OrderedDict[Any, Plan | None] = field(default_factory=OrderedDict)
    # A record's object type never changes, and an id is never given again.
    _types: OrderedDict[tuple[int, int], int] = field(default_factory=OrderedDict)

    async def answer(
        self,
        db: Database,
        account_id: int,
        prepared: Prepared,
        variables: Mapping[str, Any],
        *,
        now: datetime,
    ) -> str | None:
        """The JSON text of `data` at `now`; None where ordinary execution has to answer.

        Only success is told; failures of the database pass through.
        """
        slots = _slots(prepared, variables)
        types = None if slots is None else await self._types_of(db, account_id, prepared, variables)
        if slots is None or types is None:
            return None
        for attempt in range(ATTEMPTS):
            catalogue = (None if attempt else db.remembered(account_id)) or await db.catalogue(account_id)
            plan = self._plan(prepared, variables, types, catalogue)
            if plan is None:
                return None
            async with db.read(account_id) as reader:
                answer = await run(reader, plan, slots, now=now)
            if answer.version == catalogue.version:
                return answer.text
        return None

    async def _types_of(
        self, db: Database, account_id: int, prepared: Prepared, variables: Mapping[str, Any]
    ) -> dict[str, int] | None:
        """The object types of records that are asked for by their id alone; None where one is not there."""
        try:
            asked = [variables[one[1:]] if one.startswith("$") else one for one in prepared.alone]
            if len(asked) == 1:
                # As a rule: one, and known.
                known = self._types.get((account_id, ids.decode("record", asked[0])))
                if known is not None:
                    return {asked[0]: known}
            numbers = {text: ids.decode("record", text) for text in asked}
        except (KeyError, TypeError, Problem):
            return None
        unknown = [number for number in numbers.values() if (account_id, number) not in self._types]
        if unknown:
            async with db.read(account_id) as reader:
                for number, type_id in (await object_types(reader, unknown)).items():
                    self._types[account_id, number] = type_id
            found = {text: self._types.get((account_id, number)) for text, number in numbers.items()}
            while len(self._types) > TYPES_KEPT:
                self._types.popitem(last=False)
        else:
            found = {text: self._types[account_id, number] for text, number in numbers.items()}
        types = {text: type_id for text, type_id in found.items() if type_id is not None}
        return types if len(types) == len(numbers) else None

    def _plan(
        self,
        prepared: Prepared,
        variables: Mapping[str, Any],
        types: Mapping[str, int],
        catalogue: Catalogue,
    ) -> Plan | None:
        told = {name: variables[name] for name in prepared.others if name in variables}
        # No JSON reader of ours makes what this cannot write.
        shape = orjson.dumps(told, option=orjson.OPT_SORT_KEYS) if told else b""
        place = (prepared, catalogue.account_id, catalogue.version, shape, tuple(types.values()))
        if place in self._known:
            self._known.move_to_end(place)
            return self._known[place]
        plan = _compiled(self.schema, prepared, variables, types, catalogue)
        if prepared.again and len(shape) <= LONGEST_KEY:
            self._known[place] = plan
            while len(self._known) > PLANS_KEPT:
                self._known.popitem(last=False)
        return plan


def _slots(prepared: Prepared, variables: Mapping[str, Any]) -> dict[str, int] | None:
    """The numbers of the ids that a plan leaves open; None where one is not an id."""
    try:
        return {name: ids.decode("record", variables[name]) for name in prepared.open}
    except (KeyError, TypeError, Problem):
        return None


def _compiled(
    schema: GraphQLSchema,
    prepared: Prepared,
    variables: Mapping[str, Any],
    types: Mapping[str, int],
    catalogue: Catalogue,
) -> Plan | None:
    coerced = get_variable_values(schema, prepared.operation.variable_definitions or (), dict(variables))
    if isinstance(coerced, list):
        return None
    reading = Reading(
        schema, prepared.fragments, prepared.operation, coerced, catalogue, prepared.open, types
    )
    try:
        return compile(reading.selection())
    except (NotCompiled, Problem, Refused, GraphQLError):
        return None


async def root(
    context: Context,
    schema: GraphQLSchema,
    parent: GraphQLObjectType,
    nodes: Sequence[FieldNode],
    fragments: Mapping[str, FragmentDefinitionNode],
    operation: OperationDefinitionNode,
    variables: VariableValues,
) -> str | None:
    """The JSON text of one root field; None where it does not compile.

    Raises the `Problem` of a part that can never be right, whatever records there are: once, and not for
    each record. Where the definitions have changed since the request began, the request goes on with the new ones.
    """
    for _ in range(ATTEMPTS):
        reading = Reading(schema, fragments, operation, variables, context.catalogue)
        try:
            found = reading.root(parent, [FieldDetails(node, None) for node in nodes])
            if isinstance(found, Constant):
                return found.text
            plan = compile(found)
        except NotCompiled:
            return None
        async with context.db.read(context.account_id) as reader:
            answer = await run(reader, plan, {}, now=context.now)
        if answer.version == context.catalogue.version:
            return answer.text
        context.catalogue = await context.db.catalogue(context.account_id)
        context.loaders.clear()
    return None
