"""Exports: what an address or a document asks for, checked, and the bytes of it."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson

from engine import ids
from engine.exports import run
from engine.exports.columns import columns
from engine.exports.run import MEDIA, Export, Format
from engine.problems import NotFound, Problem, at
from resolvers import listings
from resolvers.context import Context
from resolvers.downloads import File, InvalidParameter, check_names
from resolvers.listings import Asked
from storage.catalogue import Catalogue
from storage.selection.tree import Records

PATH = "/exports/records"
PARAMETERS = ("objectType", "segment", "where", "orderBy", "column", "headers", "format")
# Of these there may be several.
REPEATED = frozenset({"column", "orderBy"})
# What every server on the way takes.
LONGEST = 8_000

# {"objectType", "segment", "where", "orderBy", "columns", "headers", "format"}, all as JSON has them.
Wanted = Mapping[str, Any]
MEMBERS = ("objectType", "segment", "where", "orderBy", "columns", "headers", "format")


class ExportAddressTooLong(Problem):
    """The address would have {count} characters, more than every server takes ({limit}): POST the same as JSON."""


def file(context: Context, wanted: Wanted) -> File:
    """The file with these records; raises what is wrong with what is asked for."""
    format_ = format_of(wanted)
    export = bound(context.catalogue, wanted)
    content = run.file(context.db, context.account_id, export, format_, now=context.now)
    return File(f"{export.of.name}.{format_.value}", MEDIA[format_], content)


def bound(catalogue: Catalogue, wanted: Wanted) -> Export:
    """What is asked for, in terms of what the account defines; every problem at its path."""
    segment = None if wanted.get("segment") is None else _segment(catalogue, wanted["segment"])
    name = wanted.get("objectType")
    if name is None and segment is not None:
        of = catalogue.object_types[catalogue.segments[segment].object_type_id]
    elif not isinstance(name, str):
        raise InvalidParameter(name="objectType", expected="the name of an object type", path=("objectType",))
    else:
        with at("objectType"):
            of = listings.object_type(catalogue, name)
    if segment is not None and catalogue.segments[segment].object_type_id != of.id:
        raise InvalidParameter(
            name="segment",
            expected=f"a segment of {of.name}, the object type that is asked for",
            path=("segment",),
        )
    asked = Asked(where=wanted.get("where"), order_by=wanted.get("orderBy") or ())
    listing = (
        listings.records(catalogue, of, asked)
        if segment is None
        else listings.members(catalogue, of, segment, asked)
    )
    assert isinstance(listing.source, Records)
    with at("columns"):
        chosen = columns(catalogue, of, wanted.get("columns"), labels=_headers(wanted.get("headers")))
    return Export(of, listing.source, listing.page.order, chosen)


def from_parameters(given: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What the parameters of an address ask for."""
    check_names((name for name, _ in given), PARAMETERS)
    wanted: dict[str, Any] = {}
    for name, text in given:
        if name in REPEATED:
            member = "columns" if name == "column" else name
            wanted.setdefault(member, []).append(text if name == "column" else _order(text))
        elif name in wanted:
            raise InvalidParameter(name=name, expected="given once", path=(name,))
        else:
            wanted[name] = _json(text) if name == "where" else text
    return wanted


def from_document(document: Any) -> dict[str, Any]:
    """What a JSON document asks for."""
    if not isinstance(document, dict):
        raise InvalidParameter(name="body", expected="an object of JSON")
    check_names(document, MEMBERS)
    if document.get("where") is not None and not isinstance(document["where"], dict):
        raise _unread("where")
    for name in ("columns", "orderBy"):
        kind = str if name == "columns" else dict
        given = document.get(name)
        if given is not None and not (
            isinstance(given, list) and all(isinstance(one, kind) for one in given)
        ):
            raise InvalidParameter(name=name, expected="a list", path=(name,))
    for n, one in enumerate(document.get("orderBy") or ()):
        _checked_order(one, n)
    return document


def address(context: Context, wanted: Wanted) -> str:
    """The address at which a file can be fetched, with a key as everywhere; raises what is wrong with what is asked."""
    format_of(wanted)
    bound(context.catalogue, wanted)
    found = f"{context.public_url}{PATH}?{urlencode(parameters(wanted))}"
    if len(found) > LONGEST:
        raise ExportAddressTooLong(count=len(found), limit=LONGEST)
    return found


def parameters(wanted: Wanted) -> list[tuple[str, str]]:
    """The parameters of an address that asks for this; `from_parameters` reads them."""
    found: list[tuple[str, str]] = []
    for name in ("objectType", "segment", "headers", "format"):
        if wanted.get(name) is not None:
            found.append((name, str(wanted[name])))
    if wanted.get("where") is not None:
        found.append(("where", orjson.dumps(wanted["where"]).decode()))
    for one in wanted.get("orderBy") or ():
        what = one.get("property") or one.get("field")
        found.append(("orderBy", f"{what}:{one.get('direction') or 'ASC'}"))
    return found + [("column", column) for column in wanted.get("columns") or ()]


def _segment(catalogue: Catalogue, ident: str) -> int:
    number = ids.decode_at("segment", str(ident), "segment")
    if number not in catalogue.segments:
        raise NotFound(kind="segment", name=str(ident)[:100], path=("segment",))
    return number


def format_of(wanted: Wanted) -> Format:
    """What is to be written."""
    try:
        return Format(str(wanted.get("format") or "csv").lower())
    except ValueError:
        known = ", ".join(Format)
        raise InvalidParameter(name="format", expected=f"one of {known}", path=("format",)) from None


def _headers(given: Any) -> bool:
    text = str(given or "names").lower()
    if text not in ("names", "labels"):
        raise InvalidParameter(name="headers", expected="one of names, labels", path=("headers",))
    return text == "labels"


def _json(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise _unread("where")
    return found


def _unread(name: str) -> InvalidParameter:
    return InvalidParameter(name=name, expected="a filter, as an object of JSON", path=(name,))


def _order(text: str) -> dict[str, Any]:
    """`lastname:DESC`; what every record has stands in capitals: `CREATED_AT`."""
    name, _, direction = text.partition(":")
    kind = "field" if name in listings.OrderField.__members__ else "property"
    return {kind: name, "direction": _direction(direction)}


def _checked_order(one: dict[str, Any], n: int) -> None:
    known = ("property", "field", "direction")
    field, prop = one.get("field"), one.get("property")
    if (
        any(name not in known for name in one)
        or (field is not None and field not in listings.OrderField.__members__)
        or (prop is not None and not isinstance(prop, str))
    ):
        expected = '{"property" or "field", "direction"}, as in GraphQL'
        raise InvalidParameter(name="orderBy", expected=expected, path=("orderBy", n))
    _direction(str(one.get("direction") or ""))


def _direction(given: str) -> str:
    text = given.upper() or "ASC"
    if text not in listings.Direction.__members__:
        raise InvalidParameter(name="orderBy", expected="followed by ASC or DESC", path=("orderBy",))
    return text
