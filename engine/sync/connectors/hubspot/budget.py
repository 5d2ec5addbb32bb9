"""How many calls may be made: windows that all connectors of one token in this process share."""

import asyncio
import hashlib
import time
from collections import deque
from weakref import WeakValueDictionary

# HubSpot counts calls in windows of ten seconds, and searches by the second, a twentieth of them at a time.
WINDOW = 10.0
SEARCHES = 20
# Calls arrive less evenly than they leave.
SLACK = 0.1


class Window:
    """At most `most` calls in any `seconds`."""

    def __init__(self, most: int, seconds: float) -> None:
        self.most = most
        self.seconds = seconds
        self._made: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Seconds until another call may be made."""
        while self._made and self._made[0] + self.seconds + SLACK <= now:
            self._made.popleft()
        return 0.0 if len(self._made) < self.most else self._made[0] + self.seconds + SLACK - now

    def spend(self, now: float) -> None:
        """A call is made."""
        self._made.append(now)


class Budget:
    """What one token may do: calls, and searches among them."""

    def __init__(self, calls: int) -> None:
        self.calls = Window(calls, WINDOW)
        self.searches = Window(max(1, calls // SEARCHES), 1.0)

    async def take(self, *, search: bool) -> None:
        """Wait until a call may be made, and count it."""
        windows = (self.calls, self.searches) if search else (self.calls,)
        while True:
            pause = max(each.wait(time.monotonic()) for each in windows)
            if pause <= 0:
                break
            await asyncio.sleep(pause)
        for each in windows:
            each.spend(time.monotonic())


_budgets: WeakValueDictionary[str, Budget] = WeakValueDictionary()


def budget_of(base: str, token: str, calls: int) -> Budget:
    """The budget of this token at this address: the syncs of a connection share one."""
    key = hashlib.sha256(f"{base} {calls} {token}".encode()).hexdigest()
    return _budgets.setdefault(key, Budget(calls))
