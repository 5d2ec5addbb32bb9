"""What triggers and actions are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

# A filter's definition, as `engine.filters` takes it.
Where: TypeAlias = Mapping[str, Any]


class OnError(StrEnum):
    """What becomes of an enrollment whose action fails."""

    STOP = "STOP"
    CONTINUE = "CONTINUE"


class Span(StrEnum):
    """Units of a duration."""

    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    YEAR = "YEAR"


class Weekday(StrEnum):
    """Days of the week, Monday first."""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


class Direction(StrEnum):
    """Whether something came or went."""

    ADDED = "ADDED"
    REMOVED = "REMOVED"


class Membership(StrEnum):
    """Whether a record came to a segment or left it."""

    JOINED = "JOINED"
    LEFT = "LEFT"


class Pick(StrEnum):
    """Which one of several associated records is meant; the lowest id breaks ties."""

    MOST_RECENTLY_UPDATED = "MOST_RECENTLY_UPDATED"
    LEAST_RECENTLY_UPDATED = "LEAST_RECENTLY_UPDATED"
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"
    MOST_RECENTLY_ASSOCIATED = "MOST_RECENTLY_ASSOCIATED"
    FIRST_ASSOCIATED = "FIRST_ASSOCIATED"


class Matching(StrEnum):
    """When two values count as equal."""

    EXACT = "EXACT"
    CASE_INSENSITIVE = "CASE_INSENSITIVE"
    # Neither case nor surrounding blanks matter.
    TRIMMED = "TRIMMED"
    # What stands behind the @ of an address, or a domain or a URL's host.
    EMAIL_DOMAIN = "EMAIL_DOMAIN"


@dataclass(frozen=True, slots=True)
class Duration:
    """So many units; negative: before."""

    value: int
    unit: Span


@dataclass(frozen=True, slots=True)
class Associated:
    """Associated records of one type: under any of `labels` (None: any association, (): without a label)."""

    to: str
    labels: tuple[str, ...] | None = None
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class OneAssociated:
    """One of the associated records of a type."""

    to: str
    labels: tuple[str, ...] | None = None
    where: Where | None = None
    pick: Pick = Pick.MOST_RECENTLY_UPDATED


@dataclass(frozen=True, slots=True)
class Equality:
    """The enrolled record's `own` property equals (or does not equal) the other record's `other` property."""

    own: str
    other: str
    matching: Matching = Matching.EXACT
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a property of a record is to be: exactly one of a value, a template, an own property's value, the time."""

    property: str
    value: Any = None
    template: str | None = None
    copy_of: str | None = None
    step_time: bool = False
