"""Contacts in address books over CardDAV (RFC 6352), open: the protocol's verbs as requests."""

import asyncio
import re
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime

from engine.sync.categories import Category
from engine.sync.connectors.answers import failure
from engine.sync.connectors.asked import OnlyAsked
from engine.sync.connectors.carddav import dav, discovery, fields
from engine.sync.connectors.carddav.cards import Card
from engine.sync.connectors.carddav.discovery import Book
from engine.sync.connectors.carddav.reading import Listings, Reader, listed, page_of
from engine.sync.connectors.carddav.writing import Writer
from engine.sync.connectors.http import Http
from engine.sync.connectors.protocol import (
    Disconnected,
    Item,
    Op,
    Outcome,
    Page,
    Phase,
    Rejected,
    RemoteObject,
)

# Of one query, one answer.
VALUES = 50
_XML = {"Depth": "1", "Content-Type": "application/xml; charset=utf-8"}
# Names that no server has, and that some would take for something else.
_NOBODYS = re.compile(r"|\.\.?|.*[/\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff].*|.{256,}", re.DOTALL)
# What XML cannot say is in no card.
_UNSAYABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class CardDav(OnlyAsked):
    """Address books of one person."""

    def __init__(self, http: Http, only: str | None, username: str, origin: str) -> None:
        self._http, self._only, self._username, self._origin = http, only, username, origin
        self._books: dict[str, Book] | None = None
        self._reader = Reader(http, Listings())

    async def check(self) -> str:
        """The person's name, as the server shows it."""
        who, found = await discovery.books(self._http, self._only)
        self._books = {each.name: each for each in found}
        return f"{who or self._username} at {self._http.base.host}"

    async def describe(self) -> Sequence[RemoteObject]:
        """An object for each address book."""
        _, found = await discovery.books(self._http, self._only)
        self._books = {each.name: each for each in found}
        return [
            RemoteObject(
                each.name,
                each.title,
                fields.FIELDS,
                default_object_type="contacts",
                found_by=frozenset({"email"}),
                creatable=each.creatable,
                writable=each.writable,
                deletable=each.deletable,
            )
            for each in found
        ]

    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        """Names first, then their cards."""
        book = await self._book(object_)
        names, gone, following, more = await self._reader.page(book, phase, cursor, limit)
        items = await self._items(book, names)
        if phase is Phase.FULL:
            items = [each for each in items if not each.deleted]
        return page_of(items, gone, following, more)

    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        """Lists of people that an address book keeps as cards are no contacts: they come as deleted."""
        return await self._items(await self._book(object_), external_ids)

    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        """By e-mail address, without regard to case."""
        if field_ != "email":
            raise Rejected(f"Contacts are not found by {field_}.", Category.PROPERTY_NOT_FOUND, field_)
        book = await self._book(object_)
        found: dict[str, dict[str, Item]] = {each.strip().casefold(): {} for each in values}
        asked = [each for each in found if each and not _UNSAYABLE.search(each)]
        for start in range(0, len(asked), VALUES):
            for item in await self._query(book, asked[start : start + VALUES]):
                key = str(item.fields.get("email", "")).casefold()
                if key in found:
                    found[key][item.external_id] = item
        return [tuple(found[each.strip().casefold()].values()) for each in values]

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        """Each op is a request; what is there now is asked for once for all of them."""
        if not ops:
            return []
        return await Writer(self._http, await self._book(object_), self.cards, self.name_of).write(ops)

    async def created(self, object_: RemoteObject, key: str) -> Item | None:
        """Names come from keys: it is there, or it is not."""
        (item,) = await self.get(object_, [f"{self.name_of(key)}.vcf"])
        return None if item.deleted else item

    # --- cards ---------------------------------------------------------------------------------------------------

    def name_of(self, key: str) -> str:
        """The identity of what is created with a key."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._origin}/{key}"))

    async def cards(self, book: Book, names: Iterable[str]) -> dict[str, dav.Found]:
        """Those of these names that are there, with their cards."""
        asked = list(dict.fromkeys(name for name in names if not _NOBODYS.fullmatch(name)))
        if not asked:
            return {}
        base = dav.below(book.url, "")
        answer = await self._report(
            book, dav.multiget(_path(dav.below(base, each)) for each in asked), len(asked)
        )
        if answer is None:
            half = len(asked) // 2
            return {**await self.cards(book, asked[:half]), **await self.cards(book, asked[half:])}
        return {each.name: each for each in answer.found if each.raw("address-data", dav.CARD) is not None}

    async def _items(self, book: Book, names: Sequence[str]) -> list[Item]:
        cards = await self.cards(book, names)
        return [_item(name, cards.get(name)) for name in names]

    async def _query(self, book: Book, values: Sequence[str]) -> list[Item]:
        try:
            told = await self._report(book, dav.with_email(values), len(values))
        except Rejected as error:
            if error.category is not Category.VALIDATION_REJECTED:
                raise
            # A server that knows no queries is read through.
            return [
                each
                for each in await self._items(book, list(await listed(self._http, book)))
                if not each.deleted
            ]
        if told is None:
            half = len(values) // 2
            return [*await self._query(book, values[:half]), *await self._query(book, values[half:])]
        return [
            item
            for each in told.found
            if each.raw("address-data", dav.CARD) is not None and not (item := _item(each.name, each)).deleted
        ]

    async def _report(self, book: Book, content: bytes, parts: int) -> dav.Multistatus | None:
        """What a report answers; None where it is too much for one answer, and there are `parts` of it."""
        try:
            answer = await self._http.request("REPORT", book.url, headers=_XML, content=content)
        except Rejected as error:
            if error.category is Category.VALUE_TOO_LONG and parts > 1:
                return None
            raise
        if answer.status == 207:
            return await asyncio.to_thread(dav.multistatus, answer)
        if answer.status in (404, 410):
            self._books = None
            raise discovery.missing(book.name)
        failed = failure(answer)
        if isinstance(failed, Rejected | Disconnected):
            raise failed
        raise Disconnected(failed.message, failed.category)

    async def _book(self, object_: RemoteObject) -> Book:
        if self._books is None or object_.name not in self._books:
            _, found = await discovery.books(self._http, self._only)
            self._books = {each.name: each for each in found}
        if object_.name not in self._books:
            raise discovery.missing(object_.name)
        return self._books[object_.name]


def _path(url: str) -> str:
    """The path of an address: all servers know that; few know themselves by another name."""
    return re.sub(r"^[a-z]+://[^/]*", "", url)


def _item(name: str, found: dav.Found | None) -> Item:
    text = None if found is None else found.raw("address-data", dav.CARD)
    if found is None or text is None:
        return Item(name, deleted=True)
    card = Card.read(text)
    if fields.is_group(card):
        return Item(name, deleted=True)
    return Item(name, fields.read(card), found.text("getetag"), _moment(found.text("getlastmodified")))


def _moment(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None
