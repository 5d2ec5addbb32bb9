"""What every batch has: a mode, a key, and for each input what became of it."""

from collections.abc import Awaitable, Sequence
from typing import Any

from engine.batches import BatchTooLarge, Mode
from engine.problems import PathPart, Problem, Refused
from resolvers.batches import Item, Told
from schema.documentation import enum
from schema.errors import UserError, user_errors
from schema.scalars import JSON

enum(
    Mode,
    "BatchMode",
    "What one item's problem means for the others.",
    {
        "ATOMIC": "All or nothing: one problem, and nothing is done.",
        "PER_ITEM": "What fails is left out and told; the rest is done.",
    },
)


def as_user_error(told: Told, *front: PathPart) -> UserError:
    """A problem that a batch told, as an entry of `userErrors`."""
    path = [JSON(part) for part in (*front, *told.path)]
    return UserError(
        code=told.code,
        message=told.message,
        path=path or None,
        details=JSON(told.details) if told.details else None,
    )


class Done:
    """A batch that was carried out, or refused: for each input its value and its errors, and all errors together."""

    def __init__(
        self, values: Sequence[Any], errors: Sequence[list[UserError]], refused: list[UserError]
    ) -> None:
        self.values = values
        self.errors = errors
        # Problems of items stand with their items and here.
        self.user_errors = refused or [error for own in errors for error in own]


async def done(work: Awaitable[list[Item[Any]]], count: int, name: str) -> Done:
    """Carry out a batch of `count` inputs that stand in the list `name` of the mutation's input."""
    try:
        items = await work
    except (Problem, Refused) as error:
        # Problems of single items have their index in front; others are the request's own, or the whole list's.
        several = isinstance(error, Refused)
        listed = several or isinstance(error, BatchTooLarge)
        refused = user_errors(error, "input", name) if listed else user_errors(error, "input")
        own: list[list[UserError]] = [[] for _ in range(count)]
        for one in refused:
            if several and one.path is not None and isinstance(one.path[2], int):
                own[one.path[2]].append(one)
        return Done([None] * count if any(own) else [], own if any(own) else [], refused)
    return Done(
        [item.value for item in items],
        [
            [as_user_error(told, "input", name, index) for told in item.problems]
            for index, item in enumerate(items)
        ],
        [],
    )
