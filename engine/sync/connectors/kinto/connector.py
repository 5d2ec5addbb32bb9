"""The verbs, over Kinto's API.

A record's time rises strictly in its collection: it is the version, and the cursor of changes. New records get ids that
follow from the key of their creation, so that a repeated one meets the first.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from engine.sync.categories import Category
from engine.sync.connectors.answers import Answer
from engine.sync.connectors.asked import OnlyAsked
from engine.sync.connectors.kinto import reading
from engine.sync.connectors.kinto.calls import Call, Calls, one, whole
from engine.sync.connectors.kinto.shapes import Told, shape
from engine.sync.connectors.kinto.values import ID, etag, fields, item, moment, sent, version
from engine.sync.connectors.protocol import (
    ConnectorError,
    Create,
    Delete,
    Disconnected,
    Item,
    Op,
    Outcome,
    Page,
    Phase,
    RemoteObject,
    Retry,
    Unclear,
    Update,
    Written,
)

OVERLAP = reading.OVERLAP
SAMPLE = 100
# Ids in one address: some servers take no longer ones.
IDS = 50
MERGE = {"Content-Type": "application/merge-patch+json"}


class KintoConnector(OnlyAsked):
    """One bucket."""

    def __init__(self, calls: Calls, bucket: str, more: Told, origin: str) -> None:
        self._calls, self._bucket, self._more = calls, bucket, more
        self._origin = uuid.uuid5(uuid.NAMESPACE_URL, origin)

    async def check(self) -> str:
        """Whether the bucket can be read; who we are there."""
        told = (await self._calls.get("")).document()
        user = (told.get("user") or {}).get("id")
        if self._calls.signed_in and not user:
            raise Disconnected(
                f"{self._calls.host} does not accept the credentials.", Category.AUTHENTICATION_EXPIRED
            )
        await self._calls.get(f"buckets/{self._bucket}/collections?_limit=1")
        return f"{self._bucket} at {self._calls.host} as {user or 'nobody'}"

    async def describe(self) -> Sequence[RemoteObject]:
        """The bucket's collections."""
        objects = []
        for collection in await self._all(f"buckets/{self._bucket}/collections", {"_sort": "id"}):
            name = str(collection["id"])
            schema = collection.get("schema")
            schema = schema if isinstance(schema, dict) and schema.get("properties") else None
            sample = (
                []
                if schema
                else (await self._calls.get(f"{self._records(name)}?_limit={SAMPLE}")).document()["data"]
            )
            objects.append(shape(name, schema, sample, self._more))
        return objects

    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        """A page of records, by their time."""
        place = reading.place(phase, cursor)
        records = self._records(object_.name)
        total = None
        if phase is Phase.FULL and cursor is None:
            counted = await self._calls.ask(Call("HEAD", records))
            told = counted.headers.get("Total-Records") or counted.headers.get("Total-Objects") or ""
            total = int(told) if told.isdigit() else None
        query = urlencode({"_sort": "last_modified", "_limit": limit, **place.query()})
        answer = await self._calls.ask(Call("GET", f"{records}?{query}"))
        if answer.status == 400 and cursor is not None:
            raise reading.lost()
        if not answer.ok:
            raise whole(answer)
        after, more = reading.after(place, answer)
        items = tuple(self._item(object_, record) for record in answer.document()["data"])
        if phase is Phase.FULL:
            items = tuple(each for each in items if not each.deleted)
        return Page(items, after, more, total)

    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        """Records by their ids."""
        found: dict[str, Item] = {}
        asked = [one for one in dict.fromkeys(external_ids) if ID.fullmatch(one)]
        for start in range(0, len(asked), IDS):
            ids = ",".join(f'"{one}"' for one in asked[start : start + IDS])
            for record in await self._all(self._records(object_.name), {"in_id": ids}):
                found[str(record["id"])] = self._item(object_, record)
        if not asked and external_ids:
            # So that nothing is called deleted by a server that does not answer.
            await self._calls.get("")
        return [found.get(id_) or Item(id_, deleted=True) for id_ in external_ids]

    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        """Records by a text, in whatever case it is written where the server can tell."""
        records, size = self._records(object_.name), await self._calls.size() if values else 1
        found: list[tuple[Item, ...]] = []
        for start in range(0, len(values), size):
            some = values[start : start + size]
            loosely = [Call("GET", f"{records}?{reading.like(field_, value)}") for value in some]
            try:
                answers = await self._calls.batch(loosely)
                if any(answer.status >= 500 for answer in answers):
                    raise Disconnected("It does not compare texts loosely.")
            except Disconnected as error:
                if error.category is not Category.REMOTE_UNAVAILABLE:
                    raise
                # The memory backend stumbles over records that have something else than a text there.
                exactly = [Call("GET", f"{records}?{reading.equal(field_, value)}") for value in some]
                answers = await self._calls.batch(exactly)
            for value, answer in zip(some, answers, strict=True):
                found.append(await self._same(object_, field_, value, answer))
        return found

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        """All in batches; updates that empty a field one by one, since a batch cannot take fields away."""
        outcomes: dict[int, Outcome] = {}
        calls = {n: self._call(object_, op) for n, op in enumerate(ops)}
        size = await self._calls.size() if ops else 1
        batched = [n for n, (call, alone) in calls.items() if not alone]
        groups = [batched[start : start + size] for start in range(0, len(batched), size)]
        groups += [[n] for n, (_, alone) in calls.items() if alone]
        for group in groups:
            try:
                some = [calls[n][0] for n in group]
                alone = calls[group[0]][1]
                answers = [await self._calls.ask(some[0])] if alone else await self._calls.batch(some)
            except Unclear as error:
                outcomes |= {n: error for n in group}
                left: ConnectorError = Retry(error.message, error.category)
            except ConnectorError as error:
                if not outcomes:
                    raise
                left = error
            else:
                outcomes |= {
                    n: self._outcome(object_, ops[n], answer)
                    for n, answer in zip(group, answers, strict=True)
                }
                continue
            outcomes |= {n: left for n in range(len(ops)) if n not in outcomes}
            break
        return [outcomes[n] for n in range(len(ops))]

    async def created(self, object_: RemoteObject, key: str) -> Item | None:
        """The record whose id follows from the key."""
        (found,) = await self.get(object_, [self._id(object_, key)])
        return None if found.deleted else found

    # --- helpers -----------------------------------------------------------------------------------------------

    def _records(self, collection: str) -> str:
        return f"buckets/{self._bucket}/collections/{quote(collection, safe='')}/records"

    def _id(self, object_: RemoteObject, key: str) -> str:
        return str(uuid.uuid5(self._origin, f"{object_.name}/{key}"))

    def _item(self, object_: RemoteObject, record: Mapping[str, Any]) -> Item:
        return item(object_, record, f"{self._calls.base}{self._records(object_.name)}/{record['id']}")

    async def _all(self, path: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
        """What a list has, over all of its pages."""
        found: list[dict[str, Any]] = []
        token = None
        while True:
            query = urlencode({**params, **({"_token": token} if token else {})})
            answer = await self._calls.get(f"{path}?{query}")
            found += answer.document()["data"]
            token = reading.token(answer)
            if token is None:
                return found

    async def _same(self, object_: RemoteObject, field_: str, value: str, answer: Answer) -> tuple[Item, ...]:
        """Of what was found loosely, what is really equal."""
        if not answer.ok:
            raise whole(answer)
        records = answer.document()["data"]
        if reading.token(answer) is not None:
            exact = dict([reading.equal(field_, value).split("=", 1)])
            records = await self._all(
                self._records(object_.name), {name: value for name, value in exact.items()}
            )
        items = [self._item(object_, record) for record in records]
        wanted = value.strip().casefold()
        return tuple(
            each
            for each in items
            if str(each.fields.get(field_, "")).strip().casefold() == wanted and not each.deleted
        )

    def _call(self, object_: RemoteObject, op: Op) -> tuple[Call, bool]:
        """An op as a call, and whether it must go alone."""
        records = self._records(object_.name)
        match op:
            case Create():
                body = {
                    name: value
                    for name, value in sent(op.fields, object_, op.links).items()
                    if value is not None
                }
                call = Call(
                    "PUT", f"{records}/{self._id(object_, op.key)}", {"data": body}, {"If-None-Match": "*"}
                )
                return call, False
            case Update():
                body = sent(op.fields, object_, op.links)
                empties = any(value is None for value in body.values())
                headers = {"If-Match": etag(op.version)} if op.version else {}
                call = Call(
                    "PATCH",
                    f"{records}/{_safe(op.external_id)}",
                    {"data": body},
                    {**headers, **MERGE} if empties else headers,
                )
                return call, empties
            case Delete():
                headers = {"If-Match": etag(op.version)} if op.version else {}
                return Call("DELETE", f"{records}/{_safe(op.external_id)}", None, headers), False

    def _outcome(self, object_: RemoteObject, op: Op, answer: Answer) -> Outcome:
        """What came of an op."""
        if answer.ok:
            return self._written(object_, answer.document()["data"])
        if isinstance(op, Create) and answer.status == 412:
            existing = (answer.document().get("details") or {}).get("existing")
            if existing:
                # It was made before, by this very key.
                return self._written(object_, existing)
        return one(answer)

    def _written(self, object_: RemoteObject, record: Mapping[str, Any]) -> Written:
        changed = int(record["last_modified"])
        held = None if record.get("deleted") else fields(object_, record)
        return Written(str(record["id"]), version(changed), held, moment(changed))


def _safe(external_id: str) -> str:
    """An id as part of a path; what cannot be one leads to a record that nobody has."""
    return external_id if ID.fullmatch(external_id) else "0" * 64
