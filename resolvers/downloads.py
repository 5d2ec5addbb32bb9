"""Files that go out: what one is, and what is wrong with the parameters by which it is asked for."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass

from engine.problems import Problem


class UnknownParameter(Problem):
    """There is no parameter "{name}"; there are: {known}."""


class InvalidParameter(Problem):
    """The parameter "{name}" must be {expected}."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that is asked for, not read yet."""

    name: str
    media: str
    content: AsyncGenerator[bytes, None]


def check_names(given: Iterable[object], known: Sequence[str]) -> None:
    """Raise `UnknownParameter` for the first of these names that is not known."""
    for name in given:
        if name not in known:
            told = str(name)[:100]
            raise UnknownParameter(name=told, known=known, path=(told,))
