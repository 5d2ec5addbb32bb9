"""The stand-in for HubSpot behind HTTP: paths, scopes, limits, pages, and answers that the client's models accept."""

import asyncio
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Any, TypeAlias

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.gate import free_port
from tests.hubspot_models import Malformed, checked, models_of
from tests.hubspot_standin import Kind, Portal, Property, Refusal, Row, iso
from tests.served import Server as Uvicorn

LIST_LIMIT = 100
SEARCH_LIMIT = 200
SEARCH_WINDOW = 10_000
BATCH = 100
PAIRS_READ = 1_000
PAIRS_WRITTEN = 2_000
# Characters of an address that are let in.
ADDRESS = 8_000
# Ends that one page of associations has.
ENDS = 3
TOKEN = "pat-eu1-stand-in"
ALWAYS = ("hs_object_id", "createdate")
DEFAULTS = {"contacts": ("email", "firstname", "lastname"), "companies": ("name", "domain")}

Handler: TypeAlias = Callable[["Call"], tuple[int, Any, str | None]]


class Lost(Response):
    """An answer that breaks off: what was asked has been done."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})


class Call:
    """A request that has been let in."""

    def __init__(self, portal: Portal, request: Request, body: Any) -> None:
        self.portal = portal
        self.path = request.path_params
        self.query = request.query_params
        self.body = body

    @property
    def kind(self) -> Kind:
        """The object in the path."""
        return self.portal.kind(self.path["object"])

    def needs(self, family: str, kind: Kind, verb: str) -> None:
        """Raises Refusal where the token has no scope for this."""
        name = "custom" if kind.custom else kind.name
        wanted = "tickets" if name == "tickets" else f"crm.{family}.{name}.{verb}"
        if wanted not in self.portal.scopes:
            raise Refusal(
                403,
                "MISSING_SCOPES",
                "This app hasn't been granted all required scopes to make this call.",
                errors=[
                    {
                        "message": "One or more of the following scopes are required.",
                        "context": {"requiredGranularScopes": [wanted]},
                    }
                ],
            )


# --- objects -----------------------------------------------------------------------------------------------------


def told(kind: Kind, row: Row, names: Sequence[str]) -> dict[str, Any]:
    """An item, with the properties asked for that there are."""
    shown = {*(names or DEFAULTS.get(kind.name, ())), *ALWAYS, kind.modified}
    return {
        "id": row.id,
        "properties": {name: row.properties.get(name) for name in sorted(shown) if name in kind.properties},
        "createdAt": iso(row.created),
        "updatedAt": iso(row.updated),
        "archived": row.archived is not None,
        **({"archivedAt": iso(row.archived)} if row.archived is not None else {}),
    }


def page_of_objects(call: Call) -> tuple[int, Any, str]:
    kind = call.kind
    call.needs("objects", kind, "read")
    limit = int(call.query.get("limit", "10"))
    after = call.query.get("after", "0")
    if not 1 <= limit <= LIST_LIMIT or not after.isdecimal():
        raise Refusal(400, "VALIDATION_ERROR", f"limit must be between 1 and {LIST_LIMIT}; after is a cursor")
    archived = {"true": True, "false": False}[call.query.get("archived", "false").lower()]
    names = [name for each in call.query.getlist("properties") for name in each.split(",")]
    rows = sorted(
        (
            row
            for row in kind.rows.values()
            if (row.archived is not None) == archived and int(row.id) > int(after)
        ),
        key=lambda row: int(row.id),
    )
    results = [told(kind, row, names) for row in rows[:limit]]
    more = {"paging": {"next": {"after": results[-1]["id"], "link": "?"}}} if len(rows) > limit else {}
    return (
        200,
        {"results": results, **more},
        "CollectionResponseSimplePublicObjectWithAssociationsForwardPaging",
    )


def batch(call: Call, model: str, verb: str, most: int = BATCH) -> list[dict[str, Any]]:
    """The inputs of a batch."""
    call.needs("objects", call.kind, verb)
    checked(models_of("objects"), model, call.body)
    inputs: list[dict[str, Any]] = call.body["inputs"]
    if not 1 <= len(inputs) <= most:
        raise Refusal(400, "VALIDATION_ERROR", f"The number of inputs must be between 1 and {most}")
    return inputs


def answer(
    call: Call, results: list[Any], errors: list[Any], status: int, name: str
) -> tuple[int, dict[str, Any], str]:
    """The answer to a batch: a 207 where something failed."""
    now = iso(call.portal.moment())
    call.portal.random.shuffle(results)
    body = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
    if not errors:
        return status, body, f"BatchResponse{name}"
    return 207, {**body, "numErrors": len(errors), "errors": errors}, f"BatchResponse{name}WithErrors"


def read_batch(call: Call) -> tuple[int, Any, str]:
    inputs = batch(call, "BatchReadInputSimplePublicObjectId", "read")
    kind, by = call.kind, call.body.get("idProperty")
    if by is not None and not kind.unique(by):
        raise Refusal(400, "VALIDATION_ERROR", f"{by} is not a property with unique values")
    found: dict[str, Row] = {}
    missing: list[str] = []
    for each in inputs:
        if by is None and not each["id"].lstrip("-").isdecimal():
            raise Refusal(400, "VALIDATION_ERROR", f"{each['id']} is no id")
        row = (
            call.portal.row(kind.name, each["id"])
            if by is None
            else call.portal.by_unique(kind, by, each["id"])
        )
        if row is None:
            missing.append(each["id"])
        else:
            found[row.id] = row
    errors = [
        Refusal(
            404,
            "OBJECT_NOT_FOUND",
            f"Could not get some {kind.name.upper()} objects, they may be deleted or not exist.",
        ).item({"ids": missing})
    ]
    results = [told(kind, row, call.body["properties"]) for row in found.values()]
    return answer(call, results, errors if missing else [], 200, "SimplePublicObject")


def create_batch(call: Call) -> tuple[int, Any, str]:
    inputs = batch(call, "BatchInputSimplePublicObjectBatchInputForCreate", "write")
    kind = call.kind

    def make(each: dict[str, Any]) -> Row:
        links = [
            (to.name, link["to"]["id"], type_["associationCategory"], type_["associationTypeId"])
            for link in each.get("associations", ())
            for type_ in link["types"]
            for to in [end_of(call.portal, kind.name, type_)]
        ]
        return call.portal.create(kind.name, each["properties"], links)

    return written(call, inputs, make, 201)


def end_of(portal: Portal, from_: str, type_: Mapping[str, Any]) -> Kind:
    """The object to which an association type leads from here: its id says so."""
    for each in portal.types:
        named = (type_["associationCategory"], type_["associationTypeId"])
        if each.from_ == from_ and (each.category, each.id) == named:
            return portal.kind(each.to)
    raise Refusal(400, "VALIDATION_ERROR", f"{type_} is no association type of {from_}")


def update_batch(call: Call) -> tuple[int, Any, str]:
    inputs = batch(call, "BatchInputSimplePublicObjectBatchInput", "write")
    ids = [each["id"] for each in inputs]
    if len(set(ids)) != len(ids):
        raise Refusal(400, "VALIDATION_ERROR", "Duplicate IDs found in batch input. IDs must be unique")
    if not all(id_.isdecimal() for id_ in ids):
        raise Refusal(400, "VALIDATION_ERROR", "ids are numbers")

    def change(each: dict[str, Any]) -> Row:
        return call.portal.change(call.kind.name, each["id"], each["properties"])

    return written(call, inputs, change, 200)


def written(
    call: Call, inputs: list[dict[str, Any]], write: Callable[[dict[str, Any]], Row], status: int
) -> tuple[int, Any, str]:
    """Write each input. Failures are told one by one where all have trace ids, each its own; else nothing is done."""
    traces = [each.get("objectWriteTraceId") for each in inputs]
    if None not in traces and len(set(traces)) != len(traces):
        raise Refusal(400, "VALIDATION_ERROR", "objectWriteTraceId must be unique in a batch")
    one_by_one = call.portal.multi_status and None not in traces
    results: list[Any] = []
    errors: list[Any] = []
    kind = call.kind
    with nullcontext() if one_by_one else undone_if_refused(call.portal):
        for each, trace in zip(inputs, traces, strict=True):
            try:
                row = write(each)
            except Refusal as refusal:
                if not one_by_one:
                    raise
                errors.append(refusal.item({"objectWriteTraceId": [str(trace)]}))
                continue
            results.append(
                {
                    **told(kind, row, list(each["properties"])),
                    **({"objectWriteTraceId": trace} if trace is not None else {}),
                }
            )
    return answer(call, results, errors, status, "SimplePublicObject")


@contextmanager
def undone_if_refused(portal: Portal) -> Iterator[None]:
    """What a refused request has done is as if it had not been."""
    kept = {
        name: json.dumps([vars(row) for row in kind.rows.values()]) for name, kind in portal.kinds.items()
    }
    pairs = {pair: set(types) for pair, types in portal.pairs.items()}
    try:
        yield
    except Refusal:
        portal.pairs = pairs
        for name, rows in kept.items():
            portal.kinds[name].rows = {row["id"]: Row(**row) for row in json.loads(rows)}
        raise


def archive_batch(call: Call) -> tuple[int, Any, None]:
    inputs = batch(call, "BatchInputSimplePublicObjectId", "write")
    for each in inputs:
        call.portal.archive(call.kind.name, each["id"])
    return 204, None, None


def search(call: Call) -> tuple[int, Any, str]:
    kind = call.kind
    call.needs("objects", kind, "read")
    checked(models_of("objects"), "PublicObjectSearchRequest", call.body)
    body = call.body
    limit, after = body.get("limit", 10), int(body.get("after", "0"))
    groups, sorts = body.get("filterGroups", []), body.get("sorts", [])
    filters = [each for group in groups for each in group["filters"]]
    if not 1 <= limit <= SEARCH_LIMIT or after + limit > SEARCH_WINDOW:
        raise Refusal(400, "VALIDATION_ERROR", f"pages are of {SEARCH_LIMIT}, up to {SEARCH_WINDOW} in all")
    if len(groups) > 5 or len(filters) > 18 or any(len(group["filters"]) > 6 for group in groups):
        raise Refusal(400, "VALIDATION_ERROR", "at most 5 groups of 6 filters, 18 in all")
    if len(sorts) > 1:
        raise Refusal(400, "VALIDATION_ERROR", "only one sort can be applied")
    known = call.portal.moment() - int(call.portal.lag * 1000)
    states = [(row, state) for row in kind.rows.values() if (state := as_of(row, known)) is not None]
    found = [
        (row, state)
        for row, state in states
        if not groups or any(all(holds(kind, each, state) for each in group["filters"]) for group in groups)
    ]
    # Where nothing orders them, they come in any order.
    random.Random(known).shuffle(found)
    for order in sorts:
        prop = kind.properties[order["propertyName"]]
        found.sort(
            key=lambda pair: comparable(prop, pair[1].get(prop.name, "")),
            reverse=order["direction"] == "DESCENDING",
        )
    names = body.get("properties") or []
    results = [
        told(kind, Row(row.id, row.created, millis(state[kind.modified]), state), names)
        for row, state in found[after : after + limit]
    ]
    more = {"paging": {"next": {"after": str(after + limit)}}} if len(found) > after + limit else {}
    model = "CollectionResponseWithTotalSimplePublicObjectForwardPaging"
    return 200, {"total": len(found), "results": results, **more}, model


def as_of(row: Row, moment: int) -> dict[str, str] | None:
    """What search knows of an item: its state some time ago."""
    states = [state for at, state in row.past if at <= moment]
    return states[-1] if states else None


def millis(text: str) -> int:
    """A moment of the API, in milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def comparable(prop: Property, text: str) -> Any:
    """A value in its order."""
    if prop.type == "datetime":
        return int(text) if text.isdecimal() else millis(text)
    if prop.type == "number":
        return float(text or 0)
    return text.lower()


def holds(kind: Kind, each: Mapping[str, Any], state: Mapping[str, str]) -> bool:
    """Whether a filter holds for what search knows of an item."""
    if each["propertyName"] not in kind.properties:
        raise Refusal(
            400, "VALIDATION_ERROR", f"There was a problem with the request: {each['propertyName']}"
        )
    prop = kind.properties[each["propertyName"]]
    operator, held = each["operator"], state.get(prop.name)
    wanted = each.get("values") if operator in ("IN", "NOT_IN") else each.get("value")
    if wanted is None or ("values" in each and operator not in ("IN", "NOT_IN")):
        raise Refusal(400, "VALIDATION_ERROR", f"{operator} needs what it compares with")
    if operator == "IN":
        if not 1 <= len(wanted) <= 100 or any(value != value.lower() for value in wanted):
            raise Refusal(400, "VALIDATION_ERROR", "IN takes up to 100 values in lower case")
        return held is not None and held.lower() in wanted
    if held is None:
        return False
    one, other = comparable(prop, held), comparable(prop, wanted)
    return bool({"EQ": one == other, "GT": one > other, "GTE": one >= other, "LT": one < other}[operator])


# --- associations ------------------------------------------------------------------------------------------------


def pair_inputs(call: Call, model: str, most: int, verb: str) -> tuple[str, str, list[dict[str, Any]]]:
    """Both objects of the path, and the inputs."""
    from_, to = call.portal.kind(call.path["from_"]), call.portal.kind(call.path["to"])
    for kind in (from_, to):
        call.needs("objects", kind, verb)
    checked(models_of("associations.v4"), model, call.body)
    inputs: list[dict[str, Any]] = call.body["inputs"]
    if not 1 <= len(inputs) <= most:
        raise Refusal(400, "VALIDATION_ERROR", f"The number of inputs must be between 1 and {most}")
    return from_.name, to.name, inputs


def read_pairs(call: Call) -> tuple[int, Any, str]:
    portal = call.portal
    from_, to, inputs = pair_inputs(call, "BatchInputPublicFetchAssociationsBatchRequest", PAIRS_READ, "read")
    results: list[Any] = []
    errors: list[Any] = []
    for each in inputs:
        ends = sorted(portal.ends(from_, each["id"], to).items(), key=lambda end: int(end[0]))
        rest = [end for end in ends if int(end[0]) > int(each.get("after", "0"))]
        if not ends:
            message = f"No {to} is associated with {from_} {each['id']}."
            errors.append(Refusal(404, "OBJECT_NOT_FOUND", message).item({"fromObjectId": [each["id"]]}))
            continue
        page = [
            {
                "toObjectId": id_,
                "associationTypes": [
                    {
                        "category": category,
                        "typeId": number,
                        "label": portal.type(from_, to, category, number).label,
                    }
                    for category, number in sorted(types)
                ],
            }
            for id_, types in rest[:ENDS]
        ]
        more = {"paging": {"next": {"after": page[-1]["toObjectId"]}}} if len(rest) > ENDS else {}
        results.append({"from": {"id": each["id"]}, "to": page, **more})
    return answer(call, results, errors, 200, "PublicAssociationMultiWithLabel")


def create_pairs(call: Call) -> tuple[int, Any, str]:
    from_, to, inputs = pair_inputs(call, "BatchInputPublicAssociationMultiPost", PAIRS_WRITTEN, "write")
    results: list[Any] = []
    errors: list[Any] = []
    for each in inputs:
        one, other = each["from"]["id"], each["to"]["id"]
        types = [(type_["associationCategory"], type_["associationTypeId"]) for type_ in each["types"]]
        try:
            call.portal.associate(from_, one, to, other, types)
        except Refusal as refusal:
            errors.append(refusal.item({"fromObjectId": [one], "toObjectId": [other]}))
            continue
        labels = [call.portal.type(from_, to, *pair).label for pair in types]
        results.append(
            {
                "fromObjectTypeId": call.portal.kind(from_).type_id,
                "fromObjectId": one,
                "toObjectTypeId": call.portal.kind(to).type_id,
                "toObjectId": other,
                "labels": [label for label in labels if label is not None],
            }
        )
    return answer(call, results, errors, 201, "LabelsBetweenObjectPair")


def archive_labels(call: Call) -> tuple[int, Any, None]:
    from_, to, inputs = pair_inputs(call, "BatchInputPublicAssociationMultiPost", PAIRS_WRITTEN, "write")
    for each in inputs:
        types = [(type_["associationCategory"], type_["associationTypeId"]) for type_ in each["types"]]
        call.portal.dissociate(from_, each["from"]["id"], to, each["to"]["id"], types)
    return 204, None, None


# --- definitions -------------------------------------------------------------------------------------------------


def details(call: Call) -> tuple[int, Any, None]:
    return 200, {"portalId": 8_000_008, "uiDomain": "app-eu1.hubspot.com", "timeZone": "UTC"}, None


def properties(call: Call) -> tuple[int, Any, str]:
    call.needs("schemas", call.kind, "read")
    results = [each.json() for each in call.kind.properties.values()]
    return 200, {"results": results}, "properties:CollectionResponsePropertyNoPaging"


def one_property(call: Call) -> tuple[int, Any, str]:
    call.needs("schemas", call.kind, "read")
    found = call.kind.properties.get(call.path["name"])
    if found is None:
        raise Refusal(404, "OBJECT_NOT_FOUND", f"Property {call.path['name']} does not exist")
    return 200, found.json(), "properties:ModelProperty"


def schemas(call: Call) -> tuple[int, Any, str]:
    results = []
    for kind in call.portal.kinds.values():
        if kind.custom:
            call.needs("schemas", kind, "read")
            results.append(schema(call.portal, kind))
    return 200, {"results": results}, "schemas:CollectionResponseObjectSchemaNoPaging"


def schema(portal: Portal, kind: Kind) -> dict[str, Any]:
    """An object's definition."""
    ends = {each.to for each in portal.types if each.from_ == kind.name}
    return {
        "id": kind.type_id.removeprefix("2-"),
        "objectTypeId": kind.type_id,
        "fullyQualifiedName": kind.name,
        "name": kind.name.split("_", 1)[1],
        "labels": {"singular": "Car", "plural": "Cars"},
        "requiredProperties": list(kind.required),
        "archived": False,
        "properties": [],
        "associations": [
            {"id": str(n), "fromObjectTypeId": one, "toObjectTypeId": other}
            for n, to in enumerate(sorted(ends))
            for one, other in (
                (kind.type_id, portal.kind(to).type_id),
                (portal.kind(to).type_id, kind.type_id),
            )
        ],
    }


def pipelines(call: Call) -> tuple[int, Any, str]:
    call.needs("objects", call.kind, "read")
    now = iso(call.portal.moment())
    times = {"createdAt": now, "updatedAt": now, "archived": False}
    results = [
        {
            "id": name,
            "label": name.capitalize(),
            "displayOrder": n,
            "stages": [
                {"id": stage, "label": stage.capitalize(), "displayOrder": m, "metadata": {}, **times}
                for m, stage in enumerate(stages)
            ],
            **times,
        }
        for n, (name, stages) in enumerate(call.kind.pipelines.items())
    ]
    return 200, {"results": results}, "pipelines:CollectionResponsePipelineNoPaging"


def labels(call: Call) -> tuple[int, Any, str]:
    from_, to = call.portal.kind(call.path["from_"]), call.portal.kind(call.path["to"])
    for kind in (from_, to):
        call.needs("objects", kind, "read")
    results = [
        {"category": each.category, "typeId": each.id, "label": each.label}
        for each in call.portal.types
        if (each.from_, each.to) == (from_.name, to.name)
    ]
    return (
        200,
        {"results": results},
        "associations.v4.schema:CollectionResponseAssociationSpecWithLabelNoPaging",
    )


def limits(call: Call) -> tuple[int, Any, str]:
    results = [
        {"category": each.category, "typeId": each.id, "userEnforcedMaxToObjectIds": each.most}
        for each in call.portal.types
        if each.most is not None
    ]
    name = "CollectionResponsePublicAssociationDefinitionUserConfigurationNoPaging"
    return 200, {"results": results}, f"associations.v4.schema:{name}"


# --- the server --------------------------------------------------------------------------------------------------

OBJECTS = "/crm/v3/objects/{object}"
PAIRS = "/crm/v4/associations/{from_}/{to}"
ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/account-info/v3/details", details),
    ("GET", OBJECTS, page_of_objects),
    ("POST", f"{OBJECTS}/search", search),
    ("POST", f"{OBJECTS}/batch/read", read_batch),
    ("POST", f"{OBJECTS}/batch/create", create_batch),
    ("POST", f"{OBJECTS}/batch/update", update_batch),
    ("POST", f"{OBJECTS}/batch/archive", archive_batch),
    ("GET", "/crm/v3/properties/{object}", properties),
    ("GET", "/crm/v3/properties/{object}/{name}", one_property),
    ("GET", "/crm-object-schemas/v3/schemas", schemas),
    ("GET", "/crm/v3/pipelines/{object}", pipelines),
    ("GET", "/crm/v4/associations/definitions/configurations/all", limits),
    ("GET", f"{PAIRS}/labels", labels),
    ("POST", f"{PAIRS}/batch/read", read_pairs),
    ("POST", f"{PAIRS}/batch/create", create_pairs),
    ("POST", f"{PAIRS}/batch/labels/archive", archive_labels),
)


def application(portal: Portal) -> Starlette:
    """The API of a portal."""
    return Starlette(
        routes=[Route(path, _endpoint(portal, handler), methods=[method]) for method, path, handler in ROUTES]
    )


def _endpoint(portal: Portal, handler: Handler) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        text = await request.body()
        with portal.lock:
            try:
                status, body, headers, lost = _handle(portal, handler, request, text)
            except Exception as error:
                portal.broken.append(error)
                raise
        if lost:
            return Lost()
        if status == 204:
            return Response(status_code=204, headers=headers)
        return JSONResponse(body, status, headers)

    return endpoint


def _handle(
    portal: Portal, handler: Handler, request: Request, text: bytes
) -> tuple[int, Any, dict[str, str], bool]:
    headers: dict[str, str] = {}
    planned = _planned(portal, request.url.path)
    try:
        body = json.loads(text) if text else None
        portal.log.append((request.method, request.url.path, body))
        if isinstance(planned, tuple):
            return planned[0], planned[2], planned[1], False
        _let_in(portal, request)
        headers = portal.admit()
        status, told_, model = handler(Call(portal, request, body))
        if model is not None:
            package, _, name = model.rpartition(":")
            checked(models_of(package or _package(request)), name, told_)
        return status, told_, headers, isinstance(planned, str) and planned.startswith("lose")
    except Refusal as refusal:
        if refusal.status == 429:
            headers = {"Retry-After": "1"}
        return refusal.status, refusal.body(), headers, False
    except (Malformed, json.JSONDecodeError) as error:
        malformed = Refusal(400, "VALIDATION_ERROR", f"Invalid input JSON: {error}")
        return 400, malformed.body(), headers, False


def _planned(portal: Portal, path: str) -> Any:
    """What is planned for this request: "lose batch/create" waits for a path with this ending."""
    if not portal.next:
        return None
    planned = portal.next[0]
    ending = planned.partition(" ")[2] if isinstance(planned, str) else ""
    return portal.next.popleft() if path.endswith(ending) else None


def _package(request: Request) -> str:
    return "associations.v4" if "/associations/" in request.url.path else "objects"


def _let_in(portal: Portal, request: Request) -> None:
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        raise Refusal(401, "INVALID_AUTHENTICATION", "Authentication credentials not found or wrong.")
    if len(str(request.url)) > ADDRESS:
        raise Refusal(414, "VALIDATION_ERROR", "The request's address is too long.")
    if portal.expired:
        raise Refusal(401, "EXPIRED_AUTHENTICATION", "The OAuth token used to make this call expired.")
    if request.method != "GET" and not request.headers.get("content-type", "").startswith("application/json"):
        raise Refusal(415, "VALIDATION_ERROR", "application/json is needed")


class Server:
    """A portal's API on a port of this machine, in a thread of its own. It may end and begin again."""

    def __init__(self, portal: Portal) -> None:
        self._app = application(portal)
        self.port = 0
        self._server: Uvicorn | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Answer, at the same port as before."""
        listening = self._listen()
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(self._app, log_config=None, timeout_graceful_shutdown=1, lifespan="off")
        self._server = Uvicorn(config)
        self._thread = threading.Thread(target=self._run, args=(self._server, listening))
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def stop(self) -> None:
        """End."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
            self._server = None

    def _listen(self) -> socket.socket:
        # Said to be TCP, else asyncio leaves Nagle's algorithm on: 40 ms for each answer.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Nobody else is given it while this one is stopped.
        listening.bind(("127.0.0.1", self.port or free_port()))
        return listening

    @staticmethod
    def _run(server: Uvicorn, listening: socket.socket) -> None:
        asyncio.run(server.serve(sockets=[listening]))


@contextmanager
def served(portal: Portal) -> Iterator[Server]:
    """The portal's API."""
    server = Server(portal)
    server.start()
    try:
        yield server
    finally:
        server.stop()
