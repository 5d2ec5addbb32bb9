"""Writing: all creations in one call, all changes in another, all deletions in a third.

Directus does such a call whole or not at all, and then names one error: its ops are repeated one by one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from engine.sync.connectors.answers import Answer
from engine.sync.connectors.directus.calls import Calls, not_unique, one
from engine.sync.connectors.directus.shapes import Shape
from engine.sync.connectors.directus.values import item, key, sent
from engine.sync.connectors.protocol import (
    ConnectorError,
    Create,
    Delete,
    Disconnected,
    Gone,
    Op,
    Outcome,
    Retry,
    Unclear,
    Update,
    Written,
)

# Ops that are done one by one go so many at a time.
ABREAST = 4

Rows = Callable[[Shape, Sequence[str]], Awaitable[list[dict[str, Any]]]]


class Writer:
    """Writes ops to one collection."""

    def __init__(
        self, calls: Calls, shape: Shape, id_of: Callable[[Shape, str], str | None], rows: Rows
    ) -> None:
        self._calls, self._shape, self._id_of, self._rows = calls, shape, id_of, rows
        self._path = f"items/{shape.object.name}"
        # In the answer, too, everything is told: the version is made of it.
        self._params: dict[str, str | int] = {"fields": ",".join(shape.asked()), "limit": -1}
        if shape.deep():
            self._params["deep"] = orjson.dumps(shape.deep()).decode()

    async def write(self, ops: Sequence[Op]) -> list[Outcome]:
        """Do each, or say why not. Raises Disconnected where nothing was done."""
        outcomes: dict[int, Outcome] = {}
        present = await self._present(ops)
        groups: list[list[int]] = [[], [], []]
        for n, op in enumerate(ops):
            if isinstance(op, Create):
                groups[0].append(n)
            elif key(self._shape, op.external_id) is None:
                outcomes[n] = Gone("There is no such item.")
            else:
                groups[1 if isinstance(op, Update) else 2].append(n)
        left: ConnectorError | None = None
        for group in filter(None, groups):
            if left is None:
                try:
                    outcomes |= await self._together(group, ops, present)
                    continue
                except Unclear as error:
                    outcomes |= {n: error for n in group}
                    left = Retry(error.message, error.category)
                    continue
                except Disconnected as error:
                    if not any(isinstance(outcome, Written) for outcome in outcomes.values()):
                        raise
                    left = error
            outcomes |= {n: left for n in group}
        return [outcomes[n] for n in range(len(ops))]

    async def _present(self, ops: Sequence[Op]) -> Mapping[str, Mapping[str, Any]]:
        """The rows as they are, of those whose lists are to be changed."""
        ids = [
            op.external_id
            for op in ops
            if isinstance(op, Update)
            and any(
                name in self._shape.junctions for name in (*op.links.added, *op.links.removed, *op.links.all)
            )
        ]
        if not any(key(self._shape, id_) is not None for id_ in ids):
            return {}
        return {str(row[self._shape.key]): row for row in await self._rows(self._shape, ids)}

    async def _together(
        self, group: Sequence[int], ops: Sequence[Op], present: Mapping[str, Mapping[str, Any]]
    ) -> dict[int, Outcome]:
        """Ops of one kind: in one call; one by one if that is refused."""
        bodies = [self._body(ops[n], present) for n in group]
        method = {Create: "POST", Update: "PATCH", Delete: "DELETE"}[type(ops[group[0]])]
        answer = await self._calls.ask(
            method, self._path, bodies, self._params if method != "DELETE" else None
        )
        if answer.ok:
            return self._done(group, ops, bodies, answer)
        refused = one(answer)
        if isinstance(refused, Disconnected):
            raise refused
        if len(group) == 1:
            return {group[0]: await self._refused(ops[group[0]], answer)}
        outcomes: dict[int, Outcome] = {}
        for start in range(0, len(group), ABREAST):
            some = group[start : start + ABREAST]
            told = await asyncio.gather(
                *(self._together([n], ops, present) for n in some), return_exceptions=True
            )
            for n, each in zip(some, told, strict=True):
                if isinstance(each, ConnectorError):
                    outcomes[n] = each
                elif isinstance(each, BaseException):
                    raise each
                else:
                    outcomes |= each
        return outcomes

    def _body(self, op: Op, present: Mapping[str, Mapping[str, Any]]) -> Any:
        shape = self._shape
        match op:
            case Create():
                values = {name: value for name, value in op.fields.items() if value is not None}
                id_ = self._id_of(shape, op.key)
                return {**({} if id_ is None else {shape.key: id_}), **sent(shape, values, op.links, None)}
            case Update():
                body = sent(shape, op.fields, op.links, present.get(op.external_id))
                return {shape.key: key(shape, op.external_id), **body}
            case Delete():
                return key(shape, op.external_id)

    def _done(
        self, group: Sequence[int], ops: Sequence[Op], bodies: Sequence[Any], answer: Answer
    ) -> dict[int, Outcome]:
        """What a good answer says of each. Items are told by key, and what is not there is left out."""
        if isinstance(ops[group[0]], Delete):
            return {n: Written(str(body)) for n, body in zip(group, bodies, strict=True)}
        rows = answer.document()["data"] if answer.content else []
        if isinstance(ops[group[0]], Create):
            return {n: self._written(row) for n, row in zip(group, self._ordered(bodies, rows), strict=True)}
        known = {str(row[self._shape.key]): row for row in rows}
        outcomes: dict[int, Outcome] = {}
        for n, body in zip(group, bodies, strict=True):
            row = known.get(str(body[self._shape.key]))
            outcomes[n] = Gone("There is no such item.") if row is None else self._written(row)
        return outcomes

    def _ordered(
        self, bodies: Sequence[Any], rows: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        """New items in the order asked. Keys that the database counts rise in that order."""
        if len(rows) != len(bodies):
            raise Unclear(f"{len(bodies)} items were to be made, and {len(rows)} were told.")
        known = {str(row[self._shape.key]): row for row in rows}
        if all(self._shape.key in body for body in bodies):
            return [known[str(body[self._shape.key])] for body in bodies]
        return sorted(rows, key=lambda row: int(row[self._shape.key]))

    async def _refused(self, op: Op, answer: Answer) -> Outcome:
        """An op that was refused alone. What this creation has made before is no refusal."""
        if isinstance(op, Create) and not_unique(answer, self._shape.key):
            id_ = self._id_of(self._shape, op.key)
            rows = await self._rows(self._shape, [id_]) if id_ is not None else []
            if rows:
                return self._written(rows[0])
        return one(answer)

    def _written(self, row: Mapping[str, Any]) -> Written:
        held = item(self._shape, row, self._calls.base)
        return Written(held.external_id, held.version, held.fields, held.modified_at)
