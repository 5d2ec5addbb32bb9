"""What can be wrong with a webhook, and with what is posted to it."""

from engine.problems import Problem


class TooManyWebhooks(Problem):
    """This account has all the webhook events that it may have ({limit}); archive one, or raise that limit."""


class WebhookArchived(Problem):
    """The webhook event "{name}" is archived."""


class MalformedPayloadPath(Problem):
    """The path {path_text} leads nowhere: write names and indexes such as "order.items[0].sku"."""


class MatchIncomplete(Problem):
    """A match needs both: the path of the payload and the unique property of {object_type} that it is to equal."""


class SigningSecretTooWeak(Problem):
    """A signing secret has {least} to {most} printable characters."""


class WebhookUnknown(Problem):
    """There is nothing here."""


class SignatureMissing(Problem):
    """This webhook takes signed deliveries only: send Relata-Timestamp and Relata-Signature."""


class SignatureInvalid(Problem):
    """The signature does not fit the timestamp and the body."""


class SignatureExpired(Problem):
    """The timestamp is more than {seconds} seconds away from our clock; send it anew, signed anew."""


class PayloadMalformed(Problem):
    """The body must be JSON in UTF-8, at most {depth} levels deep."""


class MatchUndefined(Problem):
    """This webhook does not know yet which record a delivery is about: give it a match."""


class MatchValueMissing(Problem):
    """The payload has no value at {path_text}, which names the record."""


class RecordUnmatched(Problem):
    """No record of {object_type} has the {property} {value}."""
