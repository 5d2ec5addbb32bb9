"""What is asked of a DAV server, and what it answers, as values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from engine.sync.connectors.answers import Answer
from engine.sync.connectors.protocol import Disconnected

DAV = "DAV:"
CARD = "urn:ietf:params:xml:ns:carddav"
_OPEN = '<?xml version="1.0" encoding="utf-8"?>'
_SPACES = f'xmlns:d="{DAV}" xmlns:c="{CARD}"'


@dataclass(frozen=True, slots=True)
class Found:
    """What a server says of one resource. `status` is about all of it, where it says one."""

    href: str
    status: int | None = None
    # {name with its name space: element}, of those that it has.
    properties: Mapping[str, Element] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return last(self.href)

    @property
    def gone(self) -> bool:
        """Whether it is not there."""
        return self.status in (404, 410)

    def text(self, name: str, space: str = DAV) -> str | None:
        """The text of a property."""
        element = self.properties.get(f"{{{space}}}{name}")
        text = None if element is None else (element.text or "").strip()
        return text or None

    def raw(self, name: str, space: str) -> str | None:
        """The text of a property with its white space."""
        element = self.properties.get(f"{{{space}}}{name}")
        return None if element is None else element.text

    def within(self, name: str, space: str = DAV) -> set[str]:
        """The names of all elements within a property."""
        element = self.properties.get(f"{{{space}}}{name}")
        return set() if element is None else {each.tag for each in element.iter()} - {element.tag}

    def hrefs(self, name: str, space: str = DAV) -> list[str]:
        """The addresses in a property."""
        element = self.properties.get(f"{{{space}}}{name}")
        found = () if element is None else element.iter(f"{{{DAV}}}href")
        return [each.text.strip() for each in found if each.text and each.text.strip()]


@dataclass(frozen=True, slots=True)
class Multistatus:
    """A server's answer about several resources."""

    found: Sequence[Found]
    sync_token: str | None = None


def multistatus(answer: Answer) -> Multistatus:
    """Read an answer with status 207. Raises Disconnected: whoever answers something else is no such server."""
    try:
        root = fromstring(answer.content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise Disconnected(
            f"{urlsplit(answer.url).netloc} answered with no XML: is the address right?"
        ) from None
    token = root.findtext(f"{{{DAV}}}sync-token")
    return Multistatus(
        [_found(each) for each in root.iter(f"{{{DAV}}}response")], (token or "").strip() or None
    )


def _found(response: Element) -> Found:
    properties: dict[str, Element] = {}
    for each in response.iter(f"{{{DAV}}}propstat"):
        # Without a status it is there, say those who leave it out.
        if _status(each.findtext(f"{{{DAV}}}status")) in (200, None):
            properties.update({found.tag: found for found in each.find(f"{{{DAV}}}prop") or ()})
    href = (response.findtext(f"{{{DAV}}}href") or "").strip()
    return Found(href, _status(response.findtext(f"{{{DAV}}}status")), properties)


def _status(text: str | None) -> int | None:
    parts = (text or "").split()
    return int(parts[1]) if len(parts) > 1 and parts[1].isascii() and parts[1].isdigit() else None


def last(href: str) -> str:
    """The last part of a path, as it is meant."""
    return unquote(urlsplit(href).path.rstrip("/").rpartition("/")[2])


def below(collection: str, name: str) -> str:
    """The address of a resource in a collection."""
    return collection + quote(name, safe="-._~!$'()*+,=:@")


def propfind(names: Iterable[str]) -> bytes:
    """Ask for properties: "d:name" or "c:name"."""
    return f"{_OPEN}<d:propfind {_SPACES}><d:prop>{_tags(names)}</d:prop></d:propfind>".encode()


def multiget(hrefs: Iterable[str]) -> bytes:
    """Ask for cards by their addresses."""
    asked = "".join(f"<d:href>{escape(each)}</d:href>" for each in hrefs)
    return f"{_OPEN}<c:addressbook-multiget {_SPACES}>{_CARD}{asked}</c:addressbook-multiget>".encode()


def changed_since(token: str) -> bytes:
    """Ask what has changed since a token (RFC 6578)."""
    return (
        f"{_OPEN}<d:sync-collection {_SPACES}><d:sync-token>{escape(token)}</d:sync-token>"
        "<d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop></d:sync-collection>"
    ).encode()


def with_email(values: Iterable[str]) -> bytes:
    """Ask for cards that have one of these e-mail addresses."""
    filters = "".join(
        '<c:prop-filter name="EMAIL"><c:text-match collation="i;unicode-casemap" match-type="equals">'
        f"{escape(each)}</c:text-match></c:prop-filter>"
        for each in values
    )
    return (
        f'{_OPEN}<c:addressbook-query {_SPACES}>{_CARD}<c:filter test="anyof">{filters}</c:filter>'
        "</c:addressbook-query>"
    ).encode()


def _tags(names: Iterable[str]) -> str:
    return "".join(f"<{each}/>" for each in names)


_CARD = f"<d:prop>{_tags(('d:getetag', 'd:getlastmodified', 'c:address-data'))}</d:prop>"
