"""Items on their way to a hand: as plain tuples, of which pickling makes little."""

from datetime import datetime
from typing import Any, TypeAlias

from engine.sync.connectors.protocol import Item

# In the order of the fields of `Item`.
Plain: TypeAlias = tuple[str, dict[str, Any], str | None, datetime | None, dict[str, Any], bool, str | None]


def plain(item: Item) -> Plain:
    """An item as it travels; `Item(*plain)` is it again."""
    return (
        item.external_id,
        dict(item.fields),
        item.version,
        item.modified_at,
        dict(item.associations),
        item.deleted,
        item.url,
    )
