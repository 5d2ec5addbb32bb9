"""The key that seals credentials and signs addresses: from the settings, else from a file, made when it is needed."""

import contextlib
import os
import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from engine.signing import Signer
from engine.sync.connectors.protocol import Surroundings
from engine.sync.credentials import Vault, check_key, new_key
from server.settings import Settings

FILE = "secret.key"


def vault(settings: Settings) -> Vault:
    """The vault of this installation. Nothing is read or made before somebody has credentials to keep."""
    return Vault(partial(_keys, settings.secret_key, settings.data_dir / FILE))


def signer(settings: Settings) -> Signer:
    """What signs addresses for this installation, by the same key."""
    return Signer(partial(_keys, settings.secret_key, settings.data_dir / FILE))


def surroundings(settings: Settings) -> Surroundings:
    """What connectors may use of this installation."""
    return Surroundings(allow_private=settings.sync_allow_private == "on")


def _keys(setting: str | None, path: Path, making: bool) -> Sequence[str]:
    if setting is not None:
        return setting.split(",")
    if making:
        _make(path)
    try:
        return [check_key(path.read_text("ascii"))]
    except (OSError, ValueError):
        return ()


def _make(path: Path) -> None:
    """Write a new key, unless there is one: whole or not at all, and nobody's is ever written over."""
    if path.exists():
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(new_key())
                file.flush()
                os.fsync(file.fileno())
            # Of several processes at once, one has the name; the others read what it has written.
            os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
