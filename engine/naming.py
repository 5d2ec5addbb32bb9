"""Names: internal ones never change and follow one form; texts for people may hold anything printable."""

import re
from collections.abc import Mapping
from typing import Any

from engine.problems import PathPart, Problem

INTERNAL = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
LONGEST_NAME = 63
LONGEST_TEXT = 200
LONGEST_DESCRIPTION = 2_000


class MalformedName(Problem):
    """The internal name "{name}" is not possible: use at most 63 of a-z, 0-9 and _, beginning with a letter."""


class MalformedText(Problem):
    """The {what} is not possible: {reason}."""


class NameTaken(Problem):
    """The internal name "{name}" is taken by another {kind}; choose another one."""


def internal_name(name: str, *path: PathPart) -> str:
    """`name`, which stands at `path`, if it may be an internal name; raises `MalformedName`."""
    if INTERNAL.fullmatch(name) is None or len(name) > LONGEST_NAME:
        raise MalformedName(name=_shown(name), path=path)
    return name


def text(value: str, what: str, *path: PathPart, longest: int = LONGEST_TEXT) -> str:
    """`value`, which stands at `path`, without spaces around it, if people can read it; raises `MalformedText`."""
    trimmed = value.strip()
    if not trimmed:
        raise MalformedText(what=what, reason="it is empty", path=path)
    if len(trimmed) > longest:
        raise MalformedText(what=what, reason=f"it has more than {longest} characters", path=path)
    if not storable(trimmed):
        raise MalformedText(what=what, reason="it holds a character that is no text", path=path)
    return trimmed


def description(value: str | None) -> str | None:
    """What stands as "description", None where there is nothing in it; raises `MalformedText`."""
    if value is None or not value.strip():
        return None
    return text(value, "description", "description", longest=LONGEST_DESCRIPTION)


def camel(name: str) -> str:
    """A name of ours as the API writes it: "event_days" is "eventDays"."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def counted(number: float, one: str, several: str) -> str:
    """A number with its noun, such as "1 contact", "2,000 contacts" and "0.5 seconds"."""
    # All digits of what is whole; of other numbers those that people look at.
    figure = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{figure} {one if number == 1 else several}"


def storable(value: str) -> bool:
    """Whether PostgreSQL takes this text: no NUL, no half of a surrogate pair."""
    return "\x00" not in value and (
        value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
    )


def all_storable(document: Any) -> bool:
    """The same of everything in a JSON document."""
    match document:
        case str():
            return storable(document)
        case Mapping():
            return all(all_storable(name) and all_storable(value) for name, value in document.items())
        case list() | tuple():
            return all(map(all_storable, document))
    return True


def _shown(name: str) -> str:
    return name[:80].encode("utf-8", "replace").decode()
