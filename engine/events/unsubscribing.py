"""Leaving by a link in a mail: whoever opens it wants no more. A change like any other, with the mail as its source."""

from engine import records
from engine.batches import Mode
from engine.events.mail import mail_refused
from engine.events.recording import EventInput, record
from storage import records as stored
from storage.database import Transaction

EVENT, PROPERTY = "email_subscription_changed", "unsubscribed"
UNSUBSCRIBED = "UNSUBSCRIBED"
# What writes; its id is the outbox's row of the mail in which the link stood.
SOURCE = "MAIL"


async def unsubscribe(tx: Transaction, record_id: int) -> bool:
    """The contact gets no more mails; whether it has got any until now. Merged ones lead to their survivors.

    Told as an event, whose time counts, and in the property that people look at. Who is archived is remembered all
    the same: somebody may bring the record back.
    """
    row = (await stored.lock_survivors(tx, [record_id])).get(record_id)
    if row is None or (await mail_refused(tx, [row.id])).get(row.id) == UNSUBSCRIBED:
        return False
    told = EventInput(EVENT, row.id, {"status": UNSUBSCRIBED, "reason": "A link in a mail"})
    await record(tx, [told], Mode.ATOMIC, archived=True)
    of = tx.catalogue.object_types[row.object_type_id]
    prop = of.live(PROPERTY)
    if row.archived_at is None and prop is not None and prop.type == "BOOLEAN":
        # Somebody may have made the property one that only people write; the event stands in any case.
        await records.update(tx, [(row.id, {PROPERTY: True})], Mode.PER_ITEM)
    return True
