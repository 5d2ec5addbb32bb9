"""The verbs, over Directus's REST API."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.sync.categories import Category
from engine.sync.connectors.answers import Answer
from engine.sync.connectors.asked import OnlyAsked
from engine.sync.connectors.directus import reading
from engine.sync.connectors.directus.calls import Calls, forbidden, good
from engine.sync.connectors.directus.shapes import INTEGER, Shape, shapes
from engine.sync.connectors.directus.values import item, key
from engine.sync.connectors.directus.writing import Writer
from engine.sync.connectors.protocol import (
    Disconnected,
    Item,
    Op,
    Outcome,
    Page,
    Phase,
    RemoteObject,
)

# Items in one question, and values that are looked for in one.
SOME, VALUES = 100, 20


class DirectusConnector(OnlyAsked):
    """One project."""

    def __init__(self, calls: Calls, only: frozenset[str], origin: str) -> None:
        self._calls, self._only = calls, only
        self._origin = uuid.uuid5(uuid.NAMESPACE_URL, origin)
        self._shapes: dict[str, Shape] = {}
        self._largest: int | None = None
        self._describing = asyncio.Lock()

    async def check(self) -> str:
        """Whether the token is somebody's; whose."""
        user = await self._calls.get("users/me", {"fields": "id,email,first_name,last_name"})
        name = " ".join(filter(None, (user.get("first_name"), user.get("last_name"))))
        return f"{user.get('email') or name or user['id']} at {self._calls.host}"

    async def describe(self) -> Sequence[RemoteObject]:
        """The collections that the user sees."""
        collections, fields, relations = [
            await self._calls.get(path) for path in ("collections", "fields", "relations")
        ]
        self._shapes = {one.object.name: one for one in shapes(collections, fields, relations, self._only)}
        return [one.object for one in self._shapes.values()]

    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        """A page of items by key; of changes, where items are dated, those since the cursor, and then deletions."""
        here, shape = reading.place(phase, cursor), await self._shape(object_)
        limit = min(limit, await self._most() - reading.ANCHORS - 1)
        if here.gone is not None and phase is Phase.CHANGES:
            return await self._deleted(shape, here, limit)
        condition = None
        if phase is Phase.CHANGES and here.since is not None and shape.dated:
            dates = dict.fromkeys((shape.updated, shape.created))
            condition = {"_or": [{name: {"_gte": here.since}} for name in dates]}

        async def ask(query: Mapping[str, Any]) -> tuple[list[dict[str, Any]], Answer]:
            return await self._search(shape, query)

        total = await self._total(shape) if phase is Phase.FULL and cursor is None else None
        found, there, more, answer = await reading.rows(shape, here, condition, limit, ask)
        if here.begun is None:
            there = replace(there, begun=reading.moment(answer) or here.since)
        items = tuple(item(shape, row, self._calls.base) for row in found)
        if more:
            return Page(items, there.cursor(), True, total)
        if phase is Phase.CHANGES and here.since is not None:
            return Page(items, replace(there, gone=0).cursor(), True)
        return Page(items, reading.Place(since=there.begun).cursor(), False, total)

    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        """Items by their keys."""
        if not external_ids:
            return []
        shape = await self._shape(object_)
        found = {str(row[shape.key]): row for row in await self._rows(shape, external_ids)}
        return [
            item(shape, found[id_], self._calls.base) if id_ in found else Item(id_, deleted=True)
            for id_ in external_ids
        ]

    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        """Items by a text, in whatever case it is written."""
        found: dict[str, Item] = {}
        shape = await self._shape(object_) if values else None
        for start in range(0, len(values), VALUES):
            assert shape is not None
            some = values[start : start + VALUES]
            parts: list[dict[str, Any]] = [{field_: {"_in": list(some)}}]
            parts += [{field_: {"_icontains": value.strip()}} for value in some if value.strip()]
            here, more = reading.Place(), True

            async def ask(query: Mapping[str, Any], of: Shape = shape) -> tuple[list[dict[str, Any]], Answer]:
                return await self._search(of, query)

            while more:
                limit = min(SOME, await self._most() - reading.ANCHORS - 1)
                rows, here, more, _ = await reading.rows(shape, here, {"_or": parts}, limit, ask)
                found |= {str(row[shape.key]): item(shape, row, self._calls.base) for row in rows}
        by: dict[str, list[Item]] = {}
        for one in found.values():
            by.setdefault(str(one.fields.get(field_, "")).strip().casefold(), []).append(one)
        return [tuple(by.get(value.strip().casefold(), ())) if value.strip() else () for value in values]

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        """Creations, changes and deletions, each in one call; one by one where a call is refused as a whole."""
        if not ops:
            return []
        shape = await self._shape(object_)
        return await Writer(self._calls, shape, self._id, self._rows).write(ops)

    async def created(self, object_: RemoteObject, key: str) -> Item | None:
        """The item whose key follows from the creation's; integers follow from nothing."""
        shape = await self._shape(object_)
        id_ = self._id(shape, key)
        if id_ is None:
            return None
        (found,) = await self.get(object_, [id_])
        return None if found.deleted else found

    # --- helpers -----------------------------------------------------------------------------------------------

    async def _shape(self, object_: RemoteObject) -> Shape:
        """How this object's collection is: the details that a RemoteObject does not tell."""
        async with self._describing:
            if object_.name not in self._shapes:
                await self.describe()
        if object_.name not in self._shapes:
            raise Disconnected(f'The user sees no collection "{object_.name}".', Category.MISSING_PERMISSION)
        return self._shapes[object_.name]

    async def _most(self) -> int:
        """How many items the server gives at a time."""
        if self._largest is None:
            answer = await self._calls.ask("GET", "server/info")
            told = (good(answer)["data"].get("queryLimit") or {}).get("max")
            self._largest = told if isinstance(told, int) and told > reading.ANCHORS + 1 else 1_000_000
        return self._largest

    async def _search(self, shape: Shape, query: Mapping[str, Any]) -> tuple[list[dict[str, Any]], Answer]:
        asked = {**query, "fields": shape.asked(), "deep": shape.deep()}
        return await self._calls.search(
            shape.object.name, {name: part for name, part in asked.items() if part}
        )

    async def _rows(self, shape: Shape, external_ids: Sequence[str]) -> list[dict[str, Any]]:
        """The rows with these keys that are there."""
        keys = [one for one in (key(shape, id_) for id_ in dict.fromkeys(external_ids)) if one is not None]
        found: list[dict[str, Any]] = []
        for start in range(0, len(keys), SOME):
            some = keys[start : start + SOME]
            rows, _ = await self._search(shape, {"filter": {shape.key: {"_in": some}}, "limit": len(some)})
            found += rows
        if not keys:
            # So that nothing is called deleted by a server that does not answer, or does not know us.
            await self._calls.get("users/me", {"fields": "id"})
        return found

    async def _total(self, shape: Shape) -> int | None:
        """How many items there are."""
        query = {"limit": 1, "fields": [shape.key], "meta": ["total_count"]}
        _, answer = await self._calls.search(shape.object.name, query)
        total = (answer.document().get("meta") or {}).get("total_count")
        return int(total) if isinstance(total, int | str) else None

    async def _deleted(self, shape: Shape, here: reading.Place, limit: int) -> Page:
        """What the project's activity says was deleted, as far as the user may read it; looked at before it is told."""
        done = Page((), reading.Place(since=here.begun).cursor(), False)
        condition = {
            "_and": [
                {"collection": {"_eq": shape.object.name}},
                {"action": {"_eq": "delete"}},
                {"timestamp": {"_gte": here.since}},
                {"id": {"_gt": here.gone}},
            ]
        }
        query = {"filter": condition, "sort": ["id"], "limit": limit, "fields": ["id", "item"]}
        answer = await self._calls.ask("SEARCH", "activity", {"query": query})
        if forbidden(answer):
            return done
        rows = good(answer)["data"]
        if not rows:
            return done
        ids = list(dict.fromkeys(str(row["item"]) for row in rows))
        gone = tuple(one for one in await self.get(shape.object, ids) if one.deleted)
        if len(rows) < limit:
            return replace(done, items=gone)
        return Page(gone, replace(here, gone=int(rows[-1]["id"])).cursor(), True)

    def _id(self, shape: Shape, key_: str) -> str | None:
        """The key of a new item; None: the database counts."""
        if shape.key_type == INTEGER:
            return None
        return str(uuid.uuid5(self._origin, f"{shape.object.name}/{key_}"))
