"""Credentials at rest: sealed with the installation's key, opened for connectors alone, never shown, told or logged."""

from collections.abc import Callable, Mapping, Sequence

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from engine.sync.problems import SecretKeyMissing, SecretsUnreadable


class Vault:
    """Seals and opens the credentials of connections.

    `keys(making)` gives the installation's keys, each 32 bytes in URL-safe base64: the first one seals, all of them
    open. It is asked when they are needed; where there are none, `making` says whether one may be made now.
    """

    __slots__ = ("_fernet", "_keys")

    def __init__(self, keys: Callable[[bool], Sequence[str]] = lambda _making: ()) -> None:
        self._keys = keys
        self._fernet: MultiFernet | None = None

    def __repr__(self) -> str:
        return "Vault(…)"

    def seal(self, owner: str, secrets: Mapping[str, str]) -> bytes:
        """What is kept of `secrets`: readable for `owner` (a connection) alone. Raises `SecretKeyMissing`."""
        found = self._known(making=True)
        if found is None:
            raise SecretKeyMissing
        return found.encrypt(orjson.dumps({"owner": owner, "secrets": dict(secrets)}))

    def open(self, owner: str, sealed: bytes) -> dict[str, str]:
        """The secrets that `owner` sealed. Raises `SecretsUnreadable`."""
        found = self._known(making=False)
        try:
            read = None if found is None else orjson.loads(found.decrypt(sealed))
        except (InvalidToken, orjson.JSONDecodeError):
            read = None
        # A row's secrets that stand in another row are nobody's.
        if read is None or read["owner"] != owner:
            raise SecretsUnreadable
        return dict(read["secrets"])

    def anew(self, owner: str, sealed: bytes) -> bytes:
        """The same secrets, sealed with the key that seals now. Raises as `open` and `seal` do."""
        return self.seal(owner, self.open(owner, sealed))

    def _known(self, *, making: bool) -> MultiFernet | None:
        if self._fernet is None:
            keys = self._keys(making)
            self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None
        return self._fernet


def owner(account_id: int, connection_id: int) -> str:
    """Whose secrets a connection's are."""
    return f"{account_id}/{connection_id}"


def check_key(text: str) -> str:
    """A key as it is used; raises `ValueError` where `text` is none."""
    key = text.strip().replace("+", "-").replace("/", "_")
    Fernet(key)
    return key


def new_key() -> str:
    """A new key."""
    return Fernet.generate_key().decode()
