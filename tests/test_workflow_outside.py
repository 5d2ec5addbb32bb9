"""Mails and webhooks of workflows, with a real mail server and a real web server; failures, retries and crashes."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import outbox as letters
from engine.problems import Problem, Refused
from engine.workflows import retrying, steps
from engine.workflows.actions import mails, outside
from engine.workflows.advance import Done, Failed, Waits
from storage import enrollments, outbox, outbox_sending
from storage.changes import EventKind
from storage.database import Database
from storage.enrollments import EnrollmentRow, StepRow
from storage.outbox import OutboxRow
from tests.flows import Flows, equals, flows, set_property
from tests.graph import T0
from tests.outside import MailBox, Outside, Receiver, mailing, receiving

SECRET = "correct horse battery staple"
DONE = set_property("jobtitle", "done")


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


async def send(crm: Flows, **options: Any) -> None:
    """What a sender does now."""
    await Outside(crm.db, crm.account, at=crm.tick()).send(**options)


async def retry(crm: Flows, enrollment: int, step: int | None = None) -> EnrollmentRow:
    """Somebody asks for it."""
    async with crm.writing() as tx:
        return await retrying.retry(tx, enrollment, step)


async def only(crm: Flows, flow: int) -> EnrollmentRow:
    """The one enrollment of a workflow."""
    [found] = await crm.enrolled(flow)
    return found


async def last(crm: Flows, flow: int) -> StepRow:
    """The last line of its history."""
    return (await crm.history((await only(crm, flow)).id))[-1]


def mail(**more: Any) -> dict[str, Any]:
    """The action."""
    return {"sendEmail": {"subject": "Hello", "text": "How are you?", **more}}


def call(receiver: Receiver | None = None, path: str = "/200", **more: Any) -> dict[str, Any]:
    """The action."""
    url = "http://127.0.0.1:9/" if receiver is None else receiver.url(path)
    return {"callWebhook": {"url": url, **more}}


# --- what came of it ----------------------------------------------------------------------------------------

ENDS = ("DELIVERED", "FAILED", "UNKNOWN", "CANCELLED")
sent = st.builds(
    lambda n, status: OutboxRow(
        n, str(n), "EMAIL", status, {}, 1, 0, 7, n, 1, None if status in ENDS else T0,
        {"error": {"code": "X", "message": "no"}} if status in ("FAILED", "UNKNOWN") else {},
        T0, T0 if status in ENDS else None,
    ),
    st.integers(1, 99),
    st.sampled_from((*ENDS, "PENDING", "SENDING")),
)  # fmt: skip


@given(
    st.lists(sent, max_size=5, unique_by=lambda row: row.id),
    st.none() | st.just({"kept": [{"notSent": "X"}]}),
)
def test_a_step_is_done_when_all_has_arrived_and_fails_when_something_has_not(
    sent: list[OutboxRow], arrived: dict[str, Any] | None
) -> None:
    kept = [] if arrived is None else arrived["kept"]
    match outside.came(sent, arrived):
        case Waits(None, "OUTSIDE", again):
            assert any(row.status not in ENDS for row in sent)
            assert again == arrived
        case Done(changes):
            assert {row.status for row in sent} <= {"DELIVERED"}
            assert list(changes) == [outside.line(row) for row in sent] + kept
        case Failed(error, changes):
            assert {row.status for row in sent} <= set(ENDS)
            assert {row.status for row in sent} - {"DELIVERED"}
            assert error["code"] in ("X", "SENDING_CANCELLED")
            assert list(changes) == [outside.line(row) for row in sent] + kept
        case other:
            raise AssertionError(other)


# --- mails --------------------------------------------------------------------------------------------------


async def test_associated_contacts_with_a_label_get_a_mail_about_the_enrolled_record(crm: Flows) -> None:
    words = {"name": "decision_maker", "inverse_name": "decides_at"}
    await crm.label("companies", "contacts", "Decision maker", **words)
    action = mail(
        subject="News of {{ name }}",
        text="Dear partner of {{ name }} in {{ city | default('no city') }}",
        html="<p>{{ name }}</p>",
        toAssociated={"to": "contacts", "labels": ["decision_maker"]},
        replyTo="sales@relata.example",
    )
    flow = await crm.make("companies", equals("industry", "software"), action, set_property("city", "Rome"))
    ann, bob, cid, mute, gone = await crm.create(
        "contacts",
        {"email": "ann@example.com"},
        {"email": "bob@example.com"},
        {"email": "cid@example.com"},
        {},
        {"email": "gone@example.com"},
    )
    acme = await crm.one("companies", name="Smith & Sons")
    label = "decision_maker"
    await crm.associate((acme, ann, label), (acme, bob), (acme, mute, label), (acme, gone, label))
    await crm.associate((acme, cid, label))
    await crm.set(cid, unsubscribed=True)
    await crm.archive(gone)
    await crm.set(acme, industry="software")
    await crm.work()
    # It waits for the mail server, which nobody has asked yet; the next action does not begin.
    standing = await only(crm, flow)
    assert (standing.waiting, standing.due_at, standing.steps) == ("OUTSIDE", None, 0)
    assert await crm.value(acme, "city") is None
    async with mailing() as box:
        await send(crm, box=box)
    [written] = box.mails
    assert (written["To"], written["Subject"]) == ("ann@example.com", "News of Smith & Sons")
    assert written["Reply-To"] == "sales@relata.example"
    plain, html = (written.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    assert plain.get_content().strip() == "Dear partner of Smith & Sons in no city"
    assert html.get_content().strip() == "<p>Smith &amp; Sons</p>"
    await crm.work()
    assert await crm.value(acme, "city") == "Rome"
    first, _ = await crm.history((await only(crm, flow)).id)
    delivered = [one for one in first.changes if "outbox" in one]
    refused = {one["record"]: one["notSent"] for one in first.changes if "notSent" in one}
    assert [(one["record"], one["status"]) for one in delivered] == [(ann, "DELIVERED")]
    assert refused == {mute: "NO_ADDRESS", cid: "UNSUBSCRIBED"}


async def test_the_enrolled_contact_gets_a_mail_once(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), mail(subject="Hi\n{{ firstname }}"), DONE)
    ann, mute = await crm.create(
        "contacts", {"city": "Boston", "email": "ann@example.com", "firstname": "Ann"}, {"city": "Boston"}
    )
    async with mailing() as box:
        for _ in range(3):
            await crm.work()
            await send(crm, box=box)
    assert [(one["To"], one["Subject"]) for one in box.mails] == [("ann@example.com", "Hi Ann")]
    await crm.work()
    rows = {row.record_id: row for row in await crm.enrolled(flow)}
    assert {row.status for row in rows.values()} == {"COMPLETED"}
    [line, _] = await crm.history(rows[mute].id)
    assert line.changes == [{"kind": "EMAIL", "record": mute, "notSent": "NO_ADDRESS"}]
    assert await crm.value(ann, "jobtitle") == "done"


async def test_without_any_contact_the_step_says_so(crm: Flows) -> None:
    flow = await crm.make("companies", equals("city", "Boston"), mail(toAssociated={"to": "contacts"}))
    await crm.one("companies", city="Boston")
    await crm.work()
    assert (await last(crm, flow)).changes == [{"kind": "EMAIL", "record": None, "notSent": "NO_CONTACTS"}]


async def test_more_contacts_than_one_step_writes_to_get_nothing_and_the_step_fails(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mails, "RECIPIENTS_LIMIT", 2)
    flow = await crm.make("companies", equals("city", "Boston"), mail(toAssociated={"to": "contacts"}))
    acme = await crm.one("companies")
    people = await crm.create("contacts", *({"email": f"{n}@example.com"} for n in range(3)))
    await crm.associate(*((acme, one) for one in people))
    await crm.set(acme, city="Boston")
    await crm.work()
    assert ((await last(crm, flow)).error or {})["code"] == "TOO_MANY_RECIPIENTS"
    assert await rows(crm) == []


async def rows(crm: Flows) -> list[tuple[str, str]]:
    """All that is in the outbox: (key, status)."""
    found = await crm.read("SELECT o.key, o.status FROM outbox AS o WHERE o.account_id = $1 ORDER BY o.id")
    return [(row[0], row[1]) for row in found]


async def test_a_large_batch_is_put_into_the_outbox_part_by_part(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "ROWS_A_BATCH", 3)
    flow = await crm.make("contacts", equals("city", "Boston"), call())
    await crm.create("contacts", *[{"city": "Boston"}] * 10)
    await crm.evaluate()
    now = crm.tick()
    assert await steps.run_once(crm.db, crm.account, now=now) == 10
    assert len(await rows(crm)) == 3
    await crm.work(now)
    assert len(await rows(crm)) == len({key for key, _ in await rows(crm)}) == 10
    assert {row.waiting for row in await crm.enrolled(flow)} == {"OUTSIDE"}


async def test_what_a_mail_or_a_call_cannot_be_is_refused_at_its_place(crm: Flows) -> None:
    await crm.one("contacts")
    for object_type, action, code, path in (
        ("companies", mail(), "NOBODY_TO_WRITE_TO", ("toAssociated",)),
        ("contacts", mail(toAssociated={"to": "deals"}), "NOT_CONTACTS", ("toAssociated", "to")),
        (
            "contacts",
            mail(toAssociated={"to": "contacts", "labels": ["x"]}),
            "NO_LABEL",
            ("toAssociated", "labels", 0),
        ),
        ("contacts", mail(subject=" "), "SUBJECT_MISSING", ("subject",)),
        ("contacts", mail(text=""), "MAIL_EMPTY", ("text",)),
        ("contacts", mail(text="{{ firstnam }}"), "UNKNOWN_PROPERTY", ("text",)),
        ("contacts", mail(html="{% for x in y %}"), "MALFORMED_TEMPLATE", ("html",)),
        ("contacts", mail(replyTo="nobody"), "MALFORMED_MAIL_ADDRESS", ("replyTo",)),
        ("contacts", {"callWebhook": {"url": "ftp://x"}}, "MALFORMED_URL", ("url",)),
        ("contacts", call(secret=""), "MALFORMED_SECRET", ("secret",)),
        ("contacts", call(properties=["city", "ctiy"]), "NOT_FOUND", ("properties", 1)),
    ):
        with pytest.raises(Refused) as refused:
            await crm.make(object_type, equals("city", "Boston"), action)
        [problem] = refused.value.problems
        assert (problem.code, problem.path[3:]) == (code, path)


# --- webhooks -----------------------------------------------------------------------------------------------


async def test_a_webhook_is_called_signed_with_the_record_and_a_key(crm: Flows) -> None:
    async with receiving() as receiver:
        action = call(receiver, properties=["city", "email"], secret=SECRET)
        flow = await crm.make("contacts", equals("city", "Boston"), action, DONE)
        ann = await crm.one("contacts", city="Boston", email="ann@example.com", firstname="Ann")
        await crm.work()
        await send(crm)
        await crm.work()
        [request] = receiver.requests
    stamp = int(request.headers["relata-timestamp"])
    assert request.headers["relata-signature"] == letters.sign(SECRET, stamp, request.body)
    enrollment = await only(crm, flow)
    assert request.headers["idempotency-key"].startswith(f"{crm.account}-{enrollment.id}-1-0-webhook")
    told = json.loads(request.body)
    assert told["record"]["properties"] == {"city": "Boston", "email": "ann@example.com"}
    assert (told["record"]["objectType"], told["enrollment"]) == ("contacts", f"enr_{enrollment.id}")
    assert told["record"]["id"] == f"rec_{ann}"
    assert enrollment.status == "COMPLETED"
    # Nowhere in what is told of it.
    assert SECRET not in request.body.decode()
    assert SECRET not in str(await crm.history(enrollment.id)) + str(await crm.events(*EventKind))


async def test_a_failed_call_stops_the_enrollment_and_is_retried_with_the_same_key(crm: Flows) -> None:
    async with receiving() as receiver:
        flow = await crm.make("contacts", equals("city", "Boston"), call(receiver), DONE)
        ann = await crm.one("contacts", city="Boston")
        await crm.work()
        # Loopback is private.
        await send(crm, allow_private=False)
        await crm.work()
        failed = await only(crm, flow)
        assert (failed.status, failed.ended_at is None) == ("FAILED", False)
        [line] = await crm.history(failed.id)
        assert (line.outcome, line.changes[0]["status"]) == ("FAILED", "FAILED")
        assert failed.error == line.error
        assert receiver.requests == []
        again = await retry(crm, failed.id)
        assert (again.status, again.waiting, again.error, again.steps) == ("ACTIVE", "OUTSIDE", None, 1)
        await crm.work()
        await send(crm)
        await crm.work()
        assert len(receiver.requests) == 1
        assert receiver.keys("/200")[0].startswith(f"{crm.account}-{failed.id}-1-0-webhook")
    assert [(one.n, one.outcome) for one in await crm.history(failed.id)] == [
        (0, "FAILED"),
        (1, "DONE"),
        (2, "DONE"),
    ]
    assert await crm.value(ann, "jobtitle") == "done"
    assert len(await crm.events(EventKind.STEP_RETRIED)) == 1
    with pytest.raises(Problem) as told:
        await retry(crm, failed.id)
    assert told.value.code == "ENROLLMENT_NOT_FAILED"


async def test_of_several_mails_only_those_that_did_not_arrive_are_sent_again(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = await crm.make("companies", equals("city", "Boston"), mail(toAssociated={"to": "contacts"}))
    acme = await crm.one("companies")
    people = await crm.create("contacts", {"email": "ann@example.com"}, {"email": "reject@example.com"})
    await crm.associate(*((acme, one) for one in people))
    await crm.set(acme, city="Boston")
    await crm.work()
    async with mailing() as box:
        await send(crm, box=box)
        await crm.work()
        line = await last(crm, flow)
        assert (line.outcome, (line.error or {})["message"]) == (
            "FAILED",
            "Of 2 sent, 1 did not arrive: The mail server answered: 550 No such mailbox",
        )
        await retry(crm, (await only(crm, flow)).id)
        await send(crm, box=box)
    assert [one["To"] for one in box.mails] == ["ann@example.com"]
    await crm.work()
    assert (await only(crm, flow)).status == "FAILED"
    # Somebody mends the mailbox.
    monkeypatch.setattr(MailBox, "handle_RCPT", takes)
    async with mailing() as box:
        await retry(crm, (await only(crm, flow)).id)
        await send(crm, box=box)
        await crm.work()
        assert [one["To"] for one in box.mails] == ["reject@example.com"]
    assert (await only(crm, flow)).status == "COMPLETED"


async def takes(_box: Any, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
    """A mail server that rejects nobody."""
    envelope.rcpt_tos.append(address)
    return "250 OK"


async def test_a_failure_that_is_passed_over_goes_on_and_what_was_not_sent_can_be_sent_later(
    crm: Flows,
) -> None:
    async with receiving() as receiver:
        action = call(receiver)
        action["callWebhook"]["onError"] = "CONTINUE"
        flow = await crm.make("contacts", equals("city", "Boston"), action, DONE)
        await crm.one("contacts", city="Boston")
        await crm.work()
        await send(crm, allow_private=False)
        await crm.work()
        done = await only(crm, flow)
        assert (done.status, done.steps) == ("COMPLETED", 2)
        await retry(crm, done.id, step=0)
        await send(crm)
        await crm.work()
        assert len(receiver.requests) == 1
        assert (await only(crm, flow)).steps == 2
        for step, code in ((0, "STEP_PASSED_OVER"), (1, "STEP_NOT_FAILED"), (9, "STEP_NOT_FAILED")):
            with pytest.raises(Problem) as told:
                await retry(crm, done.id, step=step)
            assert told.value.code == code


async def test_all_failures_of_an_action_are_retried_by_one_call(crm: Flows) -> None:
    async with receiving() as receiver:
        flow = await crm.make("contacts", equals("city", "Boston"), call(receiver))
        people = await crm.create("contacts", *[{"city": "Boston"}] * 5)
        await crm.work()
        await send(crm, allow_private=False)
        await crm.work()
        await crm.archive(people[1])
        await crm.work()
        rows_ = {row.record_id: row for row in await crm.enrolled(flow)}
        assert {row.status for row in rows_.values()} == {"FAILED"}
        with pytest.raises(Problem) as gone:
            await retry(crm, rows_[people[1]].id)
        assert gone.value.code == "RETRY_RECORD_GONE"
        async with crm.writing() as tx:
            assert (await retrying.retry_failed(tx, flow, "a9")).count == 0
            assert await retrying.retry_failed(tx, flow, "a1") == retrying.Retried(4, None)
            assert (await retrying.retry_failed(tx, flow, "a1")).count == 0
        await crm.archive(people[0])
        await crm.work()
        await send(crm)
        await crm.work()
        # Who is archived before it is sent leaves, and what was to be sent is called back.
        assert len(set(receiver.keys("/200"))) == len(receiver.requests) == 3
    statuses = {row.record_id: row.status for row in await crm.enrolled(flow)}
    assert [statuses[one] for one in people] == ["UNENROLLED", "FAILED", *["COMPLETED"] * 3]
    assert sorted(status for _, status in await rows(crm)) == ["CANCELLED", *["DELIVERED"] * 3, "FAILED"]


async def test_an_action_on_own_data_that_failed_begins_again(crm: Flows) -> None:
    words = {"name": "customer", "inverse_name": "supplier", "max_count": 1}
    label = await crm.label("contacts", "companies", "Customer of", **words)
    assert label is not None
    apply = {"applyLabel": {"to": "companies", "label": "customer"}}
    flow = await crm.make("contacts", equals("city", "Boston"), apply, DONE)
    ann, (one, other) = await crm.one("contacts"), await crm.create("companies", {}, {})
    await crm.associate((ann, one), (ann, other))
    await crm.set(ann, city="Boston")
    await crm.work()
    assert (await only(crm, flow)).status == "FAILED"
    await crm.limit("contacts", "companies", "customer", max_count=5)
    await retry(crm, (await only(crm, flow)).id)
    await crm.work()
    assert await crm.value(ann, "jobtitle") == "done"
    assert "customer" in (await crm.labels_of(ann, one) or ())
    assert "customer" in (await crm.labels_of(ann, other) or ())


async def test_what_was_taken_for_a_loop_is_not_begun_again(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), DONE, DONE, DONE, guards={"steps": 2})
    await crm.one("contacts", city="Boston")
    await crm.work()
    with pytest.raises(Problem) as told:
        await retry(crm, (await only(crm, flow)).id)
    assert told.value.code == "RETRY_LOOP"


async def test_what_was_sent_is_told_also_while_the_workflow_is_off(crm: Flows) -> None:
    async with receiving() as receiver:
        flow = await crm.make("contacts", equals("city", "Boston"), call(receiver), call(receiver))
        await crm.one("contacts", city="Boston")
        await crm.work()
        await crm.switch(flow, False)
        await send(crm)
        await crm.work()
        assert len(receiver.requests) == 1
    history = await crm.history((await only(crm, flow)).id)
    assert [(one.action, one.outcome) for one in history] == [("a1", "DONE"), ("a2", "SKIPPED")]


# --- crashes ------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process dies: nobody catches it."""


@pytest.mark.parametrize("place", ["before the put", "after the put", "before the move", "at the commit"])
async def test_a_step_that_dies_has_asked_for_nothing_and_is_done_once(
    crm: Flows, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    async with receiving() as receiver:
        flow = await crm.make("contacts", equals("city", "Boston"), call(receiver), DONE)
        await crm.create("contacts", *[{"city": "Boston"}] * 3)
        await crm.evaluate()
        put, move = outbox.put, enrollments.move

        async def dying(*arguments: Any) -> Any:
            if place == "after the put":
                await put(*arguments)
            if place == "at the commit":
                await move(*arguments)
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(*((outbox, "put", dying) if "put" in place else (enrollments, "move", dying)))
            with pytest.raises(Killed):
                await steps.run_due(crm.db, now=crm.tick())
        assert await rows(crm) == []
        assert {(row.steps, row.waiting) for row in await crm.enrolled(flow)} == {(0, None)}
        for _ in range(2):
            await crm.work()
            await send(crm)
        await crm.work()
        assert len(set(receiver.keys("/200"))) == len(receiver.requests) == 3
    assert {row.status for row in await crm.enrolled(flow)} == {"COMPLETED"}


async def test_a_sender_that_dies_after_the_call_calls_again_with_the_same_key(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        flow = await crm.make("contacts", equals("city", "Boston"), call(receiver), DONE)
        await crm.one("contacts", city="Boston")
        await crm.work()
        sender = Outside(crm.db, crm.account, at=crm.tick())

        async def dying(*_: Any) -> Any:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(outbox_sending, "finish", dying)
            with pytest.raises(BaseException):  # noqa: B017 (however it comes out of the block)
                await sender.send()
        assert len(receiver.requests) == 1
        # Until its lease has ended, nobody else has it; the enrollment waits.
        await crm.work()
        assert (await only(crm, flow)).waiting == "OUTSIDE"
        sender.later(hours=1)
        await sender.send()
        await crm.work(sender.at)
        first, second = receiver.keys("/200")
        assert first == second
    history = await crm.history((await only(crm, flow)).id)
    assert [(one.action, one.outcome) for one in history] == [("a1", "DONE"), ("a2", "DONE")]


async def test_a_step_that_dies_when_it_is_told_of_the_outcome_is_told_again(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        flow = await crm.make("contacts", equals("city", "Boston"), call(receiver), DONE)
        await crm.one("contacts", city="Boston")
        await crm.work()
        await send(crm)
        move = enrollments.move

        async def dying(*arguments: Any) -> Any:
            await move(*arguments)
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(enrollments, "move", dying)
            with pytest.raises(Killed):
                await steps.run_due(crm.db, now=crm.tick())
        assert (await only(crm, flow)).steps == 0
        await crm.work()
        await send(crm)
        assert len(receiver.requests) == 1
    assert (await only(crm, flow)).status == "COMPLETED"


async def test_a_record_that_breaks_its_batch_does_not_hold_up_the_others(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        flow = await crm.make("contacts", equals("city", "Boston"), call(receiver), DONE)
        people = await crm.create("contacts", *[{"city": "Boston"}] * 9)
        await crm.evaluate()
        put = outbox.put

        async def choosy(tx: Any, given: Any) -> Any:
            if any(one.record_id == people[4] for one in given):
                raise ValueError("poison")
            return await put(tx, given)

        with monkeypatch.context() as patch:
            patch.setattr(outbox, "put", choosy)
            for _ in range(3):
                await steps.run_due(crm.db, now=crm.tick())
        standing = {row.record_id: row for row in await crm.enrolled(flow)}
        poison = standing.pop(people[4])
        assert {row.waiting for row in standing.values()} == {"OUTSIDE"}
        assert (poison.waiting, poison.attempts, (poison.error or {})["message"]) == (
            None,
            2,
            "ValueError: poison",
        )
        # It comes back later, and goes its way.
        crm.now += timedelta(minutes=1)
        await crm.work()
        await send(crm)
        await crm.work()
        assert len(set(receiver.keys("/200"))) == len(receiver.requests) == 9
    assert {row.status for row in await crm.enrolled(flow)} == {"COMPLETED"}


async def test_many_steppers_share_the_work_and_nothing_is_done_twice(crm: Flows) -> None:
    branch = {"branch": {"branches": [{"where": equals("firstname", "x"), "actions": [DONE]}]}}
    delay = {"delay": {"duration": {"value": 1, "unit": "MINUTE"}}}
    async with receiving() as receiver:
        flow = await crm.make("contacts", equals("city", "Boston"), branch, call(receiver), delay, DONE)
        people = await crm.create(
            "contacts", *({"city": "Boston", **({"firstname": "x"} if n % 2 else {})} for n in range(60))
        )
        await crm.evaluate()
        for minutes in (0, 1):
            now = T0 + timedelta(hours=1, minutes=minutes)
            await asyncio.gather(*(steps.run_due(crm.db, now=now) for _ in range(4)))
            crm.now = now
            await send(crm)
            await asyncio.gather(*(steps.run_due(crm.db, now=crm.now) for _ in range(4)))
        await crm.work(now + timedelta(minutes=5))
        assert len(set(receiver.keys("/200"))) == len(receiver.requests) == 60
    for row in await crm.enrolled(flow):
        assert row.status == "COMPLETED"
        history = await crm.history(row.id)
        expected = (
            ["a1", "a2", "a3", "a4", "a5"] if people.index(row.record_id) % 2 else ["a1", "a3", "a4", "a5"]
        )
        assert [one.action for one in history] == expected
        assert [one.n for one in history] == list(range(len(expected)))
