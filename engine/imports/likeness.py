"""Which property a column is alike: by what people call it, and by what stands in its cells. Pure."""

import re
from collections import Counter
from collections.abc import Sequence

from engine.ids import decode
from engine.imports import formats
from engine.problems import MalformedId
from storage.catalogue import ObjectTypeRow, PropertyRow

# How many of the cells of a column must fit the property, for the column to be taken for it.
FIT = 0.5
# What people call columns that the properties call otherwise.
CALLED = {
    "e mail": "email", "mail": "email", "email address": "email", "e mail address": "email",
    "first": "firstname", "given name": "firstname", "vorname": "firstname",
    "last": "lastname", "surname": "lastname", "family name": "lastname", "nachname": "lastname",
    "telephone": "phone", "phone number": "phone", "tel": "phone", "mobile": "mobilephone",
    "website url": "website", "web site": "website", "url": "website", "domain name": "domain",
    "company domain name": "domain", "born": "date_of_birth", "birthday": "date_of_birth",
    "birth date": "date_of_birth", "dob": "date_of_birth", "postal code": "zip", "zip code": "zip", "postcode": "zip",
}  # fmt: skip
IDS = ("id", "record id", "object id")
LABELS = re.compile(r"(association|associated)? ?labels?")


def words(text: str) -> str:
    """A name as names are compared: in lower case, with single spaces for all that is neither letter nor digit."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def are_labels(called: str) -> bool:
    """Whether a column that is called so (`words`) seems to hold labels."""
    return LABELS.fullmatch(called) is not None


def are_ids(called: str, cells: Sequence[str]) -> bool:
    """Whether a column that is called so (`words`) holds ids of records."""
    try:
        return called in IDS and bool(cells) and all(decode("record", cell) for cell in cells)
    except MalformedId:
        return False


def property_of(row: ObjectTypeRow, called: str, cells: Sequence[str]) -> PropertyRow | None:
    """The property that a column fills which is called so (`words`) and has these cells, if there is one."""
    squeezed = called.replace(" ", "")
    usual = CALLED.get(called)
    for prop in row.properties.values():
        if prop.archived_at is not None or prop.read_only or prop.calculated:
            continue
        names = {words(prop.name), words(prop.label)}
        if (
            called in names or squeezed in {one.replace(" ", "") for one in names} or prop.name == usual
        ) and _fits(prop, cells):
            return prop
    return None


def readable(prop: PropertyRow, cells: Sequence[str]) -> tuple[tuple[str | None, ...], int]:
    """The formats in which all of these cells can be read (None: without one), else the one for most of them.

    And how many cannot be read in it.
    """
    fitting = formats.fitting(prop, cells)
    if fitting:
        return fitting, 0
    counts = Counter(stated for cell in cells for stated in formats.fitting(prop, [cell]))
    if not counts:
        return (), len(cells)
    # Of equals the first one that was tried.
    (best, count), *_ = counts.most_common(1)
    return (best,), len(cells) - count


def _fits(prop: PropertyRow, cells: Sequence[str]) -> bool:
    if not cells or formats.fitting(prop, cells):
        return True
    fit = sum(bool(formats.fitting(prop, [cell])) for cell in cells)
    return fit >= len(cells) * FIT
