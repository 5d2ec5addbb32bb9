"""The app: what a connection to Kinto needs, and what it can do."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import ClassVar

import httpx

from engine.sync.categories import Category
from engine.sync.connectors.http import Http
from engine.sync.connectors.kinto.calls import Calls
from engine.sync.connectors.kinto.connector import OVERLAP, KintoConnector
from engine.sync.connectors.kinto.shapes import BadShape, told
from engine.sync.connectors.kinto.values import ID
from engine.sync.connectors.protocol import Capabilities, Rejected, Setting, Surroundings


class KintoApp:
    """Kinto, at any address."""

    name: ClassVar[str] = "kinto"
    title: ClassVar[str] = "Kinto"
    about: ClassVar[str] = "Collections of JSON records in a bucket of a Kinto server."
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("url", "Address", "Where the server's API is, for example https://kinto.example.com/v1"),
        Setting("bucket", "Bucket", "The bucket whose collections are synced."),
        Setting("user", "User", "The account's name; empty for a bearer token or nobody.", required=False),
        Setting("password", "Password", "The account's password.", required=False, secret=True),
        Setting("token", "Token", "A bearer token, instead of a user.", required=False, secret=True),
        Setting(
            "fields",
            "Fields",
            'Fields that neither a schema nor the records tell, for example "contacts.email, contacts.born: date".',
            required=False,
        ),
        Setting(
            "relations",
            "Relations",
            'Fields that hold ids of other records: "contacts.company -> companies, deals.contacts[] -> contacts".',
            required=False,
        ),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        changes=True,
        tombstones=True,
        idempotent_create=True,
        conditional=True,
        ordered_versions=True,
        page=500,
        batch=100,
        overlap=OVERLAP,
        pace=timedelta(seconds=5),
    )

    @asynccontextmanager
    async def open(
        self, settings: Mapping[str, str], surroundings: Surroundings
    ) -> AsyncIterator[KintoConnector]:
        """A connector to one bucket. Raises Rejected where the settings cannot be right."""
        for each in self.settings:
            if each.required and not settings.get(each.name, "").strip():
                raise Rejected(f'"{each.title}" is missing.', Category.REQUIRED_FIELD_MISSING, each.name)
        bucket = settings["bucket"].strip()
        if not ID.fullmatch(bucket):
            raise Rejected(f'"{bucket}" is no name of a bucket.', Category.INVALID_VALUE, "bucket")
        try:
            more = told(settings.get("fields", ""), settings.get("relations", ""))
        except BadShape as error:
            raise Rejected(str(error), Category.INVALID_VALUE) from None
        user, token = settings.get("user", ""), settings.get("token", "")
        headers = {"Authorization": f"Bearer {token}"} if token and not user else {}
        auth = httpx.BasicAuth(user, settings.get("password", "")) if user else None
        async with Http(settings["url"], surroundings, headers=headers, auth=auth) as http:
            yield KintoConnector(
                Calls(http, signed_in=bool(user or token)), bucket, more, surroundings.origin
            )
