"""Ops as mutations of the other one: values in batches, creations each under its own key, then associations."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.sync.categories import Category
from engine.sync.connectors.protocol import (
    Create,
    Delete,
    Item,
    Op,
    Outcome,
    Rejected,
    RemoteObject,
    RemoteRole,
    Update,
    Written,
)
from engine.sync.connectors.relata.asking import Asking, of_item
from engine.sync.connectors.relata.describing import label_of
from engine.sync.connectors.relata.reading import got

# Creations in one request: each is a field of its own, with its own key.
CREATIONS = 50
# Inputs of a batch.
BATCH = 500

_ERRORS = "userErrors { code message details }"
_RESULTS = f"results {{ record {{ id }} {_ERRORS} }} {_ERRORS}"
UPDATE = f"mutation ($input: UpdateRecordsInput!) {{ updateRecords(input: $input) {{ {_RESULTS} }} }}"
ARCHIVE = f"mutation ($input: ArchiveRecordsInput!) {{ archiveRecords(input: $input) {{ {_RESULTS} }} }}"
RESTORE = f"mutation ($input: RestoreRecordsInput!) {{ restoreRecords(input: $input) {{ {_RESULTS} }} }}"
_PAIRS = f"results {{ {_ERRORS} }} {_ERRORS}"
# What says that there is nothing to take away.
_NOT_THERE = frozenset({"NOT_ASSOCIATED", "LABEL_NOT_HELD"})


async def write(asking: Asking, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
    """Do each op, or say why not, in the order asked."""
    outcomes: list[Outcome | None] = [None] * len(ops)
    ids: dict[int, str] = {
        place: op.external_id for place, op in enumerate(ops) if not isinstance(op, Create)
    }
    await _update(asking, ops, outcomes)
    await _archive(asking, ops, outcomes)
    await _create(asking, object_, ops, outcomes, ids)
    await _associate(asking, object_, ops, outcomes, ids)
    left = [place for place, outcome in enumerate(outcomes) if outcome is None]
    read = [place for place in left if not isinstance(ops[place], Delete)]
    now = dict(zip(read, await got(asking, object_, [ids[place] for place in read]), strict=True))
    return [outcome or _written(ids[place], now.get(place)) for place, outcome in enumerate(outcomes)]


def _written(external_id: str, item: Item | None) -> Outcome:
    if item is None or item.deleted:
        return Written(external_id)
    return Written(external_id, item.version, item.fields, item.modified_at)


def _note(
    outcomes: list[Outcome | None], places: Sequence[int], payload: Mapping[str, Any]
) -> dict[int, Mapping[str, Any]]:
    """Failures of a batch as outcomes; the results of the others by place. Raises what is about the whole batch."""
    if len(payload["results"]) != len(places):
        raise of_item(payload["userErrors"][0])
    done = {}
    for place, result in zip(places, payload["results"], strict=True):
        if result["userErrors"]:
            outcomes[place] = of_item(result["userErrors"][0])
        else:
            done[place] = result
    return done


async def _update(asking: Asking, ops: Sequence[Op], outcomes: list[Outcome | None]) -> None:
    """Values of records, and of those whose associations alone change: whether they are there."""
    wanted = [place for place, op in enumerate(ops) if isinstance(op, Update)]
    for start in range(0, len(wanted), BATCH):
        part = wanted[start : start + BATCH]
        records = [
            {"id": op.external_id, "properties": dict(op.fields)}
            for op in (ops[place] for place in part)
            if isinstance(op, Update)
        ]
        data = await asking.ask(UPDATE, input={"records": records, "mode": "PER_ITEM"})
        _note(outcomes, part, data["updateRecords"])


async def _archive(asking: Asking, ops: Sequence[Op], outcomes: list[Outcome | None]) -> None:
    wanted = [place for place, op in enumerate(ops) if isinstance(op, Delete)]
    for start in range(0, len(wanted), BATCH):
        part = wanted[start : start + BATCH]
        ids = [op.external_id for op in (ops[place] for place in part) if isinstance(op, Delete)]
        data = await asking.ask(ARCHIVE, input={"ids": ids, "mode": "PER_ITEM"})
        _note(outcomes, part, data["archiveRecords"])


async def _create(
    asking: Asking,
    object_: RemoteObject,
    ops: Sequence[Op],
    outcomes: list[Outcome | None],
    ids: dict[int, str],
) -> None:
    """New records without associations: those are added afterwards, so that no company becomes primary by itself."""
    wanted = [(place, op) for place, op in enumerate(ops) if isinstance(op, Create)]
    for start in range(0, len(wanted), CREATIONS):
        part = wanted[start : start + CREATIONS]
        declared = ", ".join(f"$i{place}: CreateRecordsInput!" for place, _ in part)
        fields = " ".join(f"m{place}: createRecords(input: $i{place}) {{ {_RESULTS} }}" for place, _ in part)
        inputs = {
            f"i{place}": {
                "objectType": object_.name,
                "records": [{"properties": {name: v for name, v in op.fields.items() if v is not None}}],
                "mode": "PER_ITEM",
                "idempotencyKey": op.key,
            }
            for place, op in part
        }
        data = await asking.ask(f"mutation ({declared}) {{ {fields} }}", **inputs)
        for place, _ in part:
            payload = data[f"m{place}"]
            if not payload["results"]:
                outcomes[place] = of_item(payload["userErrors"][0])
                continue
            for _, result in _note(outcomes, [place], payload).items():
                ids[place] = result["record"]["id"]
        await _bring_back(asking, [(place, op, data[f"m{place}"]) for place, op in part], outcomes, ids)


async def _bring_back(
    asking: Asking,
    created: Sequence[tuple[int, Create, Mapping[str, Any]]],
    outcomes: list[Outcome | None],
    ids: dict[int, str],
) -> None:
    """Who was put away and holds the unique value of a new record is that record, and comes back with its values."""
    for place, op, payload in created:
        errors = [error for result in payload["results"] for error in result["userErrors"]]
        held = [error for error in errors if error["code"] == "UNIQUE_VALUE_ARCHIVED"]
        if not held or len(held) < len(errors):
            continue
        holder = held[0]["details"]["holder"]
        data = await asking.ask(RESTORE, input={"ids": [holder], "mode": "PER_ITEM"})
        outcomes[place] = None
        if _note(outcomes, [place], data["restoreRecords"]):
            records = [{"id": holder, "properties": dict(op.fields)}]
            data = await asking.ask(UPDATE, input={"records": records, "mode": "PER_ITEM"})
            _note(outcomes, [place], data["updateRecords"])
            ids[place] = holder


async def _associate(
    asking: Asking,
    object_: RemoteObject,
    ops: Sequence[Op],
    outcomes: list[Outcome | None],
    ids: Mapping[int, str],
) -> None:
    """Take away first, so that what comes fits the limits."""
    roles = {role.name: role for role in object_.roles}
    parting: list[tuple[int, dict[str, Any]]] = []
    losing: list[tuple[int, dict[str, Any]]] = []
    joining: list[tuple[int, dict[str, Any]]] = []
    for place, op in enumerate(ops):
        if outcomes[place] is not None or isinstance(op, Delete):
            continue
        try:
            gone, lost, come = _pairs(roles, ids[place], op)
        except Rejected as error:
            outcomes[place] = error
            continue
        parting += [(place, pair) for pair in gone]
        losing += [(place, pair) for pair in lost]
        joining += [(place, pair) for pair in come]
    await _send(asking, "removeLabels", {}, losing, outcomes)
    await _send(asking, "dissociate", {}, parting, outcomes)
    await _send(asking, "associate", {"firstPrimary": False}, joining, outcomes)


def _pairs(
    roles: Mapping[str, RemoteRole], own: str, op: Create | Update
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Associations to part, labels to remove, and associations to make with their labels. Raises Rejected."""
    for name in (*op.links.added, *op.links.removed):
        if name not in roles:
            raise Rejected(f'There is no role "{name}".', Category.PROPERTY_NOT_FOUND, name)
    come: dict[str, list[str]] = {}
    for name, others in op.links.added.items():
        label = label_of(roles[name])
        for other in others:
            come.setdefault(other, []).extend([label] if label is not None else [])
    gone: set[str] = set()
    lost: dict[str, list[str]] = {}
    for name, others in op.links.removed.items():
        label = label_of(roles[name])
        for other in others:
            if label is not None:
                lost.setdefault(other, []).append(label)
            elif other not in come:
                gone.add(other)
    return (
        [{"fromId": own, "toId": other} for other in sorted(gone)],
        [
            {"fromId": own, "toId": other, "labels": labels}
            for other, labels in lost.items()
            if other not in gone
        ],
        [{"fromId": own, "toId": other, "labels": labels} for other, labels in come.items()],
    )


async def _send(
    asking: Asking,
    mutation: str,
    options: Mapping[str, Any],
    pairs: Sequence[tuple[int, dict[str, Any]]],
    outcomes: list[Outcome | None],
) -> None:
    kind = mutation[0].upper() + mutation[1:]
    text = f"mutation ($input: {kind}Input!) {{ {mutation}(input: $input) {{ {_PAIRS} }} }}"
    wanted = [(place, pair) for place, pair in pairs if outcomes[place] is None]
    for start in range(0, len(wanted), BATCH):
        part = wanted[start : start + BATCH]
        asked = {"associations": [pair for _, pair in part], "mode": "PER_ITEM", **options}
        payload = (await asking.ask(text, input=asked))[mutation]
        if len(payload["results"]) != len(part):
            raise of_item(payload["userErrors"][0])
        for (place, _), result in zip(part, payload["results"], strict=True):
            errors = [each for each in result["userErrors"] if each["code"] not in _NOT_THERE]
            if errors:
                outcomes[place] = of_item(errors[0])
