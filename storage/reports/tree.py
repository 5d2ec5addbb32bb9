"""A report as a value: what is counted, by what, over which associations, bound to one account's definitions."""

import enum
from dataclasses import dataclass

from storage.filters.tree import Comparison, Filter, Property


class Bucket(enum.StrEnum):
    """What of a date or moment tells groups apart; moments by the clocks of the report's time zone."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"


class Function(enum.StrEnum):
    """What a measure makes of a group."""

    # The number of distinct records of the measure's source.
    COUNT = "COUNT"
    # The number of distinct values of a property.
    DISTINCT = "DISTINCT"
    SUM = "SUM"
    AVERAGE = "AVERAGE"
    MINIMUM = "MINIMUM"
    MAXIMUM = "MAXIMUM"


@dataclass(frozen=True, slots=True)
class Join:
    """Records associated with those of an earlier source, which is kept where there are none, unless `required`.

    `label_ids`: those that join, with `unlabelled` also pairs that have no label at all; None: all that are associated.
    `every_label_id`: all labels from that source's object type to this one.
    """

    from_source: int
    object_type_id: int
    unlabelled_id: int
    every_label_id: tuple[int, ...]
    label_ids: tuple[int, ...] | None = None
    unlabelled: bool = False
    required: bool = False
    where: Filter | None = None


@dataclass(frozen=True, slots=True)
class Top:
    """Only the first `n` values of an axis by a measure; the rest together as one more, or left out."""

    n: int
    measure: int
    others: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """What groups are told apart by: a property of a source, or (None) the label by which the source was joined."""

    source: int
    property: Property | None
    bucket: Bucket | None = None
    # Numbers in steps of so much.
    step: float | None = None
    top: Top | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """A number for each group. Each record of the source counts once in a group, however often it was joined."""

    function: Function
    source: int
    property: Property | None = None


@dataclass(frozen=True, slots=True)
class Having:
    """Only groups of which a measure compares so with a number."""

    measure: int
    comparison: Comparison
    value: float


@dataclass(frozen=True, slots=True)
class Order:
    """The order of the first axis: by what a measure comes to, or (None) by its own values."""

    measure: int | None = None
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Source 0 are records of `object_type_id`; source n + 1 is joined by `joins[n]`. At most three axes."""

    object_type_id: int
    where: Filter | None
    joins: tuple[Join, ...]
    axes: tuple[Axis, ...]
    measures: tuple[Measure, ...]
    having: tuple[Having, ...] = ()
    order: Order = Order()
    # The name of the time zone whose days moments are bucketed by.
    time_zone: str = "UTC"
