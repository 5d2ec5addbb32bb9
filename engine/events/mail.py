"""Who must get no mail: what their records and their events say."""

from collections.abc import Sequence

from storage import record_events
from storage.database import Queryable


async def mail_refused(reader: Queryable, record_ids: Sequence[int]) -> dict[int, str]:
    """{record: reason} of those that must get no mail; the others are not in it. One statement.

    UNSUBSCRIBED: the property `unsubscribed` is true, or the newest `email_subscription_changed` says so. BOUNCED: a
    mail to it bounced for good. ARCHIVED: nobody sees it any more. Of one that was merged away, the survivor decides.
    """
    return await record_events.mail_refused(reader, record_ids) if record_ids else {}
