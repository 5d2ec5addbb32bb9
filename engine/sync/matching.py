"""By what a record and an item that do not know each other are found to be the same. Pure.

Contacts by their e-mail address; companies by their domain or their name, one of which may differ; records of other
types by what is unique to them. Where several match, none is guessed.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import orjson

from engine.outbox import check_address
from engine.problems import Problem
from engine.sync.connectors.protocol import Item, RemoteField, RemoteObject
from engine.sync.likeness import empty, folded
from engine.sync.rules import Direction, Mapping, Matcher
from engine.sync.translate import fits
from storage.catalogue import ObjectTypeRow, PropertyRow
from storage.records import RecordRow

Found = TypeVar("Found")

# By object type: the properties by which its records are found, in order of trust. A website is none of them: many
# companies share one, and one has many.
BY_NAME: dict[str, tuple[str, ...]] = {"contacts": ("email",), "companies": ("domain", "name")}
# What may be chosen besides.
ALLOWED: dict[str, frozenset[str]] = {"companies": frozenset({"domain", "name", "email"})}
NEVER = frozenset({"website"})

# A key is part of an index.
LONGEST = 500


# --- keys --------------------------------------------------------------------------------------------------------


def key(matcher: Matcher, value: Any) -> str | None:
    """What a value, of either side, is compared by; None where it says nothing. Equal keys mean the same."""
    said = _FORMS.get(_form(matcher.property), _whole)(value)
    return f"{key_begin(matcher)}{said}"[:LONGEST] if said else None


def key_begin(matcher: Matcher) -> str:
    """How a matcher's keys begin."""
    return f"{matcher.property.name}:"


def keys_of_record(matchers: Sequence[Matcher], record: RecordRow) -> list[str | None]:
    """A record's key for each matcher; None where it has none."""
    return [key(matcher, record.properties.get(matcher.property.name)) for matcher in matchers]


def keys_of_item(matchers: Sequence[Matcher], item: Item) -> list[str | None]:
    """An item's key for each matcher; None where it has none."""
    return [key(matcher, item.fields.get(matcher.field.name)) for matcher in matchers]


def spellings(matcher: Matcher, value: Any) -> list[Any]:
    """Values as records may hold them where `key` is the same: those that an exact index is asked for.

    Not all of them: a name may be written in any mixture of cases. What is found is compared by `key`.
    """
    if not isinstance(value, str):
        return [] if empty(value) else [value]
    text = " ".join(value.split())
    bare = key(matcher, value)
    if not text or bare is None:
        return []
    plain = bare.partition(":")[2]
    written: list[str] = [value, text, plain, text.lower(), text.upper(), text.title(), text.capitalize()]
    if _form(matcher.property) == "DOMAIN":
        written += [f"www.{plain}", f"http://{plain}", f"https://{plain}", f"https://www.{plain}"]
    return list(dict.fromkeys(written))


def _form(prop: PropertyRow) -> str:
    if prop.field in ("EMAIL", "DOMAIN"):
        return prop.field
    # What is unique is told apart by its letters' case, too.
    return "NAME" if prop.type == "STRING" and not prop.is_unique else prop.type


def _email(value: Any) -> str:
    return value.strip().lower() if isinstance(value, str) else ""


def _domain(value: Any) -> str:
    """A domain as companies share it: without scheme, path, port and "www."."""
    if not isinstance(value, str):
        return ""
    text = value.strip().lower()
    text = text.partition("://")[2] or text
    for end in "/?#":
        text = text.partition(end)[0]
    text = text.rpartition("@")[2].partition(":")[0].rstrip(".")
    return text.removeprefix("www.")


def _name(value: Any) -> str:
    return str(folded(value)) if isinstance(value, str) else _whole(value)


def _trimmed(value: Any) -> str:
    return value.strip() if isinstance(value, str) else _whole(value)


def _phone(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    digits = "".join(character for character in value if character.isdigit() or character == "+")
    return "+" + digits[2:] if digits.startswith("00") else digits


def _number(value: Any) -> str:
    return _whole(int(value) if isinstance(value, float) and value.is_integer() else value)


def _day(value: Any) -> str:
    return value[:10] if isinstance(value, str) else ""


def _whole(value: Any) -> str:
    if empty(value):
        return ""
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


_FORMS: dict[str, Callable[[Any], str]] = {
    "EMAIL": _email,
    "DOMAIN": _domain,
    "NAME": _name,
    "STRING": _trimmed,
    "PHONE": _phone,
    "NUMBER": _number,
    "DATE": _day,
}


# --- matchers ----------------------------------------------------------------------------------------------------


def matchers(
    object_type: ObjectTypeRow,
    remote: RemoteObject,
    mappings: Sequence[Mapping],
    chosen: Sequence[str] | None = None,
) -> tuple[Matcher, ...]:
    """How records are found among items, and items among records. `mappings` are those that are switched on.

    `chosen`: properties that somebody has chosen, instead of those that go without saying.
    """
    names = tuple(chosen) if chosen is not None else _defaults(object_type)
    fields = {one.property.name: one for one in mappings}
    found: list[Matcher] = []
    for name in names:
        prop = object_type.live(name)
        one = fields.get(name)
        field = None if prop is None else one.field if one is not None else _unmapped(prop, remote)
        # A company's domain is a key only while what holds it by default is mapped to it.
        if name == "domain" and object_type.name == "companies" and (one is None or one.custom):
            field = None
        if prop is not None and field is not None and may_match(object_type, prop):
            found.append(Matcher(prop, field))
    return tuple(found)


def may_match(object_type: ObjectTypeRow, prop: PropertyRow) -> bool:
    """Whether records may be found by this property."""
    if prop.archived_at is not None or prop.type == "JSON" or prop.multiple:
        return False
    allowed = ALLOWED.get(object_type.name, frozenset(BY_NAME.get(object_type.name, ())))
    return prop.name not in NEVER and (prop.is_unique or prop.name in allowed)


def _defaults(object_type: ObjectTypeRow) -> tuple[str, ...]:
    if object_type.name in BY_NAME:
        return BY_NAME[object_type.name]
    return tuple(prop.name for prop in object_type.properties.values() if prop.is_unique)


def _unmapped(prop: PropertyRow, remote: RemoteObject) -> RemoteField | None:
    """The field that holds this property by default: it is read, though it may not be mapped."""
    return next(
        (
            field
            for field in remote.fields
            if field.default_property == prop.name and fits(prop, field, Direction.IN) is None
        ),
        None,
    )


# --- candidates --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class One(Generic[Found]):
    """Exactly one matches, by this matcher."""

    found: Found
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class Several(Generic[Found]):
    """Several match equally well: nobody guesses."""

    found: tuple[Found, ...]
    matcher: Matcher


Choice: TypeAlias = One[Found] | Several[Found] | None


def choose(matchers: Sequence[Matcher], candidates: Sequence[Collection[Found]]) -> Choice[Found]:
    """The best of what each matcher has found; None where none has. `candidates` stand in the order of `matchers`.

    Candidates of an earlier matcher go before those of later ones. Whoever asks leaves out what is linked already.
    """
    for matcher, found in zip(matchers, candidates, strict=False):
        distinct = tuple(dict.fromkeys(found))
        if len(distinct) == 1:
            return One(distinct[0], matcher)
        if distinct:
            return Several(distinct, matcher)
    return None


def valid_email(value: Any) -> bool:
    """Whether a value is a mail address to which the product would send."""
    if not isinstance(value, str):
        return False
    try:
        check_address(value.strip())
    except Problem:
        return False
    return True


def found_by(matchers: Sequence[Matcher], remote: RemoteObject) -> Iterator[Matcher]:
    """Those of the matchers by which the app itself finds items."""
    return (matcher for matcher in matchers if matcher.field.name in remote.found_by)
