"""Words that go out and come back, such as those in an address: signed, so that nobody else can have written them.

Whoever has them can read them, and use them as whoever was given them could; nothing of them is kept.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from engine.problems import Problem

# Longer words are none of ours; what is longer is not worth looking at.
LONGEST = 2_000


class SigningKeyMissing(Problem):
    """Addresses cannot be signed: there is no key for it. Set RELATA_SECRET_KEY, the same on all machines."""


class Signer:
    """Signs words, and tells which are its own.

    `keys(making)` gives the installation's keys, each 32 bytes in URL-safe base64: the first one signs, the words of
    all are good. It is asked when they are needed; where there are none, `making` says whether one may be made now.
    """

    __slots__ = ("_keys", "_known")

    def __init__(self, keys: Callable[[bool], Sequence[str]] = lambda _making: ()) -> None:
        self._keys = keys
        self._known: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return "Signer(…)"

    def signed(self, purpose: str, words: Sequence[Any], about: bytes = b"") -> str:
        """These words (JSON) as letters for an address, good for this purpose alone, and with the same `about`.

        Raises `SigningKeyMissing`.
        """
        keys = self._all(making=True)
        if not keys:
            raise SigningKeyMissing
        said = orjson.dumps(words)
        return f"{_letters(said)}.{_letters(_mark(keys[0], purpose, said, about))}"

    def read(self, purpose: str, text: str, about: bytes = b"") -> list[Any] | None:
        """The words that `signed` was given for this purpose, and about this; None: they are not ours."""
        if len(text) > LONGEST:
            return None
        said, _, mark = text.partition(".")
        try:
            words, given = _bytes(said), _bytes(mark)
        except (ValueError, binascii.Error):
            return None
        # All are compared, however early one fits: how long it takes tells nothing.
        fitting = [hmac.compare_digest(_mark(key, purpose, words, about), given) for key in self._all()]
        if not any(fitting):
            return None
        found: list[Any] = orjson.loads(words)
        return found

    def _all(self, *, making: bool = False) -> tuple[bytes, ...]:
        if not self._known:
            self._known = tuple(base64.urlsafe_b64decode(key) for key in self._keys(making))
        return self._known


def _mark(key: bytes, purpose: str, words: bytes, about: bytes) -> bytes:
    # A key of its own for each purpose: the installation's seals other things, too. What is about is hashed, so that
    # nothing can move from it into the words.
    own = hmac.digest(key, b"relata/" + purpose.encode(), "sha256")
    return hmac.digest(own, hashlib.sha256(about).digest() + words, "sha256")


def _letters(some: bytes) -> str:
    return base64.urlsafe_b64encode(some).rstrip(b"=").decode()


def _bytes(letters: str) -> bytes:
    found = base64.b64decode(
        letters.encode("ascii") + b"=" * (-len(letters) % 4), altchars=b"-_", validate=True
    )
    if _letters(found) != letters:
        # There is one way to write them.
        raise ValueError
    return found
