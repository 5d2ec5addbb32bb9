"""What every connector is whose app tells nothing by itself."""

from collections.abc import AsyncIterator, Sequence

from engine.sync.connectors.protocol import Delivery, Hint, Rejected


class OnlyAsked:
    """Inherit from it where an app is only ever asked: it neither calls us nor lets us listen."""

    async def hint(self, delivery: Delivery) -> Sequence[Hint]:
        """No call is genuine."""
        raise Rejected("This app tells nothing by itself: it is asked.")

    async def watch(self, objects: Sequence[str]) -> AsyncIterator[Hint]:
        """Nothing."""
        for _ in ():
            yield Hint()
