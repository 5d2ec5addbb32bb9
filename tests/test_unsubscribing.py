"""Whoever gets a mail can say that he wants no more: by a link of his own, at once, whatever becomes of the record."""

import contextlib
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from engine import associations, properties, records
from engine.batches import Mode
from engine.events.recording import EventInput, record
from engine.events.unsubscribing import unsubscribe
from engine.problems import Refused
from engine.signing import Signer
from engine.sync.credentials import new_key
from server.app import create_app
from server.outbox.mails import MailServer, sender
from storage.database import Database
from tests.face import clients
from tests.flows import Flows, equals, flows
from tests.outside import FROM, MailBox, Outside, mailing

SECRET = new_key()
SIGNER = Signer(lambda _making: [SECRET])
PUBLIC = "https://crm.example"
WORDS = {
    "subject": "News",
    "text": "Dear {{ firstname }}: {{ unsubscribe_url }} (or {{ unsubscribe_url }})",
    "html": '<p>{{ firstname }}</p><a href="{{ unsubscribe_url }}">Leave</a>',
}


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


def mail(**more: Any) -> dict[str, Any]:
    return {"sendEmail": WORDS | more}


async def sent(crm: Flows, box: MailBox, **options: Any) -> None:
    """All that is due is evaluated, written and handed over."""
    await crm.work()
    given = {"box": box, "public_url": PUBLIC, "signer": SIGNER} | options
    await Outside(crm.db, crm.account, at=crm.tick()).send(**given)
    await crm.work()


@contextlib.asynccontextmanager
async def door(crm: Flows, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The pages; who opens them has no key."""
    async with clients(create_app(crm.db, now=crm.tick, **{"signer": SIGNER} | options)) as http:
        yield http


def path_of(box: MailBox, n: int = -1) -> str:
    """Where the link of a mail leads."""
    url = re.fullmatch(r"<(.+)>", box.mails[n]["List-Unsubscribe"])
    assert url is not None
    assert url[1].startswith(f"{PUBLIC}/unsubscribe/")
    return url[1].removeprefix(PUBLIC)


async def changes_of(crm: Flows, record_id: int) -> list[tuple[str, str | None]]:
    """Where the values of `unsubscribed` came from, the newest first."""
    async with crm.db.read(crm.account) as reader:
        page = await records.history(reader, record_id, "unsubscribed")
    return [(row.source, row.source_id) for row in page.changes]


async def events_of(crm: Flows, record_id: int) -> list[tuple[Any, ...]]:
    found = await crm.read(
        "SELECT e.properties ->> 'status', e.source FROM record_event AS e"
        " WHERE e.account_id = $1 AND e.record_id = $2 AND e.event_type_id = -8 ORDER BY e.id",
        record_id,
    )
    return [tuple(row) for row in found]


async def two_contacts(crm: Flows) -> tuple[int, int]:
    await crm.make("contacts", equals("city", "Boston"), mail())
    ann, bob = await crm.create(
        "contacts",
        {"city": "Boston", "email": "ann@example.com", "firstname": "Ann & Co"},
        {"city": "Boston", "email": "bob@example.com", "firstname": "Bob"},
    )
    return ann, bob


async def test_each_who_gets_a_mail_has_a_link_of_his_own_in_the_words_and_beside_them(crm: Flows) -> None:
    await two_contacts(crm)
    async with mailing() as box:
        await sent(crm, box)
    assert sorted(one["To"] for one in box.mails) == ["ann@example.com", "bob@example.com"]
    assert path_of(box, 0) != path_of(box, 1)
    for n, one in enumerate(box.mails):
        url = PUBLIC + path_of(box, n)
        assert one["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        plain, html = (one.get_body((kind,)) for kind in ("plain", "html"))
        assert plain is not None
        assert html is not None
        assert plain.get_content().count(url) == 2
        assert f'<a href="{url}">Leave</a>' in html.get_content()
    # The link is made when a mail is sent: whoever reads what was sent cannot leave for others.
    kept = await crm.read("SELECT o.request::text FROM outbox AS o WHERE o.account_id = $1")
    assert len(kept) == 2
    assert not any(PUBLIC in row[0] for row in kept)


async def test_opening_the_page_changes_nothing_and_its_button_ends_all_mails(crm: Flows) -> None:
    ann, bob = await two_contacts(crm)
    async with mailing() as box, door(crm) as http:
        await sent(crm, box)
        (of_ann,) = [n for n, one in enumerate(box.mails) if one["To"] == "ann@example.com"]
        path = path_of(box, of_ann)
        page = await http.get(path)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert '<form method="post">' in page.text
        assert await crm.value(ann, "unsubscribed") is None
        # As mail programs do it, and once more, as people do.
        for _ in range(2):
            answer = await http.post(path, data={"List-Unsubscribe": "One-Click"})
            assert answer.status_code == 200
        assert "You are unsubscribed" in answer.text
        assert await crm.value(ann, "unsubscribed") is True
        assert await crm.value(bob, "unsubscribed") is None
        ((mine,),) = await crm.read(
            "SELECT o.id FROM outbox AS o WHERE o.account_id = $1 AND o.record_id = $2", ann
        )
        assert await changes_of(crm, ann) == [("MAIL", str(mine))]
        assert await events_of(crm, ann) == [("UNSUBSCRIBED", "MAIL")]

        again = await crm.make("contacts", equals("jobtitle", "x"), mail(subject="Again"))
        await crm.set(ann, jobtitle="x")
        await crm.set(bob, jobtitle="x")
        await sent(crm, box)
    assert [one["To"] for one in box.mails if one["Subject"] == "Again"] == ["bob@example.com"]
    enrolled = {row.record_id: row for row in await crm.enrolled(again)}
    (line,) = await crm.history(enrolled[ann].id)
    assert [(one["record"], one["notSent"]) for one in line.changes] == [(ann, "UNSUBSCRIBED")]


async def test_who_comes_back_can_leave_by_the_same_link_again(crm: Flows) -> None:
    ann, _ = await two_contacts(crm)
    async with mailing() as box, door(crm) as http:
        await sent(crm, box)
        path = path_of(box, next(n for n, one in enumerate(box.mails) if one["To"] == "ann@example.com"))
        await http.post(path)
        await crm.set(ann, unsubscribed=False)
        async with crm.writing() as tx:
            told = EventInput("email_subscription_changed", ann, {"status": "SUBSCRIBED"})
            await record(tx, [told], Mode.ATOMIC)
        await http.post(path)
    assert await crm.value(ann, "unsubscribed") is True
    assert [status for status, _ in await events_of(crm, ann)] == [
        "UNSUBSCRIBED", "SUBSCRIBED", "UNSUBSCRIBED",
    ]  # fmt: skip


async def test_who_was_archived_or_merged_has_left_all_the_same(crm: Flows) -> None:
    ann, bob = await two_contacts(crm)
    async with mailing() as box, door(crm) as http:
        await sent(crm, box)
        links = {one["To"]: path_of(box, n) for n, one in enumerate(box.mails)}
        await crm.archive(ann)
        assert (await http.post(links["ann@example.com"])).status_code == 200
        await crm.work()
        async with crm.writing() as tx:
            await records.restore(tx, [ann], Mode.ATOMIC)
        (survivor,) = await crm.create("contacts", {"email": "new@example.com"})
        async with crm.writing() as tx:
            await records.merge(tx, survivor, bob)
        assert (await http.post(links["bob@example.com"])).status_code == 200
        await crm.make("contacts", equals("jobtitle", "x"), mail(subject="Again"))
        for one in (ann, survivor):
            await crm.set(one, jobtitle="x")
        await sent(crm, box)
    assert [one["To"] for one in box.mails if one["Subject"] == "Again"] == []
    assert await crm.value(survivor, "unsubscribed") is True


async def test_nobody_leaves_by_a_link_that_was_made_up(crm: Flows) -> None:
    ann, _ = await two_contacts(crm)
    async with mailing() as box, door(crm) as http:
        await sent(crm, box)
        path = path_of(box, 0)
        for wrong in ("/unsubscribe/x", "/unsubscribe/W10.x", path[:-4] + "AAAA", path + "A", f"{path}/x"):
            assert (await http.get(wrong)).status_code == 404
            assert (await http.post(wrong)).status_code == 404
    async with door(crm, signer=Signer(lambda _making: [new_key()])) as http:
        assert (await http.post(path)).status_code == 404
    assert await crm.value(ann, "unsubscribed") is None


async def test_without_an_address_of_its_own_an_installation_sends_no_links(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), mail())
    words = {"sendEmail": {"subject": "P", "text": "Q"}}
    plain = await crm.make("contacts", equals("city", "Boston"), words, name="without a link")
    await crm.create("contacts", {"city": "Boston", "email": "ann@example.com"})
    async with mailing() as box:
        await sent(crm, box, public_url=None)
    (only,) = box.mails
    assert (only["Subject"], only["List-Unsubscribe"], only["List-Unsubscribe-Post"]) == ("P", None, None)
    (failed,) = await crm.enrolled(flow)
    error = (await crm.history(failed.id))[-1].error
    assert error is not None
    assert error["code"] == "UNSUBSCRIBE_LINK_MISSING"
    assert [row.status for row in await crm.enrolled(plain)] == ["COMPLETED"]


async def test_over_plain_http_a_click_in_the_mail_program_is_not_offered(crm: Flows) -> None:
    await two_contacts(crm)
    async with mailing() as box:
        await sent(crm, box, public_url="http://crm.example")
    assert {one["List-Unsubscribe"].startswith("<http://crm.example/") for one in box.mails} == {True}
    assert {one["List-Unsubscribe-Post"] for one in box.mails} == {None}


async def test_a_property_that_is_called_so_comes_first_and_subjects_hold_no_link(crm: Flows) -> None:
    with pytest.raises(Refused):
        await crm.make("contacts", equals("city", "Boston"), mail(subject="{{ unsubscribe_url }}"))
    async with crm.writing(defining=True) as tx:
        await properties.create(tx, "contacts", name="unsubscribe_url", label="Link", type="STRING")
    await crm.make("contacts", equals("city", "Boston"), mail())
    await crm.create(
        "contacts",
        {"city": "Boston", "email": "ann@example.com", "unsubscribe_url": "https://other.example/"},
    )
    async with mailing() as box:
        await sent(crm, box)
    (only,) = box.mails
    plain = only.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().count("https://other.example/") == 2
    assert PUBLIC not in plain.get_content()
    assert path_of(box)


async def test_what_lies_in_the_outbox_is_not_sent_to_who_has_left_bounced_or_gone_meanwhile(
    crm: Flows,
) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), mail())
    names = ("stays", "opts", "leaves", "bounces")
    people = dict(
        zip(
            names,
            await crm.create(
                "contacts", *({"city": "Boston", "email": f"{name}@example.com"} for name in names)
            ),
            strict=True,
        )
    )
    away = Outside(crm.db, crm.account, at=crm.tick())
    # Everything is written, and the mail server is not there.
    await crm.work()
    nowhere = MailServer("127.0.0.1", 9, tls=False, starttls=False)
    await away.send(mail_server=nowhere, mail_from=sender(FROM), public_url=PUBLIC, signer=SIGNER)
    assert {row.status for row in await crm.enrolled(flow)} == {"ACTIVE"}
    await crm.set(people["opts"], unsubscribed=True)
    async with crm.writing() as tx:
        await unsubscribe(tx, people["leaves"])
        await record(tx, [EventInput("email_bounced", people["bounces"], {"kind": "HARD"})], Mode.ATOMIC)
    crm.now += timedelta(hours=1)
    async with mailing() as box:
        await sent(crm, box)
    assert [one["To"] for one in box.mails] == ["stays@example.com"]
    assert await told_of(crm, flow) == {
        people["stays"]: [],
        people["opts"]: ["UNSUBSCRIBED"],
        people["leaves"]: ["UNSUBSCRIBED"],
        people["bounces"]: ["BOUNCED"],
    }


async def test_who_was_merged_or_archived_meanwhile_gets_no_mail_that_the_survivor_does_not_want(
    crm: Flows,
) -> None:
    associated = {"to": "contacts"}
    flow = await crm.make(
        "companies", equals("city", "Boston"), mail(toAssociated=associated, text="To {{ name }}", html=None)
    )
    (firm,) = await crm.create("companies", {"city": "Boston", "name": "Firm"})
    stays, gone, merged = await crm.create(
        "contacts", *({"email": f"{name}@example.com"} for name in ("stays", "gone", "merged"))
    )
    (survivor,) = await crm.create("contacts", {"email": "survivor@example.com", "unsubscribed": True})
    await crm.do(associations.associate, *((firm, one) for one in (stays, gone, merged)))
    await crm.work()
    await crm.archive(gone)
    async with crm.writing() as tx:
        await records.merge(tx, survivor, merged)
    async with mailing() as box:
        await sent(crm, box)
    assert [one["To"] for one in box.mails] == ["stays@example.com"]
    (enrollment,) = await crm.enrolled(flow)
    assert enrollment.status == "COMPLETED"
    (line,) = await crm.history(enrollment.id)
    assert {one["record"]: one.get("notSent") for one in line.changes} == {
        stays: None, gone: "ARCHIVED", merged: "UNSUBSCRIBED",
    }  # fmt: skip


async def told_of(crm: Flows, flow: int) -> dict[int, list[str]]:
    """Who was enrolled, all of them completed: why a mail was not sent."""
    rows = await crm.enrolled(flow)
    assert {row.status for row in rows} == {"COMPLETED"}
    return {
        row.record_id: [
            one["notSent"] for line in await crm.history(row.id) for one in line.changes if "notSent" in one
        ]
        for row in rows
    }
