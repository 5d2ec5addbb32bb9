"""Whether a sync's definition can be, as both sides are now: everything that is wrong, at its path. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from engine import filters
from engine.problems import Problem, Refused, UnknownObjectType
from engine.sync.connectors.protocol import RemoteField, RemoteObject, RemoteRole
from engine.sync.definition import Definition, MappingPart, RolePart
from engine.sync.matching import may_match
from engine.sync.problems import (
    DirectionNotPossible,
    MappedPropertyArchived,
    MappingDoesNotFit,
    MappingRepeated,
    MatcherDoesNotFit,
    NothingMapped,
    OptionNotPossible,
    OptionsNotMappable,
    RoleDoesNotFit,
    RoleRepeated,
    UnknownField,
    UnknownMappedProperty,
    UnknownOption,
    UnknownRole,
    UnknownSyncLabel,
    WrittenTwice,
)
from engine.sync.rules import Deletes, Direction, Test
from engine.sync.translate import fits
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow, PropertyRow

COMPANIES = "companies"
PRIMARY = "primary"

# Conditions that compare with nothing.
ALONE = frozenset({Test.IS_KNOWN, Test.IS_UNKNOWN})


@dataclass(frozen=True, slots=True)
class Sides:
    """What both sides define."""

    catalogue: Catalogue
    object_type: ObjectTypeRow
    remote: RemoteObject

    def field(self, name: str) -> RemoteField | None:
        """The field of theirs with this name."""
        return next((one for one in self.remote.fields if one.name == name), None)

    def role(self, name: str) -> RemoteRole | None:
        """The role of theirs with this name."""
        return next((one for one in self.remote.roles if one.name == name), None)

    def label(self, part: RolePart) -> AssociationTypeRow | None:
        """The association type that a role stands for, read at the synced record."""
        other = self.catalogue.by_name.get(part.to)
        if other is None:
            return None
        if part.label is None:
            return self.catalogue.unlabelled(self.object_type.id, other.id)
        return self.catalogue.label(self.object_type.id, other.id, part.label)


def settled(definition: Definition, sides: Sides) -> Definition:
    """The definition with a direction for each mapping and role: both ways, where that can be."""
    mappings = tuple(
        one if one.direction is not None else replace(one, direction=_natural(one, sides))
        for one in definition.mappings
    )
    roles = tuple(
        one if one.direction is not None else replace(one, direction=_natural_role(one, sides))
        for one in definition.roles
    )
    return replace(definition, mappings=mappings, roles=roles)


def natural(prop: PropertyRow, field: RemoteField) -> Direction | None:
    """The way in which a property and a field can be mapped: both, else the one; None where neither fits."""
    return next(
        (way for way in (Direction.BOTH, Direction.IN, Direction.OUT) if fits(prop, field, way) is None), None
    )


def _natural(part: MappingPart, sides: Sides) -> Direction:
    prop, field = sides.object_type.properties.get(part.property), sides.field(part.field)
    found = None if prop is None or field is None else natural(prop, field)
    return found or Direction.BOTH


def _natural_role(part: RolePart, sides: Sides) -> Direction:
    role = sides.role(part.role)
    return Direction.IN if role is not None and role.read_only else Direction.BOTH


def check(definition: Definition, sides: Sides) -> list[Problem]:
    """Everything that is wrong with a definition whose directions are settled."""
    return [
        *_ways(definition, sides),
        *_mappings(definition, sides),
        *_roles(definition, sides),
        *_filters(definition, sides),
        *_matchers(definition, sides),
    ]


def _ways(definition: Definition, sides: Sides) -> Iterator[Problem]:
    title = sides.remote.title
    if definition.direction is not Direction.IN and not (sides.remote.writable or sides.remote.creatable):
        yield DirectionNotPossible(reason=f"{title} can only be read", path=("direction",))
    if definition.options.deletes in (Deletes.OUT, Deletes.BOTH) and not sides.remote.deletable:
        yield OptionNotPossible(
            option="deletes", reason=f"{title} cannot be deleted over there", path=("options", "deletes")
        )


def _mappings(definition: Definition, sides: Sides) -> Iterator[Problem]:
    for n, part in enumerate(definition.mappings):
        for problem in _mapping(part, sides):
            yield problem.at("mappings", n)
    if not any(part.enabled for part in definition.mappings):
        yield NothingMapped(path=("mappings",))
    for n in _repeated((part.property, part.field) for part in definition.mappings):
        part = definition.mappings[n]
        yield MappingRepeated(property=part.property, field=part.field, path=("mappings", n))
    for key, at_the_end in (("property", Direction.IN), ("field", Direction.OUT)):
        writing = [
            (n, getattr(part, key))
            for n, part in enumerate(definition.mappings)
            if part.enabled
            and part.direction in (Direction.BOTH, at_the_end)
            and definition.direction in (Direction.BOTH, at_the_end)
        ]
        for place in _repeated(name for _, name in writing):
            n, name = writing[place]
            yield WrittenTwice(name=name, path=("mappings", n, key))


def _mapping(part: MappingPart, sides: Sides) -> Iterator[Problem]:
    prop, field = sides.object_type.properties.get(part.property), sides.field(part.field)
    if prop is None:
        yield UnknownMappedProperty(
            object_type=sides.object_type.name, property=part.property[:100], path=("property",)
        )
    elif prop.archived_at is not None and part.enabled:
        yield MappedPropertyArchived(property=prop.name, path=("property",))
    if field is None:
        yield UnknownField(object=sides.remote.name, field=part.field[:100], path=("field",))
    if prop is None or field is None or not part.enabled:
        return
    reason = fits(prop, field, part.direction or Direction.BOTH)
    if reason is not None:
        yield MappingDoesNotFit(property=prop.name, field=field.name, reason=reason, path=("direction",))
    yield from _options(part.options, prop, field)


def _options(options: Mapping[str, str], prop: PropertyRow, field: RemoteField) -> Iterator[Problem]:
    if options and prop.type != "ENUMERATION":
        yield OptionsNotMappable(property=prop.name, type=prop.type, path=("options",))
        return
    ours = {option["value"] for option in prop.options}
    theirs = {value for value, _ in field.options}
    for n, (one, other) in enumerate(options.items()):
        if one not in ours:
            yield UnknownOption(name=prop.name, option=one[:100], path=("options", n, "ours"))
        if theirs and other not in theirs:
            yield UnknownOption(name=field.name, option=other[:100], path=("options", n, "theirs"))


def _roles(definition: Definition, sides: Sides) -> Iterator[Problem]:
    for n, part in enumerate(definition.roles):
        for problem in _role(part, definition, sides):
            yield problem.at("roles", n)
    for names in (
        [(part.role, part.to) for part in definition.roles],
        [(part.to, part.label) for part in definition.roles],
    ):
        for n in _repeated(names):
            yield RoleRepeated(role=definition.roles[n].role, path=("roles", n))


def _role(part: RolePart, definition: Definition, sides: Sides) -> Iterator[Problem]:
    role = sides.role(part.role)
    if role is None:
        known = [one.name for one in sides.remote.roles]
        yield UnknownRole(object=sides.remote.name, role=part.role[:100], known=known, path=("role",))
    elif role.read_only and part.direction is not Direction.IN:
        yield RoleDoesNotFit(role=role.name, reason="it can only be read over there", path=("direction",))
    other = sides.catalogue.by_name.get(part.to)
    if other is None:
        yield UnknownObjectType(name=part.to[:100], path=("to",))
        return
    label = sides.label(part)
    if label is None:
        yield UnknownSyncLabel(
            label=str(part.label)[:100], object_type=sides.object_type.name, to=other.name, path=("label",)
        )
    elif not takes(label, sides.catalogue, all_companies=definition.options.all_companies):
        reason = "only the primary company is synced, unless the option allCompanies is on"
        yield RoleDoesNotFit(role=part.role, reason=reason, path=("label",))


def takes(label: AssociationTypeRow, catalogue: Catalogue, *, all_companies: bool) -> bool:
    """Whether associations of this type are synced: of companies, the primary one unless all are.

    Companies have parents, but no primary company; and some object types have companies, none of them the primary one.
    """
    near, far = label.from_object_type_id, label.to_object_type_id
    companies = catalogue.by_name[COMPANIES].id
    if all_companies or label.primary or near == far or companies not in (near, far):
        return True
    return catalogue.label(near, far, PRIMARY) is None


def _filters(definition: Definition, sides: Sides) -> Iterator[Problem]:
    if definition.filter_ours is not None:
        try:
            filters.bind(definition.filter_ours, sides.object_type, sides.catalogue)
        except Refused as refused:
            yield from (problem.at("filterOurs") for problem in refused.problems)
    for n, condition in enumerate(definition.filter_theirs):
        if sides.field(condition.field) is None:
            yield UnknownField(
                object=sides.remote.name, field=condition.field[:100], path=("filterTheirs", n, "field")
            )
        if bool(condition.values) is (condition.test in ALONE):
            reason = "it compares with nothing" if condition.test in ALONE else "it compares with something"
            yield OptionNotPossible(
                option=condition.test.value, reason=reason, path=("filterTheirs", n, "values")
            )


def _matchers(definition: Definition, sides: Sides) -> Iterator[Problem]:
    mapped = {part.property for part in definition.mappings if part.enabled}
    for n, name in enumerate(definition.matchers or ()):
        prop = sides.object_type.properties.get(name)
        reason = None
        if prop is None or not may_match(sides.object_type, prop):
            reason = "it does not tell records apart"
        elif name not in mapped:
            reason = "it is not mapped"
        if reason is not None:
            yield MatcherDoesNotFit(property=name[:100], reason=reason, path=("matchers", n))


def _repeated(keys: Iterable[object]) -> Iterator[int]:
    """Places of those that have come before."""
    seen: set[object] = set()
    for n, key in enumerate(keys):
        if key in seen:
            yield n
        seen.add(key)
