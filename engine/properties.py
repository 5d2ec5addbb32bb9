"""Properties: added with a fixed name and type; labels, options and flags may change; archived, never forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine import naming
from engine.object_types import KEEP, Keep, get
from engine.problems import NotFound, Problem, at
from storage import properties, property_parts
from storage.catalogue import ObjectTypeRow, PropertyRow
from storage.database import Transaction

# Field hints by type; the first is the default.
FIELDS: dict[str, tuple[str, ...]] = {
    "STRING": ("SINGLE_LINE_TEXT", "MULTI_LINE_TEXT", "EMAIL", "DOMAIN", "URL", "PHONE"),
    "NUMBER": ("NUMBER", "CURRENCY", "PERCENTAGE"),
    "BOOLEAN": ("CHECKBOX", "RADIO", "SELECT"),
    "DATE": ("DATE",),
    "DATETIME": ("DATETIME",),
    "ENUMERATION": ("SELECT", "RADIO", "CHECKBOXES"),
    "PHONE": ("PHONE",),
    "JSON": ("JSON",),
}

MOST_PROPERTIES = 1_000
MOST_OPTIONS = 5_000
LONGEST_OPTION = 200


class UnknownPropertyType(Problem):
    """There is no property type "{type}"; there are: {known}."""


class FieldDoesNotFit(Problem):
    """The field "{field}" does not fit the type {type}; possible are: {possible}."""


class FlagDoesNotFit(Problem):
    """A property of type {type} cannot be {flag}: {reason}."""


class OptionsMissing(Problem):
    """An enumeration needs at least one option."""


class OptionsNotPossible(Problem):
    """Only an enumeration has options; the type is {type}."""


class OptionDuplicate(Problem):
    """The option value "{value}" is given more than once."""


class TooManyOptions(Problem):
    """An enumeration has at most {limit} options; {count} are given."""


class TooManyProperties(Problem):
    """The object type {object_type} has {limit} properties, archived ones included; that is the most."""


class PropertyArchived(Problem):
    """The property "{name}" of {object_type} is archived; it cannot be changed."""


class PropertyNamesRecords(Problem):
    """The property "{name}" names the records of {object_type}; choose another primary display property first."""


class PropertyBeingIndexed(Problem):
    """The index of "{name}" of {object_type} is being changed; say again whether it is searchable when that is done."""


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of an enumeration; without a label it reads as its value."""

    value: str
    label: str | None = None


async def create(
    tx: Transaction,
    object_type: str,
    *,
    name: str,
    label: str,
    type: str,
    field: str | None = None,
    group: str = "custom",
    description: str | None = None,
    options: Sequence[Option] = (),
    multiple: bool = False,
    unique: bool = False,
    required: bool = False,
    searchable: bool = False,
    parts_searchable: bool = False,
) -> PropertyRow:
    """A property. `field=None` is the type's default hint.

    Raises problems of this module and of `engine.naming`, and `NotFound`.
    """
    naming.internal_name(name, "name")
    if type not in FIELDS:
        raise UnknownPropertyType(type=type[:100], known=sorted(FIELDS), path=("type",))
    fitting = _field(type, field, multiple)
    check_flags(type, multiple, unique, searchable, parts_searchable)
    choices = options_of(type, options)
    await tx.redefine()
    owner = _owner(tx, object_type)
    if name in owner.properties:
        raise naming.NameTaken(kind=f"property of {owner.name}", name=name, path=("name",))
    if len(owner.properties) >= MOST_PROPERTIES:
        raise TooManyProperties(object_type=owner.name, limit=MOST_PROPERTIES)
    (number,) = await tx.new_ids(1)
    row = PropertyRow(
        number,
        owner.id,
        name,
        naming.text(label, "label", "label"),
        naming.text(group, "group", "group"),
        naming.description(description),
        type,
        fitting,
        multiple,
        unique,
        required,
        searchable,
        False,
        False,
        choices,
        tx.now,
        None,
        parts_state="READY" if parts_searchable else "NONE",
        parts_seed=property_parts.seed(tx.account_id, number),
    )
    # No record can hold a value yet: whichever index it has is complete.
    await properties.insert(tx, [row])
    return (await tx.reload()).object_types[owner.id].properties[name]


async def update(
    tx: Transaction,
    object_type: str,
    name: str,
    *,
    label: str | None = None,
    group: str | None = None,
    description: str | Keep | None = KEEP,
    options: Sequence[Option] | None = None,
    required: bool | None = None,
    searchable: bool | None = None,
    parts_searchable: bool | None = None,
) -> PropertyRow:
    """Change a property; name, type and uniqueness never change.

    Options that are left out are archived, not forgotten: records may hold them. Whether it is
    searchable, also by parts, takes effect when its new index is filled (`engine.indexing`). Raises problems of this
    module and `NotFound`.
    """
    await tx.redefine()
    owner, row = _live(tx, object_type, name)
    if searchable or parts_searchable:
        check_flags(row.type, row.multiple, row.is_unique, bool(searchable), bool(parts_searchable))
    changed = replace(
        row,
        label=row.label if label is None else naming.text(label, "label", "label"),
        group_name=row.group_name if group is None else naming.text(group, "group", "group"),
        description=row.description if isinstance(description, Keep) else naming.description(description),
        options=row.options if options is None else kept(row, options_of(row.type, options)),
        required=row.required if required is None else required,
        searchable=row.searchable if searchable is None else searchable,
    )
    if changed.searchable is not row.searchable:
        if row.index_state != "READY":
            raise PropertyBeingIndexed(name=name, object_type=owner.name, path=("searchable",))
        changed = replace(changed, index_state="FILLING", index_changed_at=tx.now)
    if parts_searchable is not None and parts_searchable is not row.parts_searchable:
        if row.parts_state not in ("NONE", "READY"):
            raise PropertyBeingIndexed(name=name, object_type=owner.name, path=("partsSearchable",))
        changed = replace(
            changed,
            parts_state="FILLING" if parts_searchable else "RETIRING",
            parts_changed_at=tx.now,
            parts_seed=property_parts.seed(tx.account_id, row.id),
        )
    await properties.update(tx, changed)
    return (await tx.reload()).object_types[owner.id].properties[name]


async def archive(tx: Transaction, object_type: str, name: str) -> PropertyRow:
    """Put a property away: nobody reads or writes it any more, and its name stays taken.

    Archiving it again changes nothing. Raises `NotFound` and `PropertyNamesRecords`.
    """
    await tx.redefine()
    owner = _owner(tx, object_type)
    row = _known(owner, name)
    if row.archived_at is not None:
        return row
    if owner.primary_display_property == name:
        raise PropertyNamesRecords(name=name, object_type=owner.name, path=("name",))
    # Its values are forgotten as those of an index that nobody reads.
    archived = replace(row, archived_at=tx.now, index_state="CLEARING", index_changed_at=tx.now)
    if row.parts_state != "NONE":
        archived = replace(archived, parts_state="CLEARING", parts_changed_at=tx.now)
    await properties.update(tx, archived)
    return (await tx.reload()).object_types[owner.id].properties[name]


def _owner(tx: Transaction, object_type: str) -> ObjectTypeRow:
    with at("objectType"):
        return get(tx.catalogue, object_type)


def _live(tx: Transaction, object_type: str, name: str) -> tuple[ObjectTypeRow, PropertyRow]:
    owner = _owner(tx, object_type)
    row = _known(owner, name)
    if row.archived_at is not None:
        raise PropertyArchived(name=name, object_type=owner.name, path=("name",))
    return owner, row


def _known(owner: ObjectTypeRow, name: str) -> PropertyRow:
    row = owner.properties.get(name)
    if row is None:
        raise NotFound(kind=f"property of {owner.name}", name=name[:100], path=("name",))
    return row


def _field(type: str, field: str | None, multiple: bool) -> str:
    possible = FIELDS[type]
    if type == "ENUMERATION":
        possible = ("CHECKBOXES",) if multiple else ("SELECT", "RADIO")
    if field is None:
        return possible[0]
    if field not in possible:
        raise FieldDoesNotFit(field=field[:100], type=type, possible=possible, path=("field",))
    return field


def check_flags(
    type: str, multiple: bool, unique: bool = False, searchable: bool = False, parts_searchable: bool = False
) -> None:
    """Raise `FlagDoesNotFit` where the flags do not go with the type."""
    if multiple and type != "ENUMERATION":
        reason = "only an enumeration has several values"
        raise FlagDoesNotFit(type=type, flag="multiple", reason=reason, path=("multiple",))
    if unique and (multiple or type in ("JSON", "BOOLEAN")):
        reason = "its values do not tell records apart"
        raise FlagDoesNotFit(type=type, flag="unique", reason=reason, path=("unique",))
    if searchable and type == "JSON":
        reason = "JSON values have no order"
        raise FlagDoesNotFit(type=type, flag="searchable", reason=reason, path=("searchable",))
    if parts_searchable and type not in ("STRING", "PHONE"):
        reason = "only texts have parts"
        raise FlagDoesNotFit(type=type, flag="searchable by parts", reason=reason, path=("partsSearchable",))


def options_of(type: str, options: Sequence[Option]) -> tuple[dict[str, Any], ...]:
    """The choices of a property as they are kept. Raises problems of this module."""
    if type != "ENUMERATION":
        if options:
            raise OptionsNotPossible(type=type, path=("options",))
        return ()
    if not options:
        raise OptionsMissing(path=("options",))
    if len(options) > MOST_OPTIONS:
        raise TooManyOptions(limit=MOST_OPTIONS, count=len(options), path=("options",))
    chosen: dict[str, dict[str, Any]] = {}
    for index, option in enumerate(options):
        with at("options", index):
            value = naming.text(option.value, "option value", "value", longest=LONGEST_OPTION)
            label = value if option.label is None else naming.text(option.label, "option label", "label")
            if value in chosen:
                raise OptionDuplicate(value=value, path=("value",))
        chosen[value] = {"value": value, "label": label}
    return tuple(chosen.values())


def kept(row: PropertyRow, options: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    """New choices, and archived behind them those that the property had and has no longer."""
    chosen = {option["value"] for option in options}
    gone = (option | {"archived": True} for option in row.options if option["value"] not in chosen)
    return (*options, *gone)
