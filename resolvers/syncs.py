"""Reads of syncs: their rules with what both sides define now, and how they stand."""

from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine import ids
from engine.problems import PathPart, Problem, Refused
from engine.sync import apps, binding, checking, definition, health, proposals, remote
from engine.sync.binding import Broken
from engine.sync.checking import Sides
from engine.sync.connectors.protocol import Capabilities, RemoteField, RemoteObject, RemoteRole
from engine.sync.definition import Definition, MappingPart, RolePart
from engine.sync.health import Standing
from engine.sync.problems import UnknownRemoteObject
from engine.sync.rules import Condition, Direction, Matcher, Options, Policy
from resolvers import connections as connected
from resolvers import listings, loaders
from resolvers.context import Context
from resolvers.sync_records import Page
from resolvers.workflows import place, size
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow, PropertyRow
from storage.database import Queryable
from storage.sync import connections, mappings, syncs
from storage.sync.connections import ConnectionRow
from storage.sync.mappings import MappingRow
from storage.sync.syncs import SyncRow


class SyncPartBroken(Problem):
    """{reason} It is left out of the sync until that is mended."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A mapping with what both sides say of it; what is gone is None. `id` None: it is only proposed."""

    id: int | None
    property: PropertyRow | None
    field: str
    remote_field: RemoteField | None
    direction: Direction
    policy: Policy | None
    options: Map[str, str]
    enabled: bool
    custom: bool


@dataclass(frozen=True, slots=True)
class RoleSeen:
    """A role with the association type that it stands for; what is gone is None."""

    association_type: AssociationTypeRow | None
    role: str
    remote_role: RemoteRole | None
    direction: Direction
    other_sync_id: int | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A sync's rules as people look at them. `row` None: it is a proposal."""

    row: SyncRow | None
    connection_id: int
    object_type: ObjectTypeRow
    remote_object: str
    remote: RemoteObject | None
    direction: Direction
    policy: Policy
    mappings: Sequence[Mapped]
    roles: Sequence[RoleSeen]
    matchers: Sequence[Matcher]
    options: Options
    filter_ours: Map[str, Any] | None
    filter_theirs: Sequence[Condition]
    problems: Sequence[Problem] = ()
    progress: Map[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> int:
        """The sync's number; 0 of a proposal."""
        return 0 if self.row is None else self.row.id


@dataclass(frozen=True, slots=True)
class Surrounded:
    """A sync's row with all that its rules are bound by."""

    row: SyncRow
    connection: ConnectionRow
    mappings: Sequence[MappingRow]
    others: Sequence[SyncRow]


async def by_id(context: Context, number: int) -> Seen | None:
    """One sync."""

    async def read(reader: Queryable, numbers: Sequence[int]) -> list[Seen | None]:
        rows = await syncs.by_ids(reader, numbers)
        found = await surrounded(reader, [row for row in rows if row is not None])
        seen = {one.row.id: look(context.catalogue, one) for one in found}
        return [seen.get(one) for one in numbers]

    return await loaders.loader(context, "sync", read).load(number)


async def listing(
    context: Context, object_type: str | None, connection: str | None, first: int | None, after: str | None
) -> Page[Seen]:
    """Syncs in the order in which they were made; of an object type, of a connection, or all."""
    limit, behind = size(first), 0 if after is None else place("sync", after)
    of = None if object_type is None else listings.object_type(context.catalogue, object_type)
    number = None if connection is None else ids.decode_at("connection", connection, "connection")
    async with context.db.read(context.account_id) as reader:
        # A few, made by hand.
        rows = [
            row
            for row in await syncs.listing(reader, number)
            if row.id > behind and (of is None or row.object_type_id == of.id)
        ]
        found = await surrounded(reader, rows[:limit])
    return Page([look(context.catalogue, one) for one in found], len(rows) > limit, after is not None)


async def standing(context: Context, number: int) -> Standing:
    """How a sync's records stand."""
    return await loaders.loader(context, "sync standing", health.standings).load(number)


async def surrounded(reader: Queryable, rows: Sequence[SyncRow]) -> list[Surrounded]:
    """Syncs with all that their rules are bound by, in the order given."""
    known = await connections.by_ids(reader, list({row.connection_id for row in rows}))
    by_number = {one.id: one for one in known if one is not None}
    mapped = await mappings.of_syncs(reader, [row.id for row in rows])
    every = await syncs.listing(reader) if rows else []
    return [
        Surrounded(
            row,
            by_number[row.connection_id],
            mapped[row.id],
            [one for one in every if one.connection_id == row.connection_id],
        )
        for row in rows
    ]


def look(catalogue: Catalogue, one: Surrounded) -> Seen:
    """A sync as people look at it, whatever is wrong with it."""
    row = one.row
    object_type = catalogue.object_types[row.object_type_id]
    found = remote.find(one.connection.objects, row.remote_object)
    said = definition.of(row, one.mappings, object_type)
    problems, matchers = _bound(catalogue, one)
    names = {prop.id: prop for prop in object_type.properties.values()}
    return Seen(
        row,
        row.connection_id,
        object_type,
        row.remote_object,
        found,
        said.direction,
        said.policy,
        [_mapped(mapping, names, found) for mapping in one.mappings],
        roles(catalogue, object_type, found, said, one.others),
        matchers,
        said.options,
        said.filter_ours,
        said.filter_theirs,
        problems,
        row.progress,
    )


def _bound(catalogue: Catalogue, one: Surrounded) -> tuple[list[Problem], Sequence[Matcher]]:
    try:
        capabilities: Capabilities = apps.get(one.connection.app).capabilities
        bound = binding.bind(catalogue, one.connection, one.row, one.mappings, one.others, capabilities)
    except Problem as problem:
        return [problem], ()
    except Refused as refused:
        return list(refused.problems), ()
    return [_broken(part, one.mappings) for part in bound.broken], bound.rules.matchers


def _broken(part: Broken, rows: Sequence[MappingRow]) -> Problem:
    places = (n for n, row in enumerate(rows) if row.id == part.mapping_id)
    path: tuple[PathPart, ...] = ("roles",) if part.mapping_id is None else ("mappings", *places)
    return SyncPartBroken(reason=part.message, category=part.category.value, path=path)


def _mapped(row: MappingRow, names: Map[int, PropertyRow], found: RemoteObject | None) -> Mapped:
    return Mapped(
        row.id,
        names.get(row.property_id),
        row.field,
        field_of(found, row.field),
        Direction(row.direction),
        None if row.policy is None else Policy(row.policy),
        row.options,
        row.enabled,
        row.custom,
    )


def field_of(found: RemoteObject | None, name: str) -> RemoteField | None:
    """The field of an object of theirs with this name."""
    return None if found is None else next((one for one in found.fields if one.name == name), None)


def roles(
    catalogue: Catalogue,
    object_type: ObjectTypeRow,
    found: RemoteObject | None,
    said: Definition,
    others: Sequence[SyncRow],
) -> list[RoleSeen]:
    """The roles of a definition with what both sides say of them."""
    return [_role(catalogue, object_type, found, part, others) for part in said.roles]


def _role(
    catalogue: Catalogue,
    object_type: ObjectTypeRow,
    found: RemoteObject | None,
    part: RolePart,
    others: Sequence[SyncRow],
) -> RoleSeen:
    sides = None if found is None else Sides(catalogue, object_type, found)
    role = None if sides is None else sides.role(part.role)
    other = catalogue.by_name.get(part.to)
    linked = (
        one.id
        for one in others
        if other is not None
        and role is not None
        and (one.object_type_id, one.remote_object) == (other.id, role.to)
    )
    return RoleSeen(
        None if sides is None else sides.label(part),
        part.role,
        role,
        part.direction or Direction.BOTH,
        next(linked, None),
    )


async def proposal(
    context: Context,
    connection: str,
    object_type: str,
    remote_object: str | None,
    direction: Direction | None,
) -> Seen:
    """What a new sync would be unless something else is said; raises `NotFound` and `UnknownRemoteObject`."""
    row = await connected.existing(context, connection)
    of = listings.object_type(context.catalogue, object_type)
    objects = connected.objects(row)
    found = remote_of(context.catalogue, row, objects, of, remote_object)
    sides = Sides(context.catalogue, of, found)
    said = proposals.propose(sides, objects)
    if direction is not None:
        said = replace(said, direction=direction)
    async with context.db.read(context.account_id) as reader:
        others = await syncs.listing(reader, row.id)
    return drafted(row, sides, said, others)


def drafted(row: ConnectionRow, sides: Sides, said: Definition, others: Sequence[SyncRow]) -> Seen:
    """A definition that is not kept, as people look at it."""
    said = checking.settled(said, sides)
    problems = checking.check(said, sides)
    app = connected.app(row.app)
    rules = None if problems or app is None else binding.draft(said, sides, app.capabilities)
    return Seen(
        None,
        row.id,
        sides.object_type,
        sides.remote.name,
        sides.remote,
        said.direction,
        said.policy,
        [_drafted(part, sides) for part in said.mappings],
        roles(sides.catalogue, sides.object_type, sides.remote, said, others),
        () if rules is None else rules.matchers,
        said.options,
        said.filter_ours,
        said.filter_theirs,
        problems,
    )


def _drafted(part: MappingPart, sides: Sides) -> Mapped:
    prop, remote_field = sides.object_type.properties.get(part.property), sides.field(part.field)
    return Mapped(
        None,
        prop,
        part.field,
        remote_field,
        part.direction or Direction.BOTH,
        part.policy,
        part.options,
        part.enabled,
        prop is None or remote_field is None or not proposals.is_default(remote_field, prop),
    )


def remote_of(
    catalogue: Catalogue,
    row: ConnectionRow,
    objects: Sequence[RemoteObject],
    object_type: ObjectTypeRow,
    name: str | None,
) -> RemoteObject:
    """The object of a connection with this name; without one, that which is like the object type."""
    for one in objects:
        like = proposals.object_type_of(catalogue, one) if name is None else None
        if one.name == name or (like is not None and like.id == object_type.id):
            return one
    known = [one.name for one in objects]
    raise UnknownRemoteObject(
        connection=row.name, name=(name or object_type.name)[:100], known=known, path=("remoteObject",)
    )
