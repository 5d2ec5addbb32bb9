"""An app of the tests' own: a shop with customers and firms, signed in to with a token; an account that knows it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from engine.sync import commands, connections
from engine.sync.categories import Category
from engine.sync.connectors.protocol import (
    Capabilities,
    Connector,
    Disconnected,
    FieldType,
    RemoteField,
    RemoteObject,
    RemoteRole,
    Setting,
    Surroundings,
)
from engine.sync.credentials import Vault, new_key
from storage.database import Database
from storage.sync.connections import ConnectionRow
from storage.sync.syncs import SyncRow
from tests.crm import Crm, crm

TOKEN = "tok-3f9c41d7"  # a text that stands nowhere else

CUSTOMERS = RemoteObject(
    "customers",
    "Customers",
    (
        RemoteField("mail", "Mail", unique=True, required=True, default_property="email"),
        RemoteField("first", "First name", default_property="firstname"),
        RemoteField("Last_Name", "Last name"),
        RemoteField("score", "Points", FieldType.NUMBER),
        RemoteField("stage", "Stage", FieldType.CHOICE, options=(("L", "Lead"), ("C", "Customer"))),
        RemoteField("made", "Made", FieldType.DATETIME, read_only=True),
        RemoteField("colour", "Colour"),
    ),
    (
        RemoteRole("firms", "Firms", "firms"),
        RemoteRole("employer", "Employer", "firms", many=False, primary=True),
        RemoteRole("orders", "Orders", "orders", read_only=True),
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
        RemoteField("site", "Web site", default_property="website"),
    ),
    (RemoteRole("staff", "Staff", "customers"), RemoteRole("parent", "Parent company", "firms", many=False)),
    "companies",
)
ORDERS = RemoteObject(
    "orders",
    "Orders",
    (RemoteField("name", "Name"), RemoteField("weight", "Weight", FieldType.NUMBER)),
    writable=False,
    creatable=False,
    deletable=False,
)


@dataclass
class Shop:
    """The app. `fails` is raised instead of an answer."""

    name: ClassVar[str] = "shop"
    title: ClassVar[str] = "The shop"
    about: ClassVar[str] = "Sells things."
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("url", "Address", "Where the shop is."),
        Setting("token", "Token", "Who we are.", secret=True),
        Setting("region", "Region", "Which of its regions.", required=False, options=("eu", "us")),
        Setting("pin", "Pin", "A second secret.", required=False, secret=True),
    )
    capabilities: ClassVar[Capabilities] = Capabilities()

    objects: tuple[RemoteObject, ...] = (CUSTOMERS, FIRMS, ORDERS)
    fails: Exception | None = None
    opened: list[dict[str, str]] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, settings: Mapping[str, str], surroundings: Surroundings) -> AsyncIterator[Connector]:
        """The shop's counter."""
        self.opened.append(dict(settings))
        self.origins.append(surroundings.origin)
        yield Counter(self, settings)


class Counter:
    """What the shop answers; only that which tests of connections ask."""

    def __init__(self, shop: Shop, settings: Mapping[str, str]) -> None:
        self.shop, self.given = shop, settings

    async def check(self) -> str:
        """Whose shop it is."""
        if self.shop.fails is not None:
            raise self.shop.fails
        if not self.given["token"].startswith("tok-"):
            said = f"No such token: {self.given['token']}"
            raise Disconnected(said, Category.AUTHENTICATION_EXPIRED)
        return "Ann's shop"

    async def describe(self) -> list[RemoteObject]:
        """What it holds."""
        return list(self.shop.objects)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"nobody asks for {name} here")


def vault(*keys: str) -> Vault:
    """A vault with these keys, or with one of its own."""
    known = keys or (new_key(),)
    return Vault(lambda _making: known)


@dataclass(slots=True)
class Keeper:
    """An account, and commands on its connections and syncs."""

    crm: Crm
    shop: Shop
    vault: Vault

    @property
    def db(self) -> Database:
        return self.crm.db

    def writing(self, now: datetime | None = None) -> Any:
        """A transaction of somebody."""
        return self.db.transaction(self.crm.account, now=now or self.crm.now, actor=self.crm.actor)

    async def connect(self, name: str = "Shop", **settings: str) -> ConnectionRow:
        """A new connection."""
        made_of = connections.entered("shop", {"url": "https://shop", "token": TOKEN} | settings)
        described = await connections.look(made_of, Surroundings())
        async with self.writing() as tx:
            return await connections.create(tx, self.vault, name, made_of, described)

    async def change(
        self, number: int, settings: Mapping[str, str | None], name: str | None = None
    ) -> ConnectionRow:
        """A connection with other settings."""
        async with self.db.read(self.crm.account) as reader:
            row, made_of = await connections.changing(reader, self.vault, number, settings)
        described = await connections.look(made_of, Surroundings())
        async with self.writing() as tx:
            return await connections.update(tx, self.vault, row, made_of, described, name)

    async def make(
        self,
        connection: int,
        document: Mapping[str, Any] | None = None,
        object_type: str = "contacts",
        remote_object: str = "customers",
    ) -> SyncRow:
        """A new sync."""
        async with self.writing() as tx:
            return await commands.create(tx, connection, object_type, remote_object, document or {})

    async def update(self, sync: SyncRow, document: Mapping[str, Any]) -> SyncRow:
        """A sync with another definition."""
        async with self.writing() as tx:
            return await commands.update(tx, sync.id, sync.revision, document)

    async def start(self, sync: int) -> SyncRow:
        """A sync that runs."""
        async with self.writing() as tx:
            return await commands.start(tx, sync)

    async def switch(self, sync: int, on: bool) -> SyncRow:
        """A sync, on or off."""
        async with self.writing() as tx:
            return await commands.set_enabled(tx, sync, on)

    async def delete(self, sync: int) -> SyncRow:
        """A sync is forgotten."""
        async with self.writing() as tx:
            return await commands.delete(tx, sync)


async def keeper(db: Database, shop: Shop) -> Keeper:
    """A new account that may connect to the shop."""
    return Keeper(await crm(db), shop, vault())
