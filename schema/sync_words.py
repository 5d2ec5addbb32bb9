"""The words of data sync: who wins, which way, why not. Each enumeration with what its values mean."""

from enum import Enum

from engine.sync.categories import Again, Category
from engine.sync.rules import Deletes, Direction, Policy, Side, Test
from schema.documentation import enum

enum(
    Side,
    "SyncSide",
    "One of the two sides of a sync.",
    {"OURS": "This account: its records and properties.", "THEIRS": "The other app: its items and fields."},
)

enum(
    Direction,
    "SyncDirection",
    "Which way changes go.",
    {
        "BOTH": "From either side to the other.",
        "IN": "From the other app to this account alone.",
        "OUT": "From this account to the other app alone.",
    },
)

enum(
    Policy,
    "SyncPolicy",
    "Who wins where both sides have changed a field since they last agreed. An empty value never wins, and nothing "
    "goes against the direction.",
    {
        "OURS": "This account.",
        "THEIRS": "The other app.",
        "MOST_RECENT": "Whoever changed it later.",
        "ASK": "Nobody yet: it is put among the conflicts, and a person chooses.",
    },
)

enum(
    Deletes,
    "SyncDeletes",
    "What becomes of a record or item whose other half was deleted.",
    {
        "KEEP": "It stays, and is shown as RECORD_DELETED.",
        "IN": "What was deleted over there is archived here.",
        "OUT": "What was archived here is deleted over there.",
        "BOTH": "Both of these.",
    },
)

enum(
    Test,
    "RemoteTest",
    "What a condition asks of a field of the other app. Texts compare without regard to case.",
    {
        "IS_KNOWN": "It has a value.",
        "IS_UNKNOWN": "It has none.",
        "IS_ANY_OF": "Its value is one of these.",
        "IS_NONE_OF": "Its value is none of these.",
        "CONTAINS": "Its text contains one of these.",
        "STARTS_WITH": "Its text starts with one of these.",
        "ENDS_WITH": "Its text ends with one of these.",
        "AT_LEAST": "Its number, date or moment is not before this one.",
        "AT_MOST": "Its number, date or moment is not after this one.",
    },
)

enum(
    Again,
    "SyncRetryClass",
    "What a failure means for trying again.",
    {
        "RETRY": "It is tried again by itself, later.",
        "NEEDS_FIX": "Somebody has to change something first; then it is tried by itself, or on demand.",
        "IGNORE": "Nothing is to be done, unless somebody asks for it.",
    },
)

enum(
    Category,
    "SyncCategory",
    "Why a record is not in sync.",
    {
        "AUTHENTICATION_EXPIRED": "The app does not take the credentials any more.",
        "MISSING_PERMISSION": "The connection's user may not do this in the app.",
        "RATE_LIMITED": "The app asked for a pause.",
        "REMOTE_UNAVAILABLE": "The app does not answer.",
        "REQUIRED_FIELD_MISSING": "A field without which the other side takes nothing is empty.",
        "INVALID_VALUE": "The other side does not take the value.",
        "OPTION_NOT_FOUND": "The other side has no such option.",
        "VALUE_TOO_LONG": "The value is longer than the other side takes.",
        "PROPERTY_NOT_FOUND": "A mapped property or field is not there any more.",
        "PROPERTY_READ_ONLY": "The other side does not let the field be changed.",
        "TYPE_MISMATCH": "The value is not of the type that the other side has.",
        "DUPLICATE_RECORD": "The other side has such a record already.",
        "UNIQUE_VALUE_CONFLICT": "Another record has this unique value.",
        "AMBIGUOUS_MATCH": "Several records match, and nobody guesses.",
        "RECORD_NOT_FOUND": "The record is not there, or cannot be seen.",
        "RECORD_DELETED": "It was deleted on one side.",
        "ASSOCIATION_LIMIT_REACHED": "A limit on associations is reached.",
        "WAITING_FOR_ASSOCIATED_RECORD": "The other end of an association is not in sync yet.",
        "VALIDATION_REJECTED": "The other side refused it for a reason of its own.",
        "UNKNOWN": "Something that has no name here; the message says what.",
    },
)


class SyncPhase(Enum):
    """How far a sync is."""

    CONFIGURED = "CONFIGURED"
    INITIAL = "INITIAL"
    LIVE = "LIVE"


enum(
    SyncPhase,
    "SyncPhase",
    "How far a sync is. Whether it runs is another matter: see `enabled`.",
    {
        "CONFIGURED": "Its rules stand; it was never started.",
        "INITIAL": "Everything is read and matched for the first time.",
        "LIVE": "Changes are followed as they come.",
    },
)


class SyncState(Enum):
    """How a record stands with its sync."""

    PENDING = "PENDING"
    IN_SYNC = "IN_SYNC"
    FAILED = "FAILED"
    EXCLUDED = "EXCLUDED"
    CONFLICT = "CONFLICT"


enum(
    SyncState,
    "SyncState",
    "How a record stands with its sync.",
    {
        "PENDING": "Something is still to be done.",
        "IN_SYNC": "Both sides hold the same.",
        "FAILED": "It could not be brought into sync; the category says why.",
        "EXCLUDED": "It is left out by a filter, or has no valid e-mail address.",
        "CONFLICT": "Both sides have changed a field, and a person is asked.",
    },
)


class ConnectionStatus(Enum):
    """Whether a connection works."""

    READY = "READY"
    BROKEN = "BROKEN"


enum(
    ConnectionStatus,
    "ConnectionStatus",
    "Whether a connection works.",
    {
        "READY": "It works, or goes on by itself after a pause.",
        "BROKEN": "It waits for a person: the category and the message say for what.",
    },
)


class AttemptKind(Enum):
    """What was done with a record."""

    LINKED = "LINKED"
    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"
    FAILED = "FAILED"
    EXCLUDED = "EXCLUDED"
    CONFLICT = "CONFLICT"
    RESOLVED = "RESOLVED"


enum(
    AttemptKind,
    "SyncAttemptKind",
    "What was done with a record, or came of it.",
    {
        "LINKED": "A record and an item were found to be the same.",
        "CREATED": "It was created on one side.",
        "UPDATED": "Values were written on one side.",
        "DELETED": "It was deleted, or archived, on one side.",
        "FAILED": "It could not be done; the category says why.",
        "EXCLUDED": "It was left out.",
        "CONFLICT": "Both sides had changed a field.",
        "RESOLVED": "A person has decided a conflict.",
    },
)


class PlanState(Enum):
    """How far a preview is."""

    WANTED = "WANTED"
    MAKING = "MAKING"
    READY = "READY"
    APPLYING = "APPLYING"
    APPLIED = "APPLIED"
    FAILED = "FAILED"


enum(
    PlanState,
    "SyncPlanState",
    "How far a preview is.",
    {
        "WANTED": "It was asked for.",
        "MAKING": "Both sides are being read.",
        "READY": "It is whole, and nothing was written.",
        "APPLYING": "What it says is being done.",
        "APPLIED": "What it says was done, but for what the world had overtaken.",
        "FAILED": "It could not be made; the message says why.",
    },
)


class PlanKind(Enum):
    """What would be done with a record."""

    CREATE_OURS = "CREATE_OURS"
    CREATE_THEIRS = "CREATE_THEIRS"
    UPDATE = "UPDATE"
    MATCH = "MATCH"
    DELETE_OURS = "DELETE_OURS"
    DELETE_THEIRS = "DELETE_THEIRS"
    CONFLICT = "CONFLICT"
    FAIL = "FAIL"
    EXCLUDE = "EXCLUDE"
    NONE = "NONE"


enum(
    PlanKind,
    "SyncPlanKind",
    "What would be done with a record and an item.",
    {
        "CREATE_OURS": "A record would be created here.",
        "CREATE_THEIRS": "An item would be created over there.",
        "UPDATE": "Values or associations would be written on one side or both.",
        "MATCH": "They would be found to be the same; values may be written, too.",
        "DELETE_OURS": "The record would be archived, since its other half was deleted; once the sync is on, and under "
        "its brake.",
        "DELETE_THEIRS": "The item would be deleted, since its other half was archived; once the sync is on, and under "
        "its brake.",
        "CONFLICT": "Both sides have changed a field, and a person would be asked.",
        "FAIL": "It would fail.",
        "EXCLUDE": "It would be left out.",
        "NONE": "They are linked, and hold the same.",
    },
)


class PlanOutcome(Enum):
    """What became of an item of a preview that was applied."""

    APPLIED = "APPLIED"
    OVERTAKEN = "OVERTAKEN"
    FAILED = "FAILED"


enum(
    PlanOutcome,
    "SyncPlanOutcome",
    "What became of an item of a preview that was applied.",
    {
        "APPLIED": "It was done as it was shown.",
        "OVERTAKEN": "One of the sides had changed since, so nothing was done by the preview.",
        "FAILED": "It could not be done.",
    },
)
