"""What an app tells us of changes, at an address with a secret; of the secret only a hash is kept."""

from engine.problems import Problem
from storage.database import Transaction


class HintUnknown(Problem):
    """There is no connection at this address."""


class HintsUnsupported(Problem):
    """The app does not tell of changes by calling an address."""


async def renew(tx: Transaction, connection_id: int) -> str:
    """A new secret for the address at which a connection's app tells of changes: shown once; the former ends.

    The address is `{public_url}/sync-hints/{secret}`. Raises `NotFound` and `HintsUnsupported`.
    """
    raise NotImplementedError


async def close(tx: Transaction, connection_id: int) -> None:
    """Let the address end. Raises `NotFound`."""
    raise NotImplementedError
