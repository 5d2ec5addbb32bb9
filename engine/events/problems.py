"""What can be wrong with event types and with what is to be recorded."""

from engine.problems import NotFound, Problem


class UnknownEventType(NotFound):
    """There is no event type "{name}" in this account, or it is archived."""


class BuiltInEventType(Problem):
    """The event type "{name}" is there in every account and cannot be changed."""


class EventTypeOfWebhook(Problem):
    """The event type "{name}" belongs to a webhook: it alone records and changes it."""


class TooManyEventTypes(Problem):
    """An account has at most {limit} event types of its own."""


class TooManyEventProperties(Problem):
    """An event type has at most {limit} properties."""


class EventPropertyRepeated(Problem):
    """The property "{property}" is named twice."""


class EventPropertyFixed(Problem):
    """The property "{property}" is {type} and stays so: what was recorded would not fit another type."""


class UnknownEventProperty(Problem):
    """The event type "{event_type}" has no property "{property}"; it has: {known}."""


class EventOfAnotherType(Problem):
    """The event type "{event_type}" is about {of}; it cannot occur to a record of {object_type}."""


class EventInFuture(Problem):
    """What occurs at {moment} has not occurred yet."""


class EventRecordMissing(Problem):
    """An event names its record by its id or by a unique property: one of them, not both."""


class EventKeyReused(Problem):
    """The idempotency key "{key}" has recorded another event of this type; take a new one for each event."""


class NoSuchRecord(Problem):
    """There is no record of {object_type} whose "{property}" is {value}."""
