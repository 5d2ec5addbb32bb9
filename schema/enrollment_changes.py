"""What steps change, as histories, dry runs and undoings tell it."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry

from engine import ids
from engine.workflows.histories import Kind, encoded, kind_of
from resolvers import loaders, records
from schema.context import Info
from schema.documentation import enum
from schema.records import Record
from schema.scalars import JSON

ChangeKind = Enum("ChangeKind", {kind.name: kind.value for kind in Kind})  # type: ignore[misc]
enum(
    ChangeKind,
    "EnrollmentChangeKind",
    "What a step did.",
    {
        "PROPERTY": "A property was set or cleared.",
        "LABEL_ADDED": "A label was set on an association.",
        "LABEL_REMOVED": "A label was taken off an association.",
        "ASSOCIATION_ADDED": "Two records were associated.",
        "ASSOCIATION_REMOVED": "An association was taken away, with its labels.",
        "RECORD_CREATED": "A record was made.",
        "SEGMENT_JOINED": "A record was added to a segment.",
        "SEGMENT_LEFT": "A record was removed from a segment.",
        "ENROLLED": "A record was enrolled in a workflow.",
        "UNENROLLED": "A record was taken out of a workflow.",
        "KEPT_OUT": "A record was not enrolled in a workflow; `reason` says why.",
        "MAIL": "A mail was sent.",
        "CALL": "A webhook was called.",
        "NOT_SENT": "Somebody got no mail; `reason` says why.",
        "BRANCH": "A branch was decided.",
        "WAITED": "A delay has ended.",
        "REVERSED": "What an earlier step did was undone, or was left as it is; `status` says which, `reason` why.",
        "OTHER": "Something else; `json` has all of it.",
    },
)


@strawberry.type
class EnrollmentChange:
    """One thing that a step did. What does not go with its kind is null."""

    told: strawberry.Private[Mapping[str, Any]]
    kind: ChangeKind = strawberry.field(description="What it did.")
    record_id: strawberry.ID | None = strawberry.field(description="Of which record.")
    property: str | None = strawberry.field(description="The internal name of the property.")
    old: JSON | None = strawberry.field(description="The property's value before; null: none.")
    new: JSON | None = strawberry.field(description="The property's value after; null: none.")
    associated_id: strawberry.ID | None = strawberry.field(description="The record at the other end.")
    labels: list[str] | None = strawberry.field(
        description="The internal names of the labels that came or went, as they stand at the record."
    )
    created_id: strawberry.ID | None = strawberry.field(description="The record that was made.")
    object_type: str | None = strawberry.field(description="The object type of the record that was made.")
    segment_id: strawberry.ID | None = strawberry.field(description="The segment.")
    workflow_id: strawberry.ID | None = strawberry.field(description="The other workflow.")
    enrollment_id: strawberry.ID | None = strawberry.field(
        description="The enrollment in the other workflow."
    )
    status: str | None = strawberry.field(description="Of a mail or a call: how it ended.")
    reason: str | None = strawberry.field(description="Why something was not done, as a stable code.")
    branch: str | None = strawberry.field(description="The name or number of the way that was chosen.")
    json: JSON = strawberry.field(description="All of it, as it is kept, with ids as everywhere.")

    @strawberry.field
    async def record(self, info: Info) -> Record | None:
        """The record; null where it is not there (any more)."""
        return await _record(info, self.told.get("record"))

    @strawberry.field
    async def associated(self, info: Info) -> Record | None:
        """The record at the other end."""
        return await _record(info, self.told.get("associated"))

    @strawberry.field
    async def created(self, info: Info) -> Record | None:
        """The record that was made; null in a dry run, since it was never there."""
        return await _record(info, self.told.get("created"))

    @classmethod
    def of(cls, change: Mapping[str, Any]) -> "EnrollmentChange":
        """A change as it is kept."""
        kept, change = change, change.get("undone", change)
        label = change.get("label")
        labels = change.get("labels") if label is None else [label]
        branch = change.get("branch")
        return cls(
            told=change,
            kind=ChangeKind(kind_of(kept).value),
            record_id=_id("record", change.get("record")),
            property=change.get("property") if "new" in change else None,
            old=_json(change.get("old")),
            new=_json(change.get("new")),
            associated_id=_id("record", change.get("associated")),
            labels=labels,
            created_id=_id("record", change.get("created")),
            object_type=change.get("object_type"),
            segment_id=_id("segment", change.get("segment")),
            workflow_id=_id("workflow", change.get("workflow")),
            enrollment_id=_id("enrollment", change.get("enrollment")),
            status=kept.get("status"),
            reason=kept.get("reason", kept.get("notSent")),
            branch=None if branch is None else str(branch),
            json=JSON(encoded(kept)),
        )


async def _record(info: Info, number: Any) -> Record | None:
    if not isinstance(number, int):
        return None
    row = await loaders.record(info.context).load(number)
    return None if row is None else Record.of(records.found(info.context, row))


def _id(kind: str, number: Any) -> strawberry.ID | None:
    return strawberry.ID(ids.encode(kind, number)) if isinstance(number, int) else None


def _json(value: Any) -> JSON | None:
    return None if value is None else JSON(value)
