"""Documents: an operation of one that is valid, and what is said of those that are not."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import DocumentNode, OperationDefinitionNode, OperationType, VariableNode

from schema import errors
from server.limits import Weigher

# Levels of brackets in a document: two for each level of a connection, and what values have.
DEEPEST = 200
# What Python reads as a number, at most; beyond it, it speaks of itself.
MOST_DIGITS = 4_300

# Strings and comments, in which brackets and digits mean nothing.
_PASSED_OVER = r'"""(?:\\"""|[^"]|"(?!""))*"""|"(?:\\.|[^"\\\n])*"|#[^\n]*'
_MARKS = re.compile(_PASSED_OVER + r"|[\[{(]|[\])}]")
_LONG = re.compile(rf"[0-9]{{{MOST_DIGITS + 1}}}")
# Names hold digits, too.
_NUMBERS = re.compile(_PASSED_OVER + rf"|[_A-Za-z]\w*|({_LONG.pattern})", re.ASCII)


@dataclass(frozen=True)
class Operation:
    """One operation of a parsed and validated document."""

    text: str
    document: DocumentNode
    node: OperationDefinitionNode
    weigher: Weigher

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.node.operation

    @property
    def name(self) -> str | None:
        """The operation's name in the document."""
        return self.node.name.value if self.node.name else None

    @cached_property
    def resumed_by(self) -> str | None:
        """The variable that a subscription's `after` comes by, where that is all that it is used for."""
        (field, *more) = self.node.selection_set.selections
        given = [one for one in getattr(field, "arguments", ()) if one.name.value == "after" and not more]
        if not given or not isinstance(given[0].value, VariableNode):
            return None
        name = given[0].value.name.value
        # Once where it is declared, once where it is used.
        uses = re.findall(rf"\$\s*{name}\b", self.text)
        return name if len(uses) == 2 else None


@dataclass(frozen=True, slots=True)
class Known:
    """A valid document, and its operations by the names that they were asked for."""

    document: DocumentNode
    operations: dict[str | None, Operation] = field(default_factory=dict)


def nested(text: str) -> int:
    """How deeply a document's brackets are nested, selections and values together."""
    level = deepest = 0
    for mark in _MARKS.findall(text):
        if mark in "[{(":
            level += 1
            deepest = max(deepest, level)
        elif mark in ")]}":
            level -= 1
    return deepest


def endless(text: str) -> bool:
    """Whether a document holds a number that is too long to be read."""
    return _LONG.search(text) is not None and any(found[1] for found in _NUMBERS.finditer(text))


def worded(entry: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with a document; where the library gives up, with the reason that it does not give."""
    if entry["message"] != "Validation aborted.":
        return entry
    told = "The document's fragments are too many, or too entangled, to be validated. Ask for less in one request."
    return entry | {"message": told}


def too_deep() -> dict[str, Any]:
    """What is said of a document that is nested too deeply."""
    return _invalid(f"The document is nested deeper than {DEEPEST} levels: ask for less in one request.")


def too_long() -> dict[str, Any]:
    """What is said of a document with a number that is too long."""
    return _invalid(
        f"The document holds a number of more than {MOST_DIGITS} digits, which no field takes."
        " Send a smaller one, or a text in quotes."
    )


def _invalid(message: str) -> dict[str, Any]:
    return {"message": message, "extensions": {"code": errors.VALIDATION_FAILED}}
