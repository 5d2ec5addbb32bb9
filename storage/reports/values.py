"""What a report reads of a record: the values of axes, and those that measures are made of."""

from datetime import tzinfo
from decimal import Decimal

from storage.filters.times import offsets
from storage.filters.tree import Property
from storage.filters.values import Add, as_time, of_record
from storage.reports.tree import Axis, Bucket, Function, Measure

_BUCKETS = {
    Bucket.DAY: "YYYY-MM-DD",
    Bucket.WEEK: 'IYYY-"W"IW',
    Bucket.MONTH: "YYYY-MM",
    Bucket.QUARTER: 'YYYY-"Q"Q',
    Bucket.YEAR: "YYYY",
}
# How much of a day's text is its bucket.
_LENGTHS = {Bucket.DAY: 10, Bucket.MONTH: 7, Bucket.YEAR: 4}
# What a double-precision number holds.
_LEAST, _MOST = "1e-300", "1.797693134862315e308"


def of_axis(axis: Axis, prop: Property, record: str, zone: tzinfo, add: Add) -> str:
    """The value of an axis at a record; of a multiple choice all of them, as jsonb."""
    if axis.bucket is not None:
        return _bucket(prop, axis.bucket, record, zone, add)
    value = of_record(prop, record, add)
    if axis.step is not None:
        # As it is written: the driver would take the binary fraction that stands for it.
        step = add(Decimal(repr(axis.step)), "numeric")
        # Exact, and towards less, as no division of numbers with a point in them would be.
        return f"({value} - mod(mod({value}, {step}) + {step}, {step}))"
    return value


def of_measure(measure: Measure, prop: Property, record: str, add: Add) -> str:
    """What a measure is made of, at a record."""
    value = of_record(prop, record, add)
    return value if measure.function is not Function.DISTINCT or prop.type == "NUMBER" else f"({value})::text"


def number(value: str) -> str:
    """A number in double precision: none where it is too large, which a sum of what was stored may be."""
    return (
        f"CASE WHEN abs({value}) BETWEEN {_LEAST} AND {_MOST} THEN ({value})::float8"
        f" WHEN abs({value}) < {_LEAST} THEN 0 END"
    )


def _bucket(prop: Property, bucket: Bucket, record: str, zone: tzinfo, add: Add) -> str:
    starts, seconds = offsets(zone)
    moved = prop.type == "DATETIME" and any(seconds)
    if prop.column is not None:
        time = f"({record}.{prop.column} AT TIME ZONE 'UTC')"
    else:
        value = of_record(prop, record, add)
        if bucket in _LENGTHS and not moved:
            # The text is its own bucket.
            return f'(left({value}, {_LENGTHS[bucket]}) COLLATE "C")'
        time = as_time(prop, value)
    if moved:
        # By our own table of clocks, as filters: the database may know other ones.
        first, ahead = add(list(starts), "timestamp[]"), add(list(seconds), "int[]")
        shown = f"{time} + make_interval(secs => ({ahead})[width_bucket({time}, {first})])"
        # Beyond the calendar there are no days; both of these pass over NULL, which is no time.
        held = f"least(greatest({shown}, '0001-01-01'::timestamp), '9999-12-31'::timestamp)"
        time = f"(CASE WHEN {time} IS NOT NULL THEN {held} END)"
    return f"(to_char({time}, '{_BUCKETS[bucket]}') COLLATE \"C\")"
