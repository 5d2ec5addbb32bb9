"""Plans of imports: which columns of a file fill what, as people send them and as they read them."""

from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum
from typing import Any

import strawberry

from schema.documentation import enum


class ImportMode(Enum):
    """What rows do with the records that they name."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    UPSERT = "UPSERT"


enum(
    ImportMode,
    "ImportMode",
    "What rows do with the records that they name.",
    {
        "CREATE": "Each makes a new one; whose key is known fails.",
        "UPDATE": "Each changes one that is there; whose key is unknown fails.",
        "UPSERT": "Each changes the one that has its key, or makes one.",
    },
)


@strawberry.input
class ImportFileInput:
    """How a file is to be read, where that is not to be found out."""

    encoding: str | None = strawberry.field(
        default=None, description='Such as "windows-1252"; null: found out.'
    )
    delimiter: str | None = strawberry.field(
        default=None, description="What divides cells of CSV; null: found out."
    )
    sheet: str | None = strawberry.field(
        default=None, description="The sheet of a workbook; null: the first."
    )


@strawberry.input
class ImportColumnInput:
    """A column, and the property that it fills."""

    column: str = strawberry.field(description="The column, by its name in the header.")
    property: str = strawberry.field(
        description='The property, by its internal name; "id" for ids of records.'
    )
    format: str | None = strawberry.field(
        default=None, description='How dates and numbers are written, such as "DD.MM.YYYY" or "1.234,56".'
    )


@strawberry.input
class ImportPartInput:
    """The columns of one object type."""

    name: str | None = strawberry.field(
        default=None,
        description="What associations call it; null: as its object type. Needed where two are of one type.",
    )
    object_type: str = strawberry.field(description='The object type, such as "contacts".')
    mode: ImportMode = strawberry.field(
        default=ImportMode.UPSERT, description="What rows do with its records."
    )
    key: str | None = strawberry.field(
        default=None,
        description="The column that tells records apart: of a unique property, or of ids. Null: each row makes one.",
    )
    columns: list[ImportColumnInput] = strawberry.field(description="Its columns, the key's included.")


@strawberry.input
class ImportEndInput:
    """One end of associations: the record of a part of the row, or one that is there, by its key."""

    part: str | None = strawberry.field(
        default=None, description="A part of the plan; null: the rest says who."
    )
    object_type: str | None = strawberry.field(default=None, description="The object type of the record.")
    property: str | None = strawberry.field(default=None, description='A unique property, or "id".')
    column: str | None = strawberry.field(default=None, description="The column that holds its values.")


@strawberry.input
class ImportAssociationInput:
    """Associations that rows make."""

    from_: ImportEndInput = strawberry.field(name="from", description="The record at which the labels stand.")
    to: ImportEndInput = strawberry.field(description="The other one.")
    labels: list[str] | None = strawberry.field(
        default=None, description="Labels of all of them, by internal name or text."
    )
    labels_column: str | None = strawberry.field(
        default=None, description="The column with the labels of each row, divided by `;`."
    )


@strawberry.input
class ImportPlanInput:
    """Which columns of a file fill what."""

    time_zone: str | None = strawberry.field(
        default=None, description="Of moments without an offset, such as Europe/Berlin; null: the account's."
    )
    file: ImportFileInput | None = strawberry.field(default=None, description="How the file is to be read.")
    parts: list[ImportPartInput] | None = strawberry.field(
        default=None, description="Records, by object type."
    )
    associations: list[ImportAssociationInput] | None = strawberry.field(
        default=None, description="Associations between records of the row, or to others."
    )


@strawberry.type
class ImportPlanFile:
    """How a file is to be read."""

    encoding: str | None = strawberry.field(description="Its encoding; null: found out.")
    delimiter: str | None = strawberry.field(description="What divides cells of CSV; null: found out.")
    sheet: str | None = strawberry.field(description="The sheet of a workbook; null: the first.")


@strawberry.type
class ImportPlanColumn:
    """A column, and the property that it fills."""

    column: str = strawberry.field(description="The column, by its name in the header.")
    property: str = strawberry.field(
        description='The property, by its internal name; "id" for ids of records.'
    )
    format: str | None = strawberry.field(description="How dates and numbers are written.")


@strawberry.type
class ImportPlanPart:
    """The columns of one object type."""

    name: str = strawberry.field(description="What associations call it.")
    object_type: str = strawberry.field(description="The object type.")
    mode: ImportMode = strawberry.field(description="What rows do with its records.")
    key: str | None = strawberry.field(
        description="The column that tells records apart; null: each row makes one."
    )
    columns: list[ImportPlanColumn] = strawberry.field(description="Its columns, the key's included.")


@strawberry.type
class ImportPlanEnd:
    """One end of associations."""

    part: str | None = strawberry.field(description="A part of the plan; null: the rest says who.")
    object_type: str | None = strawberry.field(description="The object type of the record.")
    property: str | None = strawberry.field(description='A unique property, or "id".')
    column: str | None = strawberry.field(description="The column that holds its values.")


@strawberry.type
class ImportPlanAssociation:
    """Associations that rows make."""

    from_: ImportPlanEnd = strawberry.field(name="from", description="The record at which the labels stand.")
    to: ImportPlanEnd = strawberry.field(description="The other one.")
    labels: list[str] = strawberry.field(description="Labels of all of them.")
    labels_column: str | None = strawberry.field(description="The column with the labels of each row.")


@strawberry.type
class ImportPlan:
    """Which columns of a file fill what."""

    time_zone: str | None = strawberry.field(description="Of moments without an offset; null: the account's.")
    file: ImportPlanFile | None = strawberry.field(description="How the file is to be read.")
    parts: list[ImportPlanPart] = strawberry.field(description="Records, by object type.")
    associations: list[ImportPlanAssociation] = strawberry.field(description="Associations that rows make.")

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "ImportPlan | None":
        """The plan of a document; None where there is none, or it is of another making."""
        parts, links = document.get("parts"), document.get("associations")
        if not isinstance(parts, list | None) or not isinstance(links, list | None) or not (parts or links):
            return None
        file = document.get("file")
        return cls(
            time_zone=document.get("timeZone"),
            file=None if not file else ImportPlanFile(**_three(file, "encoding", "delimiter", "sheet")),
            parts=[_part(one) for one in parts or ()],
            associations=[
                ImportPlanAssociation(
                    from_=_end(one["from"]),
                    to=_end(one["to"]),
                    labels=list(one.get("labels") or ()),
                    labels_column=one.get("labelsColumn"),
                )
                for one in links or ()
            ],
        )


def plan_document(given: ImportPlanInput | None) -> dict[str, Any] | None:
    """A plan as the engine reads it: without what was left out."""
    if given is None:
        return None
    document = asdict(given)
    document["timeZone"] = document.pop("time_zone")
    for part in document["parts"] or ():
        part["objectType"] = part.pop("object_type")
        part["mode"] = part["mode"].value
    for link in document["associations"] or ():
        link["from"], link["labelsColumn"] = link.pop("from_"), link.pop("labels_column")
        for end in (link["from"], link["to"]):
            end["objectType"] = end.pop("object_type")
    said: dict[str, Any] = _said(document)
    return said


def file_document(given: ImportFileInput | None) -> dict[str, Any] | None:
    """How a file is to be read, as the engine reads it."""
    return None if given is None else _said(asdict(given))


def _said(value: Any) -> Any:
    match value:
        case dict():
            return {name: _said(part) for name, part in value.items() if part is not None}
        case list():
            return [_said(part) for part in value]
        case _:
            return value


def _part(one: Mapping[str, Any]) -> ImportPlanPart:
    return ImportPlanPart(
        name=one.get("name") or one["objectType"],
        object_type=one["objectType"],
        mode=ImportMode(one.get("mode") or "UPSERT"),
        key=one.get("key"),
        columns=[
            ImportPlanColumn(column=each["column"], property=each["property"], format=each.get("format"))
            for each in one.get("columns") or ()
        ],
    )


def _end(one: Mapping[str, Any]) -> ImportPlanEnd:
    return ImportPlanEnd(
        part=one.get("part"),
        object_type=one.get("objectType"),
        property=one.get("property"),
        column=one.get("column"),
    )


def _three(file: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: file.get(name) for name in names}
