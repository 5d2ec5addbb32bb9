"""What tests need to know about processes: where they run fastest, what came true, and whether anybody is left."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Long enough for a machine under load; nothing here measures time.
PATIENCE = 60.0
ENOUGH_BYTES = 3 * 2**30


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


def dead(process: int) -> bool:
    """Whether a process has ended, also where nobody has asked yet how."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        # Gone before it was looked at, or while it was.
        return True


def fastest_place() -> Path:
    """Memory where there is enough of it: making a database there takes 20 ms instead of 400."""
    memory = Path("/dev/shm")
    with contextlib.suppress(OSError):
        if os.access(memory, os.W_OK | os.X_OK) and shutil.disk_usage(memory).free > ENOUGH_BYTES:
            return memory
    return Path(tempfile.gettempdir())
