"""Calls of the official client: in threads, within the budget, with its errors in our words."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from engine.sync.connectors.hubspot.budget import Budget
from engine.sync.connectors.hubspot.errors import failure

# Calls of one connection at a time, and seconds to connect and to answer.
THREADS = 4
PATIENCE = (5.0, 30.0)
NOTHING: Mapping[str, Any] = {}

# Where the client keeps what.
APIS: dict[str, Callable[[Any], Any]] = {
    "objects": lambda client: client.crm.objects.basic_api,
    "batch": lambda client: client.crm.objects.batch_api,
    "search": lambda client: client.crm.objects.search_api,
    "properties": lambda client: client.crm.properties.core_api,
    "schemas": lambda client: client.crm.schemas.core_api,
    "pipelines": lambda client: client.crm.pipelines.pipelines_api,
    "pairs": lambda client: client.crm.associations.v4.batch_api,
    "labels": lambda client: client.crm.associations.v4.schema.definitions_api,
    "limits": lambda client: client.crm.associations.v4.schema.definition_configurations_api,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call was answered: a model of the client, and when, by HubSpot's clock."""

    data: Any
    at: datetime | None


class Calls:
    """The official client for one token. Every API of it keeps its connections as long as this is open."""

    def __init__(self, base: str, token: str, budget: Budget) -> None:
        self._base = base
        self._token = token
        self._budget = budget
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hubspot")
        self._lock = threading.Lock()
        self._client: Any = None
        self._apis: dict[str, Any] = {}

    async def ask(
        self, api: str, verb: str, *args: Any, writing: bool = False, more: Mapping[str, Any] = NOTHING
    ) -> Answer:
        """Call a method of an API of the client; `more`: what it takes by name.

        Raises ConnectorError; Unclear only where `writing`.
        """
        await self._budget.take(search=api == "search")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._ask, api, verb, args, more, writing)

    async def account(self) -> dict[str, Any]:
        """The account's details, for which the client has no method of its own."""
        await self._budget.take(search=False)
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, self._account)
        return answer.data if isinstance(answer.data, dict) else {}

    async def close(self) -> None:
        """End all connections, once the calls that run have ended."""
        await asyncio.to_thread(self._threads.shutdown, wait=True)
        for api in self._apis.values():
            api.api_client.rest_client.pool_manager.clear()

    def _ask(self, api: str, verb: str, args: Any, more: Mapping[str, Any], writing: bool) -> Answer:
        method = getattr(self._api(api), f"{verb}_with_http_info")
        try:
            data, _, headers = method(*args, _request_timeout=PATIENCE, **more)
        except Exception as error:  # of as many classes as the client has APIs
            raise failure(error, self._token, writing=writing) from None
        return Answer(data, _moment(headers))

    def _account(self) -> Answer:
        client = self._api("objects").api_client
        try:
            data, _, headers = client.call_api(
                "/account-info/v3/details",
                "GET",
                header_params={"Accept": "application/json"},
                response_types_map={200: "object"},
                auth_settings=["oauth2"],
                _return_http_data_only=False,
                _request_timeout=PATIENCE,
            )
        except Exception as error:
            raise failure(error, self._token, writing=False) from None
        return Answer(data, _moment(headers))

    def _api(self, name: str) -> Any:
        # Imported here: it takes a tenth of a second that nobody without HubSpot should wait for.
        import hubspot  # type: ignore[import-untyped]
        import urllib3

        with self._lock:
            if self._client is None:
                # Nothing is repeated or led elsewhere behind our back.
                retry = urllib3.Retry(0, redirect=0, raise_on_redirect=False)
                self._client = hubspot.HubSpot(access_token=self._token, host=self._base, retry=retry)
            if name not in self._apis:
                self._apis[name] = APIS[name](self._client)
            return self._apis[name]


def _moment(headers: Any) -> datetime | None:
    try:
        return parsedate_to_datetime(headers["Date"])
    except (KeyError, TypeError, ValueError):
        return None
