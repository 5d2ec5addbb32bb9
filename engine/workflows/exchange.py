"""Workflows compared with each other, and as files that another account can read. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import yaml

from engine import ids
from engine.problems import PathPart, Problem

# What a file says of itself.
KIND, FORM = "workflow", 1
LARGEST = 1_000_000
# In a file, things of the account go by name: {key: kind of id}.
NAMED = {
    "segment": "segment",
    "workflow": "workflow",
    "webhook": "webhook",
    "unenrollFrom": "workflow",
}
BY_NAME = "name:"
SECRETS = ("secret",)

Path = tuple[PathPart, ...]


class WorkflowFileUnreadable(Problem):
    """This is no workflow's file: {reason}"""


class UnknownName(Problem):
    """There is no {kind} called "{name}" in this account; make it, or change the file."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs at a place of two definitions; None: nothing stands there. Actions are told apart by their ids."""

    path: Path
    before: Any
    after: Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """What differs between two definitions' documents, in the order of the later one, then what is gone."""
    one, other = dict(_leaves(before, ())), dict(_leaves(after, ()))
    return [
        Difference(path, one.get(path), other.get(path))
        for path in dict.fromkeys([*other, *one])
        if one.get(path) != other.get(path)
    ]


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Everything that a document says, each with its place. An empty part says nothing."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, (*path, key))
    elif isinstance(value, list | tuple) and value and all(_identified(part) for part in value):
        order = [_identified(part) for part in value]
        yield (*path, "order"), order
        for part in value:
            ((kind, body),) = part.items()
            yield (*path, body["id"], "kind"), kind
            yield from _leaves({key: one for key, one in body.items() if key != "id"}, (*path, body["id"]))
    elif isinstance(value, list | tuple) and any(isinstance(part, Mapping) for part in value):
        for n, part in enumerate(value):
            yield from _leaves(part, (*path, n))
    elif value is not None and value != []:
        yield path, SHOWN_SECRET if path and path[-1] in SECRETS else value


SHOWN_SECRET = "(a secret)"


def _identified(part: Any) -> str | None:
    """The id of an action's document; None for anything else."""
    if isinstance(part, Mapping) and len(part) == 1:
        (body,) = part.values()
        if isinstance(body, Mapping) and isinstance(body.get("id"), str):
            return str(body["id"])
    return None


def exported(
    name: str, object_type: str, definition: Mapping[str, Any], name_of: Callable[[str, int], str | None]
) -> dict[str, Any]:
    """A workflow as a file says it: no secrets, and names in place of ids that mean nothing elsewhere.

    `name_of(kind, number)` is what a segment, workflow or webhook event is called.
    """

    def renamed(kind: str, text: str) -> str:
        found = name_of(kind, ids.decode(kind, text))
        return text if found is None else BY_NAME + found

    return {
        "relata": KIND,
        "form": FORM,
        "name": name,
        "objectType": object_type,
        **_exchanged(definition, renamed),
    }


def imported(file: Mapping[str, Any], number_of: Callable[[str, str], int | None]) -> dict[str, Any]:
    """The parts of a file with this account's ids. Raises `UnknownName`.

    `number_of(kind, name)` finds what a file calls by name.
    """

    def found(kind: str, text: str) -> str:
        if not text.startswith(BY_NAME):
            return text
        number = number_of(kind, text.removeprefix(BY_NAME))
        if number is None:
            raise UnknownName(kind=kind, name=text.removeprefix(BY_NAME))
        return ids.encode(kind, number)

    exchanged: dict[str, Any] = _exchanged(
        {key: part for key, part in file.items() if key not in ("relata", "form")}, found
    )
    return exchanged


def names_in(document: Any, *, named: bool) -> set[tuple[str, str]]:
    """(kind, id) of what a definition names by id, or, `named`, (kind, name) of what a file names."""
    found = set[tuple[str, str]]()

    def note(kind: str, text: str) -> str:
        if text.startswith(BY_NAME) is named:
            found.add((kind, text.removeprefix(BY_NAME)))
        return text

    _exchanged(document, note)
    return found


def _exchanged(value: Any, exchange: Callable[[str, str], str], kind: str | None = None) -> Any:
    if isinstance(value, Mapping):
        return {
            key: part if key in ("value", "values") else _exchanged(part, exchange, NAMED.get(key))
            for key, part in value.items()
            if key not in SECRETS
        }
    if isinstance(value, list | tuple):
        return [_exchanged(part, exchange, kind) for part in value]
    return exchange(kind, value) if kind is not None and isinstance(value, str) else value


def as_json(file: Mapping[str, Any]) -> str:
    """A file's text as JSON."""
    return orjson.dumps(file, option=orjson.OPT_INDENT_2).decode() + "\n"


def as_yaml(file: Mapping[str, Any]) -> str:
    """A file's text as YAML."""
    text: str = yaml.dump(file, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def parsed(text: str) -> dict[str, Any]:
    """A file's content, from JSON or YAML. Raises `WorkflowFileUnreadable`."""
    if len(text) > LARGEST:
        raise WorkflowFileUnreadable(reason=f"it has more than {LARGEST} characters.")
    try:
        # JSON is YAML but for some corners of its texts: it is tried first.
        found = orjson.loads(text) if text.lstrip().startswith("{") else yaml.load(text, Loader=_Loader)
    except (orjson.JSONDecodeError, yaml.YAMLError, RecursionError) as error:
        raise WorkflowFileUnreadable(reason=" ".join(str(error).split())[:300]) from None
    except ValueError:
        # A number of thousands of digits, or an escape beyond all characters: Python's words are not for readers.
        raise WorkflowFileUnreadable(reason="it holds a number or a character that cannot be.") from None
    if not isinstance(found, dict) or (found.get("relata"), found.get("form")) != (KIND, FORM):
        raise WorkflowFileUnreadable(reason=f'it must say "relata: {KIND}" and "form: {FORM}".')
    return found


class _Dumper(yaml.SafeDumper):
    """Writes everything out: no references within the file."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Loader(yaml.SafeLoader):
    """Reads texts as they stand: dates stay texts, and no references, which could swell without bound."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("references (*) are not possible.")
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
