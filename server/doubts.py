"""What an operator has set that each for itself is fine, and together does not do what he will expect of it."""

import ipaddress

from server.settings import Settings


def doubts(settings: Settings, *, listens: bool) -> list[str]:
    """A sentence for each, with what to do; `listens`: the process serves the API."""
    said = []
    if settings.direct_url is not None and settings.database_url is None:
        said.append(
            "RELATA_DIRECT_URL says nothing where DATABASE_URL is not set: the built-in PostgreSQL is used."
        )
    mails = (settings.smtp_url is not None, settings.mail_from is not None)
    if any(mails) and not all(mails):
        missing = "RELATA_MAIL_FROM" if mails[0] else "RELATA_SMTP_URL"
        said.append(f"No mails are sent: {missing} is not set.")
    if settings.public_url is None and all(mails):
        said.append(
            "Mails carry no link by which to unsubscribe, and those that name it fail: RELATA_PUBLIC_URL is not set."
        )
    if settings.public_url is None and listens and not _loopback(settings.host):
        said.append(
            f"Addresses of webhooks, exports and imports begin with {settings.host}, which may mean nothing to others:"
            " set RELATA_PUBLIC_URL."
        )
    return said


def _loopback(host: str) -> bool:
    """Whether only this machine reaches it: then its own address is as good as any."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
