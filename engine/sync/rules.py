"""A sync's rules as values, bound to what both sides define: what `merge`, matching and the runners decide by."""

import dataclasses
import enum
from collections.abc import Mapping as Map
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from engine.sync.connectors.protocol import Capabilities, RemoteField, RemoteObject, RemoteRole
from storage.catalogue import AssociationTypeRow, ObjectTypeRow, PropertyRow
from storage.filters.tree import Filter


class Side(enum.StrEnum):
    """The two sides of a sync."""

    OURS = "OURS"
    THEIRS = "THEIRS"


class Direction(enum.StrEnum):
    """Which way changes go."""

    BOTH = "BOTH"
    # From them to us.
    IN = "IN"
    # From us to them.
    OUT = "OUT"


class Policy(enum.StrEnum):
    """Who wins where both sides changed a field since they last agreed."""

    OURS = "OURS"
    THEIRS = "THEIRS"
    MOST_RECENT = "MOST_RECENT"
    # Nobody, until a person has chosen: the conflict inbox.
    ASK = "ASK"


class Deletes(enum.StrEnum):
    """What becomes of a record whose other half was deleted."""

    # It stays, and is shown as RECORD_DELETED.
    KEEP = "KEEP"
    # Archived here where it was deleted there.
    IN = "IN"
    # Deleted there where it was archived here.
    OUT = "OUT"
    BOTH = "BOTH"


class Test(enum.StrEnum):
    """What a condition asks of a field of theirs."""

    IS_KNOWN = "IS_KNOWN"
    IS_UNKNOWN = "IS_UNKNOWN"
    IS_ANY_OF = "IS_ANY_OF"
    IS_NONE_OF = "IS_NONE_OF"
    CONTAINS = "CONTAINS"
    STARTS_WITH = "STARTS_WITH"
    ENDS_WITH = "ENDS_WITH"
    # Numbers, dates and moments.
    AT_LEAST = "AT_LEAST"
    AT_MOST = "AT_MOST"


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that a field of theirs must be like. Texts compare without regard to case."""

    field: str
    test: Test
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mapping:
    """A property of ours and a field of theirs that hold the same, in both directions or one.

    `options`: {our option: theirs}, for what is not called alike.
    """

    id: int
    property: PropertyRow
    field: RemoteField
    direction: Direction
    policy: Policy
    options: Map[str, str] = dataclasses.field(default_factory=dict)
    custom: bool = False


@dataclass(frozen=True, slots=True)
class RoleMapping:
    """An association type of ours (read at the synced record) and a role of theirs that say the same.

    The other end is synced by `other_sync_id` of the same connection, None while there is none.
    """

    association_type: AssociationTypeRow
    role: RemoteRole
    direction: Direction
    other_sync_id: int | None


@dataclass(frozen=True, slots=True)
class Matcher:
    """A way in which a record and an item that do not know each other are found to be the same.

    Values are compared as `matching.key` writes them. Several matchers are alternatives, in order of trust: a
    candidate found by an earlier one is taken before those of a later one; within one, two candidates are ambiguous.
    """

    property: PropertyRow
    field: RemoteField


@dataclass(frozen=True, slots=True)
class Options:
    """What else may be chosen."""

    # Contacts without a valid e-mail address, too.
    without_email: bool = False
    # A record that leaves the filter is no longer kept in sync, until it is back.
    pause_outside_filter: bool = False
    deletes: Deletes = Deletes.KEEP
    # The largest share of linked records that one run may delete without asking.
    delete_share: float = 0.1
    # Every label and company, or the primary company alone.
    all_companies: bool = False
    # How often they are asked; None: the app's own pace.
    pace: timedelta | None = None
    # How often everything is read, to find what no change told of; None: once a day, or once an hour
    # where deletions are not told.
    sweep: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """A sync, bound. `mappings` are those that are switched on."""

    sync_id: int
    object_type: ObjectTypeRow
    remote: RemoteObject
    capabilities: Capabilities
    direction: Direction
    policy: Policy
    mappings: tuple[Mapping, ...]
    matchers: tuple[Matcher, ...]
    roles: tuple[RoleMapping, ...] = ()
    # Asked of a record before it is synced first; None: all.
    filter_ours: Filter | None = None
    filter_theirs: tuple[Condition, ...] = ()
    options: Options = Options()

    def goes(self, side: Side) -> bool:
        """Whether anything may be written on this side."""
        return self.direction is Direction.BOTH or self.direction is (
            Direction.IN if side is Side.OURS else Direction.OUT
        )


# Values of one side by name: properties of ours, or fields of theirs. Empty ones are absent.
Values = Map[str, Any]
