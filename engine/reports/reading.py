"""Reading a report's definition: each part as it must be, and what it is not told at its path."""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from engine import naming
from engine.problems import PathPart, Problem
from engine.reports import problems as told
from engine.values import shown

Path = tuple[PathPart, ...]
E = TypeVar("E", bound=enum.Enum)

# Names of sources and measures are headings of columns.
LONGEST_NAME = 100


@dataclass(slots=True)
class Reading:
    """Problems, as they are found."""

    problems: list[Problem] = field(default_factory=list)

    def wrong(self, problem: Problem, *path: PathPart) -> None:
        """Note a problem at its path."""
        self.problems.append(problem.at(*path) if path else problem)

    def malformed(self, expected: str, value: Any, *path: PathPart) -> None:
        """Note that something else is expected there."""
        self.wrong(told.MalformedReport(expected=expected, value=shown(value)), *path)

    def flag(self, asked: Mapping[str, Any], key: str, path: Path) -> bool:
        """Whether something is wanted; not, where nothing is said."""
        given = asked.get(key)
        if given is not None and not isinstance(given, bool):
            self.malformed("true or false", given, *path, key)
        return given is True

    def name(self, asked: Mapping[str, Any], key: str, path: Path) -> str | None:
        """A name that is chosen, if one is."""
        given = asked.get(key)
        if given is None:
            return None
        if not isinstance(given, str):
            self.malformed("a text", given, *path, key)
            return None
        try:
            return naming.text(given, "name", longest=LONGEST_NAME)
        except Problem as problem:
            self.wrong(problem, *path, key)
        return None

    def choice(self, kind: type[E], asked: Mapping[str, Any], key: str, path: Path) -> E | None:
        """One of a kind by its name, if one is given."""
        given = asked.get(key)
        if given is None:
            return None
        if isinstance(given, str) and given in kind.__members__:
            return kind[given]
        self.malformed(f"one of {', '.join(kind.__members__)}", given, *path, key)
        return None

    def number(
        self, asked: Mapping[str, Any], key: str, path: Path, *, above: float = -math.inf
    ) -> float | None:
        """A number that compares, if one is given."""
        given = asked.get(key)
        if given is None:
            return None
        if isinstance(given, int | float) and not isinstance(given, bool):
            try:
                found = float(given)
            except OverflowError:
                found = math.inf
            if math.isfinite(found) and found > above:
                return found
        self.malformed("a number" if above == -math.inf else f"a number above {above:g}", given, *path, key)
        return None

    def whole(
        self,
        asked: Mapping[str, Any],
        key: str,
        path: Path,
        least: int,
        most: int,
        default: int | None = None,
    ) -> int | None:
        """A whole number between two, or the default where none is given."""
        given = asked.get(key)
        if given is None and default is not None:
            return default
        if isinstance(given, int) and not isinstance(given, bool) and least <= given <= most:
            return given
        self.malformed(f"a number from {least} to {most}", given, *path, key)
        return None

    def part(self, asked: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any] | None:
        """An object inside, if one is given."""
        given = asked.get(key)
        if given is None or isinstance(given, Mapping):
            return given
        self.malformed("an object", given, *path, key)
        return None

    def parts(self, asked: Mapping[str, Any], key: str, limit: int) -> Sequence[Mapping[str, Any]]:
        """Objects in a list, at most so many; none where it is malformed."""
        given = asked.get(key)
        if given is None:
            return ()
        if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
            self.malformed(f"a list of {key}", given, key)
            return ()
        if len(given) > limit:
            self.wrong(told.TooManyParts(limit=limit, part=key), key)
            return ()
        return given
