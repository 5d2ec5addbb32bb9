"""The list of all error codes, for docs/errors.md. Run `python -m tests.error_codes` to write it anew."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

from engine.problems import Problem

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docs" / "errors.md"
FLOORS = ("storage", "engine", "resolvers", "schema", "server")

# Errors that are no `Problem`: told of requests as such, and of what nobody foresaw.
OTHERS = {
    "BAD_REQUEST": (
        "400",
        "The request is not JSON of the right form; the message says what is wrong with it.",
    ),
    "BAD_USER_INPUT": ("200 or 400", "A variable's value does not fit its type."),
    "BODY_TOO_LARGE": ("413", "The body has more bytes than `RELATA_REQUEST_BYTES`."),
    "CONFLICT": ("200", "Others were changing the same data at this moment; send the request again."),
    "GRAPHQL_PARSE_FAILED": ("400", "The document is not GraphQL."),
    "GRAPHQL_VALIDATION_FAILED": ("400", "The document asks for what the schema does not have."),
    "INTERNAL_ERROR": ("200 or 500", "A mistake of ours. `extensions.id` is in the server's log."),
    "METHOD_NOT_ALLOWED": ("405", "GET and POST only, and mutations by POST only."),
    "NOT_ACCEPTABLE": ("406", "None of the accepted media types can be given."),
    "NOT_FOUND": ("404", "There is nothing at this address of the server."),
    "OPERATION_NOT_FOUND": ("400", "Several operations, and none of them named; or none of this name."),
    "TIMEOUT": ("200 or 503", "The request took longer than `RELATA_REQUEST_SECONDS`."),
    "TOO_MANY_OPERATIONS": ("WebSocket", "A socket has 100 operations already."),
    "UNAVAILABLE": ("200 or 503", "The database cannot be reached at the moment, or writes nothing."),
    "UNSUPPORTED_MEDIA_TYPE": (
        "415",
        "Send `Content-Type: application/json`, in UTF-8; a form with files needs `GraphQL-Preflight: 1`, too.",
    ),
}

HEAD = """# Error codes

A code never changes its meaning and is never used for another; messages may be worded anew. [api.md](api.md) says
where errors stand in an answer. This list is made from the code (`python -m tests.error_codes`), and a test holds the
two together.

## Of a request as such

| code | HTTP | meaning |
|---|---|---|
"""
MIDDLE = """
With `Accept: application/json` a well-formed request is answered by 200, whatever is wrong with its document.

## Of what was asked for

In `userErrors` of mutations; in `errors[].extensions` of queries and subscriptions. Words in braces are in `details`.

| code | message |
|---|---|
"""


def problems() -> Iterator[type[Problem]]:
    """Every problem that any floor can tell of."""
    for floor in FLOORS:
        package = importlib.import_module(floor)
        for module in pkgutil.walk_packages(package.__path__, f"{floor}."):
            if "migrations" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    waiting = [Problem]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind is not Problem and kind.__module__.split(".")[0] in FLOORS:
            yield kind


def code_of(kind: type[Problem]) -> str:
    """The code under which a class of problems is told."""
    return str(Problem.code.fget(kind.__new__(kind)))  # type: ignore[attr-defined]


def mentioned() -> set[str]:
    """Codes that the sources name beside those of problems."""
    told = re.compile(
        r'(?:Unanswerable\(\s*[\w.]+,\s*|"code": |^[A-Z_]+ = |\d{3}: |: \(\s*)"([A-Z]+(?:_[A-Z]+)*)"',
        re.MULTILINE,
    )
    names = (
        "server/app.py",
        "server/asking.py",
        "server/http.py",
        "server/operations.py",
        "server/websocket.py",
        "schema/errors.py",
    )
    sources = [ROOT / name for name in names]
    return {code for path in sources for code in told.findall(path.read_text(encoding="utf-8"))}


def document() -> str:
    """The text of docs/errors.md."""
    rows = [f"| `{code}` | {status} | {meaning} |" for code, (status, meaning) in sorted(OTHERS.items())]
    # A code may be told by several rules, each in its own words.
    words = {(code_of(kind), " ".join((kind.__doc__ or "").split())) for kind in problems()}
    told = [f"| `{code}` | {message.replace('|', '&#124;')} |" for code, message in sorted(words)]
    return HEAD + "\n".join(rows) + "\n" + MIDDLE + "\n".join(told) + "\n"


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
