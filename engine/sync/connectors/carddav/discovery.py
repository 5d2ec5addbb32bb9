"""Finding a person's address books from whatever address they gave (RFC 6764, RFC 6352 §7.1)."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from engine.sync.categories import Category
from engine.sync.connectors.answers import Answer, unavailable
from engine.sync.connectors.carddav import dav
from engine.sync.connectors.http import Http
from engine.sync.connectors.protocol import Disconnected, Rejected

# Where a server may say where it is, after the address that was given.
PLACES = ("", "/.well-known/carddav", "/")

_WHERE = ("d:current-user-principal", "d:resourcetype", "c:addressbook-home-set", "d:displayname")
_WHAT = (
    "d:resourcetype",
    "d:displayname",
    "d:sync-token",
    "d:supported-report-set",
    "d:current-user-privilege-set",
)


@dataclass(frozen=True, slots=True)
class Book:
    """An address book. `url` ends in "/"; `syncs`: it tells what has changed since a token."""

    name: str
    title: str
    url: str
    syncs: bool
    creatable: bool = True
    writable: bool = True
    deletable: bool = True


async def books(http: Http, only: str | None) -> tuple[str, list[Book]]:
    """How the server calls this person, and their address books in a stable order.

    `only`: the name, title or address of one of them. Raises Disconnected.
    """
    who, found, forbidden = "", list[Book](), False
    for place in PLACES:
        answer = await http.request(
            "PROPFIND", place, headers=_headers(0), content=dav.propfind(dict.fromkeys((*_WHERE, *_WHAT)))
        )
        if answer.status != 207:
            _check(answer)
            # Another place may be open.
            forbidden |= answer.status == 403
            continue
        who, found = await _from(http, answer)
        if found:
            break
    else:
        if forbidden:
            raise Disconnected("The server does not let this user see anything.", Category.MISSING_PERMISSION)
        raise Disconnected(
            f"{http.base.host} has no address books for this user: is the address right?",
            Category.RECORD_NOT_FOUND,
        )
    if only is None:
        return who, found
    chosen = [each for each in found if only.rstrip("/") in (each.name, each.title, each.url.rstrip("/"))]
    if not chosen:
        raise Disconnected(f'There is no address book "{only}".', Category.RECORD_NOT_FOUND)
    return who, chosen[:1]


async def _from(http: Http, answer: Answer) -> tuple[str, list[Book]]:
    """What can be reached from one resource: itself, the homes that it names, those that its owner names."""
    for each in dav.multistatus(answer).found:
        if _is_book(each):
            return each.text("displayname") or "", _named([_book(each, answer.url)])
        homes = each.hrefs("addressbook-home-set", dav.CARD)
        if homes:
            return each.text("displayname") or "", await _at_home(http, answer.url, homes)
        for principal in each.hrefs("current-user-principal"):
            url = urljoin(answer.url, principal)
            told = await http.request("PROPFIND", url, headers=_headers(0), content=dav.propfind(_WHERE))
            if told.status != 207:
                _check(told)
                continue
            for person in dav.multistatus(told).found:
                if homes := person.hrefs("addressbook-home-set", dav.CARD):
                    name = person.text("displayname") or dav.last(person.href)
                    return name, await _at_home(http, told.url, homes)
    return "", []


async def _at_home(http: Http, base: str, homes: Iterable[str]) -> list[Book]:
    found = []
    for home in dict.fromkeys(urljoin(base, each) for each in homes):
        answer = await http.request("PROPFIND", home, headers=_headers(1), content=dav.propfind(_WHAT))
        if answer.status != 207:
            _check(answer)
            continue
        found += [_book(each, answer.url) for each in dav.multistatus(answer).found if _is_book(each)]
    return _named(found)


def _is_book(found: dav.Found) -> bool:
    return f"{{{dav.CARD}}}addressbook" in found.within("resourcetype")


def _book(found: dav.Found, base: str) -> Book:
    url = urljoin(base, found.href)
    url = url if url.endswith("/") else url + "/"
    may = {each.removeprefix(f"{{{dav.DAV}}}") for each in found.within("current-user-privilege-set")}
    return Book(
        name=dav.last(url),
        title=found.text("displayname") or dav.last(url),
        url=url,
        syncs=found.text("sync-token") is not None
        and f"{{{dav.DAV}}}sync-collection" in found.within("supported-report-set"),
        # A server that does not say what one may lets it be tried.
        creatable=not may or bool(may & {"all", "write", "bind"}),
        writable=not may or bool(may & {"all", "write", "write-content"}),
        deletable=not may or bool(may & {"all", "write", "unbind"}),
    )


def _named(found: list[Book]) -> list[Book]:
    """In the order of their addresses. Of several with one name the later ones are called by their path."""
    books: dict[str, Book] = {}
    for each in sorted({each.url: each for each in found}.values(), key=lambda book: book.url):
        name = each.name if each.name not in books else urlsplit(each.url).path.strip("/")
        books[name] = Book(
            name, each.title, each.url, each.syncs, each.creatable, each.writable, each.deletable
        )
    return list(books.values())


def _check(answer: Answer) -> None:
    """Raises where an answer is about the whole connection; else another place may know more."""
    if (error := unavailable(answer)) is not None:
        raise error


def _headers(depth: int) -> dict[str, str]:
    return {"Depth": str(depth), "Content-Type": "application/xml; charset=utf-8"}


def missing(name: str) -> Rejected:
    """An address book that is not there any more."""
    return Rejected(f'The address book "{name}" is not there any more.', Category.RECORD_NOT_FOUND)
