"""Time that passes at a test's word: no machine is too slow for a deadline that only comes when it is called."""

import asyncio


def later(seconds: float) -> None:
    """From now on the running loop's clock is so much ahead: what was to happen until then happens at once."""
    loop = asyncio.get_running_loop()
    before = loop.time
    # The loop ends with its test, and its clock with it.
    vars(loop)["time"] = lambda: before() + seconds
