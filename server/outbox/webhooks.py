"""Calls of webhooks: one signed POST to an address that was looked at first, and what came of it."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from datetime import datetime

import httpx
import orjson

from engine.naming import counted
from engine.outbox import Attempt, Rejected, Retry, Webhook, refused, sign
from engine.outbox.outcomes import EXCERPT
from engine.outbox.responses import of_http
from engine.outbox.signing import KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER

# Of a host with many addresses so many are tried.
ADDRESSES = 3
CONNECT_SECONDS = 5.0
# How long the answer's body is listened to when its status is known.
EXCERPT_SECONDS = 2.0


class _Unreachable(Exception):
    """No connection came about; the message says why."""


class Webhooks:
    """Calls webhooks; each call on a connection of its own, so that none is made on what was checked for another."""

    def __init__(self, *, allow_private: bool, seconds: float, tls: ssl.SSLContext | None = None) -> None:
        self._allow_private = allow_private
        self._seconds = seconds
        self._tls = tls or httpx.create_ssl_context(trust_env=False)

    async def call(self, content: Webhook, *, key: str, now: datetime) -> Attempt:
        """Make one call; how it went."""
        try:
            url = httpx.URL(content.url)
            host = url.raw_host.decode()
        except (httpx.InvalidURL, ValueError) as error:
            return Rejected("MALFORMED_URL", f"The URL cannot be called: {error}")
        try:
            async with asyncio.timeout(self._seconds):
                addresses = await _resolve(host, url.port or (443 if url.scheme == "https" else 80))
                if not self._allow_private and any(refused(address) for address in addresses):
                    return Rejected(
                        "PRIVATE_ADDRESS",
                        f"{host} is at an address that is not open to everybody; see RELATA_WEBHOOKS_ALLOW_PRIVATE.",
                    )
                client, response = await self._answer(url, addresses, content, key, now)
        except TimeoutError:
            told = f"The receiver did not answer within {counted(self._seconds, 'second', 'seconds')}."
            return Retry("TIMED_OUT", told, unreachable=True)
        except UnicodeError:
            return Rejected("MALFORMED_URL", "The URL's host is no name.")
        except _Unreachable as error:
            return Retry("UNREACHABLE", str(error), unreachable=True)
        except httpx.TransportError as error:
            return Retry("CONNECTION_BROKEN", f"The connection broke: {_told(error)}")
        try:
            body = await _excerpt(response)
        finally:
            await client.aclose()
        return of_http(response.status_code, body, response.headers.get("Retry-After"), now)

    async def _answer(
        self, url: httpx.URL, addresses: Sequence[str], content: Webhook, key: str, now: datetime
    ) -> tuple[httpx.AsyncClient, httpx.Response]:
        """The answer, its body yet to be read; the caller closes the client. Raises `_Unreachable`, TransportError."""
        body = orjson.dumps(content.payload)
        headers = _headers(url, body, content.secret, key, now)
        missed: Exception | None = None
        for address in addresses[:ADDRESSES]:
            client = httpx.AsyncClient(
                verify=self._tls,
                # Neither proxies nor passwords of the environment: the address was looked at.
                trust_env=False,
                follow_redirects=False,
                timeout=httpx.Timeout(self._seconds, connect=CONNECT_SECONDS),
            )
            try:
                request = client.build_request(
                    "POST",
                    # To the address that was looked at, whatever the name means by now; the certificate must be the
                    # name's nevertheless.
                    url.copy_with(host=address),
                    content=body,
                    headers=headers,
                    extensions={"sni_hostname": url.raw_host.decode()},
                )
                return client, await client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                missed = error
                await client.aclose()
            except BaseException:
                await client.aclose()
                raise
        raise _Unreachable(f"{url.host} cannot be reached: {_told(missed)}")


def _headers(url: httpx.URL, body: bytes, secret: str | None, key: str, now: datetime) -> dict[str, str]:
    timestamp = int(now.timestamp())
    headers = {
        "Host": url.netloc.decode(),
        "Content-Type": "application/json",
        "User-Agent": "Relata",
        "Accept": "*/*",
        # What is looked at of the answer is looked at as it comes.
        "Accept-Encoding": "identity",
        KEY_HEADER: key,
        TIMESTAMP_HEADER: str(timestamp),
    }
    if secret is not None:
        headers[SIGNATURE_HEADER] = sign(secret, timestamp, body)
    return headers


async def _resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the order in which to try them. Raises `_Unreachable`, UnicodeError."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise _Unreachable(f"{host} has no address: {error.strerror}.") from error
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


async def _excerpt(response: httpx.Response) -> str:
    """The beginning of the answer, as far as it comes soon. Whatever goes wrong now, the status is known."""
    begun = b""
    with contextlib.suppress(TimeoutError, httpx.HTTPError, httpx.StreamError):
        async with asyncio.timeout(EXCERPT_SECONDS):
            async for part in response.aiter_raw():
                begun += part[: 4 * EXCERPT]
                if len(begun) > 4 * EXCERPT:
                    break
    with contextlib.suppress(httpx.HTTPError):
        await response.aclose()
    return begun.decode("utf-8", "replace").strip()


def _told(error: Exception | None) -> str:
    cause = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    return str(cause or error) or type(error).__name__
