"""The other one's definitions as kinds of items: properties as fields, association types as roles."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.sync.connectors.protocol import FieldType, RemoteField, RemoteObject, RemoteRole
from engine.sync.connectors.relata.asking import Asking

OBJECT_TYPES = """
query { objectTypes(active: true) { name singular plural properties {
  name label type multiple required readOnly calculated unique options { value label archived }
} } }
"""
# So many pairs of object types in one request.
PAIRS = 40

_TYPES = {
    "STRING": FieldType.STRING,
    "NUMBER": FieldType.NUMBER,
    "BOOLEAN": FieldType.BOOLEAN,
    "DATE": FieldType.DATE,
    "DATETIME": FieldType.DATETIME,
    "ENUMERATION": FieldType.CHOICE,
    "PHONE": FieldType.PHONE,
}


async def describe(asking: Asking) -> list[RemoteObject]:
    """Every active object type. Properties that hold JSON are left out: no field can."""
    found = (await asking.ask(OBJECT_TYPES))["objectTypes"]
    names = [each["name"] for each in found]
    plurals = {each["name"]: each["plural"] for each in found}
    roles: dict[str, list[RemoteRole]] = {name: [] for name in names}
    pairs = [(one, other) for one in names for other in names]
    for start in range(0, len(pairs), PAIRS):
        part = pairs[start : start + PAIRS]
        asked = " ".join(
            f"p{place}: associationTypes(from: $n{names.index(one)}, to: $n{names.index(other)}) "
            "{ name label category maxCount }"
            for place, (one, other) in enumerate(part)
        )
        used = sorted({names.index(name) for pair in part for name in pair})
        declared = ", ".join(f"$n{n}: String!" for n in used)
        data = await asking.ask(f"query ({declared}) {{ {asked} }}", **{f"n{n}": names[n] for n in used})
        for place, (one, other) in enumerate(part):
            roles[one] += [_role(other, plurals[other], each) for each in data[f"p{place}"]]
    return [_object(each, roles[each["name"]]) for each in found]


def _object(kind: Mapping[str, Any], roles: Sequence[RemoteRole]) -> RemoteObject:
    fields = tuple(_field(each) for each in kind["properties"] if each["type"] in _TYPES)
    return RemoteObject(
        kind["name"],
        kind["plural"],
        fields,
        tuple(roles),
        default_object_type=kind["name"],
        # Not by numbers of phones: what is none is not asked for.
        found_by=frozenset(each.name for each in fields if each.type is FieldType.STRING),
    )


def _field(prop: Mapping[str, Any]) -> RemoteField:
    return RemoteField(
        prop["name"],
        prop["label"],
        _TYPES[prop["type"]],
        required=prop["required"],
        read_only=prop["readOnly"] or prop["calculated"],
        multiple=prop["multiple"],
        unique=prop["unique"],
        options=tuple((each["value"], each["label"]) for each in prop["options"] if not each["archived"]),
        default_property=prop["name"],
    )


def _role(to: str, plural: str, kind: Mapping[str, Any]) -> RemoteRole:
    if kind["name"] is None:
        return RemoteRole(to, plural, to, many=kind["maxCount"] != 1)
    primary = kind["category"] == "SYSTEM" and kind["name"] == "primary"
    return RemoteRole(
        f"{to}.{kind['name']}",
        f"{plural}: {kind['label']}",
        to,
        many=kind["maxCount"] != 1 and not primary,
        primary=primary,
    )


def label_of(role: RemoteRole) -> str | None:
    """The label that a role stands for; None: any association."""
    return None if role.name == role.to else role.name.removeprefix(f"{role.to}.")
