"""Use cases of object types."""

from engine import object_types
from engine.object_types import Keep
from resolvers.context import Context
from resolvers.writing import write
from storage.catalogue import ObjectTypeRow


def listing(context: Context, active: bool | None) -> list[ObjectTypeRow]:
    """Object types in the order in which they were made; only (in)active ones where `active` says so."""
    rows = sorted(context.catalogue.object_types.values(), key=lambda row: row.id)
    return [row for row in rows if active is None or row.active is active]


def by_name(context: Context, name: str) -> ObjectTypeRow:
    """One object type; raises `NotFound`."""
    return object_types.get(context.catalogue, name)


async def create(
    context: Context, *, name: str, singular: str, plural: str, description: str | None
) -> ObjectTypeRow:
    """A custom object type."""
    return await write(
        context,
        lambda tx: object_types.create(
            tx, name=name, singular=singular, plural=plural, description=description
        ),
        defining=True,
    )


async def update(
    context: Context,
    name: str,
    *,
    singular: str | None,
    plural: str | None,
    description: str | Keep | None,
    primary_display_property: str | Keep | None,
    active: bool | None,
) -> ObjectTypeRow:
    """Change what people see of an object type, or switch it on or off."""
    return await write(
        context,
        lambda tx: object_types.update(
            tx,
            name,
            singular=singular,
            plural=plural,
            description=description,
            primary_display_property=primary_display_property,
            active=active,
        ),
        defining=True,
    )
