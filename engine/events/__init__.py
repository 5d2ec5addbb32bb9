"""Events: what occurs to records. Kinds that every account has, kinds of its own, and one door by which all come in."""

from engine.events.mail import mail_refused
from engine.events.recording import EventInput, RecordedEvent, record
from engine.events.whom import ByUnique

__all__ = ["ByUnique", "EventInput", "RecordedEvent", "mail_refused", "record"]
