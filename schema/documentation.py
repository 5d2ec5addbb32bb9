"""Descriptions: what a docstring says about a type or a field is said in the SDL too."""

import inspect
from collections.abc import Mapping
from enum import EnumMeta
from typing import Any

import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
)

# Arguments and members that mean the same wherever they stand.
COMMON = {
    "input": "What is to be done.",
    "userErrors": "What was wrong with the request; empty when all went well.",
    "first": "How many, from the start; 50 unless said otherwise.",
    "after": "Behind this cursor.",
    "last": "How many, from the end.",
    "before": "In front of this cursor.",
    "mode": "What one item's problem means for the others.",
    "idempotencyKey": "A text of your choice: the same key twice does the work once and answers the same.",
}


def enum(kind: EnumMeta, name: str, description: str, values: Mapping[str, str]) -> Any:
    """Make an enumeration a GraphQL enum, with a description for each value; the same class again."""
    made: Any = strawberry.enum(kind, name=name, description=description)
    for value in made.__strawberry_definition__.values:
        value.description = values[value.name]
    return made


def document(schema: GraphQLSchema) -> None:
    """Fill in the descriptions that stand in docstrings."""
    for kind in schema.type_map.values():
        if kind.name.startswith("__"):
            continue
        definition: Any = kind.extensions.get("strawberry-definition")
        if kind.description is None and definition is not None:
            kind.description = _words(
                getattr(definition, "origin", None) or getattr(definition, "wrapped_cls", None)
            )
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in kind.fields.items():
                declared: Any = field.extensions.get("strawberry-definition")
                resolver = getattr(declared, "base_resolver", None)
                field.description = field.description or _words(getattr(resolver, "wrapped_func", None))
                field.description = field.description or COMMON.get(name)
                for argument, given in field.args.items():
                    given.description = given.description or COMMON.get(argument)
        elif isinstance(kind, GraphQLInputObjectType):
            for name, member in kind.fields.items():
                member.description = member.description or COMMON.get(name)


def undocumented(schema: GraphQLSchema) -> list[str]:
    """Everything in the SDL that has no description."""
    missing: list[str] = []
    for kind in schema.type_map.values():
        if not kind.name.startswith("__"):
            missing += [place for place, description in _places(kind) if not description]
    for directive in schema.directives:
        missing += [f"@{directive.name}"] if not directive.description else []
    return missing


def _places(kind: GraphQLNamedType) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = [(kind.name, kind.description)]
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        for name, field in kind.fields.items():
            found.append((f"{kind.name}.{name}", field.description))
            found += [(f"{kind.name}.{name}({arg}:)", given.description) for arg, given in field.args.items()]
    elif isinstance(kind, GraphQLInputObjectType):
        found += [(f"{kind.name}.{name}", member.description) for name, member in kind.fields.items()]
    elif isinstance(kind, GraphQLEnumType):
        found += [(f"{kind.name}.{name}", value.description) for name, value in kind.values.items()]
    return found


def _words(declared: Any) -> str | None:
    if declared is None:
        # From Python 3.13 on, None has a docstring too.
        return None
    own = vars(declared).get("__doc__") if isinstance(declared, type) else getattr(declared, "__doc__", None)
    # A dataclass without words of its own is given its signature.
    if not own or (isinstance(declared, type) and own.startswith(f"{declared.__name__}(")):
        return None
    return " ".join(inspect.cleandoc(own).split())
