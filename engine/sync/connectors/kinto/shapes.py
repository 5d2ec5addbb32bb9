"""What a collection's records are like: from its JSON schema, or from some of them; and what the settings add.

A role is a field that holds ids of another collection's records: one id, or an array of them. JSON schemas name it as
`"x-references": "companies"`, beside the type of the id; settings as `contacts.company -> companies` or
`contacts.partners[] -> companies`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.sync.connectors.kinto.values import DATE, MOMENT
from engine.sync.connectors.protocol import FieldType, RemoteField, RemoteObject, RemoteRole

# What every record has, and nobody writes.
OWN = frozenset({"id", "last_modified", "schema", "deleted"})
# Names that Kinto's filters take, and ours in settings.
_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
_RELATION = re.compile(rf"({_NAME})\.({_NAME})(\[\])?\s*->\s*({_NAME})")
_FIELD = re.compile(rf"({_NAME})\.({_NAME})(?:\s*:\s*([a-z]+)(\[\])?)?")

_TYPES = {
    "string": FieldType.STRING,
    "number": FieldType.NUMBER,
    "boolean": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "choice": FieldType.CHOICE,
    "phone": FieldType.PHONE,
}
_FORMATS = {"date": FieldType.DATE, "date-time": FieldType.DATETIME, "phone": FieldType.PHONE}
# Names that filters take.
_WORD = re.compile(r"[A-Za-z0-9_]+")
_TEXTS = frozenset({FieldType.STRING, FieldType.PHONE})
_OBJECT_TYPES = frozenset({"contacts", "companies", "deals", "tickets", "products", "orders", "invoices"})
# Names that most people give to what we call otherwise.
_PROPERTIES = {
    "contacts": {
        "firstname": "firstname",
        "first_name": "firstname",
        "lastname": "lastname",
        "last_name": "lastname",
    },
    "companies": {"website": "website"},
    "deals": {"title": "name"},
}


class BadShape(ValueError):
    """A setting that cannot be read; its text says which part."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the settings say: {collection: {field: its type, and whether several}}, {collection: roles}."""

    fields: Mapping[str, Mapping[str, tuple[FieldType, bool]]] = field(default_factory=dict)
    roles: Mapping[str, tuple[RemoteRole, ...]] = field(default_factory=dict)


def told(fields: str, relations: str) -> Told:
    """The settings `fields` and `relations`, entries separated by commas or lines. Raises BadShape."""
    types: dict[str, dict[str, tuple[FieldType, bool]]] = {}
    for entry in _entries(fields):
        match = _FIELD.fullmatch(entry)
        if match is None or (match[3] or "string") not in _TYPES:
            raise BadShape(f'"{entry}" is no field: write for example "contacts.born: date".')
        types.setdefault(match[1], {})[match[2]] = (_TYPES[match[3] or "string"], match[4] is not None)
    roles: dict[str, list[RemoteRole]] = {}
    for entry in _entries(relations):
        match = _RELATION.fullmatch(entry)
        if match is None:
            raise BadShape(f'"{entry}" is no relation: write for example "contacts.company -> companies".')
        roles.setdefault(match[1], []).append(_role(match[2], match[4], many=match[3] is not None))
    return Told(types, {name: tuple(some) for name, some in roles.items()})


def shape(
    collection: str, schema: Mapping[str, Any] | None, sample: Iterable[Mapping[str, Any]], more: Told
) -> RemoteObject:
    """A collection as an object; the sample counts where there is no schema."""
    properties = (schema or {}).get("properties") or {}
    if properties:
        roles = [role for name, spec in properties.items() if (role := _role_of(name, spec)) is not None]
        required = frozenset((schema or {}).get("required") or ())
        fields = [
            found
            for name, spec in properties.items()
            if name not in OWN and (found := _field_of(name, spec, required)) is not None
        ]
    else:
        roles, fields = [], _sampled(sample)
    for role in more.roles.get(collection, ()):
        roles = [known for known in roles if known.name != role.name] + [role]
    known = {one.name: one for one in fields}
    for name, (type_, multiple) in more.fields.get(collection, {}).items():
        known[name] = replace(known.get(name, RemoteField(name, _title(name))), type=type_, multiple=multiple)
    taken = {role.name for role in roles}
    kept = _with_properties(collection, [one for one in known.values() if one.name not in taken])
    return RemoteObject(
        name=collection,
        title=_title(collection),
        fields=kept,
        roles=_with_primary(roles),
        default_object_type=collection if collection in _OBJECT_TYPES else None,
        found_by=frozenset(
            one.name for one in kept if one.type in _TEXTS and not one.multiple and _WORD.fullmatch(one.name)
        ),
        sampled=not properties,
    )


def _entries(text: str) -> list[str]:
    return [entry for part in re.split(r"[,\n;]", text) if (entry := part.strip())]


def _title(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").strip().capitalize() or name


def _with_properties(collection: str, fields: Sequence[RemoteField]) -> tuple[RemoteField, ...]:
    """Each property of ours is the default of one field at most."""
    known = _PROPERTIES.get(collection, {})
    given: set[str] = set()
    found = []
    for one in fields:
        name = known.get(one.name.lower(), one.name.lower())
        found.append(one if name in given else replace(one, default_property=name))
        given.add(name)
    return tuple(found)


def _role(name: str, to: str, *, many: bool) -> RemoteRole:
    return RemoteRole(name, _title(name), to, many=many)


def _with_primary(roles: Sequence[RemoteRole]) -> tuple[RemoteRole, ...]:
    """The only single one to a collection says which of several is the main one."""
    single = [role.to for role in roles if not role.many]
    return tuple(
        replace(role, primary=not role.many and role.to == "companies" and single.count(role.to) == 1)
        for role in roles
    )


# --- a JSON schema -----------------------------------------------------------------------------------------------


def _role_of(name: str, spec: Any) -> RemoteRole | None:
    if not isinstance(spec, dict):
        return None
    items = spec.get("items")
    many = "array" in _types(spec)
    to = spec.get("x-references") or (items.get("x-references") if isinstance(items, dict) else None)
    if not isinstance(to, str):
        return None
    role = _role(name, to, many=many)
    title = spec.get("title")
    return replace(
        role, title=title if isinstance(title, str) else role.title, read_only=spec.get("readOnly") is True
    )


def _types(spec: Mapping[str, Any]) -> list[str]:
    named = spec.get("type")
    return [
        one
        for one in (named if isinstance(named, list) else [named])
        if isinstance(one, str) and one != "null"
    ]


def _field_of(name: str, spec: Any, required: frozenset[str]) -> RemoteField | None:
    """What a property of the schema is; None: nothing that could be a value of ours."""
    if not isinstance(spec, dict):
        return None
    items = spec.get("items")
    multiple = "array" in _types(spec)
    inner = items if multiple and isinstance(items, dict) else spec
    type_ = _type_of(inner, multiple=multiple)
    if type_ is None:
        return None
    title, longest = spec.get("title"), spec.get("maxLength")
    options = [one for one in inner.get("enum") or () if isinstance(one, str)]
    return RemoteField(
        name=name,
        title=title if isinstance(title, str) and title else _title(name),
        type=type_,
        required=name in required,
        read_only=spec.get("readOnly") is True,
        multiple=multiple,
        options=tuple((one, one) for one in options),
        max_length=longest if isinstance(longest, int) and type_ in _TEXTS else None,
    )


def _type_of(spec: Mapping[str, Any], *, multiple: bool) -> FieldType | None:
    types = _types(spec)
    if spec.get("enum") and all(isinstance(one, str) or one is None for one in spec["enum"]):
        return FieldType.CHOICE
    if types == ["string"]:
        return FieldType.CHOICE if multiple else _FORMATS.get(str(spec.get("format")), FieldType.STRING)
    if multiple or len(types) != 1:
        return None
    return {"number": FieldType.NUMBER, "integer": FieldType.NUMBER, "boolean": FieldType.BOOLEAN}.get(
        types[0]
    )


# --- a sample ----------------------------------------------------------------------------------------------------


def _sampled(sample: Iterable[Mapping[str, Any]]) -> list[RemoteField]:
    """Fields that some records have; those with values of several kinds are texts that we only read."""
    seen: dict[str, set[tuple[FieldType, bool] | None]] = {}
    for record in sample:
        for name, value in record.items():
            if name not in OWN and value not in (None, "", []) and re.fullmatch(_NAME, name):
                seen.setdefault(name, set()).add(_kind(value))
    fields = []
    for name, kinds in sorted(seen.items()):
        if None in kinds:
            continue
        (type_, multiple), *others = sorted(kind for kind in kinds if kind is not None)
        mixed = bool(others)
        if {kind for kind in kinds} <= {
            (one, False) for one in (FieldType.DATE, FieldType.DATETIME, FieldType.STRING)
        }:
            # Dates among other texts are texts.
            type_, mixed = (type_ if not others else FieldType.STRING), False
        fields.append(
            RemoteField(
                name,
                _title(name),
                FieldType.STRING if mixed else type_,
                read_only=mixed,
                multiple=multiple and not mixed,
            )
        )
    return fields


def _kind(value: Any) -> tuple[FieldType, bool] | None:
    """The type of a value, and whether it is several; None: nothing that could be a value of ours."""
    match value:
        case bool():
            return FieldType.BOOLEAN, False
        case int() | float():
            return FieldType.NUMBER, False
        case str():
            if DATE.fullmatch(value):
                return FieldType.DATE, False
            return (FieldType.DATETIME if MOMENT.fullmatch(value) else FieldType.STRING), False
        case list() if all(isinstance(one, str) for one in value):
            return FieldType.CHOICE, True
    return None
