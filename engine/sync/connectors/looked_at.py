"""Connections to addresses that were looked at first: none to what stands behind our own firewall."""

import asyncio
import socket
import ssl

import httpx

from engine.outbox.addresses import refused
from engine.sync.categories import Category
from engine.sync.connectors.protocol import Disconnected

# Of a host with many addresses so many are tried; how long they are known, in seconds.
ADDRESSES, KNOWN = 3, 30.0


class LookedAt(httpx.AsyncBaseTransport):
    """Connects to addresses that are everybody's alone: a name is looked up and looked at before it is called."""

    def __init__(self, tls: ssl.SSLContext, limits: httpx.Limits) -> None:
        self._tls, self._limits = tls, limits
        # One for each name: a connection that was made to one is never used for another at the same address.
        self._inner: dict[str, httpx.AsyncHTTPTransport] = {}
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.raw_host.decode()
        addresses = await self._addresses(
            host, request.url.port or (443 if request.url.scheme == "https" else 80)
        )
        if any(refused(address) for address in addresses):
            raise Disconnected(
                f"{request.url.host} is at an address that is not open to everybody; see RELATA_SYNC_ALLOW_PRIVATE.",
                Category.MISSING_PERMISSION,
            )
        if host not in self._inner:
            self._inner[host] = httpx.AsyncHTTPTransport(
                verify=self._tls, limits=self._limits, trust_env=False
            )
        missed: httpx.TransportError = httpx.ConnectError("It has no address.")
        for address in addresses[:ADDRESSES]:
            try:
                return await self._inner[host].handle_async_request(
                    httpx.Request(
                        request.method,
                        # To the address that was looked at, whatever the name means by now; the certificate must be
                        # the name's nevertheless.
                        request.url.copy_with(host=address),
                        headers=request.headers,
                        stream=request.stream,
                        extensions={**request.extensions, "sni_hostname": host},
                    )
                )
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                missed = error
        raise missed

    async def _addresses(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        until, addresses = self._known.get((host, port), (0.0, []))
        if until <= loop.time():
            try:
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (socket.gaierror, UnicodeError) as error:
                raise httpx.ConnectError(f"it has no address: {error}") from error
            addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
            self._known[host, port] = (loop.time() + KNOWN, addresses)
        return addresses

    async def aclose(self) -> None:
        for inner in self._inner.values():
            await inner.aclose()
