"""The sender against a real web server and a real mail server that do all that such servers do."""

import asyncio
import contextlib
import hashlib
import hmac
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiosmtpd.smtp import AuthResult
from structlog.testing import capture_logs

from engine import accounts
from engine.outbox import Mail, Webhook, sent_key
from server import worker
from server.outbox import Options
from server.outbox.mails import MailServer, message, sender
from server.outbox.webhooks import Webhooks
from server.settings import BadSetting, Settings
from storage import outbox, outbox_sending
from storage.database import Database, connect
from tests.graph import T0
from tests.hurry import later
from tests.outside import FROM, GRACE, PATIENCE, Outside, mailing, numbered, receiving, until, until_idle


@pytest.fixture
async def crm(db: Database) -> Outside:
    return Outside(db, await accounts.create(db, "demo", now=T0))


async def test_a_call_is_a_signed_post_with_its_key(crm: Outside) -> None:
    async with receiving() as receiver:
        await crm.put(crm.call(receiver.url("/200"), secret="whisper"))
        await crm.send()
    [request] = receiver.requests
    row = await crm.row()
    assert (row.status, row.attempts, row.finished_at) == ("DELIVERED", 1, T0)
    # What could not be stored of the answer is not.
    assert row.outcome == {"statusCode": 200, "response": "answer\ufffd\ufffd"}
    assert orjson.loads(request.body) == {"n": 1}
    headers = request.headers
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["idempotency-key"] == sent_key(row.key, row.created_at)
    assert headers["relata-timestamp"] == str(int(T0.timestamp()))
    signed = headers["relata-timestamp"].encode() + b"." + request.body
    assert headers["relata-signature"] == "v1=" + hmac.new(b"whisper", signed, hashlib.sha256).hexdigest()


async def test_a_call_that_fails_is_made_again_later_with_the_same_key_and_body(crm: Outside) -> None:
    async with receiving() as receiver:
        await crm.put(crm.call(receiver.url("/500")))
        await crm.send(attempts=3)
        row = await crm.row()
        assert (row.status, row.attempts) == ("PENDING", 1)
        assert row.outcome is not None
        assert row.outcome["error"]["code"] == "HTTP_STATUS"
        assert row.next_attempt_at is not None
        await crm.send(attempts=3)
        assert len(receiver.requests) == 1
        for _ in range(2):
            crm.later(minutes=2)
            await crm.send(attempts=3)
    assert len(receiver.requests) == 3
    assert len(set(receiver.keys("/500"))) == len({one.body for one in receiver.requests}) == 1
    assert (await crm.row()).status == "FAILED"


async def test_a_receiver_that_asks_for_time_is_given_it(crm: Outside) -> None:
    async with receiving() as receiver:
        await crm.put(crm.call(receiver.url("/429")))
        await crm.send()
    row = await crm.row()
    assert row.next_attempt_at == T0 + timedelta(hours=2)
    assert row.outcome is not None
    assert row.outcome["response"] == "slow down"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/404", "FAILED", "HTTP_STATUS"),
        ("/301", "FAILED", "REDIRECTED"),
        ("/break", "PENDING", "CONNECTION_BROKEN"),
        ("/hang", "PENDING", "TIMED_OUT"),
        ("/nonsense", "PENDING", "CONNECTION_BROKEN"),
    ],
)
async def test_what_a_receiver_does_says_what_is_next(
    crm: Outside, path: str, status: str, code: str
) -> None:
    async with receiving() as receiver:
        await crm.put(crm.call(receiver.url(path)))
        async with crm.sending() as one:
            await one.take(crm.account, crm.at)
            await until(lambda: len(receiver.requests) == 1)
            if path == "/hang":
                later(crm.options().seconds)
            async with asyncio.timeout(PATIENCE):
                while (await crm.row()).status == "SENDING":  # noqa: ASYNC110 (tables tell nobody)
                    await asyncio.sleep(0.01)
        assert [one.path for one in receiver.requests] == [path]
    row = await crm.row()
    assert row.outcome is not None
    assert (row.status, row.outcome["error"]["code"]) == (status, code)


@pytest.mark.parametrize("path", ["/endless", "/stalled"])
async def test_of_an_answer_only_the_beginning_is_heard_and_its_status_counts(
    crm: Outside, path: str
) -> None:
    async with receiving() as receiver:
        await crm.put(crm.call(receiver.url(path)))
        await crm.send(listening=0.1)
    row = await crm.row()
    assert (row.status, row.attempts) == ("DELIVERED", 1)
    assert row.outcome is not None
    assert len(row.outcome["response"]) < 600


async def test_nobody_there_and_no_such_name_may_pass(crm: Outside) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        await crm.put(
            crm.call(f"http://127.0.0.1:{taken.getsockname()[1]}/", 1),
            crm.call("http://nobody.invalid/", 2),
            crm.call("http://" + "x" * 70 + ".example/", 3),
        )
        await crm.send()
    rows = await crm.rows()
    assert [(row.status, (row.outcome or {})["error"]["code"]) for row in rows] == [
        ("PENDING", "UNREACHABLE"),
        ("PENDING", "UNREACHABLE"),
        ("FAILED", "MALFORMED_URL"),
    ]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0"]
)
async def test_this_machine_is_never_called_unless_that_is_allowed(crm: Outside, host: str) -> None:
    async with receiving() as receiver:
        await crm.put(crm.call(receiver.url("/200", host)))
        await crm.send(allow_private=False)
        assert receiver.connections == 0
        row = await crm.row()
        assert (row.status, (row.outcome or {})["error"]["code"]) == ("FAILED", "PRIVATE_ADDRESS")
        async with crm.writing() as tx:
            await outbox.retry(tx, [row.id], crm.at)
        await crm.send()
        assert (await crm.row()).status == "DELIVERED"


async def test_one_private_address_among_others_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = names(monkeypatch, [["1.1.1.1", "127.0.0.1"]])
    went = await Webhooks(allow_private=False, seconds=PATIENCE).call(
        Webhook("http://two.example/", {}), key="key", now=T0
    )
    assert getattr(went, "code", None) == "PRIVATE_ADDRESS"
    assert asked == ["two.example"]


async def test_what_was_looked_at_is_what_is_called_whatever_the_name_says_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a name server answers twice: first with a harmless address, then with the one that is meant."""
    async with receiving() as meant, receiving() as other:
        asked = names(monkeypatch, [["127.0.0.1"], ["127.0.0.2"]])
        hooks = Webhooks(allow_private=True, seconds=PATIENCE)
        await hooks.call(Webhook(meant.url("/200", "moving.example"), {}), key="key", now=T0)
        assert asked == ["moving.example"]
        [request] = meant.requests
        assert request.headers["host"] == f"moving.example:{meant.port}"
        assert other.connections == 0


def names(monkeypatch: pytest.MonkeyPatch, answers: list[list[str]]) -> list[str]:
    """A name server of our own for names that end in .example; the names that it was asked for."""
    asked: list[str] = []
    loop = asyncio.get_running_loop()
    honest = type(loop).getaddrinfo

    async def told(self: Any, host: Any, port: Any, **more: Any) -> Any:
        if not str(host).endswith(".example"):
            return await honest(self, host, port, **more)
        asked.append(host)
        addresses = answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(type(loop), "getaddrinfo", told)
    return asked


async def test_a_certificate_must_be_the_name_s_though_the_address_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = subprocess.run(  # noqa: ASYNC221 (nobody else waits)
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=right.example",
            ),
            *("-addext", "subjectAltName=DNS:right.example", "-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("openssl makes no certificates here")
    offered = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    offered.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    believed = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    async with receiving(offered) as receiver:
        names(monkeypatch, [["127.0.0.1"], ["127.0.0.1"], ["127.0.0.1"]])
        hooks = Webhooks(allow_private=True, seconds=PATIENCE, tls=believed)
        went = [
            await hooks.call(Webhook(receiver.url("/200", host, "https"), {}), key="key", now=T0)
            for host in ("right.example", "wrong.example")
        ]
        stranger = await Webhooks(allow_private=True, seconds=PATIENCE).call(
            Webhook(receiver.url("/200", "right.example", "https"), {}), key="key", now=T0
        )
    assert getattr(went[0], "status_code", None) == 200
    for refused in (went[1], stranger):
        assert getattr(refused, "code", None) == "UNREACHABLE"
        assert "certificate" in getattr(refused, "message", "")
    assert len(receiver.requests) == 1


async def test_a_host_that_hangs_holds_up_nobody_else(crm: Outside) -> None:
    async with receiving() as dead, receiving() as well:
        await crm.put(*numbered(dead.url("/hang"), crm, 60))
        crm.later(seconds=1)
        await crm.put(*(crm.call(well.url("/200"), n, step=1) for n in range(20)))
        async with crm.sending(calls=8, calls_a_host=3, seconds=60.0) as one:
            async with asyncio.timeout(PATIENCE):
                while len(well.requests) < 20 or dead.connections < 3:
                    await one.take(crm.account, crm.at)
                    await asyncio.sleep(0.01)
            # Those that hang hang still, and have no more than their places.
            assert dead.connections == 3
            await dead.close()


async def test_a_host_that_does_not_answer_is_asked_seldom_and_all_is_put_off(crm: Outside) -> None:
    async with receiving() as dead:
        await crm.put(*numbered(dead.url("/hang"), crm, 60))
        await crm.send(calls_a_host=4, seconds=0.2)
        assert dead.connections <= 12
        rows = await crm.rows()
        assert {(row.status, row.attempts) for row in rows} == {("PENDING", 1)}
        assert {(row.outcome or {})["error"]["code"] for row in rows} == {"TIMED_OUT", "UNREACHABLE"}


async def test_two_senders_share_what_there_is(crm: Outside, database_url: str) -> None:
    async with receiving() as receiver, connect(database_url) as second:
        await crm.put(*numbered(receiver.url("/200"), crm, 100))
        async with crm.sending(calls_a_host=4) as one, crm.sending(second, calls_a_host=4) as two:
            await asyncio.gather(until_idle(one, crm), until_idle(two, crm))
    assert len(receiver.keys("/200")) == len(set(receiver.keys("/200"))) == 100
    assert {row.status for row in await crm.rows()} == {"DELIVERED"}


@pytest.mark.parametrize("calls", [4, 64])
async def test_accounts_take_turns(crm: Outside, calls: int) -> None:
    """Whoever has piled up the most is not the only one who is served: neither of all places nor of one host's."""
    other = Outside(crm.db, await accounts.create(crm.db, "other", now=T0))
    async with receiving() as receiver:
        await crm.put(*numbered(receiver.url("/200"), crm, 300))
        await other.put(*numbered(receiver.url("/201"), other, 3))
        stop = asyncio.Event()
        working = asyncio.create_task(
            worker.run(crm.db, clock=crm.clock, stop=stop, sending=crm.options(calls=calls, calls_a_host=4))
        )
        await until(lambda: len(receiver.requests) == 303)
        stop.set()
        await working
    assert [one.path for one in receiver.requests[:100]].count("/201") == 3


async def test_a_worker_sends_by_itself_and_the_enrollment_goes_on(crm: Outside) -> None:
    async with receiving() as receiver:
        stop = asyncio.Event()
        working = asyncio.create_task(worker.run(crm.db, clock=crm.clock, stop=stop, sending=crm.options()))
        await crm.put(crm.call(receiver.url("/200")))
        async with asyncio.timeout(PATIENCE):
            while (await crm.row()).status != "DELIVERED":  # noqa: ASYNC110 (tables tell nobody)
                await asyncio.sleep(0.02)
        stop.set()
        await working
    assert len(receiver.requests) == 1


async def test_told_to_end_a_sender_waits_a_little_and_says_what_it_broke_off(crm: Outside) -> None:
    async def until_its_time_is_up() -> None:
        async with asyncio.timeout(PATIENCE):
            while (await crm.rows())[1].status != "DELIVERED":  # noqa: ASYNC110 (tables tell nobody)
                await asyncio.sleep(0.01)
        later(GRACE)

    async with receiving() as receiver:
        await crm.put(crm.call(receiver.url("/hang"), 1), crm.call(receiver.url("/held"), 2))
        async with crm.sending(seconds=10 * GRACE) as one:
            await one.take(crm.account, crm.at)
            await until(lambda: len(receiver.requests) == 2)
            waited = asyncio.create_task(until_its_time_is_up())
            receiver.release.set()
        await waited
    rows = await crm.rows()
    assert [(row.status, row.attempts) for row in rows] == [("PENDING", 1), ("DELIVERED", 1)]
    assert (rows[0].outcome or {})["error"]["code"] == "BROKEN_OFF"


async def test_an_outcome_is_written_though_the_database_was_away(crm: Outside) -> None:
    async with receiving() as receiver:
        await crm.put(crm.call(receiver.url("/held")))
        with capture_logs() as told:
            async with crm.sending() as one:
                await one.take(crm.account, crm.at)
                await until(lambda: len(receiver.requests) == 1)
                async with crm.db.pool.acquire() as connection:
                    await connection.fetch(
                        "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a"
                        " WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()"
                    )
                receiver.release.set()
    assert {line["log_level"] for line in told} <= {"warning", "debug"}
    row = await crm.row()
    assert (row.status, row.attempts) == ("DELIVERED", 1)


@pytest.mark.slow
async def test_a_sender_killed_in_the_middle_of_a_call_is_replaced_and_the_receiver_knows_the_key(
    crm: Outside, database_url: str
) -> None:
    async with receiving() as receiver:
        crm.at = datetime.now(UTC)
        await crm.put(crm.call(receiver.url("/held")))
        environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "RELATA_WEBHOOKS_ALLOW_PRIVATE": "on",
            "RELATA_LOG_LEVEL": "error",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server.cli", "work", env=environment, stdin=asyncio.subprocess.DEVNULL
        )
        try:
            await until(lambda: len(receiver.requests) == 1)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()
        receiver.release.set()
        crm.later(seconds=60)
        # Who knows what became of it? Until the lease has ended it is taken to be under way.
        await crm.send()
        assert ((await crm.row()).status, len(receiver.requests)) == ("SENDING", 1)
        crm.later(hours=1)
        await crm.send()
        assert ((await crm.row()).status, (await crm.row()).attempts) == ("DELIVERED", 2)
    assert Counter(receiver.keys("/held")).most_common() == [(receiver.keys("/held")[0], 2)]


async def test_what_kills_its_sender_every_time_is_given_up(crm: Outside) -> None:
    await crm.put(crm.call("http://127.0.0.1:9/"))
    for n in range(3):
        async with crm.db.transaction(crm.account, now=crm.at, actor=worker_actor()) as tx:
            await outbox_sending.claim(tx, 10, token=str(n), until=crm.at + timedelta(minutes=1), a_host=10)
        crm.later(minutes=1)
    await crm.send(attempts=3)
    row = await crm.row()
    assert (row.status, (row.outcome or {})["error"]["code"]) == ("UNKNOWN", "SENDER_LOST")


def worker_actor() -> Any:
    from server.outbox.sender import SENDER

    return SENDER


async def test_a_mail_has_both_texts_and_headers_that_say_who_and_which(crm: Outside) -> None:
    async with mailing() as box:
        await crm.put(
            crm.mail(
                "ann@example.com",
                subject="Grüße\r\nBcc: eve@example.com",
                text="Liebe Ann,\n.\nbis bald — Bob",
                html="<p>Liebe Ann, 你好</p>",
                to_name='Ann "A" Ärger\n',
                sender_name="Bob\r\nX-Evil: 1",
                reply_to="bob@bücher.example",
                unsubscribe_url="https://relata.example/u?t=1",
            )
        )
        await crm.send(box=box)
    [mail], [envelope] = box.mails, box.envelopes
    row = await crm.row()
    assert (row.status, envelope) == ("DELIVERED", ("crm@relata.example", "ann@example.com"))
    assert mail["Subject"] == "Grüße Bcc: eve@example.com"
    assert mail["Bcc"] is None
    assert mail["X-Evil"] is None
    assert mail["From"].addresses[0].display_name == "Bob X-Evil: 1"
    assert mail["From"].addresses[0].addr_spec == "crm@relata.example"
    assert mail["To"].addresses[0].display_name == 'Ann "A" Ärger'
    assert mail["Reply-To"].addresses[0].addr_spec == "bob@xn--bcher-kva.example"
    assert mail["List-Unsubscribe"] == "<https://relata.example/u?t=1>"
    assert parsedate_to_datetime(mail["Date"]) == T0
    known = sent_key(row.key, row.created_at)
    assert mail["Message-ID"] == f"<{known}@relata.example>" == (row.outcome or {})["messageId"]
    assert mail["Idempotency-Key"] == known
    parts = {part.get_content_type(): part.get_content() for part in mail.iter_parts()}
    assert parts["text/plain"].split() == ["Liebe", "Ann,", ".", "bis", "bald", "—", "Bob"]
    assert parts["text/html"].strip() == "<p>Liebe Ann, 你好</p>"


@pytest.mark.parametrize("to", ["ann@example.com", "änn@example.com"])
def test_links_and_keys_stand_in_a_mail_s_head_as_they_are_however_long(to: str) -> None:
    # Python's own folding encodes what is longer than a line, and no mail program follows such a link.
    url = f"https://relata.example/unsubscribe/{'x' * 150}"
    key = "k" * 95
    content = Mail(to, "Hello", "How are you?", unsubscribe_url=url)
    lines = message(content, sender=sender(FROM), key=key, created_at=T0).as_bytes().split(b"\r\n")
    assert f"List-Unsubscribe: <{url}>".encode() in lines
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines
    assert f"Message-ID: <{key}@relata.example>".encode() in lines
    assert f"Idempotency-Key: {key}".encode() in lines
    other = replace(content, unsubscribe_url="http://relata.example/unsubscribe/x")
    assert b"-Post" not in message(other, sender=sender(FROM), key=key, created_at=T0).as_bytes()


async def test_a_mail_server_s_refusal_says_what_is_next(crm: Outside) -> None:
    async with mailing() as box:
        await crm.put(*(crm.mail(f"{name}@example.com") for name in ("ann", "later", "reject")))
        await crm.send(box=box)
        assert {
            row.request["to"]: (row.status, (row.outcome or {})["statusCode"]) for row in await crm.rows()
        } == {
            "ann@example.com": ("DELIVERED", 250),
            "later@example.com": ("PENDING", 451),
            "reject@example.com": ("FAILED", 550),
        }
        assert [envelope[1] for envelope in box.envelopes] == ["ann@example.com"]


async def test_a_mail_that_may_have_arrived_is_not_sent_again_by_itself(crm: Outside) -> None:
    async with mailing() as box:
        [number] = await crm.put(crm.mail("cut@example.com"))
        await crm.send(box=box)
        row = await crm.row()
        assert (row.status, row.next_attempt_at) == ("UNKNOWN", None)
        crm.later(days=2)
        await crm.send(box=box)
        assert len(box.mails) == 1
        async with crm.writing() as tx:
            await outbox.retry(tx, [number], crm.at)
        await crm.send(box=box)
        # Sent again when somebody says so: the same mail, as mailboxes see it.
        assert len({one["Message-ID"] for one in box.mails}) == 1
        assert len(box.mails) == 2


async def test_without_a_mail_server_a_mail_fails_and_says_why_and_is_sent_when_there_is_one(
    crm: Outside,
) -> None:
    [number] = await crm.put(crm.mail("ann@example.com"))
    await crm.send()
    row = await crm.row()
    assert (row.status, (row.outcome or {})["error"]["code"]) == ("FAILED", "MAIL_NOT_CONFIGURED")
    async with mailing() as box:
        async with crm.writing() as tx:
            await outbox.retry(tx, [number], crm.at)
        await crm.send(box=box)
    assert (await crm.row()).status == "DELIVERED"


async def test_a_mail_server_that_is_not_there_may_come_back(crm: Outside) -> None:
    async with mailing() as box:
        pass
    await crm.put(crm.mail("ann@example.com"))
    await crm.send(box=box)
    row = await crm.row()
    assert (row.status, (row.outcome or {})["error"]["code"]) == ("PENDING", "UNREACHABLE")


async def test_a_connection_carries_many_mails_and_one_that_was_closed_is_replaced(crm: Outside) -> None:
    async with mailing() as box:
        await crm.put(*(crm.mail(f"{n}@example.com") for n in range(20)))
        await crm.send(box=box, calls_a_host=1)
        assert box.connections == 1
        async with crm.sending(box=box, calls_a_host=1) as one:
            for n in range(1, 6):
                await crm.put(crm.mail("ann@example.com", step=n))
                await one.take(crm.account, crm.at)
                async with asyncio.timeout(PATIENCE):
                    while (await crm.row(step=n)).status == "SENDING":  # noqa: ASYNC110 (tables tell nobody)
                        await asyncio.sleep(0.01)
                assert (await crm.row(step=n)).status == "DELIVERED"
                # Between two mails, as servers do; whether we have heard of it by the next one or not.
                box.hang_up()
        assert box.connections == 1 + 5


@pytest.mark.parametrize(("password", "status"), [("right", "DELIVERED"), ("wrong", "PENDING")])
async def test_a_mail_server_may_want_a_password(crm: Outside, password: str, status: str) -> None:
    def known(_server: Any, _session: Any, _envelope: Any, _mechanism: Any, given: Any) -> AuthResult:
        return AuthResult(success=(given.login, given.password) == (b"ann", b"right"), handled=False)

    async with mailing(authenticator=known, auth_require_tls=False) as box:
        [number] = await crm.put(crm.mail("ann@example.com"))
        with capture_logs() as told:
            async with crm.sending(
                mail_server=MailServer.read(f"smtp://ann:{password}@127.0.0.1:{box.port}?starttls=never"),
                mail_from=sender(FROM),
            ) as one:
                await one.take(crm.account, crm.at)
    row = await crm.row()
    assert (row.id, row.status) == (number, status)
    # A wrong password is the installation's fault: there is a day to mend it.
    assert ((row.outcome or {}).get("error") or {"code": "SMTP_AUTHENTICATION"})[
        "code"
    ] == "SMTP_AUTHENTICATION"
    assert len(box.mails) == (status == "DELIVERED")
    assert password not in repr([line for line in told if line["event"] != "sent"])


async def test_where_tls_is_required_nothing_is_said_without_it(crm: Outside) -> None:
    async with mailing() as box:
        await crm.put(crm.mail("ann@example.com"))
        async with crm.sending(
            mail_server=MailServer.read(f"smtp://ann:secret@127.0.0.1:{box.port}?starttls=required"),
            mail_from=sender(FROM),
        ) as one:
            await one.take(crm.account, crm.at)
    row = await crm.row()
    assert (row.status, (row.outcome or {})["error"]["code"]) == ("PENDING", "SMTP_NOT_SUPPORTED")
    assert (box.connections, box.mails) == (1, [])


@pytest.mark.parametrize("utf8", [True, False])
async def test_an_address_beyond_ascii_needs_a_server_that_takes_it(crm: Outside, utf8: bool) -> None:
    async with mailing(utf8=utf8) as box:
        await crm.put(crm.mail("zoë@bücher.example"))
        await crm.send(box=box)
    row = await crm.row()
    assert row.status == ("DELIVERED" if utf8 else "FAILED")
    assert [envelope[1] for envelope in box.envelopes] == (["zoë@xn--bcher-kva.example"] if utf8 else [])


@pytest.mark.parametrize(
    "text", ["\udcff", "a\u2028Bcc: b", "\x00", "é" * 5_000, "=?utf-8?q?x?=", "\r\n\r\nbody"]
)
def test_no_text_makes_a_header_of_its_own(text: str) -> None:
    content = Mail("ann@example.com", text, "body", to_name=text, sender_name=text)
    try:
        written = message(content, sender=sender(FROM), key="key", created_at=T0).as_bytes()
    except ValueError:
        return
    head = written.partition(b"\r\n\r\n")[0].split(b"\r\n")
    names = [line.partition(b":")[0] for line in head if line[:1] not in b" \t"]
    assert sorted(names) == sorted(
        b"From To Subject Date Message-ID Idempotency-Key Auto-Submitted Content-Type"
        b" Content-Transfer-Encoding MIME-Version".split()
    )


def test_a_mail_server_is_read_from_its_url_and_its_password_is_never_shown() -> None:
    server = MailServer.read("smtp://ann:p%40ss@mx.example:2525?starttls=required")
    assert (server.host, server.port, server.user, server.password) == ("mx.example", 2525, "ann", "p@ss")
    assert (server.tls, server.starttls) == (False, True)
    assert "p@ss" not in repr(server)
    assert MailServer.read("smtps://mx.example").port == 465
    assert MailServer.read("smtp://mx.example").starttls is None
    for wrong in ("http://mx.example", "smtp://", "smtp://mx.example/x", "smtp://mx.example?tls=1"):
        with pytest.raises(ValueError):
            MailServer.read(wrong)


def test_what_an_operator_sets_is_what_the_sender_does_and_no_secret_is_told() -> None:
    chosen = Settings.from_environment(
        {
            "RELATA_SMTP_URL": "smtps://ann:secret@mx.example",
            "RELATA_MAIL_FROM": FROM,
            "RELATA_WEBHOOKS_ALLOW_PRIVATE": "on",
            "RELATA_OUTBOX_ATTEMPTS": "3",
        }
    )
    sending = chosen.sending()
    assert (sending.attempts, sending.allow_private, str(sending.mail_from)) == (3, True, FROM)
    assert sending.mail_server == MailServer("mx.example", 465, True, False, "ann", "secret")
    assert "secret" not in repr(sending)
    # A worker process is started with them.
    assert Settings.from_environment(chosen.environment()) == chosen
    assert Settings().sending() == Options()
    for name, wrong in (("RELATA_SMTP_URL", "smpt://ann:secret@mx.example"), ("RELATA_MAIL_FROM", "Ann")):
        with pytest.raises(BadSetting) as refused:
            Settings.from_environment({name: wrong})
        assert name in str(refused.value)
        assert "secret" not in str(refused.value)
