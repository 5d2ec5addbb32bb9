"""The app: what a connection to Directus needs, and what it can do."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import ClassVar

from engine.sync.categories import Category
from engine.sync.connectors.directus.calls import Calls
from engine.sync.connectors.directus.connector import DirectusConnector
from engine.sync.connectors.directus.reading import OVERLAP
from engine.sync.connectors.http import Http
from engine.sync.connectors.protocol import Capabilities, Rejected, Setting, Surroundings


class DirectusApp:
    """Directus, at any address."""

    name: ClassVar[str] = "directus"
    title: ClassVar[str] = "Directus"
    about: ClassVar[str] = "Collections of a Directus project, with the relations between them."
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("url", "Address", "Where the project is, for example https://directus.example.com"),
        Setting("token", "Token", "The static token of a user made for this.", secret=True),
        Setting(
            "collections",
            "Collections",
            'Only these, for example "companies, contacts"; empty: all that the user sees.',
            required=False,
        ),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        changes=True, page=200, batch=100, overlap=OVERLAP, pace=timedelta(seconds=10)
    )

    @asynccontextmanager
    async def open(
        self, settings: Mapping[str, str], surroundings: Surroundings
    ) -> AsyncIterator[DirectusConnector]:
        """A connector to one project. Raises Rejected where the settings cannot be right."""
        for each in self.settings:
            if each.required and not settings.get(each.name, "").strip():
                raise Rejected(f'"{each.title}" is missing.', Category.REQUIRED_FIELD_MISSING, each.name)
        token = settings["token"].strip()
        if not token.isascii() or not token.isprintable():
            raise Rejected("A token has letters, digits and signs alone.", Category.INVALID_VALUE, "token")
        only = frozenset(filter(None, re.split(r"[,;\s]+", settings.get("collections", ""))))
        headers = {"Authorization": f"Bearer {token}"}
        async with Http(settings["url"], surroundings, headers=headers) as http:
            yield DirectusConnector(Calls(http), only, surroundings.origin)
