"""Records of the other one as items: with their associations, whatever their number, at a bounded cost."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from engine.sync.connectors.protocol import CursorLost, Item, Page, Phase, RemoteObject
from engine.sync.connectors.relata.asking import Asking
from engine.sync.connectors.relata.describing import label_of

# Records asked for by id at once; associations read at once, and of one record.
IDS, EDGES, MOST = 200, 20_000, 500
VALUES = 100

_EDGES = "edges { node { id } labels { name } } pageInfo { hasNextPage endCursor }"
NOW = "query { changes(first: 0) { cursor } }"
CHANGES = """
query ($objectType: String!, $after: String!, $first: Int!) {
  changes(objectType: $objectType, after: $after, first: $first, kinds: [
    RECORD_CREATED, RECORD_UPDATED, RECORD_ARCHIVED, RECORD_RESTORED, RECORD_MERGED,
    ASSOCIATION_ADDED, ASSOCIATION_REMOVED, LABEL_ADDED, LABEL_REMOVED
  ]) {
    cursor hasNextPage nodes { cursor recordId other { id objectType } }
  }
}
"""


def _record(object_: RemoteObject) -> str:
    """The fields of a record. How many associations it has says what is worth asking for."""
    tos = ", ".join(dict.fromkeys(role.to for role in object_.roles)).split(", ") if object_.roles else []
    counts = " ".join(f'n{place}: associationCount(to: "{to}")' for place, to in enumerate(tos))
    return f"id objectType properties updatedAt archivedAt {counts}"


async def page(asking: Asking, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
    """Some records behind the cursor. Raises CursorLost."""
    if phase is Phase.FULL:
        return await _full(asking, object_, cursor, limit)
    return await _changes(asking, object_, cursor, limit)


def _cursor(cursor: str, phase: Phase) -> list[Any]:
    try:
        found = orjson.loads(cursor)
        if isinstance(found, list) and len(found) == 3 and found[0] == phase.value:
            return found
    except orjson.JSONDecodeError:
        pass
    raise CursorLost("The cursor is none of this connector's.")


def _text(phase: Phase, *parts: Any) -> str:
    return orjson.dumps([phase.value, *parts]).decode()


async def _full(asking: Asking, object_: RemoteObject, cursor: str | None, limit: int) -> Page:
    if cursor is None:
        # Before the pass begins: what changes while it goes on stands behind this place of the log.
        log, after = (await asking.ask(NOW))["changes"]["cursor"], None
    else:
        _, log, after = _cursor(cursor, Phase.FULL)
    counted = "totalCount" if cursor is None else ""
    text = (
        "query ($objectType: String!, $first: Int!, $after: String) { records(objectType: $objectType, "
        f"first: $first, after: $after) {{ nodes {{ {_record(object_)} }} "
        f"pageInfo {{ hasNextPage endCursor }} {counted} }} }}"
    )
    data = await asking.ask(text, objectType=object_.name, first=limit, after=after)
    found, info = data["records"], data["records"]["pageInfo"]
    items = await items_of(asking, object_, found["nodes"])
    more = info["hasNextPage"]
    following = _text(Phase.FULL, log, info["endCursor"]) if more else _text(Phase.CHANGES, log, None)
    return Page(tuple(items), following, more, found.get("totalCount"))


async def _changes(asking: Asking, object_: RemoteObject, cursor: str | None, limit: int) -> Page:
    if cursor is None:
        log = (await asking.ask(NOW))["changes"]["cursor"]
        return Page((), _text(Phase.CHANGES, log, None), more=False)
    _, log, _ = _cursor(cursor, Phase.CHANGES)
    data = await asking.ask(CHANGES, objectType=object_.name, after=log, first=limit)
    told = data["changes"]
    ids: dict[str, None] = {}
    place, more = told["cursor"], told["hasNextPage"]
    for event in told["nodes"]:
        both = {event["recordId"]: None}
        if event["other"] is not None and event["other"]["objectType"] == object_.name:
            both[event["other"]["id"]] = None
        if ids and len(ids | both) > limit:
            place, more = log, True
            break
        ids |= both
        log = event["cursor"]
    items = await got(asking, object_, list(ids))
    return Page(tuple(items), _text(Phase.CHANGES, place, None), more)


async def got(asking: Asking, object_: RemoteObject, ids: Sequence[str]) -> list[Item]:
    """Records by their ids, in the order asked; who is not there, or was put or merged away, as deleted."""
    text = f"query ($ids: [ID!]!) {{ recordsById(ids: $ids) {{ {_record(object_)} }} }}"
    there: dict[str, Item] = {}
    wanted = list(dict.fromkeys(ids))
    for start in range(0, len(wanted), IDS):
        part = wanted[start : start + IDS]
        records = (await asking.ask(text, ids=part))["recordsById"]
        live = [
            record
            for asked, record in zip(part, records, strict=True)
            if record is not None
            and record["id"] == asked
            and record["objectType"] == object_.name
            and record["archivedAt"] is None
        ]
        there |= {item.external_id: item for item in await items_of(asking, object_, live)}
    return [there.get(each) or Item(each, deleted=True) for each in ids]


async def having(asking: Asking, object_: RemoteObject, field: str, values: Sequence[str]) -> list[Item]:
    """Records that have one of these values in a property."""
    text = (
        "query ($objectType: String!, $where: FilterInput!, $first: Int!, $after: String) { records("
        "objectType: $objectType, where: $where, first: $first, after: $after) "
        f"{{ nodes {{ {_record(object_)} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    )
    found: list[Item] = []
    for start in range(0, len(values), VALUES):
        part = list(values[start : start + VALUES])
        where = {"property": {"name": field, "operator": "ANY_OF", "values": part}}
        after = None
        while True:
            data = await asking.ask(text, objectType=object_.name, where=where, first=IDS, after=after)
            found += await items_of(asking, object_, data["records"]["nodes"])
            if not data["records"]["pageInfo"]["hasNextPage"]:
                break
            after = data["records"]["pageInfo"]["endCursor"]
    return found


# --- associations ------------------------------------------------------------------------------------------------


async def items_of(asking: Asking, object_: RemoteObject, records: Sequence[Mapping[str, Any]]) -> list[Item]:
    """Records as items, with everything that is associated with them in the object's roles."""
    tos = list(dict.fromkeys(role.to for role in object_.roles))
    # {object type: {record: {other record: labels}}}
    ends: dict[str, dict[str, dict[str, list[str]]]] = {}
    for place, to in enumerate(tos):
        counts = {record["id"]: record[f"n{place}"] for record in records if record[f"n{place}"]}
        ends[to] = await _ends(asking, to, counts)
    names = [field.name for field in object_.fields]
    return [_item(object_, names, record, ends) for record in records]


def _item(
    object_: RemoteObject,
    names: Sequence[str],
    record: Mapping[str, Any],
    ends: Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]],
) -> Item:
    values = record["properties"]
    fields = {name: values.get(name) for name in names}
    associations = {}
    for role in object_.roles:
        label, others = label_of(role), ends[role.to].get(record["id"], {})
        associations[role.name] = tuple(
            sorted(other for other, labels in others.items() if label is None or label in labels)
        )
    version = hashlib.blake2b(
        orjson.dumps((fields, associations), option=orjson.OPT_SORT_KEYS), digest_size=10
    ).hexdigest()
    at = datetime.fromisoformat(record["updatedAt"])
    return Item(record["id"], fields, version, at, associations)


async def _ends(asking: Asking, to: str, counts: Mapping[str, int]) -> dict[str, dict[str, list[str]]]:
    """{record: {associated record: labels}} of records that have so many each; the smallest first, many at once."""
    found: dict[str, dict[str, list[str]]] = {record: {} for record in counts}
    waiting = sorted(counts, key=lambda record: counts[record])
    while waiting:
        first, part = 1, list[str]()
        while waiting and len(part) < IDS:
            wider = max(first, min(MOST, counts[waiting[0]]))
            if part and wider * (len(part) + 1) > EDGES:
                break
            first = wider
            part.append(waiting.pop(0))
        text = (
            "query ($ids: [ID!]!, $to: String!, $first: Int!) { recordsById(ids: $ids) "
            f"{{ id associations(to: $to, first: $first) {{ {_EDGES} }} }} }}"
        )
        for record in (await asking.ask(text, ids=part, to=to, first=first))["recordsById"]:
            page = record["associations"]
            _note(found[record["id"]], page)
            while page["pageInfo"]["hasNextPage"]:
                page = await _more(asking, record["id"], to, page["pageInfo"]["endCursor"])
                _note(found[record["id"]], page)
    return found


async def _more(asking: Asking, record: str, to: str, after: str) -> Mapping[str, Any]:
    text = (
        "query ($id: ID!, $to: String!, $first: Int!, $after: String) { record(id: $id) "
        f"{{ associations(to: $to, first: $first, after: $after) {{ {_EDGES} }} }} }}"
    )
    data = await asking.ask(text, id=record, to=to, first=MOST, after=after)
    page: Mapping[str, Any] = data["record"]["associations"]
    return page


def _note(ends: dict[str, list[str]], page: Mapping[str, Any]) -> None:
    for edge in page["edges"]:
        ends[edge["node"]["id"]] = [label["name"] for label in edge["labels"]]
