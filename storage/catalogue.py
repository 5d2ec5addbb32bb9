"""The catalogue: an account's object types, properties, association types and event types, as one immutable value."""

from collections import defaultdict
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from storage.event_types import BUILT_IN, EventTypeRow, from_json
from storage.property_rows import PropertyRow
from storage.statements import Statement

if TYPE_CHECKING:
    from storage.database import Queryable

# What definitions are made of, in one place for those who read them.
__all__ = [
    "AssociationTypeRow",
    "Catalogue",
    "EventTypeRow",
    "ObjectTypeRow",
    "PropertyRow",
    "SegmentRow",
    "load",
]


@dataclass(frozen=True, slots=True)
class AssociationTypeRow:
    """A directed association type, read at the `from` record and describing the `to` record."""

    id: int
    from_object_type_id: int
    to_object_type_id: int
    inverse_id: int
    pair_id: int
    name: str | None
    label: str | None
    category: str
    max_count: int | None
    exclusivity_group: str | None
    created_at: datetime
    created_by: int | None

    @property
    def unlabelled(self) -> bool:
        """Whether this is the plain association of its object pair."""
        return self.name is None

    @property
    def symmetric(self) -> bool:
        """Whether both directions are this one type."""
        return self.id == self.inverse_id

    @property
    def primary(self) -> bool:
        """Whether this is the system's `primary` label, in either direction.

        The half that stands at the record is limited to one; the half at the company has no limit.
        """
        return self.category == "SYSTEM" and self.name == "primary"


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment as filters and workflows know it. `kind` is ACTIVE, STATIC or SNAPSHOT."""

    id: int
    name: str
    object_type_id: int
    kind: str


@dataclass(frozen=True)
class ObjectTypeRow:
    """An object type with its properties (archived ones included) by name."""

    id: int
    name: str
    singular: str
    plural: str
    description: str | None
    category: str
    active: bool
    primary_display_property: str | None
    created_at: datetime
    properties: dict[str, PropertyRow]

    @cached_property
    def display(self) -> tuple[tuple[str, ...], ...]:
        """How a record is called: the first alternative with any value, its values joined by a space.

        Only live properties are named. A record without any of them is called by its id.
        """
        if self.primary_display_property is not None:
            alternatives: list[list[str]] = [[self.primary_display_property]]
        elif self.name in ("contacts", "leads"):
            alternatives = [["firstname", "lastname"], ["email"]]
        else:
            alternatives = [["name"], ["title"], ["subject"]]
        live = (tuple(name for name in names if self.live(name)) for names in alternatives)
        return tuple(names for names in live if names)

    def live(self, name: str) -> PropertyRow | None:
        """The property `name`, unless there is none or it is archived."""
        found = self.properties.get(name)
        return found if found is not None and found.archived_at is None else None


@dataclass(frozen=True)
class Catalogue:
    """All definitions of one account at one version."""

    account_id: int
    version: int
    object_types: dict[int, ObjectTypeRow]
    association_types: dict[int, AssociationTypeRow]
    # The name of the zone whose days filters mean by a day; a setting that bumps the version when it changes.
    time_zone: str = "UTC"
    segments: dict[int, SegmentRow] = field(default_factory=dict)
    # The object type of each workflow.
    workflows: dict[int, int] = field(default_factory=dict)
    # Those that every account has, and the account's own, archived ones included.
    event_types: dict[int, EventTypeRow] = field(default_factory=lambda: dict(BUILT_IN))
    # {object type: names of the properties of which a workflow wants to know what a change made of them}
    watched: dict[int, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> dict[str, ObjectTypeRow]:
        """Object types by internal name."""
        return {row.name: row for row in self.object_types.values()}

    @cached_property
    def _events_by_name(self) -> dict[str, EventTypeRow]:
        return {row.name: row for row in self.event_types.values()}

    def event_type(self, name: str) -> EventTypeRow | None:
        """The event type with internal name `name`, unless there is none or it is archived."""
        found = self._events_by_name.get(name)
        return found if found is not None and found.archived_at is None else None

    @cached_property
    def _by_pair(self) -> dict[tuple[int, int], list[AssociationTypeRow]]:
        pairs: dict[tuple[int, int], list[AssociationTypeRow]] = defaultdict(list)
        for row in sorted(self.association_types.values(), key=lambda row: row.id):
            pairs[row.from_object_type_id, row.to_object_type_id].append(row)
        return dict(pairs)

    @cached_property
    def _unlabelled(self) -> dict[tuple[int, int], AssociationTypeRow]:
        return {
            (row.from_object_type_id, row.to_object_type_id): row
            for row in self.association_types.values()
            if row.unlabelled
        }

    def between(self, from_object_type_id: int, to_object_type_id: int) -> list[AssociationTypeRow]:
        """The association types of a directed pair of object types, the unlabelled one included."""
        return self._by_pair.get((from_object_type_id, to_object_type_id), [])

    def unlabelled(self, from_object_type_id: int, to_object_type_id: int) -> AssociationTypeRow:
        """The plain association type of a directed pair; every pair has one."""
        return self._unlabelled[from_object_type_id, to_object_type_id]

    def label(self, from_object_type_id: int, to_object_type_id: int, name: str) -> AssociationTypeRow | None:
        """The label with internal name `name` of a directed pair, if there is one."""
        return next(
            (row for row in self.between(from_object_type_id, to_object_type_id) if row.name == name), None
        )


VERSION = Statement(
    "catalogue.version", "SELECT v.version FROM catalogue_version AS v WHERE v.account_id = $1"
)

# Writers share the row; a change of definitions waits for them and they for it. READ COMMITTED re-reads a
# locked row, so the version is the one that stands once the lock is held.
HOLD = Statement(
    "catalogue.hold", "SELECT v.version FROM catalogue_version AS v WHERE v.account_id = $1 FOR SHARE"
)

# Whoever is going to change definitions takes the row alone at once: going from shared to alone can deadlock.
HOLD_ALONE = Statement(
    "catalogue.hold_alone",
    "SELECT v.version FROM catalogue_version AS v WHERE v.account_id = $1 FOR UPDATE",
)

BUMP = Statement(
    "catalogue.bump", "UPDATE catalogue_version AS v SET version = v.version + 1 WHERE v.account_id = $1"
)

# One statement, so that version and content are of one snapshot. Texts of JSON: PostgreSQL makes them six times as fast
# as the binary ones, and this is read after every change of definitions.
LOAD = Statement(
    "catalogue.load",
    """
    SELECT (SELECT v.version FROM catalogue_version AS v WHERE v.account_id = $1) AS version,
           (SELECT json_agg(to_json(o.*)) FROM object_type AS o WHERE o.account_id = $1) AS object_types,
           (SELECT json_agg(to_json(p.*)) FROM property AS p WHERE p.account_id = $1) AS properties,
           (SELECT json_agg(to_json(a.*)) FROM association_type AS a WHERE a.account_id = $1) AS types,
           (SELECT json_agg(json_build_object('id', s.id, 'name', s.name, 'kind', s.kind,
                                              'object_type_id', s.object_type_id))
              FROM segment AS s WHERE s.account_id = $1) AS segments,
           (SELECT json_agg(json_build_array(w.id, w.object_type_id))
              FROM workflow AS w WHERE w.account_id = $1 AND w.deleted_at IS NULL) AS workflows,
           (SELECT json_agg(DISTINCT t.ref_id)
              FROM trigger_ref AS t WHERE t.account_id = $1 AND t.kind = 'VALUE') AS watched,
           (SELECT json_agg(to_json(e.*)) FROM event_type AS e WHERE e.account_id = $1) AS event_types,
           (SELECT c.settings ->> 'time_zone' FROM account AS c WHERE c.account_id = $1) AS time_zone
    """,
)


async def load(reader: "Queryable") -> Catalogue:
    """Read the account's definitions as they are now."""
    row = await reader.fetchrow(LOAD)
    assert row is not None  # a SELECT without FROM has one row
    properties: dict[int, dict[str, PropertyRow]] = defaultdict(dict)
    for found in _told(row["properties"]):
        prop = PropertyRow(**_row(found, PropertyRow) | {"options": tuple(found["options"])})
        properties[prop.object_type_id][prop.name] = prop
    object_types = (
        ObjectTypeRow(**_row(found, ObjectTypeRow), properties=properties[found["id"]])
        for found in _told(row["object_types"])
    )
    types = (AssociationTypeRow(**_row(found, AssociationTypeRow)) for found in _told(row["types"]))
    return Catalogue(
        reader.account_id,
        row["version"] or 0,
        {found.id: found for found in object_types},
        {found.id: found for found in types},
        row["time_zone"] or "UTC",
        {found["id"]: SegmentRow(**found) for found in _told(row["segments"])},
        {workflow_id: object_type_id for workflow_id, object_type_id in _told(row["workflows"])},
        BUILT_IN | {found["id"]: from_json(found) for found in _told(row["event_types"])},
        _watched(properties, _told(row["watched"])),
    )


def _watched(properties: dict[int, dict[str, PropertyRow]], ids: list[int]) -> dict[int, tuple[str, ...]]:
    wanted = set(ids)
    return {
        object_type_id: names
        for object_type_id, rows in (properties.items() if wanted else ())
        if (names := tuple(prop.name for prop in rows.values() if prop.id in wanted))
    }


def _told(text: str | None) -> list[Any]:
    """The elements of an aggregate; there may be none."""
    return orjson.loads(text) if text is not None else []


def _row(found: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """The columns of a JSON row that `kind` has, moments parsed."""
    names, moments = _COLUMNS[kind]
    row = {name: found[name] for name in names if name in found}
    for name in moments:
        if (told := row[name]) is not None:
            row[name] = datetime.fromisoformat(told)
    return row


def _columns(kind: type[Any]) -> tuple[list[str], list[str]]:
    """The columns of a row, and those of them that are moments."""
    names = [column.name for column in fields(kind)]
    return names, [name for name in names if name.endswith("_at")]


_COLUMNS = {kind: _columns(kind) for kind in (PropertyRow, ObjectTypeRow, AssociationTypeRow)}
