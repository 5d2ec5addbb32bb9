"""What kinds of items an account has: its objects, their properties as fields, their association labels as roles."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.sync.categories import Category
from engine.sync.connectors.hubspot.calls import Calls
from engine.sync.connectors.hubspot.roles import role_name
from engine.sync.connectors.protocol import (
    ConnectorError,
    Disconnected,
    FieldType,
    Gone,
    RemoteField,
    RemoteObject,
    RemoteRole,
)

# Filled with the key of each creation, where the account has it (text, unique): then none is ever made twice.
KEY_PROPERTY = "relata_key"

# What HubSpot takes in a text.
LONGEST = 65_536
# Changed by HubSpot: written in lower case, or with a country's code, or with a scheme.
LOSSY = frozenset({("contacts", "email"), ("companies", "domain")})
# Properties whose options are pipelines, and stages of pipelines.
PIPELINES = {"deals": ("pipeline", "dealstage"), "tickets": ("hs_pipeline", "hs_pipeline_stage")}
FOUND_BY = {"companies": ("domain", "name")}
REQUIRED = {"deals": {"dealname", "dealstage"}, "tickets": {"subject", "hs_pipeline_stage"}}
# The property of ours for each of theirs, where it is not called alike.
CALLED: dict[str, dict[str, str]] = {
    "contacts": {"hs_language": "preferred_language", "hs_lead_status": "leadstatus"},
    "deals": {
        "dealname": "name",
        "deal_currency_code": "currency",
        "dealstage": "stage",
        "dealtype": "type",
        "hs_priority": "priority",
    },
    "tickets": {
        "hs_pipeline_stage": "status",
        "hs_ticket_priority": "priority",
        "hs_ticket_category": "category",
        "source_type": "source",
        "hs_resolution": "resolution",
        "closed_date": "closed_at",
    },
}
ALIKE = {
    "contacts": "firstname lastname email phone mobilephone jobtitle salutation website address zip city state "
    "country lifecyclestage",
    "companies": "name domain industry type description website phone annualrevenue numberofemployees is_public "
    "address zip city state country lifecyclestage",
    "deals": "amount pipeline closedate description closed_lost_reason",
    "tickets": "subject content",
}
DEFAULTS = {
    name: {**{each: each for each in texts.split()}, **CALLED.get(name, {})} for name, texts in ALIKE.items()
}
TYPES = {
    "string": FieldType.STRING,
    "number": FieldType.NUMBER,
    "bool": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "enumeration": FieldType.CHOICE,
    "phone_number": FieldType.PHONE,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """An object of HubSpot: the name by which it is asked for, its type id, and what its people call it."""

    name: str
    type_id: str
    title: str
    required: frozenset[str] = frozenset()
    # Type ids of the objects that it may be associated with.
    ends: frozenset[str] = frozenset()


_ENDS = frozenset({"0-1", "0-2", "0-3", "0-5"})
STANDARD = (
    Kind("contacts", "0-1", "Contacts", ends=_ENDS),
    Kind("companies", "0-2", "Companies", ends=_ENDS),
    Kind("deals", "0-3", "Deals", frozenset(REQUIRED["deals"]), _ENDS),
    Kind("tickets", "0-5", "Tickets", frozenset(REQUIRED["tickets"]), _ENDS),
)


async def kinds(calls: Calls) -> list[Kind]:
    """The standard objects, and the account's own."""
    try:
        schemas = (await calls.ask("schemas", "get_all")).data.results
    except Disconnected as error:
        # The scope for schemas comes with the largest editions alone.
        if error.category is not Category.MISSING_PERMISSION:
            raise
        schemas = []
    custom = [
        Kind(
            schema.fully_qualified_name or schema.object_type_id,
            schema.object_type_id,
            schema.labels.plural or schema.labels.singular or schema.name,
            frozenset(schema.required_properties or ()),
            frozenset(
                end
                for each in schema.associations or ()
                for end in (each.from_object_type_id, each.to_object_type_id)
            ),
        )
        for schema in schemas
        if not schema.archived
    ]
    return [*STANDARD, *sorted(custom, key=lambda kind: kind.name)]


async def described(calls: Calls, all_: Sequence[Kind]) -> list[RemoteObject]:
    """Those objects that the token may see."""
    told = await asyncio.gather(*(_object(calls, kind) for kind in all_), return_exceptions=True)
    seen: list[tuple[Kind, RemoteObject]] = []
    for kind, each in zip(all_, told, strict=True):
        if isinstance(each, RemoteObject):
            seen.append((kind, each))
        elif not _hidden(each):
            raise each
    if not seen and isinstance(told[0], BaseException):
        raise told[0]
    most = await _limits(calls)
    pairs = [(one, other) for one, _ in seen for other, _ in seen if _associable(one, other)]
    roles = await asyncio.gather(*(_roles(calls, one, other, most) for one, other in pairs))
    return [
        replace(
            object_,
            roles=tuple(
                role
                for (one, _), found in zip(pairs, roles, strict=True)
                for role in (found if one is kind else ())
            ),
        )
        for kind, object_ in seen
    ]


def _hidden(error: BaseException) -> bool:
    """Whether this says that the token may not see an object, or that this edition has none of it."""
    return isinstance(error, Gone) or (
        isinstance(error, Disconnected) and error.category is Category.MISSING_PERMISSION
    )


def _associable(one: Kind, other: Kind) -> bool:
    return other.type_id in one.ends or one.type_id in other.ends


async def _object(calls: Calls, kind: Kind) -> RemoteObject:
    properties = (await calls.ask("properties", "get_all", kind.name)).data.results
    options = await _pipelines(calls, kind.name) if kind.name in PIPELINES else {}
    fields = tuple(
        _field(kind, each, options.get(each.name))
        for each in sorted(properties, key=lambda each: str(each.name))
        if not each.hidden and not each.archived and each.name != KEY_PROPERTY
    )
    unique = {field.name for field in fields if field.unique and not field.read_only}
    standard = kind.name in DEFAULTS
    return RemoteObject(
        kind.name,
        kind.title,
        fields,
        default_object_type=kind.name if standard else None,
        found_by=frozenset(unique | (set(FOUND_BY.get(kind.name, ())) & {field.name for field in fields})),
    )


def _field(kind: Kind, told: Any, options: Sequence[tuple[str, str]] | None) -> RemoteField:
    locked = bool(
        told.calculated or (told.modification_metadata and told.modification_metadata.read_only_value)
    )
    type_ = _type(told)
    found = options or [(each.value, each.label) for each in told.options or () if not each.hidden]
    if type_ is FieldType.CHOICE and not found:
        # Owners, teams, and whatever else has its options elsewhere: their ids, as text.
        type_ = FieldType.STRING
    choice = type_ is FieldType.CHOICE
    return RemoteField(
        told.name,
        told.label or told.name,
        type_,
        required=told.name in kind.required,
        read_only=locked or told.type not in TYPES,
        multiple=choice and told.field_type == "checkbox",
        unique=bool(told.has_unique_value) or (kind.name, told.name) == ("contacts", "email"),
        options=tuple(dict(found).items()) if choice else (),
        max_length=LONGEST if type_ in (FieldType.STRING, FieldType.PHONE) else None,
        default_property=DEFAULTS.get(kind.name, {}).get(told.name),
        lossy=type_ is FieldType.PHONE or (kind.name, told.name) in LOSSY,
    )


def _type(told: Any) -> FieldType:
    if told.type == "enumeration" and told.field_type == "booleancheckbox":
        return FieldType.BOOLEAN
    if told.type == "string" and told.field_type == "phonenumber":
        return FieldType.PHONE
    return TYPES.get(told.type, FieldType.STRING)


async def _pipelines(calls: Calls, name: str) -> Mapping[str, list[tuple[str, str]]]:
    """Options of the properties for a pipeline and its stage, of which the properties' definitions have none."""
    pipelines = (await calls.ask("pipelines", "get_all", name)).data.results
    several = len(pipelines) > 1
    stages = [
        (stage.id, f"{stage.label} ({pipeline.label})" if several else stage.label)
        for pipeline in pipelines
        for stage in pipeline.stages
    ]
    of_pipeline, of_stage = PIPELINES[name]
    return {of_pipeline: [(each.id, each.label) for each in pipelines], of_stage: stages}


async def _limits(calls: Calls) -> Mapping[tuple[str, int], int]:
    """How many others an item may be associated with at most, by category and type id, where somebody has set that."""
    try:
        told = (await calls.ask("limits", "get_all")).data.results
    except ConnectorError as error:
        if _hidden(error):
            return {}
        raise
    return {
        (each.category, each.type_id): each.user_enforced_max_to_object_ids
        for each in told
        if each.user_enforced_max_to_object_ids
    }


async def _roles(
    calls: Calls, one: Kind, other: Kind, most: Mapping[tuple[str, int], int]
) -> list[RemoteRole]:
    """Every association type from one object to another: unlabelled, primary, and each half of each label."""
    try:
        labels = (await calls.ask("labels", "get_all", one.name, other.name)).data.results
    except ConnectorError as error:
        if _hidden(error):
            return []
        raise
    return [_role(other, each, most) for each in _in_order(labels)]


def _in_order(labels: Iterable[Any]) -> list[Any]:
    """The unlabelled one first."""
    return sorted(labels, key=lambda each: (each.label is not None, each.category, each.type_id))


def _role(to: Kind, told: Any, most: Mapping[tuple[str, int], int]) -> RemoteRole:
    primary = (
        to.name == "companies"
        and told.category == "HUBSPOT_DEFINED"
        and (told.label or "").casefold() == "primary"
    )
    return RemoteRole(
        role_name(to.name, told.category, told.type_id),
        told.label or to.title,
        to.name,
        many=not primary and most.get((told.category, told.type_id)) != 1,
        # Those of another integration are its own.
        read_only=told.category == "INTEGRATOR_DEFINED",
        primary=primary,
    )
