"""HubSpot: contacts, companies, deals, tickets and custom objects, with association labels both ways.

`settings` and what it can do stand here; the official client is imported when a connection makes its first call.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import ClassVar
from urllib.parse import urlsplit

from engine.sync.categories import Category
from engine.sync.connectors.hubspot.budget import budget_of
from engine.sync.connectors.hubspot.calls import Calls
from engine.sync.connectors.hubspot.connector import HubSpot
from engine.sync.connectors.protocol import Capabilities, Connector, Rejected, Setting, Surroundings

# What search finds of the last moments is not complete: it is asked for again.
OVERLAP = timedelta(seconds=60)
HOME = "https://api.hubapi.com"


class HubSpotApp:
    """HubSpot, by the access token of a private app."""

    name: ClassVar[str] = "hubspot"
    title: ClassVar[str] = "HubSpot"
    about: ClassVar[str] = (
        "Contacts, companies, deals, tickets and custom objects of a HubSpot account, with labels."
    )
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "access_token",
            "Access token",
            "Of a private app: Settings, Integrations, Private Apps. The scopes that it needs: docs/sync-hubspot.md.",
            secret=True,
        ),
        Setting(
            "client_secret",
            "Client secret",
            "Of the same private app, if it sends webhooks: their signatures are checked with it.",
            required=False,
            secret=True,
        ),
        Setting(
            "webhook_url",
            "Webhook address",
            "The connection's address for hints, exactly as in the private app: it is part of what is signed.",
            required=False,
            secret=True,
        ),
        Setting(
            "calls",
            "Calls in ten seconds",
            "How many calls this connection may make in ten seconds; 100 on a free or Starter account.",
            required=False,
            default="100",
        ),
        Setting(
            "deletions_minutes",
            "Minutes between looks for deletions",
            "HubSpot lists what was deleted, all of it and unsorted: it is read through this often, at most.",
            required=False,
            default="10",
        ),
        Setting("base_url", "Address of the API", "Another one than HubSpot's own.", False, default=HOME),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        changes=True,
        tombstones=True,
        hints=True,
        page=100,
        batch=100,
        overlap=OVERLAP,
        rate=10.0,
    )

    @asynccontextmanager
    async def open(self, settings: Mapping[str, str], surroundings: Surroundings) -> AsyncIterator[Connector]:
        """A connector. Raises Rejected for an address that is not HubSpot's, numbers that are none, no token."""
        token = settings.get("access_token", "").strip()
        # What goes into a header; it comes from a form, where line ends and spaces are pasted along.
        if not token or not (token.isascii() and token.isprintable()):
            raise Rejected(
                "an access token of a private app is needed", Category.INVALID_VALUE, "access_token"
            )
        base = _address(settings.get("base_url") or HOME, surroundings)
        calls = Calls(base, token, budget_of(base, token, _number(settings, "calls", "100", 1)))
        minutes = _number(settings, "deletions_minutes", "10", 0)
        try:
            yield HubSpot(
                calls,
                overlap=OVERLAP,
                deletions=timedelta(minutes=minutes),
                client_secret=settings.get("client_secret", ""),
                webhook_url=settings.get("webhook_url", ""),
            )
        finally:
            await calls.close()


def _address(base: str, surroundings: Surroundings) -> str:
    """The address of the API: HubSpot's, or, where the house allows it, any."""
    try:
        parts = urlsplit(base)
        host = parts.hostname or ""
    except ValueError:
        host, parts = "", urlsplit("")
    ours = parts.scheme == "https" and (host == "hubapi.com" or host.endswith(".hubapi.com"))
    if ours or (surroundings.allow_private and parts.scheme in ("http", "https") and host):
        return base.rstrip("/")
    raise Rejected("the address is not one of HubSpot's API", Category.INVALID_VALUE, "base_url")


def _number(settings: Mapping[str, str], name: str, default: str, least: int) -> int:
    text = settings.get(name) or default
    if not (text.isascii() and text.isdecimal()) or int(text) < least:
        raise Rejected(f'"{name}" is a number of at least {least}', Category.INVALID_VALUE, name)
    return int(text)


APP = HubSpotApp()
