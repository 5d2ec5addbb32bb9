"""The columns of an export, as they are asked for and as they are headed: one way of writing for both.

email                         a property
id, displayName, createdAt    of the record itself; updatedAt, lastAssociationChangeAt
companies                     names of the records of that type that are associated
companies (Billing)           … under a label, by its text or its internal name
companies.id (Billing)        their ids; companies.customer_number (Billing) the values of a unique property
"""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from engine.exports.problems import (
    ColumnKeyNotUnique,
    ColumnRepeated,
    MalformedColumn,
    TooManyColumns,
    UnknownColumnLabel,
)
from engine.object_types import get
from engine.problems import Problem, Refused
from engine.records.problems import UnknownProperty
from engine.values import tidy
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow, PropertyRow

MOST = 250

ASSOCIATED = re.compile(r"\s*([a-z][a-z0-9_]*)(?:\.([a-z][a-z0-9_]*))?\s*(?:\((.*)\)\s*)?", re.DOTALL)


class Fact(enum.StrEnum):
    """What every record has."""

    ID = "id"
    DISPLAY_NAME = "displayName"
    CREATED_AT = "createdAt"
    UPDATED_AT = "updatedAt"
    LAST_ASSOCIATION_CHANGE_AT = "lastAssociationChangeAt"


@dataclass(frozen=True, slots=True)
class OfProperty:
    """The values of a property."""

    header: str
    property: PropertyRow


@dataclass(frozen=True, slots=True)
class OfRecord:
    """A fact of the record itself."""

    header: str
    fact: Fact


@dataclass(frozen=True, slots=True)
class OfAssociated:
    """Who is associated under a type: the values of a unique property, or ids, or (`by` None) names."""

    header: str
    to: ObjectTypeRow
    type: AssociationTypeRow
    by: PropertyRow | Fact | None


Column: TypeAlias = OfProperty | OfRecord | OfAssociated


def columns(
    catalogue: Catalogue, of: ObjectTypeRow, asked: Sequence[str] | None, *, labels: bool = False
) -> tuple[Column, ...]:
    """The columns that are asked for; None: every property that an import can write.

    `labels`: properties are headed by what people call them. Raises `Refused` with all that is wrong.
    """
    if asked is None:
        asked = [
            prop.name
            for prop in of.properties.values()
            if prop.archived_at is None and not prop.read_only and not prop.calculated
        ]
    if len(asked) > MOST:
        raise Refused([TooManyColumns(limit=MOST, count=len(asked))])
    found: list[Column] = []
    problems: list[Problem] = []
    for n, text in enumerate(asked):
        try:
            column = one(catalogue, of, text)
            if any(column.header == other.header for other in found):
                raise ColumnRepeated(column=tidy(text))
            found.append(column)
        except Problem as problem:
            problems.append(problem.at(n))
    if problems:
        raise Refused(problems)
    return _called(found) if labels else tuple(found)


def one(catalogue: Catalogue, of: ObjectTypeRow, text: str) -> Column:
    """The column that a text asks for. Raises what is wrong with it."""
    name = text.strip()
    prop = of.live(name)
    if prop is not None:
        return OfProperty(name, prop)
    if name in [fact.value for fact in Fact]:
        return OfRecord(name, Fact(name))
    match = ASSOCIATED.fullmatch(name)
    if match is None:
        raise MalformedColumn(column=tidy(name))
    if match[1] not in catalogue.by_name and match[2] is None and match[3] is None:
        raise UnknownProperty(object_type=of.name, property=tidy(name))
    far = get(catalogue, match[1])
    label = catalogue.unlabelled(of.id, far.id) if match[3] is None else _label(catalogue, of, far, match[3])
    key = "" if match[2] is None else f".{match[2]}"
    called = "" if match[3] is None else f" ({_spoken(catalogue, of, far, label)})"
    return OfAssociated(f"{far.name}{key}{called}", far, label, _key(far, match[2]))


def _key(far: ObjectTypeRow, name: str | None) -> PropertyRow | Fact | None:
    if name is None:
        return None
    prop = far.live(name)
    if prop is None:
        if name == Fact.ID:
            return Fact.ID
        raise UnknownProperty(object_type=far.name, property=tidy(name))
    if not prop.is_unique:
        raise ColumnKeyNotUnique(property=name, object_type=far.name)
    return prop


def _label(catalogue: Catalogue, of: ObjectTypeRow, far: ObjectTypeRow, text: str) -> AssociationTypeRow:
    """A label by its internal name, else by its text in any case."""
    exact = catalogue.label(of.id, far.id, text.strip())
    if exact is not None:
        return exact
    named = [row for row in catalogue.between(of.id, far.id) if row.name is not None]
    called = [row for row in named if (row.label or "").casefold() == text.strip().casefold()]
    if len(called) != 1:
        known = sorted(row.name or "" for row in named) or "none"
        raise UnknownColumnLabel(label=tidy(text), object_type=of.name, to=far.name, known=known)
    return called[0]


def _spoken(catalogue: Catalogue, of: ObjectTypeRow, far: ObjectTypeRow, label: AssociationTypeRow) -> str:
    """What a label is called in a header: its text, unless that leads to another one, or nowhere."""
    text = label.label or ""
    try:
        if text.strip() == text and text and _label(catalogue, of, far, text).id == label.id:
            return text
    except UnknownColumnLabel:
        pass
    return label.name or ""


def _called(found: Sequence[Column]) -> tuple[Column, ...]:
    """The same, headed by the labels of properties, where each is the header of one column alone."""
    heads = [
        " ".join(column.property.label.split()) if isinstance(column, OfProperty) else column.header
        for column in found
    ]
    folded = [head.casefold() for head in heads]
    return tuple(
        OfProperty(head, column.property)
        if isinstance(column, OfProperty) and head and folded.count(head.casefold()) == 1
        else column
        for head, column in zip(heads, found, strict=True)
    )
