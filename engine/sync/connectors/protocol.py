"""What Relata asks of another app: a few verbs, declared capabilities, and errors named by what is done next.

A connector knows its app and nothing of Relata: no accounts, no records, no mappings. It may be asked anything twice.
docs/connectors.md is the guide for those who write one; tests/connector_laws.py holds every one to this page.
"""

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, TypeAlias

from engine.sync.categories import Category

# A field's value: JSON as Relata stores it (see docs/architecture.md): dates "2026-01-31", moments
# "2026-01-31T09:30:00.000Z", several choices as a list. None: empty.
Value: TypeAlias = Any


class FieldType(enum.StrEnum):
    """What a field of the other app holds."""

    STRING = "STRING"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    DATE = "DATE"
    DATETIME = "DATETIME"
    # One of `options`, or several.
    CHOICE = "CHOICE"
    PHONE = "PHONE"


@dataclass(frozen=True, slots=True)
class RemoteField:
    """A field of an object of the other app. `options` are pairs of value and title; empty: any value."""

    name: str
    title: str
    type: FieldType = FieldType.STRING
    required: bool = False
    read_only: bool = False
    multiple: bool = False
    unique: bool = False
    options: tuple[tuple[str, str], ...] = ()
    max_length: int | None = None
    # The property of ours that it is mapped to unless somebody says otherwise.
    default_property: str | None = None
    # May come back changed in case, white space or precision; compared loosely.
    lossy: bool = False


@dataclass(frozen=True, slots=True)
class RemoteRole:
    """A way in which items are associated with items of `to`. `many`: with several; `primary`: the main one."""

    name: str
    title: str
    to: str
    many: bool = True
    read_only: bool = False
    primary: bool = False


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """A kind of item: contacts, companies, a table. `sampled`: its fields are those that some items have now."""

    name: str
    title: str
    fields: tuple[RemoteField, ...]
    roles: tuple[RemoteRole, ...] = ()
    # The object type of ours that it is like.
    default_object_type: str | None = None
    # Fields by which `find` finds items.
    found_by: frozenset[str] = frozenset()
    creatable: bool = True
    writable: bool = True
    deletable: bool = True
    sampled: bool = False
    # What can be done with this kind of item, where that is not what the app says of all; else None.
    capabilities: "Capabilities | None" = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the app can do, so that we do not ask for the rest."""

    # `read` of Phase.CHANGES answers with what has changed since the cursor; else every look reads everything.
    changes: bool = False
    # …and tells what was deleted, too.
    tombstones: bool = False
    # A creation repeated with the same key creates nothing new.
    idempotent_create: bool = False
    # A change or deletion with an expected version is refused (`Stale`) where the item has another by now.
    conditional: bool = False
    # Versions compare as texts: the greater one is the later one. Else they are equal or not.
    ordered_versions: bool = False
    # `watch` tells of changes at once.
    push: bool = False
    # The app calls us: `hint` reads what it says.
    hints: bool = False
    page: int = 200
    batch: int = 100
    # How often it may be asked for changes.
    pace: timedelta = timedelta(seconds=10)
    # Cursors go back by so much: some feeds tell late what was committed early, and find late what was created.
    overlap: timedelta = timedelta(0)
    # Calls a second, over all of a connection's syncs; None: no limit is known.
    rate: float | None = None


class Phase(enum.StrEnum):
    """Why items are read."""

    # All there are, each at least once.
    FULL = "FULL"
    # What has changed since the cursor; items may come twice, and again unchanged.
    CHANGES = "CHANGES"


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the other app, as a read found it.

    `version` changes whenever the item does; None where the app has none. `associations`: {role: ids of the other
    items}, every role that was read; a role that is missing is not known.
    """

    external_id: str
    fields: Mapping[str, Value] = field(default_factory=dict)
    version: str | None = None
    modified_at: datetime | None = None
    associations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deleted: bool = False
    # Where a person can look at it.
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some items. `cursor` is where the next read goes on, whether or not there is `more` now.

    After the last page of Phase.FULL the cursor is one for Phase.CHANGES, from before that pass began.
    """

    items: tuple[Item, ...]
    cursor: str | None
    more: bool
    # How many there are in all, where the app says so.
    total: int | None = None


# --- writes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Links:
    """Associations to add, to remove, and all that stand afterwards: {role: ids}. For apps of any habit."""

    added: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    removed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    all: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Create:
    """A new item. `key` is the same whenever this creation is repeated."""

    key: str
    fields: Mapping[str, Value]
    links: Links = Links()


@dataclass(frozen=True, slots=True)
class Update:
    """Changed fields of an item; None empties. `version`: what it is expected to have, where that is known."""

    external_id: str
    fields: Mapping[str, Value]
    version: str | None = None
    links: Links = Links()
    # The same whenever this change is repeated.
    key: str = ""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an item, or archive it where the app has that."""

    external_id: str
    version: str | None = None


Op: TypeAlias = Create | Update | Delete


@dataclass(frozen=True, slots=True)
class Written:
    """An op was done. `fields`: what the item holds now, where the app says so (it may have changed what we sent)."""

    external_id: str
    version: str | None = None
    fields: Mapping[str, Value] | None = None
    modified_at: datetime | None = None


# --- errors ------------------------------------------------------------------------------------------------------


@dataclass
class ConnectorError(Exception):
    """What went wrong at the other app, named by what is done next. `message` is for people; no secrets in it."""

    message: str
    category: Category = Category.UNKNOWN

    def __str__(self) -> str:
        return self.message


@dataclass
class Retry(ConnectorError):
    """It may work later: after `after`, else at our own pace. About one item."""

    after: timedelta | None = None


@dataclass
class Rejected(ConnectorError):
    """It will not work until somebody changes something; `field` is the one at fault."""

    field: str | None = None


@dataclass
class Stale(ConnectorError):
    """The item has changed in the meantime: read it again, decide anew."""


@dataclass
class Gone(ConnectorError):
    """There is no such item any more."""

    category: Category = Category.RECORD_DELETED


@dataclass
class Exists(ConnectorError):
    """Something with this unique value exists already; `external_id` where the app says which."""

    category: Category = Category.DUPLICATE_RECORD
    external_id: str | None = None


@dataclass
class Unclear(ConnectorError):
    """It may have been done: look before it is repeated."""

    category: Category = Category.REMOTE_UNAVAILABLE


@dataclass
class Disconnected(ConnectorError):
    """Nothing works on this connection now. The whole connection pauses, for `after` or until it is mended.

    Category AUTHENTICATION_EXPIRED and MISSING_PERMISSION wait for a person; RATE_LIMITED and REMOTE_UNAVAILABLE for
    time.
    """

    category: Category = Category.REMOTE_UNAVAILABLE
    after: timedelta | None = None


@dataclass
class CursorLost(ConnectorError):
    """The app does not know the cursor any more: everything is read anew."""


Outcome: TypeAlias = Written | ConnectorError


# --- connecting --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    """Something that a connection needs. A `secret` one is kept encrypted, and never shown again."""

    name: str
    title: str
    about: str
    required: bool = True
    secret: bool = False
    default: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hint:
    """Something changed over there; without `external_id`: anything of this object; without `object`: anything."""

    object: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the app sent us: the request as it came."""

    method: str
    headers: Mapping[str, str]
    query: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a connector may use of the house that it lives in."""

    # Whether addresses inside our own network may be called.
    allow_private: bool = False
    # Tells whose creations are ours: stable for the connection.
    origin: str = "relata"


class Connector(Protocol):
    """One signed-in instance of an app, open. All methods raise ConnectorError alone."""

    async def check(self) -> str:
        """Whether it works; how the app calls this account."""
        ...

    async def describe(self) -> Sequence[RemoteObject]:
        """What kinds of items there are now."""
        ...

    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        """Some items from `cursor` on (None: from the beginning). Raises CursorLost."""
        ...

    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        """These items as they are now, in the order asked; those that are not there come as `deleted`."""
        ...

    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        """For each value the items that have it in `field_` (one of `found_by`), in the order asked."""
        ...

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        """Do each op, or say why not, in the order asked. Raises only what is about all of them."""
        ...

    async def created(self, object_: RemoteObject, key: str) -> Item | None:
        """The item that an earlier `Create` with this key made, if it can be told."""
        ...

    async def hint(self, delivery: Delivery) -> Sequence[Hint]:
        """What the app says has changed. Raises Rejected where it is not genuine."""
        ...

    def watch(self, objects: Sequence[str]) -> AsyncIterator[Hint]:
        """Hints as they come, for as long as the connection holds."""
        ...


class App(Protocol):
    """A kind of third party: found by the entry point group `relata.connectors`, as `name = module:instance`."""

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    settings: ClassVar[tuple[Setting, ...]]
    capabilities: ClassVar[Capabilities]

    def open(
        self, settings: Mapping[str, str], surroundings: Surroundings
    ) -> AbstractAsyncContextManager[Connector]:
        """A connector with these settings, secrets included. Raises Rejected where they cannot be right."""
        ...
