"""What the fields of a contact are on a card, and how they are written there."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from engine.sync.categories import Category
from engine.sync.connectors.carddav.cards import Card, Line, escape, split, structured, unescape
from engine.sync.connectors.protocol import FieldType, Rejected, RemoteField, Value

# Shown where a card says nobody's name: a card must show something.
NAMELESS = "(no name)"

_NAME = {"lastname": 0, "firstname": 1, "middlename": 2, "prefix": 3, "suffix": 4}
_ADDRESS = {"street": 2, "city": 3, "region": 4, "zip": 5, "country": 6}
_ORGANISATION = {"company": 0, "department": 1}
_TEXTS = {"nickname": "NICKNAME", "jobtitle": "TITLE", "role": "ROLE", "note": "NOTE", "website": "URL"}
_LINES = {**_TEXTS, "email": "EMAIL", "birthday": "BDAY"}
_PHONES = ("phone", "mobile", "homephone", "fax")


def _text(name: str, title: str, default_property: str | None = None) -> RemoteField:
    # Some servers write cards anew, and trim what they write.
    return RemoteField(name, title, default_property=default_property, lossy=True)


FIELDS = (
    _text("firstname", "First name", "firstname"),
    _text("lastname", "Last name", "lastname"),
    _text("middlename", "Middle names"),
    _text("prefix", "Title before the name", "salutation"),
    _text("suffix", "Title after the name"),
    _text("nickname", "Nickname"),
    _text("email", "E-mail", "email"),
    RemoteField("phone", "Phone", FieldType.PHONE, default_property="phone"),
    RemoteField("mobile", "Mobile phone", FieldType.PHONE, default_property="mobilephone"),
    RemoteField("homephone", "Phone at home", FieldType.PHONE),
    RemoteField("fax", "Fax", FieldType.PHONE),
    _text("company", "Company"),
    _text("department", "Department"),
    _text("jobtitle", "Job title", "jobtitle"),
    _text("role", "Role"),
    _text("street", "Street", "address"),
    _text("zip", "Postal code", "zip"),
    _text("city", "City", "city"),
    _text("region", "State or region", "state"),
    _text("country", "Country", "country"),
    RemoteField("birthday", "Birthday", FieldType.DATE, default_property="date_of_birth"),
    _text("website", "Website", "website"),
    _text("note", "Note", "notes"),
    RemoteField("categories", "Categories", FieldType.CHOICE, multiple=True),
)
_BY_NAME = {each.name: each for each in FIELDS}


def is_group(card: Card) -> bool:
    """Whether it is a list of people, not one of them."""
    return any(card.text(name).strip().lower() == "group" for name in ("KIND", "X-ADDRESSBOOKSERVER-KIND"))


def read(card: Card) -> dict[str, Value]:
    """The values of a card; empty ones are left out."""
    names = _names(card)
    address, organisation = _parts(_address(card)), _parts(card.first("ORG"))
    values: dict[str, Value] = {
        **{field: _part(names, at) for field, at in _NAME.items()},
        **{field: _part(address, at) for field, at in _ADDRESS.items()},
        **{field: _part(organisation, at) for field, at in _ORGANISATION.items()},
        **{field: card.text(name) for field, name in _TEXTS.items()},
        **{field: _number(_phone(card, field)) for field in _PHONES},
        "email": _address_of(card.text("EMAIL"), "mailto:"),
        "birthday": _birthday(card.first("BDAY")),
        "categories": _categories(card),
    }
    return {
        field: value
        for field, told in values.items()
        if (value := told.strip() if isinstance(told, str) else told) not in (None, "", [])
    }


def write(card: Card, fields: Mapping[str, Value]) -> None:
    """Let the card hold these values; None empties. Raises Rejected."""
    before = read(card)
    wanted = {}
    for name, value in fields.items():
        if name not in _BY_NAME:
            raise Rejected(f"Contacts have no field {name}.", Category.PROPERTY_NOT_FOUND, name)
        value = _checked(_BY_NAME[name], value)
        if value != before.get(name):
            wanted[name] = value
    if not wanted:
        return
    nameless = not _names(card)
    _write_names(card, wanted)
    _write_parts(card, wanted, _ADDRESS, "ADR", _address(card), 7)
    _write_parts(card, wanted, _ORGANISATION, "ORG", card.first("ORG"), 1)
    for field in _PHONES:
        if field in wanted:
            _write_line(card, "TEL", _phone(card, field), wanted[field], _KINDS[field].types)
    for field, name in _LINES.items():
        if field in wanted:
            value = wanted[field]
            if field == "birthday" and value and card.text("VERSION").strip() == "4.0":
                # Of its two ways to write a day version 4.0 takes the short one.
                value = value.replace("-", "")
            _write_line(card, name, card.first(name), value, ("INTERNET",))
    if "categories" in wanted:
        _write_categories(card, wanted["categories"] or [])
    show(card, renamed=nameless or bool(_NAME.keys() & wanted.keys()))
    # When it was revised is not known here, and no longer what it says.
    for line in card.all("REV"):
        card.remove(line)


def _checked(field: RemoteField, value: Value) -> Value:
    """A value as a card can hold it."""
    if value is None or value in ("", []):
        return None
    if field.multiple:
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str) for each in values):
            raise Rejected(f"{field.title} are texts.", Category.INVALID_VALUE, field.name)
        return list(dict.fromkeys(each for text in values if (each := _sayable(text)))) or None
    if not isinstance(value, str):
        raise Rejected(f"{field.title} must be a text.", Category.INVALID_VALUE, field.name)
    if field.type is FieldType.DATE:
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise Rejected(f'"{value[:50]}" is no date.', Category.INVALID_VALUE, field.name) from None
    return _sayable(value) or None


def _sayable(text: str) -> str:
    """A text without what no XML and no line can hold."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]", "", text).strip()


# --- names -------------------------------------------------------------------------------------------------------


def _names(card: Card) -> list[str]:
    """Family, given, additional names, titles before and after; from what is shown, where nothing else tells."""
    parts = _parts(card.first("N"))
    if any(part.strip() for part in parts):
        return parts
    shown = card.text("FN").strip()
    if not shown or shown in _instead(card) or "COMPANY" in card.text("X-ABSHOWAS").upper():
        return []
    given, _, family = shown.rpartition(" ")
    return [family, given]


def _write_names(card: Card, wanted: Mapping[str, Value]) -> None:
    if not _NAME.keys() & wanted.keys():
        return
    # With what was only shown until now.
    parts = [*_names(card), "", "", "", "", ""][: max(5, len(_parts(card.first("N"))))]
    for field, at in _NAME.items():
        if field in wanted:
            parts[at] = wanted[field] or ""
    _write_value(card, "N", card.first("N"), structured(parts))


def show(card: Card, renamed: bool = False) -> None:
    """A card must show a name, and have one in parts. Where it was `renamed` it shows another."""
    if card.first("N") is None:
        card.add(Line("N", structured([*_names(card), "", "", "", "", ""][:5])))
    line, parts = card.first("FN"), _parts(card.first("N"))
    shown = "" if line is None else line.text().strip()
    name = " ".join(part for at in (3, 1, 2, 0, 4) if (part := _part(parts, at).strip()))
    instead = [each for each in _instead(card) if each]
    if not shown or (renamed and (name or shown == NAMELESS or shown not in instead)):
        _write_value(card, "FN", line, escape(name or next(iter(instead), NAMELESS)))


def _instead(card: Card) -> list[str]:
    """What a card without a name shows."""
    organisation = _part(_parts(card.first("ORG")), 0)
    shown = (card.text("NICKNAME"), organisation, card.text("EMAIL"), _number(card.first("TEL")), NAMELESS)
    return [each.strip() for each in shown]


# --- lines -------------------------------------------------------------------------------------------------------


def _parts(line: Line | None) -> list[str]:
    return [] if line is None else line.parts()


def _part(parts: list[str], at: int) -> str:
    return parts[at] if at < len(parts) else ""


def _address(card: Card) -> Line | None:
    """The address that counts: the preferred one, else the one at work, else the first."""
    lines = sorted(card.all("ADR"), key=lambda line: (line.preference(), "work" not in line.types()))
    return next(iter(lines), None)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of phone: how it is told, and how a new one is marked."""

    is_one: Callable[[set[str]], bool]
    types: tuple[str, ...]


_MOBILE = frozenset({"cell", "mobile", "iphone"})
_KINDS = {
    "mobile": _Kind(lambda types: bool(types & _MOBILE) and "fax" not in types, ("CELL",)),
    "fax": _Kind(lambda types: "fax" in types, ("FAX",)),
    "homephone": _Kind(
        lambda types: "home" in types and not types & (_MOBILE | {"fax", "pager"}), ("HOME", "VOICE")
    ),
    "phone": _Kind(lambda types: not types & (_MOBILE | {"home", "fax", "pager"}), ("WORK", "VOICE")),
}


def _phone(card: Card, field: str) -> Line | None:
    return next((line for line in card.all("TEL") if _KINDS[field].is_one(line.types())), None)


def _number(line: Line | None) -> str:
    return "" if line is None else _address_of(line.text(), "tel:")


def _address_of(text: str, scheme: str) -> str:
    text = text.strip()
    return text[len(scheme) :] if text.lower().startswith(scheme) else text


def _birthday(line: Line | None) -> str | None:
    """A day with its year; one without a year is none that could be kept."""
    if line is None:
        return None
    found = re.match(r"(\d{4})-?(\d\d)-?(\d\d)(?:$|T)", line.value.strip())
    omitted = line.parameter("X-APPLE-OMIT-YEAR")
    if found is None or found[1] == omitted:
        return None
    try:
        return date(int(found[1]), int(found[2]), int(found[3])).isoformat()
    except ValueError:
        return None


def _categories(card: Card) -> list[str]:
    told = (unescape(part).strip() for line in card.all("CATEGORIES") for part in split(line.value, ","))
    return list(dict.fromkeys(each for each in told if each))


def _write_categories(card: Card, values: list[str]) -> None:
    lines = card.all("CATEGORIES")
    for line in lines[1:]:
        card.remove(line)
    _write_value(card, "CATEGORIES", lines[0] if lines else None, ",".join(escape(each) for each in values))


def _write_parts(
    card: Card, wanted: Mapping[str, Value], at: Mapping[str, int], name: str, line: Line | None, size: int
) -> None:
    """Change parts of a structured value, and leave the others; without any the line goes."""
    if not at.keys() & wanted.keys():
        return
    parts = _parts(line)
    parts += [""] * (max(size, 1 + max(at[field] for field in at.keys() & wanted.keys())) - len(parts))
    for field, place in at.items():
        if field in wanted:
            parts[place] = wanted[field] or ""
    _write_value(
        card, name, line, structured(parts) if any(part.strip() for part in parts) else "", ("WORK",)
    )


def _write_line(
    card: Card, name: str, line: Line | None, value: str | None, types: tuple[str, ...] = ()
) -> None:
    """Change the text of a line; without a text the line goes."""
    _write_value(card, name, line, "" if value is None else escape(value), types)


def _write_value(card: Card, name: str, line: Line | None, value: str, types: tuple[str, ...] = ()) -> None:
    if line is not None and not value:
        card.remove(line)
    elif line is not None:
        line.set(value)
        line.parameters = [each for each in line.parameters if each[0] != "X-APPLE-OMIT-YEAR"]
    elif value:
        plain = name in ("ADR", "TEL", "EMAIL")
        version_4 = card.text("VERSION").strip() == "4.0"
        kinds = [each for each in types if not version_4 or each != "INTERNET"]
        card.add(Line(name, value, [("TYPE", kinds)] if plain and kinds else []))
