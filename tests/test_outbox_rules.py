"""What follows an attempt, whom we may call, how a call is signed: pure rules, whatever the inputs."""

import hashlib
import hmac
import ipaddress
import re
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.outbox import (
    Attempt,
    Delivered,
    Mail,
    Rejected,
    Retry,
    Unclear,
    Webhook,
    after,
    check_address,
    check_url,
    key,
    mail,
    refused,
    sent_key,
    sign,
    webhook,
)
from engine.outbox.hosts import FAILURES, LONGEST_REST, Hosts
from engine.outbox.outcomes import (
    ATTEMPTS,
    EXCERPT,
    FIRST_DELAY,
    JITTER,
    LONGEST_DELAY,
    LONGEST_RETRY_AFTER,
    retry_delay,
)
from engine.outbox.requests import MalformedMailAddress, MalformedUrl
from engine.outbox.responses import of_http, of_smtp, retry_after
from tests.graph import T0

WORDS = st.text(max_size=2_000)
SPANS = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=1_000))
ATTEMPT: st.SearchStrategy[Attempt] = st.one_of(
    st.builds(Delivered, st.integers(200, 299), WORDS, WORDS),
    st.builds(Retry, st.just("CODE"), WORDS, st.integers(400, 599), WORDS, SPANS, st.booleans()),
    st.builds(Rejected, st.just("CODE"), WORDS, st.integers(300, 599), WORDS),
    st.builds(Unclear, st.just("CODE"), WORDS),
)
NUMBERS = st.integers(1, 40)


@given(ATTEMPT, NUMBERS, WORDS, NUMBERS)
def test_only_what_may_pass_is_tried_again_and_only_so_often(
    went: Attempt, attempt: int, told: str, attempts: int
) -> None:
    then = after(went, attempt, T0, key=told, attempts=attempts)
    again = isinstance(went, Retry) and attempt < attempts
    assert (then.status == "PENDING") is again is (then.next_attempt_at is not None)
    if isinstance(went, Delivered):
        assert then.status == "DELIVERED"
        assert "error" not in then.outcome
    else:
        assert then.outcome["error"]["code"] == "CODE"
        assert then.status in ("PENDING", "UNKNOWN" if isinstance(went, Unclear) else "FAILED")
    kept = repr(then.outcome)
    assert "\\x00" not in kept
    assert all(
        len(value) <= EXCERPT + 1 for value in texts(then.outcome) if value != getattr(went, "message_id", 0)
    )


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts(part)]
    return [value] if isinstance(value, str) else []


@given(NUMBERS, WORDS, st.none() | SPANS)
def test_the_delay_doubles_up_to_its_limit_and_the_receiver_may_ask_for_more(
    attempt: int, told: str, wait: timedelta | None
) -> None:
    then = after(Retry("CODE", "", wait=wait), attempt, T0, key=told, attempts=100)
    assert then.next_attempt_at is not None
    delay = then.next_attempt_at - T0
    middle = min(FIRST_DELAY * 2 ** (attempt - 1), LONGEST_DELAY)
    least = max(middle * (1 - JITTER), min(wait or timedelta(0), LONGEST_RETRY_AFTER))
    most = max(middle * (1 + JITTER), min(wait or timedelta(0), LONGEST_RETRY_AFTER))
    assert least - timedelta(milliseconds=1) <= delay <= most + timedelta(milliseconds=1)
    # No dice: the same question has the same answer.
    assert then == after(Retry("CODE", "", wait=wait), attempt, T0, key=told, attempts=100)


def test_what_failed_together_is_not_tried_again_together() -> None:
    delays = {retry_delay(5, f"key {n}") for n in range(100)}
    assert len(delays) == 100
    assert max(delays) - min(delays) > FIRST_DELAY * 2**4 * JITTER


def test_all_attempts_take_about_a_day() -> None:
    whole = sum((retry_delay(n, "key") for n in range(1, ATTEMPTS)), timedelta(0))
    assert timedelta(hours=17) < whole < timedelta(hours=27)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, Delivered) for status in (200, 201, 202, 204, 299)),
        *((status, Rejected) for status in (301, 302, 304, 307, 308)),
        *((status, Rejected) for status in (400, 401, 403, 404, 410, 413, 422)),
        *((status, Retry) for status in (408, 425, 429, 500, 502, 503, 504, 599)),
    ],
)
def test_an_http_status_says_what_is_next(status: int, kind: type[Attempt]) -> None:
    went = of_http(status, "answer", "60", T0)
    assert type(went) is kind
    if isinstance(went, Retry):
        assert went.wait == timedelta(minutes=1)


def test_a_mail_server_s_answer_says_what_is_next() -> None:
    assert [type(of_smtp(status, "")) for status in (421, 450, 451, 550, 552, 999)] == [
        *[Retry] * 3,
        *[Rejected] * 2,
        Retry,
    ]


def test_a_time_to_wait_is_seconds_or_a_date() -> None:
    until = format_datetime(T0 + timedelta(minutes=5), usegmt=True)
    assert retry_after(until, T0) == timedelta(minutes=5)
    assert retry_after(until, T0 + timedelta(hours=1)) == timedelta(0)
    assert retry_after(" 120 ", T0) == timedelta(minutes=2)
    assert retry_after("9" * 5_000, T0) == timedelta(seconds=10**9)


@given(WORDS)
def test_what_a_receiver_says_of_waiting_never_breaks_anything(told: str) -> None:
    waits = retry_after(told, T0)
    assert waits is None or waits >= timedelta(0)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**40), st.binary())
def test_a_signature_is_what_anybody_computes_from_the_secret(
    secret: str, timestamp: int, body: bytes
) -> None:
    version, _, digest = sign(secret, timestamp, body).partition("=")
    message = b"%d.%s" % (timestamp, body)
    assert version == "v1"
    # RFC 2104, by hand.
    raw = secret.encode()
    padded = (hashlib.sha256(raw).digest() if len(raw) > 64 else raw).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(part ^ 0x36 for part in padded) + message).digest()
    assert digest == hashlib.sha256(bytes(part ^ 0x5C for part in padded) + inner).hexdigest()
    assert hmac.compare_digest(digest, hmac.new(raw, message, "sha256").hexdigest())


PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_however_it_is_written(address: str) -> None:
    number = int(ipaddress.IPv4Address(address))
    high, low = number >> 16, number & 0xFFFF
    for written in (
        address,
        f"::ffff:{address}",
        f"::ffff:{high:x}:{low:x}",
        f"::{address}",
        f"64:ff9b::{high:x}:{low:x}",
        f"2002:{high:x}:{low:x}::1",
    ):
        assert refused(written), written


@pytest.mark.parametrize(
    "address",
    [
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fdff::1", "fec0::1", "ff02::1", "100::1"),
        *("2001:db8::1", "2001::1", "3fff::1", "4000::1", "64:ff9b:1::1", "2001:4860:4860::8888%eth0"),
        *("", "localhost", "1.2.3", "0x7f.1", "2130706433"),
    ],
)
def test_other_addresses_that_are_not_everybody_s_are_refused(address: str) -> None:
    assert refused(address)


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "223.255.255.254"),
        *("2606:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"),
    ],
)
def test_everybody_s_addresses_may_be_called(address: str) -> None:
    assert not refused(address)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Hooks.Example/in?a=b", "hooks.example:443"),
        ("http://hooks.example./", "hooks.example:80"),
        ("http://hooks.example:8080/", "hooks.example:8080"),
        ("http://[2606:4700::1111]/", "2606:4700::1111:80"),
        ("https://bücher.example/", "bücher.example:443"),
    ],
)
def test_a_url_that_can_be_called(url: str, host: str) -> None:
    assert check_url(url) == host


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "hooks.example",
            "//hooks.example",
            "ftp://hooks.example",
            "file:///etc/passwd",
            "gopher://a:25/_x",
        ),
        *("http://", "http:///in", "https://ann:secret@hooks.example/", "http://hooks.example:99999/"),
        *(
            "http://hooks.example/a b",
            "http://hooks.example/\r\nX: y",
            "http://hooks\\.example/",
            "http://[::1/",
        ),
        "http://hooks.example/" + "x" * 2_000,
        "http://hooks.example/\x00",
    ],
)
def test_a_url_that_cannot_be_called(url: str) -> None:
    with pytest.raises(MalformedUrl):
        check_url(url)


@given(WORDS)
def test_whatever_is_given_for_a_url_or_an_address_is_taken_or_refused(text: str) -> None:
    for check, problem in ((check_url, MalformedUrl), (check_address, MalformedMailAddress)):
        try:
            check(text)
        except problem:
            continue


@pytest.mark.parametrize("address", ["ann@example.com", "a.b+c@sub.example.com", "zoë@bücher.example"])
def test_an_address_that_can_have_mail(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        *("", "ann", "@example.com", "ann@", "ann@example.com, bob@example.com", "Ann <ann@example.com>"),
        *(
            "ann@example.com\r\nBcc: bob@example.com",
            "ann @example.com",
            "ann@exam ple.com",
            '"a b"@example.com',
        ),
        *("ann@example.com\x00", "a" * 250 + "@example.com", "ann@bob@example.com"),
    ],
)
def test_an_address_that_cannot(address: str) -> None:
    with pytest.raises(MalformedMailAddress):
        check_address(address)


def test_a_key_is_one_step_s_and_one_recipient_s_and_what_is_sent_one_installation_s() -> None:
    keys = {key(*parts) for parts in [(1, 2, 3, 4, 5), (2, 2, 3, 4, 5), (1, 3, 3, 4, 5), (1, 2, 4, 4, 5)]}
    keys |= {key(1, 2, 3, 5, 5), key(1, 2, 3, 4, "ann@example.com"), key(12, 3, 4, 5, 6), key(1, 23, 4, 5, 6)}
    assert len(keys) == 8
    assert len({sent_key(one, T0) for one in keys}) == 8
    one = key(1, 2, 3, 4, 5)
    assert sent_key(one, T0) == sent_key(one, T0)
    assert sent_key(one, T0).startswith(one)
    assert sent_key(one, T0) != sent_key(one, T0 + timedelta(microseconds=1))


@given(WORDS)
def test_a_key_that_is_sent_can_stand_in_any_header(recipient: str) -> None:
    kept = key(1, 2, 3, 4, recipient).encode("utf-8", "replace").decode()
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,120}", sent_key(kept, T0))


def test_a_request_is_read_as_it_was_made() -> None:
    content = Mail("ann@example.com", "Hello", "How?", html="<p>How?</p>", reply_to="bob@example.com")
    assert Mail.read(mail("key", content).request) == content
    call = Webhook("https://hooks.example/", {"a": [1]}, "whisper")
    assert Webhook.read(webhook("key", call).request) == call
    assert Webhook.read(webhook("key", Webhook("https://a.example", None)).request).secret is None


def test_a_mail_is_refused_where_any_of_its_addresses_is_none() -> None:
    with pytest.raises(MalformedMailAddress):
        mail("key", Mail("ann@example.com", "", "", reply_to="bob\n@example.com"))
    with pytest.raises(MalformedUrl):
        mail("key", Mail("ann@example.com", "", "", unsubscribe_url="mailto:a@b"))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 100)), max_size=60))
def test_a_host_rests_only_after_failures_in_a_row_and_never_long(told: list[tuple[bool, int]]) -> None:
    hosts, now, row = Hosts(), T0, 0
    for answered, seconds in told:
        now += timedelta(seconds=seconds)
        if answered:
            hosts.reached("a")
            row = 0
        else:
            hosts.missed("a", now)
            row += 1
        assert hosts.resting("a", now) is (row >= FAILURES)
        assert hosts.doubtful("a") is (row >= FAILURES) is ("a" in hosts.doubtful_ones())
        assert not hosts.resting("a", now + LONGEST_REST)
        assert not hosts.resting("b", now)
