"""What tests need to know about processes: whether something came true, and whether anybody is left."""

import contextlib
import fcntl
import time
from collections.abc import Callable
from pathlib import Path

# Long enough for a machine under load; nothing here measures time.
PATIENCE = 60.0


def until(holds: Callable[[], bool]) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def nobody_runs_in(data_dir: Path) -> bool:
    """Whether neither a warden nor any PostgreSQL process of a data directory is alive."""
    with contextlib.ExitStack() as stack:
        for name in ("warden.lock", "postmaster.lock"):
            if (data_dir / name).exists():
                lock = stack.enter_context((data_dir / name).open())
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
    return True
