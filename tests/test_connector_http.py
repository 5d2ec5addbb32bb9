"""How connectors call out: in time, in bounded size, to hosts that may be called; what failures say is next."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from engine.sync.categories import Category
from engine.sync.connectors.answers import Answer, failure, unavailable
from engine.sync.connectors.carddav import APP
from engine.sync.connectors.http import Http
from engine.sync.connectors.protocol import (
    ConnectorError,
    Create,
    Disconnected,
    Gone,
    Outcome,
    Rejected,
    Retry,
    Stale,
    Surroundings,
    Unclear,
    Update,
)

NEAR = Surroundings(allow_private=True)
FAR = Surroundings(allow_private=False)
DATE = "Sun, 22 Nov 2026 08:00:00 GMT"


class Spoken:
    """A server that says what a test tells it to; None: nothing, for ever. `asked` is what it heard."""

    def __init__(self, answer: Callable[[str], bytes | None]) -> None:
        self.asked: list[str] = []
        self.port = 0
        self.serving: set[asyncio.Task[None]] = set()
        self._answer = answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                sizes = [
                    line.split(":")[1]
                    for line in head.splitlines()
                    if line.lower().startswith("content-length")
                ]
                await reader.readexactly(int(sizes[0]) if sizes else 0)
                self.asked.append(head)
                if (answer := self._answer(head)) is None:
                    await asyncio.Event().wait()
                if not answer:
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            # Cancelled by the test's end alone.
            pass
        finally:
            self.serving.discard(task)
            writer.transport.abort()


@asynccontextmanager
async def spoken(answer: Callable[[str], bytes | None]) -> AsyncIterator[Spoken]:
    server = Spoken(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        serving = list(server.serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)


def said(status: int, body: bytes = b"{}", **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


async def test_credentials_follow_no_redirect_to_another_host() -> None:
    async with spoken(lambda head: said(200)) as other:
        elsewhere = f"http://localhost:{other.port}/stolen"
        async with (
            spoken(lambda head: said(302, Location=elsewhere)) as server,
            Http(server.url, NEAR, headers={"Authorization": "Bearer secret"}) as http,
        ):
            with pytest.raises(Disconnected) as told:
                await http.request("GET", "records")
            assert told.value.category is Category.MISSING_PERMISSION
            with pytest.raises(Disconnected):
                await http.request("GET", elsewhere)
        assert other.asked == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://p42-contacts.cloud.example/home/", "cannot be reached"),
        ("http://p42-contacts.cloud.example/home/", "leads to"),
        ("https://cloud.example.evil.example/", "leads to"),
        ("https://evilcloud.example/", "leads to"),
    ],
)
async def test_hosts_that_belong_to_the_app_are_trusted_when_nobody_can_listen(url: str, told: str) -> None:
    async with Http("https://contacts.cloud.example", NEAR, trusted=(".cloud.example",)) as http:
        with pytest.raises(Disconnected) as error:
            await http.request("GET", url)
        assert told in error.value.message


async def test_a_redirect_at_home_is_followed_with_the_method() -> None:
    def answer(head: str) -> bytes:
        return said(301, Location="/dav/") if "/.well-known/" in head else said(207, b"there")

    async with spoken(answer) as server, Http(server.url + "/some/path", NEAR) as http:
        answer_ = await http.request("PROPFIND", "/.well-known/carddav", content=b"<x/>")
        assert (answer_.status, answer_.content) == (207, b"there")
        assert server.asked[1].startswith("PROPFIND /dav/ ")
        assert "host: 127.0.0.1" in server.asked[1].lower()


async def test_a_redirect_without_end_comes_to_one() -> None:
    async with spoken(lambda head: said(302, Location="/again")) as server, Http(server.url, NEAR) as http:
        with pytest.raises(Disconnected):
            await http.request("GET", "x")
        assert len(server.asked) == 5


async def test_a_write_is_not_sent_to_where_a_redirect_leads() -> None:
    async with spoken(lambda head: said(302, Location="/other")) as server, Http(server.url, NEAR) as http:
        assert (await http.request("POST", "x", json={})).status == 302
        assert len(server.asked) == 1


async def test_private_addresses_are_refused_where_they_are_not_allowed() -> None:
    async with spoken(lambda head: said(200)) as server:
        for host in (
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "10.0.0.1",
            "169.254.169.254",
        ):
            async with Http(f"http://{host}:{server.port}", FAR) as http:
                with pytest.raises(Disconnected) as told:
                    await http.request("GET")
                assert told.value.category is Category.MISSING_PERMISSION, host
                assert "RELATA_SYNC_ALLOW_PRIVATE" in told.value.message
        assert server.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "app.example.com",
        "ftp://app.example.com",
        "https://",
        "https://u:p@app.example.com",
        "http://a..b",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Rejected):
        Http(url, NEAR)


async def test_an_answer_without_end_is_given_up() -> None:
    large = gzip.compress(b" " * 5_000_000)
    async with (
        spoken(lambda head: said(200, large, Content_Encoding="gzip")) as server,
        Http(server.url, NEAR, largest=1_000_000) as http,
    ):
        with pytest.raises(Rejected) as told:
            await http.request("GET")
        assert told.value.category is Category.VALUE_TOO_LONG


async def test_what_may_have_been_done_is_unclear() -> None:
    """A server that takes a request and says nothing: a question is asked once more, a change is not repeated."""
    async with spoken(lambda head: b"") as server, Http(server.url, NEAR) as http:
        with pytest.raises(Unclear):
            await http.request("POST", json={})
        assert len(server.asked) == 1
        with pytest.raises(Disconnected):
            await http.request("GET")
        assert len(server.asked) == 3
        with pytest.raises(Disconnected):
            await http.request("POST", json={}, safe=True)


async def test_a_server_that_never_answers_is_given_up() -> None:
    async with spoken(lambda head: None) as server, Http(server.url, NEAR, seconds=0.2) as http:
        with pytest.raises(Disconnected):
            await http.request("GET")
        with pytest.raises(Unclear):
            await http.request("PUT", content=b"x")


async def test_what_is_no_json_is_not_the_app() -> None:
    async with spoken(lambda head: said(200, b"<html>")) as server, Http(server.url, NEAR) as http:
        answer = await http.request("GET")
        with pytest.raises(Disconnected):
            answer.json()


async def test_cookies_are_not_kept() -> None:
    async with spoken(lambda head: said(200, Set_Cookie="session=1; Path=/")) as server:
        async with Http(server.url, NEAR) as http:
            await http.request("GET")
            await http.request("GET")
        assert not any("cookie" in head.lower() for head in server.asked)


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (401, {}, Disconnected("", Category.AUTHENTICATION_EXPIRED)),
        (429, {"Retry_After": "7"}, Disconnected("", Category.RATE_LIMITED, timedelta(seconds=7))),
        (429, {}, Disconnected("", Category.RATE_LIMITED)),
        (
            503,
            {"Date": DATE, "Retry_After": "Sun, 22 Nov 2026 08:01:30 GMT"},
            Disconnected("", Category.REMOTE_UNAVAILABLE, timedelta(seconds=90)),
        ),
        (503, {"Retry_After": "soon"}, Disconnected("", Category.REMOTE_UNAVAILABLE)),
        (403, {}, Rejected("", Category.MISSING_PERMISSION)),
        (404, {}, Gone("")),
        (412, {}, Stale("")),
        (413, {}, Rejected("", Category.VALUE_TOO_LONG)),
        (422, {}, Rejected("", Category.VALIDATION_REJECTED)),
        (423, {}, Retry("", Category.REMOTE_UNAVAILABLE)),
        (500, {}, Retry("", Category.REMOTE_UNAVAILABLE)),
        (507, {}, Retry("", Category.REMOTE_UNAVAILABLE)),
    ],
)
async def test_a_status_says_what_is_next(
    status: int, headers: dict[str, str], expected: ConnectorError
) -> None:
    async with spoken(lambda head: said(status, b"{}", **headers)) as server, Http(server.url, NEAR) as http:
        answer = await http.request("GET")
        error = failure(answer)
        assert error.message
        error.message = ""
        assert error == expected
        assert (unavailable(answer) is not None) == isinstance(expected, Disconnected)


# --- CardDAV, with a server that refuses what it is told to refuse --------------------------------------------------

HOME = (
    b'<d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav"><d:response><d:href>/book/</d:href>'
    b"<d:propstat><d:prop><d:resourcetype><d:collection/><c:addressbook/></d:resourcetype></d:prop>"
    b"<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>"
)
CARD = (
    b'<d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav"><d:response><d:href>/book/a.vcf</d:href>'
    b'<d:propstat><d:prop><d:getetag>"1"</d:getetag><c:address-data>BEGIN:VCARD\nVERSION:3.0\nN:Lee;Ann;;;\nFN:Ann\n'
    b"END:VCARD\n</c:address-data></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    b"</d:multistatus>"
)


async def written(status: int, **headers: str) -> list[Outcome]:
    """What comes of a change and a creation at a server that answers every PUT so."""

    def answer(head: str) -> bytes:
        match head.split(" ")[0]:
            case "PROPFIND":
                return said(207, HOME)
            case "REPORT":
                return said(207, CARD)
        return said(status, b"It is full.", **headers)

    async with spoken(answer) as server:
        settings = {"url": server.url, "username": "ann", "password": "a secret"}
        async with APP.open(settings, NEAR) as connector:
            (kind,) = await connector.describe()
            return await connector.write(
                kind, [Update("a.vcf", {"note": "x"}, '"1"'), Create("key", {"note": "y"})]
            )


@pytest.mark.parametrize(
    ("status", "expected", "category"),
    [
        (400, Rejected, Category.VALIDATION_REJECTED),
        (403, Rejected, Category.MISSING_PERMISSION),
        (413, Rejected, Category.VALUE_TOO_LONG),
        (500, Retry, Category.REMOTE_UNAVAILABLE),
        (507, Retry, Category.REMOTE_UNAVAILABLE),
    ],
)
async def test_a_refused_card_is_told(
    status: int, expected: type[ConnectorError], category: Category
) -> None:
    for outcome in await written(status):
        assert isinstance(outcome, expected)
        assert outcome.category is category
        assert "It is full." in outcome.message


@pytest.mark.parametrize(
    ("status", "category"),
    [
        (401, Category.AUTHENTICATION_EXPIRED),
        (429, Category.RATE_LIMITED),
        (503, Category.REMOTE_UNAVAILABLE),
    ],
)
async def test_a_server_that_refuses_everything_disconnects(status: int, category: Category) -> None:
    with pytest.raises(Disconnected) as told:
        await written(status, Retry_After="11")
    assert told.value.category is category
    assert told.value.after == (None if status == 401 else timedelta(seconds=11))


async def test_a_card_that_changes_all_the_time_is_stale() -> None:
    update, creation = await written(412)
    assert isinstance(update, Stale)
    assert not isinstance(creation, Stale)
    assert not getattr(creation, "external_id", None), (
        "the server says that it is there, and does not show it"
    )


async def test_digests_are_given_where_they_are_asked_for() -> None:
    def answer(head: str) -> bytes:
        if "Digest username" not in head:
            return said(401, WWW_Authenticate='Digest realm="r", nonce="n", qop="auth", algorithm=MD5')
        return said(207, HOME)

    async with spoken(answer) as server:
        settings = {"url": server.url, "username": "ann", "password": "a secret"}
        async with APP.open(settings, NEAR) as connector:
            assert len(await connector.describe()) == 1
            asked = len(server.asked)
            await connector.describe()
            assert len(server.asked) == asked + 1, "it is known by now"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", b"\xff\xfe", b"<d:multistatus/>"]
)
async def test_what_is_no_dav_is_told(body: bytes) -> None:
    async with spoken(lambda head: said(207, body)) as server:
        settings = {"url": server.url, "username": "ann", "password": "a secret"}
        async with APP.open(settings, NEAR) as connector:
            with pytest.raises(Disconnected):
                await connector.check()


async def test_a_server_that_is_elsewhere_on_its_host_is_found() -> None:
    def answer(head: str) -> bytes:
        match head.split(" ")[1]:
            case "/.well-known/carddav":
                return said(301, Location="/dav/")
            case "/dav/":
                return said(207, HOME)
        return said(403)

    async with spoken(answer) as server:
        settings = {"url": server.url, "username": "ann", "password": "a secret"}
        async with APP.open(settings, NEAR) as connector:
            assert [each.name for each in await connector.describe()] == ["book"]


async def test_a_server_that_shows_nothing_says_why() -> None:
    for status, category in ((403, Category.MISSING_PERMISSION), (404, Category.RECORD_NOT_FOUND)):
        async with spoken(lambda head, status=status: said(status)) as server:  # type: ignore[misc]
            settings = {"url": server.url, "username": "ann", "password": "a secret"}
            async with APP.open(settings, NEAR) as connector:
                with pytest.raises(Disconnected) as told:
                    await connector.check()
                assert told.value.category is category


@pytest.mark.parametrize("said", [b"[]", b"null", b"5", b"<html>", b""])
def test_who_answers_with_something_else_is_not_the_app(said: bytes) -> None:
    with pytest.raises(Disconnected, match="is the address right"):
        Answer(200, httpx.Headers(), said, "https://crm.example.com/v1").document()
