"""Another Relata as an app: its settings, and what it can do."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import ClassVar

from engine.sync.categories import Category
from engine.sync.connectors.http import Http
from engine.sync.connectors.protocol import Capabilities, Rejected, Setting, Surroundings
from engine.sync.connectors.relata.asking import Asking
from engine.sync.connectors.relata.connector import RelataConnector


class RelataApp:
    """See `App`."""

    name: ClassVar[str] = "relata"
    title: ClassVar[str] = "Relata"
    about: ClassVar[str] = (
        "Another Relata, or another account of this one: all object types, labels included."
    )
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("url", "Address", "Where it is, like https://crm.example.com/graphql."),
        Setting(
            "key",
            "Key",
            "A key of the account with the scopes records:read, records:write and definitions:read.",
            secret=True,
        ),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        changes=True,
        tombstones=True,
        idempotent_create=True,
        push=True,
        page=200,
        batch=100,
        pace=timedelta(seconds=10),
    )

    def open(
        self, settings: Mapping[str, str], surroundings: Surroundings
    ) -> AbstractAsyncContextManager[RelataConnector]:
        """A connector with these settings. Raises Rejected where they cannot be right."""
        url, key = settings.get("url", "").strip(), settings.get("key", "").strip()
        if not key or not key.isascii() or not key.isprintable():
            raise Rejected("A key is needed, as it was shown when it was made.", Category.INVALID_VALUE)
        if not url.rstrip("/").endswith("/graphql"):
            url = f"{url.rstrip('/')}/graphql"
        return self._opened(Http(url, surroundings, headers={"Authorization": f"Bearer {key}"}))

    @asynccontextmanager
    async def _opened(self, http: Http) -> AsyncIterator[RelataConnector]:
        async with http:
            yield RelataConnector(Asking(http))


APP = RelataApp()
