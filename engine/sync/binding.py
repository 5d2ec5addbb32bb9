"""From a sync's definition to its rules: names become what both sides define; what is gone is told, and left out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine import filters
from engine.problems import Refused
from engine.sync import matching, remote
from engine.sync.categories import Category
from engine.sync.checking import Sides, takes
from engine.sync.connectors.protocol import Capabilities, RemoteField
from engine.sync.definition import Definition, MappingPart, RolePart, of
from engine.sync.problems import SyncBroken
from engine.sync.rules import Direction, RoleMapping, Rules
from engine.sync.rules import Mapping as Bound
from engine.sync.translate import fits
from storage.catalogue import Catalogue, PropertyRow
from storage.filters.tree import Filter
from storage.sync.connections import ConnectionRow
from storage.sync.mappings import MappingRow
from storage.sync.syncs import SyncRow


@dataclass(frozen=True, slots=True)
class Broken:
    """A mapping or a role that cannot be kept in sync any more: the others are. `mapping_id` None: a role."""

    mapping_id: int | None
    category: Category
    message: str
    property: str | None = None
    field: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """The rules by which a sync runs, and what it leaves out because it is not there, or does not fit, any more."""

    rules: Rules
    broken: tuple[Broken, ...] = ()


def bind(
    catalogue: Catalogue,
    connection: ConnectionRow,
    sync: SyncRow,
    mappings: Sequence[MappingRow],
    others: Sequence[SyncRow],
    capabilities: Capabilities,
) -> Binding:
    """A sync's rules. `mappings` are all of its; `others` the connection's syncs; `capabilities` the app's.

    A mapping or role that definitions have overtaken is left out and told. Raises `SyncBroken` where nothing is left
    to go by: the object over there is gone, or a filter names what is not there any more.
    """
    object_type = catalogue.object_types.get(sync.object_type_id)
    found = remote.find(connection.objects, sync.remote_object)
    if object_type is None or found is None:
        raise SyncBroken(reason=f'there is no "{sync.remote_object}" in the app any more.')
    definition = of(sync, mappings, object_type)
    sides = Sides(catalogue, object_type, found)
    bound = [_mapping(row, definition, sides) for row in mappings if row.enabled]
    good = tuple(one for one in bound if isinstance(one, Bound))
    roles = [_role(part, definition, sides, others) for part in definition.roles]
    mapped = tuple(one for one in roles if isinstance(one, RoleMapping))
    rules = Rules(
        sync.id,
        object_type,
        # Connectors read the roles that they are asked for: those that nobody mapped cost nothing.
        replace(found, roles=tuple(dict.fromkeys(one.role for one in mapped))),
        remote.capabilities_of(capabilities, found),
        definition.direction,
        definition.policy,
        good,
        matching.matchers(object_type, found, good, definition.matchers),
        mapped,
        _filter(definition, sides),
        definition.filter_theirs,
        definition.options,
    )
    _conditions_stand(definition, sides)
    return Binding(rules, tuple(one for one in (*bound, *roles) if isinstance(one, Broken)))


def draft(definition: Definition, sides: Sides, capabilities: Capabilities) -> Rules:
    """The rules of a definition that has been checked and is not kept yet; mappings are numbered from one."""
    rows = [
        _bound(n, part, definition, sides.object_type.properties[part.property], field)
        for n, part in enumerate(definition.mappings, start=1)
        if part.enabled and (field := sides.field(part.field)) is not None
    ]
    return Rules(
        0,
        sides.object_type,
        sides.remote,
        remote.capabilities_of(capabilities, sides.remote),
        definition.direction,
        definition.policy,
        tuple(rows),
        matching.matchers(sides.object_type, sides.remote, rows, definition.matchers),
        filter_ours=_filter(definition, sides),
        filter_theirs=definition.filter_theirs,
        options=definition.options,
    )


def _mapping(row: MappingRow, definition: Definition, sides: Sides) -> Bound | Broken:
    prop = next((one for one in sides.object_type.properties.values() if one.id == row.property_id), None)
    field = sides.field(row.field)
    if prop is None or prop.archived_at is not None:
        name = "" if prop is None else prop.name
        message = f'The property "{name}" is archived.'
        return Broken(row.id, Category.PROPERTY_NOT_FOUND, message, name, row.field)
    if field is None:
        message = f'"{sides.remote.title}" has no field "{row.field}" any more.'
        return Broken(row.id, Category.PROPERTY_NOT_FOUND, message, prop.name, row.field)
    reason = fits(prop, field, Direction(row.direction))
    if reason is not None:
        written = fits(prop, field, _other_way(row.direction)) is None
        category = Category.PROPERTY_READ_ONLY if written else Category.TYPE_MISMATCH
        return Broken(row.id, category, f"{reason[0].upper()}{reason[1:]}.", prop.name, field.name)
    part = next(one for one in definition.mappings if (one.property, one.field) == (prop.name, row.field))
    return _bound(row.id, part, definition, prop, field, custom=row.custom)


def _other_way(direction: str) -> Direction:
    """What a mapping may still be where it may not be written in this direction any more."""
    return Direction.OUT if Direction(direction) is Direction.IN else Direction.IN


def _bound(
    number: int,
    part: MappingPart,
    definition: Definition,
    prop: PropertyRow,
    field: RemoteField,
    *,
    custom: bool | None = None,
) -> Bound:
    return Bound(
        number,
        prop,
        field,
        part.direction or definition.direction,
        part.policy or definition.policy,
        dict(part.options),
        field.default_property != prop.name if custom is None else custom,
    )


def _role(
    part: RolePart, definition: Definition, sides: Sides, others: Sequence[SyncRow]
) -> RoleMapping | Broken:
    role, label = sides.role(part.role), sides.label(part)
    other = sides.catalogue.by_name.get(part.to)
    if role is None or label is None or other is None:
        gone = f'The role "{part.role}"' if role is None else f'The label "{part.label}"'
        return Broken(None, Category.PROPERTY_NOT_FOUND, f"{gone} is not there any more.", role=part.role)
    if not takes(label, sides.catalogue, all_companies=definition.options.all_companies):
        return Broken(None, Category.TYPE_MISMATCH, "Only the primary company is synced now.", role=part.role)
    direction = Direction.IN if role.read_only else part.direction or Direction.BOTH
    at_the_other_end = (
        one.id for one in others if (one.object_type_id, one.remote_object) == (other.id, role.to)
    )
    return RoleMapping(label, role, direction, next(at_the_other_end, None))


def _filter(definition: Definition, sides: Sides) -> Filter | None:
    if definition.filter_ours is None:
        return None
    try:
        return filters.bind(definition.filter_ours, sides.object_type, sides.catalogue)
    except Refused as refused:
        raise SyncBroken(reason=f"its filter is broken. {refused}") from None


def _conditions_stand(definition: Definition, sides: Sides) -> None:
    """A condition on a field that is gone would let everything in, or nothing."""
    for condition in definition.filter_theirs:
        if sides.field(condition.field) is None:
            reason = f'its filter asks for the field "{condition.field}", which is not there any more.'
            raise SyncBroken(reason=reason)
