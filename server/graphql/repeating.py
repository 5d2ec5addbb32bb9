"""An executor of one subscription, event after event: what is the same for all of them is found out once.

graphql-core coerces the arguments of each field, and collects the fields of each selection, anew for every event. The
variables of a subscription never change, so neither does any of that.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLField,
    GraphQLOutputType,
    get_nullable_type,
    is_leaf_type,
)
from graphql.execution.collect_fields import collect_fields
from graphql.execution.executor import CollectedErrors, to_nodes
from graphql.execution.values import get_argument_values
from graphql.type import GraphQLObjectType

from schema.reading import Reading, reading
from server.graphql.splicing import SplicingExecutor


@dataclass(frozen=True, slots=True)
class _Known:
    """A field of the selection. `coerce`: of a leaf that is read without anything but its object."""

    type: GraphQLOutputType
    field: GraphQLField
    read: Callable[[Any, Any], Any]
    coerce: Callable[[Any], Any] | None
    # What it is known by is the identity of this list, which stays as long as this does.
    details: Any


class RepeatingExecutor(SplicingExecutor):
    """Executes a subscription's selection for one event at a time, by `execute_event`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Shared by the copies that are made for each event.
        self._fields: dict[int, _Known] = {}
        self._root: list[tuple[GraphQLObjectType, Any]] = []

    def execute_event(self, event: Any) -> Awaitable[ExecutionResult] | ExecutionResult:
        """The answer to an event; awaitable, where anything has to be waited for."""
        one = self._with(event)
        if not self._root:
            self._root.append(self._collected())
        root, fields = self._root[0]
        try:
            data: Any = one.execute_fields(root, event, None, fields, None)
        except GraphQLError as error:
            return _failed(one, error)
        if one.is_awaitable(data):
            return _awaited(one, data)
        return one.build_response(data)  # type: ignore[return-value]

    def _with(self, event: Any) -> "RepeatingExecutor":
        """As `build_per_event_executor`, by hand: `copy.copy` takes several times as long."""
        one = object.__new__(type(self))
        one.__dict__.update(self.__dict__)
        one.root_value = event
        one.collected_errors = CollectedErrors()
        return one

    def _collected(self) -> tuple[GraphQLObjectType, Any]:
        root = self.schema.subscription_type
        assert root is not None  # it is one of its operations
        fields, _, _ = collect_fields(
            self.schema, self.fragments, self.variable_values, root, self.operation, self.hide_suggestions
        )
        return root, fields

    def execute_field(
        self, parent_type: GraphQLObjectType, source: Any, field_details_list: Any, path: Any, position: Any
    ) -> Any:
        """As ever; but fields that are only read off their object pass through nothing else."""
        known = self._fields.get(id(field_details_list)) or self._know(parent_type, field_details_list)
        if known is None:
            return super().execute_field(parent_type, source, field_details_list, path, position)
        if known.coerce is not None:
            try:
                value = known.read(source, None)
                if value is not None and not isinstance(value, Exception):
                    return known.coerce(value)
            except Exception:
                # Read once more, where errors are worded.
                return super().execute_field(parent_type, source, field_details_list, path, position)
        info = self.build_resolve_info(known.field, to_nodes(field_details_list), parent_type, path)
        try:
            result = known.read(source, info)
            if self.is_awaitable(result):
                return self.complete_awaitable_value(
                    known.type, field_details_list, info, path, result, position
                )
            completed = self.complete_value(known.type, field_details_list, info, path, result, position)
        except Exception as error:
            self.handle_field_error(error, known.type, field_details_list, path)
            return None
        if self.is_awaitable(completed):
            return self._completed(completed, known, path)
        return completed

    def _know(self, parent_type: GraphQLObjectType, details: Any) -> _Known | None:
        """What there is to know about a field; None: what it is asked with is wrong, or it is none."""
        first = details[0]
        field = self.schema.get_field(parent_type, first.node.name.value)
        if field is None or self.middleware_manager is not None:
            return None
        try:
            arguments = get_argument_values(
                field,
                first.node,
                self.variable_values,
                first.fragment_variable_values,
                self.hide_suggestions,
            )
        except GraphQLError:
            return None
        found = reading(field, arguments)
        if found is None:
            resolve = field.resolve or self.field_resolver
            found = Reading(lambda source, info: resolve(source, info, **arguments), alone=False)
        leaf = get_nullable_type(field.type)
        coerce = leaf.coerce_output_value if found.alone and is_leaf_type(leaf) else None
        known = _Known(field.type, field, found.read, coerce, details)
        self._fields[id(details)] = known
        return known

    async def _completed(self, completed: Awaitable[Any], known: _Known, path: Any) -> Any:
        try:
            return await completed
        except Exception as error:
            self.handle_field_error(error, known.type, known.details, path)
            return None


def _failed(executor: Any, error: GraphQLError) -> ExecutionResult:
    executor.collected_errors.add(error, None)
    return executor.build_response(None)  # type: ignore[no-any-return]


async def _awaited(executor: Any, data: Awaitable[dict[str, Any]]) -> ExecutionResult:
    try:
        return executor.build_response(await data)  # type: ignore[no-any-return]
    except GraphQLError as error:
        return _failed(executor, error)
