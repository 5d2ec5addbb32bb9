"""The people of a HubSpot account of the stand-in, and what its webhooks send."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from engine.sync.connectors.hubspot import APP
from engine.sync.connectors.hubspot.values import encode
from engine.sync.connectors.protocol import Delivery, RemoteField, RemoteRole, Surroundings, Value
from tests.connector_laws import Partner, plausible
from tests.hubspot_portal import CARS
from tests.hubspot_server import TOKEN, Server
from tests.hubspot_standin import Portal

SECRET = "the client's secret"
HOOK = "https://crm.example/hooks/sync/1"


class HubSpotPartner(Partner):
    """The people of a HubSpot account."""

    app = APP
    # What search says is not older than it is, so nothing has to be waited for.
    surroundings = Surroundings(allow_private=True, origin="laws")

    def __init__(self, account: Portal, server: Server, name: str, text: str) -> None:
        self.account = account
        self.server = server
        self.object_name = name
        self.text = text
        self.tells_created = name == CARS
        self._others = 0

    def settings(self) -> Mapping[str, str]:
        return {
            "access_token": TOKEN,
            "client_secret": SECRET,
            "webhook_url": HOOK,
            "calls": "1000000",
            "deletions_minutes": "0",
            "base_url": self.server.url,
        }

    def new(self, number: int) -> dict[str, Value]:
        return item(self.object_name, number)

    async def insert(self, fields: Mapping[str, Value]) -> str:
        values = {name: encode(None, value) for name, value in fields.items()}
        with self.account.lock:
            return self.account.create(self.object_name, values).id

    async def change(self, external_id: str, fields: Mapping[str, Value]) -> None:
        values = {name: encode(None, value) for name, value in fields.items()}
        with self.account.lock:
            self.account.change(self.object_name, external_id, values)

    async def remove(self, external_id: str) -> None:
        with self.account.lock:
            self.account.archive(self.object_name, external_id)

    def values_of(self, field: RemoteField) -> Sequence[Value]:
        if field.name == "email":
            return ["someone@else.example", "Ann.Lee+tag@EXAMPLE.org"]
        if field.name == "domain":
            return ["else.example"]
        return plausible(field)

    def refused(self) -> Mapping[str, Value]:
        return (
            self.new(7)
            | {
                "contacts": {"email": "no address"},
                "companies": {"annualrevenue": "much"},
                "deals": {"dealstage": "nowhere"},
                CARS: {"vin": ""},
            }[self.object_name]
        )

    def wrong_credentials(self) -> Mapping[str, str]:
        return {**self.settings(), "access_token": "pat-eu1-somebody-else"}

    def unreachable(self) -> Mapping[str, str]:
        return {**self.settings(), "base_url": "http://127.0.0.1:1"}

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.stop)

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)

    async def other(self, role: RemoteRole) -> str:
        self._others += 1
        with self.account.lock:
            values = item(role.to, 1_000 + self._others)
            return self.account.create(role.to, {k: encode(None, v) for k, v in values.items()}).id

    async def associate(self, external_id: str, role: RemoteRole, others: Sequence[str]) -> None:
        type_ = type_of(role.name)
        with self.account.lock:
            for end, types in self.account.ends(self.object_name, external_id, role.to).items():
                if end not in others and type_ in types:
                    self.account.dissociate(self.object_name, external_id, role.to, end, [type_])
            for end in others:
                held = self.account.types_of(self.object_name, external_id, role.to, end)
                self.account.associate(self.object_name, external_id, role.to, end, {*held, type_})

    def delivery(self, external_id: str) -> Delivery:
        return signed([{"subscriptionType": "object.propertyChange", **self._of(external_id)}])

    def forged(self, external_id: str) -> Delivery:
        return signed([{"subscriptionType": "object.creation", **self._of(external_id)}], secret="a guess")

    def _of(self, external_id: str) -> dict[str, Any]:
        return {"objectTypeId": self.account.kind(self.object_name).type_id, "objectId": int(external_id)}


def item(name: str, number: int) -> dict[str, Value]:
    """A good new item of an object."""
    return {
        "contacts": {"email": f"person{number}@example.com", "firstname": f"Person {number}"},
        "companies": {"name": f"Company {number}", "domain": f"company{number}.example"},
        "deals": {"dealname": f"Deal {number}", "dealstage": "qualifiedtobuy"},
        "tickets": {"subject": f"Ticket {number}", "hs_pipeline_stage": "1"},
        CARS: {"vin": f"VIN{number:05d}", "model": f"Model {number}"},
    }[name]


def type_of(role: str) -> tuple[str, int]:
    """The category and type id that a role's name says."""
    words = role.split(":")
    category = {"user": "USER_DEFINED", "app": "INTEGRATOR_DEFINED"}.get(words[1], "HUBSPOT_DEFINED")
    return category, int(words[-1])


def signed(events: Any, *, secret: str = SECRET, url: str = HOOK, age: float = 0.0) -> Delivery:
    """A delivery, as HubSpot signs it."""
    body = events if isinstance(events, bytes) else json.dumps(events).encode()
    moment = str(int((time.time() - age) * 1000))
    text = f"POST{url}{body.decode()}{moment}".encode()
    signature = base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()
    headers = {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": moment}
    return Delivery("POST", headers, "", body)
