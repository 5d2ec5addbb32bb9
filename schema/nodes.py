"""What can be asked for by its id alone."""

from collections.abc import Sequence
from typing import Any

import strawberry


@strawberry.interface
class Node:
    """Something with an id of its own."""

    id: strawberry.ID = strawberry.field(description="The id: opaque, stable, unique in the account.")


@strawberry.type
class PageInfo:
    """Where a page stands among the others."""

    has_next_page: bool = strawberry.field(description="Whether there is anything behind the page.")
    has_previous_page: bool = strawberry.field(description="Whether there is anything in front of it.")
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first edge; null on an empty page."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last edge; null on an empty page."
    )


def page_info(edges: Sequence[Any], has_next: bool, has_previous: bool) -> PageInfo:
    """Facts of a page of edges with cursors."""
    return PageInfo(
        has_next_page=has_next,
        has_previous_page=has_previous,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
