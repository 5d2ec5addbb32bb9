"""Pieces of SQL: parameters with their types, quoted constants, and JSON text joined from parts."""

from collections.abc import Iterable
from typing import Any

import orjson

# concat() takes at most 100 arguments.
CONCAT_MOST = 90


class Params:
    """The parameters of one statement. `$1` is the account; these start at `$2`, equal ones are shared."""

    __slots__ = ("_known", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._known: dict[tuple[str, Any], str] = {}

    def add(self, value: Any, cast: str) -> str:
        """The place of `value`, cast to the PostgreSQL type `cast`."""
        shared = (cast, value) if isinstance(value, str | int) else (cast, id(value))
        known = self._known.get(shared)
        if known is None:
            self.values.append(value)
            known = self._known[shared] = f"${len(self.values) + 1}::{cast}"
        return known

    def big(self, value: Any) -> str:
        """The place of an integer."""
        return self.add(value, "bigint")


def literal(text: str) -> str:
    """`text` as a constant of SQL; only for names that the catalogue or the query's grammar vouches for."""
    return "'" + text.replace("'", "''") + "'"


class Text:
    """JSON text in the making: constants next to each other become one, the rest are expressions.

    `concat` takes a missing expression for no text at all.
    """

    __slots__ = ("_parts",)

    def __init__(self, *parts: "str | Text") -> None:
        # (is a constant, text or expression)
        self._parts: list[tuple[bool, str]] = []
        for part in parts:
            self.say(part)

    def say(self, part: "str | Text") -> "Text":
        """Go on with constant text, or with another text."""
        if isinstance(part, Text):
            for constant, piece in part._parts:
                self.say(piece) if constant else self.put(piece)
        elif self._parts and self._parts[-1][0]:
            self._parts[-1] = (True, self._parts[-1][1] + part)
        elif part:
            self._parts.append((True, part))
        return self

    def put(self, expression: str) -> "Text":
        """Go on with the value of an expression."""
        self._parts.append((False, expression))
        return self

    @property
    def sql(self) -> str:
        """The expression of type text that makes it."""
        if all(constant for constant, _ in self._parts):
            return f"{literal(''.join(piece for _, piece in self._parts))}::text"
        pieces = [literal(piece) if constant else piece for constant, piece in self._parts]
        while len(pieces) > CONCAT_MOST:
            pieces = [
                f"concat({', '.join(pieces[at : at + CONCAT_MOST])})"
                for at in range(0, len(pieces), CONCAT_MOST)
            ]
        return f"concat({', '.join(pieces)})"


def an_object(members: Iterable[tuple[str, Text]]) -> Text:
    """A JSON object of members in their order."""
    text = Text("{")
    for n, (key, value) in enumerate(members):
        text.say(("," if n else "") + orjson.dumps(key).decode() + ":").say(value)
    return text.say("}")


def value(expression: str) -> Text:
    """An expression's value, which is JSON text already, or null where it is missing."""
    return Text().put(f"coalesce({expression}, 'null')")
