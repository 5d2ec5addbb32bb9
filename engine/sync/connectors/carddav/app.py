"""CardDAV as an app: what it needs, what it can do, how it is opened."""

from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager
from typing import ClassVar

import httpx

from engine.sync.categories import Category
from engine.sync.connectors.carddav.connector import CardDav
from engine.sync.connectors.http import Http
from engine.sync.connectors.protocol import Capabilities, Connector, Rejected, Setting, Surroundings

# A person's address book may be at another host than the one that knows them.
_TRUSTED = {"icloud.com": ".icloud.com"}


class _Password(httpx.Auth):
    """A password, as the server wants it: plainly, or, where it asks for that, as a digest."""

    def __init__(self, username: str, password: str) -> None:
        self._basic = httpx.BasicAuth(username, password)
        self._digest = httpx.DigestAuth(username, password)
        self._digested = False

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if not self._digested:
            response = yield next(self._basic.auth_flow(request))
            asks = response.headers.get_list("WWW-Authenticate")
            kinds = {each.split(" ", 1)[0].lower() for each in asks}
            if response.status_code != 401 or "basic" in kinds or "digest" not in kinds:
                return
            self._digested = True
            del request.headers["Authorization"]
        yield from self._digest.auth_flow(request)


class _App:
    """Address books of Nextcloud, iCloud, Fastmail, Radicale, Baïkal and others."""

    name: ClassVar = "carddav"
    title: ClassVar = "CardDAV"
    about: ClassVar = "Contacts in address books: Nextcloud, iCloud, Fastmail, Radicale, Baïkal and others."
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "url",
            "Address",
            "Of the server, such as https://cloud.example.com, or of one address book of it.",
        ),
        Setting("username", "User", "Who signs in; at iCloud and Fastmail an e-mail address."),
        Setting(
            "password",
            "Password",
            "Best one made for Relata alone: an app password, where the server has them.",
            secret=True,
        ),
        Setting(
            "address_book", "Address book", "Its name, if only one of several is to be seen.", required=False
        ),
    )
    capabilities: ClassVar = Capabilities(
        changes=True, tombstones=True, idempotent_create=True, conditional=True, page=200, batch=50
    )

    @asynccontextmanager
    async def open(self, settings: Mapping[str, str], surroundings: Surroundings) -> AsyncIterator[Connector]:
        """Raises Rejected for settings that cannot be right."""
        for each in self.settings:
            if each.required and not settings.get(each.name, "").strip():
                raise Rejected(f"{each.title} is missing.", Category.REQUIRED_FIELD_MISSING, each.name)
        username = settings["username"].strip()
        url = settings["url"].strip()
        host = httpx.URL(url).host if url.startswith(("http://", "https://")) else ""
        trusted = [below for name, below in _TRUSTED.items() if f".{host}".endswith(f".{name}")]
        auth = _Password(username, settings["password"])
        async with Http(url, surroundings, auth=auth, trusted=trusted) as http:
            yield CardDav(
                http, settings.get("address_book", "").strip() or None, username, surroundings.origin
            )


APP = _App()
