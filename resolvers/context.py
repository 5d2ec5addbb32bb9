"""What every resolver is given: who asks, when, and the way to the data."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.access import Principal
from engine.batches import BATCH_LIMIT
from engine.signing import Signer
from engine.sync.connectors.protocol import Surroundings
from engine.sync.credentials import Vault
from storage.catalogue import Catalogue
from storage.database import Database


@dataclass(slots=True)
class Context:
    """One request (or one subscription) of one principal.

    `now` is the request's time, taken once by the server. `catalogue` is the account's definitions as they
    stood when the request began; a mutation uses its transaction's own.
    """

    db: Database
    principal: Principal
    now: datetime
    catalogue: Catalogue
    # Dataloaders of this request, by name and arguments; see resolvers.loaders.
    loaders: dict[Any, Any] = field(default_factory=dict)
    # Whether root fields may be answered by compiled selections; tests compare with what comes without.
    compiles: bool = True
    # Where the server is reached from outside, without a slash at its end; empty: nobody has said.
    public_url: str = ""
    # Tells the time to what goes on for longer than a request.
    clock: Callable[[], datetime] | None = None
    # How many inputs a batch may have.
    batch_limit: int = BATCH_LIMIT
    # The largest file that is imported, in bytes.
    import_bytes: int = 2 << 30
    # Keeps the credentials of connections; what their connectors may use of the house.
    vault: Vault = field(default_factory=Vault)
    surroundings: Surroundings = field(default_factory=Surroundings)
    # Signs what goes out in addresses and comes back.
    signer: Signer = field(default_factory=Signer)
    # Called with account and key once a key is revoked, so that this process forgets it at once.
    forget_key: Callable[[int, int], None] = field(default=lambda _account, _key: None)

    @property
    def account_id(self) -> int:
        """The account that all of this is about."""
        return self.principal.account_id
