"""Writing cards: read, changed and put back as long as nobody else was faster."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from engine.sync.categories import Category
from engine.sync.connectors.answers import Answer, failure
from engine.sync.connectors.carddav import dav, fields
from engine.sync.connectors.carddav.cards import Card
from engine.sync.connectors.carddav.discovery import Book
from engine.sync.connectors.http import Http
from engine.sync.connectors.protocol import (
    ConnectorError,
    Create,
    Delete,
    Disconnected,
    Exists,
    Gone,
    Op,
    Outcome,
    Rejected,
    Retry,
    Stale,
    Unclear,
    Update,
    Value,
    Written,
)

# Requests at a time; and how often a change is tried that expects no version.
AT_ONCE, TRIES = 4, 4


@dataclass(frozen=True, slots=True)
class _Put:
    """What was put: under which name, with which values, and the version that the server gave it."""

    name: str
    fields: dict[str, Value]
    version: str | None


class Writer:
    """Writes into one book. `cards` fetches cards by their names; `name_of` is the identity that a key stands for."""

    def __init__(
        self,
        http: Http,
        book: Book,
        cards: Callable[[Book, Iterable[str]], Awaitable[dict[str, dav.Found]]],
        name_of: Callable[[str], str],
    ) -> None:
        self._http, self._book, self._cards, self._name_of = http, book, cards, name_of
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def write(self, ops: Sequence[Op]) -> list[Outcome]:
        """All ops; those about one card one after the other."""
        present = await self._cards(self._book, [op.external_id for op in ops if isinstance(op, Update)])
        seen: dict[str, list[int]] = {}
        for at, op in enumerate(ops):
            seen.setdefault(op.key if isinstance(op, Create) else op.external_id, []).append(at)
        done: dict[int, _Put | Written | ConnectorError] = {}

        async def in_turn(places: Sequence[int]) -> None:
            async with self._turn:
                for turn, at in enumerate(places):
                    done[at] = await self._carefully(ops[at], present if turn == 0 else {})

        await asyncio.gather(*(in_turn(places) for places in seen.values()))
        return await self._outcomes([done[at] for at in range(len(ops))])

    async def _carefully(self, op: Op, present: dict[str, dav.Found]) -> _Put | Written | ConnectorError:
        try:
            match op:
                case Create():
                    return await self._create(op)
                case Update():
                    return await self._update(op, present)
                case Delete():
                    return await self._delete(op)
                case _:
                    assert_never(op)
        except ConnectorError as error:
            return error

    async def _create(self, op: Create) -> _Put | ConnectorError:
        if not self._book.creatable:
            raise _read_only()
        uid = self._name_of(op.key)
        card = Card.new(uid)
        fields.write(card, op.fields)
        fields.show(card)
        name = f"{uid}.vcf"
        answer = await self._put(name, card, {"If-None-Match": "*"})
        if answer.ok:
            return self._was_put(answer, name, card)
        if answer.status in (409, 412):
            # It was made before: by the same creation, whose name nobody else could have thought of.
            found = (await self._cards(self._book, [name])).get(name)
            if found is not None:
                return _Put(name, _values(found), found.text("getetag"))
            return Exists("The address book has a card with this identity already.")
        return failure(answer, _told(answer))

    async def _update(self, op: Update, present: dict[str, dav.Found]) -> _Put | ConnectorError:
        if not self._book.writable:
            raise _read_only()
        found = present.get(op.external_id)
        for _ in range(TRIES):
            if found is None:
                found = (await self._cards(self._book, [op.external_id])).get(op.external_id)
            if found is None:
                return Gone("The contact is not there any more.")
            version = found.text("getetag")
            if op.version is not None and version != op.version:
                return Stale("The contact has changed in the meantime.")
            card = Card.read(found.raw("address-data", dav.CARD) or "")
            if fields.is_group(card):
                return Gone("This is a list of people.")
            before = card.write()
            fields.write(card, op.fields)
            if card.write() == before:
                return _Put(op.external_id, fields.read(card), version)
            answer = await self._put(op.external_id, card, _only(version))
            if answer.ok:
                return self._was_put(answer, op.external_id, card)
            if answer.status not in (404, 410, 412):
                return failure(answer, _told(answer))
            # Somebody was faster: with what is there now, once more.
            found = None
        return Stale("The contact is being changed all the time.")

    async def _delete(self, op: Delete) -> Written | ConnectorError:
        if not self._book.deletable:
            raise _read_only()
        if op.version is None and op.external_id not in await self._cards(self._book, [op.external_id]):
            # Names that are nobody's are not asked for: some servers take them for something else.
            return Gone("The contact is not there any more.")
        answer = await self._http.request(
            "DELETE", dav.below(self._book.url, op.external_id), headers=_only(op.version)
        )
        if answer.ok:
            return Written(op.external_id)
        if answer.status == 412 and not await self._cards(self._book, [op.external_id]):
            return Gone("The contact is not there any more.")
        return failure(answer, _told(answer))

    async def _put(self, name: str, card: Card, headers: dict[str, str]) -> Answer:
        return await self._http.request(
            "PUT",
            dav.below(self._book.url, name),
            headers={"Content-Type": "text/vcard; charset=utf-8", **headers},
            content=card.write().encode(),
        )

    def _was_put(self, answer: Answer, name: str, card: Card) -> _Put:
        # Some servers choose a name of their own.
        placed = answer.headers.get("Location")
        version = answer.headers.get("ETag")
        return _Put(
            dav.last(placed) if placed else name, fields.read(card), _strong(version) if version else None
        )

    async def _outcomes(self, done: Sequence[_Put | Written | ConnectorError]) -> list[Outcome]:
        """With what the server made of each card, in one request.

        What it holds then counts only where it is surely ours still: another person's change must not pass as what
        was agreed on.
        """
        stands = [each.name for each in done if isinstance(each, _Put)]
        try:
            now = await self._cards(self._book, stands)
        except ConnectorError:
            # It was written, whatever it looks like.
            now = {}
        outcomes: list[Outcome] = []
        for each in done:
            if not isinstance(each, _Put):
                outcomes.append(each)
                continue
            found = now.get(each.name)
            version = None if found is None else found.text("getetag")
            held = None if found is None else _values(found)
            if each.version is not None:
                outcomes.append(
                    Written(each.name, each.version, held if version == each.version else each.fields)
                )
            elif held == each.fields:
                outcomes.append(Written(each.name, version, held))
            else:
                outcomes.append(Written(each.name))
        return _told_apart(outcomes)


def _told_apart(outcomes: list[Outcome]) -> list[Outcome]:
    """What is about the whole connection is raised where nothing was done, else it waits with those that it struck."""
    struck = [each for each in outcomes if isinstance(each, Disconnected)]
    if struck and not any(isinstance(each, Written | Unclear) for each in outcomes):
        raise struck[0]
    return [
        Retry(each.message, each.category, each.after) if isinstance(each, Disconnected) else each
        for each in outcomes
    ]


def _only(version: str | None) -> dict[str, str]:
    return {} if version is None else {"If-Match": _strong(version)}


def _strong(version: str) -> str:
    """A proxy that packs answers weakens their versions; the server knows the strong ones."""
    return version.removeprefix("W/")


def _values(found: dav.Found) -> dict[str, Value]:
    return fields.read(Card.read(found.raw("address-data", dav.CARD) or ""))


def _read_only() -> Rejected:
    return Rejected("This user may not change the address book.", Category.MISSING_PERMISSION)


def _told(answer: Answer) -> str:
    """The server's own words, where it has some for people."""
    text = answer.text.strip()
    if not text or "<" in text:
        return ""
    return f"The server says: {text[:300]}"
