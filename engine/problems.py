"""Expected problems: what a caller can do something about. A class name is a code, its docstring the message.

Exception
└── Problem            one thing that is wrong, at one path of the input
    └── …              declared beside the rule that raises it
└── Refused            one or several problems, for which a whole request is undone
"""

import re
from collections.abc import Iterable
from typing import Any, Self

PathPart = str | int


class Problem(Exception):
    """Something is wrong with the request."""

    def __init__(self, *, path: tuple[PathPart, ...] = (), **details: Any) -> None:
        self.path = path
        self.details = details
        super().__init__(self.message)

    @property
    def code(self) -> str:
        """The stable code: the class name in capitals, such as LABEL_LIMIT_REACHED."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).upper()

    @property
    def message(self) -> str:
        """What is wrong and what to do, in one sentence or two."""
        words = " ".join((type(self).__doc__ or "").split())
        return words.format_map({name: _spoken(value) for name, value in self.details.items()})

    def __reduce__(self) -> tuple[Any, ...]:
        """Problems travel between processes."""
        return _again, (type(self), self.path, self.details)

    def at(self, *front: PathPart) -> Self:
        """The same problem, told from further out: `front` is put before its path."""
        self.path = (*front, *self.path)
        return self


class Refused(Exception):
    """The request was undone as a whole, for these problems."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(problem.message for problem in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        """The same for these."""
        return type(self), (self.problems,)


class at:
    """Problems that the block raises are told from further out: `front` is put before their paths."""

    __slots__ = ("_front",)

    def __init__(self, *front: PathPart) -> None:
        self._front = front

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        match error:
            case Problem():
                error.at(*self._front)
            case Refused():
                for problem in error.problems:
                    problem.at(*self._front)


def _again(kind: type[Problem], path: tuple[PathPart, ...], details: dict[str, Any]) -> Problem:
    return kind(path=path, **details)


def _spoken(value: Any) -> Any:
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(str(part) for part in value)
    return value


class NotFound(Problem):
    """There is no {kind} "{name}" in this account."""


class UnknownObjectType(NotFound):
    """There is no object type "{name}" in this account."""


class MalformedId(Problem):
    """The value "{id}" is not the id of any {kind}; ids are opaque: pass them as you received them."""


class InvalidInput(Problem):
    """{reason}"""
