"""Which hosts answer: one that did not, several times in a row, is left alone for a while, and then asked once."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

# So many calls in a row that did not reach the host put it to rest; the rest doubles with every call that follows.
FAILURES = 5
FIRST_REST, LONGEST_REST = timedelta(seconds=5), timedelta(minutes=1)
# What is remembered of hosts is bounded: the oldest is forgotten first.
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class _Trouble:
    failures: int
    rests_until: datetime


@dataclass(slots=True)
class Hosts:
    """What one sender knows of the hosts it has called. Time is an argument."""

    _troubled: dict[str, _Trouble] = field(default_factory=dict)

    def reached(self, host: str) -> None:
        """The host has answered, whatever it said."""
        self._troubled.pop(host, None)

    def missed(self, host: str, now: datetime) -> None:
        """The host was called and not reached."""
        known = self._troubled.pop(host, None)
        failures = 1 if known is None else known.failures + 1
        rest = timedelta(0)
        if failures >= FAILURES:
            rest = min(FIRST_REST * (1 << min(failures - FAILURES, 10)), LONGEST_REST)
        self._troubled[host] = _Trouble(failures, now + rest)
        if len(self._troubled) > REMEMBERED:
            del self._troubled[next(iter(self._troubled))]

    def resting(self, host: str, now: datetime) -> bool:
        """Whether calls are not worth trying now."""
        known = self._troubled.get(host)
        return known is not None and known.failures >= FAILURES and now < known.rests_until

    def doubtful(self, host: str) -> bool:
        """Whether one call at a time is enough to find out how the host is."""
        known = self._troubled.get(host)
        return known is not None and known.failures >= FAILURES

    def doubtful_ones(self) -> list[str]:
        """All hosts of which that can be said."""
        return [host for host, known in self._troubled.items() if known.failures >= FAILURES]
