"""The link by which whoever gets a mail wants no more of them: made when the mail is sent, and kept nowhere."""

from dataclasses import dataclass, replace
from html import escape

from engine.outbox.requests import Mail
from engine.signing import Signer

PATH = "/unsubscribe"
PURPOSE = "unsubscribe"
# Stands in a mail's words until it is sent.
PLACE = "https://unsubscribe.invalid/"


@dataclass(frozen=True, slots=True)
class Leaving:
    """Who wants no more mails, and by which of them (its row of the outbox) he says so."""

    account_id: int
    record_id: int
    outbox_id: int


def names(mail: Mail) -> bool:
    """Whether the mail's words name the link."""
    return PLACE in mail.text or (mail.html is not None and PLACE in mail.html)


def linked(mail: Mail, url: str) -> Mail:
    """The mail with this link, in its words and beside them."""
    html = None if mail.html is None else mail.html.replace(PLACE, escape(url))
    return replace(mail, text=mail.text.replace(PLACE, url), html=html, unsubscribe_url=url)


def link(signer: Signer, public_url: str, leaving: Leaving) -> str:
    """The link in one mail to one contact: the same at every attempt, good for ever. Raises `SigningKeyMissing`."""
    words = [leaving.account_id, leaving.record_id, leaving.outbox_id]
    return f"{public_url}{PATH}/{signer.signed(PURPOSE, words)}"


def read(signer: Signer, token: str) -> Leaving | None:
    """Who leaves by the link that ends so; None: it is none of ours."""
    words = signer.read(PURPOSE, token)
    return None if words is None else Leaving(*words)
