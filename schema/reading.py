"""How fields are read, for who reads the same ones over and over: what Strawberry does before each call, done once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from graphql import GraphQLField, GraphQLResolveInfo
from strawberry.schema.schema_converter import GraphQLCoreConverter, get_arguments
from strawberry.types.field import StrawberryField

from schema.context import Info
from schema.root import STRAWBERRY


@dataclass(frozen=True, slots=True)
class Reading:
    """Calls what reads a field off an object. `alone`: without any info, and it never has to be awaited."""

    read: Callable[[Any, GraphQLResolveInfo[Any] | None], Any]
    alone: bool


def reading(field: GraphQLField, arguments: Mapping[str, Any]) -> Reading | None:
    """How a field is read with these arguments; None: in Strawberry's own way, as something is to be done around it."""
    of = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if not isinstance(of, StrawberryField) or of.extensions or field.subscribe is not None:
        return None
    resolver = of.base_resolver
    if resolver is None:
        name = of.python_name
        if of.default_resolver is not getattr:
            return None
        return Reading(lambda source, _: getattr(source, name), alone=True)
    function = resolver.wrapped_func
    if resolver.self_parameter is None or resolver.root_parameter or resolver.parent_parameter:
        return None
    if not callable(function):
        return None
    info = resolver.info_parameter
    given = _given(of, arguments)
    if info is None:
        return Reading(lambda source, _: function(source, **given), alone=not of.is_async)
    named = info.name
    return Reading(
        lambda source, raw: function(source, **given, **{named: _info(of, raw)}),
        alone=False,
    )


def _given(of: StrawberryField, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the field's function takes them, but for the object itself and the info."""
    resolver = of.base_resolver
    _, given = get_arguments(
        field=of,
        source=None,
        info=cast("Info", None),
        kwargs=dict(arguments),
        config=STRAWBERRY.config,
        scalar_registry=STRAWBERRY.schema_converter.scalar_registry,
    )
    if resolver is not None and resolver.info_parameter is not None:
        given.pop(resolver.info_parameter.name, None)
    return given


def _info(of: StrawberryField, raw: GraphQLResolveInfo[Any] | None) -> Any:
    assert raw is not None  # whoever is not read alone is handed one
    return STRAWBERRY.config.info_class(_raw_info=raw, _field=of)
