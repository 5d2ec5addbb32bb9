"""What is asked of records at large: one of them, or a page; as a compiled selection wherever that can be."""

from typing import Annotated, Any, cast

import strawberry
from orjson import Fragment

from engine.access import Scope
from resolvers import records as reads
from resolvers.selection import answering
from schema.access import Requires
from schema.context import Info
from schema.filters import OrderBy, Where, asked
from schema.records import Record, RecordConnection
from schema.scalars import JSON


@strawberry.input
class UniqueInput:
    """A unique property and a value of it."""

    property: str = strawberry.field(description="The internal name of a property whose values are unique.")
    value: JSON = strawberry.field(description="The value.")


@strawberry.type
class RecordQuery:
    """Reads of records."""

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def record(
        self,
        info: Info,
        object_type: Annotated[
            str | None,
            strawberry.argument(description="Its object type; needed with `by`. Of another type: null."),
        ] = None,
        id: Annotated[strawberry.ID | None, strawberry.argument(description="Its id.")] = None,
        by: Annotated[UniqueInput | None, strawberry.argument(description="A unique value of it.")] = None,
    ) -> Record | None:
        """One record by its id or by a unique value, also one that was put away; a merged one is its survivor."""
        if (compiled := await _compiled(info)) is not None:
            return cast("Record | None", compiled)
        unique = None if by is None else (by.property, by.value)
        found = await reads.record(info.context, object_type, id, unique)
        return None if found is None else Record.of(found)

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def records(
        self,
        info: Info,
        object_type: Annotated[
            str,
            strawberry.argument(description='The internal name of an object type, such as "contacts".'),
        ],
        where: Where = None,
        order_by: OrderBy = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> RecordConnection:
        """Records of one object type, in a stable order."""
        if (compiled := await _compiled(info)) is not None:
            return cast("RecordConnection", compiled)
        page = asked(where, order_by, first, after, last, before)
        return RecordConnection(listed=await reads.listed(info.context, object_type, page))


async def _compiled(info: Info) -> Fragment | None:
    """The field's whole answer as finished JSON, where it compiles."""
    if not info.context.compiles:
        return None
    raw = info._raw_info
    text = await answering.root(
        info.context,
        raw.schema,
        raw.parent_type,
        raw.field_nodes,
        raw.fragments,
        raw.operation,
        cast("Any", raw.variable_values),
    )
    return None if text is None else Fragment(text)
