"""A real Radicale: a process of its own, started once for a test file; each test has an address book of its own."""

import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import httpx
import vobject  # type: ignore[import-untyped]

from tests.gate import free_port

USER, PASSWORD = "ann", "a secret of radicale's"
# Nothing here measures time.
PATIENCE = 600.0

_CONFIG = """
[server]
hosts = 127.0.0.1:{port}
max_connections = 50
[auth]
type = htpasswd
htpasswd_filename = {place}/users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = {place}/storage
[logging]
level = warning
"""
_MKCOL = (
    '<?xml version="1.0"?><d:mkcol xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav"><d:set><d:prop>'
    "<d:resourcetype><d:collection/><c:addressbook/></d:resourcetype><d:displayname>{name}</d:displayname>"
    "</d:prop></d:set></d:mkcol>"
)


class Radicale:
    """A running server, as its own people use it: with another library than ours."""

    def __init__(self, port: int, place: Path) -> None:
        self.port, self._place = port, place
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}/{USER}/",
            auth=(USER, PASSWORD),
            timeout=PATIENCE,
            trust_env=False,
        )

    def settings(self, book: str, port: int | None = None) -> dict[str, str]:
        """Of a connection to one book."""
        return {
            "url": f"http://127.0.0.1:{port or self.port}",
            "username": USER,
            "password": PASSWORD,
            "address_book": book,
        }

    def ask(self, method: str, path: str, content: str = "", **headers: str) -> httpx.Response:
        """Something that works."""
        answer = self._client.request(method, path, content=content.encode(), headers=headers)
        assert answer.is_success, (method, path, answer.status_code, answer.text)
        return answer

    def make_book(self, name: str, title: str | None = None) -> None:
        """An address book."""
        self.ask("MKCOL", f"{name}/", _MKCOL.format(name=escape(title or name)))

    def put(self, book: str, name: str, card: str) -> None:
        """A card as text."""
        self.ask("PUT", f"{book}/{name}", card, **{"Content-Type": "text/vcard; charset=utf-8"})

    def text(self, book: str, name: str) -> str:
        """A card as text."""
        return self.ask("GET", f"{book}/{name}").text

    def names(self, book: str) -> set[str]:
        """The cards of a book."""
        folder = self._place / "storage" / "collection-root" / USER / book
        return {path.name for path in folder.iterdir() if not path.name.startswith(".")}

    def insert(self, book: str, fields: Mapping[str, Any]) -> str:
        """A new card; its name."""
        name = f"{uuid.uuid4()}.vcf"
        card = vobject.vCard()
        card.add("uid").value = name.removesuffix(".vcf")
        card.add("fn").value = (
            " ".join(fields.get(each) or "" for each in ("firstname", "lastname")).strip() or "-"
        )
        card.add("n").value = vobject.vcard.Name()
        set_fields(card, fields)
        self.put(book, name, card.serialize())
        return name

    def change(self, book: str, name: str, fields: Mapping[str, Any]) -> None:
        """Change fields of a card."""
        card = vobject.readOne(self.text(book, name))
        set_fields(card, fields)
        self.put(book, name, card.serialize())

    def remove(self, book: str, name: str) -> None:
        """Delete a card, or a whole book."""
        self.ask("DELETE", f"{book}/{name}")

    def forget_tokens(self, book: str) -> None:
        """As a server does after some weeks."""
        cache = self._place / "storage" / "collection-root" / USER / book / ".Radicale.cache"
        shutil.rmtree(cache / "sync-token")

    def close(self) -> None:
        """Nothing more is asked."""
        self._client.close()


_NAMES = {
    "lastname": "family",
    "firstname": "given",
    "middlename": "additional",
    "prefix": "prefix",
    "suffix": "suffix",
}
_ADDRESS = {"street": "street", "city": "city", "region": "region", "zip": "code", "country": "country"}
_TEXTS = {
    "email": "email",
    "note": "note",
    "nickname": "nickname",
    "jobtitle": "title",
    "role": "role",
    "website": "url",
    "birthday": "bday",
}
_PHONES = {"phone": "WORK", "mobile": "CELL", "homephone": "HOME", "fax": "FAX"}


def set_fields(card: Any, fields: Mapping[str, Any]) -> None:
    """Write fields into a card of the other library."""
    for field, value in fields.items():
        if field in _NAMES:
            setattr(card.n.value, _NAMES[field], value or "")
        elif field in _ADDRESS:
            if "adr" not in card.contents:
                card.add("adr").value = vobject.vcard.Address()
            setattr(card.adr.value, _ADDRESS[field], value or "")
        elif field in _TEXTS:
            _set(card, _TEXTS[field], value)
        elif field in _PHONES:
            _set(card, "tel", value, _PHONES[field])
        elif field in ("company", "department"):
            parts = [*(card.org.value if "org" in card.contents else []), "", ""][:2]
            parts[field == "department"] = value or ""
            _set(card, "org", parts)
        elif field == "categories":
            _set(card, "categories", value)
        else:
            raise AssertionError(field)


def _set(card: Any, name: str, value: Any, kind: str | None = None) -> None:
    lines = [
        each for each in card.contents.get(name, []) if kind is None or kind in each.params.get("TYPE", [])
    ]
    for line in lines:
        card.remove(line)
    if value:
        line = card.add(name)
        line.value = value
        if kind is not None:
            line.type_param = kind


@contextmanager
def serving(place: Path) -> Iterator[Radicale]:
    """A server with its own storage and users."""
    port = free_port()
    (place / "users").write_text(f"{USER}:{PASSWORD}\n")
    (place / "config").write_text(_CONFIG.format(port=port, place=place))
    with (place / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "radicale", "--config", str(place / "config")], stdout=log, stderr=log
        )
        server = Radicale(port, place)
        try:
            _until(lambda: _answers(server), process, place / "log")
            # The home that a server makes at the first sign-in.
            server.ask("PROPFIND", "", Depth="0")
            yield server
        finally:
            server.close()
            process.kill()
            process.wait()


def _answers(server: Radicale) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{server.port}/.web/", trust_env=False).status_code < 500
    except httpx.TransportError:
        return False


def _until(holds: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
