"""Events: what occurs to records. Kinds that every account has, kinds of its own, and one door by which all come in."""

from engine.events.mail import mail_refused
from engine.events.recording import ByUnique, EventInput, RecordedEvent, record

__all__ = ["ByUnique", "EventInput", "RecordedEvent", "mail_refused", "record"]
