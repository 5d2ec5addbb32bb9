"""Event types of the account's own: added with a fixed name; texts and properties change; archived, never forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine import naming, properties
from engine.events.problems import (
    BuiltInEventType,
    EventPropertyFixed,
    EventPropertyRepeated,
    EventTypeOfWebhook,
    TooManyEventProperties,
    TooManyEventTypes,
    UnknownEventType,
)
from engine.object_types import KEEP, Keep, get
from engine.problems import PathPart, at
from engine.properties import FIELDS, Option
from storage import event_types
from storage.catalogue import Catalogue, EventTypeRow, PropertyRow
from storage.database import Transaction

MOST_TYPES = 500
MOST_PROPERTIES = 100


@dataclass(frozen=True, slots=True)
class EventProperty:
    """A property that events of a type are to have."""

    name: str
    type: str
    label: str | None = None
    multiple: bool = False
    options: Sequence[Option] = ()


async def create(
    tx: Transaction,
    *,
    name: str,
    label: str,
    object_type: str | None = None,
    description: str | None = None,
    properties: Sequence[EventProperty] = (),
    webhook_id: int | None = None,
) -> EventTypeRow:
    """An event type. `object_type=None`: it can occur to any record.

    Raises problems of this package, of `engine.naming` and of `engine.properties`, and `UnknownObjectType`.
    """
    naming.internal_name(name, "name")
    await tx.redefine()
    known = tx.catalogue.event_types.values()
    if any(row.name == name for row in known):
        raise naming.NameTaken(kind="event type", name=name, path=("name",))
    if sum(not row.built_in for row in known) >= MOST_TYPES:
        raise TooManyEventTypes(limit=MOST_TYPES)
    with at("objectType"):
        of_id = None if object_type is None else get(tx.catalogue, object_type).id
    (number,) = await tx.new_ids(1)
    row = EventTypeRow(
        number,
        name,
        naming.text(label, "label", "label"),
        of_id,
        {one.name: one for one in merged({}, properties)},
        webhook_id=webhook_id,
        description=naming.description(description),
        created_at=tx.now,
        created_by=tx.actor.user_id,
    )
    await event_types.insert(tx, row)
    return (await tx.reload()).event_types[number]


async def update(
    tx: Transaction,
    name: str,
    *,
    label: str | None = None,
    description: str | Keep | None = KEEP,
    properties: Sequence[EventProperty] | None = None,
) -> EventTypeRow:
    """Change an event type. `properties` are all that it is to have: what is left out is archived.

    A property's type never changes; one that was archived comes back when it is named again.
    """
    await tx.redefine()
    row = own(tx.catalogue, name)
    if row.webhook_id is not None and properties is not None:
        raise EventTypeOfWebhook(name=name, path=("properties",))
    return await rewrite(tx, row, label=label, description=description, properties=properties)


async def rewrite(
    tx: Transaction,
    row: EventTypeRow,
    *,
    label: str | None,
    description: str | Keep | None = KEEP,
    properties: Sequence[EventProperty] | None,
) -> EventTypeRow:
    """As `update`, of a type at hand in a transaction that redefines."""
    changed = replace(
        row,
        label=row.label if label is None else naming.text(label, "label", "label"),
        description=row.description if isinstance(description, Keep) else naming.description(description),
        properties=row.properties
        if properties is None
        else {one.name: one for one in merged(row.properties, properties)},
    )
    await event_types.update(tx, changed)
    return (await tx.reload()).event_types[row.id]


async def archive(tx: Transaction, name: str) -> EventTypeRow:
    """Put an event type away: nothing of it is recorded any more, its events stay, and its name stays taken.

    Filters that name it are broken from then on, and say so. Archiving it again changes nothing.
    """
    await tx.redefine()
    found = next((row for row in tx.catalogue.event_types.values() if row.name == name), None)
    if found is not None and found.archived_at is not None:
        return found
    row = own(tx.catalogue, name)
    if row.webhook_id is not None:
        raise EventTypeOfWebhook(name=name, path=("name",))
    return await put_away(tx, row)


async def put_away(tx: Transaction, row: EventTypeRow) -> EventTypeRow:
    """As `archive`, of a type at hand."""
    await event_types.update(tx, replace(row, archived_at=tx.now))
    return (await tx.reload()).event_types[row.id]


def live(catalogue: Catalogue, name: str, *path: PathPart) -> EventTypeRow:
    """The event type `name`, unless it is archived. Raises `UnknownEventType`."""
    row = catalogue.event_type(name)
    if row is None:
        raise UnknownEventType(name=naming_shown(name), path=path)
    return row


def own(catalogue: Catalogue, name: str) -> EventTypeRow:
    """A live event type that the account may change. Raises `UnknownEventType` and `BuiltInEventType`."""
    row = live(catalogue, name, "name")
    if row.built_in:
        raise BuiltInEventType(name=name, path=("name",))
    return row


def naming_shown(name: str) -> str:
    """A name that somebody gave, as errors tell it."""
    return name[:80].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def merged(known: dict[str, PropertyRow], given: Sequence[EventProperty]) -> list[PropertyRow]:
    """The properties of a type that had `known` and is to have `given`; those left out are archived."""
    found: dict[str, PropertyRow] = {}
    for n, one in enumerate(given):
        with at("properties", n):
            if one.name in found:
                raise EventPropertyRepeated(property=one.name, path=("name",))
            found[one.name] = _property(known.get(one.name), one)
    gone = [
        row if row.archived_at is not None else replace(row, archived_at=event_types.SINCE)
        for name, row in known.items()
        if name not in found
    ]
    if len(found) + len(gone) > MOST_PROPERTIES:
        raise TooManyEventProperties(limit=MOST_PROPERTIES, path=("properties",))
    return [*found.values(), *gone]


def _property(known: PropertyRow | None, given: EventProperty) -> PropertyRow:
    naming.internal_name(given.name, "name")
    if given.type not in FIELDS:
        raise properties.UnknownPropertyType(type=given.type[:100], known=sorted(FIELDS), path=("type",))
    if known is not None and (known.type, known.multiple) != (given.type, given.multiple):
        raise EventPropertyFixed(property=given.name, type=known.type, path=("type",))
    properties.check_flags(given.type, given.multiple)
    options = properties.options_of(given.type, given.options)
    if known is not None:
        options = properties.kept(known, options)
    label = given.name if given.label is None else naming.text(given.label, "label", "label")
    return event_types.property_row(given.name, label, given.type, multiple=given.multiple, options=options)
