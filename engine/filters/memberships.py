"""Binding leaves on the record itself: its moments, who made or changed it, its segments and workflows."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine import ids
from engine.filters import operators
from engine.filters.binding import Binding, leaf_body, text_at
from engine.filters.problems import (
    MalformedLeaf,
    SegmentOfAnotherType,
    UnknownField,
    UnknownSegment,
    UnknownWorkflow,
    WorkflowOfAnotherType,
)
from engine.filters.property import PROPERTY, VALUES_LIMIT, bind_value
from engine.problems import MalformedId, Problem
from engine.values import shown, tidy
from storage.catalogue import ObjectTypeRow, PropertyRow
from storage.filters.tree import (
    Authorship,
    Leaf,
    Property,
    SegmentLeaf,
    SourceLeaf,
    WorkflowLeaf,
)

FIELD, SOURCE, IN_SEGMENT, IN_WORKFLOW = "field", "source", "inSegment", "inWorkflow"
FIELD_KEYS = ("name", "operator", "value", "values", "unit", "includeEmpty")
SOURCE_KEYS = ("change", "sources", "import", "negated")
SEGMENT_KEYS = ("segment", "negated")
WORKFLOW_KEYS = ("workflow", "status", "negated")

# The record's own moments, by the column that holds them.
FIELDS = {
    "CREATED_AT": "created_at",
    "UPDATED_AT": "updated_at",
    "LAST_ASSOCIATION_CHANGE_AT": "last_association_change_at",
}
# What a record may have to do with a workflow, and the statuses of enrollments that mean it; none named: any.
STATUSES: dict[str, tuple[str, ...]] = {
    "ENROLLED_EVER": (),
    "ACTIVE": ("ACTIVE",),
    "COMPLETED": ("COMPLETED",),
    "GOAL_MET": ("GOAL_MET",),
}
SOURCE_LENGTH = 60


def bind_field(body: Any, object_type: ObjectTypeRow, binding: Binding) -> Leaf:
    """A condition on one of the record's own moments; they are what properties of the type DATETIME are."""
    given = leaf_body(FIELD, body, FIELD_KEYS)
    name = text_at(FIELD, given, "name")
    if name not in FIELDS:
        raise UnknownField(field=shown(name), known=list(FIELDS), path=(FIELD, "name"))
    row = PropertyRow(
        0, object_type.id, name, name, "", None, "DATETIME", "", False, False, False, False, True, False, (),
        datetime.min.replace(tzinfo=UTC), None,
    )  # fmt: skip
    reference = Property(0, object_type.id, name, "DATETIME", column=FIELDS[name])
    try:
        return bind_value(given, row, reference, operators.TIME, object_type, binding)
    except Problem as problem:
        if problem.path[:1] == (PROPERTY,):
            problem.path = (FIELD, *problem.path[1:])
        raise


def bind_source(body: Any, object_type: ObjectTypeRow, _binding: Binding) -> SourceLeaf:
    """Who made or changed the record: any of several kinds of source, or one import."""
    given = leaf_body(SOURCE, body, SOURCE_KEYS)
    change = given.get("change", "EITHER")
    if change not in [one.value for one in Authorship]:
        reason = f'"change" is one of {", ".join(Authorship)}, not {shown(change)}'
        raise MalformedLeaf(reason=reason, path=(SOURCE, "change"))
    negated = _negated(SOURCE, given)
    if ("sources" in given) is ("import" in given):
        raise MalformedLeaf(reason='"source" needs either "sources" or "import"', path=(SOURCE,))
    if "import" in given:
        number = _number("import", text_at(SOURCE, given, "import"), (SOURCE, "import"))
        return SourceLeaf(object_type.id, Authorship(change), ("IMPORT",), str(number), negated)
    return SourceLeaf(object_type.id, Authorship(change), _sources(given["sources"]), None, negated)


def _sources(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not 0 < len(given) <= VALUES_LIMIT:
        reason = (
            f'"sources" must be a list of at least one kind of source, such as "IMPORT", not {shown(given)}'
        )
        raise MalformedLeaf(reason=reason, path=(SOURCE, "sources"))
    for n, one in enumerate(given):
        if not isinstance(one, str) or not 0 < len(one) <= SOURCE_LENGTH or not one.isascii() or "\0" in one:
            reason = f'a kind of source is a text such as "IMPORT", not {shown(one)}'
            raise MalformedLeaf(reason=reason, path=(SOURCE, "sources", n))
    return tuple(sorted(set(given)))


def bind_segment(body: Any, object_type: ObjectTypeRow, binding: Binding) -> SegmentLeaf:
    """Whether the record is in a segment of its object type."""
    given = leaf_body(IN_SEGMENT, body, SEGMENT_KEYS)
    path = (IN_SEGMENT, "segment")
    text = text_at(IN_SEGMENT, given, "segment")
    number = _number("segment", text, path)
    found = binding.catalogue.segments.get(number)
    if found is None:
        raise UnknownSegment(segment=tidy(text), path=path)
    if found.object_type_id != object_type.id:
        of = binding.catalogue.object_types[found.object_type_id].name
        raise SegmentOfAnotherType(segment=found.name, of=of, object_type=object_type.name, path=path)
    return SegmentLeaf(number, _negated(IN_SEGMENT, given))


def bind_workflow(body: Any, object_type: ObjectTypeRow, binding: Binding) -> WorkflowLeaf:
    """What the record has to do with a workflow of its object type."""
    given = leaf_body(IN_WORKFLOW, body, WORKFLOW_KEYS)
    path = (IN_WORKFLOW, "workflow")
    text = text_at(IN_WORKFLOW, given, "workflow")
    number = _number("workflow", text, path)
    of_type = binding.catalogue.workflows.get(number)
    if of_type is None:
        raise UnknownWorkflow(workflow=tidy(text), path=path)
    if of_type != object_type.id:
        of = binding.catalogue.object_types[of_type].name
        raise WorkflowOfAnotherType(workflow=tidy(text), of=of, object_type=object_type.name, path=path)
    status = given.get("status", "ENROLLED_EVER")
    if not isinstance(status, str) or status not in STATUSES:
        reason = f'"status" is one of {", ".join(STATUSES)}, not {shown(status)}'
        raise MalformedLeaf(reason=reason, path=(IN_WORKFLOW, "status"))
    return WorkflowLeaf(number, STATUSES[status], _negated(IN_WORKFLOW, given))


def _negated(kind: str, given: Mapping[str, Any]) -> bool:
    negated = given.get("negated", False)
    if not isinstance(negated, bool):
        raise MalformedLeaf(reason='"negated" must be true or false', path=(kind, "negated"))
    return negated


def _number(kind: str, text: str, path: tuple[str, str]) -> int:
    try:
        return ids.decode(kind, text)
    except MalformedId as problem:
        problem.path = path
        raise
