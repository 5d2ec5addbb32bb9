"""Sending mails to the enrolled contact, or to contacts associated with the enrolled record."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from engine import outbox, templates
from engine.events.mail import mail_refused
from engine.outbox import Mail, unsubscribing
from engine.problems import Problem, Refused, at
from engine.templates import Reference, Template, Values
from engine.workflows.actions import outside, targets
from engine.workflows.actions.handler import Batch, Handler
from engine.workflows.actions.outside import Letter, Sending, not_sent
from engine.workflows.advance import Result
from engine.workflows.definition.actions import SendEmail
from storage import neighbours, records
from storage.catalogue import Catalogue, ObjectTypeRow
from storage.enrollments import EnrollmentRow
from storage.records import RecordRow

CONTACTS, ADDRESS = "contacts", "email"
# To so many associated contacts one step writes.
RECIPIENTS_LIMIT = 500
# So many are looked at: archived ones, and those that do not meet the filter, are among them.
LOOKED_LIMIT = 2_000
LONGEST_SUBJECT = 500
# What the words of a mail can name besides values, unless the record has a property that is called so.
UNSUBSCRIBE = Reference("unsubscribe_url")
LEAVING = frozenset({UNSUBSCRIBE})
# Enrollments whose contacts are looked up together.
CHUNK = 20


class NobodyToWriteTo(Problem):
    """A mail goes to a contact, and this is about {object_type}: name associated contacts under `toAssociated`."""


class NotContacts(Problem):
    """A mail goes to contacts, not to {object_type}."""


class SubjectMissing(Problem):
    """A mail needs a subject."""


class MailEmpty(Problem):
    """A mail needs a text."""


class TooManyRecipients(Problem):
    """More than {limit} contacts would get this mail, or {looked} be looked through. Enroll the contacts instead."""


@dataclass(frozen=True, slots=True)
class BoundMail:
    """A mail with its templates read, and to whom it goes (None: to the enrolled contact)."""

    action: SendEmail
    subject: Template
    text: Template
    html: Template | None
    to: targets.BoundAssociated | None
    # Whether `unsubscribe_url` is the link by which the receiver leaves, and no property.
    leaving: bool

    @property
    def references(self) -> set[templates.Reference]:
        """What the templates need."""
        parts = [self.subject, self.text, *([] if self.html is None else [self.html])]
        return {reference for part in parts for reference in part.references}


def _bind(action: SendEmail, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundMail:
    to = None
    if action.to_associated is not None:
        with at("toAssociated"):
            to = targets.bind(action.to_associated, object_type, catalogue)
            if to.to.name != CONTACTS:
                raise NotContacts(object_type=to.to.name, path=("to",))
    elif object_type.name != CONTACTS:
        raise NobodyToWriteTo(object_type=object_type.name, path=("toAssociated",))
    if action.reply_to is not None:
        with at("replyTo"):
            outbox.check_address(action.reply_to)
    if not action.subject.strip():
        raise SubjectMissing(path=("subject",))
    if not action.text.strip():
        raise MailEmpty(path=("text",))
    return BoundMail(
        action,
        _template(action.subject, "subject", object_type, catalogue),
        _template(action.text, "text", object_type, catalogue, beside=LEAVING),
        None
        if action.html is None
        else _template(action.html, "html", object_type, catalogue, html=True, beside=LEAVING),
        to,
        object_type.live(UNSUBSCRIBE.property) is None,
    )


def _template(
    given: str,
    name: str,
    object_type: ObjectTypeRow,
    catalogue: Catalogue,
    *,
    html: bool = False,
    beside: Set[Reference] = frozenset(),
) -> Template:
    """A template about the record; of what it names, `beside` need not be there."""
    with at(name):
        template = templates.parse(given, html=html)
        missing = templates.check(template.references.keys() - beside, object_type, catalogue)
        if missing:
            raise Refused(missing)
    return template


async def _send(batch: Batch, bound: BoundMail) -> list[Result]:
    async def write(sending: Sending, coming: Sequence[EnrollmentRow], rows: Mapping[int, RecordRow]) -> None:
        for start in range(0, len(coming), CHUNK):
            if sending.full():
                return
            await _write(sending, bound, coming[start : start + CHUNK], rows)

    return await outside.carried_out(batch, write)


async def _write(
    sending: Sending, bound: BoundMail, coming: Sequence[EnrollmentRow], rows: Mapping[int, RecordRow]
) -> None:
    """The mails of some enrollments."""
    tx = sending.batch.tx
    meant, contacts = await _recipients(sending.batch, bound, coming, rows)
    refused = await mail_refused(tx, sorted({one for several in meant for one in several if one in contacts}))
    values = await templates.values_for(tx, bound.references, [one.record_id for one in coming])
    for one, to in zip(coming, meant, strict=True):
        if len(to) > RECIPIENTS_LIMIT:
            sending.refuse(one, TooManyRecipients(limit=RECIPIENTS_LIMIT, looked=LOOKED_LIMIT))
            continue
        letter = Letter()
        try:
            content = _content(bound, values[one.record_id])
        except Problem as problem:
            sending.refuse(one, problem)
            continue
        for record_id in to:
            address = contacts[record_id].properties.get(ADDRESS)
            if record_id in refused or not isinstance(address, str):
                letter.kept.append(not_sent(record_id, refused.get(record_id, "NO_ADDRESS")))
                continue
            try:
                place = outside.place_of(one, record_id)
                key = outside.key_of(sending.batch, one, record_id)
                letter.rows.append(outbox.mail(key, Mail(to=address, **content), **place))
            except Problem as problem:
                letter.kept.append(not_sent(record_id, problem.code))
        if not to:
            letter.kept.append(not_sent(None, "NO_CONTACTS"))
        sending.add(one, letter)


async def _recipients(
    batch: Batch, bound: BoundMail, coming: Sequence[EnrollmentRow], rows: Mapping[int, RecordRow]
) -> tuple[list[list[int]], Mapping[int, RecordRow]]:
    """Whom each enrollment writes to, one more than may be where there are too many; and all these contacts."""
    if bound.to is None:
        return [[one.record_id] for one in coming], {one.record_id: rows[one.record_id] for one in coming}
    starts = [(one.record_id, 0) for one in coming]
    pages = await neighbours.pages(batch.tx, starts, bound.to.reach, LOOKED_LIMIT)
    around = {other for page in pages for other in page}
    found = await records.rows(batch.tx, sorted(around))
    living = {row.id: row for row in found if row is not None and row.archived_at is None}
    met = await targets.meeting(batch.tx, bound.to.where, set(living), bound.to.to.id)
    # Where there are too many to be looked at, nobody knows how many are meant.
    meant = [page if len(page) == LOOKED_LIMIT else [one for one in page if one in met] for page in pages]
    return meant, living


def _content(bound: BoundMail, values: Values) -> dict[str, Any]:
    """The words of the mail, which are the same for all who get it. Raises what rendering raises."""
    if bound.leaving:
        # Each who gets the mail has a link of his own: it is put in when the mail is sent.
        values = {**values, UNSUBSCRIBE: unsubscribing.PLACE}
    # A subject is one line.
    subject = " ".join(bound.subject.render(values).split())[:LONGEST_SUBJECT] or "(no subject)"
    return {
        "subject": subject,
        "text": bound.text.render(values),
        "html": None if bound.html is None else bound.html.render(values),
        "reply_to": bound.action.reply_to,
    }


SEND = Handler(_bind, _send)
