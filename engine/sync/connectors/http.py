"""Calls to an app over HTTP: in time, in bounded size, to hosts that may be called, and all failures as ours.

    async with Http(url, surroundings, headers={"Authorization": f"Bearer {token}"}) as http:
        answer = await http.request("GET", "records", params={"limit": 100})

A path is taken below the address that was given; none: that address itself. `request` answers with any status;
what a bad one means, `answers` says.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any

import httpx
import orjson

from engine.sync.categories import Category
from engine.sync.connectors.answers import Answer, failure
from engine.sync.connectors.looked_at import LookedAt
from engine.sync.connectors.protocol import (
    Disconnected,
    Rejected,
    Surroundings,
    Unclear,
)

# In seconds. An answer may take longer than a connection: some apps think about a page.
CONNECT, READ, WHOLE = 5.0, 30.0, 120.0
# The largest answer, in bytes, unpacked.
LARGEST = 64 * 1024 * 1024
REDIRECTS = 5
# Ask and change nothing: may be asked again.
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT", "SEARCH"})


class Http:
    """A client of one app. Only its host is called, and `trusted` ones: names, or ".example.com" for all below.

    Raises Rejected for an address that cannot be one.
    """

    def __init__(
        self,
        url: str,
        surroundings: Surroundings,
        *,
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
        trusted: Sequence[str] = (),
        largest: int = LARGEST,
        seconds: float = WHOLE,
    ) -> None:
        self._given = _address(url)
        # Ends in "/", so that paths go below it.
        self.base = self._given
        if not self.base.path.endswith("/"):
            self.base = self.base.copy_with(path=self.base.path + "/")
        self._headers = dict(headers or {})
        self._auth = auth
        self._trusted = tuple(trusted)
        self._largest, self._seconds = largest, seconds
        tls = httpx.create_ssl_context(trust_env=False)
        limits = httpx.Limits(max_connections=16, max_keepalive_connections=8)
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=tls, limits=limits, trust_env=False)
            if surroundings.allow_private
            else LookedAt(tls, limits),
            # Neither proxies nor passwords of the environment.
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(READ, connect=CONNECT),
            headers={"User-Agent": "Relata"},
        )
        # Sessions of a browser's kind are none of ours: some apps then ask for a browser's tokens.
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    async def __aenter__(self) -> "Http":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def request(
        self,
        method: str,
        path: str = "",
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        json: Any = None,
        safe: bool | None = None,
    ) -> Answer:
        """Ask once; redirects are followed where they may be.

        `safe`: it changes nothing, whatever its method. Raises Disconnected where the app is not reached, and Unclear
        where something that is not safe may have been done.
        """
        safe = method in SAFE if safe is None else safe
        try:
            url = self.base.join(path) if path else self._given
            if params:
                url = url.copy_merge_params(params)
        except (httpx.InvalidURL, ValueError) as error:
            raise Rejected(f"{path[:200]} is no address: {error}", Category.INVALID_VALUE) from None
        if not self._trusts(url):
            raise _elsewhere(self.base, url)
        sent = dict(headers or {})
        if json is not None:
            content = orjson.dumps(json)
            sent.setdefault("Content-Type", "application/json")
        for _ in range(REDIRECTS):
            answer = await self._patiently(method, url, sent, content, safe)
            target = self._redirected(answer, method, url, safe)
            if target is None:
                return answer
            url = target
        raise Disconnected(f"{self.base.host} redirects without end.")

    async def lines(
        self, path: str = "", *, headers: Mapping[str, str], json: Any, silence: float
    ) -> AsyncIterator[str]:
        """The lines of an answer that goes on, such as events, until it ends or is silent so long (in seconds).

        Raises Disconnected where it breaks, and what `failure` says of another status than 200.
        """
        url = self.base.join(path) if path else self._given
        request = self._client.build_request(
            "POST",
            url,
            headers={**self._headers, "Content-Type": "application/json", **headers},
            content=orjson.dumps(json),
            timeout=httpx.Timeout(silence, connect=CONNECT),
        )
        try:
            response = await self._client.send(request, auth=self._auth or httpx.Auth(), stream=True)
            try:
                if response.status_code != 200:
                    raise failure(Answer(response.status_code, response.headers, b"", str(url)))
                async for line in response.aiter_lines():
                    yield line
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise Disconnected(f"{url.host} has ended the stream: {_told(error)}") from None

    async def _patiently(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None, safe: bool
    ) -> Answer:
        """Ask; again at once where a connection that had been idle turns out to be closed."""
        try:
            return await self._once(method, url, headers, content, safe)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            if not safe:
                raise Unclear(f"{url.host} closed the connection: {_told(error)}") from None
        try:
            return await self._once(method, url, headers, content, safe)
        except httpx.TransportError as error:
            raise Disconnected(f"{url.host} closed the connection: {_told(error)}") from None

    async def _once(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None, safe: bool
    ) -> Answer:
        request = self._client.build_request(
            method, url, headers={**self._headers, **headers}, content=content
        )
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._client.send(request, auth=self._auth or httpx.Auth(), stream=True)
                try:
                    body = await self._body(response)
                finally:
                    await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Disconnected(f"{url.host} cannot be reached: {_told(error)}") from None
        except (TimeoutError, httpx.TimeoutException):
            told = f"{url.host} did not answer in time."
            raise (Disconnected(told) if safe else Unclear(told)) from None
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            raise
        except (httpx.HTTPError, httpx.StreamError) as error:
            told = f"{url.host} answered with something that is no HTTP: {_told(error)}"
            raise (Disconnected(told) if safe else Unclear(told)) from None
        return Answer(response.status_code, response.headers, body, str(url))

    async def _body(self, response: httpx.Response) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > self._largest:
                raise Rejected(
                    f"{response.url.host} answered with more than {self._largest // 1_048_576} MB.",
                    Category.VALUE_TOO_LONG,
                )
            parts.append(part)
        return b"".join(parts)

    def _redirected(self, answer: Answer, method: str, url: httpx.URL, safe: bool) -> httpx.URL | None:
        """Where it is to be asked instead; None: this is the answer."""
        if answer.status not in (301, 302, 307, 308) or "Location" not in answer.headers:
            return None
        if not safe and answer.status not in (307, 308):
            return None
        try:
            target = url.join(answer.headers["Location"])
        except (httpx.InvalidURL, ValueError):
            return None
        if not self._trusts(target):
            raise _elsewhere(url, target)
        return target

    def _trusts(self, url: httpx.URL) -> bool:
        """Whether credentials may go there: never in the open where they were to be hidden."""
        if url.scheme != "https" and (url.scheme, url.port) != (self.base.scheme, self.base.port):
            return False
        if url.host == self.base.host:
            # The same host's TLS may be at its usual port.
            return url.port == self.base.port or (url.scheme == "https" and self.base.scheme == "http")
        return url.scheme == "https" and any(
            url.host.endswith(name) if name.startswith(".") else url.host == name for name in self._trusted
        )


def _elsewhere(here: httpx.URL, there: httpx.URL) -> Disconnected:
    return Disconnected(
        f"{here.host} leads to {there.scheme}://{there.netloc.decode()}: give that address, if it is the right one.",
        Category.MISSING_PERMISSION,
    )


def _address(text: str) -> httpx.URL:
    """Where an app is. Raises Rejected."""
    try:
        url = httpx.URL(text.strip())
        if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
            raise ValueError
        url.raw_host.decode()
        if not _is_address(url.host) and any(
            not 0 < len(part) < 64 for part in url.host.rstrip(".").split(".")
        ):
            raise ValueError
    except (httpx.InvalidURL, ValueError):
        raise Rejected(
            "The address must be like https://app.example.com/path, without a user or a query.",
            Category.INVALID_VALUE,
        ) from None
    return url


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _told(error: BaseException) -> str:
    """The reason in words: TLS' own where it is at fault."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return str(cause or error) or type(error).__name__
