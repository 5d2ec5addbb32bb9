"""Documents that are asked for by name instead of being sent: those that clients bring once, and those that are listed.

Automatic ones stay with the process that they were brought to, the latest of them: a process that has not seen one
says so, and the client brings it, once. That needs no shared state, and nobody can fill a table with it. Listed ones
are read when the process starts, so every node that is given the same list knows the same documents.
"""

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.problems import Problem

KEPT = 10_000
CHARACTERS_KEPT = 16 * 1024 * 1024
SHA256 = re.compile(r"[0-9a-f]{64}")
SUFFIXES = (".graphql", ".gql")


class PersistedQueryNotFound(Problem):
    """PersistedQueryNotFound"""


class PersistedQueryHashMismatch(Problem):
    """The sha256Hash is not that of the query; hash the text exactly as it is sent."""


class DocumentNotFound(Problem):
    """There is no document "{id}" among those that this server lists."""


class DocumentNotAllowed(Problem):
    """This server runs listed documents only, and this is none of them."""


class BadDocuments(Exception):
    """The list of documents cannot be read; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Documents by their names: their SHA-256, and the id that a manifest gives them. `only`: no others run."""

    by_id: dict[str, str] = field(default_factory=dict)
    only: bool = False


class Documents:
    """What a request's document is, whichever way it is told."""

    def __init__(self, listed: Listed | None = None) -> None:
        self._listed = listed or Listed()
        self._texts = frozenset(self._listed.by_id.values())
        self._brought: OrderedDict[str, str] = OrderedDict()
        self._characters = 0

    def text(self, text: str | None, digest: str | None, ident: str | None) -> str:
        """The document's text: as given, or as known by its SHA-256 (`digest`) or under its id in the list.

        Raises the problem of a document that is not here, or not allowed.
        """
        if text is None:
            return self._found(digest, ident)
        if digest is not None and _sha256(text) != digest:
            raise PersistedQueryHashMismatch
        if self._listed.only and text not in self._texts:
            raise DocumentNotAllowed
        return text

    def _found(self, digest: str | None, ident: str | None) -> str:
        if ident is not None:
            found = self._listed.by_id.get(ident.removeprefix("sha256:"))
            if found is None:
                raise DocumentNotFound(id=ident[:100])
            return found
        assert digest is not None  # a request has one of the three
        found = self._listed.by_id.get(digest) or self._brought.get(digest)
        if found is None:
            # Where only listed ones run, bringing it would be of no use.
            raise DocumentNotAllowed if self._listed.only else PersistedQueryNotFound
        if digest in self._brought:
            self._brought.move_to_end(digest)
        return found

    def keep(self, text: str, digest: str) -> None:
        """Remember a document that was brought; call once it is known to be valid."""
        if digest in self._brought or self._listed.only:
            return
        self._brought[digest] = text
        self._characters += len(text)
        while len(self._brought) > KEPT or self._characters > CHARACTERS_KEPT:
            _, gone = self._brought.popitem(last=False)
            self._characters -= len(gone)


def read(place: Path, *, only: bool) -> Listed:
    """The list at a path. Raises `BadDocuments`.

    A directory of .graphql files, one document each; or a JSON file: an object of texts by id, or the manifest that
    Apollo's tools write ({"operations": [{"id", "body"}]}).
    """
    try:
        texts = dict(_directory(place) if place.is_dir() else _manifest(json.loads(place.read_text("utf-8"))))
    except (OSError, ValueError) as error:
        raise BadDocuments(f"The documents in {place} cannot be read: {error}") from None
    if not texts:
        raise BadDocuments(f"There is no document in {place}.")
    return Listed(texts, only)


def _directory(place: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(place.rglob("*")):
        if path.suffix in SUFFIXES:
            text = path.read_text("utf-8")
            # Tools differ in whether the last line's end belongs to it.
            for each in (text, text.strip()):
                yield _sha256(each), each


def _manifest(content: Any) -> Iterator[tuple[str, str]]:
    if isinstance(content, dict) and isinstance(content.get("operations"), list):
        content = {one.get("id"): one.get("body") for one in content["operations"] if isinstance(one, dict)}
    if not isinstance(content, dict):
        raise ValueError("it is neither an object of texts by id nor a manifest of operations")
    for ident, text in content.items():
        if not isinstance(ident, str) or not isinstance(text, str):
            raise ValueError(f"the document {ident!r} is not a text under an id")
        yield ident.removeprefix("sha256:"), text
        yield _sha256(text), text


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
