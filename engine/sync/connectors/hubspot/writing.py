"""Writing: batches of creations, changes and deletions, and of each item what became of it.

Each input carries a trace id, by which HubSpot tells which item an answer is about, and tells failures one by one
(207). Where it refuses a batch as a whole, its halves are asked for, down to the item at fault.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from engine.sync.categories import Category
from engine.sync.connectors.hubspot import roles
from engine.sync.connectors.hubspot.calls import Calls
from engine.sync.connectors.hubspot.errors import ABOUT_THE_REQUEST, validation
from engine.sync.connectors.hubspot.kinds import KEY_PROPERTY
from engine.sync.connectors.hubspot.reading import MOST, version
from engine.sync.connectors.hubspot.values import decoded, encoded
from engine.sync.connectors.protocol import (
    ConnectorError,
    Create,
    Delete,
    Disconnected,
    Gone,
    Op,
    Outcome,
    Rejected,
    RemoteObject,
    Retry,
    Unclear,
    Update,
    Written,
)

# Inputs of a batch by their trace ids.
Inputs: TypeAlias = Mapping[str, dict[str, Any]]
Outcomes: TypeAlias = dict[int, Outcome]


async def write(calls: Calls, object_: RemoteObject, ops: Sequence[Op], keyed: bool) -> list[Outcome]:
    """Do each op, in the order asked. `keyed`: the object has the property for keys of creations."""
    outcomes: Outcomes = {}
    steps: list[Callable[[], Awaitable[None]]] = []
    creates = {n: op for n, op in enumerate(ops) if isinstance(op, Create)}
    for batch in _batches(creates):
        steps.append(partial(_create, calls, object_, batch, outcomes, keyed))
    for updates in _rounds({n: op for n, op in enumerate(ops) if isinstance(op, Update)}):
        for batch in _batches(updates):
            steps.append(partial(_update, calls, object_, batch, outcomes))
    deletes = {n: op for n, op in enumerate(ops) if isinstance(op, Delete)}
    for batch in _batches(deletes):
        steps.append(partial(_delete, calls, object_, batch, outcomes))
    for step in steps:
        try:
            await step()
        except Disconnected as error:
            if not outcomes:
                raise
            # What was done is told; the rest meets the same the next time.
            left = Retry(error.message, error.category, error.after)
            return [outcomes.get(n, left) for n in range(len(ops))]
    return [outcomes[n] for n in range(len(ops))]


def _batches(ops: dict[int, Any]) -> list[dict[int, Any]]:
    numbers = list(ops)
    return [{n: ops[n] for n in numbers[start : start + MOST]} for start in range(0, len(numbers), MOST)]


def _rounds(ops: dict[int, Update]) -> list[dict[int, Update]]:
    """An item stands once in a batch; changes of the same one follow each other."""
    rounds: list[dict[int, Update]] = []
    for n, op in ops.items():
        for each in rounds:
            if all(other.external_id != op.external_id for other in each.values()):
                each[n] = op
                break
        else:
            rounds.append({n: op})
    return rounds


async def _create(
    calls: Calls, object_: RemoteObject, ops: dict[int, Create], outcomes: Outcomes, keyed: bool
) -> None:
    inputs: dict[str, dict[str, Any]] = {}
    for n, op in ops.items():
        trace = f"{n}:{op.key}"
        filled = {name: value for name, value in op.fields.items() if value is not None}
        properties = encoded(object_, filled) | ({KEY_PROPERTY: op.key} if keyed else {})
        try:
            links = roles.for_creation(op.links)
        except ConnectorError as error:
            outcomes[n] = error
            continue
        inputs[trace] = {"properties": properties, "associations": links, "objectWriteTraceId": trace}
    told: dict[str, Outcome] = {}
    try:
        await _send(calls, object_, "create", inputs, told)
    finally:
        for n, op in ops.items():
            if (outcome := told.get(f"{n}:{op.key}")) is not None:
                outcomes[n] = _not_gone(outcome)


def _not_gone(outcome: Outcome) -> Outcome:
    """What is created is never gone: something else that it names is."""
    if isinstance(outcome, Gone):
        return Rejected(outcome.message, Category.RECORD_NOT_FOUND)
    return outcome


async def _update(calls: Calls, object_: RemoteObject, ops: dict[int, Update], outcomes: Outcomes) -> None:
    traces = {n: f"{n}:{op.key}" for n, op in ops.items()}
    inputs: dict[str, dict[str, Any]] = {}
    for n, op in ops.items():
        if not (op.external_id.isascii() and op.external_id.isdecimal() and len(op.external_id) < 20):
            outcomes[n] = Gone("there is no such id")
        elif op.fields:
            inputs[traces[n]] = {
                "id": op.external_id,
                "properties": encoded(object_, op.fields),
                "objectWriteTraceId": traces[n],
            }
    told: dict[str, Outcome] = {}
    try:
        if inputs:
            await _send(calls, object_, "update", inputs, told)
        linked = {
            op.external_id: op.links
            for n, op in ops.items()
            if n not in outcomes
            and (op.links.added or op.links.removed)
            and isinstance(told.get(traces[n], Written("")), Written)
        }
        failed = await roles.write(calls, object_, linked) if linked else {}
    except ConnectorError:
        # Fields that are written twice are written once; links are not told as done before they are.
        for n, op in ops.items():
            if traces[n] in told and not (op.links.added or op.links.removed):
                outcomes[n] = told[traces[n]]
        raise
    for n, op in ops.items():
        if n not in outcomes:
            outcome = told.get(traces[n], Written(op.external_id))
            bad = failed.get(op.external_id)
            outcomes[n] = bad if bad is not None and isinstance(outcome, Written) else outcome


async def _delete(calls: Calls, object_: RemoteObject, ops: dict[int, Delete], outcomes: Outcomes) -> None:
    """Archive: what is not there is passed over."""
    ids = [op.external_id for op in ops.values()]
    known = [id_ for id_ in dict.fromkeys(ids) if id_.isascii() and id_.isdecimal() and len(id_) < 20]
    if known:
        await calls.ask(
            "batch", "archive", object_.name, {"inputs": [{"id": id_} for id_ in known]}, writing=False
        )
    outcomes |= {n: Written(op.external_id) for n, op in ops.items()}


async def _send(
    calls: Calls, object_: RemoteObject, verb: str, inputs: Inputs, told: dict[str, Outcome]
) -> None:
    """Send a batch, or, where it is refused as a whole, its halves; `told` gets the outcomes by trace id."""
    if not inputs:
        return
    body = {"inputs": list(inputs.values())}
    try:
        # A change that may have been done may be repeated; a creation may not.
        answer = await calls.ask("batch", verb, object_.name, body, writing=True)
    except Unclear as error:
        again = error if verb == "create" else Retry(error.message, error.category)
        told |= dict.fromkeys(inputs, again)
        return
    except ABOUT_THE_REQUEST as error:
        if len(inputs) == 1:
            told[next(iter(inputs))] = error
            return
        traces = list(inputs)
        for half in (traces[: len(traces) // 2], traces[len(traces) // 2 :]):
            await _send(calls, object_, verb, {trace: inputs[trace] for trace in half}, told)
        return
    _read(object_, inputs, answer.data, told)


def _read(object_: RemoteObject, inputs: Inputs, data: Any, told: dict[str, Outcome]) -> None:
    """The outcomes of a batch, by the trace ids in its answer, or by ids."""
    by_id = {str(each["id"]): trace for trace, each in inputs.items() if "id" in each}
    for result in data.results:
        trace = str(result.object_write_trace_id or by_id.get(str(result.id)))
        if trace in inputs:
            told[trace] = _written(object_, inputs[trace], result)
    for error in getattr(data, "errors", None) or ():
        refusal = error.to_dict()
        context = refusal.get("context") or {}
        traces = context.get("objectWriteTraceId") or [
            by_id[id_] for id_ in map(str, context.get("ids") or context.get("id") or ()) if id_ in by_id
        ]
        told |= dict.fromkeys((trace for trace in traces if trace in inputs), validation(refusal))
    for trace in inputs:
        told.setdefault(trace, Unclear("HubSpot's answer does not say what became of it"))


def _written(object_: RemoteObject, sent: dict[str, Any], result: Any) -> Outcome:
    if "id" in sent and str(result.id) != str(sent["id"]):
        return Gone(f"it was merged into {result.id}")
    held = {name: text for name, text in (result.properties or {}).items() if name in sent["properties"]}
    known = version(object_, result.updated_at, None)
    return Written(str(result.id), known, decoded(object_, held), result.updated_at)
