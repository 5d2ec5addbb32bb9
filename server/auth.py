"""Whose request it is: the bearer key of a request, looked up, and remembered for about a second."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from engine import keys
from engine.access import Principal, Unauthenticated
from storage.database import Database
from storage.faults import fault

# A key revoked by another process ends here after this long; by this process, at once.
SECONDS = 1.0
KEPT = 10_000
# Longer than any key of ours; what is longer is not worth hashing.
LONGEST = 200


class Authenticator:
    """Turns bearer keys into principals. `monotonic` is a clock in seconds."""

    def __init__(self, db: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._monotonic = monotonic
        # By hash: the keys themselves are not kept in memory.
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        # Counts what was forgotten: a look-up that was on its way meanwhile is not remembered.
        self._forgotten = 0

    def remembered(self, text: str | None) -> Principal | None:
        """Who holds this key, if that was looked up within the last second: asks nobody."""
        if not text or len(text) > LONGEST:
            return None
        known = self._known.get(hashlib.sha256(text.encode()).digest())
        return known[1] if known is not None and known[0] > self._monotonic() else None

    async def principal(self, text: str | None) -> Principal:
        """Who holds this key; raises `Unauthenticated`."""
        if not text or len(text) > LONGEST:
            raise Unauthenticated
        remembered = self.remembered(text)
        if remembered is not None:
            return remembered
        digest = hashlib.sha256(text.encode()).digest()
        before = self._forgotten
        until = self._monotonic() + SECONDS
        found = await keys.authenticate(self._db, text)
        if found is None:
            self._known.pop(digest, None)
            raise Unauthenticated
        if before == self._forgotten:
            self._known[digest] = (until, found)
            self._known.move_to_end(digest)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return found

    async def still(self, text: str | None, before: Principal) -> bool:
        """Whether who has an open stream may still do what he could when it began.

        Raises `Unauthenticated` once the key is no longer good. While the database cannot be asked, nothing is
        known, and nothing can be read by the stream either.
        """
        try:
            now = await self.principal(text)
        except Unauthenticated:
            raise
        except Exception as error:
            if fault(error) is None:
                raise
            return True
        return (now.role, now.scopes) == (before.role, before.scopes)

    def forget(self, account_id: int, key_id: int) -> None:
        """Ask anew for a key that was just revoked."""
        self._forgotten += 1
        for digest, (_, principal) in list(self._known.items()):
            if (principal.account_id, principal.key_id) == (account_id, key_id):
                del self._known[digest]


def bearer(headers: Mapping[str, str]) -> str | None:
    """The key in `Authorization: Bearer …`, if any."""
    return key_of(headers.get("authorization", ""))


def key_of(value: object) -> str | None:
    """The key in a value such as "Bearer …", if it is one."""
    if not isinstance(value, str):
        return None
    scheme, _, text = value.strip().partition(" ")
    return text.strip() or None if scheme.lower() == "bearer" else None
