"""Where filters stand in a definition's document, and what records or events each is about."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.problems import PathPart

# What stands under these is data, whatever it looks like.
DATA = ("value", "values")
# Always about the enrolled record.
OWN = ("ownWhere", "suppressWhen", "goal")

Path = tuple[PathPart, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A filter in a definition. It is about records of type `to` (None: of the workflow's own), or about events.

    `event` names an event's type, `webhook` a webhook event.
    """

    path: Path
    where: Mapping[str, Any]
    to: str | None = None
    event: str | None = None
    webhook: str | None = None


def filters_in(document: Any, path: Path = ()) -> Iterator[Place]:
    """All filters of a definition's document, or of a part of one."""
    found: list[Place] = []

    def note(place: Place) -> Mapping[str, Any]:
        found.append(place)
        return place.where

    replaced(document, note, path)
    yield from found


def replaced(document: Any, exchange: Callable[[Place], Mapping[str, Any]], path: Path = ()) -> Any:
    """The document with every filter replaced by what `exchange` makes of it."""
    if isinstance(document, list | tuple):
        return [replaced(part, exchange, (*path, n)) for n, part in enumerate(document)]
    if not isinstance(document, Mapping):
        return document
    answer: dict[str, Any] = {}
    for key, part in document.items():
        below = (*path, key)
        if key in DATA or part is None:
            answer[key] = part
        elif key in OWN:
            answer[key] = exchange(Place(below, part))
        elif key == "where":
            about = (_text(document, "to"), _text(document, "type"), _text(document, "webhook"))
            answer[key] = exchange(Place(below, part, *about))
        else:
            answer[key] = replaced(part, exchange, below)
    return answer


def _text(document: Mapping[str, Any], key: str) -> str | None:
    found = document.get(key)
    return found if isinstance(found, str) else None
