"""What an operation may cost at most, known for each set of page and batch sizes that it was asked with."""

from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    GraphQLType,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    ValueNode,
    VariableNode,
    Visitor,
    get_named_type,
    get_nullable_type,
    is_input_object_type,
    is_list_type,
    value_from_ast_untyped,
    visit,
)
from graphql.utilities import type_from_ast

from server.limits.measures import Measure, measure
from server.limits.problems import CostLimitExceeded
from server.limits.values import Limits
from server.limits.weighing import SIZED_BY, Place, Weighing

# For so many sets of sizes one operation's costs are kept.
KEPT = 200
# Sixteen pages within pages make numbers that JSON has no place for.
LARGEST = 2**53 - 1


class Weigher:
    """Weighs one operation of a valid document."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        limits: Limits,
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._limits = limits
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._variables = _sizing(schema, operation, self._fragments.values())
        self._known: dict[tuple[Measure, ...], int] = {}

    def cost(self, variables: Mapping[str, Any]) -> int:
        """The operation's cost with these variables, in units. Raises the problem of what is too much."""
        # Most operations have no variable that matters: one look-up.
        sizes = tuple([measure(variables.get(name, default)) for name, default in self._variables])
        known = self._known.get(sizes)
        if known is None:
            known = self._weighed(sizes)
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[sizes] = known
        if known > self._limits.cost:
            raise CostLimitExceeded(cost=known, limit=self._limits.cost)
        return known

    def _weighed(self, sizes: tuple[Measure, ...]) -> int:
        measures = {name: size for (name, _), size in zip(self._variables, sizes, strict=True)}
        weighing = Weighing(self._schema, self._fragments, measures, self._limits)
        root = self._schema.get_root_type(self._operation.operation)
        assert root is not None  # the document is valid
        writes = self._operation.operation is OperationType.MUTATION
        tenths = weighing.selection([(root, self._operation.selection_set)], Place(writes=writes))
        return min(max(1, -(-tenths // 10)), LARGEST)


def _sizing(
    schema: GraphQLSchema, operation: OperationDefinitionNode, fragments: Iterable[FragmentDefinitionNode]
) -> list[tuple[str, Any]]:
    """Names and defaults of the variables on whose sizes the cost depends."""
    uses = _Uses()
    for node in (operation, *fragments):
        visit(node, uses)
    return [
        (name, None if one.default_value is None else value_from_ast_untyped(one.default_value))
        for one in operation.variable_definitions or ()
        if (name := one.variable.name.value) in uses.found and _has_size(type_from_ast(schema, one.type))
    ]


def _has_size(kind: GraphQLType | None) -> bool:
    """Whether values of a type differ in size: a text or a JSON value is one value, whatever is in it."""
    if kind is None:
        return False
    named = get_named_type(kind)
    return (
        is_list_type(get_nullable_type(kind))  # type: ignore[call-overload]
        or is_input_object_type(named)
        or named.name in ("Int", "Boolean")
    )


class _Uses(Visitor):
    """Which variables stand in arguments that have a size."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        if node.name.value in SIZED_BY:
            self._in(node.value)

    def _in(self, value: ValueNode | Node) -> None:
        match value:
            case VariableNode(name=name):
                self.found.add(name.value)
            case ListValueNode(values=parts):
                for part in parts:
                    self._in(part)
            case ObjectValueNode(fields=fields):
                for field in fields:
                    self._in(field.value)
            case _:
                pass
