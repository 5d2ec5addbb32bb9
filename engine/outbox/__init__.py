"""The outside world: what a mail and a call of a webhook are, how they are told apart, and what follows an attempt.

Pure: `server.outbox` is who speaks to the network, `storage.outbox` where it is written what is to be said.
"""

from engine.outbox.addresses import refused
from engine.outbox.outcomes import Attempt, Delivered, Next, Rejected, Retry, Unclear, Withheld, after
from engine.outbox.requests import Mail, Webhook, check_address, check_url, key, mail, sent_key, webhook
from engine.outbox.signing import sign

__all__ = [
    "Attempt",
    "Delivered",
    "Mail",
    "Next",
    "Rejected",
    "Retry",
    "Unclear",
    "Webhook",
    "Withheld",
    "after",
    "check_address",
    "check_url",
    "key",
    "mail",
    "refused",
    "sent_key",
    "sign",
    "webhook",
]
