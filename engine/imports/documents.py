"""What plans' documents are made of: objects, lists and texts; what is wrong with one is gathered at its path."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from engine.imports.problems import MalformedPlan
from engine.naming import storable
from engine.problems import PathPart, Problem
from engine.values import tidy

# Where in a document something stands.
Path: TypeAlias = tuple[PathPart, ...]


class Reader:
    """Reads one document, piece by piece. What is not as it must be is passed over, and told in `problems`."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def is_object(self, given: Any, known: tuple[str, ...], path: Path) -> bool:
        """Whether this is an object; names in it that are none of `known` are told, too."""
        if not isinstance(given, Mapping):
            self.wrong(path, "it is no object")
            return False
        self.names(given, known, path)
        return True

    def names(self, given: Mapping[str, Any], known: tuple[str, ...], path: Path) -> None:
        """Tell of every name in an object that is none of `known`."""
        for name in given:
            if name not in known:
                self.wrong((*path, tidy(str(name))), f"it is none of {', '.join(known)}")

    def text(self, given: Mapping[str, Any], name: str, path: Path, *, needed: bool = True) -> str | None:
        """The text under this name; it may be missing unless it is `needed`."""
        value = given.get(name)
        if isinstance(value, str) and value:
            if not storable(value):
                self.wrong((*path, name), "it holds a character that is no text")
                return None
            return value
        if value is not None or needed:
            self.wrong((*path, name), "it is text that is not empty")
        return None

    def items(self, given: Mapping[str, Any], name: str, path: Path, most: int) -> list[Any]:
        """What the list under this name holds; it may be missing."""
        value = given.get(name)
        if value is None:
            return []
        if not isinstance(value, list | tuple) or len(value) > most:
            self.wrong((*path, name), f"it is a list of at most {most}")
            return []
        return list(value)

    def wrong(self, path: Path, reason: str) -> None:
        """Something is not as it must be."""
        self.problems.append(MalformedPlan(path=path, reason=reason))
