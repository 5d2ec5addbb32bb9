"""A third party that is simulated in this process: a store, its feed of changes, and every kind of trouble, by a seed.

Without trouble it is an honest app. `Trouble` says how often which error comes, before or after the work was done, what
is told twice, late or out of order, and how wrong its clock is.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.sync.categories import Category
from engine.sync.connectors.protocol import (
    Capabilities,
    ConnectorError,
    Create,
    CursorLost,
    Delete,
    Delivery,
    Disconnected,
    Exists,
    FieldType,
    Gone,
    Hint,
    Item,
    Links,
    Op,
    Outcome,
    Page,
    Phase,
    Rejected,
    RemoteField,
    RemoteObject,
    RemoteRole,
    Retry,
    Stale,
    Unclear,
    Update,
    Written,
)

DAWN = datetime(2026, 3, 1, 12, tzinfo=UTC)

PEOPLE = RemoteObject(
    "people",
    "People",
    (
        RemoteField("mail", "Mail", unique=True, default_property="email"),
        RemoteField("first", "First name", default_property="firstname"),
        RemoteField("last", "Last name", default_property="lastname"),
        RemoteField("age", "Age", FieldType.NUMBER),
        RemoteField("city", "City", lossy=True, default_property="city"),
    ),
    (
        RemoteRole("employer", "Employer", "firms", many=False, primary=True),
        RemoteRole("knows", "Knows", "firms"),
    ),
    "contacts",
    frozenset({"mail"}),
)
FIRMS = RemoteObject(
    "firms",
    "Firms",
    (
        RemoteField("title", "Title", default_property="name"),
        RemoteField("host", "Host", default_property="domain"),
        RemoteField("city", "City", default_property="city"),
    ),
    (),
    "companies",
    frozenset({"title", "host"}),
)

ALL = Capabilities(
    changes=True,
    tombstones=True,
    idempotent_create=True,
    conditional=True,
    ordered_versions=True,
    page=50,
    batch=20,
    overlap=timedelta(0),
)


@dataclass(slots=True)
class Stored:
    """An item of the store."""

    id: str
    fields: dict[str, Any]
    version: int
    at: datetime
    associations: dict[str, set[str]] = field(default_factory=dict)
    deleted: bool = False


@dataclass(slots=True)
class Trouble:
    """How often what goes wrong, from 0 to 1."""

    # Whole calls: the app is away before anything was done, or after it was (writes whose answer is lost).
    away: float = 0.0
    lost: float = 0.0
    # Single ops: try again later; not known whether it was done (half of them were); refused as stale.
    retry: float = 0.0
    unclear: float = 0.0
    stale: float = 0.0
    cursor: float = 0.0
    # The feed: items told twice, as they were before, in any order.
    twice: float = 0.0
    before: float = 0.0
    shuffled: bool = False
    # How wrong its clock is.
    skew: timedelta = timedelta(0)


@dataclass
class World:
    """The store behind the connector. Whatever tests do to it directly, a person over there did."""

    seed: int = 0
    capabilities: Capabilities = ALL
    objects: tuple[RemoteObject, ...] = (PEOPLE, FIRMS)
    # What becomes of values: {field: how it is kept}.
    kept: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    # Fields that no two items of an object share.
    unique: frozenset[str] = frozenset()
    versions: bool = True
    tells_fields: bool = False
    # It cannot tell what a key made; what was made is found so much later.
    keyless: bool = False
    lag: timedelta = timedelta(0)
    # Whether items go on naming those that were deleted.
    dangles: bool = True
    trouble: Trouble = field(default_factory=Trouble)
    # So long, in seconds, writing takes before and after it is done.
    slow: float = 0.0
    now: datetime = DAWN

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.items: dict[str, dict[str, Stored]] = {one.name: {} for one in self.objects}
        self.log: dict[str, list[Stored]] = {one.name: [] for one in self.objects}
        self.keys: dict[str, str] = {}
        # When others made items.
        self.born: dict[str, datetime] = {}
        self.number = 0
        # What was asked of it: verbs, and ops that were carried out.
        self.calls: list[str] = []
        self.done: list[tuple[str, str, dict[str, Any]]] = []
        self.lost_cursors = False
        # What a test wants to go wrong next: (verb, error).
        self.next: list[tuple[str, ConnectorError]] = []
        self.quiet = False

    # --- what people do over there -------------------------------------------------------------------------------

    def add(self, object_: str = "people", **fields: Any) -> str:
        """A new item's id."""
        return self._store(object_, f"x{self._tick()}", fields).id

    def edit(self, id_: str, object_: str = "people", **fields: Any) -> None:
        """Change fields; None empties."""
        old = self.items[object_][id_]
        self._store(object_, id_, {**old.fields, **fields}, old.associations)

    def relate(self, id_: str, role: str, *others: str, object_: str = "people") -> None:
        """Let an item have these ends in a role."""
        old = self.items[object_][id_]
        self._store(object_, id_, old.fields, {**old.associations, role: set(others)})

    def remove(self, id_: str, object_: str = "people") -> None:
        """Delete an item."""
        old = self.items[object_].pop(id_)
        gone = Stored(id_, dict(old.fields), self._tick(), self.now, deleted=True)
        self.log[object_].append(gone)
        if not self.dangles:
            for one, other, role in self._naming(object_, id_):
                self.relate(other.id, role, *(other.associations[role] - {id_}), object_=one)

    def _naming(self, object_: str, id_: str) -> list[tuple[str, Stored, str]]:
        """Where an item is an end: (object, item, role)."""
        return [
            (one.name, other, role.name)
            for one in self.objects
            for role in one.roles
            if role.to == object_
            for other in list(self.items[one.name].values())
            if id_ in other.associations.get(role.name, ())
        ]

    def all(self, object_: str = "people") -> dict[str, dict[str, Any]]:
        """{id: fields}"""
        return {one.id: one.fields for one in self.items[object_].values()}

    def writes(self) -> int:
        """How many ops were carried out for others."""
        return len(self.done)

    # --- inside --------------------------------------------------------------------------------------------------

    def _tick(self) -> int:
        self.number += 1
        return self.number

    def _store(
        self,
        object_: str,
        id_: str,
        fields: Mapping[str, Any],
        associations: Mapping[str, set[str]] | None = None,
    ) -> Stored:
        kept = {
            name: self.kept[name](value) if name in self.kept else value
            for name, value in fields.items()
            if value is not None and value != ""
        }
        at = self.now + self.trouble.skew
        new = Stored(
            id_, kept, self._tick(), at, {role: set(some) for role, some in (associations or {}).items()}
        )
        self.items[object_][id_] = new
        self.log[object_].append(new)
        return new

    def chance(self, share: float) -> bool:
        """Whether it happens this time."""
        return not self.quiet and share > 0 and self.random.random() < share

    def item(self, object_: str, one: Stored) -> Item:
        """As the connector tells it."""
        roles = next(each.roles for each in self.objects if each.name == object_)
        return Item(
            one.id,
            dict(one.fields),
            f"{one.version:012d}" if self.versions else None,
            one.at,
            {}
            if one.deleted
            else {role.name: tuple(sorted(one.associations.get(role.name, ()))) for role in roles},
            one.deleted,
        )

    def found(self, one: Stored) -> bool:
        """Whether a search knows of it by now."""
        return one.id not in self.born or self.now >= self.born[one.id] + self.lag

    def _unknown(self, object_: str, op: Op) -> Rejected | None:
        known = {each.name for one in self.objects if one.name == object_ for each in one.fields}
        for name in () if isinstance(op, Delete) else sorted(op.fields.keys() - known):
            return Rejected(f'There is no field "{name}".', Category.PROPERTY_NOT_FOUND, name)
        return None

    def write(self, object_: str, op: Op) -> Outcome:
        """Carry out one op."""
        if (unknown := self._unknown(object_, op)) is not None:
            return unknown
        match op:
            case Create(key, fields, links):
                if self.capabilities.idempotent_create and key in self.keys:
                    known = self.items[object_].get(self.keys[key])
                    return Gone("It was deleted.") if known is None else self._written(object_, known)
                if (taken := self._taken(object_, None, fields)) is not None:
                    return taken
                new = self._store(object_, f"y{self._tick()}", fields, self._related(object_, {}, links))
                self.keys[key] = new.id
                self.born[new.id] = self.now
                self.done.append(("create", new.id, dict(fields)))
                return self._written(object_, new)
            case Update(external_id, fields, version, links):
                old = self.items[object_].get(external_id)
                if old is None:
                    return Gone("There is no such item.")
                if self.capabilities.conditional and version is not None and version != f"{old.version:012d}":
                    return Stale("It has changed.")
                if (taken := self._taken(object_, external_id, fields)) is not None:
                    return taken
                related = self._related(object_, old.associations, links)
                new = self._store(object_, external_id, {**old.fields, **fields}, related)
                self.done.append(("update", external_id, dict(fields)))
                return self._written(object_, new)
            case Delete(external_id, version):
                old = self.items[object_].get(external_id)
                if old is None:
                    return Gone("There is no such item.")
                if self.capabilities.conditional and version is not None and version != f"{old.version:012d}":
                    return Stale("It has changed.")
                self.remove(external_id, object_)
                self.done.append(("delete", external_id, {}))
                return Written(external_id)

    def _related(self, object_: str, before: Mapping[str, set[str]], links: Links) -> dict[str, set[str]]:
        roles = {role.name: role for one in self.objects if one.name == object_ for role in one.roles}
        after = {role: set(some) for role, some in before.items()}
        for role, some in links.removed.items():
            after.setdefault(role, set()).difference_update(some)
        for role, some in links.added.items():
            assert not roles[role].read_only
            assert roles[role].many or len(some) <= 1
            # There is room for one: the new one takes it.
            after[role] = {
                *(after.get(role, ()) if roles[role].many else () if some else after.get(role, ())),
                *some,
            }
        return after

    def _taken(self, object_: str, id_: str | None, fields: Mapping[str, Any]) -> Exists | None:
        for name in self.unique & fields.keys():
            for other in self.items[object_].values():
                if other.id != id_ and fields[name] is not None and other.fields.get(name) == fields[name]:
                    return Exists(f'"{name}" is taken.', external_id=other.id)
        return None

    def _written(self, object_: str, one: Stored) -> Written:
        item = self.item(object_, one)
        return Written(one.id, item.version, item.fields if self.tells_fields else None, item.modified_at)


class Simulated:
    """The connector to a world."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def check(self) -> str:
        return "Simulated"

    async def describe(self) -> Sequence[RemoteObject]:
        return self.world.objects

    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        self._begin("read")
        world = self.world
        if cursor is not None and (world.lost_cursors or world.chance(world.trouble.cursor)):
            world.lost_cursors = False
            raise CursorLost("Who are you?")
        if phase is Phase.FULL:
            return self._full(object_.name, cursor, limit)
        return self._changes(object_.name, cursor, limit)

    def _full(self, object_: str, cursor: str | None, limit: int) -> Page:
        world = self.world
        began, after = (len(world.log[object_]), "") if cursor is None else _parts(cursor)
        ids = sorted(id_ for id_ in world.items[object_] if id_ > after)
        page = [world.items[object_][id_] for id_ in ids[:limit]]
        more = len(ids) > limit
        items = self._told(object_, page, feed=False)
        following = f"{began}:{page[-1].id}" if more else f"{began}:"
        return Page(items, following, more, len(world.items[object_]))

    def _changes(self, object_: str, cursor: str | None, limit: int) -> Page:
        world = self.world
        log = world.log[object_]
        start = 0 if cursor is None else _parts(cursor)[0]
        if world.capabilities.overlap and not world.quiet:
            start = max(0, start - 3)
        end = min(len(log), start + limit)
        if world.capabilities.overlap and cursor is not None:
            end = max(end, min(len(log), _parts(cursor)[0] + limit))
        page = [one for one in log[start:end] if world.capabilities.tombstones or not one.deleted]
        return Page(self._told(object_, page, feed=True), f"{end}:", end < len(log))

    def _told(self, object_: str, page: Sequence[Stored], *, feed: bool) -> tuple[Item, ...]:
        """What a page says: in trouble, things twice, as they were before, and in any order."""
        world = self.world
        told: list[Item] = []
        for one in page:
            # A feed says how items are now; the log knows how they were.
            present = world.items[object_].get(one.id, one)
            if world.chance(world.trouble.before):
                olds = [old for old in world.log[object_] if old.id == one.id and not old.deleted]
                told.append(
                    world.item(object_, world.random.choice(olds)) if olds else world.item(object_, one)
                )
                # What was told late is told right in the end.
            told.append(world.item(object_, present if feed else one))
            if world.chance(world.trouble.twice):
                told.append(told[-1])
        if world.trouble.shuffled and not world.quiet:
            world.random.shuffle(told)
        return tuple(told)

    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        self._begin("get")
        found = self.world.items[object_.name]
        return [
            self.world.item(object_.name, found[id_]) if id_ in found else Item(id_, deleted=True)
            for id_ in external_ids
        ]

    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        self._begin("find")
        return [
            tuple(
                self.world.item(object_.name, one)
                for one in self.world.items[object_.name].values()
                if self.world.found(one) and str(one.fields.get(field_, "")).lower() == value.lower()
            )
            for value in values
        ]

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        self._begin("write")
        assert len(ops) <= self.world.capabilities.batch
        await asyncio.sleep(self.world.slow)
        outcomes = [self._write(object_.name, op) for op in ops]
        await asyncio.sleep(self.world.slow)
        if self.world.chance(self.world.trouble.lost):
            raise Disconnected("The answer was lost.", after=timedelta(seconds=1))
        return outcomes

    def _write(self, object_: str, op: Op) -> Outcome:
        world, trouble = self.world, self.world.trouble
        if world.next and world.next[0][0] == "op":
            return world.next.pop(0)[1]
        if world.chance(trouble.retry):
            return Retry("Not now.", Category.RATE_LIMITED)
        if world.chance(trouble.unclear):
            if world.random.random() < 0.5:
                world.write(object_, op)
            return Unclear("Nobody knows.")
        if isinstance(op, Update) and op.version is not None and world.chance(trouble.stale):
            return Stale("It has changed, or so it seems.")
        return world.write(object_, op)

    async def created(self, object_: RemoteObject, key: str) -> Item | None:
        self._begin("created")
        if self.world.keyless:
            return None
        id_ = self.world.keys.get(key)
        one = self.world.items[object_.name].get(id_ or "")
        return None if one is None else self.world.item(object_.name, one)

    async def hint(self, delivery: Delivery) -> Sequence[Hint]:
        raise Rejected("It calls nobody.")

    async def watch(self, objects: Sequence[str]) -> AsyncIterator[Hint]:
        for name in objects:
            yield Hint(name)

    def _begin(self, verb: str) -> None:
        world = self.world
        world.calls.append(verb)
        if world.next and world.next[0][0] == verb:
            raise world.next.pop(0)[1]
        if world.chance(world.trouble.away):
            raise Disconnected("It is away.", after=timedelta(seconds=1))


def _parts(cursor: str) -> tuple[int, str]:
    began, _, after = cursor.partition(":")
    return int(began), after


@contextmanager
def quiet(world: World) -> Iterator[World]:
    """No trouble for the time of the block."""
    before, world.quiet = world.quiet, True
    try:
        yield world
    finally:
        world.quiet = before


def capable(**words: Any) -> Capabilities:
    """`ALL` but for these."""
    return replace(ALL, **words)
