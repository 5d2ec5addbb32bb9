"""Use cases of properties."""

from collections.abc import Sequence
from typing import Any

from engine import properties
from engine.object_types import Keep
from engine.properties import Option
from resolvers.context import Context
from resolvers.writing import write
from storage.catalogue import PropertyRow


async def create(context: Context, object_type: str, **definition: Any) -> PropertyRow:
    """A property; `definition` as `engine.properties.create` takes it."""
    return await write(context, lambda tx: properties.create(tx, object_type, **definition), defining=True)


async def update(
    context: Context,
    object_type: str,
    name: str,
    *,
    label: str | None,
    group: str | None,
    description: str | Keep | None,
    options: Sequence[Option] | None,
    required: bool | None,
    searchable: bool | None,
    parts_searchable: bool | None,
) -> PropertyRow:
    """Change what may change of a property."""
    return await write(
        context,
        lambda tx: properties.update(
            tx,
            object_type,
            name,
            label=label,
            group=group,
            description=description,
            options=options,
            required=required,
            searchable=searchable,
            parts_searchable=parts_searchable,
        ),
        defining=True,
    )


async def archive(context: Context, object_type: str, name: str) -> PropertyRow:
    """Put a property away."""
    return await write(context, lambda tx: properties.archive(tx, object_type, name), defining=True)
