"""What can be wrong with a write of records."""

from typing import Any

from engine import ids
from engine.problems import NotFound, Problem
from engine.values import tidy
from storage.records import RecordRow


class UnknownProperty(Problem):
    """Object type "{object_type}" has no property "{property}"."""


class PropertyArchived(Problem):
    """The property "{property}" of object type "{object_type}" is archived; it cannot be written."""


class PropertyReadOnly(Problem):
    """The property "{property}" cannot be written: it is {kind}."""


class RequiredProperty(Problem):
    """The property "{property}" is required: give it a value."""


class MalformedProperties(Problem):
    """Properties are an object {{name: value}}, not {value}."""


class UniqueValueTaken(Problem):
    """The value {value} of the unique property "{property}" belongs to {holder} already; no two records can have it."""


class UniqueValueArchived(Problem):
    """The value {value} of the unique property "{property}" belongs to {holder}, which is archived: restore it."""


class UniqueValueRepeated(Problem):
    """The value {value} of the unique property "{property}" is in this batch twice; no two records can have it."""


class PropertyNotUnique(Problem):
    """Records can only be looked up by a property whose values are unique; "{property}" of "{object_type}" is not."""


class UniqueKeyMissing(Problem):
    """Records are looked up by "{property}" here: give it a value."""


class ObjectTypeInactive(Problem):
    """Object type "{object_type}" is not active in this account; activate it first."""


class RecordArchived(Problem):
    """The record {record} is archived; restore it first."""


class RecordMerged(Problem):
    """The record {record} was merged into {survivor} and is that record now."""


class MergeIntoItself(Problem):
    """The record {record} cannot be merged into itself."""


class MergeOfTypes(Problem):
    """Only records of one object type can be merged; {survivor} is of {survivor_type}, {merged} of {merged_type}."""


class LostTooManyRaces(Problem):
    """Others keep writing the same keys at the same time; send this request again."""


def missing(record_id: int, *path: Any) -> Problem:
    """There is no record with this id."""
    return NotFound(path=path, kind="record", name=ids.encode("record", record_id))


def archived(row: RecordRow, *path: Any) -> Problem:
    """The record is archived, or merged away."""
    told = ids.encode("record", row.id)
    if row.merged_into_id is not None:
        return RecordMerged(path=path, record=told, survivor=ids.encode("record", row.merged_into_id))
    return RecordArchived(path=path, record=told)


def unknown_property(object_type: str, name: str, *, exists: bool) -> Problem:
    """There is no such property, or it is archived."""
    kind = PropertyArchived if exists else UnknownProperty
    return kind(path=("properties", tidy(name)), property=tidy(name), object_type=object_type)
