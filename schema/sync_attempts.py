"""What was tried with records of syncs, and the values that were written."""

from datetime import datetime

import strawberry

from engine import ids
from engine.sync.categories import Category
from engine.sync.health import AttemptRow
from engine.sync.rules import Side
from schema.nodes import PageInfo
from schema.scalars import JSON
from schema.sync_words import AttemptKind


@strawberry.type(name="SyncValueChange")
class ValueChange:
    """A value that was written, or would be."""

    name: str = strawberry.field(description="The property, or the field of the other app.")
    before: JSON | None = strawberry.field(description="What was there; null: nothing.")
    after: JSON | None = strawberry.field(description="What is there afterwards; null: nothing.")

    @classmethod
    def all(cls, told: dict[str, list[object]] | None) -> "list[ValueChange]":
        """Changes as they are kept: {name: [before, after]}."""
        return [
            cls(name=name, before=json(before), after=json(after))
            for name, (before, after) in sorted((told or {}).items())
        ]


def json(value: object) -> JSON | None:
    """A value as it is; null where there is none."""
    return None if value is None else JSON(value)


@strawberry.type
class SyncAttempt:
    """Something that was tried with a record, and what came of it."""

    id: strawberry.ID = strawberry.field(description="The attempt's id.")
    at: datetime = strawberry.field(description="When.")
    kind: AttemptKind = strawberry.field(description="What was done, or came of it.")
    side: Side | None = strawberry.field(description="Where; null: on neither, or both.")
    category: Category | None = strawberry.field(description="Why it failed, if it did.")
    message: str | None = strawberry.field(description="What was said about it.")
    changed: list[ValueChange] = strawberry.field(description="The values that were written.")

    @classmethod
    def of(cls, row: AttemptRow) -> "SyncAttempt":
        """The attempt as clients see it."""
        return cls(
            id=strawberry.ID(ids.encode("attempt", row.id)),
            at=row.at,
            kind=AttemptKind(row.did),
            side=None if row.side is None else Side(row.side),
            category=known(row.category),
            message=row.message,
            changed=ValueChange.all(row.changed),
        )


@strawberry.type
class SyncAttemptEdge:
    """An attempt on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: SyncAttempt = strawberry.field(description="The attempt.")


@strawberry.type
class SyncAttemptConnection:
    """A page of attempts, newest first."""

    edges: list[SyncAttemptEdge] = strawberry.field(description="The attempts with their cursors.")
    nodes: list[SyncAttempt] = strawberry.field(description="The attempts.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


def known(category: str | None) -> Category | None:
    """A category that is one of ours."""
    return Category.__members__.get(category or "")
