"""What collections are like: their fields, what keys they have, and how they are related.

A relation of many to one is a role of the many; its list at the one is the same relation, seen from there, and no role
of its own. A relation of many to many is a role wherever a collection has a list of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.sync.connectors.protocol import FieldType, RemoteField, RemoteObject, RemoteRole

# Types of keys.
INTEGER, UUID, TEXT = "integer", "uuid", "string"
_NUMBERS = {"integer": False, "bigInteger": False, "float": True, "decimal": True}
_TEXTS = frozenset({"string", "text", "uuid", "time"})
_MOMENTS = frozenset({"timestamp", "dateTime"})
_DEFAULTS = {
    "contacts": {"first_name": "firstname", "last_name": "lastname"},
    "deals": {"title": "name"},
}
_OBJECT_TYPES = frozenset({"contacts", "companies", "deals", "tickets", "products", "orders", "invoices"})


@dataclass(frozen=True, slots=True)
class Junction:
    """A list of many to many: the alias, and in the collection between: its key, and the field with the other end."""

    alias: str
    collection: str
    key: str
    field: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A collection. `kinds`: {field: its type over there}."""

    object: RemoteObject
    key: str
    key_type: str
    kinds: Mapping[str, str]
    junctions: Mapping[str, Junction]
    created: str | None = None
    updated: str | None = None

    @property
    def dated(self) -> bool:
        """Whether items say when they were made and changed."""
        return self.created is not None and self.updated is not None

    def asked(self) -> list[str]:
        """The fields that are read, those of junctions included."""
        own = [
            self.key,
            *self.kinds,
            *(role.name for role in self.object.roles if role.name not in self.junctions),
        ]
        between = [
            f"{one.alias}.{part}"
            for one in self.junctions.values()
            for part in dict.fromkeys((one.key, one.field))
        ]
        return [*dict.fromkeys(own), *between]

    def deep(self) -> dict[str, Any]:
        """All of each list, whatever the server's limit for lists is."""
        return {name: {"_limit": -1} for name in self.junctions}


def shapes(
    collections: Sequence[Mapping[str, Any]],
    fields: Sequence[Mapping[str, Any]],
    relations: Sequence[Mapping[str, Any]],
    only: frozenset[str],
) -> list[Shape]:
    """All that can be synced: no folders, no single items, nothing of Directus's own, nothing between others."""
    of: dict[str, dict[str, Mapping[str, Any]]] = {}
    for field in fields:
        of.setdefault(field["collection"], {})[field["field"]] = field
    between = {one["collection"] for one in relations if (one.get("meta") or {}).get("junction_field")}
    names = {
        one["collection"]: one
        for one in collections
        if not one["collection"].startswith("directus_")
        and one.get("schema")
        and not (one.get("meta") or {}).get("singleton")
        and (one["collection"] in only if only else one["collection"] not in between)
    }
    found = (_shape(name, of.get(name, {}), of, relations, names) for name in sorted(names))
    return [one for one in found if one is not None]


def _shape(
    name: str,
    fields: Mapping[str, Mapping[str, Any]],
    of: Mapping[str, Mapping[str, Mapping[str, Any]]],
    relations: Iterable[Mapping[str, Any]],
    names: Mapping[str, Any],
) -> Shape | None:
    key = _key(fields)
    if key is None:
        return None
    roles, junctions, ends = _roles(name, fields, of, list(relations), names)
    known = [
        one
        for field in fields.values()
        if field["field"] not in ends and field["field"] != key and (one := _field(field)) is not None
    ]
    found = _defaulted(name, known)
    kind = fields[key]["type"]
    return Shape(
        object=RemoteObject(
            name=name,
            title=_title(name),
            fields=found,
            roles=tuple(roles),
            default_object_type=name if name in _OBJECT_TYPES else None,
            found_by=frozenset(
                one.name
                for one in found
                if one.type is FieldType.STRING and fields[one.name]["type"] in ("string", "text")
            ),
        ),
        key=key,
        key_type=INTEGER if kind in ("integer", "bigInteger") else UUID if kind == "uuid" else TEXT,
        kinds={one.name: fields[one.name]["type"] for one in found},
        junctions=junctions,
        created=_special(fields, "date-created"),
        updated=_special(fields, "date-updated"),
    )


def _key(fields: Mapping[str, Mapping[str, Any]]) -> str | None:
    return next(
        (name for name, field in fields.items() if (field.get("schema") or {}).get("is_primary_key")), None
    )


def _special(fields: Mapping[str, Mapping[str, Any]], word: str) -> str | None:
    return next((name for name, field in fields.items() if word in _specials(field)), None)


def _specials(field: Mapping[str, Any]) -> Sequence[str]:
    return (field.get("meta") or {}).get("special") or ()


def _title(name: str) -> str:
    return name.replace("_", " ").strip().capitalize() or name


def _defaulted(collection: str, fields: Sequence[RemoteField]) -> tuple[RemoteField, ...]:
    """Each property of ours is the default of one field at most."""
    given: set[str] = set()
    found = []
    for one in fields:
        property_ = _DEFAULTS.get(collection, {}).get(one.name.lower(), one.name.lower())
        free = property_ not in given and not one.read_only
        given |= {property_} if free else set()
        found.append(
            RemoteField(
                one.name,
                one.title,
                one.type,
                one.required,
                one.read_only,
                one.multiple,
                one.unique,
                one.options,
                one.max_length,
                property_ if free else None,
                one.lossy,
            )
        )
    return tuple(found)


# --- relations ---------------------------------------------------------------------------------------------------


def _roles(
    name: str,
    fields: Mapping[str, Mapping[str, Any]],
    of: Mapping[str, Mapping[str, Mapping[str, Any]]],
    relations: Sequence[Mapping[str, Any]],
    names: Mapping[str, Any],
) -> tuple[list[RemoteRole], dict[str, Junction], set[str]]:
    """A collection's roles, those of many to many by their aliases, and all fields that hold no value of their own."""
    roles: list[RemoteRole] = []
    junctions: dict[str, Junction] = {}
    ends: set[str] = set()
    to_one = [one for one in relations if one["collection"] == name and one["field"] in fields]
    for relation in to_one:
        ends.add(relation["field"])
        to = relation.get("related_collection")
        if isinstance(to, str) and to in names:
            field = fields[relation["field"]]
            single = sum(1 for one in to_one if one.get("related_collection") == to) == 1
            roles.append(
                RemoteRole(
                    relation["field"],
                    _title(relation["field"]),
                    to,
                    many=False,
                    read_only=bool((field.get("meta") or {}).get("readonly")),
                    primary=single and to == "companies",
                )
            )
    for relation in relations:
        meta = relation.get("meta") or {}
        alias, across = meta.get("one_field"), meta.get("junction_field")
        if relation.get("related_collection") != name or not isinstance(alias, str) or alias not in fields:
            continue
        ends.add(alias)
        between = relation["collection"]
        to = next(
            (
                one.get("related_collection")
                for one in relations
                if across and one["collection"] == between and one["field"] == across
            ),
            None,
        )
        key = _key(of.get(between, {}))
        if isinstance(to, str) and to in names and key is not None and isinstance(across, str):
            junctions[alias] = Junction(alias, between, key, across)
            roles.append(RemoteRole(alias, _title(alias), to, many=True))
    return roles, junctions, ends


# --- fields ------------------------------------------------------------------------------------------------------


def _field(field: Mapping[str, Any]) -> RemoteField | None:
    """A field; None: nothing that could be a value of ours."""
    name, type_ = field["field"], field["type"]
    meta, schema = field.get("meta") or {}, field.get("schema") or {}
    if not schema or {"hash", "conceal", "file", "files", "user-created", "user-updated"} & set(
        _specials(field)
    ):
        return None
    given = meta.get("options") or {}
    options = tuple(
        (str(one["value"]), str(one.get("text") or one["value"]))
        for one in (given.get("choices") or ())
        if isinstance(one, dict) and one.get("value") is not None
    )
    read_only = bool(meta.get("readonly") or schema.get("is_generated"))
    kind, multiple, lossy = _kind(type_, bool(options), str(meta.get("interface") or ""))
    if kind is None:
        return None
    if given.get("allowOther"):
        options = ()
        kind = FieldType.CHOICE if multiple else FieldType.STRING
    longest = schema.get("max_length")
    return RemoteField(
        name=name,
        title=_title(name),
        type=kind,
        required=not read_only and bool(meta.get("required") or _never_null(schema, _specials(field))),
        read_only=read_only or bool({"date-created", "date-updated"} & set(_specials(field))),
        multiple=multiple,
        unique=bool(schema.get("is_unique")),
        options=options if kind is FieldType.CHOICE else (),
        max_length=longest if isinstance(longest, int) and kind is FieldType.STRING else None,
        lossy=lossy,
    )


def _never_null(schema: Mapping[str, Any], special: Sequence[str]) -> bool:
    """Whether the database wants a value that nobody else gives."""
    return (
        schema.get("is_nullable") is False
        and schema.get("default_value") is None
        and not schema.get("has_auto_increment")
        and not special
    )


def _kind(type_: str, choices: bool, interface: str) -> tuple[FieldType | None, bool, bool]:
    """A field's type, whether it is several, and whether it may come back changed."""
    if type_ in _NUMBERS:
        return FieldType.NUMBER, False, _NUMBERS[type_]
    if type_ == "boolean":
        return FieldType.BOOLEAN, False, False
    if type_ == "date":
        return FieldType.DATE, False, False
    if type_ in _MOMENTS:
        # Some databases keep whole seconds.
        return FieldType.DATETIME, False, True
    if type_ == "csv" or (type_ == "json" and (choices or interface == "tags")):
        return FieldType.CHOICE, True, False
    if type_ in _TEXTS:
        return (FieldType.CHOICE if choices else FieldType.STRING), False, type_ == "time"
    return None, False, False
