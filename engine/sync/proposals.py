"""What a new sync would be unless somebody says otherwise: direction, mappings and roles, by default and by name."""

from collections.abc import Sequence

from engine.sync.checking import COMPANIES, PRIMARY, Sides, natural
from engine.sync.connectors.protocol import RemoteField, RemoteObject, RemoteRole
from engine.sync.definition import Definition, MappingPart, RolePart
from engine.sync.likeness import folded
from engine.sync.rules import Direction
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow, PropertyRow

CONTACTS = "contacts"


def object_type_of(catalogue: Catalogue, remote: RemoteObject) -> ObjectTypeRow | None:
    """The object type that an object over there is like: as the app says, else by its name; None: none is."""
    said = catalogue.by_name.get(remote.default_object_type or "")
    if said is not None:
        return said if said.active else None
    wanted = {_plain(remote.name), _plain(remote.title)}
    for row in catalogue.object_types.values():
        if row.active and wanted & {_plain(row.name), _plain(row.singular), _plain(row.plural)}:
            return row
    return None


def propose(sides: Sides, objects: Sequence[RemoteObject]) -> Definition:
    """The definition of a new sync; `objects` are all that the connection has.

    Everything proposed fits: a definition that leaves all as it is can be kept.
    """
    return Definition(
        direction=_direction(sides.remote),
        mappings=tuple(_mappings(sides)),
        roles=tuple(_roles(sides, objects)),
    )


def is_default(field: RemoteField, prop: PropertyRow) -> bool:
    """Whether the app itself says that this field holds this property."""
    return field.default_property == prop.name


def _direction(remote: RemoteObject) -> Direction:
    return Direction.BOTH if remote.writable or remote.creatable else Direction.IN


def _mappings(sides: Sides) -> list[MappingPart]:
    """Defaults first, then what is called alike; each property and each field once."""
    found: dict[str, MappingPart] = {}
    taken: set[str] = set()
    for by_default in (True, False):
        for field in sides.remote.fields:
            if field.name in found:
                continue
            prop = _default(field, sides.object_type) if by_default else _alike(field, sides.object_type)
            way = None if prop is None or prop.name in taken else natural(prop, field)
            if prop is not None and way is not None:
                found[field.name] = MappingPart(prop.name, field.name, way)
                taken.add(prop.name)
    # As the app orders its fields.
    return [found[field.name] for field in sides.remote.fields if field.name in found]


def _default(field: RemoteField, object_type: ObjectTypeRow) -> PropertyRow | None:
    return None if field.default_property is None else object_type.live(field.default_property)


def _alike(field: RemoteField, object_type: ObjectTypeRow) -> PropertyRow | None:
    if field.default_property is not None:
        return None
    names = {_plain(field.name), _plain(field.title)}
    by_name = (prop for prop in object_type.properties.values() if _plain(prop.name) in names)
    by_label = (prop for prop in object_type.properties.values() if _plain(prop.label) in names)
    return next((prop for prop in (*by_name, *by_label) if prop.archived_at is None), None)


def _roles(sides: Sides, objects: Sequence[RemoteObject]) -> list[RolePart]:
    """A role each to those other object types that can be synced; of companies, the primary one."""
    found: dict[str, RolePart] = {}
    far = {one.name: object_type_of(sides.catalogue, one) for one in objects}
    # The app's main role of several goes first.
    for role in sorted(sides.remote.roles, key=lambda one: not one.primary):
        other = far.get(role.to)
        if other is None or other.name in found or not _told_here(sides, other, role, objects):
            continue
        label = _label(sides, other, role)
        if label is not None:
            way = Direction.IN if role.read_only else Direction.BOTH
            found[other.name] = RolePart(role.name, other.name, label.name, way)
    return [found[name] for name in found]


def _label(sides: Sides, other: ObjectTypeRow, role: RemoteRole) -> AssociationTypeRow | None:
    """What a role stands for: the primary company, what is called alike, else the plain association."""
    near = sides.object_type
    if near.id == other.id:
        # Between records of one object type it matters which end is which: names alone tell.
        return next(
            (
                row
                for row in sides.catalogue.between(near.id, other.id)
                if row.name is not None and {_plain(row.name), _plain(row.label or "")} & _names(role)
            ),
            None,
        )
    primary = sides.catalogue.label(near.id, other.id, PRIMARY)
    if COMPANIES in (near.name, other.name) and primary is not None:
        return primary
    return sides.catalogue.unlabelled(near.id, other.id)


def _names(role: RemoteRole) -> set[str]:
    return {_plain(role.name), _plain(role.title)}


def _told_here(sides: Sides, other: ObjectTypeRow, role: RemoteRole, objects: Sequence[RemoteObject]) -> bool:
    """Whether it is this sync that keeps the association: where both ends know it, one of them does.

    Contacts know their companies; everything else knows its contacts and companies.
    """
    back = any(
        one.name == role.to and any(each.to == sides.remote.name for each in one.roles) for one in objects
    )
    if not back or sides.object_type.id == other.id:
        return True
    rank = {COMPANIES: 0, CONTACTS: 1}
    near, far = ((rank.get(one.name, 2), one.name) for one in (sides.object_type, other))
    return near > far


def _plain(name: str) -> str:
    return "".join(character for character in str(folded(name)) if character.isalnum())
