"""Who may ask for what: `Requires(scope)` on a field is enforced here, and visible in the SDL as `@requires`."""

from collections.abc import Iterator
from inspect import isawaitable
from typing import Any

import strawberry
from graphql import GraphQLSchema
from strawberry.extensions import FieldExtension
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from engine.access import Role, Scope
from schema.documentation import enum

enum(
    Role,
    "Role",
    "What a person or a key is in an account; each role may do what the ones before it may.",
    {
        "VIEWER": "Reads records, definitions and automation.",
        "EDITOR": "Also writes records and associations.",
        "AUTOMATION_MANAGER": "Also makes and switches workflows.",
        "SUPER_ADMIN": "Also manages object types, properties, labels, limits, users and keys.",
    },
)
enum(
    Scope,
    "Scope",
    "What a key may do; `@requires` names the scope of a field.",
    {
        "RECORDS_READ": "records:read: read records, associations and the account.",
        "RECORDS_WRITE": "records:write: write records and associations.",
        "DEFINITIONS_READ": "definitions:read: read object types, properties, labels and limits.",
        "DEFINITIONS_WRITE": "definitions:write: change object types, properties, labels and limits.",
        "AUTOMATION_READ": "automation:read: read workflows and enrollments.",
        "AUTOMATION_WRITE": "automation:write: make, publish and switch workflows.",
        "ACCOUNT_MANAGE": "account:manage: manage users, keys and settings.",
    },
)


@strawberry.schema_directive(
    name="requires",
    locations=[Location.FIELD_DEFINITION],
    description="The scope that a key must have to use the field.",
)
class RequiresDirective:
    scope: str = strawberry.directive_field(name="scope")


class Requires(FieldExtension):
    """The field asks for `scope`; without it, `MissingScope` is raised before anything is read."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def apply(self, field: StrawberryField) -> None:
        """Show the scope in the SDL."""
        field.directives = [*field.directives, RequiresDirective(scope=self.scope.value)]

    def resolve(self, next_: Any, source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        """Let those pass who have the scope."""
        info.context.principal.require(self.scope)
        return next_(source, info, **kwargs)

    async def resolve_async(self, next_: Any, source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        """Let those pass who have the scope."""
        info.context.principal.require(self.scope)
        found = next_(source, info, **kwargs)
        return await found if isawaitable(found) else found


def required(schema: GraphQLSchema) -> dict[tuple[str, str], Scope | None]:
    """The scope of every root field by (type name, field name); None where nobody asked for one."""
    return {(kind, name): scope for kind, name, scope in _roots(schema)}


def _roots(schema: GraphQLSchema) -> Iterator[tuple[str, str, Scope | None]]:
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        for name, field in (root.fields if root else {}).items():
            declared: StrawberryField | None = field.extensions.get("strawberry-definition")
            scopes = [
                each.scope for each in (declared.extensions if declared else ()) if isinstance(each, Requires)
            ]
            yield (root.name if root else "", name, scopes[0] if scopes else None)
