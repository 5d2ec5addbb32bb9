"""Reading an address book: page by page, and what has changed, with or without the server's help.

A cursor is JSON: the whole state of a read, so that any process can go on.
- {"full": token, "after": name}: a full read; `token` is from before it began.
- {"since": token}: changes; with {"until": token, "after": name} in the middle of what one answer told.
- {"known": state}: where a server cannot tell changes, {name: start of its version} of all that was told, packed.
"""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from engine.sync.connectors.answers import Answer, failure, unavailable
from engine.sync.connectors.carddav import dav
from engine.sync.connectors.carddav.discovery import Book, missing
from engine.sync.connectors.http import Http
from engine.sync.connectors.protocol import CursorLost, Disconnected, Item, Page, Phase

# A state is not to be larger than this, unpacked, whoever made it.
_LARGEST_STATE = 64 * 1024 * 1024
_XML = "application/xml; charset=utf-8"


class Listings:
    """What one answer told, kept for the pages that are made of it. Another process asks again: that is allowed."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Any] = {}

    def keep(self, book: Book, key: str, listing: Any) -> None:
        """One for each book."""
        self._kept = {known: held for known, held in self._kept.items() if known[0] != book.url}
        self._kept[book.url, key] = listing

    def get(self, book: Book, key: str) -> Any:
        """What was kept under this key."""
        return self._kept.get((book.url, key))

    def drop(self, book: Book, key: str) -> None:
        """It has been told."""
        self._kept.pop((book.url, key), None)


async def listed(http: Http, book: Book) -> dict[str, str]:
    """All names in a book, with their versions."""
    told = await _ask(http, "PROPFIND", book, dav.propfind(("d:getetag", "d:resourcetype")), depth=1)
    return {
        each.name: each.text("getetag") or ""
        for each in told.found
        if not each.gone and each.name and not _is_collection(each, book)
    }


async def token_of(http: Http, book: Book) -> str:
    """The token from which changes can be told."""
    told = await _ask(http, "PROPFIND", book, dav.propfind(("d:sync-token",)), depth=0)
    token = next((text for each in told.found if (text := each.text("sync-token"))), None)
    if token is None:
        raise Disconnected(f'The server no longer tells changes of "{book.name}".')
    return token


async def changed(http: Http, book: Book, token: str) -> tuple[set[str], set[str], str, bool]:
    """Names that are there, names that are gone, the token after them, whether there are more. Raises CursorLost."""
    answer = await http.request(
        "REPORT", book.url, headers={"Depth": "0", "Content-Type": _XML}, content=dav.changed_since(token)
    )
    if answer.status != 207:
        if (error := unavailable(answer)) is not None:
            raise error
        if answer.status in (400, 403, 409, 410, 412) and (
            b"valid-sync-token" in answer.content or answer.status == 410
        ):
            raise CursorLost("The server does not know this state of the address book any more.")
        raise _failed(answer, book)
    told = dav.multistatus(answer)
    if told.sync_token is None:
        raise Disconnected("The server told changes without a token.")
    here, gone, more = set[str](), set[str](), False
    for each in told.found:
        if each.status == 507:
            more = True
        elif each.name and not _is_collection(each, book):
            (gone if each.gone else here).add(each.name)
    return here, gone - here, told.sync_token, more


class Reader:
    """Pages of a book."""

    def __init__(self, http: Http, listings: Listings) -> None:
        self._http, self._listings = http, listings

    async def page(
        self, book: Book, phase: Phase, cursor: str | None, limit: int
    ) -> tuple[list[str], list[str], str, bool]:
        """Names to be fetched, names that are gone, the next cursor, and whether there is more. Raises CursorLost."""
        state = {} if cursor is None else _cursor(cursor)
        if not book.syncs:
            return await self._by_comparison(book, phase, state, limit)
        if phase is Phase.FULL:
            return await self._full(book, state, limit)
        if cursor is None:
            # From the beginning: everything has changed.
            state = {"since": ""}
        return await self._changes(book, state, limit)

    async def _full(
        self, book: Book, state: Mapping[str, Any], limit: int
    ) -> tuple[list[str], list[str], str, bool]:
        if state and set(state) != {"full", "after"}:
            raise CursorLost("This is no cursor of a full read.")
        token = state["full"] if state else await token_of(self._http, book)
        after = state["after"] if state else ""
        names = self._listings.get(book, f"full {token}")
        if names is None or not state:
            names = sorted(await listed(self._http, book))
            self._listings.keep(book, f"full {token}", names)
        rest = [name for name in names if name > after]
        if len(rest) > limit:
            return rest[:limit], [], _text({"full": token, "after": rest[limit - 1]}), True
        self._listings.drop(book, f"full {token}")
        return rest, [], _text({"since": token}), False

    async def _changes(
        self, book: Book, state: Mapping[str, Any], limit: int
    ) -> tuple[list[str], list[str], str, bool]:
        if set(state) not in ({"since"}, {"since", "until", "after", "more"}):
            raise CursorLost("This is no cursor of changes.")
        since, after = state["since"], state.get("after", "")
        key = f"changes {since} {state.get('until')}"
        told = self._listings.get(book, key) if "until" in state else None
        if told is None:
            told = await changed(self._http, book, since)
        here, gone, until, more = told
        if "until" in state:
            # What has come since is told after what was told first.
            until, more = state["until"], state["more"]
        rest = sorted(name for name in here | gone if name > after)
        page = rest[:limit]
        if len(rest) > limit:
            self._listings.keep(book, f"changes {since} {until}", (here, gone, until, more))
            cursor = _text({"since": since, "until": until, "after": page[-1], "more": more})
        else:
            self._listings.drop(book, key)
            cursor = _text({"since": until})
        return (
            [name for name in page if name in here],
            [name for name in page if name in gone],
            cursor,
            more or len(rest) > limit,
        )

    async def _by_comparison(
        self, book: Book, phase: Phase, state: Mapping[str, Any], limit: int
    ) -> tuple[list[str], list[str], str, bool]:
        """Everything is listed each time, and compared with what was told: by versions alone, cards are not fetched."""
        if state and not set(state) <= {"known", "after"}:
            raise CursorLost("This is no cursor of this address book.")
        known = _unpacked(state["known"]) if "known" in state else {}
        now = {name: _start(version) for name, version in (await listed(self._http, book)).items()}
        if phase is Phase.FULL:
            # What has changed behind us meanwhile differs from what is known, and is told afterwards.
            rest = sorted(name for name in now if name > state.get("after", ""))
            page = rest[:limit]
            known.update({name: now[name] for name in page})
            following: dict[str, Any] = {"known": _packed(known)}
            if len(rest) > limit:
                following["after"] = page[-1]
            return page, [], _text(following), len(rest) > limit
        rest = sorted({*(name for name in now if known.get(name) != now[name]), *(known.keys() - now.keys())})
        page = rest[:limit]
        gone = [name for name in page if name not in now]
        known.update({name: now[name] for name in page if name in now})
        known = {name: version for name, version in known.items() if name not in gone}
        here = [name for name in page if name in now]
        return here, gone, _text({"known": _packed(known)}), len(rest) > limit


def page_of(items: Iterable[Item], gone: Sequence[str], cursor: str, more: bool) -> Page:
    """A page of what was fetched and what is gone."""
    return Page((*items, *(Item(name, deleted=True) for name in gone)), cursor, more)


async def _ask(http: Http, method: str, book: Book, content: bytes, depth: int) -> dav.Multistatus:
    answer = await http.request(
        method, book.url, headers={"Depth": str(depth), "Content-Type": _XML}, content=content
    )
    if answer.status != 207:
        raise _failed(answer, book)
    return dav.multistatus(answer)


def _failed(answer: Answer, book: Book) -> Exception:
    if answer.status in (404, 410):
        return missing(book.name)
    error = failure(answer)
    return error if isinstance(error, Disconnected) else Disconnected(error.message, error.category)


def _is_collection(found: dav.Found, book: Book) -> bool:
    return f"{{{dav.DAV}}}collection" in found.within("resourcetype") or found.name == dav.last(book.url)


# --- cursors -----------------------------------------------------------------------------------------------------


def _text(state: Mapping[str, Any]) -> str:
    return orjson.dumps(state).decode()


def _cursor(text: str) -> dict[str, Any]:
    try:
        state = orjson.loads(text)
    except orjson.JSONDecodeError:
        state = None
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(each, str | bool) for each in state.values())
    ):
        raise CursorLost("This is no cursor of an address book.")
    return state


def _start(version: str) -> str:
    """Enough of a version to see that it is another one."""
    return hashlib.sha256(version.encode()).hexdigest()[:12]


def _packed(state: Mapping[str, str]) -> str:
    return base64.b85encode(zlib.compress(orjson.dumps(state))).decode()


def _unpacked(text: str) -> dict[str, str]:
    try:
        unpacking = zlib.decompressobj()
        state = orjson.loads(unpacking.decompress(base64.b85decode(text), _LARGEST_STATE))
    except (ValueError, zlib.error, binascii.Error):
        state = None
    if not isinstance(state, dict):
        raise CursorLost("This is no cursor of this address book.")
    return state
