"""A stand-in for HubSpot: its API as the official client's models and the public documentation have it, and as strict.

No HubSpot is reachable in tests. What its people define and do is here, what it answers in tests/hubspot_server.py.
What the models do not say (limits, what 207s hold, how labels replace each other, what search does not know yet)
follows the documentation.
"""

import json
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.hubspot_values import Invalid, stored

SCOPES = frozenset(
    f"crm.{family}.{name}.{verb}"
    for family in ("objects", "schemas")
    for name in ("contacts", "companies", "deals", "custom")
    for verb in ("read", "write")
) | {"tickets"}


class Refusal(Exception):
    """An answer that is none of success: status, category, message, and what else stands in the body."""

    def __init__(self, status: int, category: str, message: str, **more: Any) -> None:
        self.status, self.category, self.message, self.more = status, category, message, more
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        """As the whole answer."""
        return {
            "status": "error",
            "message": self.message,
            "correlationId": "00000000-0000-4000-8000-000000000000",
            "category": self.category,
            **self.more,
        }

    def item(self, context: Mapping[str, list[str]]) -> dict[str, Any]:
        """As one of the errors of a 207."""
        context = {**context, **self.more.get("context", {})}
        return {
            "status": "error",
            "category": self.category,
            "message": self.message,
            "context": context,
            "errors": self.more.get("errors", []),
            "links": {},
        }


@dataclass
class Property:
    """A property, as its definition has it."""

    name: str
    type: str = "string"
    field_type: str = "text"
    options: tuple[str, ...] = ()
    unique: bool = False
    read_only: bool = False
    calculated: bool = False
    hidden: bool = False
    external_options: bool = False

    def json(self) -> dict[str, Any]:
        """As the API tells it."""
        return {
            "name": self.name,
            "label": self.name.replace("_", " ").capitalize(),
            "type": self.type,
            "fieldType": self.field_type,
            "groupName": "information",
            "description": "",
            "options": [
                {"label": each.capitalize(), "value": each, "displayOrder": n, "hidden": False}
                for n, each in enumerate(self.options)
            ],
            "hasUniqueValue": self.unique,
            "calculated": self.calculated,
            "hidden": self.hidden,
            "externalOptions": self.external_options,
            "archived": False,
            "modificationMetadata": {
                "archivable": True,
                "readOnlyDefinition": False,
                "readOnlyValue": self.read_only,
            },
        }


@dataclass
class Row:
    """An item. `past`: (moment, properties) of all its states, oldest first; None: it was archived."""

    id: str
    created: int
    updated: int
    properties: dict[str, str]
    archived: int | None = None
    past: list[tuple[int, dict[str, str] | None]] = field(default_factory=list)


@dataclass
class Kind:
    """An object: its definition and its items."""

    name: str
    type_id: str
    properties: dict[str, Property]
    required: tuple[str, ...] = ()
    pipelines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    # Ids that went up in others.
    merged: dict[str, str] = field(default_factory=dict)

    @property
    def modified(self) -> str:
        """The property with the moment of the last change."""
        return "lastmodifieddate" if self.name == "contacts" else "hs_lastmodifieddate"

    def unique(self, name: str) -> bool:
        """Whether no two items have the same value: so with e-mail addresses, whatever their definition says."""
        return (self.name, name) == ("contacts", "email") or (
            name in self.properties and self.properties[name].unique
        )

    @property
    def custom(self) -> bool:
        """Whether the account has defined it."""
        return self.type_id.startswith("2-")


@dataclass(frozen=True)
class AssociationType:
    """One direction of an association: its type id, and that of its inverse."""

    from_: str
    to: str
    category: str
    id: int
    inverse: int
    label: str | None = None
    most: int | None = None


def iso(moment: int) -> str:
    """A moment as the API tells it."""
    told = datetime.fromtimestamp(moment / 1000, UTC)
    return f"{told:%Y-%m-%dT%H:%M:%S}.{moment % 1000:03d}Z"


class Portal:
    """An account of the stand-in, and what its own people do in it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.kinds: dict[str, Kind] = {}
        self.types: list[AssociationType] = []
        # {(object, id, object, id): types}, both directions.
        self.pairs: dict[tuple[str, str, str, str], set[tuple[str, int]]] = {}
        self.scopes = set(SCOPES)
        self.expired = False
        # Seconds until search knows of a change.
        self.lag = 0.0
        # Whether associations count as changes of both ends.
        self.touches = True
        # Whether batches fail item by item.
        self.multi_status = True
        self.calls_in_ten_seconds = 1_000_000
        # Answers that come instead of the next ones: (status, headers, body), or "lose" after it was done;
        # "lose batch/create": the next one to such a path.
        self.next: deque[tuple[int, dict[str, str], dict[str, Any]] | str] = deque()
        # Every request: method, path, body.
        self.log: list[tuple[str, str, Any]] = []
        # What went wrong in the stand-in itself: none of it is HubSpot's.
        self.broken: list[Exception] = []
        self._moments = 0
        self._ids = 100
        self._calls: deque[float] = deque()
        # Some calls of search and list come in an order of their own.
        self.random = random.Random(8)

    # --- its definitions ---------------------------------------------------------------------------------------

    def define(self, kind: Kind) -> Kind:
        """Another object, with the properties that each has."""
        for name, type_ in (
            ("hs_object_id", "number"),
            ("createdate", "datetime"),
            (kind.modified, "datetime"),
        ):
            kind.properties[name] = Property(name, type_, "date", read_only=True)
        kind.properties["hs_merged_object_ids"] = Property(
            "hs_merged_object_ids", hidden=True, calculated=True
        )
        self.kinds[kind.name] = kind
        return kind

    def pair(
        self,
        one: str,
        other: str,
        ids: tuple[int, int],
        labels: tuple[str | None, str | None] = (None, None),
        category: str = "HUBSPOT_DEFINED",
        most: tuple[int | None, int | None] = (None, None),
    ) -> None:
        """An association type and its inverse; the same id twice for one that is its own inverse."""
        self.types.append(AssociationType(one, other, category, *ids, labels[0], most[0]))
        if ids[0] != ids[1]:
            self.types.append(AssociationType(other, one, category, ids[1], ids[0], labels[1], most[1]))

    def type(self, from_: str, to: str, category: str, id_: int) -> AssociationType:
        """An association type in its direction. Raises Refusal where there is none, or it goes the other way."""
        for each in self.types:
            if (each.from_, each.to, each.category, each.id) == (from_, to, category, id_):
                return each
        raise Refusal(
            400, "VALIDATION_ERROR", f"{category} type id {id_} doesn't exist between {from_} and {to}"
        )

    def kind(self, name: str) -> Kind:
        """An object by its name or type id."""
        for each in self.kinds.values():
            if name in (each.name, each.type_id):
                return each
        raise Refusal(400, "VALIDATION_ERROR", f"Unable to infer object type from: {name}")

    # --- what is done in it ------------------------------------------------------------------------------------

    def moment(self) -> int:
        """Now, in milliseconds; every moment is given once."""
        self._moments = max(self._moments + 1, time.time_ns() // 1_000_000)
        return self._moments

    def create(self, name: str, properties: Mapping[str, str], links: Sequence[Any] = ()) -> Row:
        """A new item. Raises Refusal."""
        kind = self.kind(name)
        values = self._valid(kind, properties)
        missing = [each for each in kind.required if not values.get(each)]
        if missing:
            raise Refusal(
                400,
                "VALIDATION_ERROR",
                f'Error creating "{kind.name.upper()}". Some required properties were not set.',
                context={"properties": missing},
            )
        self._unique(kind, values, None)
        for to, id_, category, type_id in links:
            self.type(kind.name, to, category, type_id)
            if self.row(to, id_) is None:
                raise Refusal(404, "OBJECT_NOT_FOUND", f"Object of type {to} with id {id_} does not exist")
        self._ids += self.random.randint(1, 9)
        now = self.moment()
        row = Row(str(self._ids), now, now, values)
        kind.rows[row.id] = row
        self._changed(kind, row, now)
        for to, id_, category, type_id in links:
            self._add(kind.name, row.id, to, id_, {(category, type_id)})
        return row

    def change(self, name: str, id_: str, properties: Mapping[str, str]) -> Row:
        """Change an item. Raises Refusal."""
        kind = self.kind(name)
        row = self.row(name, id_)
        if row is None:
            raise Refusal(
                404, "OBJECT_NOT_FOUND", f"Could not get {name} {id_}: it may be deleted or not exist"
            )
        values = self._valid(kind, properties)
        self._unique(kind, values, row.id)
        row.properties |= values
        row.properties = {key: value for key, value in row.properties.items() if value != ""}
        self._changed(kind, row, self.moment())
        return row

    def archive(self, name: str, id_: str) -> None:
        """Delete an item; none is fine, too."""
        kind = self.kind(name)
        row = self.row(name, id_)
        if row is not None:
            row.archived = self.moment()
            row.past.append((row.archived, None))
            self._forget(kind.name, row.id)

    def merge(self, name: str, primary: str, secondary: str, *, new_id: bool = False) -> str:
        """Let an item go up in another, which may get a new id by that. Answers with the id that stays."""
        kind = self.kind(name)
        kept, lost = kind.rows[primary], kind.rows[secondary]
        gone = [lost]
        if new_id:
            row = self.create(name, {})
            row.properties = dict(kept.properties)
            gone.append(kept)
            kept = row
        kept.properties = {**lost.properties, **kept.properties}
        if lost.properties.get("email") and kind.name == "contacts":
            more = kept.properties.get("hs_additional_emails", "")
            kept.properties["hs_additional_emails"] = ";".join(filter(None, [more, lost.properties["email"]]))
        for each in gone:
            merged = kept.properties.get("hs_merged_object_ids", "")
            kept.properties["hs_merged_object_ids"] = ";".join(filter(None, [merged, each.id]))
            kind.merged[each.id] = kept.id
            del kind.rows[each.id]
            self._forget(kind.name, each.id)
        self._changed(kind, kept, self.moment())
        return kept.id

    def row(self, name: str, id_: str) -> Row | None:
        """An item that is there."""
        kind = self.kind(name)
        found = kind.rows.get(kind.merged.get(id_, id_))
        return found if found is not None and found.archived is None else None

    def types_of(self, from_: str, id_: str, to: str, other: str) -> set[tuple[str, int]]:
        """By which types an item is associated with another."""
        return set(self.pairs.get((from_, id_, to, other), ()))

    def ends(self, from_: str, id_: str, to: str) -> dict[str, set[tuple[str, int]]]:
        """All that an item is associated with, and by which types."""
        return {
            pair[3]: set(types)
            for pair, types in self.pairs.items()
            if pair[:3] == (from_, id_, to) and types
        }

    def associate(self, from_: str, id_: str, to: str, other: str, types: Iterable[tuple[str, int]]) -> None:
        """Set the types of a pair: labels that are not among them are gone. Raises Refusal."""
        wanted = {(each.category, each.id) for each in (self.type(from_, to, *pair) for pair in types)}
        for name, ident, side in ((from_, id_, "fromObjectId"), (to, other, "toObjectId")):
            if self.row(name, ident) is None:
                message = f"Object of type {name} with id {ident} does not exist"
                raise Refusal(
                    404, "OBJECT_NOT_FOUND", message, context={side: [ident], "fromObjectId": [id_]}
                )
        before = self.types_of(from_, id_, to, other)
        self._remove(from_, id_, to, other, before - wanted - {self._unlabelled(from_, to)})
        self._add(from_, id_, to, other, wanted)

    def dissociate(self, from_: str, id_: str, to: str, other: str, types: Iterable[tuple[str, int]]) -> None:
        """Remove types of a pair; without its unlabelled one there is no association. Raises Refusal."""
        gone = {(each.category, each.id) for each in (self.type(from_, to, *pair) for pair in types)}
        if self._unlabelled(from_, to) in gone:
            gone = set(self.types_of(from_, id_, to, other))
        self._remove(from_, id_, to, other, gone)

    # --- how ---------------------------------------------------------------------------------------------------

    def _unlabelled(self, from_: str, to: str) -> tuple[str, int]:
        return next(
            (each.category, each.id)
            for each in self.types
            if (each.from_, each.to, each.label) == (from_, to, None) and each.category == "HUBSPOT_DEFINED"
        )

    def _primary(self, from_: str, to: str) -> tuple[str, int] | None:
        """The type of the one company among several."""
        labels = [each for each in self.types if (each.from_, each.to, each.label) == (from_, to, "Primary")]
        return (labels[0].category, labels[0].id) if to == "companies" != from_ and labels else None

    def _add(self, from_: str, id_: str, to: str, other: str, types: set[tuple[str, int]]) -> None:
        new = {self._unlabelled(from_, to), *types}
        primary, inverse = self._primary(from_, to), self._primary(to, from_)
        # The first company becomes the primary one.
        if primary is not None and not self.ends(from_, id_, to):
            new.add(primary)
        if inverse is not None and not self.ends(to, other, from_):
            new.add((inverse[0], self.type(to, from_, *inverse).inverse))
        new -= self.types_of(from_, id_, to, other)
        for category, number in new:
            type_ = self.type(from_, to, category, number)
            back = self.type(to, from_, category, type_.inverse)
            for each, standing in ((type_, self.ends(from_, id_, to)), (back, self.ends(to, other, from_))):
                full = sum((each.category, each.id) in held for held in standing.values())
                if each.most is not None and full >= each.most:
                    raise Refusal(
                        400,
                        "VALIDATION_ERROR",
                        f"{each.from_} would have more than {each.most} associations of type {each.id}",
                        subCategory="crm.associations.ASSOCIATION_LIMIT_EXCEEDED",
                        context={"fromObjectId": [id_]},
                    )
        for here, one, there in ((from_, id_, to), (to, other, from_)):
            for pair in new if here == from_ else {(c, self.type(from_, to, c, n).inverse) for c, n in new}:
                if pair == self._primary(here, there):
                    for held in [
                        held for held, types in self.ends(here, one, there).items() if pair in types
                    ]:
                        self._remove(here, one, there, held, {pair})
        for category, number in new:
            back_id = self.type(from_, to, category, number).inverse
            self.pairs.setdefault((from_, id_, to, other), set()).add((category, number))
            self.pairs.setdefault((to, other, from_, id_), set()).add((category, back_id))
        if new:
            self._touch((from_, id_), (to, other))

    def _remove(self, from_: str, id_: str, to: str, other: str, types: set[tuple[str, int]]) -> None:
        gone = types & self.types_of(from_, id_, to, other)
        for category, number in gone:
            inverse = self.type(from_, to, category, number).inverse
            self.pairs[from_, id_, to, other].discard((category, number))
            self.pairs[to, other, from_, id_].discard((category, inverse))
        if gone:
            self._touch((from_, id_), (to, other))

    def _forget(self, name: str, id_: str) -> None:
        for pair in [pair for pair in self.pairs if (name, id_) in (pair[:2], pair[2:])]:
            del self.pairs[pair]

    def _touch(self, *items: tuple[str, str]) -> None:
        for name, id_ in items if self.touches else ():
            kind = self.kind(name)
            self._changed(kind, kind.rows[id_], self.moment())

    def _changed(self, kind: Kind, row: Row, now: int) -> None:
        row.updated = now
        row.properties |= {
            "hs_object_id": row.id,
            "createdate": iso(row.created),
            kind.modified: iso(now),
        }
        row.past.append((now, dict(row.properties)))

    def _valid(self, kind: Kind, properties: Mapping[str, str]) -> dict[str, str]:
        """Values as they are stored. Raises Refusal with all that is wrong."""
        values: dict[str, str] = {}
        wrong: list[dict[str, Any]] = []
        for name, text in properties.items():
            try:
                if name not in kind.properties:
                    raise Invalid("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
                values[name] = stored(kind.name, kind.properties[name], text)
            except Invalid as error:
                wrong.append(
                    {
                        "isValid": False,
                        "message": error.message,
                        "error": error.code,
                        "name": name,
                        "localizedErrorMessage": error.message,
                    }
                )
        if wrong:
            raise Refusal(
                400,
                "VALIDATION_ERROR",
                f"Property values were not valid: {json.dumps(wrong)}",
                errors=[
                    {
                        "message": each["message"],
                        "code": each["error"],
                        "context": {"propertyName": [each["name"]]},
                    }
                    for each in wrong
                ],
            )
        return values

    def _unique(self, kind: Kind, values: Mapping[str, str], own: str | None) -> None:
        for name, value in values.items():
            if value == "" or not kind.unique(name):
                continue
            for row in kind.rows.values():
                if row.id == own or row.archived is not None:
                    continue
                held = [row.properties.get(name, ""), *self._more(kind, name, row)]
                if value.lower() in (each.lower() for each in held):
                    if name == "email" and own is None:
                        raise Refusal(409, "CONFLICT", f"Contact already exists. Existing ID: {row.id}")
                    raise Refusal(
                        400,
                        "VALIDATION_ERROR",
                        f"Cannot set PropertyValueCoordinates{{portalId=1, objectTypeId={kind.type_id}, "
                        f"propertyName={name}, value={value}}} on {own or 'a new object'}. "
                        f"{row.id} already has that value.",
                        errors=[{"message": "already has that value", "code": "CONFLICTING_UNIQUE_VALUE"}],
                    )

    @staticmethod
    def _more(kind: Kind, name: str, row: Row) -> list[str]:
        if (kind.name, name) != ("contacts", "email"):
            return []
        return [each for each in row.properties.get("hs_additional_emails", "").split(";") if each]

    def by_unique(self, kind: Kind, name: str, value: str) -> Row | None:
        """The item with this value of a unique property."""
        for row in kind.rows.values():
            held = [row.properties.get(name, ""), *self._more(kind, name, row)]
            if row.archived is None and value and value.lower() in (each.lower() for each in held):
                return row
        return None

    # --- how much may be asked ---------------------------------------------------------------------------------

    def admit(self) -> dict[str, str]:
        """Count a call. Answers with headers."""
        now = time.monotonic()
        while self._calls and self._calls[0] <= now - 10.0:
            self._calls.popleft()
        self._calls.append(now)
        left = max(0, self.calls_in_ten_seconds - len(self._calls))
        return {
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Max": str(self.calls_in_ten_seconds),
            "X-HubSpot-RateLimit-Remaining": str(left),
        }
