"""Object types: custom ones are added, names for people change, optional ones are switched on and off."""

from dataclasses import dataclass, replace

from engine import naming
from engine.association_types import between_all
from engine.problems import Problem, UnknownObjectType, at
from storage import association_types, object_types
from storage.catalogue import Catalogue, ObjectTypeRow
from storage.database import Transaction

# Each object type is joined with every other: the number of association types grows with its square.
MOST_CUSTOM = 100
CORE = frozenset({"contacts", "companies", "deals", "tickets"})


class TooManyObjectTypes(Problem):
    """An account has at most {limit} custom object types."""


class CoreObjectType(Problem):
    """The object type "{name}" cannot be switched off: contacts, companies, deals and tickets are always there."""


class NotDisplayProperty(Problem):
    """The property "{name}" cannot name records of {object_type}: {reason}."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The default of an argument of an update: leave what is there."""


KEEP = Keep()


async def create(
    tx: Transaction, *, name: str, singular: str, plural: str, description: str | None = None
) -> ObjectTypeRow:
    """A custom object type, active, without properties; associable with every other type at once.

    Raises `MalformedName`, `NameTaken`, `MalformedText` and `TooManyObjectTypes`.
    """
    naming.internal_name(name, "name")
    await tx.redefine()
    known = tx.catalogue
    if name in known.by_name:
        raise naming.NameTaken(kind="object type", name=name, path=("name",))
    if sum(row.category == "CUSTOM" for row in known.object_types.values()) >= MOST_CUSTOM:
        raise TooManyObjectTypes(limit=MOST_CUSTOM)
    (number,) = await tx.new_ids(1)
    row = ObjectTypeRow(
        number,
        name,
        naming.text(singular, "singular name", "singular"),
        naming.text(plural, "plural name", "plural"),
        naming.description(description),
        "CUSTOM",
        True,
        None,
        tx.now,
        {},
    )
    others = [*known.object_types.values(), row]
    # Two directions and, with companies, a labelled pair: four ids for each other type are enough.
    numbers = iter(await tx.new_ids(4 * len(others)))
    await object_types.insert(tx, [row])
    await association_types.insert(tx, between_all([row], others, numbers, tx.now))
    return (await tx.reload()).object_types[number]


async def update(
    tx: Transaction,
    name: str,
    *,
    singular: str | None = None,
    plural: str | None = None,
    description: str | Keep | None = KEEP,
    primary_display_property: str | Keep | None = KEEP,
    active: bool | None = None,
) -> ObjectTypeRow:
    """Change what people see of an object type, or switch it on or off. The internal name never changes.

    `primary_display_property=None` brings the built-in rule back. Raises `UnknownObjectType`, `MalformedText`,
    `NotDisplayProperty` and `CoreObjectType`.
    """
    await tx.redefine()
    with at("name"):
        row = get(tx.catalogue, name)
    if active is False and name in CORE:
        raise CoreObjectType(name=name, path=("active",))
    if isinstance(primary_display_property, str):
        with at("primaryDisplayProperty"):
            _check_display(row, primary_display_property)
    changed = replace(
        row,
        singular=row.singular if singular is None else naming.text(singular, "singular name", "singular"),
        plural=row.plural if plural is None else naming.text(plural, "plural name", "plural"),
        description=row.description if isinstance(description, Keep) else naming.description(description),
        primary_display_property=row.primary_display_property
        if isinstance(primary_display_property, Keep)
        else primary_display_property,
        active=row.active if active is None else active,
    )
    await object_types.update(tx, changed)
    return (await tx.reload()).object_types[row.id]


def get(catalogue: Catalogue, name: str) -> ObjectTypeRow:
    """The object type with internal name `name`, active or not; raises `UnknownObjectType`."""
    row = catalogue.by_name.get(name)
    if row is None:
        raise UnknownObjectType(name=name[:100])
    return row


def _check_display(row: ObjectTypeRow, name: str) -> None:
    prop = row.live(name)
    if prop is None:
        raise NotDisplayProperty(name=name[:100], object_type=row.name, reason="there is no such property")
    if prop.type == "JSON" or prop.multiple:
        reason = "JSON and multiple-choice values do not read as a name"
        raise NotDisplayProperty(name=name, object_type=row.name, reason=reason)
